//! Fields after a body. Only what cannot be mistaken for a field of a head passes: nothing that frames, routes,
//! authenticates or controls (RFC 9110, 6.5.1), and nothing that names who somebody is.
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use twinplane_engine::exchange::{Exchange, HttpVersion};

use crate::h1::names::{Known, known_in_any_spelling};

// Fields of heads that mean something to recipients, beside those that the proxy acts on itself.
const OF_HEADS: [&str; 20] = [
    "age",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-location",
    "cookie",
    "date",
    "expires",
    "forwarded",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "warning",
    "www-authenticate",
];
// Identity is told by the gateway alone.
const OF_IDENTITY: [&str; 6] = [
    "x-consumer",
    "x-credential",
    "x-authenticated",
    "x-anonymous",
    "x-forwarded",
    "x-kong",
];

/// The fields behind a chunked body. They were scanned before; what HTTP/2 could not say is left out.
pub fn parse(lines: &Bytes) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\n', &lines[at..]) {
        let line = &lines[at..at + length];
        at += length + 1;
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// Writes the end of a chunked body with its fields.
pub fn write(fields: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the client is told the fields behind a body: where it asks for them, and with every call.
pub fn are_wanted(x: &Exchange) -> bool {
    let is_call = x.client.http_version == HttpVersion::Http2
        && x.service().is_some_and(|service| service.is_grpc);
    let mut asked = x.request.headers.get_all("te");
    is_call || asked.any(asks)
}

/// Whether the value of a `TE` asks for trailers.
pub fn asks(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// What passes of a request's trailers; none where nothing is left.
pub fn of_request(trailers: HeaderMap) -> Option<HeaderMap> {
    kept(trailers, |name| {
        let folded = name.replace('_', "-");
        !OF_IDENTITY.iter().any(|start| folded.starts_with(start))
    })
}

/// What passes of a response's trailers; none where nothing is left.
pub fn of_response(trailers: HeaderMap) -> Option<HeaderMap> {
    kept(trailers, |_| true)
}

fn kept(mut trailers: HeaderMap, passes: impl Fn(&str) -> bool) -> Option<HeaderMap> {
    let stops = |name: &str| {
        let is_known = known_in_any_spelling(name.as_bytes())
            .is_some_and(|known| !matches!(known, Known::RequestId));
        is_known || OF_HEADS.contains(&name) || !passes(name)
    };
    let stopped: Vec<_> = trailers
        .keys()
        .filter(|name| stops(name.as_str()))
        .cloned()
        .collect();
    for name in stopped {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;

    use super::*;

    fn names(trailers: Option<&HeaderMap>) -> Vec<String> {
        let names = trailers.into_iter().flat_map(HeaderMap::keys);
        names.map(|name| name.as_str().to_owned()).collect()
    }

    fn trailers(names: &[&'static str]) -> HeaderMap {
        let value = HeaderValue::from_static("1");
        let fields = names
            .iter()
            .map(|name| (HeaderName::from_static(name), value.clone()));
        fields.collect()
    }

    #[test]
    fn fields_of_heads_do_not_pass() {
        let given = trailers(&["content-length", "host", "grpc-status", "set-cookie", "te"]);
        assert_eq!(names(of_response(given).as_ref()), ["grpc-status"]);
        assert!(of_response(trailers(&["transfer-encoding"])).is_none());
    }

    #[test]
    fn nobody_says_who_they_are_in_trailers() {
        let given = trailers(&["x-consumer-id", "x_credential_identifier", "x-sum"]);
        assert_eq!(names(of_request(given).as_ref()), ["x-sum"]);
    }
}
