//! The protocol of Redis, version 2: commands as they are written, replies as they are read. What is read is bounded.
use bytes::{Buf, BytesMut};

/// The longest reply, but for what the items of a list come to.
const BYTES_MAX: usize = 65_536;
/// The longest item of a list that is counted in: a number.
const ITEM_BYTES_MAX: usize = 32;
/// How deep lists lie in lists.
const DEPTH_MAX: usize = 4;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A short text or a string.
    Text(String),
    /// An error.
    Error(String),
    /// A number.
    Integer(i64),
    /// That there is nothing.
    Nothing,
    /// Several replies.
    List(Vec<Reply>),
}

/// What was read is no reply, or one that is longer than any that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends a command.
pub fn write_command(parts: &[&[u8]], out: &mut BytesMut) {
    write_count(b'*', parts.len(), out);
    for part in parts {
        write_count(b'$', part.len(), out);
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_count(kind: u8, count: usize, out: &mut BytesMut) {
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Takes the first reply away; none: there is not all of it yet. No list in it is longer than what was asked for.
pub fn read(buffer: &mut BytesMut, items_max: usize) -> Result<Option<Reply>, Malformed> {
    let mut rest = Rest {
        bytes: buffer,
        at: 0,
        items_max,
    };
    match rest.reply(0)? {
        Some(reply) => {
            let taken = rest.at;
            buffer.advance(taken);
            Ok(Some(reply))
        }
        None if buffer.len() > BYTES_MAX + items_max * ITEM_BYTES_MAX => Err(Malformed),
        None => Ok(None),
    }
}

struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
    items_max: usize,
}

impl<'a> Rest<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let Some((kind, rest)) = line.split_first() else {
            return Err(Malformed);
        };
        Ok(Some(match kind {
            b'+' => Reply::Text(text(rest)),
            b'-' => Reply::Error(text(rest)),
            b':' => Reply::Integer(integer(rest)?),
            b'$' | b'*' if rest == b"-1" => Reply::Nothing,
            b'$' => match self.string(length(rest, BYTES_MAX)?)? {
                Some(bytes) => Reply::Text(text(bytes)),
                None => return Ok(None),
            },
            b'*' if depth < DEPTH_MAX => {
                let mut items = Vec::new();
                for _ in 0..length(rest, self.items_max)? {
                    let Some(item) = self.reply(depth + 1)? else {
                        return Ok(None);
                    };
                    items.push(item);
                }
                Reply::List(items)
            }
            _ => return Err(Malformed),
        }))
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > BYTES_MAX {
                Err(Malformed)
            } else {
                Ok(None)
            };
        };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").map(Some).ok_or(Malformed)
    }

    fn string(&mut self, length: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Malformed);
        }
        self.at += length + 2;
        Ok(Some(&rest[..length]))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn integer(digits: &[u8]) -> Result<i64, Malformed> {
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    digits.parse().map_err(|_| Malformed)
}

fn length(digits: &[u8], most: usize) -> Result<usize, Malformed> {
    let length = usize::try_from(integer(digits)?).map_err(|_| Malformed)?;
    if length > most {
        return Err(Malformed);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Reply>, Malformed> {
        let mut buffer = BytesMut::from(bytes);
        let mut replies = Vec::new();
        while let Some(reply) = read(&mut buffer, 3)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn a_command_is_a_list_of_strings() {
        let mut out = BytesMut::new();
        write_command(&[b"SELECT", b"12", b""], &mut out);
        assert_eq!(&out[..], b"*3\r\n$6\r\nSELECT\r\n$2\r\n12\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_are_read_one_after_another() {
        let bytes = b"+OK\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*3\r\n:1\r\n*0\r\n$-1\r\n-ERR no\r\n";
        let wanted = vec![
            Reply::Text("OK".to_owned()),
            Reply::Integer(-7),
            Reply::Text("a\r\n".to_owned()),
            Reply::Nothing,
            Reply::List(vec![
                Reply::Integer(1),
                Reply::List(Vec::new()),
                Reply::Nothing,
            ]),
            Reply::Error("ERR no".to_owned()),
        ];
        assert_eq!(all(bytes).unwrap(), wanted);
    }

    #[test]
    fn half_a_reply_stays_where_it_is() {
        let bytes = b"*2\r\n:1\r\n$2\r\nab\r\n";
        for cut in 0..bytes.len() {
            let mut buffer = BytesMut::from(&bytes[..cut]);
            assert_eq!(read(&mut buffer, 3), Ok(None), "{cut}");
            assert_eq!(buffer.len(), cut);
        }
    }

    #[test]
    fn what_is_no_reply_is_refused_and_so_is_what_is_too_long() {
        for bytes in [
            &b"hello\r\n"[..],
            b"\r\n",
            b"+OK\n",
            b":seven\r\n",
            b"$-2\r\n",
            b"$99999999\r\n",
            b"*99999999\r\n",
            b"$1\r\nab\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ] {
            assert_eq!(all(bytes), Err(Malformed), "{bytes:?}");
        }
        let endless = BYTES_MAX + 3 * ITEM_BYTES_MAX + 1;
        assert_eq!(all(&vec![b'+'; endless]), Err(Malformed));
    }

    #[test]
    fn a_list_is_as_long_as_what_was_asked_for_and_no_longer() {
        for items in [1, 1_027, 20_000] {
            let mut bytes = BytesMut::new();
            write_count(b'*', items, &mut bytes);
            for _ in 0..items {
                bytes.extend_from_slice(b":9223372036854775807\r\n");
            }
            let short = bytes.len() - 1;
            let mut part = BytesMut::from(&bytes[..short]);
            assert_eq!(read(&mut part, items), Ok(None));
            assert_eq!(read(&mut bytes.clone(), items - 1), Err(Malformed));
            let found = read(&mut bytes, items).unwrap();
            assert!(matches!(found, Some(Reply::List(list)) if list.len() == items));
        }
    }
}
