//! Counters and histograms of the scrape, by name and labels. A worker gathers differences; the drain adds them up.
use ahash::AHashMap;

/// Distinct series of one worker between two drains, and of a node.
const SERIES_MAX: usize = 100_000;
const FIELD: char = '\u{1}';
const VALUE: char = '\u{2}';

/// What one series holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Metric {
    /// Only rises.
    Counter(u64),
    /// Observations by upper bound.
    Histogram {
        /// Upper bounds, rising.
        bounds: &'static [f64],
        /// Observations up to each bound and over the one before; the last is for those over all bounds.
        counts: Vec<u64>,
        /// Sum of all observations.
        sum: f64,
    },
}

/// One series: its name, its labels, what it holds.
pub(crate) type Series<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a Metric);

fn read<'a>(key: &'a str, metric: &'a Metric) -> Series<'a> {
    let mut parts = key.split(FIELD);
    let name = parts.next().unwrap_or_default();
    (
        name,
        parts.filter_map(|part| part.split_once(VALUE)).collect(),
        metric,
    )
}

/// Series by name and labels.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    series: AHashMap<Box<str>, Metric>,
    scratch: String,
    lost: u64,
}

impl Metrics {
    /// Adds to a counter.
    pub(crate) fn count(&mut self, name: &str, labels: &[(&'static str, &str)], by: u64) {
        self.write_key(name, labels);
        match self.slot(|| Metric::Counter(0)) {
            Some(Metric::Counter(value)) => *value += by,
            Some(Metric::Histogram { .. }) => debug_assert!(false, "{name} is a histogram"),
            None => {}
        }
    }

    /// Adds to a histogram.
    pub(crate) fn observe(
        &mut self,
        name: &str,
        labels: &[(&'static str, &str)],
        value: f64,
        buckets: &'static [f64],
    ) {
        self.write_key(name, labels);
        let empty = || Metric::Histogram {
            bounds: buckets,
            counts: vec![0; buckets.len() + 1],
            sum: 0.0,
        };
        match self.slot(empty) {
            Some(Metric::Histogram {
                bounds,
                counts,
                sum,
            }) => {
                let at = bounds
                    .iter()
                    .position(|bound| value <= *bound)
                    .unwrap_or(bounds.len());
                if let Some(count) = counts.get_mut(at) {
                    *count += 1;
                }
                *sum += value;
            }
            Some(Metric::Counter(_)) => debug_assert!(false, "{name} is a counter"),
            None => {}
        }
    }

    /// Adds another's series to these.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        for (key, theirs) in other.series {
            match (self.series.get_mut(&key), theirs) {
                (Some(Metric::Counter(ours)), Metric::Counter(theirs)) => *ours += theirs,
                (
                    Some(Metric::Histogram {
                        counts: ours,
                        sum: our_sum,
                        ..
                    }),
                    Metric::Histogram {
                        counts: theirs,
                        sum,
                        ..
                    },
                ) => {
                    ours.iter_mut()
                        .zip(theirs)
                        .for_each(|(ours, theirs)| *ours += theirs);
                    *our_sum += sum;
                }
                (Some(_), _) => self.lost += 1,
                (None, theirs) => self.put(key, theirs),
            }
        }
    }

    /// Each series, sorted by name and labels.
    pub(crate) fn sorted(&self) -> Vec<Series<'_>> {
        let mut all: Vec<_> = self.series.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter()
            .map(|(key, metric)| read(key, metric))
            .collect()
    }

    /// Series and additions that found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn put(&mut self, key: Box<str>, metric: Metric) {
        if self.series.len() < SERIES_MAX {
            self.series.insert(key, metric);
        } else {
            self.lost += 1;
        }
    }

    fn write_key(&mut self, name: &str, labels: &[(&'static str, &str)]) {
        self.scratch.clear();
        self.scratch.push_str(name);
        for (label, value) in labels {
            self.scratch.push(FIELD);
            self.scratch.push_str(label);
            self.scratch.push(VALUE);
            self.scratch.push_str(value);
        }
    }

    fn slot(&mut self, empty: impl FnOnce() -> Metric) -> Option<&mut Metric> {
        if !self.series.contains_key(self.scratch.as_str()) {
            if self.series.len() >= SERIES_MAX {
                self.lost += 1;
                return None;
            }
            self.series.insert(self.scratch.as_str().into(), empty());
        }
        self.series.get_mut(self.scratch.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        const BOUNDS: &[f64] = &[1.0, 5.0];
        let (mut total, mut one, mut two) =
            (Metrics::default(), Metrics::default(), Metrics::default());
        one.count("requests", &[("service", "a"), ("code", "200")], 2);
        two.count("requests", &[("service", "a"), ("code", "200")], 3);
        two.count("requests", &[("service", ""), ("code", "404")], 1);
        for (metrics, value) in [(&mut one, 1.0), (&mut two, 4.0)] {
            metrics.observe("latency", &[], value, BOUNDS);
            metrics.observe("latency", &[], 9.0, BOUNDS);
        }
        total.add(one);
        total.add(two);
        let histogram = Metric::Histogram {
            bounds: BOUNDS,
            counts: vec![1, 1, 2],
            sum: 23.0,
        };
        let (five, single) = (Metric::Counter(5), Metric::Counter(1));
        assert_eq!(
            total.sorted(),
            [
                ("latency", vec![], &histogram),
                ("requests", vec![("service", ""), ("code", "404")], &single),
                ("requests", vec![("service", "a"), ("code", "200")], &five),
            ]
        );
    }
}
