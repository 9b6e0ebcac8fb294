//! cors: answers preflights and tells browsers which origins may read a response.
use std::sync::Arc;

use regex::bytes::Regex;
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::headers::Headers;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use crate::number::general;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const METHODS: &str = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT";

struct Cors {
    origins: Origins,
    credentials: bool,
    private_network: bool,
    preflight_continue: bool,
    allow_headers: Option<Text>,
    allow_methods: Text,
    expose_headers: Option<Text>,
    max_age: Option<Text>,
}

enum Origins {
    /// Every origin is told `*`.
    All,
    /// One literal origin, told whatever the request's is.
    One(Text),
    /// The request's origin is told where it matches.
    Listed(Vec<Entry>),
}

struct Entry {
    matcher: Matcher,
    // An entry without a colon is about the host alone.
    is_host: bool,
}

enum Matcher {
    Literal(Vec<u8>),
    Regex(Regex),
}

/// Set where a preflight was answered or passed on: the response is left alone.
struct IsPreflight;

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let joined = |list: Option<Vec<Box<str>>>| {
        list.filter(|list| !list.is_empty())
            .map(|list| Text::from(list.join(",")))
    };
    Ok(Arc::new(Cors {
        origins: origins(&config.origins.unwrap_or_default())?,
        credentials: config.credentials,
        private_network: config.private_network,
        preflight_continue: config.preflight_continue,
        allow_headers: joined(config.headers),
        allow_methods: joined(config.methods).unwrap_or(Text::from_static(METHODS)),
        expose_headers: joined(config.exposed_headers),
        max_age: config.max_age.map(|seconds| Text::from(general(seconds))),
    }))
}

fn origins(list: &[Box<str>]) -> Result<Origins, BuildError> {
    match list {
        [] => Ok(Origins::All),
        [one] if &**one == "*" => Ok(Origins::All),
        [one] if is_literal(one) => Ok(Origins::One(Text::copy_from(one.as_bytes()))),
        many => many
            .iter()
            .map(|entry| Entry::of(entry))
            .collect::<Result<_, _>>()
            .map(Origins::Listed),
    }
}

fn is_literal(entry: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:/-".contains(&byte);
    entry.bytes().all(is_plain)
}

impl Entry {
    fn of(entry: &str) -> Result<Self, BuildError> {
        let is_host = !entry.contains(':');
        let matcher = if is_literal(entry) {
            Matcher::Literal(normalise(entry.as_bytes()).0)
        } else {
            let regex = Regex::new(&format!("^(?:{entry})$")).map_err(|_| {
                BuildError::Unavailable(format!(
                    "its origin '{entry}' is no regular expression of this node"
                ))
            })?;
            Matcher::Regex(regex)
        };
        Ok(Self { matcher, is_host })
    }

    fn matches(&self, origin: &[u8], host: &[u8]) -> bool {
        let subject = if self.is_host { host } else { origin };
        match &self.matcher {
            Matcher::Literal(wanted) => wanted == subject,
            Matcher::Regex(regex) => regex.is_match(subject),
        }
    }
}

// The origin without its scheme's default port, and its host.
fn normalise(origin: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(at) = memchr::memmem::find(origin, b"://") else {
        return (origin.to_vec(), origin.to_vec());
    };
    let (scheme, authority) = (&origin[..at], &origin[at + 3..]);
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let Some(colon) = colon.filter(|colon| !authority[*colon..].contains(&b']')) else {
        return (origin.to_vec(), authority.to_vec());
    };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    let is_default = matches!((scheme, port), (b"http", b"80") | (b"https", b"443"));
    let kept = if is_default {
        at + 3 + colon
    } else {
        origin.len()
    };
    (origin[..kept].to_vec(), host.to_vec())
}

impl Cors {
    // Says whether every origin is allowed.
    fn tell_origin(&self, asked: Option<&[u8]>, headers: &mut Headers) -> bool {
        let entries = match &self.origins {
            Origins::All => {
                headers.set(ALLOW_ORIGIN, "*");
                return true;
            }
            Origins::One(origin) => {
                headers.append("vary", "Origin");
                headers.set(ALLOW_ORIGIN, origin.clone());
                return false;
            }
            Origins::Listed(entries) => entries,
        };
        headers.append("vary", "Origin");
        let (origin, host) = normalise(asked.unwrap_or_default());
        if asked.is_some() && entries.iter().any(|entry| entry.matches(&origin, &host)) {
            headers.set(ALLOW_ORIGIN, Text::from(origin));
        } else {
            headers.remove(ALLOW_ORIGIN);
        }
        false
    }

