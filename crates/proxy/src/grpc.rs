//! What is particular to gRPC: how a call that the gateway answers itself learns of its status, in headers alone, and how
//! one that breaks off does, in trailers. HTTP statuses become those of gRPC as on a real node.
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use twinplane_engine::answer::{Answer, AnswerBody};
use twinplane_engine::exchange::{Exchange, HttpVersion};
use twinplane_engine::text::Text;

use crate::error_page::GatewayError;

/// `Content-Type` of calls; some carry a suffix.
pub const CONTENT_TYPE: &str = "application/grpc";
/// Of a message that is told to a client, so much.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// The status of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `grpc-status`
    pub code: u8,
    /// `grpc-message`, escaped.
    pub message: Text,
}

/// Whether a request is a call: gRPC needs HTTP/2.
pub fn is_call(x: &Exchange) -> bool {
    x.client.http_version == HttpVersion::Http2
        && has_type(x.request.headers.get("content-type").unwrap_or_default())
}

/// Whether the response under way is that of a call.
pub fn is_answered(x: &Exchange) -> bool {
    x.client.http_version == HttpVersion::Http2
        && is_type(x.response.headers.get("content-type").unwrap_or_default())
}

/// Whether a content type is that of calls.
pub fn has_type(content_type: &[u8]) -> bool {
    content_type.starts_with(CONTENT_TYPE.as_bytes())
}

/// Whether a content type is that of calls and of nothing beside them: gRPC-Web ends its bodies in another way.
pub fn is_type(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(CONTENT_TYPE.as_bytes());
    rest.is_some_and(|rest| matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';')))
}

/// The status that tells an answer of the gateway to a call.
pub fn status(answer: &Answer, is_of_server: bool) -> Status {
    let code = code_of(answer.status);
    let message = match &answer.body {
        AnswerBody::Error(message) if is_of_server => escaped(message.as_bytes()),
        AnswerBody::ServerError(message) => escaped(message.as_bytes()),
        AnswerBody::Bytes { data, .. } => told(data).unwrap_or_else(|| name_of(code)),
        AnswerBody::Error(_) | AnswerBody::Page | AnswerBody::Empty => name_of(code),
    };
    Status { code, message }
}

/// The end of a call that broke off.
pub fn trailers(error: &GatewayError) -> HeaderMap {
    let (code, message) = match error {
        GatewayError::UpstreamTimeout => (4, "The upstream server is timing out"),
        _ => (14, "The connection to the upstream server broke"),
    };
    HeaderMap::from_iter([
        (
            HeaderName::from_static("grpc-status"),
            HeaderValue::from(code),
        ),
        (
            HeaderName::from_static("grpc-message"),
            HeaderValue::from_static(message),
        ),
    ])
}

// The text of an answer: the message of a JSON object, or the bytes themselves.
fn told(data: &Bytes) -> Option<Text> {
    match serde_json::from_slice(data) {
        Ok(serde_json::Value::Object(fields)) => {
            let message = fields.get("message")?.as_str()?;
            Some(escaped(message.as_bytes()))
        }
        _ if data.is_empty() => None,
        _ => Some(escaped(data)),
    }
}

fn code_of(status: u16) -> u8 {
    match status {
        200..=299 => 0,
        499 => 1,
        401 => 16,
        403 => 7,
        404 => 5,
        409 => 6,
        429 => 8,
        400..=498 => 3,
        501 => 12,
        503 => 14,
        504 => 4,
        500..=599 => 13,
        _ => 2,
    }
}

fn name_of(code: u8) -> Text {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    Text::from_static(NAMES.get(usize::from(code)).unwrap_or(&"Unknown"))
}

// As gRPC escapes messages: what is not printable ASCII, and `%`.
fn escaped(message: &[u8]) -> Text {
    use std::fmt::Write;

    let mut text = String::with_capacity(message.len().min(MESSAGE_BYTES_MAX));
    for byte in message.iter().take(MESSAGE_BYTES_MAX) {
        match byte {
            b' '..=b'~' if *byte != b'%' => text.push(char::from(*byte)),
            // Writing to a string does not fail.
            byte => _ = write!(text, "%{byte:02X}"),
        }
    }
    Text::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(answer: &Answer, is_of_server: bool) -> (u8, String) {
        let Status { code, message } = status(answer, is_of_server);
        (code, message.as_str().unwrap().to_owned())
    }

    #[test]
    fn types_of_calls_are_told_from_what_begins_alike() {
        for (content_type, is_of_calls) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc ;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcs", false),
            ("", false),
        ] {
            assert_eq!(
                is_type(content_type.as_bytes()),
                is_of_calls,
                "{content_type}"
            );
        }
    }

    #[test]
    fn statuses_are_those_of_a_real_node() {
        for (status, code) in [
            (200, 0),
            (204, 0),
            (301, 2),
            (400, 3),
            (401, 16),
            (403, 7),
            (404, 5),
            (409, 6),
            (413, 3),
            (429, 8),
            (499, 1),
            (500, 13),
            (501, 12),
            (502, 13),
            (503, 14),
            (504, 4),
        ] {
            assert_eq!(code_of(status), code, "{status}");
        }
    }

    #[test]
    fn messages_tell_what_the_answer_says() {
        let error = Answer::error(404, "no Route matched with those values");
        assert_eq!(words(&error, false), (5, "NotFound".into()));
        assert_eq!(
            words(&error, true),
            (5, "no Route matched with those values".into())
        );
        let limited = Answer::message(429, "100% used \u{e9}");
        assert_eq!(words(&limited, false), (8, "100%25 used %C3%A9".into()));
        let plain = Answer::bytes(403, None, "go away\n");
        assert_eq!(words(&plain, false), (7, "go away%0A".into()));
        assert_eq!(
            words(&Answer::bytes(500, None, "{}"), false),
            (13, "Internal".into())
        );
        assert_eq!(
            words(&Answer::empty(503), false),
            (14, "Unavailable".into())
        );
    }
}
