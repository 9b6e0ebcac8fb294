//! The upstream's side of a response under way, over HTTP/1 or HTTP/2: a source of the body, a sink for what is left of
//! the request's.
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use super::asking::{Upload, poll_upload};
use crate::client_side::{ClientFault, ClientSide};
use crate::h1::body::IncomingBody;
use crate::h1::chunked::Decoded;
use crate::trailers;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::h2::stream::{self, Answering};
use crate::worker::Worker;

/// One of the ways in which a response comes.
#[derive(Debug)]
pub(super) enum Leg {
    /// Over a connection of its own.
    H1(H1Leg),
    /// Over a stream of a shared connection.
    H2(Box<Answering>),
}

/// A response over HTTP/1.
#[derive(Debug)]
pub(super) struct H1Leg {
    /// The connection it comes over.
    pub(super) connection: Box<UpstreamConnection>,
    /// What is left of its body.
    pub(super) body: IncomingBody,
    /// What is left of the request's body.
    pub(super) upload: Upload,
    /// Whether the connection may serve another request afterwards.
    pub(super) is_reusable: bool,
}

/// A piece of a response's body.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes.
    Data(Bytes),
    /// Its end, with the trailers that pass.
    End(Option<HeaderMap>),
}

/// The rest will not come; with the code of the upstream's reset, if it sent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) Option<::h2::Reason>);

impl Leg {
    /// Whether more of the body, or its end, is at hand without a further read.
    pub(super) fn has_more(&self) -> bool {
        match self {
            Self::H1(leg) => !leg.connection.buffer.is_empty() || leg.body.is_ended(),
            Self::H2(_) => false,
        }
    }

    /// Whether all of the body has come, and nothing but its end is left to be told.
    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::H1(leg) => leg.body.is_ended(),
            Self::H2(_) => false,
        }
    }

    /// The next piece.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        match self {
            Self::H1(leg) => leg.poll_piece(context),
            Self::H2(answering) => answering.poll_piece(context).map(|piece| match piece {
                Ok(stream::Piece::Data(data)) => Ok(Piece::Data(data)),
                Ok(stream::Piece::End(fields)) => {
                    Ok(Piece::End(fields.and_then(trailers::of_response)))
                }
                Err(reason) => Err(Broken(reason)),
            }),
        }
    }

    /// Whether the request's body is still on its way.
    pub(super) fn is_uploading(&self) -> bool {
        match self {
            Self::H1(leg) => leg.upload != Upload::Done,
            Self::H2(answering) => answering.sending.upload() != stream::Upload::Done,
        }
    }

    /// Moves what is left of the request's body as far as both sides allow.
    pub(super) fn poll_upload<C: ClientSide>(
        &mut self,
        client: &mut C,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ClientFault>> {
        match self {
            Self::H1(leg) => poll_upload(client, &mut leg.connection, &mut leg.upload, context),
            Self::H2(answering) => answering.sending.poll(client, context),
        }
    }

    /// Whether the upstream takes nothing for now, so that the client is not listened to either.
    pub(super) fn is_blocked(&self) -> bool {
        match self {
            Self::H1(leg) => leg.upload == Upload::Refused,
            Self::H2(answering) => answering.sending.is_blocked(),
        }
    }

    /// The upstream fell silent.
    pub(super) fn give_up(&self) {
        if let Self::H2(answering) = self {
            answering.lease.retire();
        }
    }

    /// The body has ended: what can serve further requests is kept.
    pub(super) fn end(self, worker: &Worker) {
        match self {
            Self::H1(leg) => {
                let is_idle = leg.upload == Upload::Done && leg.connection.output.pending() == 0;
                if leg.is_reusable && is_idle {
                    worker.pool.put(leg.connection, worker.recent_ms());
                }
            }
            // The stream has ended, and with it its share of the connection.
            Self::H2(_) => {}
        }
    }
}

impl H1Leg {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        loop {
            match self.body.take(&mut self.connection.buffer) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Ok(Piece::Data(data))),
                Ok(Decoded::Trailers(fields)) => {
                    let fields = trailers::of_response(trailers::parse(&fields));
                    return Poll::Ready(Ok(Piece::End(fields)));
                }
                Ok(Decoded::End) => return Poll::Ready(Ok(Piece::End(None))),
                Ok(Decoded::More) => {}
                Err(_) => return Poll::Ready(Err(Broken(None))),
            }
            match self.connection.poll_fill(context) {
                Poll::Ready(Ok(0)) if matches!(self.body, IncomingBody::Close) => {
                    return Poll::Ready(Ok(Piece::End(None)));
                }
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Broken(None))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
