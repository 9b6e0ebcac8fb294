//! One route, or the part of one whose paths rank alike: what it asks of a request.
use std::sync::Arc;

use regex_automata::PatternID;

use super::few::Few;
use super::pattern::Pattern;
use super::texts::{Span, Texts};
use super::{Capture, Match, MatchInput};

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
#[derive(Debug)]
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
    /// Whether server names keep requests in clear text out.
    pub(super) needs_tls_for_snis: bool,
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.headers.is_empty() && self.snis.is_empty()
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

/// The `Host` of a request, taken apart.
pub(super) struct RequestHost<'a> {
    pub(super) name: &'a [u8],
    port: u16,
}

impl<'a> RequestHost<'a> {
    /// The port is split off; where it is absent or no number the listener's stands.
    pub(super) fn parse(host: &'a [u8], listener_port: u16) -> Self {
        let colon = memchr::memrchr(b':', host).filter(|colon| !host[*colon..].contains(&b']'));
        let Some(colon) = colon else {
            return Self {
                name: host,
                port: listener_port,
            };
        };
        let digits = std::str::from_utf8(&host[colon + 1..]).ok();
        let port = digits.and_then(|digits| digits.parse().ok());
        Self {
            name: &host[..colon],
            port: port.unwrap_or(listener_port),
        }
    }
}

/// A request with what all matchers would otherwise work out anew.
pub(super) struct Asked<'a> {
    pub(super) input: &'a MatchInput<'a>,
    pub(super) host: RequestHost<'a>,
    pub(super) method: Methods,
}

/// One ranked part of a route.
#[derive(Debug)]
pub(super) struct Matcher {
    pub(super) route: u32,
    pub(super) methods: Methods,
    pub(super) hosts: Few<Host>,
    pub(super) paths: Few<Path>,
    pub(super) rest: Option<Box<Rest>>,
}

impl Matcher {
    /// Whether the request fulfils everything that is asked.
    pub(super) fn matches(&self, asked: &Asked<'_>, texts: &Texts) -> bool {
        let hosts = self.hosts.as_slice();
        let paths = self.paths.as_slice();
        self.matches_method(asked)
            && (hosts.is_empty() || hosts.iter().any(|host| host.matches(&asked.host, texts)))
            && self.rest.as_ref().is_none_or(|rest| {
                rest.matches_sni(asked.input)
                    && rest.headers.iter().all(|rule| rule.matches(asked.input))
            })
            && (paths.is_empty()
                || paths
                    .iter()
                    .any(|path| path.matches(asked.input.path, texts)))
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
    pub(super) fn describe(&self, input: &MatchInput<'_>, texts: &Texts) -> Match {
        let mut found = Match {
            route: self.route,
            path_taken: None,
            captures: Vec::new(),
            by_host: !self.hosts.is_empty(),
        };
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
    /// Only TLS has server names; on clear text the condition is skipped (`strict`: not for https-only routes).
    fn matches_sni(&self, input: &MatchInput<'_>) -> bool {
        if self.snis.is_empty() {
            return true;
        }
        if !input.is_tls {
            return !self.needs_tls_for_snis;
        }
        let Some(sni) = input.sni else { return false };
        let sni = sni.strip_suffix(b".").unwrap_or(sni);
        self.snis
            .iter()
            .any(|(kind, pattern)| name_matches(*kind, pattern, sni))
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
