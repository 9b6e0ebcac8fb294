//! The entry that log plugins deliver for one request. Credentials in headers are redacted; the members and their names
//! are those of a real node, since readers of logs depend on them.
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use twinplane_engine::exchange::{Exchange, Scheme, Source, Try};
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use crate::arguments::Arguments;
use crate::entities::{self, WORKSPACE_ID, WORKSPACE_NAME};
use crate::json::{Object, write_array, write_text};
use crate::stream_entry;

const REDACTED: &[u8] = b"REDACTED";
// Up to so many fields, as requests have them, comparing each with each costs less than looking it up.
const COMPARED_MAX: usize = 32;

/// Writes the entry of a request or a stream that is over.
pub(crate) fn write(x: &Exchange, out: &mut Vec<u8>) {
    if let Some(stream) = &x.stream {
        return stream_entry::write(x, stream, out);
    }
    let mut entry = Object::open(out);
    entry.object("request", |request| write_request(x, request));
    entry.object("response", |response| write_response(x, response));
    entry.object("latencies", |latencies| write_latencies(x, latencies));
    entry.text("client_ip", x.client.ip.to_string().as_bytes());
    entry.integer("started_at", x.times.started_wall_us / 1_000);
    entry.text("upstream_uri", &upstream_uri(x));
    let status = x.response.upstream_status.map(|status| status.to_string());
    entry.text("upstream_status", status.unwrap_or_default().as_bytes());
    let source = if x.response.source == Source::Upstream {
        "upstream"
    } else {
        "kong"
    };
    entry.text("source", source.as_bytes());
    entry.text("workspace", WORKSPACE_ID.as_bytes());
    entry.text("workspace_name", WORKSPACE_NAME.as_bytes());
    write_entities(x, &mut entry);
    for (name, value) in &x.log_fields {
        entry.text(name, value.as_bytes());
    }
    entry.close();
}

/// What the configuration says of it, and the attempts at its upstream.
pub(crate) fn write_entities(x: &Exchange, entry: &mut Object<'_>) {
    if let Some(route) = x.route() {
        entry.member("route", |out| {
            put(&route.log_text, || entities::route(&route.model), out);
        });
        entry.member("tries", |out| write_array(&x.tries, out, write_try));
    }
    if let Some(service) = x.service() {
        entry.member("service", |out| {
            put(&service.log_text, || entities::service(&service.model), out);
        });
    }
    if let Some(consumer) = &x.consumer {
        entry.member("consumer", |out| {
            put(
                &consumer.log_text,
                || entities::consumer(&consumer.model),
                out,
            );
        });
    }
    if let Some(credential) = &x.credential {
        entry.object("authenticated_entity", |entity| {
            entity.text("id", credential.id.as_bytes());
        });
    }
}

// An entity is put into words once for a configuration.
fn put(kept: &OnceLock<Box<str>>, value: impl FnOnce() -> Value, out: &mut Vec<u8>) {
    let text = kept.get_or_init(|| value().to_string().into());
    out.extend_from_slice(text.as_bytes());
}

fn write_request(x: &Exchange, request: &mut Object<'_>) {
    let uri = uri(x);
    let host = x.request.host.as_bytes();
    let host = host
        .iter()
        .rposition(|byte| *byte == b':')
        .map_or(host, |at| {
            let is_port = host[at + 1..].iter().all(u8::is_ascii_digit);
            if is_port { &host[..at] } else { host }
        });
    let mut url = Vec::with_capacity(host.len() + uri.len() + 16);
    for piece in [
        x.client.scheme.as_str().as_bytes(),
        b"://",
        host,
        b":",
        x.client.listener_port.to_string().as_bytes(),
        &uri,
    ] {
        url.extend_from_slice(piece);
    }
    request.text("id", x.request_id.as_bytes());
    request.text("method", x.request.method.as_bytes());
    request.text("uri", &uri);
    request.text("url", &url);
    request.integer("size", x.request.bytes);
    request.member("querystring", |out| write_query(x, out));
    request.member("headers", |out| write_headers(&x.request.headers, out, &[]));
    if x.client.scheme == Scheme::Https {
        request.object("tls", |tls| write_tls(x, tls));
    }
}

/// What the handshake came to.
pub(crate) fn write_tls(x: &Exchange, tls: &mut Object<'_>) {
    tls.text(
        "version",
        x.client.tls_version.unwrap_or_default().as_bytes(),
    );
    tls.text("cipher", x.client.tls_cipher.unwrap_or_default().as_bytes());
    tls.text("client_verify", b"NONE");
}

fn write_response(x: &Exchange, response: &mut Object<'_>) {
    response.integer("status", x.response.status);
    response.integer("size", x.response.bytes);
    let length = x.response.content_length.map(Text::from_integer);
    let mut more: Vec<(&str, &[u8])> = vec![("connection", b"close")];
    more.extend(
        length
            .as_ref()
            .map(|length| ("content-length", length.as_bytes())),
    );
    response.member("headers", |out| {
        write_headers(&x.response.headers, out, &more);
    });
}

