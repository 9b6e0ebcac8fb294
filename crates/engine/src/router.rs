//! Which route a request is for, in the flavours `traditional_compatible`, `expressions` and `traditional`: with the
//! priorities that a real node has, and the `strict` ones.
//!
//! A route is split into matchers, ranked once; a look-up visits only matchers whose host and path can match, and takes
//! the first in rank that matches wholly. The order is a fact to imitate, see `priority`.
mod asked;
mod ends;
mod expression;
mod facets;
mod few;
mod index;
mod input;
mod matcher;
mod pattern;
mod priority;
mod split;
mod texts;
mod trace;
mod watch;

use asked::Asked;
use index::Index;
use matcher::Matcher;
use split::{Patterns, Splitter};
use texts::Texts;
use twinplane_model::Route;
use watch::Unwatched;

pub use asked::{End, Protocol};
pub use expression::{Expression, ExpressionFault, Subsystem};
pub use priority::Calculation;
pub use trace::{Considered, Trace, Unmet};

/// How routes are written and ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// By attributes, ranked as Kong 3.x does.
    #[default]
    TraditionalCompatible,
    /// By an expression of their own, or by attributes.
    Expressions,
    /// By attributes, ranked as Kong 2.x did.
    Traditional,
}

/// How a router is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How routes are written.
    pub flavor: Flavor,
    /// How they are ranked; the flavour `traditional` has an order of its own.
    pub calculation: Calculation,
    /// What they are asked of.
    pub subsystem: Subsystem,
}

impl From<Calculation> for Rules {
    fn from(calculation: Calculation) -> Self {
        Self {
            calculation,
            ..Self::default()
        }
    }
}

/// A request as the router sees it.
pub struct MatchInput<'a> {
    /// The method, case as sent.
    pub method: &'a [u8],
    /// The raw `Host` header, case as sent, perhaps with a port.
    pub host: &'a [u8],
    /// The normalised path.
    pub path: &'a [u8],
    /// What follows the `?` of the target.
    pub query: &'a [u8],
    /// What the connection carries.
    pub protocol: Protocol,
    /// Server name of the TLS handshake; none on clear text.
    pub sni: Option<&'a [u8]>,
    /// The client.
    pub source: End,
    /// The end that the client sees: the listener.
    pub destination: End,
    /// The request's headers.
    pub headers: &'a dyn HeaderValues,
}

/// Look-up of header values by folded name: lower case, `-` for `_`.
pub trait HeaderValues {
    /// Whether any value of the header passes `test`.
    fn any(&self, folded_name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// What matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Index of the route as given to [`Router::build`].
    pub route: u32,
    /// How much of the path the route's prefix or regex took, from its start; none where the route names no path.
    pub path_taken: Option<usize>,
    /// Captures of the regex: numbered from 0 (the whole), with names where the pattern gives them.
    pub captures: Vec<Capture>,
    /// Whether a host of the route matched (rather than that it names none).
    pub by_host: bool,
}

/// One group of a regex path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name, where the pattern gives one.
    pub name: Option<Box<str>>,
    /// What it matched; none where it took no part.
    pub value: Option<Box<[u8]>>,
}

/// A route that cannot be matched as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    /// Index of the route.
    pub route: u32,
    /// What is wrong, in words.
    pub message: String,
}

/// All routes of a configuration, ready for look-up.
#[derive(Debug, Default)]
pub struct Router {
    /// In rank order: the first that matches wins.
    matchers: Vec<Matcher>,
    texts: Texts,
    index: Index,
    flavor: Flavor,
    patterns: Patterns,
}

impl Router {
    /// Builds the router. Every route that is at fault is told; then nothing is built.
    pub fn build<'a>(
        routes: impl IntoIterator<Item = &'a Route>,
        rules: impl Into<Rules>,
    ) -> Result<Self, Vec<RouteFault>> {
        Self::build_after(routes, rules, None)
    }

    /// As [`Self::build`]; what was compiled for the router before is taken over.
    pub fn build_after<'a>(
        routes: impl IntoIterator<Item = &'a Route>,
        rules: impl Into<Rules>,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<RouteFault>> {
        let rules = rules.into();
        let mut splitter = Splitter {
            rules,
            previous: previous.map(|router| &router.patterns),
            texts: Texts::default(),
            patterns: Patterns::default(),
        };
        let mut ranked = Vec::new();
        let mut faults = Vec::new();
        for (position, route) in (0u32..).zip(routes) {
            if let Err(message) = splitter.split(route, position, &mut ranked) {
                faults.push(RouteFault {
                    route: position,
                    message,
                });
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // Stable: routes of one rank (there are none with ids of their own) stay in the order of the configuration.
        ranked.sort_by_key(|each| std::cmp::Reverse(each.rank));
        let matchers: Vec<Matcher> = ranked.into_iter().map(|each| each.matcher).collect();
        let mut texts = splitter.texts;
        texts.shrink();
        let index = Index::build(&matchers, &texts);
        Ok(Self {
            matchers,
            texts,
            index,
            flavor: rules.flavor,
            patterns: splitter.patterns,
        })
    }

    /// The route that a request is for.
    pub fn find(&self, input: &MatchInput<'_>) -> Option<Match> {
        let asked = Asked::new(input, self.flavor);
        let best = self.index.first(&asked, |rank| {
            self.matchers[rank as usize].matches(&asked, &self.texts, &mut Unwatched)
        })?;
        Some(self.matchers[best as usize].describe(&asked, &self.texts))
    }

    /// Number of matchers that the routes were split into.
    pub fn len(&self) -> usize {
        self.matchers.len()
    }

    /// Whether no route can match.
    pub fn is_empty(&self) -> bool {
        self.matchers.is_empty()
    }
}

#[cfg(test)]
mod tests;
