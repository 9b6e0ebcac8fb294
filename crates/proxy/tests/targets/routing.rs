//! What a route is found by: paths and expressions.
use twinplane_engine::path;
use twinplane_engine::router::{Expression, Subsystem};

use super::Target;

/// A path in normal form stays so, on the wire too.
pub(super) const PATH: Target = Target {
    name: "path",
    seeds: &[
        b"/",
        b"/a/b/../c/./d//e",
        b"/%61%2F%2f/%25%32%66",
        b"/caf%c3%a9/\xc3\xa9",
        b"/a;b=c/..;/d",
        b"/a\\b%5c",
        b"/a#b|{}",
    ],
    pieces: &[
        b"/", b"//", b".", b"..", b"/../", b"/./", b"%2e", b"%2f", b"%5C", b"%25", b"%", b"\\",
        b";", b"%00", b"%c0%af", b" ", b"?",
    ],
    run: normal_form,
};

fn normal_form(given: &[u8]) -> bool {
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
    assert_eq!(
        path::normalise(&normal).expect("what was read before"),
        normal,
        "not idempotent"
    );
    let wire = path::escape(&normal);
    assert!(wire.iter().all(u8::is_ascii_graphic));
    assert_eq!(
        path::normalise(&wire).expect("what was read before"),
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
}

/// An expression is read, or its fault is told.
pub(super) const EXPRESSION: Target = Target {
    name: "expression",
    seeds: &[
        b"http.path == \"/a\"",
        b"http.path ^= \"/a\" && (http.method == \"GET\" || net.protocol == \"https\")",
        b"http.path ~ r#\"^/a(b|c)+$\"# && http.headers.x_a == \"1\"",
        b"!(http.host == \"a\") && http.queries.a != \"b\"",
    ],
    pieces: &[
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
    ],
    run: expression,
};

fn expression(bytes: &[u8]) -> bool {
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
}
