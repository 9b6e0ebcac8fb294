//! Why a route was found, and why others were not: the same matchers, asked one by one with a watch over them.
use super::asked::Asked;
use super::watch::{Part, Watch};
use super::{Match, MatchInput, Router};

/// What a route, or a part of one, lacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// `method`, `host`, `path`, `header`, `sni`, `source`, `destination`, `protocol` or `expression`.
    pub part: &'static str,
    /// The header's folded name, or the part of the expression that does not hold.
    pub detail: Option<String>,
}

/// A route that was considered: in order of rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Index of the route.
    pub route: u32,
    /// Its place by rank, from 0.
    pub place: usize,
    /// Paths of the part of the route that this is, as far as it names paths.
    pub starts: Vec<String>,
    /// What it lacked; empty: it matches.
    pub unmet: Vec<Unmet>,
}

/// How a request finds its route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Those before the one that won, the nearest to it where there are many.
    pub before: Vec<Considered>,
    /// How many before it are not told.
    pub before_untold: usize,
    /// The place of the one that won.
    pub won: Option<Considered>,
    /// Those that match as well and rank lower.
    pub after: Vec<Considered>,
    /// What the look-up found, which is that one.
    pub found: Option<Match>,
}

#[derive(Default)]
struct Heard(Vec<Unmet>);

impl Watch for Heard {
    const ALL: bool = true;

    fn unmet(&mut self, part: Part<'_>) {
        let (part, detail) = match part {
            Part::Method => ("method", None),
            Part::Host => ("host", None),
            Part::Sni => ("sni", None),
            Part::Header(name) => ("header", Some(name.to_owned())),
            Part::Source => ("source", None),
            Part::Destination => ("destination", None),
            Part::Protocol => ("protocol", None),
            Part::Path => ("path", None),
            Part::Expression(text) => ("expression", Some(text.to_owned())),
        };
        self.0.push(Unmet { part, detail });
    }
}

impl Router {
    /// As [`Router::find`], and why. Asks every matcher: for people, not for traffic. `most`: how many are told of those
    /// before the one that won, and of those after it.
    pub fn trace(&self, input: &MatchInput<'_>, most: usize) -> Trace {
        let mut trace = Trace {
            found: self.find(input),
            ..Trace::default()
        };
        let asked = Asked::new(input, self.flavor);
        for (place, matcher) in self.matchers.iter().enumerate() {
            let mut heard = Heard::default();
            let fits = matcher.matches(&asked, &self.texts, &mut heard);
            let is_after = trace.won.is_some();
            if is_after && (!fits || trace.after.len() == most) {
                continue;
            }
            let starts = matcher.paths.as_slice().iter();
            let starts = starts
                .map(|path| String::from_utf8_lossy(self.texts.get(path.start())).into_owned());
            let considered = Considered {
                route: matcher.route,
                place,
                starts: starts.collect(),
                unmet: heard.0,
            };
            if is_after {
                trace.after.push(considered);
            } else if fits {
                trace.won = Some(considered);
            } else {
                if trace.before.len() == most {
                    let farthest = farthest(&trace.before);
                    trace.before.remove(farthest);
                    trace.before_untold += 1;
                }
                trace.before.push(considered);
            }
        }
        trace
    }
}

/// The one that lacks most; the first in rank of several.
fn farthest(considered: &[Considered]) -> usize {
    let lacks = considered.iter().map(|each| each.unmet.len());
    let most = lacks.clone().max().unwrap_or_default();
    lacks.take_while(|lack| *lack < most).count()
}
