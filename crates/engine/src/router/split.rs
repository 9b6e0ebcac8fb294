//! From a route's row to its matchers: one for each distinct length of its prefixes and one for all its regexes, since
//! these rank differently.
use std::collections::HashMap;
use std::sync::Arc;

use twinplane_model::Route;
use uuid::Uuid;

use super::matcher::{HeaderRule, HeaderValue, Host, HostKind, Matcher, Methods, Path, Rest};
use super::pattern::{Pattern, literal_start};
use super::priority::{Calculation, Traits, priority};
use super::texts::Texts;

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
    pub(super) calculation: Calculation,
    pub(super) previous: Option<&'a Patterns>,
    pub(super) texts: Texts,
    pub(super) patterns: Patterns,
}

impl Splitter<'_> {
    /// Adds the matchers of a route. Routes of streams have none here.
    pub(super) fn split(
        &mut self,
        route: &Route,
        position: u32,
        ranked: &mut Vec<Ranked>,
    ) -> Result<(), String> {
        let is_stream =
            |protocol: &str| matches!(protocol, "tcp" | "tls" | "udp" | "tls_passthrough");
        if !route.protocols.is_empty() && route.protocols.iter().all(|each| is_stream(each)) {
            return Ok(());
        }
        if route.id.is_empty() {
            return Err(uncategorized());
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
        if groups.len() < 2 {
            let own = Uuid::parse_str(&route.id);
            // Ids are UUIDs; others still need an order.
            let own = own.unwrap_or_else(|_| part_id(&route.id, 0));
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
            needs_tls_for_snis: self.calculation == Calculation::Strict
                && matches!(&route.protocols[..], [only] if &**only == "https"),
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
        Ok(Ranked {
            rank: (priority(traits, self.calculation), id.as_u128()),
            matcher: Matcher {
                rest: (!rest.is_empty()).then(|| Box::new(rest)),
                ..matcher
            },
        })
    }

    fn host(&mut self, text: &str) -> Result<Host, String> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (text, None),
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

    fn header_rules(&mut self, route: &Route) -> Result<Box<[HeaderRule]>, String> {
        let headers = route.headers.iter().flatten();
        headers
            .map(|(name, values)| {
                let values = values.iter().map(|value| match value.strip_prefix("~*") {
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
        self.texts
            .add(text.as_bytes())
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
