//! Fields after a body. Only what cannot be mistaken for a field of a head passes: nothing that frames, routes,
//! authenticates or controls (RFC 9110, 6.5.1), and nothing that names who somebody is.
use http::HeaderMap;

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
