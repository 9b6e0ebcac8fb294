//! The form of an error's body: the one that `Accept` asks for, a page of the server under the gateway, or the status of a
//! call.
use std::borrow::Cow;

use bytes::Bytes;
use twinplane_engine::answer::{Answer, AnswerBody};
use twinplane_engine::exchange::Exchange;
use twinplane_engine::text::Text;

use super::reason;
use super::templates::{self, ErrorTemplates};
use crate::grpc;
use crate::settings::Settings;

/// A body with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `Content-Type`; none leaves the header out.
    pub content_type: Option<Text>,
    /// The bytes.
    pub body: Bytes,
    /// The status that a call is told in place of a body.
    pub call: Option<grpc::Status>,
}

/// What the settings say about the forms of errors.
#[derive(Clone, Copy, Debug)]
pub struct Forms<'a> {
    /// Type where a request names none.
    pub default_type: &'a str,
    /// What takes the place of the built-in forms.
    pub templates: &'a ErrorTemplates,
}

impl<'a> Forms<'a> {
    /// Those of a node.
    pub fn of(settings: &'a Settings) -> Self {
        Self {
            default_type: &settings.start.error_default_type,
            templates: &settings.start.error_templates,
        }
    }
}

/// Gives an answer's body the form that this request asks for.
pub fn render(x: &Exchange, answer: &Answer, is_of_server: bool, forms: &Forms<'_>) -> Page {
    if grpc::is_call(x) {
        return call_page(answer, is_of_server);
    }
    match &answer.body {
        AnswerBody::Empty => Page::EMPTY,
        AnswerBody::Bytes { content_type, data } => Page {
            content_type: content_type.clone(),
            body: data.clone(),
            call: None,
        },
        AnswerBody::Page => server_page(answer.status),
        AnswerBody::Error(message) => error_body(x, message, is_of_server, forms),
        AnswerBody::ServerError(message) => error_body(x, message, true, forms),
    }
}

impl Page {
    const EMPTY: Self = Self {
        content_type: None,
        body: Bytes::new(),
        call: None,
    };
}

// A call gets a status. One that is answered in its own form, as from a cache, keeps its body and the status it has.
fn call_page(answer: &Answer, is_of_server: bool) -> Page {
    let own = match &answer.body {
        AnswerBody::Bytes { content_type, data } => content_type
            .as_ref()
            .map(Text::as_bytes)
            .or_else(|| answer.headers.get("content-type"))
            .filter(|content_type| grpc::has_type(content_type))
            .map(|_| data.clone()),
        _ => None,
    };
    let has_status = answer.headers.contains("grpc-status");
    Page {
        content_type: Some(Text::from_static(grpc::CONTENT_TYPE)),
        body: own.unwrap_or_default(),
        call: (!has_status).then(|| grpc::status(answer, is_of_server)),
    }
}

fn error_body(x: &Exchange, message: &str, is_of_server: bool, forms: &Forms<'_>) -> Page {
    let templates = forms.templates;
    let headers = &x.request.headers;
    let accept = headers.get("accept").map(String::from_utf8_lossy);
    if is_of_server {
        let wanted = accept.or_else(|| headers.get("content-type").map(String::from_utf8_lossy));
        let wanted = wanted.unwrap_or(Cow::Borrowed(forms.default_type));
        if wanted.starts_with("application/grpc") {
            let body = format!("{{\"message\":{}}}", serde_json::Value::from(message));
            return page("application/json; charset=utf-8", body);
        }
        return templated(Form::of(&wanted), message, &x.request_id, templates);
    }
    match accept {
        // Kong answers a gRPC client on HTTP/1 with nothing (vectors/plugins, gateway-errors).
        Some(accept) if accept.starts_with("application/grpc") => Page {
            content_type: Some(Text::from_static(" ")),
            ..Page::EMPTY
        },
        Some(accept) => templated(Form::of(&accept), message, &x.request_id, templates),
        None => templated(Form::Json, message, &x.request_id, templates),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Html,
    Plain,
    Xml,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
        }
    }

    // The first entry of the highest weight decides alone; what is not known gets JSON.
    fn of(accept: &str) -> Self {
        let mut best = (-1.0, "");
        for entry in accept.split(',') {
            let mut parts = entry.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(1.0, |weight| weight.trim().parse().unwrap_or(1.0));
            if weight > best.0 {
                best = (weight, name);
            }
        }
        match best.1.to_ascii_lowercase().as_str() {
            "text/html" => Self::Html,
            "text/plain" | "text/*" => Self::Plain,
            "application/xml" | "text/xml" => Self::Xml,
            _ => Self::Json,
        }
    }
}

