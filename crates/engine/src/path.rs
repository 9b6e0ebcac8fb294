//! Paths: the normal form that everything decides by, the form that goes upstream, and how a service's path and the
//! rest of a request's are joined. Pure text.
use std::borrow::Cow;

/// Why a request target has no normal form. Each is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not begin with `/`.
    NoLeadingSlash,
    /// `%` is not followed by two hexadecimal digits.
    BadEscape,
    /// It holds a NUL byte, plain or escaped.
    Nul,
    /// `..` leads above the root.
    AboveRoot,
}

/// Characters that an escape may stand for without changing what a path means: everything but RFC 3986 reserved ones.
const fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b'%'
    )
}

const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The normal form of a path without its query: escapes of unreserved bytes decoded, dot segments resolved, slashes
/// merged. A path that is in normal form already is borrowed.
pub fn normalise(path: &[u8]) -> Result<Cow<'_, [u8]>, PathFault> {
    if path.first() != Some(&b'/') {
        return Err(PathFault::NoLeadingSlash);
    }
    if memchr::memchr(0, path).is_some() {
        return Err(PathFault::Nul);
    }
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    resolve_dots(&decoded).map(Cow::Owned)
}

/// Whether there is nothing to decode, resolve or merge.
fn is_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        if byte == b'%' || (previous == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        previous = byte;
    }
    true
}

fn decode(path: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let digits = (
            after.first().copied().and_then(hex_value),
            after.get(1).copied().and_then(hex_value),
        );
        let (Some(high), Some(low)) = digits else {
            return Err(PathFault::BadEscape);
        };
        match high << 4 | low {
            0 => return Err(PathFault::Nul),
            value if is_reserved(value) => {
                decoded.extend_from_slice(&[
                    b'%',
                    after[0].to_ascii_uppercase(),
                    after[1].to_ascii_uppercase(),
                ]);
            }
            value => decoded.push(value),
        }
        rest = &after[2..];
    }
    Ok(decoded)
}

fn resolve_dots(path: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut resolved: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', &resolved).ok_or(PathFault::AboveRoot)?;
                resolved.truncate(parent);
            }
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            resolved.push(b'/');
        }
    }
    if resolved.is_empty() {
        resolved.push(b'/');
    }
    Ok(resolved)
}

/// What of a request's path is left after the matched part, as it is joined: without a leading dot segment.
fn without_leading_dots(rest: &[u8]) -> &[u8] {
    match rest {
        b"." | b".." => b"",
        _ => rest
            .strip_prefix(b"./")
            .or_else(|| rest.strip_prefix(b"../"))
            .unwrap_or(rest),
    }
}

/// The path that goes upstream (`path_handling` v0), still unescaped.
///
/// `base` is the service's path (empty: none), `path` the normalised request path, `taken` how much of it the route's
/// path matched, `strip` whether that part is left out.
pub fn upstream_path(base: &[u8], path: &[u8], taken: Option<usize>, strip: bool) -> Vec<u8> {
    let base = if base.is_empty() { &b"/"[..] } else { base };
    let strip = strip && taken.is_some();
    let rest = if strip {
        without_leading_dots(&path[taken.unwrap_or(0)..])
    } else {
        path
    };
    let ends_with_slash = |text: &[u8]| text.last() == Some(&b'/');
    if ends_with_slash(base) {
        let shorter = &base[..base.len() - 1];
        if !strip {
            return [shorter, path].concat();
        }
        if rest.is_empty() {
            return if base.len() == 1 {
                b"/".to_vec()
            } else if ends_with_slash(path) {
                base.to_vec()
            } else {
                shorter.to_vec()
            };
        }
        return if rest[0] == b'/' {
            [shorter, rest].concat()
        } else {
            [base, rest].concat()
        };
    }
    if !strip {
        return if path == b"/" {
            base.to_vec()
        } else {
            [base, path].concat()
        };
    }
    if rest.is_empty() {
        return if path.len() > 1 && ends_with_slash(path) {
            [base, b"/"].concat()
        } else {
            base.to_vec()
        };
    }
    if rest[0] == b'/' {
        [base, rest].concat()
    } else {
        [base, b"/", rest].concat()
    }
}

/// As [`upstream_path`], the way of `path_handling` v1: what is left of the request's path is put behind the service's
/// as it is. Of a path of which nothing is cut off the first slash is left out; of two slashes that meet one is dropped.
pub fn upstream_path_v1(base: &[u8], path: &[u8], taken: Option<usize>, strip: bool) -> Vec<u8> {
    let base = if base.is_empty() { &b"/"[..] } else { base };
    let rest = match taken.filter(|_| strip) {
        Some(taken) => without_leading_dots(&path[taken..]),
        None => path.get(1..).unwrap_or_default(),
    };
    match (base.strip_suffix(b"/"), rest.first()) {
        (Some(shorter), Some(b'/')) => [shorter, rest].concat(),
        _ => [base, rest].concat(),
    }
}

