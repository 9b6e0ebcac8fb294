//! From an accepted socket to a protocol: PROXY header, TLS, then HTTP/1 or HTTP/2. Each step within its time.
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::conn_info::ConnInfo;
use crate::edge::IdentityHeaders;
use crate::recorder::Counter;
use crate::settings::ListenerSettings;
use crate::worker::Worker;
use crate::{connection, h2, proxy_protocol};

/// Start of a connection that speaks HTTP/2 without having agreed on it.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    mut info: ConnInfo,
    listener: &ListenerSettings,
    worker: &Rc<Worker>,
) {
    let head_ms = worker.settings.start.limits.head_timeout_ms;
    let timer = worker.timers.timer();
    if listener.proxy_protocol {
        match timer.within(head_ms, proxy_protocol::read(&stream)).await {
            Ok(Ok(source)) => info.proxied_for = source,
            Ok(Err(_)) | Err(_) => return worker.recorder.count(Counter::HandshakesFailed, 1),
        }
    }
    let is_edge = worker.settings.start.edge.is_some();
    if !listener.tls {
        if is_edge {
            info.identity = Some(Box::new(IdentityHeaders::of(&info)));
        }
        let speaks_h2 = listener.http2 && {
            // A connection on which nothing was said yet is idle: a drain ends it.
            timer.arm_idle(head_ms);
            timer.unless_elapsed(starts_h2(&stream)).await == Ok(true)
        };
        drop(timer);
        return speak(stream, info, speaks_h2, worker).await;
    }
    let handshake = worker.node.downstream_tls.accept(stream, listener.http2);
    let Ok(Ok((stream, session))) = timer.within(head_ms, handshake).await else {
        return worker.recorder.count(Counter::HandshakesFailed, 1);
    };
    drop(timer);
    let is_h2 = session.is_h2;
    info.tls = Some(session);
    if is_edge {
        info.identity = Some(Box::new(IdentityHeaders::of(&info)));
    }
    speak(stream, info, is_h2, worker).await;
}

async fn speak<T>(stream: T, info: ConnInfo, is_h2: bool, worker: &Rc<Worker>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if is_h2 {
        h2::serve(stream, info, Rc::clone(worker)).await;
    } else {
        connection::serve_h1(stream, info, Rc::clone(worker)).await;
    }
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
