//! After a 101 of the upstream: bytes pass both ways untouched until one side closes or both fall silent. No byte of the
//! client passed before that answer.
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::timers::Timer;
use crate::upstream::connection::{UpstreamConnection, poll_fill};

/// The upstream's end of a tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// The connection, with what the upstream sent right after its answer.
    pub connection: Box<UpstreamConnection>,
    /// Silence after which the tunnel is closed.
    pub idle_ms: u64,
}

/// What passed through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from the client.
    pub up: u64,
    /// Bytes to the client.
    pub down: u64,
}

/// Passes bytes until the tunnel ends. `early` is what the client sent behind its request.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    early: BytesMut,
    tunnel: Tunnel,
    timer: &Timer,
) -> Passed {
    let Tunnel {
        connection,
        idle_ms,
    } = tunnel;
    let UpstreamConnection { mut io, buffer, .. } = *connection;
    let mut up = Way {
        buffer: early,
        ..Way::default()
    };
    let mut down = Way {
        buffer,
        ..Way::default()
    };
    timer.arm(idle_ms);
    poll_fn(|context| {
        let before = up.passed + down.passed;
        let upward = up.poll(client, &mut io, context);
        let downward = down.poll(&mut io, client, context);
        if up.passed + down.passed != before {
            timer.arm(idle_ms);
        }
        match (upward, downward) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(())))
            | (Poll::Ready(Err(_)), _)
            | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            _ => timer.poll_elapsed(context),
        }
    })
    .await;
    timer.disarm();
    Passed {
        up: up.passed,
        down: down.passed,
    }
}

#[derive(Debug, Default)]
struct Way {
    buffer: BytesMut,
    passed: u64,
    is_closing: bool,
    is_done: bool,
}

impl Way {
    // Ready when the source has closed and the sink was told so.
    fn poll<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.is_done {
            return Poll::Ready(Ok(()));
        }
        loop {
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *sink).poll_write(context, &self.buffer))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(written);
                self.passed += written as u64;
            }
            if self.is_closing {
                ready!(Pin::new(&mut *sink).poll_shutdown(context))?;
                self.is_done = true;
                return Poll::Ready(Ok(()));
            }
            match poll_fill(source, &mut self.buffer, false, context) {
                Poll::Ready(Ok(0)) => self.is_closing = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // TLS holds back what it was given until it is flushed.
                    ready!(Pin::new(&mut *sink).poll_flush(context))?;
                    return Poll::Pending;
                }
            }
        }
    }
}