fn write_latencies(x: &Exchange, latencies: &mut Object<'_>) {
    let ms = |us: u64| i64::try_from(Duration::from_micros(us).as_millis()).unwrap_or(i64::MAX);
    let (total, waiting) = (x.times.total_us(), x.times.waiting_us());
    latencies.integer("request", ms(total));
    latencies.integer("kong", ms(total.saturating_sub(waiting.unwrap_or(0))));
    latencies.integer("proxy", waiting.map_or(-1, ms));
    latencies.integer("receive", x.times.receive_us().map_or(0, ms));
}

// The target as sent; its query without what an auth plugin has hidden.
fn uri(x: &Exchange) -> Vec<u8> {
    let target = x.request.target.as_bytes();
    let Some(at) = target.iter().position(|byte| *byte == b'?') else {
        return target.to_vec();
    };
    let mut uri = target[..=at].to_vec();
    uri.extend_from_slice(x.request.query.as_ref().map_or(&b""[..], Text::as_bytes));
    uri
}

fn upstream_uri(x: &Exchange) -> Vec<u8> {
    let mut uri = x.upstream.path.as_bytes().to_vec();
    let changed = x.upstream.query.as_ref().map(Option::as_ref);
    if let Some(query) = changed
        .unwrap_or(x.request.query.as_ref())
        .filter(|_| !uri.is_empty())
    {
        uri.push(b'?');
        uri.extend_from_slice(query.as_bytes());
    }
    uri
}

fn write_query(x: &Exchange, out: &mut Vec<u8>) {
    let query = x.request.query.as_ref().map_or(&b""[..], Text::as_bytes);
    write_arguments(&Arguments::parse(query), out);
}

/// Writes arguments as an object: several of one name as an array, one without a value as `true`.
pub(crate) fn write_arguments(arguments: &Arguments, out: &mut Vec<u8>) {
    let all: Vec<(&[u8], Option<&[u8]>)> = arguments
        .0
        .iter()
        .map(|(name, value)| (&**name, value.as_deref()))
        .collect();
    let write = |value: Option<&[u8]>, out: &mut Vec<u8>| match value {
        Some(value) => write_text(value, out),
        None => out.extend_from_slice(b"true"),
    };
    write_grouped(&all, out, write);
}

/// Writes headers as an object: names in lower case, several of one name as an array, credentials redacted.
pub(crate) fn write_headers(headers: &Headers, out: &mut Vec<u8>, more: &[(&str, &[u8])]) {
    let names: Vec<Vec<u8>> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let mut all: Vec<(&[u8], Option<&[u8]>)> = names
        .iter()
        .zip(headers.iter())
        .map(|(name, (_, value))| (&**name, Some(value)))
        .collect();
    for (name, value) in more {
        if !names.iter().any(|present| present == name.as_bytes()) {
            all.push((name.as_bytes(), Some(value)));
        }
    }
    for (name, value) in &mut all {
        if matches!(*name, b"authorization" | b"proxy-authorization") {
            *value = Some(REDACTED);
        }
    }
    write_grouped(&all, out, |value, out| {
        write_text(value.unwrap_or_default(), out);
    });
}

fn write_grouped<'a>(
    all: &[(&'a [u8], Option<&'a [u8]>)],
    out: &mut Vec<u8>,
    write: impl Fn(Option<&'a [u8]>, &mut Vec<u8>),
) {
    if all.len() > COMPARED_MAX {
        return write_many(all, out, write);
    }
    let mut object = Object::open(out);
    for (at, (name, value)) in all.iter().enumerate() {
        if all[..at].iter().any(|(earlier, _)| earlier == name) {
            continue;
        }
        let is_repeated = all[at + 1..].iter().any(|(later, _)| later == name);
        object.member(&String::from_utf8_lossy(name), |out| {
            if is_repeated {
                let same = all
                    .iter()
                    .filter(|(other, _)| other == name)
                    .map(|(_, value)| *value);
                write_array(same, out, &write);
            } else {
                write(*value, out);
            }
        });
    }
    object.close();
}

// The same for a client that sends thousands: comparing each with all others would cost more than all else of its request.
fn write_many<'a>(
    all: &[(&'a [u8], Option<&'a [u8]>)],
    out: &mut Vec<u8>,
    write: impl Fn(Option<&'a [u8]>, &mut Vec<u8>),
) {
    let mut values: HashMap<&[u8], Vec<Option<&[u8]>>> = HashMap::with_capacity(all.len());
    for (name, value) in all {
        values.entry(name).or_default().push(*value);
    }
    let mut object = Object::open(out);
    for (name, _) in all {
        let Some(same) = values.remove(name) else {
            continue;
        };
        object.member(&String::from_utf8_lossy(name), |out| match &*same {
            [one] => write(*one, out),
            _ => write_array(same, out, &write),
        });
    }
    object.close();
}

fn write_try(attempt: &Try, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("ip", attempt.ip.as_bytes());
    object.integer("port", attempt.port);
    object.integer("balancer_start", attempt.started_wall_us / 1_000);
    object.integer("balancer_start_ns", attempt.started_wall_us * 1_000);
    object.integer("balancer_latency", attempt.balancer_us / 1_000);
    object.integer("balancer_latency_ns", attempt.balancer_us * 1_000);
    if let Some(code) = attempt.code {
        object.integer("code", code);
    }
    if let Some(state) = attempt.state {
        object.text("state", state.as_bytes());
    }
    object.close();
}
