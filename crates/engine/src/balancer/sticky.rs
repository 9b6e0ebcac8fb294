//! Sticky sessions: each peer has a number that a client's cookie carries. It follows from where the peer is, so that
//! every node of a fleet reads the cookie alike; it names no address.
use super::Peer;
use super::xxhash::xxhash32;

/// The numbers of peers, in their order.
pub(super) fn numbers(peers: &[Peer]) -> Box<[u32]> {
    let number = |peer: &Peer| {
        let place = format!("{} {}::{}", peer.host, peer.address, peer.port);
        xxhash32(place.as_bytes())
    };
    peers.iter().map(number).collect()
}

/// The number in a cookie: eight hexadecimal digits, nothing else.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    let is_number = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_eight_digits_are_a_number() {
        assert_eq!(number(b"0000002a"), Some(42));
        for odd in [
            b"+000002a".as_slice(),
            b"2a",
            b"",
            b"0000002a0",
            b"zzzzzzzz",
            b"\xff0000000",
        ] {
            assert_eq!(number(odd), None, "{odd:?}");
        }
    }
}
