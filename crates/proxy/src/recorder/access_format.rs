//! Lines of the access log in a form of the operator's own. What a request does not have is `-` as nginx has it, and
//! nothing at all in the forms that are not its usual one.
use std::io::Write;

use serde::Deserialize;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::text::Text;

use super::access_line::{escape, http_version, moment, target};
use crate::worker::civil;

/// A form: texts, and what stands between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFormat {
    escape: Escape,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Escape {
    Default,
    Json,
    None,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Text(String),
    Value(Value),
    /// A field of the request, by its name in lower case.
    RequestHeader(String),
    /// A field of the response.
    ResponseHeader(String),
    /// An argument of the query, still escaped.
    Argument(String),
}

/// What is known of each request, by nginx's names.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    Args,
    BodyBytesSent,
    BytesSent,
    Connection,
    ConnectionRequests,
    Host,
    Hostname,
    IsArgs,
    Msec,
    Pid,
    RealipRemoteAddr,
    RealipRemotePort,
    RemoteAddr,
    RemotePort,
    RemoteUser,
    Request,
    RequestId,
    RequestLength,
    RequestMethod,
    RequestTime,
    RequestUri,
    Scheme,
    ServerAddr,
    ServerPort,
    ServerProtocol,
    SslCipher,
    SslProtocol,
    SslServerName,
    Status,
    #[serde(rename = "time_iso8601")]
    TimeIso,
    TimeLocal,
    UpstreamAddr,
    UpstreamConnectTime,
    UpstreamHeaderTime,
    UpstreamResponseTime,
    UpstreamStatus,
    Uri,
}

impl AccessFormat {
    /// Appends the line of a request that is over. `found` holds one value at a time.
    pub(super) fn write(&self, x: &Exchange, found: &mut Vec<u8>, out: &mut Vec<u8>) {
        for part in &self.parts {
            found.clear();
            let is_there = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    continue;
                }
                Part::Value(value) => value.find(x, found),
                Part::RequestHeader(name) => append(x.request.headers.get(name), found),
                Part::ResponseHeader(name) => append(x.response.headers.get(name), found),
                Part::Argument(name) => append(x.request.query_argument(name), found),
            };
            match (self.escape, is_there) {
                (Escape::Default, false) => out.push(b'-'),
                (_, false) => {}
                (Escape::Default, true) => escape(found, out),
                (Escape::Json, true) => escape_json(found, out),
                (Escape::None, true) => out.extend_from_slice(found),
            }
        }
        out.push(b'\n');
    }
}

impl Value {
    /// Whether the request has it; then it is appended.
    fn find(self, x: &Exchange, out: &mut Vec<u8>) -> bool {
        let (client, request, response, times) = (&x.client, &x.request, &x.response, &x.times);
        match self {
            Self::Args => return append(request.query.as_ref().map(Text::as_bytes), out),
            Self::BodyBytesSent => put(out, format_args!("{}", response.body_bytes)),
            Self::BytesSent => put(out, format_args!("{}", response.bytes)),
            Self::Connection => put(out, format_args!("{}", client.serial.0)),
            Self::ConnectionRequests => put(out, format_args!("{}", client.serial.1)),
            Self::Host => return append(Some(host_of(request.host.as_bytes())), out),
            Self::Hostname => out.extend_from_slice(x.node.hostname.as_bytes()),
            Self::IsArgs => out.extend(request.query.as_ref().map(|_| b'?')),
            Self::Msec => put_seconds(x.wall_us, out),
            Self::Pid => put(out, format_args!("{}", std::process::id())),
            Self::RealipRemoteAddr => put(out, format_args!("{}", client.peer)),
            Self::RealipRemotePort => put(out, format_args!("{}", client.peer_port)),
            Self::RemoteAddr => put(out, format_args!("{}", client.ip)),
            Self::RemotePort => put(out, format_args!("{}", client.port)),
            // Plugins recognise consumers; a user of the server is nobody.
            Self::RemoteUser => return false,
            Self::Request => {
                out.extend_from_slice(request.method.as_bytes());
                out.push(b' ');
                put_target(x, out);
                out.push(b' ');
                out.extend_from_slice(http_version(x));
            }
            Self::RequestId => out.extend_from_slice(x.request_id.as_bytes()),
            Self::RequestLength => put(out, format_args!("{}", request.bytes)),
            Self::RequestMethod => out.extend_from_slice(request.method.as_bytes()),
            Self::RequestTime => put_seconds(times.total_us(), out),
            Self::RequestUri => put_target(x, out),
            Self::Scheme => out.extend_from_slice(client.scheme.as_str().as_bytes()),
            Self::ServerAddr => put(out, format_args!("{}", client.listener_ip)),
            Self::ServerPort => put(out, format_args!("{}", client.listener_port)),
            Self::ServerProtocol => out.extend_from_slice(http_version(x)),
            Self::SslCipher => return append(client.tls_cipher.map(str::as_bytes), out),
            Self::SslProtocol => return append(client.tls_version.map(str::as_bytes), out),
            Self::SslServerName => return append(client.sni.as_deref().map(str::as_bytes), out),
            Self::Status => put(out, format_args!("{}", response.status)),
            Self::TimeIso => put_iso(x.wall_us / 1_000_000, out),
            Self::TimeLocal => moment(x.wall_us / 1_000_000, out),
            Self::UpstreamAddr => return put_addresses(x, out),
            Self::UpstreamConnectTime => {
                return put_span(times.proxied_us, times.connected_us, out);
            }
            Self::UpstreamHeaderTime => return put_span(times.proxied_us, times.answered_us, out),
            Self::UpstreamResponseTime => {
                // Where nobody has answered there is no time that an answer took.
                let ended_us = if times.answered_us == 0 {
                    0
                } else {
                    times.ended_us
                };
                return put_span(times.proxied_us, ended_us, out);
            }
            Self::UpstreamStatus => match response.upstream_status {
                Some(status) => put(out, format_args!("{status}")),
                None => return false,
            },
            Self::Uri => out.extend_from_slice(request.path.as_bytes()),
        }
        true
    }
}

