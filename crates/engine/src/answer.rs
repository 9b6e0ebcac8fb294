//! Answers that the gateway makes itself. Says what is meant; the proxy's error page says how it looks to this client.
use std::borrow::Cow;

use bytes::Bytes;

use crate::headers::Headers;
use crate::text::Text;

/// A response made by the gateway.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers beyond those that every response of the gateway carries.
    pub headers: Headers,
    /// The body.
    pub body: AnswerBody,
}

/// What an answer carries.
#[derive(Clone, Debug)]
pub enum AnswerBody {
    /// An error in the template that the client's `Accept` asks for, with the request id.
    Error(Cow<'static, str>),
    /// The same, raised as the server under the gateway raises it: without an `Accept` its type is that of the settings.
    ServerError(Cow<'static, str>),
    /// Bytes as they are; no content type leaves the header out.
    Bytes {
        /// `Content-Type`.
        content_type: Option<Text>,
        /// The body.
        data: Bytes,
    },
    /// The web server's own page for this status (redirects, 403 without a text).
    Page,
    /// No body.
    Empty,
}

const JSON: Text = Text::from_static("application/json; charset=utf-8");

impl Answer {
    /// An error worded by template, with the request id.
    pub fn error(status: u16, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            status,
            headers: Headers::new(),
            body: AnswerBody::Error(message.into()),
        })
    }

    /// An error as the server under the gateway words it.
    pub fn server_error(status: u16, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            status,
            headers: Headers::new(),
            body: AnswerBody::ServerError(message.into()),
        })
    }

    /// What a client sees when something of ours broke.
    pub fn unexpected() -> Box<Self> {
        Self::error(500, "An unexpected error occurred")
    }

    /// Compact JSON, given as text.
    pub fn json(status: u16, json: impl Into<Bytes>) -> Box<Self> {
        Self::bytes(status, Some(JSON), json)
    }

    /// Compact JSON `{"message":"..."}` without a request id.
    pub fn message(status: u16, message: &str) -> Box<Self> {
        Self::json(
            status,
            format!("{{\"message\":{}}}", serde_json::Value::from(message)),
        )
    }

    /// Bytes as they are.
    pub fn bytes(status: u16, content_type: Option<Text>, data: impl Into<Bytes>) -> Box<Self> {
        let body = AnswerBody::Bytes {
            content_type,
            data: data.into(),
        };
        Box::new(Self {
            status,
            headers: Headers::new(),
            body,
        })
    }

    /// No body.
    pub fn empty(status: u16) -> Box<Self> {
        Box::new(Self {
            status,
            headers: Headers::new(),
            body: AnswerBody::Empty,
        })
    }

    /// The web server's own page.
    pub fn page(status: u16) -> Box<Self> {
        Box::new(Self {
            status,
            headers: Headers::new(),
            body: AnswerBody::Page,
        })
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self: Box<Self>, name: impl Into<Text>, value: impl Into<Text>) -> Box<Self> {
        self.headers.append(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_escaped_json() {
        let answer = Answer::message(401, "say \"please\"").with("X-A", "1");
        let AnswerBody::Bytes { data, content_type } = &answer.body else {
            panic!("bytes")
        };
        assert_eq!(&data[..], br#"{"message":"say \"please\""}"#);
        assert_eq!(content_type.as_ref(), Some(&JSON));
        assert_eq!(answer.headers.get("x-a"), Some(&b"1"[..]));
    }
}
