//! Takes the head of an upstream's response into the exchange, without what concerns one hop only.
use bytes::Bytes;
use twinplane_engine::ascii::same_name;
use twinplane_engine::exchange::{Exchange, HttpVersion, Source};
use twinplane_engine::text::Text;

use crate::h1::scan::StatusLine;
use crate::upstream::connection::UpstreamConnection;

/// Takes the head off the connection's buffer.
pub(super) fn head(
    x: &mut Exchange,
    connection: &mut UpstreamConnection,
    line: &StatusLine,
) -> Bytes {
    let head = connection.buffer.split_to(line.head_bytes).freeze();
    let response = &mut x.response;
    response.status = line.status;
    response.upstream_status = Some(line.status);
    // The usual phrase needs no handle on the head.
    response.reason = line
        .reason
        .clone()
        .map(|reason| match &head[reason.clone()] {
            b"OK" => Text::from_static("OK"),
            _ => Text::from(head.slice(reason)),
        });
    response.source = Source::Upstream;
    response.headers.attach(head.clone());
    head
}

fn options<'a>(head: &'a [u8], line: &'a StatusLine) -> impl Iterator<Item = &'a [u8]> {
    let values = line.hop.connection.iter().map(|value| &head[value.clone()]);
    values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether the upstream keeps its connection open for another request.
pub(super) fn keeps_connection(head: &[u8], line: &StatusLine) -> bool {
    let says = |option: &[u8]| options(head, line).any(|one| one.eq_ignore_ascii_case(option));
    match line.version {
        HttpVersion::Http10 => says(b"keep-alive"),
        _ => line.hop.connection.is_empty() || !says(b"close"),
    }
}

/// Removes the fields that the upstream nominated, and names the character set where a real node does.
pub(super) fn clean(x: &mut Exchange, head: &[u8], line: &StatusLine) {
    let response = &mut x.response;
    let is_usual = |option: &[u8]| {
        let usual = [&b"keep-alive"[..], b"close", b"upgrade", b""];
        usual.iter().any(|usual| same_name(option, usual))
    };
    if !options(head, line).all(is_usual) {
        let is_nominated =
            |name: &[u8]| options(head, line).any(|option| name.eq_ignore_ascii_case(option));
        response.headers.retain(|name, _| !is_nominated(name));
    }
    if let Some(trailer) = &line.hop.trailer
        && x.request.headers.contains("te")
    {
        response
            .headers
            .append("Trailer", Text::copy_from(&head[trailer.clone()]));
    }
    let content_type = response.headers.get("content-type");
    if let Some(plain) = content_type.filter(|value| gets_charset(value)) {
        let with_charset = [plain, b"; charset=UTF-8"].concat();
        response
            .headers
            .set("Content-Type", Text::from(with_charset));
    }
}

/// Whether the type is one to which the server under Kong adds its character set (vectors/plugins, headers/content-type).
pub(super) fn gets_charset(content_type: &[u8]) -> bool {
    const TYPES: [&[u8]; 6] = [
        b"text/html",
        b"text/plain",
        b"text/xml",
        b"text/vnd.wap.wml",
        b"application/javascript",
        b"application/rss+xml",
    ];
    matches!(content_type.first(), Some(b't' | b'a' | b'T' | b'A'))
        && TYPES.iter().any(|one| same_name(content_type, one))
}
