//! Which matchers can match a host and a path, without asking all of them.
//!
//! Matchers lie in buckets by host pattern, and in a bucket by path: prefixes in a table by their bytes, regexes and
//! those without path in lists. Every list is in rank order, so that the first that matches in a list is its best.
use super::matcher::{HostPattern, Matcher, PathPattern, RequestHost};
use crate::snapshot::Index as Table;

type Ranks = Vec<u32>;

#[derive(Debug, Default)]
struct Bucket {
    prefixes: Table<Box<[u8]>, Ranks>,
    /// Distinct lengths of the keys of `prefixes`, rising.
    lengths: Vec<usize>,
    regexes: Ranks,
    pathless: Ranks,
}

impl Bucket {
    fn add(&mut self, rank: u32, matcher: &Matcher) {
        if matcher.paths.is_empty() {
            push(&mut self.pathless, rank);
        }
        for path in &matcher.paths {
            match path {
                PathPattern::Regex(_) => push(&mut self.regexes, rank),
                PathPattern::Prefix(prefix) => {
                    push(self.prefixes.entry(prefix.clone()).or_default(), rank);
                    if let Err(place) = self.lengths.binary_search(&prefix.len()) {
                        self.lengths.insert(place, prefix.len());
                    }
                }
            }
        }
    }

    /// Lowers `best` to the best rank of this bucket that passes `test`, if there is a better one.
    fn improve(&self, path: &[u8], best: &mut Option<u32>, test: &impl Fn(u32) -> bool) {
        for &length in self
            .lengths
            .iter()
            .rev()
            .filter(|length| **length <= path.len())
        {
            if let Some(ranks) = self.prefixes.get(&path[..length]) {
                improve(ranks, best, test);
            }
        }
        improve(&self.regexes, best, test);
        improve(&self.pathless, best, test);
    }
}

#[derive(Debug, Default)]
pub(super) struct Index {
    exact: Table<Box<[u8]>, Bucket>,
    suffixes: Table<Box<[u8]>, Bucket>,
    prefixes: Table<Box<[u8]>, Bucket>,
    any_host: Bucket,
}

impl Index {
    pub(super) fn build(matchers: &[Matcher]) -> Self {
        let mut index = Self::default();
        for (rank, matcher) in (0u32..).zip(matchers) {
            if matcher.hosts.is_empty() {
                index.any_host.add(rank, matcher);
            }
            for host in &matcher.hosts {
                let bucket = match &host.pattern {
                    HostPattern::Exact(name) => index.exact.entry(name.clone()),
                    HostPattern::Suffix(suffix) => index.suffixes.entry(suffix.clone()),
                    HostPattern::Prefix(prefix) => index.prefixes.entry(prefix.clone()),
                };
                bucket.or_default().add(rank, matcher);
            }
        }
        index
    }

    /// The best rank among those that can match and pass `test`.
    pub(super) fn first(
        &self,
        host: &RequestHost<'_>,
        path: &[u8],
        test: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let mut best = None;
        if let Some(bucket) = self.exact.get(host.name) {
            bucket.improve(path, &mut best, &test);
        }
        if !self.suffixes.is_empty() {
            for start in 0..=host.name.len() {
                if let Some(bucket) = self.suffixes.get(&host.name[start..]) {
                    bucket.improve(path, &mut best, &test);
                }
            }
        }
        if !self.prefixes.is_empty() {
            for end in 0..=host.name.len() {
                if let Some(bucket) = self.prefixes.get(&host.name[..end]) {
                    bucket.improve(path, &mut best, &test);
                }
            }
        }
        self.any_host.improve(path, &mut best, &test);
        best
    }
}

/// Ranks come in rising order; a matcher with two paths of one kind comes twice.
fn push(ranks: &mut Ranks, rank: u32) {
    if ranks.last() != Some(&rank) {
        ranks.push(rank);
    }
}

fn improve(ranks: &[u32], best: &mut Option<u32>, test: &impl Fn(u32) -> bool) {
    for &rank in ranks {
        if best.is_some_and(|found| rank >= found) {
            return;
        }
        if test(rank) {
            *best = Some(rank);
            return;
        }
    }
}
