//! How a response looks in HTTP/1: status line, the order in which a real node has its own fields, framing.
use twinplane_engine::exchange::{Exchange, HttpVersion, Source};
use twinplane_engine::headers::{Headers, write_field};
use twinplane_engine::text::Text;

use super::Reply;
use crate::client_side::ResponseBody;
use crate::error_page;

impl Reply {
    /// Settles framing and the connection's fate before a head is written.
    pub(super) fn settle(&mut self, body: ResponseBody, x: &Exchange, is_body_ended: bool) {
        let is_bodiless_status = matches!(x.response.status, 100..=199 | 204 | 304);
        self.is_bodiless =
            self.is_head_request || is_bodiless_status || matches!(body, ResponseBody::None { .. });
        let is_unknown = body == ResponseBody::Unknown && !self.is_bodiless;
        self.is_chunked = is_unknown && self.version == HttpVersion::Http11;
        if is_unknown && !self.is_chunked {
            // HTTP/1.0: only the closing of the connection tells the end.
            self.keeps_alive = false;
        }
        if self.is_continue_owed && !is_body_ended {
            // The client may send its body or not: what comes next has no sure meaning.
            self.keeps_alive = false;
        }
    }
}

/// Writes the head of the response.
pub(super) fn write_head(
    x: &Exchange,
    body: ResponseBody,
    reply: &Reply,
    date: &Text,
    out: &mut Vec<u8>,
) {
    let response = &x.response;
    status_line(x, out);
    let is_ours = response.source == Source::Kong;
    if is_ours && !response.headers.contains("date") {
        put(out, b"Date", date.as_bytes());
    }
    if let Some(content_type) = response.headers.get("content-type") {
        write_field(b"Content-Type", content_type, out);
    }
    let length = match body {
        ResponseBody::Length(length) => Some(length),
        ResponseBody::None { length } => length,
        ResponseBody::Unknown => None,
    };
    // An answer of ours has its length among its headers, in its place.
    let is_settled = is_ours || response.is_body_dropped;
    let has_own_place = is_settled && response.headers.contains("content-length");
    if let Some(length) = length.filter(|_| !has_own_place) {
        put(
            out,
            b"Content-Length",
            itoa::Buffer::new().format(length).as_bytes(),
        );
    }
    if reply.is_chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(connection(response.status, reply));
    response.headers.write_to(out, |name, _| match name.len() {
        12 => !name.eq_ignore_ascii_case(b"content-type"),
        14 => has_own_place || !name.eq_ignore_ascii_case(b"content-length"),
        _ => true,
    });
    out.extend_from_slice(b"\r\n");
}

fn connection(status: u16, reply: &Reply) -> &'static [u8] {
    match (status, reply.keeps_alive) {
        (101, _) => b"Connection: upgrade\r\n",
        (_, true) => b"Connection: keep-alive\r\n",
        (_, false) => b"Connection: close\r\n",
    }
}

fn status_line(x: &Exchange, out: &mut Vec<u8>) {
    let status = x.response.status;
    if status == 200
        && x.response
            .reason
            .as_ref()
            .is_some_and(|reason| reason.as_bytes() == b"OK")
    {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let digit = |place: u16| b'0' + u8::try_from(status / place % 10).unwrap_or(0);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
    // Ours always has the space; an upstream's is as it came.
    if let Some(reason) = &x.response.reason {
        out.push(b' ');
        out.extend_from_slice(reason.as_bytes());
    } else if x.response.source == Source::Kong {
        out.push(b' ');
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim response.
pub(super) fn write_interim(status: u16, headers: &Headers, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let reason = if status == 103 {
        "Early Hints"
    } else {
        error_page::reason(status).unwrap_or_default()
    };
    for part in ["HTTP/1.1 ", digits.format(status), " ", reason, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    headers.write_to(out, |name, _| {
        crate::h1::names::known(name).is_none_or(|known| !known.is_hop_of_response())
    });
    out.extend_from_slice(b"\r\n");
}

fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
