//! The head of a request as HTTP/2 carries it upstream, and that of its response. The fields are those that an HTTP/1
//! upstream would get, by the same rules.
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Method, Request, Uri};
use twinplane_engine::exchange::{Exchange, Framing, HttpVersion, Scheme, Source};
use twinplane_engine::text::Text;

use crate::error_page;
use crate::h1::names::{Known, known};
use crate::settings::Settings;
use crate::upstream::head;

/// A request's head. None where the target or the host cannot be said in HTTP/2.
pub fn request(x: &Exchange, settings: &Settings, host: &Text) -> Option<Request<()>> {
    let mut written = Vec::with_capacity(1_024);
    head::write(x, settings, host, Framing::None, &mut written);
    let mut request = Request::new(());
    let method = x.upstream.method.as_ref().unwrap_or(&x.request.method);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri(x, host)?;
    *request.version_mut() = http::Version::HTTP_2;
    fields(&Bytes::from(written), request.headers_mut())?;
    // A gRPC server is right to refuse a call whose trailers would be lost on the way.
    request
        .headers_mut()
        .insert(TE, HeaderValue::from_static("trailers"));
    Some(request)
}

fn uri(x: &Exchange, host: &Text) -> Option<Uri> {
    let query = x.upstream.query.as_ref().unwrap_or(&x.request.query);
    let mut target = x.upstream.path.as_bytes().to_vec();
    if let Some(query) = query {
        target.push(b'?');
        escape(query.as_bytes(), &mut target);
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(match x.upstream.scheme {
        Scheme::Http => UriScheme::HTTP,
        Scheme::Https => UriScheme::HTTPS,
    });
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(target)).ok()?);
    Uri::from_parts(parts).ok()
}

// A query as HTTP/1 carries it may hold what the library takes for no part of a URI.
fn escape(query: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let is_text = std::str::from_utf8(query).is_ok();
    for &byte in query {
        let passes = match byte {
            b'"' | b'#' | b'<' | b'>' => false,
            0x21..=0x7e => true,
            0x80.. => is_text,
            _ => false,
        };
        if passes {
            into.push(byte);
        } else {
            let digit = |at: u8| DIGITS[usize::from(at)];
            into.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

// The lines of an HTTP/1 head that was written here.
fn fields(head: &Bytes, into: &mut HeaderMap) -> Option<()> {
    let mut at = memchr::memchr(b'\n', head)? + 1;
    while let Some(length) = memchr::memchr(b'\r', &head[at..]) {
        let line = head.slice(at..at + length);
        at += length + 2;
        let Some(colon) = memchr::memchr(b':', &line) else {
            break;
        };
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        if name == HOST || name == CONNECTION || name == UPGRADE {
            continue;
        }
        let value = line.slice((colon + 2).min(line.len())..);
        into.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(())
}

/// Takes the head of a response into the exchange. Gives the length of the body that it tells.
pub fn response(x: &mut Exchange, status: u16, fields: &HeaderMap) -> Option<u64> {
    let response = &mut x.response;
    response.status = status;
    response.upstream_status = Some(status);
    let is_h1 = x.client.http_version != HttpVersion::Http2;
    let reason = error_page::reason(status).filter(|_| is_h1);
    response.reason = reason.map(Text::from_static);
    response.source = Source::Upstream;
    for (name, value) in fields {
        if known(name.as_str().as_bytes()).is_some_and(Known::is_hop_of_response) {
            continue;
        }
        response.headers.append(
            Text::copy_from(name.as_str().as_bytes()),
            Text::copy_from(value.as_bytes()),
        );
    }
    let length = fields.get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
