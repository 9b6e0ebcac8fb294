//! Replies of a store of counters.
use bytes::BytesMut;
use twinplane_proxy::counter_store::resp::{self, Reply};

use super::Target;

/// The longest list that is asked for.
const ITEMS_MAX: usize = 64;

/// A reply is read when it is whole, the same however it came, and never out of a part of it.
pub(super) const REPLY: Target = Target {
    name: "reply",
    seeds: &[
        b"+OK\r\n",
        b"-NOSCRIPT No matching script\r\n",
        b":-12\r\n",
        b"$-1\r\n",
        b"$5\r\nab\r\nc\r\n:1\r\n",
        b"*3\r\n:1\r\n*1\r\n$0\r\n\r\n*-1\r\n+rest\r\n",
    ],
    pieces: &[
        b"\r\n",
        b"\n",
        b"*",
        b"$",
        b":",
        b"+",
        b"-1",
        b"*2\r\n",
        b"$3\r\n",
        b"99999999999999999999",
        b"\0",
    ],
    run: reply,
};

fn reply(bytes: &[u8]) -> bool {
    let mut buffer = BytesMut::from(bytes);
    let Ok(Some(found)) = resp::read(&mut buffer, ITEMS_MAX) else {
        return false;
    };
    let length = bytes.len() - buffer.len();
    assert!(0 < length && bytes[length..] == buffer[..]);
    for cut in 0..length {
        let mut part = BytesMut::from(&bytes[..cut]);
        assert_eq!(resp::read(&mut part, ITEMS_MAX), Ok(None), "{cut}");
        assert_eq!(part.len(), cut);
    }
    assert!(items(&found) <= length);
    true
}

fn items(reply: &Reply) -> usize {
    match reply {
        Reply::List(list) => 1 + list.iter().map(items).sum::<usize>(),
        _ => 1,
    }
}
