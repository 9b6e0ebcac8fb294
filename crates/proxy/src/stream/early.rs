//! Listens to a client while its upstream is looked up and connected to: what it sends is held, within a bound, and one that
//! leaves ends the search at once.
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::pump::with_piece;

/// Held before there is an upstream; more waits in the socket.
const EARLY_BYTES_MAX: usize = 65_536;

/// What an end of a client's sending means before there is an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halves {
    /// It may have said all and wait for the answer, if it has said anything.
    Two,
    /// It has left: what it began cannot go on one way.
    One,
}

/// Ready once the client has left. What it has sent meanwhile is in `early`.
pub(super) async fn left<C>(client: &mut C, early: &mut BytesMut, halves: Halves)
where
    C: AsyncRead + Unpin,
{
    poll_fn(|context| poll_left(client, early, halves, context)).await;
}

fn poll_left<C>(
    client: &mut C,
    early: &mut BytesMut,
    halves: Halves,
    context: &mut Context<'_>,
) -> Poll<()>
where
    C: AsyncRead + Unpin,
{
    while early.len() < EARLY_BYTES_MAX {
        match with_piece(|piece| poll_piece(client, early, piece, context)) {
            Poll::Ready(Ok(1..)) => {}
            // An end of TLS that goes without a word has ended all the same.
            Poll::Ready(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Poll::Ready(());
            }
            Poll::Ready(_) if halves == Halves::One || early.is_empty() => return Poll::Ready(()),
            // An end behind bytes is read once more where those are passed on.
            Poll::Pending | Poll::Ready(_) => return Poll::Pending,
        }
    }
    Poll::Pending
}

fn poll_piece<C>(
    client: &mut C,
    early: &mut BytesMut,
    piece: &mut [u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>>
where
    C: AsyncRead + Unpin,
{
    let room = piece.len().min(EARLY_BYTES_MAX - early.len());
    let mut buffer = ReadBuf::new(&mut piece[..room]);
    Pin::new(client)
        .poll_read(context, &mut buffer)
        .map_ok(|()| {
            early.extend_from_slice(buffer.filled());
            buffer.filled().len()
        })
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_left(client: &[u8], halves: Halves) -> (bool, Vec<u8>) {
        let (mut client, mut early) = (client, BytesMut::new());
        let mut context = Context::from_waker(Waker::noop());
        let left = poll_left(&mut client, &mut early, halves, &mut context);
        (left.is_ready(), early.to_vec())
    }

    #[test]
    fn one_that_has_said_nothing_has_left_and_one_that_asked_waits() {
        assert_eq!(is_left(b"", Halves::Two), (true, vec![]));
        assert_eq!(is_left(b"ask", Halves::Two), (false, b"ask".to_vec()));
        assert_eq!(is_left(b"ask", Halves::One), (true, b"ask".to_vec()));
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let long = vec![b'x'; EARLY_BYTES_MAX + 1];
        let (left, early) = is_left(&long, Halves::One);
        assert_eq!((left, early.len()), (false, EARLY_BYTES_MAX));
    }
}
