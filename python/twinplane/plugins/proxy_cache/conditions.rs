//! Whether a client that asks on a condition has the kept answer already: then 304 says so.
use twinplane_engine::headers::Headers;

use super::directives::date_s;

/// By `If-None-Match`, else by `If-Modified-Since`.
pub(super) fn is_known(request: &Headers, kept: &Headers) -> bool {
    let mut wanted = request.get_all("If-None-Match").peekable();
    if wanted.peek().is_some() {
        let own = kept.get("ETag").map(weak);
        return wanted
            .flat_map(|line| line.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .any(|tag| own.is_some_and(|own| tag == b"*" || weak(tag) == own));
    }
    // As the server under a real node has it: only the very same time will do.
    let since = request.get("If-Modified-Since").and_then(date_s);
    since.is_some() && since == kept.get("Last-Modified").and_then(date_s)
}

// Tags are compared without regard to their strength.
fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(*name, *value);
        }
        headers
    }

    #[test]
    fn tags_come_before_times() {
        let time = "Sun, 06 Nov 1994 08:49:37 GMT";
        let kept = headers(&[("ETag", "W/\"x\""), ("Last-Modified", time)]);
        for (asked, wanted) in [
            (vec![("If-None-Match", "\"x\"")], true),
            (vec![("If-None-Match", "\"a\", W/\"x\"")], true),
            (vec![("If-None-Match", "*")], true),
            (
                vec![("If-None-Match", "\"y\""), ("If-Modified-Since", time)],
                false,
            ),
            (vec![("If-Modified-Since", time)], true),
            (
                vec![("If-Modified-Since", "Sun, 06 Nov 1994 08:49:38 GMT")],
                false,
            ),
            (vec![], false),
        ] {
            assert_eq!(is_known(&headers(&asked), &kept), wanted, "{asked:?}");
        }
        assert!(!is_known(
            &headers(&[("If-None-Match", "*")]),
            &Headers::new()
        ));
    }
}
