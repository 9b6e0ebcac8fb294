//! A body as it comes in: takes its bytes from the front of a read buffer, and never one byte that is not its own.
use bytes::{Bytes, BytesMut};
use twinplane_engine::exchange::Framing;

use crate::h1::chunked::{ChunkDecoder, Decoded};
use crate::h1::fault::RequestFault;
use crate::h1::framing::ResponseFraming;

/// What is left of a body that comes in.
#[derive(Clone, Copy, Debug)]
pub enum IncomingBody {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(ChunkDecoder),
    /// Whatever comes until the peer closes.
    Close,
}

impl IncomingBody {
    /// The body of a request.
    pub const fn of_request(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkDecoder::new()),
        }
    }

    /// The body of a response.
    pub const fn of_response(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None { .. } => Self::Length(0),
            ResponseFraming::Length(length) => Self::Length(length),
            ResponseFraming::Chunked => Self::Chunked(ChunkDecoder::new()),
            ResponseFraming::Close => Self::Close,
        }
    }

    /// Takes what is there. After the end it says so again and again.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Decoded, RequestFault> {
        match self {
            Self::Length(0) => Ok(Decoded::End),
            Self::Chunked(decoder) => decoder.decode(buffer),
            Self::Length(_) | Self::Close if buffer.is_empty() => Ok(Decoded::More),
            Self::Length(left) => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                *left -= taken as u64;
                Ok(Decoded::Data(take_all(buffer, taken)))
            }
            Self::Close => Ok(Decoded::Data(take_all(buffer, buffer.len()))),
        }
    }

    /// Whether all of it was taken. A body up to the peer's closing never is.
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_ended(),
            Self::Close => false,
        }
    }
}

fn take_all(buffer: &mut BytesMut, bytes: usize) -> Bytes {
    buffer.split_to(bytes).freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_its_own_bytes_and_no_more() {
        let mut body = IncomingBody::Length(5);
        let mut buffer = BytesMut::from(&b"abc"[..]);
        assert_eq!(
            body.take(&mut buffer),
            Ok(Decoded::Data(Bytes::from_static(b"abc")))
        );
        assert_eq!(body.take(&mut buffer), Ok(Decoded::More));
        buffer.extend_from_slice(b"deGET /");
        assert_eq!(
            body.take(&mut buffer),
            Ok(Decoded::Data(Bytes::from_static(b"de")))
        );
        assert_eq!(body.take(&mut buffer), Ok(Decoded::End));
        assert_eq!(&buffer[..], b"GET /");
    }

    #[test]
    fn a_body_up_to_the_close_never_ends_by_itself() {
        let mut body = IncomingBody::Close;
        let mut buffer = BytesMut::from(&b"abc"[..]);
        assert_eq!(
            body.take(&mut buffer),
            Ok(Decoded::Data(Bytes::from_static(b"abc")))
        );
        assert_eq!(body.take(&mut buffer), Ok(Decoded::More));
        assert!(!body.is_ended());
    }
}
