//! What a client of the proxy sees of an error: status, words, and the form that its `Accept` asks for. The only place
//! that words them.
mod forms;
pub mod templates;

use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{Exchange, Scheme};
use twinplane_engine::text::Text;

use crate::dns::DnsError;
use crate::forwarded::host_without_port;
use crate::grpc;
use crate::h1::fault::RequestFault;
use crate::upstream::peers::NoDestination;

pub(crate) use forms::Form;
pub use forms::{Forms, Page, render};

/// Why the gateway itself answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// The request is not let in.
    Request(RequestFault),
    /// No route matches.
    NoRoute,
    /// The route has no service.
    NoService,
    /// The route is not served in the clear.
    HttpsRequired {
        /// 426, or a redirect.
        status: u16,
    },
    /// The route is for gRPC and the request came over HTTP/1.
    Http2Required,
    /// The route is for gRPC and the request is none.
    NotGrpc,
    /// The route is for gRPC over TLS and the call came in the clear.
    GrpcsRequired,
    /// Nowhere to go.
    NoDestination(NoDestination),
    /// The upstream could not be reached, or what it said is no response.
    UpstreamInvalid,
    /// The upstream took too long.
    UpstreamTimeout,
    /// Something of ours broke.
    Unexpected,
}

/// An error as it will be answered.
#[derive(Debug)]
pub struct Worded {
    /// Status, headers and message.
    pub answer: Box<Answer>,
    /// Whether it is raised by the server under the gateway: then a request without `Accept` gets the default type.
    pub is_of_server: bool,
}

/// Puts an error in words.
///
/// `https_port` is where clients find TLS, if not at the usual port.
pub fn word(error: &GatewayError, x: &Exchange, https_port: Option<u16>) -> Worded {
    let answer = match error {
        GatewayError::Request(fault) => return of_server(request_answer(*fault)),
        GatewayError::UpstreamInvalid => {
            let message = "An invalid response was received from the upstream server";
            return of_server(Answer::error(502, message));
        }
        GatewayError::UpstreamTimeout => {
            return of_server(Answer::error(504, "The upstream server is timing out"));
        }
        GatewayError::Unexpected => Answer::unexpected(),
        GatewayError::NoRoute => Answer::error(404, "no Route matched with those values"),
        GatewayError::NoService => Answer::error(503, "no Service found with those values"),
        GatewayError::HttpsRequired { status: 426 } => {
            Answer::error(426, "Please use HTTPS protocol")
                .with("Connection", "Upgrade")
                .with("Upgrade", "TLS/1.2, HTTP/1.1")
        }
        GatewayError::HttpsRequired { status } => redirect(*status, x, https_port),
        GatewayError::Http2Required => Answer::error(426, "Please use HTTP2 protocol")
            .with("Connection", "Upgrade")
            .with("Upgrade", "HTTP/2"),
        GatewayError::NotGrpc => Answer::error(415, "Non-gRPC request matched gRPC route"),
        GatewayError::GrpcsRequired => Answer::empty(200)
            .with("Content-Type", grpc::CONTENT_TYPE)
            .with("grpc-status", "1")
            .with("grpc-message", "gRPC request matched gRPCs route"),
        GatewayError::NoDestination(none) => no_destination(none),
    };
    Worded {
        answer,
        is_of_server: false,
    }
}

fn of_server(answer: Box<Answer>) -> Worded {
    Worded {
        answer,
        is_of_server: true,
    }
}

fn request_answer(fault: RequestFault) -> Box<Answer> {
    let status = fault.status();
    match fault {
        RequestFault::Malformed => Answer::error(status, "Bad request"),
        RequestFault::HeadTooLarge => Answer::error(status, "Request header or cookie too large"),
        RequestFault::TargetTooLong => Answer::error(status, "URI too long"),
        RequestFault::Method => Answer::error(status, "Method not allowed"),
        RequestFault::BodyTooLarge => Answer::error(status, "Payload too large"),
        RequestFault::TimedOut => Answer::error(status, "Request timeout"),
        RequestFault::Version | RequestFault::Coding => Answer::page(status),
    }
}

fn no_destination(none: &NoDestination) -> Box<Answer> {
    match none {
        NoDestination::NoPeer => Answer::error(503, "failure to get a peer from the ring-balancer"),
        NoDestination::Name {
            error: DnsError::NotFound,
            ..
        } => Answer::error(503, "name resolution failed"),
        NoDestination::Name { host, error } => Answer::error(
            500,
            format!("failed the initial dns/balancer resolve for '{host}' with: {error}"),
        ),
        NoDestination::Tls(_) => Answer::unexpected(),
    }
}

fn redirect(status: u16, x: &Exchange, https_port: Option<u16>) -> Box<Answer> {
    let host = String::from_utf8_lossy(host_without_port(x.request.host.as_bytes()));
    let target = String::from_utf8_lossy(x.request.target.as_bytes());
    let scheme = Scheme::Https.as_str();
    let port = https_port.map_or_else(String::new, |port| format!(":{port}"));
    let location = format!("{scheme}://{host}{port}{target}");
    Answer::page(status).with("Location", Text::from(location))
}

/// The reason phrase of a status in responses of our own; none where the server under Kong has none.
pub fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => return None,
    })
}
