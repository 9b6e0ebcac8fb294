//! A request's visit to a plugin that lives outside of the workers' threads (a plugin in Python). What the plugin may see
//! and change is moved there whole and moved back, so nothing is copied and no thread waits for another.
//!
//! Whichever comes first ends the visit: the plugin's verdict, or the worker's patience. A plugin that is late finds
//! nothing any more, and what it changed until then is taken back.
use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use twinplane_model::{Id, Plugin};

use crate::answer::Answer;
use crate::exchange::{
    BodyChunk, Client, CredentialRef, Exchange, Matched, Request, Response, UpstreamRequest,
};
use crate::filter::{Phase, Phases};
use crate::headers::Headers;
use crate::identity::Caller;
use crate::plugin::BuildError;
use crate::snapshot::{ConsumerEntry, Consumers, RouteEntry, ServiceEntry, Snapshot};
use crate::text::Text;

/// What keeps plugins outside of the workers' threads.
pub trait Host: Send + Sync + fmt::Debug {
    /// Makes a configured plugin ready.
    fn build(&self, row: &Plugin) -> Result<Guest, BuildError>;

    /// Lets a request in. False where there is no room; the visit is then not begun.
    fn enter(&self, visit: &Arc<Visit>) -> bool;

    /// Takes the entry of a request that is over, for later.
    fn log(&self, guest: &Guest, entry: Vec<u8>);
}

/// What a request goes on with where the plugin failed, was late or had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    Refuse,
    /// It passes as if the plugin were not there.
    Pass,
}

/// A configured plugin outside.
#[derive(Clone)]
pub struct Guest {
    /// What the host made of it.
    pub handle: Arc<dyn Any + Send + Sync>,
    /// The phases it acts in.
    pub phases: Phases,
    /// How long a visit may take, milliseconds.
    pub timeout_ms: u64,
    /// What happens where a visit fails.
    pub on_failure: OnFailure,
    /// The request's body is read up to this size before access; none: it is not read.
    pub body_bytes_max: Option<usize>,
    /// The response is held back up to this size in the response phase.
    pub response_bytes_max: usize,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("phases", &self.phases)
            .finish_non_exhaustive()
    }
}

/// How a visit went.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The next plugin's turn.
    Continue,
    /// The plugin answers.
    Answer(Box<Answer>),
    /// The plugin broke.
    Failed,
    /// It took too long.
    Late,
    /// There was no room.
    Refused,
}

/// How a visit went, and what it made of the piece of the body.
#[derive(Clone, Debug)]
pub struct Visited {
    /// What the plugin decided.
    pub verdict: Verdict,
    /// The piece, in `body_filter`.
    pub chunk: Option<BodyChunk>,
}

/// What a plugin sees of a request, and may change.
#[derive(Debug, Default)]
pub struct Parts {
    /// What the client asks.
    pub request: Request,
    /// What is sent upstream beside it.
    pub upstream: UpstreamRequest,
    /// What goes back.
    pub response: Response,
    /// Who asks.
    pub client: Client,
    /// What the route's path took.
    pub matched: Matched,
    /// The authenticated consumer.
    pub consumer: Option<Arc<ConsumerEntry>>,
    /// The credential that was used.
    pub credential: Option<CredentialRef>,
    /// Groups that an auth plugin vouches for.
    pub authenticated_groups: Vec<Text>,
    /// Whether the consumer stands for nobody.
    pub is_anonymous: bool,
    /// The piece of the body, in `body_filter`.
    pub chunk: Option<BodyChunk>,
    /// What the plugin keeps for its later phases.
    pub kept: Option<Box<dyn Any + Send>>,
    /// What plugins keep for each other.
    pub shared: Option<Box<dyn Any + Send>>,
}

impl Parts {
    /// Who asks, to be changed.
    pub fn caller(&mut self) -> Caller<'_> {
        Caller {
            headers: &mut self.request.headers,
            consumer: &mut self.consumer,
            credential: &mut self.credential,
            authenticated_groups: &mut self.authenticated_groups,
            is_anonymous: &mut self.is_anonymous,
        }
    }
}

