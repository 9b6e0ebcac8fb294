//! Under what an answer is kept: who asks, by which route, with what method, path, arguments and headers. The key that
//! clients are shown is a real node's; the one that counts has its parts apart, so that none can pass for another.
use std::fmt::Write;

use twinplane_engine::exchange::{Exchange, HttpVersion};
use twinplane_engine::text::Text;

use crate::arguments::Arguments;

/// What of a request tells answers apart.
#[derive(Debug)]
pub(super) struct Variation {
    pub(super) ignores_case: bool,
    /// Arguments that count; none: all of them.
    pub(super) query: Vec<Box<str>>,
    pub(super) headers: Vec<Box<str>>,
}

// A name and its values, some of which are none.
type Argument = (Vec<u8>, Vec<Option<Vec<u8>>>);

/// The parts of a key.
pub(super) struct Key<'a> {
    consumer: &'a str,
    route: &'a str,
    method: &'a [u8],
    // As everything is decided by, and as it was sent.
    path: Vec<u8>,
    target: Vec<u8>,
    has_query: bool,
    version: &'static str,
    arguments: Vec<Argument>,
    headers: Vec<(&'a str, Vec<Vec<u8>>)>,
    ignores_case: bool,
}

impl Variation {
    /// The key of a request.
    pub(super) fn key<'a>(&'a self, x: &'a Exchange) -> Key<'a> {
        let target = x.request.target.as_bytes();
        let query_at = target.iter().position(|byte| *byte == b'?');
        let mut path = x.request.path.as_bytes().to_vec();
        if self.ignores_case {
            path.make_ascii_lowercase();
        }
        let headers = self.headers.iter().filter_map(|name| {
            let values = x.request.headers.get_all(name).map(<[u8]>::to_vec);
            let mut values: Vec<_> = values.collect();
            values.sort();
            (!values.is_empty()).then_some((&**name, values))
        });
        let changed = x.upstream.query.as_ref().map(Option::as_ref);
        let query = changed.unwrap_or(x.request.query.as_ref());
        Key {
            consumer: x
                .consumer
                .as_ref()
                .map_or("", |consumer| &consumer.model.id),
            route: x.route().map_or("default", |route| &route.model.id),
            method: x.request.method.as_bytes(),
            path,
            target: target[..query_at.unwrap_or(target.len())].to_vec(),
            has_query: query_at.is_some(),
            version: match x.client.http_version {
                HttpVersion::Http10 => "1.0",
                HttpVersion::Http11 => "1.1",
                HttpVersion::Http2 => "2.0",
            },
            // As an earlier plugin has left them.
            arguments: self.arguments(query.map_or(b"", Text::as_bytes)),
            headers: headers.collect(),
            ignores_case: self.ignores_case,
        }
    }

    // Those that count with all their values, in order.
    fn arguments(&self, query: &[u8]) -> Vec<Argument> {
        let given = Arguments::parse(query);
        let mut found: Vec<Argument> = Vec::new();
        if self.query.is_empty() {
            for (name, value) in given.0 {
                match found.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(value),
                    None => found.push((name, vec![value])),
                }
            }
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
        } else {
            for name in &self.query {
                let values = given
                    .0
                    .iter()
                    .filter(|(known, _)| *known == name.as_bytes());
                let values: Vec<_> = values.map(|(_, value)| value.clone()).collect();
                if !values.is_empty() {
                    found.push((name.as_bytes().to_vec(), values));
                }
            }
        }
        for (_, values) in &mut found {
            values.sort();
        }
        found
    }
}

impl Key<'_> {
    /// The bytes that answers are kept under: each part after its length.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        put(&mut out, self.consumer.as_bytes());
        put(&mut out, self.route.as_bytes());
        put(&mut out, self.method);
        put(&mut out, &self.path);
        for (name, values) in &self.arguments {
            put(&mut out, name);
            for value in values {
                // An argument without a value is not one with an empty one.
                out.push(if value.is_some() { b'=' } else { b'!' });
                put(&mut out, value.as_deref().unwrap_or_default());
            }
            out.push(b'&');
        }
        out.push(b'|');
        for (name, values) in &self.headers {
            put(&mut out, name.as_bytes());
            for value in values {
                out.push(b'=');
                put(&mut out, value);
            }
            out.push(b'&');
        }
        out
    }

    /// The key as clients are shown it (vectors/plugins, proxy-cache).
    pub(super) fn shown(&self) -> String {
        let mut text = Vec::with_capacity(192);
        if !self.consumer.is_empty() {
            text.extend_from_slice(self.consumer.as_bytes());
            text.push(b':');
        }
        text.extend_from_slice(self.route.as_bytes());
        text.push(b'|');
        text.extend_from_slice(self.method);
        text.push(b'|');
        // The request line up to its query, so that one without a query ends with the version.
        let mut line = [self.method, b" ", &self.target].concat();
        if !self.has_query {
            line.extend_from_slice(b" HTTP/");
            line.extend_from_slice(self.version.as_bytes());
        }
        if self.ignores_case {
            line.make_ascii_lowercase();
        }
        text.extend_from_slice(&line);
        text.push(b'|');
        for (at, (name, values)) in self.arguments.iter().enumerate() {
            let separator: &[u8] = if at > 0 { b":" } else { b"" };
            text.extend_from_slice(separator);
            text.extend_from_slice(name);
            if values.len() > 1 || values[0].is_some() {
                let values = values
                    .iter()
                    .map(|value| value.as_deref().unwrap_or(b"true"));
                text.push(b'=');
                text.extend_from_slice(&values.collect::<Vec<_>>().join(&b","[..]));
            }
        }
        text.push(b'|');
        for (at, (name, values)) in self.headers.iter().enumerate() {
            let separator: &[u8] = if at > 0 { b":" } else { b"" };
            text.extend_from_slice(separator);
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend_from_slice(&values.join(&b","[..]));
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, &text);
        digest
            .as_ref()
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _written = write!(text, "{byte:02x}");
                text
            })
    }
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}
