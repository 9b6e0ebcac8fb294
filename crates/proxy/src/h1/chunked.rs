//! The chunked coding, strictly: hexadecimal sizes, well-formed extensions, CRLF, nothing else.
use bytes::{Buf, Bytes, BytesMut};

use crate::h1::fault::RequestFault;
use crate::h1::scan::{self, HeadLimits};

// A chunk's size line with its extensions.
const SIZE_LINE_BYTES_MAX: usize = 256;
const TRAILER_LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 8_192,
    line_bytes_max: 8_192,
    fields_max: 64,
};

/// What the decoder made of the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Data of the body.
    Data(Bytes),
    /// The body has ended with these fields, as they came, up to and with the empty line.
    Trailers(Bytes),
    /// The body has ended.
    End,
    /// Nothing yet: more bytes are needed.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    End,
}

/// Takes a chunked body apart, however it is cut.
#[derive(Clone, Copy, Debug)]
pub struct ChunkDecoder {
    state: State,
}

impl ChunkDecoder {
    /// At the start of a body.
    pub const fn new() -> Self {
        Self { state: State::Size }
    }

    /// Takes what it can from the front of `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, RequestFault> {
        loop {
            match self.state {
                State::Size => {
                    let Some((size, line_bytes)) = size_line(buffer)? else {
                        return Ok(Decoded::More);
                    };
                    buffer.advance(line_bytes);
                    self.state = if size == 0 {
                        State::Trailers
                    } else {
                        State::Data(size)
                    };
                }
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::More);
                    }
                    let taken = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len());
                    let left = left - taken as u64;
                    self.state = if left == 0 {
                        State::DataEnd
                    } else {
                        State::Data(left)
                    };
                    return Ok(Decoded::Data(buffer.split_to(taken).freeze()));
                }
                State::DataEnd => {
                    if !b"\r\n".starts_with(&buffer[..buffer.len().min(2)]) {
                        return Err(RequestFault::Malformed);
                    }
                    if buffer.len() < 2 {
                        return Ok(Decoded::More);
                    }
                    buffer.advance(2);
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(bytes) = scan::trailers(buffer, &TRAILER_LIMITS)? else {
                        return Ok(Decoded::More);
                    };
                    self.state = State::End;
                    let fields = buffer.split_to(bytes);
                    if fields.len() > 2 {
                        return Ok(Decoded::Trailers(fields.freeze()));
                    }
                }
                State::End => return Ok(Decoded::End),
            }
        }
    }

    /// Whether the end was seen.
    pub fn is_ended(&self) -> bool {
        self.state == State::End
    }
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self::new()
    }
}

// The size, and the bytes of its line.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, RequestFault> {
    let Some(feed) = memchr::memchr(b'\n', &bytes[..bytes.len().min(SIZE_LINE_BYTES_MAX)]) else {
        let is_bad = bytes.len() >= SIZE_LINE_BYTES_MAX
            || bytes.first().is_some_and(|byte| !byte.is_ascii_hexdigit());
        return if is_bad {
            Err(RequestFault::Malformed)
        } else {
            Ok(None)
        };
    };
    let line = bytes[..feed]
        .strip_suffix(b"\r")
        .ok_or(RequestFault::Malformed)?;
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if digits == 0 || digits > 15 || !is_extension(&line[digits..]) {
        return Err(RequestFault::Malformed);
    }
    let size = line[..digits]
        .iter()
        .fold(0, |size, digit| size << 4 | u64::from(hex(*digit)));
    Ok(Some((size, feed + 1)))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

// Nothing, or `;name[=value]` any number of times.
fn is_extension(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b";") else {
        return bytes.is_empty();
    };
    let is_token = |text: &[u8]| {
        !text.is_empty()
            && text
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b'=' | b'"'))
    };
    let is_quoted = |text: &[u8]| {
        text.len() >= 2
            && text[0] == b'"'
            && text[text.len() - 1] == b'"'
            && text[1..text.len() - 1]
                .iter()
                .all(|byte| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\' | b';'))
    };
    rest.split(|byte| *byte == b';')
        .all(|part| match part.iter().position(|byte| *byte == b'=') {
            None => is_token(part),
            Some(at) => {
                is_token(&part[..at]) && (is_token(&part[at + 1..]) || is_quoted(&part[at + 1..]))
            }
        })
}

/// Writes the size line of a chunk.
pub fn write_size_line(size: usize, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 16];
    let mut at = digits.len();
    let mut left = size;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_cut(body: &[u8], step: usize) -> Result<(Vec<u8>, usize), RequestFault> {
        let (mut decoder, mut buffer, mut data) =
            (ChunkDecoder::new(), BytesMut::new(), Vec::new());
        for piece in body.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer)? {
                    Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                    Decoded::Trailers(fields) => assert_eq!(&fields[..], b"X-T: 1\r\n\r\n"),
                    Decoded::More => break,
                    Decoded::End => return Ok((data, buffer.len())),
                }
            }
        }
        panic!("not ended")
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let body = b"3\r\nabc\r\n00A;n=v;q=\"x y\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";
        for step in 1..body.len() {
            assert_eq!(
                decode_cut(body, step),
                Ok((b"abc0123456789".to_vec(), 0)),
                "{step}"
            );
        }
        assert_eq!(decode_cut(b"0\r\n\r\nGET", 100), Ok((Vec::new(), 3)));
    }

    #[test]
    fn anything_else_is_refused() {
        let cases: &[&[u8]] = &[
            b"zz\r\n",
            b"\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1\n",
            b"1;\r\n",
            b"1;a\nb\r\n",
            b"1;a=\x01\r\n",
            b"1;a b\r\n",
            b"1;=\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"3\r\nabc\rX",
            b"1000000000000000\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\n X: 1\r\n\r\n",
        ];
        for case in cases {
            for step in [1, 100] {
                assert_eq!(
                    decode_cut(case, step),
                    Err(RequestFault::Malformed),
                    "{:?}",
                    String::from_utf8_lossy(case)
                );
            }
        }
        let long = [b"1;".to_vec(), vec![b'a'; 300]].concat();
        assert_eq!(decode_cut(&long, 50), Err(RequestFault::Malformed));
    }

    #[test]
    fn size_lines_are_hexadecimal() {
        for (size, line) in [(0, "0\r\n"), (15, "f\r\n"), (4096, "1000\r\n")] {
            let mut out = Vec::new();
            write_size_line(size, &mut out);
            assert_eq!(out, line.as_bytes());
        }
    }
}
