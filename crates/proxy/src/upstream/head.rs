//! The head of a request as it goes upstream: our own fields first, in the order a real node has, then the client's as
//! they came, without what concerns one hop only.
use twinplane_engine::exchange::{Exchange, Framing, HttpVersion};
use twinplane_engine::text::Text;

use crate::forwarded;
use crate::h1::names::{Known, known_in_any_spelling};
use crate::h1::scan;
use crate::settings::Settings;
use crate::trailers;

/// Whether the client asks for a protocol that is passed through: WebSocket, as on a real node. A field of one hop counts
/// only where `Connection` names it: one that came along from a hop before asks for nothing.
pub fn asks_for_upgrade(x: &Exchange) -> bool {
    let headers = &x.request.headers;
    x.client.http_version == HttpVersion::Http11
        && headers
            .get("upgrade")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && headers
            .get_all("connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Writes the head.
pub fn write(x: &Exchange, settings: &Settings, host: &Text, framing: Framing, out: &mut Vec<u8>) {
    let headers = &x.request.headers;
    let method = x.upstream.method.as_ref().unwrap_or(&x.request.method);
    let query = x.upstream.query.as_ref().unwrap_or(&x.request.query);
    put(out, &[method.as_bytes(), b" ", x.upstream.path.as_bytes()]);
    if let Some(query) = query {
        put(out, &[b"?", query.as_bytes()]);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if headers.get("te").is_some_and(trailers::asks) {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if settings.header_switches.via {
        write_via(x, settings, out);
    }
    put(out, &[b"Host: ", host.as_bytes(), b"\r\n"]);
    if asks_for_upgrade(x) {
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n");
    } else {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    forwarded::write(x, settings, out);
    if settings.header_switches.upstream_request_id {
        put(
            out,
            &[b"X-Kong-Request-Id: ", x.request_id.as_bytes(), b"\r\n"],
        );
    }
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            let mut digits = itoa::Buffer::new();
            put(
                out,
                &[
                    b"Content-Length: ",
                    digits.format(length).as_bytes(),
                    b"\r\n",
                ],
            );
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    let keeps_request_id = !settings.header_switches.upstream_request_id;
    headers.write_to(out, |name, mark| match mark {
        scan::PASSES => true,
        scan::STOPS => false,
        _ => match known_in_any_spelling(name) {
            None => true,
            Some(Known::RequestId) => keeps_request_id && !name.contains(&b'_'),
            Some(known) => !known.is_ours_upstream(),
        },
    });
    out.extend_from_slice(b"\r\n");
}

fn write_via(x: &Exchange, settings: &Settings, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Via: ");
    for value in x.request.headers.get_all("via") {
        put(out, &[value, b", "]);
    }
    let product = settings.start.version.as_bytes();
    put(
        out,
        &[
            x.client.http_version.as_str().as_bytes(),
            b" ",
            product,
            b"\r\n",
        ],
    );
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
