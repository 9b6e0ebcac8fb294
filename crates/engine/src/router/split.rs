//! From a route's row to its matchers: one for each distinct length of its prefixes and one for all its regexes, since
//! these rank differently.
use std::collections::HashMap;
use std::sync::Arc;

use twinplane_model::Route;
use uuid::Uuid;

use super::asked::{Protocol, is_bare_address};
use super::ends;
use super::expression::{Expression, Hints, Subsystem, hints};
use super::matcher::{
    EndRule, HeaderRule, HeaderValue, Host, HostKind, Matcher, Methods, Path, Rest,
};
use super::pattern::{Pattern, literal_start};
use super::priority::{self, Calculation, TraditionalTraits, Traits, priority};
use super::texts::Texts;
use super::{Flavor, Rules};

/// Ids of the parts of a route that is split by its paths.
const SPLIT_NAMESPACE: Uuid = Uuid::from_u128(0x7f14_5bf9_0dce_4f91_98eb_debb_ce4b_9f6b);

/// Expressions by their text: kept from one configuration to the next, so that none is compiled twice.
pub(super) type Patterns = HashMap<Box<str>, Arc<Pattern>, ahash::RandomState>;

/// A matcher and its place among the others: higher first.
pub(super) struct Ranked {
    pub(super) rank: (u64, u128),
    pub(super) matcher: Matcher,
}

/// Takes routes apart.
pub(super) struct Splitter<'a> {
    pub(super) rules: Rules,
    pub(super) previous: Option<&'a Patterns>,
    pub(super) texts: Texts,
    pub(super) patterns: Patterns,
}

