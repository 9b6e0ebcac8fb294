//! One request on an HTTP/2 connection to an upstream: its body goes up as far as both sides allow, its answer comes
//! down, both at once. Dropping it before its end resets the stream.
use std::task::{Context, Poll, ready};

use ::h2::client::ResponseFuture;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::Bytes;
use http::HeaderMap;

use crate::client_side::{ClientFault, ClientSide};
use crate::trailers;
use crate::upstream::h2::Lease;

/// The sending of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// All was sent.
    Done,
    /// What waits here is the last.
    Ending,
    /// More is to come from the client.
    Running,
    /// The upstream takes no more; its answer may come all the same.
    Refused,
}

/// The sending side of a stream.
#[derive(Debug)]
pub struct Sending {
    stream: SendStream<Bytes>,
    waiting: Bytes,
    upload: Upload,
    has_drawn: bool,
}

/// What came of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// Its end, with the trailers.
    End(Option<HeaderMap>),
}

/// A stream whose answer is awaited.
#[derive(Debug)]
pub struct Asked {
    /// The answer.
    pub response: ResponseFuture,
    /// The request's body.
    pub sending: Sending,
    /// The connection.
    pub lease: Lease,
}

/// A stream whose answer has begun.
#[derive(Debug)]
pub struct Answering {
    /// The answer's body.
    pub body: RecvStream,
    /// The request's body.
    pub sending: Sending,
    /// The connection.
    pub lease: Lease,
}

impl Sending {
    /// With a first part of the body, which is all of it unless more comes from the client.
    pub fn new(stream: SendStream<Bytes>, first: Bytes, upload: Upload) -> Self {
        Self {
            stream,
            waiting: first,
            upload,
            has_drawn: false,
        }
    }

    /// How far it is.
    pub fn upload(&self) -> Upload {
        self.upload
    }

    /// Whether the upstream takes nothing for now, so that the client is not listened to either.
    pub fn is_blocked(&self) -> bool {
        !self.waiting.is_empty() || self.upload == Upload::Refused
    }

    /// Whether bytes were taken from the client that are not held anywhere else.
    pub fn has_drawn(&self) -> bool {
        self.has_drawn
    }

    /// Bytes that wait for the upstream to take them.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Moves the body as far as both sides allow. Ready when there is no more to send.
    pub fn poll<C: ClientSide>(
        &mut self,
        client: &mut C,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ClientFault>> {
        loop {
            if !self.waiting.is_empty() && matches!(self.upload, Upload::Running | Upload::Ending) {
                ready!(self.poll_send(context));
                continue;
            }
            match self.upload {
                Upload::Done | Upload::Refused => return Poll::Ready(Ok(())),
                Upload::Ending => self.end(None),
                Upload::Running => match ready!(client.poll_body(context)) {
                    Ok(Some(data)) => {
                        self.waiting = data;
                        self.has_drawn = true;
                        // The end goes with the last bytes where it came with them.
                        if client.is_body_ended() && !client.has_trailers() {
                            self.upload = Upload::Ending;
                        }
                    }
                    Ok(None) => {
                        let trailers = client.take_trailers();
                        self.end(trailers.and_then(trailers::of_request));
                    }
                    Err(fault) => return Poll::Ready(Err(fault)),
                },
            }
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.reserve_capacity(self.waiting.len());
        let mut capacity = self.stream.capacity();
        if capacity == 0 {
            let Some(Ok(granted)) = ready!(self.stream.poll_capacity(context)) else {
                self.refuse();
                return Poll::Ready(());
            };
            capacity = granted;
        }
        let piece = self.waiting.split_to(capacity.min(self.waiting.len()));
        let is_last = self.waiting.is_empty() && self.upload == Upload::Ending;
        match self.stream.send_data(piece, is_last) {
            Ok(()) if is_last => self.upload = Upload::Done,
            Ok(()) => {}
            Err(_) => self.refuse(),
        }
        Poll::Ready(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        let sent = match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        self.upload = Upload::Done;
        if sent.is_err() {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        self.waiting = Bytes::new();
        self.upload = Upload::Refused;
    }
}

impl Answering {
    /// The next piece of the answer. An error says with which code the stream was reset, if it was.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, Option<Reason>>> {
        match ready!(self.body.poll_data(context)) {
            Some(Ok(data)) => {
                // The window is given back as the bytes are passed on, so that a slow client slows its upstream.
                let released = self.body.flow_control().release_capacity(data.len());
                Poll::Ready(released.map(|()| Piece::Data(data)).map_err(reason))
            }
            Some(Err(error)) => Poll::Ready(Err(reason(error))),
            None => {
                let trailers = ready!(self.body.poll_trailers(context));
                Poll::Ready(trailers.map(Piece::End).map_err(reason))
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a mapping of errors")]
fn reason(error: ::h2::Error) -> Option<Reason> {
    if error.is_reset() && error.is_remote() {
        error.reason()
    } else {
        None
    }
}
