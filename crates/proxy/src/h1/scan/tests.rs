use super::*;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 1_000,
    line_bytes_max: 100,
    fields_max: 5,
};

fn scan(head: &[u8]) -> Result<Option<RequestLine>, RequestFault> {
    request(head, &LIMITS, &mut Headers::new())
}

#[test]
fn a_head_is_taken_apart() {
    let head = b"\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nX-Odd.Name: dropped\r\nX-A:\t 1 \r\n\r\nbody";
    let mut headers = Headers::new();
    let line = request(head, &LIMITS, &mut headers).unwrap().unwrap();
    headers.attach(bytes::Bytes::from_static(head));
    assert_eq!(
        (&head[line.method], &head[line.target], line.version),
        (&b"POST"[..], &b"/a?b"[..], HttpVersion::Http11)
    );
    assert_eq!(line.head_bytes, head.len() - 4);
    assert!(line.seen.has(Known::Host) && !line.seen.has(Known::ContentLength));
    let fields: Vec<_> = headers.iter().collect();
    assert_eq!(fields, [(&b"Host"[..], &b"a"[..]), (b"X-A", b"1")]);
}

#[test]
fn an_incomplete_head_waits_wherever_it_is_cut() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for cut in 0..head.len() {
        assert_eq!(scan(&head[..cut]), Ok(None), "{cut}");
    }
    assert!(scan(head).unwrap().is_some());
}

#[test]
fn what_is_not_strictly_a_request_is_refused() {
    use RequestFault::{HeadTooLarge, Malformed, Method, TargetTooLong, Version};
    let long = "a".repeat(120);
    let cases: &[(&str, RequestFault)] = &[
        ("GET / HTTP/1.1\nHost: a\n\n", Malformed),
        ("\nGET / HTTP/1.1\r\n", Malformed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX: a\x01b\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX : 1\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX A: 1\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\n: 1\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nno-colon\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\n folded: 1\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nX\u{e4}: 1\r\n\r\n", Malformed),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Malformed),
        (
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Malformed,
        ),
        (
            "GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
            Malformed,
        ),
        ("GET  / HTTP/1.1\r\n", Malformed),
        ("GET /a b HTTP/1.1\r\n", Malformed),
        ("GET /\ta HTTP/1.1\r\n", Malformed),
        ("GET /\x7f HTTP/1.1\r\n", Malformed),
        ("GET /\r HTTP/1.1\r\n", Malformed),
        ("GET /\0 HTTP/1.1\r\n", Malformed),
        ("GET /\r\n", Malformed),
        ("GET / http/1.1\r\n", Malformed),
        ("GET / HTTP/1.10\r\n", Malformed),
        ("GET / HTTP/1.1 \r\n", Malformed),
        ("get / HTTP/1.1\r\n", Malformed),
        ("G@T / HTTP/1.1\r\n", Malformed),
        (" GET / HTTP/1.1\r\n", Malformed),
        ("\x16\x03\x01", Malformed),
        ("GET / HTTP/1.2\r\n", Version),
        ("GET / HTTP/2.0\r\n", Version),
        ("GET / HTTP/0.9\r\n", Version),
        ("TRACE / HTTP/1.1\r\nA: 1\r\n\r\n", Method),
        ("CONNECT / HTTP/1.1\r\n\r\n", Method),
        (
            "GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\nf: 1\r\n\r\n",
            HeadTooLarge,
        ),
    ];
    for (head, fault) in cases {
        assert_eq!(scan(head.as_bytes()), Err(*fault), "{head:?}");
    }
    assert_eq!(
        scan(format!("GET /{long} HTTP/1.1\r\n").as_bytes()),
        Err(TargetTooLong)
    );
    assert_eq!(scan(format!("GET /{long}").as_bytes()), Err(TargetTooLong));
    assert_eq!(
        scan(format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").as_bytes()),
        Err(HeadTooLarge)
    );
    assert_eq!(
        scan(format!("GET / HTTP/1.1\r\nX: {long}").as_bytes()),
        Err(HeadTooLarge)
    );
}

#[test]
fn a_response_head_is_taken_apart() {
    let head = b"HTTP/1.1 404\r\nConnection: close\r\nServer: up\r\n\r\nrest";
    let mut headers = Headers::new();
    let line = response(head, 1_000, &mut headers).unwrap().unwrap();
    assert_eq!(
        (line.status, line.reason, line.head_bytes),
        (404, None, head.len() - 4)
    );
    assert!(line.seen.has(Known::Connection));
    let line = response(b"HTTP/1.0 299 so so\r\n\r\n", 1_000, &mut headers)
        .unwrap()
        .unwrap();
    assert_eq!(
        (line.status, line.reason, line.version),
        (299, Some(13..18), HttpVersion::Http10)
    );
    assert!(response(b"HTTP/1.1 099 no\r\n\r\n", 1_000, &mut headers).is_err());
    for cut in 0..head.len() - 4 {
        assert_eq!(
            response(&head[..cut], 1_000, &mut headers),
            Ok(None),
            "{cut}"
        );
    }
}

#[test]
fn what_is_not_strictly_a_response_is_refused() {
    let cases = [
        "garbage",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    ];
    for head in cases {
        assert_eq!(
            response(head.as_bytes(), 1_000, &mut Headers::new()),
            Err(ResponseFault),
            "{head:?}"
        );
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(2_000));
    assert_eq!(
        response(endless.as_bytes(), 1_000, &mut Headers::new()),
        Err(ResponseFault)
    );
}
