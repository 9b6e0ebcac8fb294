//! The strict scanner of HTTP/1 heads: one pass over the received bytes that gives spans, copies nothing and repairs
//! nothing. Lines end in CRLF and in nothing else.
use std::ops::Range;

use twinplane_engine::ascii::is_field_value;
use twinplane_engine::exchange::HttpVersion;
use twinplane_engine::headers::Headers;

use crate::h1::fault::{RequestFault, ResponseFault};
use crate::h1::names::{Known, KnownSet, known};

/// What a head may take.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// The whole head.
    pub head_bytes_max: usize,
    /// One line.
    pub line_bytes_max: usize,
    /// Fields.
    pub fields_max: usize,
}

/// A scanned request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// Place of the method.
    pub method: Range<usize>,
    /// Place of the target.
    pub target: Range<usize>,
    /// Version.
    pub version: HttpVersion,
    /// Bytes up to and with the empty line.
    pub head_bytes: usize,
    /// Which fields the proxy acts on are there.
    pub seen: KnownSet,
}

/// A scanned response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// Status code.
    pub status: u16,
    /// Place of the reason phrase; none where not even a space follows the code.
    pub reason: Option<Range<usize>>,
    /// Version.
    pub version: HttpVersion,
    /// Bytes up to and with the empty line.
    pub head_bytes: usize,
    /// Which fields the proxy acts on are there.
    pub seen: KnownSet,
    /// Values of fields that concern one hop; they are not among the headers.
    pub hop: HopValues,
}

/// Places of the values of a response's hop-by-hop fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopValues {
    /// `Content-Length`
    pub content_length: Option<Range<usize>>,
    /// `Transfer-Encoding`
    pub transfer_encoding: Option<Range<usize>>,
    /// `Upgrade`
    pub upgrade: Option<Range<usize>>,
    /// `Trailer`
    pub trailer: Option<Range<usize>>,
    /// `X-Accel-Buffering`
    pub accel_buffering: Option<Range<usize>>,
    /// Every `Connection`.
    pub connection: Vec<Range<usize>>,
}

/// Mark of a field that is looked at when it is passed on.
pub const UNMARKED: u8 = 0;
/// Mark of a field that passes on to the upstream as it is.
pub const PASSES: u8 = 1;
/// Mark of a field that the proxy writes itself, or never passes on.
pub const STOPS: u8 = 2;

const TOKEN: u8 = 1;
// A token character that the server under Kong does not take in a name: the field is dropped.
const ODD: u8 = 2;

const NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let is_plain =
            (byte as u8).is_ascii_alphanumeric() || byte == b'-' as usize || byte == b'_' as usize;
        if is_plain {
            table[byte] = TOKEN;
        }
        byte += 1;
    }
    let odd = b"!#$%&'*+.^`|~";
    let mut at = 0;
    while at < odd.len() {
        table[odd[at] as usize] = ODD;
        at += 1;
    }
    table
};

/// Scans a request head. `None`: more bytes are needed. Fields go to `headers`, which then wants the head attached.
pub fn request(
    bytes: &[u8],
    limits: &HeadLimits,
    headers: &mut Headers,
) -> Result<Option<RequestLine>, RequestFault> {
    let start = skip_empty_lines(bytes)?;
    let Some(first) = bytes.get(start) else {
        return Ok(None);
    };
    if !is_method_byte(*first) {
        return Err(RequestFault::Malformed);
    }
    let Some(end) = line(bytes, start)? else {
        return if bytes.len() - start > limits.line_bytes_max {
            Err(RequestFault::TargetTooLong)
        } else {
            Ok(None)
        };
    };
    if end - start > limits.line_bytes_max {
        return Err(RequestFault::TargetTooLong);
    }
    let (method, target, version) = request_line(bytes, start..end)?;
    let mut seen = KnownSet::default();
    let mut at = end + 2;
    headers.clear_spans();
    loop {
        let Some(end) = line(bytes, at)? else {
            let is_over =
                bytes.len() - at > limits.line_bytes_max || bytes.len() > limits.head_bytes_max;
            return if is_over {
                Err(RequestFault::HeadTooLarge)
            } else {
                Ok(None)
            };
        };
        if end == at {
            break;
        }
        if end - at > limits.line_bytes_max
            || end > limits.head_bytes_max
            || headers.len() == limits.fields_max
        {
            return Err(RequestFault::HeadTooLarge);
        }
        let field = field(bytes, at..end).ok_or(RequestFault::Malformed)?;
        if !field.is_odd {
            let name = &bytes[field.name.clone()];
            let known = known(name);
            let mark = mark_of(name, known);
            headers.push_span(bytes, field.name, field.value, mark);
            if known.is_some_and(|known| seen.put(known) && known.is_single()) {
                return Err(RequestFault::Malformed);
            }
        }
        at = end + 2;
    }
    // Only now, so that the refusal takes the form that `Accept` asks for.
    match &bytes[method.clone()] {
        b"TRACE" => return Err(RequestFault::Method),
        b"CONNECT" if bytes[target.start] == b'/' => return Err(RequestFault::Method),
        _ => {}
    }
    Ok(Some(RequestLine {
        method,
        target,
        version,
        head_bytes: at + 2,
        seen,
    }))
}

