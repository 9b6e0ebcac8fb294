//! How long a body is. One meaning or none: whatever could be read two ways is refused.
use twinplane_engine::exchange::{Framing, HttpVersion};
use twinplane_engine::headers::Headers;

use crate::h1::fault::{RequestFault, ResponseFault};
use crate::h1::names::{Known, KnownSet};
use crate::h1::scan::StatusLine;

/// How a request's body is delimited.
pub fn of_request(
    headers: &Headers,
    seen: KnownSet,
    version: HttpVersion,
) -> Result<Framing, RequestFault> {
    let has_length = seen.has(Known::ContentLength);
    if seen.has(Known::TransferEncoding) {
        if has_length || version == HttpVersion::Http10 {
            return Err(RequestFault::Malformed);
        }
        let coding = headers.get("transfer-encoding").unwrap_or_default();
        return if coding.eq_ignore_ascii_case(b"chunked") {
            Ok(Framing::Chunked)
        } else {
            Err(RequestFault::Coding)
        };
    }
    if !has_length {
        return Ok(Framing::None);
    }
    let length = headers.get("content-length").and_then(decimal);
    length.map(Framing::Length).ok_or(RequestFault::Malformed)
}

/// How a response's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is none, whatever the fields say; `length` is what they say.
    None {
        /// The length that a `GET` would have had.
        length: Option<u64>,
    },
    /// So many bytes.
    Length(u64),
    /// Chunks up to the empty one.
    Chunked,
    /// Until the upstream closes.
    Close,
}

/// How the body of a final response is delimited; `head` holds the values.
pub fn of_response(
    head: &[u8],
    line: &StatusLine,
    is_head: bool,
) -> Result<ResponseFraming, ResponseFault> {
    let length = match &line.hop.content_length {
        Some(value) => Some(decimal(&head[value.clone()]).ok_or(ResponseFault)?),
        None => None,
    };
    let is_chunked = match &line.hop.transfer_encoding {
        Some(coding)
            if length.is_some() || !head[coding.clone()].eq_ignore_ascii_case(b"chunked") =>
        {
            return Err(ResponseFault);
        }
        coding => coding.is_some(),
    };
    if is_head || matches!(line.status, 204 | 304) || (100..200).contains(&line.status) {
        return Ok(ResponseFraming::None { length });
    }
    Ok(match (is_chunked, length) {
        (true, _) => ResponseFraming::Chunked,
        (false, Some(length)) => ResponseFraming::Length(length),
        (false, None) => ResponseFraming::Close,
    })
}

// Digits and nothing else: no sign, no list, no space. Up to 18 digits, so that it never overflows.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        fields: &[(&'static str, &'static str)],
        version: HttpVersion,
    ) -> Result<Framing, RequestFault> {
        let (headers, seen) = fields_of(fields);
        of_request(&headers, seen, version)
    }

    fn fields_of(fields: &[(&'static str, &'static str)]) -> (Headers, KnownSet) {
        let (mut headers, mut seen) = (Headers::new(), KnownSet::default());
        for (name, value) in fields {
            headers.append(*name, *value);
            seen.put(crate::h1::names::known(name.as_bytes()).unwrap());
        }
        (headers, seen)
    }

    #[test]
    fn request_framing_has_one_meaning_or_is_refused() {
        use HttpVersion::{Http10, Http11};
        use RequestFault::{Coding, Malformed};
        let (length, coding) = ("Content-Length", "Transfer-Encoding");
        assert_eq!(request(&[], Http11), Ok(Framing::None));
        assert_eq!(request(&[(length, "0")], Http11), Ok(Framing::Length(0)));
        assert_eq!(request(&[(length, "007")], Http11), Ok(Framing::Length(7)));
        assert_eq!(
            request(&[(coding, "Chunked")], Http11),
            Ok(Framing::Chunked)
        );
        for bad in [
            "",
            "+1",
            "-1",
            "1 ",
            "0x1",
            "1,1",
            "1, 1",
            "1.0",
            "99999999999999999999",
            "\u{661}",
        ] {
            assert_eq!(request(&[(length, bad)], Http11), Err(Malformed), "{bad}");
        }
        for bad in [
            "",
            "gzip",
            "identity",
            "gzip, chunked",
            "chunked, chunked",
            "chunked;q=1",
            "xchunked",
            "chunked,",
        ] {
            assert_eq!(request(&[(coding, bad)], Http11), Err(Coding), "{bad}");
        }
        assert_eq!(request(&[(coding, "chunked")], Http10), Err(Malformed));
        assert_eq!(
            request(&[(coding, "chunked"), (length, "1")], Http11),
            Err(Malformed)
        );
    }

    #[test]
    fn response_framing_has_one_meaning_or_is_refused() {
        let of = |fields: &[(&str, &str)], status: u16, is_head| {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let fields = fields.concat();
            let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
            let line = crate::h1::scan::response(head.as_bytes(), 1_000, &mut Headers::new());
            of_response(head.as_bytes(), &line.unwrap().unwrap(), is_head)
        };
        assert_eq!(of(&[], 200, false), Ok(ResponseFraming::Close));
        assert_eq!(
            of(&[("Content-Length", "3")], 200, false),
            Ok(ResponseFraming::Length(3))
        );
        assert_eq!(
            of(&[("Content-Length", "3")], 200, true),
            Ok(ResponseFraming::None { length: Some(3) })
        );
        assert_eq!(
            of(&[("Transfer-Encoding", "chunked")], 200, false),
            Ok(ResponseFraming::Chunked)
        );
        assert_eq!(
            of(&[], 304, false),
            Ok(ResponseFraming::None { length: None })
        );
        assert_eq!(
            of(&[("Content-Length", "abc")], 200, false),
            Err(ResponseFault)
        );
        assert_eq!(
            of(&[("Transfer-Encoding", "gzip")], 200, false),
            Err(ResponseFault)
        );
        assert_eq!(
            of(
                &[("Transfer-Encoding", "chunked"), ("Content-Length", "3")],
                200,
                false
            ),
            Err(ResponseFault)
        );
    }
}
