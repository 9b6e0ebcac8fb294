//! Limits of connections and messages.
use serde::Deserialize;

/// Limits of connections and messages. Zero sets no bound where it says so.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// HTTP/1 head, request line included.
    pub head_bytes_max: usize,
    /// One line of it.
    pub line_bytes_max: usize,
    /// Fields of a head.
    pub fields_max: usize,
    /// Time for the TLS handshake and, again, for a head.
    pub head_timeout_ms: u64,
    /// Silence on a connection between requests before it is closed.
    pub idle_timeout_ms: u64,
    /// Silence of a client within a request's body.
    pub body_timeout_ms: u64,
    /// Least pace of a request's body that is waited for, bytes a second; 0: no bound.
    pub body_bytes_per_s_min: u64,
    /// What a body may take beyond that.
    pub body_grace_ms: u64,
    /// Silence of a client that takes nothing of a response.
    pub send_timeout_ms: u64,
    /// Requests served on one connection; 0: no bound.
    pub requests_max: u64,
    /// Open HTTP/2 streams of a connection.
    pub h2_streams_max: u32,
    /// Decoded HTTP/2 header list.
    pub h2_header_list_bytes_max: u32,
    /// Open connections of the node; 0: no bound.
    pub connections_max: usize,
    /// Request body; 0: no bound.
    pub body_bytes_max: u64,
    /// Request body that is held in memory (for a filter, or to be sent again).
    pub buffered_body_bytes_max: usize,
    /// Response body that is held in memory for a filter, whatever it asks for.
    pub buffered_response_bytes_max: usize,
    /// Head of an upstream's response; 0: as that of a request.
    pub response_head_bytes_max: usize,
    /// What is read of a response ahead of a client that is slow; below one read of 64 KiB: nothing.
    pub response_ahead_bytes_max: usize,
    /// The same of all responses of the node together.
    pub responses_ahead_bytes_max: usize,
    /// Sessions of datagrams that are open at a time on the node; 0: none.
    pub udp_sessions_max: usize,
}

impl Limits {
    /// The longest head of an upstream's response.
    pub const fn response_head_most(&self) -> usize {
        if self.response_head_bytes_max == 0 {
            self.head_bytes_max
        } else {
            self.response_head_bytes_max
        }
    }

    /// The longest request body, as a number to compare with.
    pub const fn body_most(&self) -> u64 {
        if self.body_bytes_max == 0 {
            u64::MAX
        } else {
            self.body_bytes_max
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32_768,
            line_bytes_max: 8_192,
            fields_max: 100,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            body_timeout_ms: 60_000,
            body_bytes_per_s_min: 240,
            body_grace_ms: 10_000,
            send_timeout_ms: 60_000,
            requests_max: 10_000,
            h2_streams_max: 100,
            h2_header_list_bytes_max: 65_536,
            connections_max: 0,
            body_bytes_max: 0,
            buffered_body_bytes_max: 8 * 1_048_576,
            buffered_response_bytes_max: 64 * 1_048_576,
            response_head_bytes_max: 0,
            response_ahead_bytes_max: 1_048_576,
            responses_ahead_bytes_max: 128 * 1_048_576,
            udp_sessions_max: 10_000,
        }
    }
}
