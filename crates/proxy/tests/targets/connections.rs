//! What a connection begins with, before anybody speaks HTTP on it, and what is told of a call in its end.
use twinplane_engine::answer::Answer;
use twinplane_proxy::stream::hello::{self, Peeked};
use twinplane_proxy::{grpc, proxy_protocol};

use super::Target;

/// A header of a balancer is read exactly, and never out of a part of it.
pub(super) const PROXY_PROTOCOL: Target = Target {
    name: "proxy_protocol",
    seeds: &[
        b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n",
        b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n",
        b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0P\x01\xbb",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\0P\x01\xbbGET",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ],
    pieces: &[
        b"\r\n",
        b"\n",
        b" ",
        b"PROXY ",
        b"TCP4",
        b"TCP6",
        b"::1",
        b"65536",
        b"-1",
        b"\0",
        b"\xff\xff",
        b"\x21",
        b"\x20",
    ],
    run: balancer,
};

fn balancer(bytes: &[u8]) -> bool {
    let Ok(Some((length, source))) = proxy_protocol::parse(bytes) else {
        return false;
    };
    assert!(0 < length && length <= bytes.len());
    // What follows the header says nothing of it, and no part of it is one.
    let whole = proxy_protocol::parse(&bytes[..length]).expect("the header alone");
    assert_eq!(whole, Some((length, source)));
    for cut in 1..length {
        let part = proxy_protocol::parse(&bytes[..cut]).expect("the beginning of a header");
        assert_eq!(part, None, "{cut}");
    }
    true
}

/// A server name is read out of a whole hello alone, and is a name.
pub(super) const CLIENT_HELLO: Target = Target {
    name: "client_hello",
    seeds: &[
        // A name, and an extension of no interest before it.
        b"\x16\x03\x01\0\x4a\x01\0\0\x46\x03\x03\
          RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR\x02ss\0\x02\x13\x01\x01\0\0\x19\
          \0\x2b\0\x03\x02\x03\x04\0\0\0\x0e\0\x0c\0\0\x09a.Example",
        // None, as of old.
        b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x01RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR\0\0\x02\0\x2f\x01\0",
        // In two records.
        b"\x16\x03\x01\0\x05\x01\0\0\x29\x03\x16\x03\x01\0\x28\x01RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR\0\0\x02\0\x2f\x01\0",
    ],
    pieces: &[
        b"\x16\x03\x01",
        b"\0\0",
        b"\x3f\xff",
        b"\x40\x01",
        b"\xff\xff",
        b"\0\0\0\x06\0\x04\0\0\x01b",
        b"\x01\0\0",
    ],
    run: client_hello,
};

fn client_hello(bytes: &[u8]) -> bool {
    let Ok(Peeked::Hello(name)) = hello::peek(bytes) else {
        return false;
    };
    if let Some(name) = &name {
        assert!(!name.is_empty() && name.len() <= 255);
        let is_sound = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        assert!(name.bytes().all(is_sound));
    }
    // The same from the first byte on that makes it whole; before, nothing is known.
    let known = (0..=bytes.len())
        .map(|cut| hello::peek(&bytes[..cut]).expect("the beginning of a hello"))
        .skip_while(|peeked| *peeked == Peeked::Partial);
    known.for_each(|peeked| assert_eq!(peeked, Peeked::Hello(name.clone())));
    true
}

/// What a call is told fits into a header.
pub(super) const GRPC_STATUS: Target = Target {
    name: "grpc_status",
    seeds: &[
        b"{\"message\":\"API rate limit exceeded\"}",
        b"100% used \xc3\xa9\n",
        b"{}",
    ],
    pieces: &[
        b"{\"message\":",
        b"\"",
        b"\\u0000",
        b"%",
        b"\r\n",
        b"\0",
        b"\xff",
        b"}",
    ],
    run: grpc_status,
};

fn grpc_status(body: &[u8]) -> bool {
    let message = String::from_utf8_lossy(body).into_owned();
    let code = 100 + u16::try_from(body.len() % 500).unwrap_or(0);
    for answer in [
        Answer::bytes(code, None, body.to_vec()),
        Answer::error(code, message.clone()),
        Answer::server_error(code, message.clone()),
        Answer::message(code, &message),
    ] {
        for is_of_server in [false, true] {
            let told = grpc::status(&answer, is_of_server);
            assert!(told.code <= 16);
            let text = told.message.as_bytes();
            assert!(text.len() <= 3 * 1_024);
            assert!(text.iter().all(|byte| (b' '..=b'~').contains(byte)));
        }
    }
    let _told = grpc::has_type(body);
    true
}
