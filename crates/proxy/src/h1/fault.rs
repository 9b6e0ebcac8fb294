//! What a client can get wrong in HTTP/1. Each is refused before anything is forwarded, and the connection is closed.
use std::fmt;

/// A request that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// Not a well-formed request, or its framing is ambiguous.
    Malformed,
    /// A head, a line of it, or the number of its fields is over the limit.
    HeadTooLarge,
    /// The request line is over the limit.
    TargetTooLong,
    /// A method that is never served.
    Method,
    /// A version other than 1.0 and 1.1.
    Version,
    /// A transfer coding other than `chunked`.
    Coding,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The head or the body came too slowly.
    TimedOut,
}

impl RequestFault {
    /// The status it is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::HeadTooLarge => 400,
            Self::TargetTooLong => 414,
            Self::Method => 405,
            Self::Version => 505,
            Self::Coding => 501,
            Self::BodyTooLarge => 413,
            Self::TimedOut => 408,
        }
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "request_malformed",
            Self::HeadTooLarge => "request_head_too_large",
            Self::TargetTooLong => "request_target_too_long",
            Self::Method => "request_method_refused",
            Self::Version => "request_version_refused",
            Self::Coding => "request_coding_refused",
            Self::BodyTooLarge => "request_body_too_large",
            Self::TimedOut => "request_timed_out",
        })
    }
}

impl std::error::Error for RequestFault {}

/// A response of an upstream that cannot be trusted to mean one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFault;

impl fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("response_malformed")
    }
}

impl std::error::Error for ResponseFault {}