impl Splitter<'_> {
    /// Adds the matchers of a route. A route of the other kind of traffic has none.
    pub(super) fn split(
        &mut self,
        route: &Route,
        position: u32,
        ranked: &mut Vec<Ranked>,
    ) -> Result<(), String> {
        let is_stream =
            |protocol: &str| matches!(protocol, "tcp" | "tls" | "udp" | "tls_passthrough");
        let is_of =
            |protocol: &str| is_stream(protocol) == (self.rules.subsystem == Subsystem::Stream);
        if !route.protocols.is_empty() && !route.protocols.iter().any(|each| is_of(each)) {
            return Ok(());
        }
        if route.id.is_empty() && self.rules.flavor != Flavor::Traditional {
            return Err(uncategorized());
        }
        // Ids are UUIDs; others still need an order.
        let own = Uuid::parse_str(&route.id).unwrap_or_else(|_| part_id(&route.id, 0));
        if self.rules.flavor == Flavor::Expressions
            && let Some(text) = &route.expression
        {
            ranked.push(self.by_expression(route, position, own, text)?);
            return Ok(());
        }
        let paths = route.paths.as_deref().unwrap_or_default();
        let mut groups: Vec<(Option<usize>, Vec<&str>)> = Vec::new();
        for path in paths {
            let key = (!path.starts_with('~')).then_some(path.len());
            match groups.iter_mut().find(|(length, _)| *length == key) {
                Some((_, members)) => members.push(path),
                None => groups.push((key, vec![path])),
            }
        }
        if self.rules.flavor == Flavor::Traditional {
            // Of several regexes that match, the longest gives the captures.
            for (_, members) in &mut groups {
                members.sort_by_key(|path| std::cmp::Reverse(path.len()));
            }
        }
        if groups.len() < 2 {
            let members = groups.pop().map(|(_, members)| members);
            ranked.push(self.part(route, position, own, &members.unwrap_or_default())?);
            return Ok(());
        }
        for (number, (_, members)) in (1..).zip(groups) {
            let id = part_id(&route.id, number);
            ranked.push(self.part(route, position, id, &members)?);
        }
        Ok(())
    }

    fn part(
        &mut self,
        route: &Route,
        position: u32,
        id: Uuid,
        paths: &[&str],
    ) -> Result<Ranked, String> {
        let names = texts(route.methods.as_deref()).map(str::as_bytes);
        let methods = names.clone().map(Methods::of);
        let rest = Rest {
            methods: names
                .filter(|name| Methods::of(name).is_unusual())
                .map(Into::into)
                .collect(),
            headers: self.header_rules(route)?,
            snis: texts(route.snis.as_deref())
                .map(|sni| {
                    let (kind, name) = host_kind(sni.trim_end_matches('.'));
                    (kind, name.as_bytes().into())
                })
                .collect(),
            needs_sni: self.needs_sni(route),
            sources: ends::sources(route)?,
            destinations: ends::destinations(route)?,
            protocols: self.protocols(route),
            expression: None,
        };
        let hosts = texts(route.hosts.as_deref()).map(|host| self.host(host));
        let matcher = Matcher {
            route: position,
            methods: methods.fold(Methods::default(), Methods::and),
            hosts: hosts.collect::<Result<_, String>>()?,
            paths: paths
                .iter()
                .map(|path| self.path(path))
                .collect::<Result<_, String>>()?,
            rest: None,
        };
        let traits = traits(&matcher, &rest, route, paths);
        if traits.attributes == 0 {
            return Err(uncategorized());
        }
        let rank = match (self.rules.flavor, self.rules.subsystem) {
            (Flavor::Traditional, _) => {
                priority::of_traditional(traits, traditional_traits(&matcher, &rest, route))
            }
            (_, Subsystem::Stream) => (priority::of_stream(ends::traits(&rest)), id.as_u128()),
            (_, Subsystem::Http) => (priority(traits, self.rules.calculation), id.as_u128()),
        };
        Ok(Ranked {
            rank,
            matcher: Matcher {
                rest: (!rest.is_empty()).then(|| Box::new(rest)),
                ..matcher
            },
        })
    }

    /// Where server names are asked for on clear text too.
    fn needs_sni(&self, route: &Route) -> bool {
        let only = |protocol: &str| matches!(&route.protocols[..], [only] if **only == *protocol);
        let is_tls = only("https") || only("tls") || only("tls_passthrough");
        match self.rules.flavor {
            Flavor::Traditional => true,
            _ => self.rules.calculation == Calculation::Strict && is_tls,
        }
    }

    /// Protocols that a route lets in. Only the flavour with expressions looks at them, and leaves requests in clear text
    /// to routes for TLS alone: these are told or led to TLS.
    fn protocols(&self, route: &Route) -> Box<[Protocol]> {
        let is_left = |only: &str| matches!(only, "https" | "tls" | "tls_passthrough");
        let is_open = self.rules.flavor != Flavor::Expressions
            || matches!(&route.protocols[..], [only] if is_left(only));
        if is_open {
            return Box::default();
        }
        let named = |protocol: &str| match protocol {
            "http" | "grpc" | "ws" => Some(Protocol::Http),
            "https" | "grpcs" | "wss" => Some(Protocol::Https),
            "tcp" | "tls_passthrough" => Some(Protocol::Tcp),
            "tls" => Some(Protocol::Tls),
            "udp" => Some(Protocol::Udp),
            _ => None,
        };
        let protocols = route.protocols.iter();
        protocols.filter_map(|protocol| named(protocol)).collect()
    }

    fn by_expression(
        &mut self,
        route: &Route,
        position: u32,
        id: Uuid,
        text: &str,
    ) -> Result<Ranked, String> {
        let subsystem = self.rules.subsystem;
        let mut compile = |text: &str| self.pattern(text.to_owned());
        let expression =
            Expression::read_with(text, subsystem, &mut compile).map_err(|faults| {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                format!("expression: {}", faults.join("; "))
            })?;
        let hints = hints(&expression);
        let rest = Rest {
            protocols: self.protocols(route),
            ..implied(&hints, expression)
        };
        let hosts = hints.hosts.into_iter().flatten().map(|(kind, name)| {
            Ok(Host {
                kind,
                text: self.bytes(&name)?,
                port: None,
            })
        });
        let hosts = hosts.collect::<Result<_, String>>()?;
        let paths = hints.paths.into_iter().flatten();
        let paths = paths.map(|path| Ok(Path::Prefix(self.bytes(&path)?)));
        Ok(Ranked {
            rank: (
                priority::of_expression(route.priority.unwrap_or(0)),
                id.as_u128(),
            ),
            matcher: Matcher {
                route: position,
                methods: Methods::default(),
                hosts,
                paths: paths.collect::<Result<_, String>>()?,
                rest: Some(Box::new(rest)),
            },
        })
    }

    fn host(&mut self, text: &str) -> Result<Host, String> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') && !is_bare_address(text.as_bytes()) => {
                (name, port.parse().ok())
            }
            _ => (text, None),
        };
        let name = match self.rules.flavor {
            Flavor::Traditional => name.trim_start_matches('[').trim_end_matches(']'),
            _ => name,
        };
        let (kind, name) = host_kind(name);
        let starts_or_ends_a_label = match kind {
            HostKind::Suffix => name.starts_with('.'),
            HostKind::Prefix => name.ends_with('.'),
            HostKind::Any | HostKind::Exact => true,
        };
        if !starts_or_ends_a_label {
            return Err(format!("the host '{text}' has a wildcard within a label"));
        }
        Ok(Host {
            kind,
            text: self.text(name)?,
            port,
        })
    }

    fn path(&mut self, text: &str) -> Result<Path, String> {
        match text.strip_prefix('~') {
            Some(pattern) => Ok(Path::Regex {
                start: self.text(&literal_start(pattern))?,
                pattern: self.pattern(format!("^{pattern}"))?,
            }),
            // Kept as written: whoever stores a route has put its prefixes in normal form.
            None => Ok(Path::Prefix(self.text(text)?)),
        }
    }

    fn header_rules<'b>(&mut self, route: &'b Route) -> Result<Box<[HeaderRule]>, String> {
        let headers = route.headers.iter().flatten();
        headers
            .map(|(name, values)| {
                // The oldest flavour takes a regex only where it is the sole value.
                let has_regexes = self.rules.flavor != Flavor::Traditional || values.len() == 1;
                let regex = |value: &'b str| value.strip_prefix("~*").filter(|_| has_regexes);
                let values = values.iter().map(|value| match regex(value) {
                    // Values are compared in lower case, and so are patterns.
                    Some(pattern) => self
                        .pattern(pattern.to_ascii_lowercase())
                        .map(HeaderValue::Regex),
                    None => Ok(HeaderValue::Equal(value.as_bytes().into())),
                });
                Ok(HeaderRule {
                    values: values.collect::<Result<_, String>>()?,
                    folded_name: name.to_ascii_lowercase().replace('_', "-").into(),
                })
            })
            .collect()
    }

    fn pattern(&mut self, text: String) -> Result<Arc<Pattern>, String> {
        if let Some(known) = self.patterns.get(&*text) {
            return Ok(Arc::clone(known));
        }
        let earlier = self.previous.and_then(|patterns| patterns.get(&*text));
        let pattern = match earlier {
            Some(pattern) => Arc::clone(pattern),
            None => Arc::new(Pattern::new(&text)?),
        };
        self.patterns.insert(text.into(), Arc::clone(&pattern));
        Ok(pattern)
    }

    fn text(&mut self, text: &str) -> Result<super::texts::Span, String> {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, text: &[u8]) -> Result<super::texts::Span, String> {
        self.texts
            .add(text)
            .ok_or_else(|| "hosts and paths of all routes take more than 4 GiB".to_owned())
    }
}