// What a plugin can change, as it was before.
struct Before {
    request_headers: Headers,
    response_headers: Headers,
    status: u16,
    is_body_changed: bool,
    response_body: Option<Bytes>,
    upstream: UpstreamRequest,
    consumer: Option<Arc<ConsumerEntry>>,
    credential: Option<CredentialRef>,
    authenticated_groups: Vec<Text>,
    is_anonymous: bool,
    chunk: Option<Bytes>,
}

#[derive(Default)]
struct State {
    // None before the visit and after it.
    parts: Option<Parts>,
    before: Option<Box<Before>>,
    verdict: Option<Verdict>,
    waker: Option<Waker>,
}

/// One request at one plugin in one phase.
pub struct Visit {
    /// The phase.
    pub phase: Phase,
    /// The plugin.
    pub guest: Guest,
    /// Name of the plugin.
    pub plugin: &'static str,
    /// Id of the configured plugin.
    pub plugin_id: Id,
    /// Id of the request.
    pub request_id: Text,
    /// First byte of the request read, microseconds since the epoch.
    pub started_wall_us: u64,
    snapshot: Arc<Snapshot>,
    route: Option<u32>,
    service: Option<u32>,
    state: Mutex<State>,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("phase", &self.phase)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

/// What a filter keeps between the phases of one request on behalf of a plugin outside.
struct Kept(Option<Box<dyn Any + Send>>);

impl Visit {
    /// Begins a visit of the filter that is running: the exchange is left without what moves.
    pub fn begin(x: &mut Exchange, phase: Phase, guest: &Guest) -> Arc<Self> {
        let kept = x.kept_mut::<Kept>().and_then(|kept| kept.0.take());
        let parts = Parts {
            request: std::mem::take(&mut x.request),
            upstream: std::mem::take(&mut x.upstream),
            response: std::mem::take(&mut x.response),
            client: std::mem::take(&mut x.client),
            matched: std::mem::take(&mut x.matched),
            consumer: x.consumer.take(),
            credential: x.credential.take(),
            authenticated_groups: std::mem::take(&mut x.authenticated_groups),
            is_anonymous: x.is_anonymous,
            chunk: None,
            kept,
            shared: x.shared.take(),
        };
        let instance = &x.snapshot.plugins[x.chain.current() as usize];
        Arc::new(Self {
            phase,
            guest: guest.clone(),
            plugin: instance.name,
            plugin_id: Arc::clone(&instance.id),
            request_id: x.request_id.clone(),
            started_wall_us: x.times.started_wall_us,
            snapshot: Arc::clone(&x.snapshot),
            route: x.route,
            service: x.service,
            state: Mutex::new(State {
                parts: Some(parts),
                ..State::default()
            }),
        })
    }

    /// Gives the plugin the piece of the body that is about to go.
    pub fn put_chunk(&self, chunk: BodyChunk) {
        if let Some(parts) = &mut self.state().parts {
            parts.chunk = Some(chunk);
        }
    }

    /// Looks at what the plugin may see; none where the visit is over.
    pub fn read<T>(&self, look: impl FnOnce(&Parts) -> T) -> Option<T> {
        self.state().parts.as_ref().map(look)
    }

    /// Changes it; none where the visit is over. How it was before is kept until the verdict.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> Option<T> {
        let mut state = self.state();
        let State { parts, before, .. } = &mut *state;
        let parts = parts.as_mut()?;
        before.get_or_insert_with(|| Box::new(Before::of(parts)));
        Some(change(parts))
    }

    /// Keeps something for the plugin's later phases of this request; gives what was kept before.
    pub fn edit_kept(&self, kept: Box<dyn Any + Send>) -> Option<Option<Box<dyn Any + Send>>> {
        let mut state = self.state();
        state.parts.as_mut().map(|parts| parts.kept.replace(kept))
    }

