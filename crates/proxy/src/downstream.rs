//! From an accepted socket to a protocol: PROXY header, TLS, then HTTP/1 or HTTP/2. Each step within its time.
use std::pin::pin;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::conn_info::ConnInfo;
use crate::edge::IdentityHeaders;
use crate::recorder::Counter;
use crate::settings::ListenerSettings;
use crate::worker::Worker;
use crate::{connection, h2, proxy_protocol};

/// Start of a connection that speaks HTTP/2 without having agreed on it.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection on which HTTP can be spoken.
struct Ready {
    stream: Stream,
    info: ConnInfo,
    is_h2: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Serves one connection to its end. Each stage lies in a box of its own, so that an idle connection keeps no more
/// memory than its protocol needs.
pub(crate) async fn serve(
    stream: TcpStream,
    info: ConnInfo,
    listener: &ListenerSettings,
    worker: &Rc<Worker>,
) {
    let Some(ready) = Box::pin(prepare(stream, info, listener, worker)).await else {
        return worker.recorder.count(Counter::HandshakesFailed, 1);
    };
    let (info, worker) = (ready.info, Rc::clone(worker));
    match (ready.stream, ready.is_h2) {
        (Stream::Plain(stream), false) => {
            Box::pin(connection::serve_h1(stream, info, worker)).await;
        }
        (Stream::Tls(stream), false) => Box::pin(connection::serve_h1(stream, info, worker)).await,
        (Stream::Plain(stream), true) => Box::pin(h2::serve(stream, info, worker)).await,
        (Stream::Tls(stream), true) => Box::pin(h2::serve(stream, info, worker)).await,
    }
}

/// PROXY header and handshake; none where either fails or takes too long.
async fn prepare(
    stream: TcpStream,
    mut info: ConnInfo,
    listener: &ListenerSettings,
    worker: &Worker,
) -> Option<Ready> {
    let head_ms = worker.settings().start.limits.head_timeout_ms;
    let timer = worker.timers.timer();
    if listener.proxy_protocol {
        let read = pin!(proxy_protocol::read(&stream));
        info.proxied_for = timer.within(head_ms, read).await.ok()?.ok()?;
    }
    let (stream, is_h2) = if listener.tls {
        let tls = worker.node.downstream_tls.load_full();
        let handshake = pin!(tls.accept(stream, listener.http2));
        let (stream, session) = timer.within(head_ms, handshake).await.ok()?.ok()?;
        let is_h2 = session.is_h2;
        info.tls = Some(session);
        (Stream::Tls(Box::new(stream)), is_h2)
    } else {
        // A connection on which nothing was said yet is idle: a drain ends it.
        timer.arm_idle(head_ms);
        let is_h2 =
            listener.http2 && timer.unless_elapsed(pin!(starts_h2(&stream))).await == Ok(true);
        (Stream::Plain(stream), is_h2)
    };
    if worker.settings().start.edge.is_some() {
        info.identity = Some(Box::new(IdentityHeaders::of(&info)));
    }
    Some(Ready {
        stream,
        info,
        is_h2,
    })
}

/// Whether the first bytes are the preface of HTTP/2; they stay where they are.
async fn starts_h2(stream: &TcpStream) -> bool {
    let mut start = [0; H2_PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return false,
            Ok(length) if start[..length] != H2_PREFACE[..length] => return false,
            Ok(length) if length == H2_PREFACE.len() => return true,
            // A part of it: the socket stays readable, so waiting for it would spin.
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
}
