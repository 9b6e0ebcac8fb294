//! Watches the frames that a client sends and ends the connection when it floods: frames that cost work and carry nothing
//! (pings, settings, resets, empty data) spend a budget that useful traffic and time refill.
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// What a connection may spend at once.
const BUDGET_MAX: i64 = 1_000;
/// What each second gives back.
const PER_SECOND: i64 = 10;
/// A stream that is opened and reset may have cost an upstream connection.
const RESET_COST: i64 = 10;
/// What a request served to its end gives back.
const REQUEST_GAIN: i64 = 10;
/// So many bytes of bodies, either way, give back one.
const BYTES_PER_GAIN: u64 = 4_096;

const PREFACE_BYTES: u64 = 24;
const HEADER_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// What is left of a connection's budget.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<i64>,
    refilled_ms: Cell<u64>,
    bytes: Cell<u64>,
    clock: Clock,
}

impl Budget {
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        let refilled_ms = Cell::new(clock.now_ms());
        Rc::new(Self {
            left: Cell::new(BUDGET_MAX),
            refilled_ms,
            bytes: Cell::new(0),
            clock,
        })
    }

    /// A request was served to its end.
    pub(crate) fn request_served(&self) {
        self.gain(REQUEST_GAIN);
    }

    /// Whether the client has flooded.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() < 0
    }

    fn gain(&self, gain: i64) {
        self.left.set((self.left.get() + gain).min(BUDGET_MAX));
    }

    fn moved(&self, bytes: u64) {
        let total = self.bytes.get() + bytes;
        self.gain(i64::try_from(total / BYTES_PER_GAIN).unwrap_or(BUDGET_MAX));
        self.bytes.set(total % BYTES_PER_GAIN);
    }

    fn spend(&self, cost: i64) {
        self.left.set(self.left.get() - cost);
        if self.left.get() < 0 {
            let now = self.clock.now_ms();
            let seconds =
                i64::try_from((now - self.refilled_ms.get()) / 1_000).unwrap_or(BUDGET_MAX);
            self.refilled_ms.set(now);
            self.gain(seconds.saturating_mul(PER_SECOND).min(BUDGET_MAX));
        }
    }
}

/// A connection whose frames are watched as they are read.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    io: T,
    budget: Rc<Budget>,
    // Bytes that belong to the preface or to the payload of the frame before.
    skip: u64,
    header: [u8; HEADER_BYTES],
    seen: usize,
}

impl<T> Guarded<T> {
    pub(crate) fn new(io: T, budget: Rc<Budget>) -> Self {
        Self {
            io,
            budget,
            skip: PREFACE_BYTES,
            header: [0; HEADER_BYTES],
            seen: 0,
        }
    }

    fn watch(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.skip -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEADER_BYTES - self.seen).min(bytes.len());
            self.header[self.seen..self.seen + taken].copy_from_slice(&bytes[..taken]);
            self.seen += taken;
            bytes = &bytes[taken..];
            if self.seen == HEADER_BYTES {
                self.seen = 0;
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = u64::from(u32::from_be_bytes([0, high, middle, low]));
        self.skip = length;
        match kind {
            DATA if length > 0 => self.budget.moved(length),
            // The end of a body may well be empty.
            DATA if flags & 1 != 0 => {}
            // Header blocks are bounded by the parser; a request gives back when it is served.
            HEADERS => {}
            CONTINUATION if length > 0 => {}
            RST_STREAM => self.budget.spend(RESET_COST),
            _ => self.budget.spend(1),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.watch(&buffer.filled()[before..]);
        if self.budget.is_spent() {
            return Poll::Ready(Err(io::Error::other("the client floods")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.budget.moved(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices))?;
        self.budget.moved(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    fn is_flood(frames: &[Vec<u8>], times: usize) -> bool {
        let budget = Budget::new(Clock::start());
        let mut guarded = Guarded::new((), Rc::clone(&budget));
        guarded.watch(&[0; 24]);
        for _ in 0..times {
            // Byte by byte: frames come cut anywhere.
            frames
                .iter()
                .flatten()
                .for_each(|byte| guarded.watch(&[*byte]));
        }
        budget.is_spent()
    }

    #[test]
    fn frames_that_carry_nothing_are_a_flood() {
        let ping = frame(6, 0, &[0; 8]);
        assert!(!is_flood(std::slice::from_ref(&ping), 900));
        assert!(is_flood(&[ping], 1_001));
        assert!(is_flood(&[frame(4, 0, &[])], 1_001), "settings");
        assert!(is_flood(&[frame(2, 0, &[0; 5])], 1_001), "priority");
        assert!(is_flood(&[frame(0, 0, &[])], 1_001), "empty data");
        assert!(
            is_flood(&[frame(1, 4, &[1; 20]), frame(3, 0, &[0; 4])], 101),
            "rapid reset"
        );
        assert!(is_flood(&[frame(9, 0, &[])], 1_001), "empty continuation");
    }

    #[test]
    fn useful_traffic_is_not() {
        assert!(!is_flood(
            &[frame(0, 0, &[1; 16_384]), frame(8, 0, &[0; 4])],
            5_000
        ));
        assert!(!is_flood(&[frame(1, 5, &[1; 20])], 5_000));
    }
}
