//! Passes the bytes of a connection both ways until both ends have closed or nothing has passed for too long. An end that
//! closes its half is told to the other, which may go on; a side that is slow to take slows the one that sends.
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::timers::Timer;

/// What is read at once, and so what is held of one way at most.
const PIECE_BYTES: usize = 65_536;

thread_local! {
    // One for all sessions of a worker: an idle session holds no buffer at all.
    static PIECE: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE_BYTES].into());
}

/// Lends what all sessions of a worker read into. Not to be held across an await.
pub(super) fn with_piece<T>(act: impl FnOnce(&mut [u8]) -> T) -> T {
    PIECE.with_borrow_mut(|piece| act(piece))
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Bytes received from the client.
    pub(super) received: u64,
    /// Bytes sent to the client.
    pub(super) sent: u64,
    /// Bytes sent to the upstream.
    pub(super) upstream_sent: u64,
    /// Bytes received from the upstream.
    pub(super) upstream_received: u64,
}

/// Passes bytes to the end, first those that were read of the client `early`; `passed` is right at any time.
pub(super) async fn run<C, U>(
    client: &mut C,
    early: BytesMut,
    upstream: &mut U,
    timer: &Timer,
    idle_ms: u64,
    passed: &mut Passed,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut down = Way::default();
    let mut up = Way {
        read: early.len() as u64,
        held: early,
        ..Way::default()
    };
    timer.arm(idle_ms);
    poll_fn(|context| {
        let before = up.written + down.written;
        let upward = up.poll(client, upstream, context);
        let downward = down.poll(upstream, client, context);
        *passed = Passed {
            received: up.read,
            sent: down.written,
            upstream_sent: up.written,
            upstream_received: down.read,
        };
        if up.written + down.written != before {
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
}

/// One way: what was read and could not be written yet.
#[derive(Debug, Default)]
struct Way {
    held: BytesMut,
    read: u64,
    written: u64,
    is_closing: bool,
    is_done: bool,
    // The source broke: what it sent before is delivered first.
    broken: Option<io::Error>,
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
            while !self.held.is_empty() {
                let count = ready!(Pin::new(&mut *sink).poll_write(context, &self.held))?;
                self.wrote(count)?;
                self.held.advance(count);
            }
            self.held = BytesMut::new();
            if self.broken.is_some() {
                ready!(Pin::new(&mut *sink).poll_flush(context))?;
                return Poll::Ready(self.broken.take().map_or(Ok(()), Err));
            }
            if self.is_closing {
                ready!(Pin::new(&mut *sink).poll_shutdown(context))?;
                self.is_done = true;
                return Poll::Ready(Ok(()));
            }
            let piece = with_piece(|piece| self.piece(source, sink, context, piece));
            if piece?.is_pending() {
                // TLS holds back what it was given until it is flushed.
                ready!(Pin::new(&mut *sink).poll_flush(context))?;
                return Poll::Pending;
            }
        }
    }

    // Reads a piece and writes what the sink takes of it at once; the rest is held.
    fn piece<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        context: &mut Context<'_>,
        piece: &mut [u8],
    ) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = ReadBuf::new(piece);
        match Pin::new(source).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(Poll::Pending),
            // An end of TLS that goes without a word has ended all the same.
            Poll::Ready(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                self.broken = Some(error);
                return Ok(Poll::Ready(()));
            }
            Poll::Ready(_) => {}
        }
        let mut data = buffer.filled();
        self.read += data.len() as u64;
        self.is_closing = data.is_empty();
        while !data.is_empty() {
            match Pin::new(&mut *sink).poll_write(context, data)? {
                Poll::Ready(count) => {
                    self.wrote(count)?;
                    data = &data[count..];
                }
                Poll::Pending => {
                    self.held.extend_from_slice(data);
                    break;
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    fn wrote(&mut self, count: usize) -> io::Result<()> {
        self.written += count as u64;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Gives a few bytes, then fails.
    struct Source(&'static [u8], io::ErrorKind);

    impl AsyncRead for Source {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(self.1.into()));
            }
            buffer.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    /// Holds back what it is given until it is flushed for the second time, as TLS over a full socket.
    #[derive(Default)]
    struct Sink {
        held: Vec<u8>,
        sent: Vec<u8>,
        flushes: usize,
        is_shut: bool,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(data);
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            if self.flushes == 1 {
                return Poll::Pending;
            }
            let held = std::mem::take(&mut self.held);
            self.sent.extend(held);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            ready!(self.as_mut().poll_flush(context))?;
            self.is_shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn end(kind: io::ErrorKind) -> (Poll<io::Result<()>>, Sink) {
        let (mut way, mut source, mut sink) =
            (Way::default(), Source(b"tail", kind), Sink::default());
        let mut context = Context::from_waker(Waker::noop());
        assert!(way.poll(&mut source, &mut sink, &mut context).is_pending());
        let ended = way.poll(&mut source, &mut sink, &mut context);
        (ended, sink)
    }

    #[test]
    fn an_end_without_a_word_is_an_end() {
        let (ended, sink) = end(io::ErrorKind::UnexpectedEof);
        assert!(matches!(ended, Poll::Ready(Ok(()))));
        assert_eq!((sink.sent.as_slice(), sink.is_shut), (&b"tail"[..], true));
    }

    #[test]
    fn what_came_before_a_fault_is_delivered_and_not_called_whole() {
        let (ended, sink) = end(io::ErrorKind::ConnectionReset);
        assert!(matches!(ended, Poll::Ready(Err(_))));
        assert_eq!((sink.sent.as_slice(), sink.is_shut), (&b"tail"[..], false));
    }
}