// Whether a request's field passes on to the upstream. In doubtful spellings too, nothing of ours does.
fn mark_of(name: &[u8], known: Option<Known>) -> u8 {
    let is_folded = || memchr::memchr(b'_', name).is_some();
    match known {
        Some(Known::RequestId) => UNMARKED,
        Some(known) if known.is_ours_upstream() => STOPS,
        None if is_folded() => UNMARKED,
        _ => PASSES,
    }
}

/// Scans a response head; fields that concern one hop only are left out, their presence is told. `None`: more bytes are needed.
pub fn response(
    bytes: &[u8],
    head_bytes_max: usize,
    headers: &mut Headers,
) -> Result<Option<StatusLine>, ResponseFault> {
    let is_over = bytes.len() > head_bytes_max;
    let strict = |found: Result<Option<usize>, RequestFault>| found.map_err(|_| ResponseFault);
    if !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
        return Err(ResponseFault);
    }
    let Some(end) = strict(line(bytes, 0))? else {
        return if is_over {
            Err(ResponseFault)
        } else {
            Ok(None)
        };
    };
    let (status, reason, version) = status_line(bytes, end).ok_or(ResponseFault)?;
    let mut seen = KnownSet::default();
    let mut hop = HopValues::default();
    let mut at = end + 2;
    headers.clear_spans();
    loop {
        let Some(end) = strict(line(bytes, at))? else {
            return if is_over {
                Err(ResponseFault)
            } else {
                Ok(None)
            };
        };
        if end == at {
            break;
        }
        if end > head_bytes_max {
            return Err(ResponseFault);
        }
        let field = field(bytes, at..end).ok_or(ResponseFault)?;
        let Some(known) = known(&bytes[field.name.clone()]) else {
            headers.push_span(bytes, field.name, field.value, UNMARKED);
            at = end + 2;
            continue;
        };
        let is_repeated = seen.put(known);
        match known {
            Known::ContentLength | Known::TransferEncoding if is_repeated => {
                return Err(ResponseFault);
            }
            Known::ContentLength => hop.content_length = Some(field.value),
            Known::TransferEncoding => hop.transfer_encoding = Some(field.value),
            Known::Upgrade => hop.upgrade = Some(field.value),
            Known::Trailer => hop.trailer = Some(field.value),
            Known::AccelBuffering => hop.accel_buffering = Some(field.value),
            Known::Connection => hop.connection.push(field.value),
            known if known.is_hop_of_response() => {}
            _ => headers.push_span(bytes, field.name, field.value, UNMARKED),
        }
        at = end + 2;
    }
    Ok(Some(StatusLine {
        status,
        reason,
        version,
        head_bytes: at + 2,
        seen,
        hop,
    }))
}

