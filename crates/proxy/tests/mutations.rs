//! Each parser of ours against bytes that nobody planned: seeds, mutated by a generator with a fixed start, for as long
//! as `TWINPLANE_FUZZ_SECONDS` says (a second for each parser by default). Nothing may panic, hang or take more than is
//! there, and what is accepted keeps the promises written beside it.
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use twinplane_engine::exchange::HttpVersion;
use twinplane_engine::headers::Headers;
use twinplane_engine::path;
use twinplane_engine::router::{Expression, Subsystem};
use twinplane_proxy::h1::chunked::{ChunkDecoder, Decoded, write_size_line};
use twinplane_proxy::h1::framing;
use twinplane_proxy::h1::scan::{self, HeadLimits};

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 4_096,
    line_bytes_max: 1_024,
    fields_max: 20,
};

/// A generator of numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Runs a target on mutations of its seeds, and of what it has accepted so far.
fn drive(seeds: &[&[u8]], pieces: &[&[u8]], mut target: impl FnMut(&[u8]) -> bool) {
    let seconds = std::env::var("TWINPLANE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut numbers = Numbers(1);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for seed in seeds {
        assert!(target(seed), "{:?}", String::from_utf8_lossy(seed));
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut runs = 0_u64;
    while runs < 2_000 || (Instant::now() < until && runs < 1 << 40) {
        let base = &corpus[numbers.below(corpus.len())];
        let bytes = mutated(base, pieces, &mut numbers);
        if target(&bytes) && numbers.below(50) == 0 {
            if corpus.len() < 500 {
                corpus.push(bytes);
            } else {
                let at = seeds.len() + numbers.below(corpus.len() - seeds.len());
                corpus[at] = bytes;
            }
        }
        runs += 1;
    }
}

fn mutated(base: &[u8], pieces: &[&[u8]], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 => bytes.insert(at, numbers.byte()),
            1 => drop(bytes.splice(at..at, pieces[numbers.below(pieces.len())].to_vec())),
            2 => {
                let end = bytes.len().min(at + numbers.below(9));
                bytes.drain(at..end);
            }
            3 => {
                let end = bytes.len().min(at + numbers.below(40));
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            4 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            _ => {}
        }
    }
    bytes.truncate(8_192);
    bytes
}

const HEAD_PIECES: &[&[u8]] = &[
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

#[test]
fn a_request_head_is_taken_whole_or_not_at_all() {
    let seeds: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a?b=c HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc",
        b"\r\nPUT http://a/b HTTP/1.0\r\nTransfer-Encoding: chunked\r\nX_y: \t1 \r\n\r\n",
    ];
    drive(seeds, HEAD_PIECES, |bytes| {
        let mut headers = Headers::new();
        let Ok(Some(line)) = scan::request(bytes, &LIMITS, &mut headers) else {
            return false;
        };
        assert!(line.head_bytes <= bytes.len());
        let head = &bytes[..line.head_bytes];
        assert!(head.ends_with(b"\r\n\r\n"));
        assert!(!head.contains(&0));
        assert!(
            memchr::memchr_iter(b'\r', head).count() == memchr::memchr_iter(b'\n', head).count()
        );
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
        let line_again = scan::request(&again, &roomy, &mut read).unwrap().unwrap();
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
    });
}

#[test]
fn a_response_head_is_taken_whole_or_not_at_all() {
    let seeds: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 404\r\nConnection: close, x\r\nUpgrade: y\r\nTrailer: z\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    drive(seeds, HEAD_PIECES, |bytes| {
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
    });
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

#[test]
fn chunks_mean_the_same_however_they_are_cut() {
    let seeds: &[&[u8]] = &[
        b"0\r\n\r\n",
        b"3\r\nabc\r\n00A;n=v;q=\"x y\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        b"fF;a\r\n\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcde\r\n0\r\n\r\n",
    ];
    let pieces: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"0\r\n\r\n",
        b"1\r\nx\r\n",
        b";a=b",
        b"\"",
        b"f",
        b"\0",
        b"X: y\r\n",
    ];
    drive(seeds, pieces, |body| {
        let Some((data, trailers, _)) = decoded(body, body.len().max(1)) else {
            for step in [1, 3] {
                assert!(decoded(body, step).is_none());
            }
            return false;
        };
        for step in [1, 2, 5, 17] {
            let (same, also, _) = decoded(body, step).unwrap();
            assert_eq!((&same, &also), (&data, &trailers));
        }
        // What we write of it says the same.
        let mut written = Vec::new();
        for piece in data.chunks(7) {
            write_size_line(piece.len(), &mut written);
            written.extend_from_slice(&[piece, b"\r\n"].concat());
        }
        written.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(decoded(&written, 4).unwrap().0, data);
        true
    });
}

#[test]
fn a_path_in_normal_form_stays_so_on_the_wire_too() {
    let seeds: &[&[u8]] = &[
        b"/",
        b"/a/b/../c/./d//e",
        b"/%61%2F%2f/%25%32%66",
        b"/caf%c3%a9/\xc3\xa9",
        b"/a;b=c/..;/d",
        b"/a\\b%5c",
        b"/a#b|{}",
    ];
    let pieces: &[&[u8]] = &[
        b"/", b"//", b".", b"..", b"/../", b"/./", b"%2e", b"%2f", b"%5C", b"%25", b"%", b"\\",
        b";", b"%00", b"%c0%af", b" ", b"?",
    ];
    drive(seeds, pieces, |given| {
        // A path ends before the query.
        let end = given.iter().position(|byte| *byte == b'?');
        let given = &given[..end.unwrap_or(given.len())];
        let Ok(normal) = path::normalise(given) else {
            return false;
        };
        assert_eq!(normal[0], b'/');
        let segments = || normal.split(|byte| *byte == b'/');
        assert!(!segments().any(|segment| segment == b"." || segment == b".."));
        assert!(!normal.windows(2).any(|pair| pair == b"//"));
        assert_eq!(path::normalise(&normal).unwrap(), normal, "not idempotent");
        let wire = path::escape(&normal);
        assert!(wire.iter().all(u8::is_ascii_graphic));
        assert_eq!(
            path::normalise(&wire).unwrap(),
            normal,
            "the upstream reads another path"
        );
        assert_eq!(path::escape(&wire), wire);
        for taken in [0, 1, normal.len()] {
            for strip in [false, true] {
                let joined = path::upstream_path(b"/base", &normal, Some(taken), strip);
                assert!(joined.starts_with(b"/base"));
            }
        }
        let _told = path::is_ambiguous(&normal);
        true
    });
}

#[test]
fn an_expression_is_read_or_its_fault_is_told() {
    let seeds: &[&[u8]] = &[
        b"http.path == \"/a\"",
        b"http.path ^= \"/a\" && (http.method == \"GET\" || net.protocol == \"https\")",
        b"http.path ~ r#\"^/a(b|c)+$\"# && http.headers.x_a == \"1\"",
        b"!(http.host == \"a\") && http.queries.a != \"b\"",
    ];
    let pieces: &[&[u8]] = &[
        b"(",
        b")",
        b"&&",
        b"||",
        b"!",
        b"\"",
        b"~",
        b"==",
        b"^=",
        b"r#\"",
        b"\"#",
        b"\\",
        b"http.path",
        b"in",
        b"99999999999999999999",
    ];
    drive(seeds, pieces, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return false;
        };
        match Expression::read(text, Subsystem::Http) {
            Ok(read) => {
                assert!(Expression::read(read.text(), Subsystem::Http).is_ok());
                true
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                false
            }
        }
    });
}
