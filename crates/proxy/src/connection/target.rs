//! What a request line asks for, and of which host: one reading each, or a refusal.
use bytes::Bytes;
use twinplane_engine::exchange::HttpVersion;
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use crate::h1::fault::RequestFault;
use crate::h1::scan::RequestLine;

/// What a request line asks for.
#[derive(Debug)]
pub(super) struct Target {
    /// Path and query.
    pub(super) origin: Text,
    /// Host of an absolute target.
    pub(super) authority: Option<Text>,
}

/// A target in origin form, or the one an absolute form stands for.
pub(super) fn target_of(head: &Bytes, line: &RequestLine) -> Result<Target, RequestFault> {
    let target = &head[line.target.clone()];
    if target.first() == Some(&b'/') {
        return Ok(Target {
            origin: Text::from(head.slice(line.target.clone())),
            authority: None,
        });
    }
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
    });
    let rest = &target[scheme.ok_or(RequestFault::Malformed)?.len()..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || authority.contains(&b'@') {
        return Err(RequestFault::Malformed);
    }
    let origin = if path.first() == Some(&b'/') {
        Text::copy_from(path)
    } else {
        Text::from([b"/", path].concat())
    };
    Ok(Target {
        origin,
        authority: Some(Text::copy_from(authority)),
    })
}

/// Exactly one valid host; an absolute target's counts before the header's.
pub(super) fn host_of(
    headers: &Headers,
    line: &RequestLine,
    target: &Result<Target, RequestFault>,
) -> Result<Text, RequestFault> {
    let header = headers.get("host");
    if header.is_none() && line.version == HttpVersion::Http11 {
        return Err(RequestFault::Malformed);
    }
    if header.is_some_and(|host| !is_host(host)) {
        return Err(RequestFault::Malformed);
    }
    let authority = target
        .as_ref()
        .ok()
        .and_then(|target| target.authority.clone());
    match authority {
        Some(authority) if is_host(authority.as_bytes()) => Ok(authority),
        Some(_) => Err(RequestFault::Malformed),
        None => Ok(header.map(Text::copy_from).unwrap_or_default()),
    }
}

/// Whether text can be a host with an optional port.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let name = crate::forwarded::host_without_port(host);
    let port = &host[name.len()..];
    let is_port = port.is_empty() || port[1..].iter().all(u8::is_ascii_digit) && port.len() <= 6;
    if let Some(inner) = name.strip_prefix(b"[") {
        let is_v6 = |text: &[u8]| {
            std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        };
        return is_port && inner.strip_suffix(b"]").is_some_and(is_v6);
    }
    is_port && !name.is_empty() && name.iter().all(|byte| IN_NAME[usize::from(*byte)])
}

// `@` and `_` stand in no name, yet are taken by real nodes (vectors/plugins, malformed/host-userinfo).
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let is_plain = (byte as u8).is_ascii_alphanumeric();
        table[byte] = is_plain;
        byte += 1;
    }
    let others = b"-._~%!$&'()*+;=@";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// What a head that was refused seems to ask for, for the record.
pub(super) fn glimpse(bytes: &Bytes) -> (Text, Text) {
    let line = bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut words = line
        .split(|byte| *byte == b' ')
        .map(|word| &word[..word.len().min(256)]);
    let mut printable = || {
        words
            .next()
            .filter(|word| word.iter().all(u8::is_ascii_graphic))
            .map(Text::copy_from)
            .unwrap_or_default()
    };
    (printable(), printable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_valid_or_refused() {
        for host in [
            "a",
            "a.example:80",
            "a_b.c",
            "[::1]",
            "[::1]:8000",
            "u@a",
            "127.0.0.1:1",
            "a:",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "a/b",
            "a b",
            "a,b",
            "[::1",
            "::1",
            "[x]",
            "a:b",
            "a:1234567",
            "a\\b",
            "a?b",
            ":80",
            "a\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    fn target(text: &'static str) -> Option<(String, Option<String>)> {
        let head = Bytes::from_static(text.as_bytes());
        let line = RequestLine {
            method: 0..0,
            target: 0..text.len(),
            version: HttpVersion::Http11,
            head_bytes: text.len(),
            seen: crate::h1::names::KnownSet::default(),
        };
        let found = target_of(&head, &line).ok()?;
        let text = |text: Text| text.as_str().unwrap_or_default().to_owned();
        Some((text(found.origin), found.authority.map(text)))
    }

    #[test]
    fn absolute_targets_stand_for_their_path() {
        assert_eq!(target("/a?b"), Some(("/a?b".into(), None)));
        assert_eq!(
            target("http://o.example/a?c=1"),
            Some(("/a?c=1".into(), Some("o.example".into())))
        );
        assert_eq!(
            target("HTTPS://o.example:444"),
            Some(("/".into(), Some("o.example:444".into())))
        );
        assert_eq!(
            target("http://o.example?x"),
            Some(("/?x".into(), Some("o.example".into())))
        );
        for bad in [
            "*",
            "a.example:443",
            "ftp://a/",
            "http://",
            "http:///a",
            "http://u@a/",
            "a",
        ] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }
}
