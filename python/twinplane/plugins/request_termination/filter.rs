//! request-termination: answers instead of the upstream, always or where a header or argument asks for it.
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{Exchange, Framing};
use twinplane_engine::filter::{Filter, Flow, Outcome, Phase, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use crate::arguments::Arguments;
use crate::body::{self, Kind};
use crate::entities;
use crate::json::{Object, write_array, write_text};
use crate::log_entry::{write_arguments, write_headers};

struct RequestTermination {
    status: u16,
    message: Option<Box<str>>,
    body: Option<Bytes>,
    content_type: Option<Text>,
    is_echo: bool,
    trigger: Option<Box<str>>,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let default = default_message(config.status_code).map(Into::into);
    Ok(Arc::new(RequestTermination {
        status: config.status_code,
        message: config.message.or(default),
        body: config.body.map(|body| Bytes::from(body.into_string())),
        content_type: config
            .content_type
            .map(|value| Text::copy_from(value.as_bytes())),
        is_echo: config.echo,
        trigger: config.trigger,
    }))
}

const fn default_message(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "Unauthorized",
        404 => "Not found",
        405 => "Method not allowed",
        500 => "An unexpected error occurred",
        502 => "Bad Gateway",
        503 => "Service unavailable",
        _ => return None,
    })
}

impl RequestTermination {
    fn is_triggered(&self, x: &Exchange) -> bool {
        self.trigger.as_ref().is_none_or(|trigger| {
            let query = x.request.query.as_ref().map_or(&b""[..], Text::as_bytes);
            x.request.headers.contains(trigger)
                || Arguments::parse(query).contains(trigger.as_bytes())
        })
    }

    fn answer(&self, x: &Exchange) -> Box<Answer> {
        if self.is_echo {
            return Answer::json(self.status, self.echo(x));
        }
        match (&self.body, &self.message) {
            (Some(body), _) => Answer::bytes(self.status, self.content_type.clone(), body.clone()),
            (None, Some(message)) => Answer::message(self.status, message),
            (None, None) => bare(self.status),
        }
    }

    fn echo(&self, x: &Exchange) -> Vec<u8> {
        let mut out = Vec::new();
        let mut echo = Object::open(&mut out);
        if let Some(message) = &self.message {
            echo.text("message", message.as_bytes());
        }
        echo.object("kong", |kong| {
            kong.text("node_id", x.node.node_id.as_bytes());
            kong.integer("worker_pid", std::process::id());
            kong.text("hostname", x.node.hostname.as_bytes());
        });
        if let Some(route) = x.route() {
            echo.value("matched_route", &entities::route(&route.model));
        }
        if let Some(service) = x.service() {
            echo.value("matched_service", &entities::service(&service.model));
        }
        echo.object("request", |request| write_request(x, request));
        echo.close();
        out
    }
}

fn write_request(x: &Exchange, request: &mut Object<'_>) {
    let query = x.request.query.as_ref().map_or(&b""[..], Text::as_bytes);
    let host = x.request.host.as_bytes();
    let host = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let raw_body = body::current(x).map_or(&b""[..], |body| body);
    request.text("scheme", x.client.scheme.as_str().as_bytes());
    request.text("host", host);
    request.integer("port", x.client.listener_port);
    request.text("method", x.request.method.as_bytes());
    request.text("path", x.request.path.as_bytes());
    request.member("headers", |out| write_headers(&x.request.headers, out, &[]));
    request.member("query", |out| {
        write_arguments(&Arguments::parse(query), out);
    });
    request.text("raw_body", raw_body);
    match Kind::of(x) {
        Some(Kind::Json) => {
            if let Some(object) = body::json_object(raw_body) {
                request.value("body", &object.into());
            }
        }
        Some(Kind::Form) => request.member("body", |out| {
            write_arguments(&Arguments::parse(raw_body), out);
        }),
        _ => {}
    }
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let captures = &x.matched.captures;
    request.object("uri_captures", |all| {
        let unnamed = captures.iter().filter(|(name, _)| is_number(name));
        all.member("unnamed", |out| {
            write_array(unnamed, out, |(_, value), out| {
                write_text(value.as_bytes(), out);
            });
        });
        all.object("named", |named| {
            for (name, value) in captures.iter().filter(|(name, _)| !is_number(name)) {
                named.text(name, value.as_bytes());
            }
        });
    });
}

// What a real node's web server makes of a status without a text: its error template, its own page, or nothing.
fn bare(status: u16) -> Box<Answer> {
    let message = match status {
        400 => "Bad request",
        408 => "Request timeout",
        411 => "Length required",
        412 => "Precondition failed",
        413 => "Payload too large",
        414 => "URI too long",
        417 => "Expectation failed",
        494 => "Request header or cookie too large",
        504 => "The upstream server is timing out",
        402 | 403 | 406 | 409 | 410 | 415 | 416 | 421 | 429 | 501 | 505 | 507 => {
            return Answer::page(status);
        }
        _ => return Answer::page(status),
    };
    Answer::error(status, message)
}

impl Filter for RequestTermination {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        if !self.is_triggered(x) {
            return Flow::Continue;
        }
        let shows_body = self.is_echo && x.request.body != Framing::None;
        if let Some(wait) = body::wanted(x).filter(|_| shows_body) {
            return wait;
        }
        Flow::Answer(self.answer(x))
    }

    fn resume(&self, _: Phase, x: &mut Exchange, _: Outcome) -> Flow {
        Flow::Answer(self.answer(x))
    }
}