/// Whether servers are known to read a path in normal form in different ways: an escaped slash, a backslash, a `;`, a
/// plain `#` (some cut there), a control byte, an escape within an escape, bytes that are no UTF-8. A rule on one reading
/// says nothing of the others.
pub fn is_ambiguous(path: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'\\' | b';' | b'#') || byte.is_ascii_control();
    let is_suspect = |byte: &u8| *byte == b'%' || is_mark(byte) || !byte.is_ascii();
    if !path.iter().any(is_suspect) {
        return false;
    }
    let is_plain_mark = path.iter().any(is_mark);
    // Escapes of a normal form are in upper case.
    let is_escaped_mark = memchr::memchr_iter(b'%', path).any(|at| {
        let code = path.get(at + 1..at + 3).unwrap_or_default();
        match code {
            b"2F" | b"3B" | b"5C" => true,
            b"25" => path
                .get(at + 3..at + 5)
                .is_some_and(|more| more.iter().all(u8::is_ascii_hexdigit)),
            _ => false,
        }
    });
    is_plain_mark || is_escaped_mark || std::str::from_utf8(path).is_err()
}

/// The form of a path that goes on the wire: bytes that a request line may not hold, or whose meaning differs between
/// servers, are escaped; what is escaped already stays.
pub fn escape(path: &[u8]) -> Cow<'_, [u8]> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    const fn is_plain(byte: u8) -> bool {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%')
            || (is_reserved(byte) && !matches!(byte, b'?'))
    }
    if path.iter().all(|byte| is_plain(*byte)) {
        return Cow::Borrowed(path);
    }
    let mut escaped = Vec::with_capacity(path.len() + 16);
    for &byte in path {
        if is_plain(byte) {
            escaped.push(byte);
        } else {
            escaped.extend_from_slice(&[
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, PathFault> {
        normalise(path.as_bytes()).map(|path| String::from_utf8_lossy(&path).into_owned())
    }

    #[test]
    fn paths_that_servers_read_differently_are_told() {
        for path in [
            "/a%2fb",
            "/..%2Fadmin",
            "/a%5cb",
            "/a\\b",
            "/a;v=1",
            "/a%3bb",
            "/a%252Fb",
            "/a%252e%252e",
            "/%C0%AFa",
            "/a#/b",
            "/a%0d%0ab",
            "/a%09",
        ] {
            assert!(is_ambiguous(&normalise(path.as_bytes()).unwrap()), "{path}");
        }
        for path in [
            "/",
            "/a/b.c",
            "/a%20b",
            "/caf%C3%A9",
            "/100%25",
            "/a%25zz",
            "/a%3Db@c",
            "/a%23b",
        ] {
            assert!(
                !is_ambiguous(&normalise(path.as_bytes()).unwrap()),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_take_one_normal_form() {
        for (given, wanted) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%61%2f%2F", "/a%2F%2F"),
            ("/%7euser", "/~user"),
            ("/a%20b", "/a b"),
            ("/caf%c3%a9", "/café"),
            ("/.hidden", "/.hidden"),
            ("/a/..b", "/a/..b"),
            ("/%2e%2e/a", "above"),
        ] {
            let found = normal(given);
            if wanted == "above" {
                assert_eq!(found, Err(PathFault::AboveRoot), "{given}");
            } else {
                assert_eq!(found.as_deref(), Ok(wanted), "{given}");
            }
        }
    }

    #[test]
    fn what_has_no_normal_form_is_at_fault() {
        assert_eq!(normal("a"), Err(PathFault::NoLeadingSlash));
        assert_eq!(normal("/%"), Err(PathFault::BadEscape));
        assert_eq!(normal("/%4"), Err(PathFault::BadEscape));
        assert_eq!(normal("/%zz"), Err(PathFault::BadEscape));
        assert_eq!(normal("/%00"), Err(PathFault::Nul));
        assert_eq!(normal("/a/../.."), Err(PathFault::AboveRoot));
    }

    #[test]
    fn base_and_rest_join_by_the_table_of_version_0() {
        let join = |base: &str, path: &str, taken: usize, strip| {
            String::from_utf8(upstream_path(
                base.as_bytes(),
                path.as_bytes(),
                Some(taken),
                strip,
            ))
            .unwrap_or_default()
        };
        for (base, path, taken, strip, wanted) in [
            ("/", "/route", 6, true, "/"),
            ("/service/", "/route", 6, true, "/service"),
            ("/service/", "/route/", 7, true, "/service/"),
            ("/service/", "/route/x", 6, true, "/service/x"),
            ("/service/", "/routex", 6, true, "/service/x"),
            ("/service/", "/route", 6, false, "/service/route"),
            ("/service", "/route", 6, true, "/service"),
            ("/service", "/route/", 7, true, "/service/"),
            ("/service", "/routereq", 6, true, "/service/req"),
            ("/service", "/", 1, false, "/service"),
            ("/service", "/route", 6, false, "/service/route"),
        ] {
            assert_eq!(
                join(base, path, taken, strip),
                wanted,
                "{base} {path} {taken} {strip}"
            );
        }
    }

    #[test]
    fn what_goes_on_the_wire_is_escaped_once() {
        assert_eq!(
            &*escape(b"/a b|\"<{^`\\%2F"),
            b"/a%20b%7C%22%3C%7B%5E%60%5C%2F".as_slice()
        );
        assert!(matches!(escape(b"/plain/path"), Cow::Borrowed(_)));
    }
}