    /// Keeps something for all plugins of this request; gives what was kept before.
    pub fn share(&self, shared: Box<dyn Any + Send>) -> Option<Option<Box<dyn Any + Send>>> {
        let mut state = self.state();
        state
            .parts
            .as_mut()
            .map(|parts| parts.shared.replace(shared))
    }

    /// The consumers of the configuration that the request is served by.
    pub fn consumers(&self) -> &Consumers {
        &self.snapshot.consumers
    }

    /// The route that was matched.
    pub fn route(&self) -> Option<&RouteEntry> {
        self.route
            .and_then(|at| self.snapshot.routes.get(at as usize))
    }

    /// Its service.
    pub fn service(&self) -> Option<&ServiceEntry> {
        self.service
            .and_then(|at| self.snapshot.services.get(at as usize))
    }

    /// Whether nobody waits for a verdict any more.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.parts.is_none() || state.verdict.is_some()
    }

    /// The plugin's verdict; the first one counts, and none does after the end.
    pub fn finish(&self, verdict: Verdict) {
        let mut state = self.state();
        if state.parts.is_none() || state.verdict.is_some() {
            return;
        }
        state.verdict = Some(verdict);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready once there is a verdict.
    pub fn poll_verdict(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.verdict.is_some() {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ends the visit: what moved comes back, unchanged where the plugin did not finish.
    pub fn end(&self, x: &mut Exchange, otherwise: Verdict) -> Visited {
        let mut state = self.state();
        let verdict = state.verdict.take().unwrap_or(otherwise);
        state.waker = None;
        let before = state.before.take();
        let Some(mut parts) = state.parts.take() else {
            return Visited {
                verdict: Verdict::Failed,
                chunk: None,
            };
        };
        drop(state);
        if !matches!(verdict, Verdict::Continue | Verdict::Answer(_))
            && let Some(before) = before
        {
            before.restore(&mut parts);
        }
        x.request = parts.request;
        x.upstream = parts.upstream;
        x.response = parts.response;
        x.client = parts.client;
        x.matched = parts.matched;
        x.consumer = parts.consumer;
        x.credential = parts.credential;
        x.authenticated_groups = parts.authenticated_groups;
        x.is_anonymous = parts.is_anonymous;
        x.shared = parts.shared;
        if let Some(kept) = parts.kept {
            x.keep(Kept(Some(kept)));
        }
        Visited {
            verdict,
            chunk: parts.chunk,
        }
    }

    /// Ends the visit of a request that is no more.
    pub fn abandon(&self) {
        let mut state = self.state();
        let gone = (state.parts.take(), state.before.take());
        state.waker = None;
        drop(state);
        drop(gone);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Before {
    fn of(parts: &Parts) -> Self {
        Self {
            request_headers: parts.request.headers.clone(),
            response_headers: parts.response.headers.clone(),
            status: parts.response.status,
            is_body_changed: parts.response.is_body_changed,
            response_body: parts.response.buffered.clone(),
            upstream: parts.upstream.clone(),
            consumer: parts.consumer.clone(),
            credential: parts.credential.clone(),
            authenticated_groups: parts.authenticated_groups.clone(),
            is_anonymous: parts.is_anonymous,
            chunk: parts.chunk.as_ref().map(|chunk| chunk.data.clone()),
        }
    }

    fn restore(self, parts: &mut Parts) {
        parts.request.headers = self.request_headers;
        parts.response.headers = self.response_headers;
        parts.response.status = self.status;
        parts.response.is_body_changed = self.is_body_changed;
        parts.response.buffered = self.response_body;
        parts.upstream = self.upstream;
        parts.consumer = self.consumer;
        parts.credential = self.credential;
        parts.authenticated_groups = self.authenticated_groups;
        parts.is_anonymous = self.is_anonymous;
        if let (Some(chunk), Some(data)) = (&mut parts.chunk, self.chunk) {
            chunk.data = data;
        }
    }
}