fn traits(matcher: &Matcher, rest: &Rest, route: &Route, paths: &[&str]) -> Traits {
    let is_given = [
        !matcher.methods.is_empty(),
        !matcher.hosts.is_empty(),
        !rest.headers.is_empty(),
        !rest.snis.is_empty(),
        !matcher.paths.is_empty(),
        !rest.sources.is_empty(),
        !rest.destinations.is_empty(),
    ];
    let is_plain = |host: &Host| host.kind == HostKind::Exact;
    let is_regex = |path: &&&str| path.starts_with('~');
    Traits {
        attributes: is_given.into_iter().map(u32::from).sum(),
        plain_hosts_only: !matcher.hosts.is_empty()
            && matcher.hosts.as_slice().iter().all(is_plain),
        headers: u32::try_from(rest.headers.len()).unwrap_or(u32::MAX),
        has_regex: paths.iter().any(|path| is_regex(&path)),
        regex_priority: route.regex_priority.unwrap_or(0),
        prefix_bytes: paths
            .iter()
            .filter(|path| !is_regex(path))
            .map(|path| path.len())
            .max()
            .unwrap_or(0),
    }
}

fn traditional_traits(matcher: &Matcher, rest: &Rest, route: &Route) -> TraditionalTraits {
    let is_given = [
        !matcher.hosts.is_empty(),
        !rest.headers.is_empty(),
        !matcher.paths.is_empty(),
        !matcher.methods.is_empty(),
        !rest.snis.is_empty(),
        !rest.sources.is_empty(),
        !rest.destinations.is_empty(),
    ];
    let mut hosts = matcher.hosts.as_slice().iter();
    TraditionalTraits {
        attributes: is_given
            .into_iter()
            .fold(0, |bits, is_given| bits << 1 | u8::from(is_given)),
        has_wildcard_with_port: hosts
            .any(|host| host.kind != HostKind::Exact && host.port.is_some()),
        ends: ends::traits(rest),
        created_at: route.created_at,
    }
}

/// What follows from an expression, as the index uses it: all of it holds where the expression does.
fn implied(hints: &Hints, expression: Expression) -> Rest {
    let header = hints.header.iter().map(|(name, values)| HeaderRule {
        folded_name: name.clone(),
        values: values
            .iter()
            .map(|value| HeaderValue::Equal(value.as_slice().into()))
            .collect(),
    });
    let snis = hints.snis.iter().flatten();
    let ports = hints.ports.iter().flatten();
    Rest {
        headers: header.collect(),
        snis: snis
            .map(|sni| (HostKind::Exact, sni.as_slice().into()))
            .collect(),
        needs_sni: true,
        destinations: ports
            .map(|port| EndRule {
                network: None,
                port: Some(*port),
            })
            .collect(),
        expression: Some(expression),
        ..Rest::default()
    }
}

fn part_id(route: &str, number: u32) -> Uuid {
    Uuid::new_v5(&SPLIT_NAMESPACE, format!("{route}#{number}").as_bytes())
}

fn host_kind(name: &str) -> (HostKind, &str) {
    match (name.strip_prefix('*'), name.strip_suffix('*')) {
        (Some(suffix), _) => (HostKind::Suffix, suffix),
        (None, Some(prefix)) => (HostKind::Prefix, prefix),
        (None, None) => (HostKind::Exact, name),
    }
}

fn texts(list: Option<&[Box<str>]>) -> impl Iterator<Item = &str> + Clone {
    list.unwrap_or_default().iter().map(AsRef::as_ref)
}

/// As a real node says it.
fn uncategorized() -> String {
    "could not categorize route".to_owned()
}
