//! Chunked bodies.
use bytes::BytesMut;
use twinplane_proxy::h1::chunked::{ChunkDecoder, Decoded, write_size_line};

use super::Target;

/// Chunks mean the same however they are cut.
pub(super) const CHUNKS: Target = Target {
    name: "chunks",
    seeds: &[
        b"0\r\n\r\n",
        b"3\r\nabc\r\n00A;n=v;q=\"x y\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        b"fF;a\r\n\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcde\r\n0\r\n\r\n",
    ],
    pieces: &[
        b"\r\n",
        b"\n",
        b"0\r\n\r\n",
        b"1\r\nx\r\n",
        b";a=b",
        b"\"",
        b"f",
        b"\0",
        b"X: y\r\n",
    ],
    run: chunks,
};

fn chunks(body: &[u8]) -> bool {
    let Some((data, trailers, _)) = decoded(body, body.len().max(1)) else {
        for step in [1, 3] {
            assert!(decoded(body, step).is_none());
        }
        return false;
    };
    for step in [1, 2, 5, 17] {
        let (same, also, _) = decoded(body, step).expect("what was read before");
        assert_eq!((&same, &also), (&data, &trailers));
    }
    // What we write of it says the same.
    let mut written = Vec::new();
    for piece in data.chunks(7) {
        write_size_line(piece.len(), &mut written);
        written.extend_from_slice(&[piece, b"\r\n"].concat());
    }
    written.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(decoded(&written, 4).expect("what was read before").0, data);
    true
}

fn decoded(body: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let (mut decoder, mut buffer) = (ChunkDecoder::new(), BytesMut::new());
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    for piece in body.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer).ok()? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(bytes) => trailers.extend_from_slice(&bytes),
                Decoded::End => return Some((data, trailers, buffer.len())),
                Decoded::More => break,
            }
        }
    }
    None
}
