//! The client's side of one request, whatever the protocol: a source of the body, a sink of the response. HTTP/1 and
//! HTTP/2 each give one; the walk of a request knows only this.
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::headers::Headers;

use crate::h1::fault::RequestFault;

/// Why the client's side cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// The connection or stream is gone: there is nobody to answer.
    Gone,
    /// The body is at fault, too long or too slow; it can be answered if no response has begun.
    Request(RequestFault),
}

/// How long a response's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none (HEAD, 204, 304); a length may be told all the same.
    None {
        /// The length to tell.
        length: Option<u64>,
    },
    /// So many bytes will be sent.
    Length(u64),
    /// As it comes.
    Unknown,
}

/// One request's client. Sending only queues; [`ClientSide::poll_flush`] moves bytes, and whoever sends more than a
/// piece flushes first, so that a slow client slows its upstream.
pub trait ClientSide {
    /// The next piece of the request's body; none after its end, again and again.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>>;

    /// Whether trailers have come behind the body.
    fn has_trailers(&self) -> bool {
        false
    }

    /// The trailers of a body that has ended, once.
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    /// No more than this of the body is taken; a body that is longer is at fault.
    fn limit_body(&mut self, bytes_max: u64);

    /// The body may come as slowly as it likes: on this route it streams as it is made.
    fn release_pace(&mut self);

    /// Whether the body has come whole.
    fn is_body_ended(&self) -> bool;

    /// Ready once the client has gone away. Asked only while an answer is awaited.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Tells a client that expects it to go on with its body.
    fn send_continue(&mut self);

    /// Queues an interim response (1xx) of the upstream.
    fn send_interim(&mut self, status: u16, headers: &Headers);

    /// Queues the head of the response: status and headers of `x.response`, framed for this protocol.
    fn send_head(&mut self, x: &Exchange, body: ResponseBody);

    /// Queues a piece of the body. Dropped where the head said that there is none.
    fn send_data(&mut self, data: Bytes);

    /// Queues fields to go with the end of the body, where this client can be told any. Before [`ClientSide::send_end`].
    fn send_trailers(&mut self, _trailers: HeaderMap) {}

    /// Queues the end of the body.
    fn send_end(&mut self);

    /// The response cannot be completed: the client must see that it is cut, by a closed connection or a reset stream.
    fn cut(&mut self);

    /// The same, with the code that an upstream gave, where the protocol has codes.
    fn reset(&mut self, _reason: ::h2::Reason) {
        self.cut();
    }

    /// What follows on the same connection has no sure meaning: it ends after this response, where it carries one at a time.
    fn end_connection(&mut self) {}

    /// Bytes queued and not yet taken by the connection.
    fn queued(&self) -> usize;

    /// Moves what is queued; ready when all of it is.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientFault>>;

    /// Bytes received so far for this request, and bytes sent (head and body, body alone).
    fn counts(&self) -> ByteCounts;
}

/// What has gone over the wire for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounts {
    /// Received: head and body.
    pub received: u64,
    /// Sent: head and body.
    pub sent: u64,
    /// Sent of the body.
    pub sent_body: u64,
}
