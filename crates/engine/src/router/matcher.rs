//! One route, or the part of one whose paths rank alike: what it asks of a request.
use std::sync::Arc;

use regex_automata::PatternID;

use super::asked::{Asked, End, Protocol, RequestHost};
use super::expression::{Expression, Seen};
use super::few::Few;
use super::pattern::Pattern;
use super::texts::{Span, Texts};
use super::watch::{Part, Watch};
use super::{Capture, Flavor, Match, MatchInput};
use crate::network::Network;

/// Which part of a host a pattern fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostKind {
    /// There is no pattern.
    Any,
    /// The whole name.
    Exact,
    /// `*.example.com`, kept as `.example.com`.
    Suffix,
    /// `example.*`, kept as `example.`.
    Prefix,
}

/// A host pattern of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) kind: HostKind,
    pub(super) text: Span,
    pub(super) port: Option<u16>,
}

/// A path of a route.
#[derive(Clone, Debug)]
pub(super) enum Path {
    Prefix(Span),
    Regex {
        /// What everything begins with that it matches.
        start: Span,
        pattern: Arc<Pattern>,
    },
}

/// A value that a header may have.
#[derive(Debug)]
pub(super) enum HeaderValue {
    /// Without regard to ASCII case.
    Equal(Box<[u8]>),
    /// Asked of the value in lower case.
    Regex(Arc<Pattern>),
}

/// A header that must have one of some values.
#[derive(Debug)]
pub(super) struct HeaderRule {
    pub(super) folded_name: Box<str>,
    pub(super) values: Box<[HeaderValue]>,
}

/// What few routes ask for.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Methods beside the usual ones.
    pub(super) methods: Box<[Box<[u8]>]>,
    pub(super) headers: Box<[HeaderRule]>,
    /// Kind and text of each server name.
    pub(super) snis: Box<[(HostKind, Box<[u8]>)]>,
    /// Whether server names are asked for on clear text too, where there is none.
    pub(super) needs_sni: bool,
    pub(super) sources: Box<[EndRule]>,
    pub(super) destinations: Box<[EndRule]>,
    /// Protocols that are let in; empty: all.
    pub(super) protocols: Box<[Protocol]>,
    /// What is asked beside, or above, all of these.
    pub(super) expression: Option<Expression>,
}

/// One end that a connection may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndRule {
    pub(super) network: Option<Network>,
    pub(super) port: Option<u16>,
}

impl EndRule {
    fn matches(&self, end: End) -> bool {
        let is_there = |network: Network| end.address.is_some_and(|it| network.contains(it));
        self.network.is_none_or(is_there) && self.port.is_none_or(|port| end.port == Some(port))
    }
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty()
            && self.headers.is_empty()
            && self.snis.is_empty()
            && self.sources.is_empty()
            && self.destinations.is_empty()
            && self.protocols.is_empty()
            && self.expression.is_none()
    }
}

/// A set of methods: the usual ones as bits, others by a bit that says that there are some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Methods(u16);

const USUAL: [&[u8]; 9] = [
    b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT",
];
const OTHER: u16 = 1 << 15;

