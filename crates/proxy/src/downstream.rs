//! From an accepted socket to a protocol: PROXY header, TLS, then HTTP/1 or HTTP/2. Each step within its time.
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::conn_info::ConnInfo;
use crate::edge::IdentityHeaders;
use crate::recorder::Counter;
use crate::settings::ListenerSettings;
use crate::worker::Worker;
use crate::{connection, h2, proxy_protocol};

/// Between looks at a first part, ever longer; many clients that send no more than that cost little.
pub(crate) const PAUSE_MS: u64 = 5;
pub(crate) const PAUSE_MS_MAX: u64 = 320;

/// Start of a connection that speaks HTTP/2 without having agreed on it.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So much is looked at to tell.
const START_BYTES: usize = 512;

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
        let start = if listener.http2 {
            let asked = timer.unless_elapsed(pin!(start_of(&stream))).await;
            asked.unwrap_or(Start::Http1)
        } else {
            Start::Http1
        };
        if start == Start::Neither {
            // What was not read would turn the close into a reset.
            let _read = stream.try_read(&mut [0; START_BYTES]);
            return None;
        }
        (Stream::Plain(stream), start == Start::Http2)
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

/// What a connection in the clear begins with, where both versions are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The preface of HTTP/2.
    Http2,
    /// Anything else that may be HTTP/1.
    Http1,
    /// A line that names no version of HTTP.
    Neither,
}

/// What the first bytes are; they stay where they are.
async fn start_of(stream: &TcpStream) -> Start {
    let mut start = [0; START_BYTES];
    let mut pause_ms = PAUSE_MS;
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return Start::Http1,
            Ok(length) => {
                if let Some(start) = judge(&start[..length]) {
                    return start;
                }
            }
        }
        // A part of it: the socket stays readable, so waiting for it would spin.
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

// None: more has to come. A peer that tried to speak HTTP/2 would take an answer of HTTP/1 for frames, so that what is
// neither gets none.
fn judge(start: &[u8]) -> Option<Start> {
    let common = start.len().min(H2_PREFACE.len());
    if start[..common] == H2_PREFACE[..common] {
        return (common == H2_PREFACE.len()).then_some(Start::Http2);
    }
    let line = memchr::memchr(b'\n', start).map(|end| &start[..end]);
    let is_neither = line.is_some_and(|line| memchr::memmem::find(line, b" HTTP/").is_none());
    Some(if is_neither {
        Start::Neither
    } else {
        Start::Http1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_told_apart_by_their_first_line() {
        for (start, wanted) in [
            (
                &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"[..],
                Some(Start::Http2),
            ),
            (b"PRI * HTTP/2.0\r\n\r\n", None),
            (b"P", None),
            (b"POST /", Some(Start::Http1)),
            (b"GET / HTTP/1.1\r\n", Some(Start::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Some(Start::Http1)),
            (b"INVALID CONNECTION PREFACE\r\n\r\n", Some(Start::Neither)),
            (b"INVALID CONNECTION", Some(Start::Http1)),
        ] {
            assert_eq!(judge(start), wanted, "{}", String::from_utf8_lossy(start));
        }
    }
}
