//! The request's body on its way upstream: held in memory while it is small, streamed when it is not. What is held can be
//! sent again.
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use twinplane_engine::exchange::{Exchange, Framing};

use crate::client_side::{ClientFault, ClientSide};

/// What of a body was held on our side so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The bytes, from the first.
    pub(super) bytes: Bytes,
    is_continue_sent: bool,
}

/// The body of one attempt.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// None, or all of it: can be sent again.
    Held(Bytes),
    /// What was held, and the rest as it comes.
    Streamed {
        /// How it is framed towards the upstream.
        framing: Framing,
        /// The first part.
        first: Bytes,
    },
}

impl Collected {
    /// Waits for the body, until it is whole or longer than `bytes_max`. Says whether it is whole.
    pub(super) async fn collect<C: ClientSide>(
        &mut self,
        x: &Exchange,
        client: &mut C,
        bytes_max: usize,
    ) -> Result<bool, ClientFault> {
        self.allow(x, client).await?;
        poll_fn(|context| self.poll_collect(client, bytes_max, context)).await
    }

    /// Takes what has come already, without waiting.
    fn collect_available<C: ClientSide>(
        &mut self,
        client: &mut C,
        bytes_max: usize,
        context: &mut Context<'_>,
    ) -> Result<bool, ClientFault> {
        match self.poll_collect(client, bytes_max, context) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(false),
        }
    }

    fn poll_collect<C: ClientSide>(
        &mut self,
        client: &mut C,
        bytes_max: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, ClientFault>> {
        // One piece is the rule; further ones are joined.
        let mut joined: Option<BytesMut> = None;
        let result = loop {
            let held = joined.as_ref().map_or(self.bytes.len(), BytesMut::len);
            if held > bytes_max {
                break Poll::Ready(Ok(false));
            }
            match client.poll_body(context) {
                Poll::Ready(Ok(Some(piece))) if held == 0 => self.bytes = piece,
                Poll::Ready(Ok(Some(piece))) => {
                    joined
                        .get_or_insert_with(|| BytesMut::from(&self.bytes[..]))
                        .extend_from_slice(&piece);
                }
                Poll::Ready(Ok(None)) => break Poll::Ready(Ok(true)),
                Poll::Ready(Err(fault)) => break Poll::Ready(Err(fault)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if let Some(joined) = joined {
            self.bytes = joined.freeze();
        }
        result
    }

    // A client that waits to be told goes on now: its request was let in.
    async fn allow<C: ClientSide>(
        &mut self,
        x: &Exchange,
        client: &mut C,
    ) -> Result<(), ClientFault> {
        if !x.request.expects_continue || self.is_continue_sent {
            return Ok(());
        }
        self.is_continue_sent = true;
        client.send_continue();
        poll_fn(|context| client.poll_flush(context)).await
    }

    /// The body as it will be sent. Where the route buffers requests it is awaited up to `held_bytes_max`.
    pub(super) async fn outgoing<C: ClientSide>(
        &mut self,
        x: &mut Exchange,
        client: &mut C,
        held_bytes_max: usize,
    ) -> Result<Outgoing, ClientFault> {
        if let Some(body) = x.upstream.body.take() {
            return Ok(Outgoing::Held(body));
        }
        self.allow(x, client).await?;
        if x.request.body == Framing::None {
            return Ok(Outgoing::Held(Bytes::new()));
        }
        // A gRPC client may wait for an answer before it goes on: nothing is held back, as on a real node.
        let is_buffered = x.route().is_some_and(|route| route.model.request_buffering)
            && !x.service().is_some_and(|service| service.is_grpc);
        let is_whole = if is_buffered {
            self.collect(x, client, held_bytes_max).await?
        } else {
            poll_fn(|context| Poll::Ready(self.collect_available(client, held_bytes_max, context)))
                .await?
        };
        let first = std::mem::take(&mut self.bytes);
        let framing = if client.has_trailers() {
            // What comes behind a body goes on behind chunks alone.
            Framing::Chunked
        } else if is_whole {
            return Ok(Outgoing::Held(first));
        } else {
            x.request.body
        };
        Ok(Outgoing::Streamed { framing, first })
    }
}