fn templated(form: Form, message: &str, request_id: &Text, templates: &ErrorTemplates) -> Page {
    let id = request_id.as_str().unwrap_or_default();
    if let Some(template) = templates.of(form) {
        let message = match form {
            Form::Json => Cow::Owned(json_escaped(message)),
            Form::Html | Form::Xml => escaped(message),
            Form::Plain => Cow::Borrowed(message),
        };
        return page(form.content_type(), templates::fill(template, &message, id));
    }
    match form {
        Form::Json => {
            let message = serde_json::Value::from(message);
            page(
                form.content_type(),
                format!("{{\n  \"message\":{message},\n  \"request_id\":\"{id}\"\n}}"),
            )
        }
        Form::Plain => page(
            form.content_type(),
            format!("{message}\nrequest_id: {id}\n"),
        ),
        Form::Html => {
            let message = escaped(message);
            page(
                form.content_type(),
                format!(
                    "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>{message}.</p>\n    <p>request_id: {id}</p>\n  </body>\n</html>\n"
                ),
            )
        }
        Form::Xml => {
            let message = escaped(message);
            page(
                form.content_type(),
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>{message}</message>\n  <requestid>{id}</requestid>\n</error>\n"
                ),
            )
        }
    }
}

// As it stands between the quotes of a JSON text.
fn json_escaped(message: &str) -> String {
    let quoted = serde_json::Value::from(message).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn page(content_type: &'static str, body: String) -> Page {
    Page {
        content_type: Some(Text::from_static(content_type)),
        body: Bytes::from(body),
        call: None,
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"']) {
        return Cow::Borrowed(text);
    }
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    Cow::Owned(text)
}

// The page of the server under the gateway.
fn server_page(status: u16) -> Page {
    let Some(title) = page_title(status) else {
        return Page::EMPTY;
    };
    let content_type = if matches!(status, 301 | 302) {
        "text/html"
    } else {
        "text/html; charset=UTF-8"
    };
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    page(content_type, body)
}

fn page_title(status: u16) -> Option<String> {
    let words = match status {
        302 => "Found",
        405 => "Not Allowed",
        307 => "Temporary Redirect",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => reason(status).filter(|_| status >= 300)?,
    };
    Some(format!("{status} {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_heaviest_types_decides_alone() {
        for (accept, form) in [
            ("*/*", Form::Json),
            ("application/json", Form::Json),
            ("text/html", Form::Html),
            ("text/plain", Form::Plain),
            ("text/*", Form::Plain),
            ("application/xml", Form::Xml),
            ("image/png", Form::Json),
            ("garbage", Form::Json),
            ("text/html;q=0.1, text/plain;q=0.9, image/png", Form::Json),
            ("text/html;q=0.5, application/json;q=0.9", Form::Json),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Form::Html,
            ),
        ] {
            assert_eq!(Form::of(accept), form, "{accept}");
        }
    }

    #[test]
    fn templates_are_those_of_a_real_node() {
        let id = Text::from_static("65fd61098f841c3bc23baa06bf408911");
        let json = templated(Form::Json, "Unauthorized", &id, &ErrorTemplates::default());
        assert_eq!(json.body.len(), 81);
        assert!(
            templated(Form::Html, "a<b", &id, &ErrorTemplates::default())
                .body
                .windows(9)
                .any(|part| part == b"<p>a&lt;b")
        );
        assert_eq!(
            templated(
                Form::Html,
                "no Route matched with those values",
                &id,
                &ErrorTemplates::default()
            )
            .body
            .len(),
            243
        );
        assert_eq!(
            templated(
                Form::Xml,
                "no Route matched with those values",
                &id,
                &ErrorTemplates::default()
            )
            .body
            .len(),
            170
        );
        assert_eq!(
            templated(
                Form::Plain,
                "no Route matched with those values",
                &id,
                &ErrorTemplates::default()
            )
            .body
            .len(),
            80
        );
    }

    #[test]
    fn server_pages_have_their_recorded_lengths() {
        for (status, length) in [
            (301, 134),
            (302, 110),
            (308, 136),
            (403, 118),
            (501, 130),
            (505, 152),
        ] {
            assert_eq!(server_page(status).body.len(), length, "{status}");
        }
        assert!(server_page(599).body.is_empty());
    }
}
