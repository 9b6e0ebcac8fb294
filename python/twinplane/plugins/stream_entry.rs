//! The entry that log plugins deliver for one stream. As of requests, the members and their names are those of a real node.
use std::time::Duration;

use twinplane_engine::exchange::Exchange;
use twinplane_engine::stream::{Stream, Transport};

use crate::json::Object;
use crate::log_entry::{write_entities, write_tls};

/// Writes the entry of a stream that is over.
pub(crate) fn write(x: &Exchange, stream: &Stream, out: &mut Vec<u8>) {
    let ms = |us: u64| i64::try_from(Duration::from_micros(us).as_millis()).unwrap_or(i64::MAX);
    let mut entry = Object::open(out);
    entry.object("session", |session| {
        // Of TLS that is passed through nothing is known but the name.
        if stream.transport == Transport::Tls {
            session.object("tls", |tls| write_tls(x, tls));
        }
        session.integer("received", x.request.bytes);
        session.integer("sent", x.response.bytes);
        session.integer("status", x.response.status);
        session.integer("server_port", x.client.listener_port);
    });
    entry.object("upstream", |upstream| {
        upstream.integer("received", stream.upstream_received);
        upstream.integer("sent", stream.upstream_sent);
    });
    entry.object("latencies", |latencies| {
        latencies.integer("kong", ms(x.times.proxy_us()));
        latencies.integer("session", ms(x.times.total_us()));
    });
    entry.text("client_ip", x.client.ip.to_string().as_bytes());
    entry.integer("started_at", x.times.started_wall_us / 1_000);
    write_entities(x, &mut entry);
    entry.close();
}
