//! One route, or the part of one whose paths rank alike: what it asks of a request.
use regex::bytes::Regex;
use twinplane_model::Route;
use uuid::Uuid;

use super::priority::{Calculation, Traits, priority};
use super::{Capture, Match, MatchInput};

/// Ids of the parts of a route that is split by its paths.
const SPLIT_NAMESPACE: Uuid = Uuid::from_u128(0x7f14_5bf9_0dce_4f91_98eb_debb_ce4b_9f6b);
/// No regex of a route compiles to more than this.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A host pattern of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// The whole name.
    Exact(Box<[u8]>),
    /// `*.example.com`, kept as `.example.com`.
    Suffix(Box<[u8]>),
    /// `example.*`, kept as `example.`.
    Prefix(Box<[u8]>),
}

#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) pattern: HostPattern,
    port: Option<u16>,
}

#[derive(Debug)]
pub(super) enum PathPattern {
    Prefix(Box<[u8]>),
    Regex(Regex),
}

#[derive(Debug)]
enum HeaderValue {
    Equal(Box<[u8]>),
    Regex(Regex),
}

#[derive(Debug)]
struct HeaderRule {
    folded_name: Box<str>,
    values: Box<[HeaderValue]>,
}

/// The `Host` of a request, taken apart.
pub(super) struct RequestHost<'a> {
    pub(super) name: &'a [u8],
    port: u16,
}

impl<'a> RequestHost<'a> {
    /// The port is split off; where it is absent or no number the listener's stands.
    pub(super) fn parse(host: &'a [u8], listener_port: u16) -> Self {
        if let Some(colon) = memchr::memrchr(b':', host)
            && !host[colon + 1..].contains(&b']')
        {
            let digits = &host[colon + 1..];
            let port = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok());
            return Self {
                name: &host[..colon],
                port: port.unwrap_or(listener_port),
            };
        }
        Self {
            name: host,
            port: listener_port,
        }
    }
}

impl Host {
    fn parse(text: &str) -> Self {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (text, None),
        };
        let pattern = match (name.strip_prefix('*'), name.strip_suffix('*')) {
            (Some(suffix), _) => HostPattern::Suffix(suffix.as_bytes().into()),
            (None, Some(prefix)) => HostPattern::Prefix(prefix.as_bytes().into()),
            (None, None) => HostPattern::Exact(name.as_bytes().into()),
        };
        Self { pattern, port }
    }

    fn is_plain(&self) -> bool {
        matches!(self.pattern, HostPattern::Exact(_))
    }

    fn matches(&self, host: &RequestHost<'_>) -> bool {
        self.port.is_none_or(|port| port == host.port)
            && match &self.pattern {
                HostPattern::Exact(name) => **name == *host.name,
                HostPattern::Suffix(suffix) => host.name.ends_with(suffix),
                HostPattern::Prefix(prefix) => host.name.starts_with(prefix),
            }
    }
}

/// One ranked part of a route.
#[derive(Debug)]
pub(super) struct Matcher {
    pub(super) priority: u64,
    pub(super) uuid: Box<str>,
    route: u32,
    methods: Box<[Box<[u8]>]>,
    pub(super) hosts: Box<[Host]>,
    pub(super) paths: Box<[PathPattern]>,
    headers: Box<[HeaderRule]>,
    snis: Box<[HostPattern]>,
    sni_guards_clear_text: bool,
}

impl Matcher {
    /// The parts of a route: one for each distinct length of its prefixes, one for all its regexes.
    pub(super) fn split(
        route: &Route,
        position: u32,
        calculation: Calculation,
    ) -> Result<Vec<Self>, String> {
        let paths = route.paths.as_deref().unwrap_or_default();
        let mut groups: Vec<(Option<usize>, Vec<&str>)> = Vec::new();
        for path in paths {
            let key = if path.starts_with('~') {
                None
            } else {
                Some(path.len())
            };
            match groups.iter_mut().find(|(length, _)| *length == key) {
                Some((_, members)) => members.push(path),
                None => groups.push((key, vec![path])),
            }
        }
        if groups.len() < 2 {
            let all = paths.iter().map(AsRef::as_ref).collect::<Vec<_>>();
            return Ok(vec![Self::new(
                route,
                position,
                route.id.as_ref().into(),
                &all,
                calculation,
            )?]);
        }
        (1..)
            .zip(groups)
            .map(|(number, (_, members))| {
                let id = Uuid::new_v5(
                    &SPLIT_NAMESPACE,
                    format!("{}#{number}", route.id).as_bytes(),
                );
                Self::new(
                    route,
                    position,
                    id.to_string().into(),
                    &members,
                    calculation,
                )
            })
            .collect()
    }

