//! What is to be written next: a head, at most one large piece of a body beside it, and a few bytes after. Goes out in
//! one vectored write; nothing is allocated between messages.
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::h1::chunked::write_size_line;

// Up to this size a piece is copied beside the head: one plain write costs less than a vectored one.
const COPIED_BYTES_MAX: usize = 4_096;

/// Bytes waiting to be written.
#[derive(Debug, Default)]
pub struct Output {
    before: Vec<u8>,
    piece: Bytes,
    after: Vec<u8>,
    written: usize,
}

impl Output {
    /// Where heads are written. Only while no piece of a body waits.
    pub fn head(&mut self) -> &mut Vec<u8> {
        if self.piece.is_empty() {
            &mut self.before
        } else {
            &mut self.after
        }
    }

    /// Adds a piece of a body.
    pub fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED_BYTES_MAX || !self.piece.is_empty() {
            self.head().extend_from_slice(&data);
        } else {
            self.piece = data;
        }
    }

    /// Adds a piece of a body as a chunk.
    pub fn push_chunk(&mut self, data: Bytes) {
        write_size_line(data.len(), self.head());
        self.push(data);
        self.head().extend_from_slice(b"\r\n");
    }

    /// Bytes not yet written.
    pub fn pending(&self) -> usize {
        self.before.len() + self.piece.len() + self.after.len() - self.written
    }

    /// Bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.before.capacity() + self.after.capacity()
    }

    /// Forgets what was not written.
    pub fn clear(&mut self) {
        self.before.clear();
        self.piece = Bytes::new();
        self.after.clear();
        self.written = 0;
    }

    /// Writes until nothing is left.
    pub fn poll_write_all<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.pending() > 0 {
            let written = ready!(self.poll_write(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.clear();
        Pin::new(io).poll_flush(cx)
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let parts = [&self.before[..], &self.piece, &self.after];
        let mut skip = self.written;
        let mut slices = [IoSlice::new(&[]), IoSlice::new(&[]), IoSlice::new(&[])];
        let mut count = 0;
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
        if count == 1 {
            return Pin::new(io).poll_write(cx, &slices[0]);
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Takes three bytes at a time.
    struct Slow(Vec<u8>);

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = data.len().min(3);
            self.0.extend_from_slice(&data[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn everything_goes_out_in_order_through_a_slow_writer() {
        let (mut output, mut slow) = (Output::default(), Slow(Vec::new()));
        let large = Bytes::from(vec![b'x'; 5_000]);
        output.head().extend_from_slice(b"HEAD ");
        output.push_chunk(Bytes::from_static(b"small"));
        output.push_chunk(large.clone());
        output.push_chunk(large.clone());
        output.head().extend_from_slice(b"0\r\n\r\n");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(
            output.poll_write_all(&mut slow, &mut cx),
            Poll::Ready(Ok(()))
        ));
        let large = String::from_utf8(large.to_vec()).unwrap();
        let wanted = format!("HEAD 5\r\nsmall\r\n1388\r\n{large}\r\n1388\r\n{large}\r\n0\r\n\r\n");
        assert_eq!(String::from_utf8(slow.0).unwrap(), wanted);
        assert_eq!(output.pending(), 0);
    }
}
