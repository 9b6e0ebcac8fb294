//! From the proxy's header fields to those of HTTP/2: names in lower case, nothing that belongs to a connection.
use http::header::{HeaderMap, HeaderName, HeaderValue};
use twinplane_engine::headers::Headers;

/// Fields that belong to one HTTP/1 connection.
const OF_CONNECTION: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

// Fields whose values hardly ever come again. They are kept out of the compression's table: each would push out one that
// does come again, and is compared with all its forerunners first.
static PASSING: [HeaderName; 9] = [
    HeaderName::from_static("x-kong-request-id"),
    HeaderName::from_static("x-kong-upstream-latency"),
    HeaderName::from_static("x-kong-proxy-latency"),
    HeaderName::from_static("x-kong-response-latency"),
    HeaderName::from_static("x-ratelimit-remaining-second"),
    HeaderName::from_static("x-ratelimit-remaining-minute"),
    HeaderName::from_static("x-ratelimit-remaining-hour"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

/// Which answer of its connection is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    Later,
}

/// The fields as HTTP/2 carries them. The first answer of a connection brings all names into the table, so that later ones
/// need not spell them.
pub(super) fn header_map(headers: &Headers, turn: Turn) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers.iter() {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if OF_CONNECTION.into_iter().any(is) {
            continue;
        }
        let Ok(mut value) = HeaderValue::from_bytes(value) else {
            continue;
        };
        if let Some(known) = PASSING.iter().find(|known| is(known.as_str())) {
            value.set_sensitive(turn == Turn::Later);
            map.append(known.clone(), value);
        } else if let Ok(name) = HeaderName::from_bytes(name) {
            map.append(name, value);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_connection_stay_behind() {
        let mut headers = Headers::new();
        for (name, value) in [
            ("Connection", "close"),
            ("KEEP-ALIVE", "timeout=5"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("X-Kong-Request-Id", "0123"),
            ("X-Shown", "yes"),
        ] {
            headers.append(name, value);
        }
        let map = header_map(&headers, Turn::Later);
        let shown: Vec<(&str, &[u8], bool)> = map
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive()))
            .collect();
        assert_eq!(
            shown,
            [
                ("set-cookie", &b"a=1"[..], false),
                ("set-cookie", b"b=2", false),
                ("x-kong-request-id", b"0123", true),
                ("x-shown", b"yes", false),
            ]
        );
        assert!(!header_map(&headers, Turn::First)["x-kong-request-id"].is_sensitive());
    }
}
