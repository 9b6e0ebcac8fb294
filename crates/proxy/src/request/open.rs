//! Opens an exchange for a request whose head was read: facts alone, nothing decided.
use std::rc::Rc;

use twinplane_engine::exchange::{Exchange, Framing, HttpVersion, Request};
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use crate::conn_info::ConnInfo;
use crate::forwarded;
use crate::h1::names::known;
use crate::worker::Worker;

/// What a protocol has read of a request.
#[derive(Debug)]
pub struct Opening {
    /// The method.
    pub method: Text,
    /// The target in origin form: path and query.
    pub target: Text,
    /// The host, perhaps with a port; empty where HTTP/1.0 named none.
    pub host: Text,
    /// All header fields.
    pub headers: Headers,
    /// How the body comes.
    pub body: Framing,
    /// Version of HTTP.
    pub version: HttpVersion,
    /// Whether the client waits to be told to go on.
    pub expects_continue: bool,
    /// Monotonic microseconds at the first byte.
    pub started_us: u64,
}

/// Opens the exchange.
pub fn open(worker: &Worker, info: &ConnInfo, opening: Opening) -> Exchange {
    let mut x = Exchange::new(worker.snapshot(), Rc::clone(&worker.state));
    let Opening {
        method,
        target,
        host,
        mut headers,
        body,
        version,
        expects_continue,
        started_us,
    } = opening;
    x.request_id = worker.request_id();
    x.now_us = started_us;
    x.wall_us = worker.wall_us(started_us);
    x.times.started_us = started_us;
    x.times.started_wall_us = x.wall_us;
    x.client = forwarded::client(info, &worker.settings(), &headers, version);
    x.client.serial = info.serial.count();
    remove_nominated(&mut headers);
    // After the client's `Connection` has had its say, so that it cannot name these away.
    if let Some(identity) = &info.identity {
        identity.put(&mut headers);
    }
    x.request = Request {
        method,
        host,
        headers,
        body,
        expects_continue,
        ..Request::default()
    };
    let raw = target.as_bytes();
    if let Some(at) = memchr::memchr(b'?', raw) {
        // A fragment is cut off a query (vectors/plugins, path): it is no part of a request.
        let query = &raw[at + 1..];
        let end = memchr::memchr(b'#', query).unwrap_or(query.len());
        x.request.query = Some(Text::copy_from(&query[..end]));
    }
    x.request.target = target;
    x
}

// Fields that `Connection` names concern one hop. They go before anything looks at the request, so that what filters
// add later cannot be named away; fields the proxy acts on cannot be named at all.
fn remove_nominated(headers: &mut Headers) {
    if !headers.contains("connection") {
        return;
    }
    let is_usual = |option: &[u8]| {
        option.is_empty()
            || [&b"keep-alive"[..], b"close", b"upgrade"]
                .iter()
                .any(|usual| option.eq_ignore_ascii_case(usual))
    };
    // Several lines are one list.
    let options = || {
        headers
            .get_all("connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    };
    if options().all(is_usual) {
        return;
    }
    let nominated: Vec<Vec<u8>> = options()
        .filter(|option| !is_usual(option) && known(option).is_none())
        .map(<[u8]>::to_vec)
        .collect();
    headers.retain(|name, _| {
        !nominated
            .iter()
            .any(|option| name.eq_ignore_ascii_case(option))
    });
}
