//! From the header fields of an HTTP/2 request to the head that the rest of the proxy knows. The fields are written out
//! as an HTTP/1 head and go through the same strict scanner, so that nothing can be said by one protocol that the other
//! would refuse.
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;
use twinplane_engine::headers::Headers;

use crate::connection::target::is_host;
use crate::h1::fault::RequestFault;
use crate::h1::scan::{self, HeadLimits, RequestLine};

/// A request head, scanned: the places in `line` are about `bytes`, and `headers` is attached to them.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) line: RequestLine,
    pub(crate) bytes: Bytes,
    pub(crate) headers: Headers,
}

/// Writes and scans a head.
pub(crate) fn scan(parts: &Parts, limits: &HeadLimits) -> Result<Head, RequestFault> {
    let bytes = written(parts)?;
    let mut headers = Headers::with_capacity(parts.headers.len() + 1);
    let line = scan::request(&bytes, limits, &mut headers)?.ok_or(RequestFault::Malformed)?;
    // A field that is cut short by what it holds would leave bytes after the head.
    if line.head_bytes != bytes.len() {
        return Err(RequestFault::Malformed);
    }
    let bytes = Bytes::from(bytes);
    headers.attach(bytes.clone());
    Ok(Head {
        line,
        bytes,
        headers,
    })
}

/// About what a head took, whatever its compression made of it.
pub(crate) fn bytes_of(parts: &Parts) -> u64 {
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let fields = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    (parts.method.as_str().len() + target + 12 + fields.sum::<usize>()) as u64
}

fn written(parts: &Parts) -> Result<Vec<u8>, RequestFault> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str);
    if !target.starts_with('/') {
        return Err(RequestFault::Malformed);
    }
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    field(&mut head, b"host", authority(parts)?);
    for (name, value) in &parts.headers {
        if name == HOST || name == COOKIE {
            continue;
        }
        // Space around a value is malformed in HTTP/2; the scanner would take it for optional space.
        let value = value.as_bytes();
        if matches!(value.first(), Some(b' ' | b'\t')) || matches!(value.last(), Some(b' ' | b'\t'))
        {
            return Err(RequestFault::Malformed);
        }
        field(&mut head, name.as_str().as_bytes(), value);
    }
    // A cookie may come in crumbs; HTTP/1 knows one line.
    let crumbs: Vec<&[u8]> = parts
        .headers
        .get_all(COOKIE)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    if !crumbs.is_empty() {
        field(&mut head, b"cookie", &crumbs.join(&b"; "[..]));
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

fn field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// The one host that a request names: by `:authority`, by `Host`, or by both alike.
fn authority(parts: &Parts) -> Result<&[u8], RequestFault> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(http::HeaderValue::as_bytes);
    if hosts.next().is_some() || parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(RequestFault::Malformed);
    }
    let named = match (
        parts
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes()),
        host,
    ) {
        (Some(authority), _) if authority.contains(&b'@') => Err(RequestFault::Malformed),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(RequestFault::Malformed)
        }
        (Some(authority), _) => Ok(authority),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(RequestFault::Malformed),
    };
    named.and_then(|host| {
        if is_host(host) {
            Ok(host)
        } else {
            Err(RequestFault::Malformed)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        head_bytes_max: 65_536,
        line_bytes_max: 8_192,
        fields_max: 100,
    };

    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<String, RequestFault> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        scan(&parts, &LIMITS).map(|head| String::from_utf8(head.bytes.to_vec()).unwrap())
    }

    #[test]
    fn fields_become_a_head() {
        let written = head(
            "GET",
            "https://a.example/x?y=1",
            &[("accept", "*/*"), ("cookie", "a=1"), ("cookie", "b=2")],
        );
        let wanted =
            "GET /x?y=1 HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\ncookie: a=1; b=2\r\n\r\n";
        assert_eq!(written.unwrap(), wanted);
    }

    #[test]
    fn a_host_is_named_once_and_alike() {
        assert!(head("GET", "https://a.example/", &[("host", "A.example")]).is_ok());
        assert!(head("GET", "/", &[("host", "a.example")]).is_ok());
        assert!(head("GET", "https://a.example/", &[("host", "b.example")]).is_err());
        assert!(head("GET", "https://u@a.example/", &[]).is_err());
        assert!(head("GET", "/", &[]).is_err());
        assert!(head("GET", "/", &[("host", "a"), ("host", "a")]).is_err());
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        assert_eq!(
            head("TRACE", "https://a.example/", &[]),
            Err(RequestFault::Method)
        );
        assert!(head("get", "https://a.example/", &[]).is_err());
        assert!(head("GET", "https://a.example/", &[("x", " spaced")]).is_err());
        assert!(
            head(
                "POST",
                "https://a.example/",
                &[("content-length", "1"), ("content-length", "1")]
            )
            .is_err()
        );
        let many: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(
            head("GET", "https://a.example/", &many),
            Err(RequestFault::HeadTooLarge)
        );
    }
}