impl Methods {
    /// The set of this one method.
    pub(super) fn of(method: &[u8]) -> Self {
        let usual = (0..).zip(USUAL).find(|(_, usual)| *usual == method);
        Self(usual.map_or(OTHER, |(bit, _)| 1 << bit))
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn is_unusual(self) -> bool {
        self.0 & OTHER != 0
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One ranked part of a route.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    pub(super) route: u32,
    pub(super) methods: Methods,
    pub(super) hosts: Few<Host>,
    pub(super) paths: Few<Path>,
    pub(super) rest: Option<Box<Rest>>,
}

impl Matcher {
    /// Whether the request fulfils everything that is asked. The watch hears what it does not fulfil: the first part, or
    /// every part where it wants to know all.
    pub(super) fn matches<W: Watch>(
        &self,
        asked: &Asked<'_>,
        texts: &Texts,
        watch: &mut W,
    ) -> bool {
        let hosts = self.hosts.as_slice();
        let paths = self.paths.as_slice();
        let mut fits = true;
        let mut ask = |part: Part<'_>, holds: bool| {
            if !holds {
                watch.unmet(part);
                fits = false;
            }
            fits || W::ALL
        };
        if !ask(Part::Method, self.matches_method(asked)) {
            return false;
        }
        let host = hosts.is_empty() || hosts.iter().any(|host| host.matches(&asked.host, texts));
        if !ask(Part::Host, host) {
            return false;
        }
        if let Some(rest) = &self.rest {
            if !ask(Part::Sni, rest.matches_sni(asked)) {
                return false;
            }
            for rule in &rest.headers {
                if !ask(Part::Header(&rule.folded_name), rule.matches(asked.input)) {
                    return false;
                }
            }
            let is_end = |rules: &[EndRule], end: End| {
                rules.is_empty() || rules.iter().any(|rule| rule.matches(end))
            };
            let protocol = asked.input.protocol;
            let protocols = &rest.protocols;
            if !ask(Part::Source, is_end(&rest.sources, asked.input.source))
                || !ask(
                    Part::Destination,
                    is_end(&rest.destinations, asked.destination()),
                )
                || !ask(
                    Part::Protocol,
                    protocols.is_empty() || protocols.contains(&protocol),
                )
            {
                return false;
            }
        }
        let path = paths
            .iter()
            .any(|path| path.matches(asked.input.path, texts));
        if !ask(Part::Path, paths.is_empty() || path) {
            return false;
        }
        if let Some(expression) = self.expression()
            && !expression.matches(asked, &mut None)
        {
            fits = false;
            watch.unmet(Part::Expression(expression.unmet(asked)));
        }
        fits
    }

    /// Its expression, where the route has one of its own.
    pub(super) fn expression(&self) -> Option<&Expression> {
        self.rest.as_ref()?.expression.as_ref()
    }

    fn matches_method(&self, asked: &Asked<'_>) -> bool {
        if self.methods.is_empty() {
            return true;
        }
        if !self.methods.meets(asked.method) {
            return false;
        }
        !asked.method.is_unusual()
            || self.rest.as_ref().is_some_and(|rest| {
                rest.methods
                    .iter()
                    .any(|method| **method == *asked.input.method)
            })
    }

    /// What matched, for a request that this matcher matches.
    pub(super) fn describe(&self, asked: &Asked<'_>, texts: &Texts) -> Match {
        let input = asked.input;
        let mut found = Match {
            route: self.route,
            path_taken: None,
            captures: Vec::new(),
            by_host: !self.hosts.is_empty(),
        };
        if let Some(expression) = self.expression() {
            let mut seen = Seen::default();
            expression.matches(asked, &mut Some(&mut seen));
            found.path_taken = seen.path.map(|length| length.min(input.path.len()));
            found.captures = seen.captures;
            found.by_host = seen.host;
            return found;
        }
        let mut paths = self.paths.as_slice().iter();
        match paths.find(|path| path.matches(input.path, texts)) {
            None => {}
            Some(Path::Prefix(prefix)) => found.path_taken = Some(prefix.bytes()),
            Some(Path::Regex { pattern, .. }) => {
                if let Some(regex) = pattern.regex() {
                    let mut captures = regex.create_captures();
                    regex.captures(input.path, &mut captures);
                    found.path_taken = captures.get_match().map(|whole| whole.len());
                    let names = captures.group_info().pattern_names(PatternID::ZERO);
                    found.captures = names
                        .zip(captures.iter())
                        .map(|(name, group)| Capture {
                            name: name.map(Into::into),
                            value: group.map(|group| input.path[group.range()].into()),
                        })
                        .collect();
                    // There a regex goes on to the end of the path, and the whole is all of that.
                    if asked.flavor == Flavor::Traditional
                        && let Some(whole) = found.captures.first_mut()
                    {
                        whole.value = Some(input.path.into());
                    }
                }
            }
        }
        found
    }
}

impl Host {
    fn matches(&self, host: &RequestHost<'_>, texts: &Texts) -> bool {
        self.port.is_none_or(|port| port == host.port)
            && name_matches(self.kind, texts.get(self.text), host.name)
    }
}

fn name_matches(kind: HostKind, pattern: &[u8], name: &[u8]) -> bool {
    match kind {
        HostKind::Any => true,
        HostKind::Exact => name == pattern,
        HostKind::Suffix => name.ends_with(pattern),
        HostKind::Prefix => name.starts_with(pattern),
    }
}

impl Path {
    /// What everything begins with that it matches.
    pub(super) const fn start(&self) -> Span {
        match self {
            Self::Prefix(start) | Self::Regex { start, .. } => *start,
        }
    }

    fn matches(&self, path: &[u8], texts: &Texts) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(texts.get(*prefix)),
            Self::Regex { start, pattern } => {
                path.starts_with(texts.get(*start)) && pattern.is_match(path)
            }
        }
    }
}

impl Rest {
    /// Only TLS has server names; on clear text the condition is skipped, unless it is asked for all the same.
    fn matches_sni(&self, asked: &Asked<'_>) -> bool {
        if self.snis.is_empty() || !(asked.input.protocol.is_tls() || self.needs_sni) {
            return true;
        }
        asked.sni().is_some_and(|sni| {
            let mut names = self.snis.iter();
            names.any(|(kind, pattern)| name_matches(*kind, pattern, sni))
        })
    }
}

impl HeaderRule {
    fn matches(&self, input: &MatchInput<'_>) -> bool {
        input.headers.any(&self.folded_name, &mut |value| {
            self.values.iter().any(|wanted| match wanted {
                HeaderValue::Equal(text) => text.eq_ignore_ascii_case(value),
                HeaderValue::Regex(pattern) => pattern.is_match(&value.to_ascii_lowercase()),
            })
        })
    }
}