fn append(found: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(found.unwrap_or_default());
    found.is_some()
}

fn put(out: &mut Vec<u8>, value: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _written = out.write_fmt(value);
}

/// Seconds with three digits behind the point, as nginx tells times.
fn put_seconds(us: u64, out: &mut Vec<u8>) {
    put(
        out,
        format_args!("{}.{:03}", us / 1_000_000, us / 1_000 % 1_000),
    );
}

fn put_span(from_us: u64, to_us: u64, out: &mut Vec<u8>) -> bool {
    let is_known = from_us != 0 && to_us >= from_us;
    if is_known {
        put_seconds(to_us - from_us, out);
    }
    is_known
}

fn put_iso(second: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(second / 86_400);
    let of_day = second % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    put(
        out,
        format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00"),
    );
}

fn put_addresses(x: &Exchange, out: &mut Vec<u8>) -> bool {
    for (at, each) in x.tries.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b", " });
        let ip = each.ip.as_bytes();
        if ip.contains(&b':') && !ip.starts_with(b"[") {
            out.push(b'[');
            out.extend_from_slice(ip);
            out.push(b']');
        } else {
            out.extend_from_slice(ip);
        }
        put(out, format_args!(":{}", each.port));
    }
    !x.tries.is_empty()
}

fn put_target(x: &Exchange, out: &mut Vec<u8>) {
    for part in target(x) {
        out.extend_from_slice(part);
    }
}

/// A host without its port.
fn host_of(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if host[at + 1..].iter().all(u8::is_ascii_digit) => &host[..at],
        _ => host,
    }
}

/// What stands in a text of JSON, between its quotes. Bytes that are no UTF-8 pass, as with nginx.
fn escape_json(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x00..=0x1f => put(out, format_args!("\\u{byte:04X}")),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_json_stay_texts_of_json() {
        let mut out = Vec::new();
        escape_json("a\"b\\c\nd\u{1}é\u{7f}".as_bytes(), &mut out);
        assert_eq!(out, "a\\\"b\\\\c\\nd\\u0001é\u{7f}".as_bytes());
        let text = format!("\"{}\"", String::from_utf8(out).unwrap());
        assert_eq!(
            serde_json::from_str::<String>(&text).unwrap(),
            "a\"b\\c\nd\u{1}é\u{7f}"
        );
    }

    #[test]
    fn times_have_three_digits_and_spans_an_end() {
        let mut out = Vec::new();
        put_seconds(12_034_567, &mut out);
        assert_eq!(out, b"12.034");
        assert!(!put_span(0, 5, &mut out) && !put_span(5, 0, &mut out));
        out.clear();
        put_iso(1_700_000_000, &mut out);
        assert_eq!(out, b"2023-11-14T22:13:20+00:00");
    }

    #[test]
    fn a_host_loses_its_port_alone() {
        for (host, bare) in [
            ("a:80", "a"),
            ("a", "a"),
            ("[::1]:8", "[::1]"),
            ("a:x", "a:x"),
        ] {
            assert_eq!(host_of(host.as_bytes()), bare.as_bytes());
        }
    }

    #[test]
    fn a_value_that_nobody_knows_is_refused() {
        let read = |value: &str| {
            let text = format!(r#"{{"escape":"json","parts":[{{"value":"{value}"}}]}}"#);
            serde_json::from_str::<AccessFormat>(&text)
        };
        assert!(read("status").is_ok() && read("time_iso8601").is_ok());
        assert!(read("geoip_city").is_err());
    }
}
