//! One connection to an upstream: how it is made, and its buffers.
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::h1::output::Output;
use crate::tls::upstream::UpstreamTls;
use crate::upstream::io::UpstreamIo;
use crate::upstream::pool::{Place, PoolKey};

/// What is read at once, at first.
pub(crate) const READ_BYTES: usize = 8_192;
/// What is read at once while a body streams.
pub(crate) const STREAM_BYTES: usize = 65_536;

/// A connection to an upstream with its buffers.
#[derive(Debug)]
pub struct UpstreamConnection {
    /// The stream.
    pub io: UpstreamIo,
    /// What was read and not yet taken.
    pub buffer: BytesMut,
    /// What is to be written.
    pub output: Output,
    /// What it may be shared by.
    pub key: PoolKey,
    /// Requests sent over it.
    pub served: u64,
    filled: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectFault {
    /// Nobody there, or the handshake was refused.
    Refused(io::Error),
    /// The host is no name that TLS could ask for.
    ServerName,
}

impl UpstreamConnection {
    /// Over a stream that is ready.
    pub fn new(io: UpstreamIo, key: PoolKey) -> Box<Self> {
        Box::new(Self {
            io,
            buffer: BytesMut::new(),
            output: Output::default(),
            key,
            served: 0,
            filled: false,
        })
    }

    /// Connects, and shakes hands where TLS is spoken.
    pub async fn open(key: PoolKey, tls: Option<&UpstreamTls>) -> Result<Box<Self>, ConnectFault> {
        let io = connect(&key, tls).await?;
        Ok(Self::new(io, key))
    }

    /// Reads more. Zero: the upstream has closed.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = poll_fill(&mut self.io, &mut self.buffer, self.filled, context);
        if let Poll::Ready(Ok(_)) = &read {
            self.filled = self.buffer.len() == self.buffer.capacity();
        }
        read
    }

    /// Whether an idle connection has been closed or spoken on by its upstream.
    pub fn is_stale(&mut self, context: &mut Context<'_>) -> bool {
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        Pin::new(&mut self.io)
            .poll_read(context, &mut buffer)
            .is_ready()
    }

    /// Lets go of large buffers before a wait.
    pub fn release_memory(&mut self) {
        self.filled = false;
        if self.buffer.capacity() > READ_BYTES {
            self.buffer = BytesMut::new();
        }
    }
}

/// A stream to where the key leads, with TLS where that is spoken.
pub async fn connect(key: &PoolKey, tls: Option<&UpstreamTls>) -> Result<UpstreamIo, ConnectFault> {
    let address = match &key.place {
        Place::Unix(path) => {
            let connected = UnixStream::connect(&**path).await;
            return connected
                .map(UpstreamIo::Unix)
                .map_err(ConnectFault::Refused);
        }
        Place::Tcp(address) => address,
    };
    let stream = TcpStream::connect(address)
        .await
        .map_err(ConnectFault::Refused)?;
    // Every message is written whole; waiting for more would only cost time.
    stream.set_nodelay(true).map_err(ConnectFault::Refused)?;
    match tls {
        None => Ok(UpstreamIo::Tcp(stream)),
        Some(tls) => Ok(UpstreamIo::Tls(Box::new(secure(stream, tls, key).await?))),
    }
}

async fn secure(
    stream: TcpStream,
    tls: &UpstreamTls,
    key: &PoolKey,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectFault> {
    let name = key.server_name.as_deref().unwrap_or_default();
    let name = ServerName::try_from(name.to_owned()).map_err(|_| ConnectFault::ServerName)?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    connector
        .connect(name, stream)
        .await
        .map_err(ConnectFault::Refused)
}

/// Reads what is there into a buffer; `is_streaming` reads more at once. Zero: the peer has closed.
pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
    io: &mut R,
    buffer: &mut BytesMut,
    is_streaming: bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
        buffer.reserve(if is_streaming {
            STREAM_BYTES
        } else {
            READ_BYTES
        });
    }
    // The future holds nothing but the two references: it may be made anew for every poll.
    pin!(io.read_buf(buffer)).poll(context)
}
