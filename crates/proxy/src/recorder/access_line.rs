//! One line of the access log, in the form that nginx has as `combined`, with the id of the request behind it. What a
//! client sent is escaped, so that it can neither end a field nor a line.
use std::io::Write;

use twinplane_engine::exchange::{Exchange, HttpVersion};
use twinplane_engine::text::Text;

use crate::forwarded::raw_path;
use crate::worker::civil;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Appends the line of a request that is over.
pub(super) fn write(x: &Exchange, out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _written = write!(out, "{} - - [", x.client.ip);
    moment(x.wall_us / 1_000_000, out);
    out.extend_from_slice(b"] \"");
    escape(x.request.method.as_bytes(), out);
    out.push(b' ');
    for part in target(x) {
        escape(part, out);
    }
    out.push(b' ');
    out.extend_from_slice(http_version(x));
    let _written = write!(out, "\" {} {} \"", x.response.status, x.response.body_bytes);
    for name in ["referer", "user-agent"] {
        escape(x.request.headers.get(name).unwrap_or(b"-"), out);
        out.extend_from_slice(if name == "referer" { b"\" \"" } else { b"\" " });
    }
    out.extend_from_slice(b"kong_request_id: \"");
    escape(x.request_id.as_bytes(), out);
    out.extend_from_slice(b"\"\n");
}

/// The target as sent, but for what an auth plugin has hidden in its query.
pub(super) fn target(x: &Exchange) -> [&[u8]; 3] {
    let sent = x.request.target.as_bytes();
    let path = raw_path(sent);
    if path.len() < sent.len() {
        let query = x.request.query.as_ref().map_or(&b""[..], Text::as_bytes);
        [path, b"?", query]
    } else {
        [path, b"", b""]
    }
}

/// The version of HTTP that the client spoke.
pub(super) fn http_version(x: &Exchange) -> &'static [u8] {
    match x.client.http_version {
        HttpVersion::Http10 => b"HTTP/1.0",
        HttpVersion::Http11 => b"HTTP/1.1",
        HttpVersion::Http2 => b"HTTP/2.0",
    }
}

/// A moment as logs have it: `14/Nov/2023:22:13:20 +0000`.
pub(super) fn moment(second: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(second / 86_400);
    let of_day = second % 86_400;
    let month = usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .unwrap_or(&"");
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    // Writing into memory does not fail.
    let _written = write!(
        out,
        "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
    );
}

/// Appends what a client sent so that it can neither end a field nor a line.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\') {
            out.push(*byte);
        } else {
            let _written = write!(out, "\\x{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_ends_no_field_and_no_line() {
        let mut out = Vec::new();
        escape(b"a\"b\\c\nd\xe9 e", &mut out);
        assert_eq!(out, br"a\x22b\x5Cc\x0Ad\xE9 e");
    }
}