/// Scans the fields after the last chunk. `None`: more bytes are needed. Gives the number of bytes up to and with the empty line.
pub fn trailers(bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, RequestFault> {
    let (mut at, mut fields) = (0, 0);
    loop {
        let Some(end) = line(bytes, at)? else {
            return if bytes.len() > limits.head_bytes_max {
                Err(RequestFault::HeadTooLarge)
            } else {
                Ok(None)
            };
        };
        if end == at {
            return Ok(Some(end + 2));
        }
        fields += 1;
        if end > limits.head_bytes_max || fields > limits.fields_max {
            return Err(RequestFault::HeadTooLarge);
        }
        field(bytes, at..end).ok_or(RequestFault::Malformed)?;
        at = end + 2;
    }
}

// Empty lines before a request are let pass, as a client may send one after a body.
fn skip_empty_lines(bytes: &[u8]) -> Result<usize, RequestFault> {
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
        if at > 16 {
            return Err(RequestFault::Malformed);
        }
    }
    if bytes.get(at) == Some(&b'\r') && bytes.len() == at + 1 {
        Ok(bytes.len())
    } else {
        Ok(at)
    }
}

// Place of the CRLF that ends the line from `at` on.
fn line(bytes: &[u8], at: usize) -> Result<Option<usize>, RequestFault> {
    let Some(feed) = memchr::memchr(b'\n', &bytes[at..]) else {
        return Ok(None);
    };
    if feed == 0 || bytes[at + feed - 1] != b'\r' {
        return Err(RequestFault::Malformed);
    }
    Ok(Some(at + feed - 1))
}

fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-' || byte == b'_'
}

fn request_line(
    bytes: &[u8],
    line: Range<usize>,
) -> Result<(Range<usize>, Range<usize>, HttpVersion), RequestFault> {
    let text = &bytes[line.clone()];
    let method = memchr::memchr(b' ', text).ok_or(RequestFault::Malformed)?;
    let version = memchr::memrchr(b' ', text).ok_or(RequestFault::Malformed)?;
    if method == 0
        || version <= method + 1
        || !text[..method].iter().all(|byte| is_method_byte(*byte))
    {
        return Err(RequestFault::Malformed);
    }
    let target = &text[method + 1..version];
    if has_any(target, |byte| byte <= b' ' || byte == 0x7f) {
        return Err(RequestFault::Malformed);
    }
    let version_of = |text: &[u8]| match text {
        b"HTTP/1.1" => Ok(HttpVersion::Http11),
        b"HTTP/1.0" => Ok(HttpVersion::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(RequestFault::Version)
        }
        _ => Err(RequestFault::Malformed),
    };
    let http = version_of(&text[version + 1..])?;
    let at = line.start;
    Ok((at..at + method, at + method + 1..at + version, http))
}

fn status_line(bytes: &[u8], end: usize) -> Option<(u16, Option<Range<usize>>, HttpVersion)> {
    let version = match bytes.get(..9)? {
        b"HTTP/1.1 " => HttpVersion::Http11,
        b"HTTP/1.0 " => HttpVersion::Http10,
        _ => return None,
    };
    let digits = bytes[..end].get(9..12)?;
    if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
        return None;
    }
    let status = digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let reason = match bytes[12..end].first() {
        None => None,
        Some(b' ') if is_field_value(&bytes[13..end]) => Some(13..end),
        Some(_) => return None,
    };
    Some((status, reason, version))
}

struct FieldSpan {
    name: Range<usize>,
    value: Range<usize>,
    is_odd: bool,
}

fn field(bytes: &[u8], line: Range<usize>) -> Option<FieldSpan> {
    let text = &bytes[line.clone()];
    // The name ends at the first byte that is no token character, and that has to be the colon.
    let mut kinds = 0;
    let colon = text.iter().position(|byte| {
        let kind = NAME[usize::from(*byte)];
        kinds |= kind;
        kind == 0
    })?;
    if text[colon] != b':' || colon == 0 {
        return None;
    }
    let (mut start, mut end) = (colon + 1, text.len());
    while start < end && matches!(text[start], b' ' | b'\t') {
        start += 1;
    }
    while end > start && matches!(text[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    if !is_field_value(&text[start..end]) {
        return None;
    }
    let at = line.start;
    Some(FieldSpan {
        name: at..at + colon,
        value: at + start..at + end,
        is_odd: kinds & ODD != 0,
    })
}

// Looks at every byte, whatever it has found, so that many are looked at at a time.
fn has_any(bytes: &[u8], is_bad: impl Fn(u8) -> bool) -> bool {
    bytes
        .iter()
        .fold(0, |found, byte| found | u8::from(is_bad(*byte)))
        != 0
}

#[cfg(test)]
mod tests;
