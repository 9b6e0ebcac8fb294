//! Heads of messages of HTTP/1.
use bytes::Bytes;
use twinplane_engine::exchange::HttpVersion;
use twinplane_engine::headers::Headers;
use twinplane_proxy::h1::framing;
use twinplane_proxy::h1::scan::{self, HeadLimits};

use super::Target;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 4_096,
    line_bytes_max: 1_024,
    fields_max: 20,
};

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\t",
    b"\xff",
    b"Host: a\r\n",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1",
    b"/",
    b"%00",
    b"\r\n\r\n",
    b"X-A: 1\r\n",
];

/// A request head is taken whole or not at all.
pub(super) const REQUEST: Target = Target {
    name: "request_head",
    seeds: &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a?b=c HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc",
        b"\r\nPUT http://a/b HTTP/1.0\r\nTransfer-Encoding: chunked\r\nX_y: \t1 \r\n\r\n",
    ],
    pieces: PIECES,
    run: request,
};

fn request(bytes: &[u8]) -> bool {
    let mut headers = Headers::new();
    let Ok(Some(line)) = scan::request(bytes, &LIMITS, &mut headers) else {
        return false;
    };
    assert!(line.head_bytes <= bytes.len());
    let head = &bytes[..line.head_bytes];
    assert!(head.ends_with(b"\r\n\r\n"));
    assert!(!head.contains(&0));
    assert!(memchr::memchr_iter(b'\r', head).count() == memchr::memchr_iter(b'\n', head).count());
    assert!(
        !bytes[line.target.clone()]
            .iter()
            .any(|byte| *byte <= b' ' || *byte == 0x7f)
    );
    headers.attach(Bytes::copy_from_slice(head));
    let framing = framing::of_request(&headers, line.seen, line.version);
    // Written out again it says the same.
    let mut again = [
        &bytes[line.method.clone()],
        b" ",
        &bytes[line.target.clone()],
    ]
    .concat();
    again.extend_from_slice(match line.version {
        HttpVersion::Http10 => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    let mut fields = Vec::new();
    for (name, value) in headers.iter() {
        fields.push((name.to_vec(), value.to_vec()));
        again.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    let roomy = HeadLimits {
        line_bytes_max: 2_048,
        head_bytes_max: 16_384,
        ..LIMITS
    };
    let mut read = Headers::new();
    let line_again = scan::request(&again, &roomy, &mut read)
        .expect("a head")
        .expect("a whole head");
    assert_eq!(line_again.head_bytes, again.len());
    read.attach(Bytes::copy_from_slice(&again));
    let found: Vec<_> = read
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(found, fields);
    assert_eq!(
        framing::of_request(&read, line_again.seen, line_again.version),
        framing
    );
    // However it is cut, no shorter part is taken for the whole.
    for cut in (0..line.head_bytes).step_by(7) {
        let mut part = Headers::new();
        assert!(!matches!(
            scan::request(&bytes[..cut], &LIMITS, &mut part),
            Ok(Some(_))
        ));
    }
    true
}

/// A response head is taken whole or not at all.
pub(super) const RESPONSE: Target = Target {
    name: "response_head",
    seeds: &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 404\r\nConnection: close, x\r\nUpgrade: y\r\nTrailer: z\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    pieces: PIECES,
    run: response,
};

fn response(bytes: &[u8]) -> bool {
    let mut headers = Headers::new();
    let Ok(Some(line)) = scan::response(bytes, 4_096, &mut headers) else {
        return false;
    };
    assert!(line.head_bytes <= bytes.len());
    assert!((100..1_000).contains(&line.status));
    let head = &bytes[..line.head_bytes];
    assert!(head.ends_with(b"\r\n\r\n"));
    headers.attach(Bytes::copy_from_slice(head));
    for (name, value) in headers.iter() {
        assert!(
            !name
                .iter()
                .chain(value)
                .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        );
    }
    for is_head in [false, true] {
        let _framed = framing::of_response(head, &line, is_head);
    }
    true
}
