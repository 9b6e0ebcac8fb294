//! How a stream begins: PROXY header, the client's hello, the route, the plugins, the handshake where it is ours. Each
//! step within its time and its bytes.
use std::pin::pin;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use twinplane_engine::exchange::Scheme;
use twinplane_engine::stream::{NOT_READ, Offered, Transport};

use super::hello::{BYTES_MAX, Malformed, Peeked, peek};
use super::replayed::Replayed;
use super::session::Session;
use crate::conn_info::ConnInfo;
use crate::proxy_protocol;
use crate::recorder::Counter;
use crate::settings::ListenerSettings;
use crate::timers::Timer;

// Most hellos fit.
const HELLO_BYTES: usize = 4_096;

/// The client's end, as far as it is ours to read.
#[derive(Debug)]
pub(super) enum Client {
    /// In the clear.
    Clear(TcpStream),
    /// TLS that is passed on unread.
    Passed(Replayed),
    /// TLS that ends here.
    Ended(Box<TlsStream<Replayed>>),
}

/// None: the stream is over, and the session holds why.
pub(super) async fn begin(
    stream: TcpStream,
    info: &ConnInfo,
    listener: &ListenerSettings,
    session: &mut Session,
    timer: &Timer,
) -> Option<Client> {
    let head_ms = session.worker.settings().start.limits.head_timeout_ms;
    if listener.proxy_protocol {
        let read = pin!(proxy_protocol::read(&stream));
        let read = timer.within(head_ms, read).await;
        let proxied_for = read.ok().and_then(Result::ok).or_else(|| {
            unread(session);
            None
        })?;
        session.tell_client(&ConnInfo {
            proxied_for,
            ..info.clone()
        });
    }
    if !listener.tls {
        session.admit(Offered::Clear)?;
        return Some(Client::Clear(stream));
    }
    let mut stream = stream;
    let mut first = BytesMut::with_capacity(HELLO_BYTES);
    let read = {
        let read = pin!(read_hello(&mut stream, &mut first));
        timer.within(head_ms, read).await
    };
    let Ok(Ok(sni)) = read else {
        unread(session);
        return None;
    };
    session.x.client.sni = sni.map(Into::into);
    let transport = session.admit(Offered::Tls)?;
    let stream = Replayed::new(stream, first.freeze());
    if transport == Transport::TlsPassthrough {
        return Some(Client::Passed(stream));
    }
    let worker = std::rc::Rc::clone(&session.worker);
    let server = worker.node.downstream_tls.load_full();
    let handshake = pin!(server.accept_stream(stream));
    let Ok(Ok((stream, tls))) = timer.within(head_ms, handshake).await else {
        unread(session);
        return None;
    };
    let client = &mut session.x.client;
    client.scheme = Scheme::Https;
    client.tls_version = Some(tls.version);
    client.tls_cipher = Some(tls.cipher);
    Some(Client::Ended(Box::new(stream)))
}

// What the client began with is not what was agreed on.
fn unread(session: &mut Session) {
    session.worker.recorder.count(Counter::HandshakesFailed, 1);
    session.refuse(NOT_READ);
}

async fn read_hello(
    stream: &mut TcpStream,
    first: &mut BytesMut,
) -> Result<Option<Box<str>>, Malformed> {
    loop {
        match peek(first)? {
            Peeked::Hello(sni) => return Ok(sni),
            Peeked::Partial => {}
        }
        let room = BYTES_MAX.saturating_sub(first.len());
        let read = (&mut *stream).take(room as u64).read_buf(first).await;
        if read.map_or(true, |count| count == 0) {
            return Err(Malformed);
        }
    }
}