    fn new(
        route: &Route,
        position: u32,
        uuid: Box<str>,
        path_texts: &[&str],
        calculation: Calculation,
    ) -> Result<Self, String> {
        let hosts: Box<[Host]> = texts(route.hosts.as_deref()).map(Host::parse).collect();
        let methods: Box<[Box<[u8]>]> = texts(route.methods.as_deref())
            .map(|text| text.as_bytes().into())
            .collect();
        let snis: Box<[HostPattern]> = texts(route.snis.as_deref())
            .map(|text| Host::parse(text.trim_end_matches('.')).pattern)
            .collect();
        let headers = header_rules(route)?;
        let paths = path_texts
            .iter()
            .map(|text| path_pattern(text))
            .collect::<Result<Box<[_]>, _>>()?;
        let has_regex = paths
            .iter()
            .any(|path| matches!(path, PathPattern::Regex(_)));
        let given = [
            !methods.is_empty(),
            !hosts.is_empty(),
            !headers.is_empty(),
            !snis.is_empty(),
            !paths.is_empty(),
        ];
        let traits = Traits {
            attributes: given.into_iter().map(u32::from).sum(),
            plain_hosts_only: !hosts.is_empty() && hosts.iter().all(Host::is_plain),
            headers: u32::try_from(headers.len()).unwrap_or(u32::MAX),
            has_regex,
            regex_priority: route.regex_priority.unwrap_or(0),
            prefix_bytes: paths
                .iter()
                .map(|path| {
                    if let PathPattern::Prefix(prefix) = path {
                        prefix.len()
                    } else {
                        0
                    }
                })
                .max()
                .unwrap_or(0),
        };
        let https_only = route.protocols.len() == 1 && &*route.protocols[0] == "https";
        Ok(Self {
            priority: priority(traits, calculation),
            uuid,
            route: position,
            methods,
            hosts,
            paths,
            headers,
            snis,
            sni_guards_clear_text: calculation == Calculation::Strict && https_only,
        })
    }

    /// Whether the request fulfils everything that is asked.
    pub(super) fn matches(&self, input: &MatchInput<'_>, host: &RequestHost<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| **method == *input.method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
            && self.matches_sni(input)
            && (self.paths.is_empty() || self.paths.iter().any(|path| path.matches(input.path)))
            && self.headers.iter().all(|rule| rule.matches(input))
    }

    /// Only TLS has server names; on clear text the condition is skipped (`strict`: not for https-only routes).
    fn matches_sni(&self, input: &MatchInput<'_>) -> bool {
        if self.snis.is_empty() {
            return true;
        }
        if !input.is_tls {
            return !self.sni_guards_clear_text;
        }
        let Some(sni) = input.sni else { return false };
        let sni = sni.strip_suffix(b".").unwrap_or(sni);
        let name = RequestHost { name: sni, port: 0 };
        self.snis.iter().any(|pattern| {
            Host {
                pattern: pattern.clone(),
                port: None,
            }
            .matches(&name)
        })
    }

    /// What matched, for a request that this matcher matches.
    pub(super) fn describe(&self, input: &MatchInput<'_>) -> Option<Match> {
        let mut found = Match {
            route: self.route,
            path_taken: None,
            captures: Vec::new(),
            by_host: !self.hosts.is_empty(),
        };
        if self.paths.is_empty() {
            return Some(found);
        }
        match self.paths.iter().find(|path| path.matches(input.path))? {
            PathPattern::Prefix(prefix) => found.path_taken = Some(prefix.len()),
            PathPattern::Regex(regex) => {
                let captures = regex.captures(input.path)?;
                found.path_taken = captures.get(0).map(|whole| whole.end());
                found.captures = regex
                    .capture_names()
                    .zip(captures.iter())
                    .map(|(name, value)| Capture {
                        name: name.map(Into::into),
                        value: value.map(|text| text.as_bytes().into()),
                    })
                    .collect();
            }
        }
        Some(found)
    }
}

impl PathPattern {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl HeaderRule {
    fn matches(&self, input: &MatchInput<'_>) -> bool {
        input.headers.any(&self.folded_name, &mut |value| {
            let lowered = value.to_ascii_lowercase();
            self.values.iter().any(|wanted| match wanted {
                HeaderValue::Equal(text) => **text == *lowered,
                HeaderValue::Regex(regex) => regex.is_match(&lowered),
            })
        })
    }
}

fn texts(list: Option<&[Box<str>]>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().iter().map(AsRef::as_ref)
}

fn header_rules(route: &Route) -> Result<Box<[HeaderRule]>, String> {
    let rules = route.headers.iter().flatten().map(|(name, values)| {
        let values = values
            .iter()
            .map(|value| match value.strip_prefix("~*") {
                // Values are compared in lower case, and so are patterns.
                Some(pattern) => compile(&pattern.to_lowercase()).map(HeaderValue::Regex),
                None => Ok(HeaderValue::Equal(value.to_lowercase().into_bytes().into())),
            })
            .collect::<Result<_, String>>()?;
        Ok(HeaderRule {
            folded_name: name.to_lowercase().replace('_', "-").into(),
            values,
        })
    });
    rules.collect()
}

fn path_pattern(text: &str) -> Result<PathPattern, String> {
    match text.strip_prefix('~') {
        Some(pattern) => compile(&format!("^{pattern}")).map(PathPattern::Regex),
        // Kept as written: whoever stores a route has put its prefixes in normal form.
        None => Ok(PathPattern::Prefix(text.as_bytes().into())),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    regex::bytes::RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| format!("the regex '{pattern}' cannot be used: {error}"))
}