    fn tell_credentials(&self, asked: Option<&[u8]>, allows_all: bool, headers: &mut Headers) {
        if !self.credentials {
            return;
        }
        if allows_all {
            // Browsers refuse `*` together with credentials: the origin itself is told.
            let Some(origin) = asked.filter(|origin| !origin.is_empty()) else {
                return;
            };
            headers.append("vary", "Origin");
            headers.set(ALLOW_ORIGIN, Text::copy_from(origin));
        }
        headers.set(ALLOW_CREDENTIALS, "true");
    }

    fn answer(&self, x: &Exchange) -> Box<Answer> {
        let asked = x.request.headers.get("Origin");
        let mut answer = Answer::empty(200);
        let headers = &mut answer.headers;
        let allows_all = self.tell_origin(asked, headers);
        self.tell_credentials(asked, allows_all, headers);
        let asked_headers = || {
            x.request
                .headers
                .get("Access-Control-Request-Headers")
                .map(Text::copy_from)
        };
        if let Some(allowed) = self.allow_headers.clone().or_else(asked_headers) {
            headers.set("Access-Control-Allow-Headers", allowed);
        }
        headers.set("Access-Control-Allow-Methods", self.allow_methods.clone());
        if let Some(max_age) = &self.max_age {
            headers.set("Access-Control-Max-Age", max_age.clone());
        }
        let asks_private = x
            .request
            .headers
            .get("Access-Control-Request-Private-Network")
            == Some(b"true");
        if self.private_network && asks_private {
            headers.set("Access-Control-Allow-Private-Network", "true");
        }
        answer
    }
}

impl Filter for Cors {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::HEADER_FILTER)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let is_preflight = x.request.method.as_bytes() == b"OPTIONS"
            && x.request.headers.contains("Origin")
            && x.request.headers.contains("Access-Control-Request-Method");
        if !is_preflight {
            return Flow::Continue;
        }
        x.keep(IsPreflight);
        if self.preflight_continue {
            return Flow::Continue;
        }
        Flow::Answer(self.answer(x))
    }

    fn header_filter(&self, x: &mut Exchange) {
        if x.kept::<IsPreflight>().is_some() {
            return;
        }
        let asked = x.request.headers.get("Origin").map(Text::copy_from);
        let asked = asked.as_ref().map(Text::as_bytes);
        let headers = &mut x.response.headers;
        let allows_all = self.tell_origin(asked, headers);
        self.tell_credentials(asked, allows_all, headers);
        if let Some(exposed) = &self.expose_headers {
            headers.set("Access-Control-Expose-Headers", exposed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str], asked: &str) -> Option<String> {
        let list: Vec<Box<str>> = origins.iter().map(|origin| (*origin).into()).collect();
        let cors = Cors {
            origins: super::origins(&list).unwrap(),
            credentials: false,
            private_network: false,
            preflight_continue: false,
            allow_headers: None,
            allow_methods: Text::EMPTY,
            expose_headers: None,
            max_age: None,
        };
        let mut headers = Headers::new();
        cors.tell_origin(Some(asked.as_bytes()), &mut headers);
        headers.get_str(ALLOW_ORIGIN).map(str::to_owned)
    }

    #[test]
    fn an_origin_is_told_only_where_all_of_it_matches() {
        let hosts = [".*\\.example\\.com", "https://x.org"];
        assert_eq!(
            allowed(&hosts, "https://api.example.com:8000").as_deref(),
            Some("https://api.example.com:8000")
        );
        assert_eq!(
            allowed(&hosts, "https://x.org:443").as_deref(),
            Some("https://x.org")
        );
        assert_eq!(allowed(&hosts, "https://api.example.com.evil.org"), None);
        assert_eq!(allowed(&hosts, "https://x.org.evil"), None);
        let whole = ["^https://(.+\\.)?example\\.com$", "http://b"];
        assert_eq!(
            allowed(&whole, "https://example.com").as_deref(),
            Some("https://example.com")
        );
        assert_eq!(allowed(&whole, "https://evilexample.com"), None);
        assert_eq!(
            allowed(&["a|b", "c"], "https://ab"),
            None,
            "an alternative is anchored too"
        );
    }
}
