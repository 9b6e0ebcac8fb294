//! HTTP/2 connections to upstreams, for gRPC: shared by the requests of a worker that agree on where they lead, many
//! streams on each. A connection that its upstream has called off, or that is worn, gets no further stream; what runs on
//! it ends undisturbed.
pub mod head;
pub mod stream;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::h2::client::{Builder, Connection, SendRequest};
use ahash::AHashMap;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::recorder::{Counter, Held, Ledger};
use crate::settings::KeepaliveSettings;
use crate::timers::Timer;
use crate::tls::upstream::UpstreamTls;
use crate::upstream::connection::connect;
use crate::upstream::io::UpstreamIo;
use crate::upstream::pool::PoolKey;

/// What an upstream may send ahead of our reading, per stream. The connection's window has room for all streams that the
/// settings allow, so that one whose client is slow never holds up another.
const STREAM_WINDOW_BYTES: u32 = 131_072;
/// The largest window that HTTP/2 knows.
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
/// What a stream may have waiting to be written.
const SEND_BUFFER_BYTES: usize = 65_536;

/// There is no connection: refused, or the handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoConnection;

/// A worker's HTTP/2 connections.
#[derive(Debug)]
pub struct H2Pool {
    settings: Cell<KeepaliveSettings>,
    head_bytes_max: Cell<u32>,
    clock: Clock,
    ledger: Arc<Ledger>,
    places: RefCell<AHashMap<PoolKey, Connections>>,
}

#[derive(Debug, Default)]
struct Connections {
    open: Vec<Rc<Shared>>,
    connecting: Vec<Rc<Connecting>>,
    // What the upstream allowed on the connection made last; before the first one nobody knows.
    streams_max: Option<usize>,
}

/// One connection.
#[derive(Debug)]
struct Shared {
    send: SendRequest<Bytes>,
    streams: Cell<usize>,
    // As many as its window has room for.
    streams_max: usize,
    served: Cell<u64>,
    idle_since_ms: Cell<u64>,
    // Gets no further stream.
    is_retired: Rc<Cell<bool>>,
}

/// A connection that is being made; several requests wait for it.
#[derive(Debug, Default)]
struct Connecting {
    waiting: Cell<usize>,
    made: Cell<Option<Result<(), NoConnection>>>,
    done: Notify,
}

/// The right to one stream on a connection, for as long as it is held.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<H2Pool>,
    key: PoolKey,
    shared: Rc<Shared>,
    _counted: Held,
}

impl Lease {
    /// For one request.
    pub fn sender(&self) -> SendRequest<Bytes> {
        self.shared.send.clone()
    }

    /// The upstream fell silent: no further request goes this way.
    pub fn retire(&self) {
        self.shared.is_retired.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.streams.set(shared.streams.get() - 1);
        if shared.streams.get() == 0 {
            shared.idle_since_ms.set(self.pool.clock.now_ms());
            self.pool.trim(&self.key);
        }
    }
}

impl Shared {
    fn is_usable(&self, max_requests: u64) -> bool {
        let is_worn = max_requests != 0 && self.served.get() >= max_requests;
        let mut send = self.send.clone();
        let asked = send.poll_ready(&mut Context::from_waker(Waker::noop()));
        !is_worn && !self.is_retired.get() && !matches!(asked, Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.send.current_max_send_streams().min(self.streams_max)
    }
}

impl H2Pool {
    /// An empty one. `head_bytes_max` bounds the heads of responses.
    pub fn new(
        settings: KeepaliveSettings,
        head_bytes_max: usize,
        clock: Clock,
        ledger: Arc<Ledger>,
    ) -> Rc<Self> {
        Rc::new(Self {
            settings: Cell::new(settings),
            head_bytes_max: Cell::new(wire_size(head_bytes_max)),
            clock,
            ledger,
            places: RefCell::default(),
        })
    }

    /// Goes by other settings from now on. What a connection was made with cannot be changed: where that is something else
    /// now, those that are open end with the requests they carry.
    pub fn adopt(&self, settings: KeepaliveSettings, head_bytes_max: usize) {
        let made_with = || (self.settings.get().h2_streams, self.head_bytes_max.get());
        let before = made_with();
        self.settings.set(settings);
        self.head_bytes_max.set(wire_size(head_bytes_max));
        if made_with() != before {
            let places = self.places.borrow();
            for shared in places.values().flat_map(|place| &place.open) {
                shared.is_retired.set(true);
            }
        }
    }

    /// A stream on a connection that is open, or on one made now. `timer` bounds the making of it, which goes on for
    /// others where this request gives up. Others may take the streams of one that was made: then `is_reached` tells that
    /// the peer is well, and another one is made, for as long as the caller waits.
    pub async fn lease(
        self: &Rc<Self>,
        key: &PoolKey,
        tls: Option<&UpstreamTls>,
        timer: impl Fn() -> (Timer, u64),
        is_reached: &Cell<bool>,
    ) -> Result<Lease, NoConnection> {
        loop {
            if let Some(lease) = self.lease_open(key) {
                return Ok(lease);
            }
            self.connecting(key, tls, &timer).made().await?;
            is_reached.set(true);
        }
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        let places = self.places.borrow();
        places.values().map(|place| place.open.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of what is idle for too long, and of what can serve no more.
    pub fn sweep(&self, now_ms: u64) {
        let settings = self.settings.get();
        let most_ms = settings.idle_timeout_s.saturating_mul(1_000);
        self.places.borrow_mut().retain(|_, place| {
            place.open.retain(|shared| {
                let is_idle = shared.streams.get() == 0;
                let idle_ms = now_ms.saturating_sub(shared.idle_since_ms.get());
                let is_too_old = most_ms != 0 && is_idle && idle_ms >= most_ms;
                !is_too_old && shared.is_usable(settings.max_requests)
            });
            !place.open.is_empty() || !place.connecting.is_empty()
        });
    }

    fn lease_open(self: &Rc<Self>, key: &PoolKey) -> Option<Lease> {
        let mut places = self.places.borrow_mut();
        let place = places.get_mut(key)?;
        // A connection closes once its last stream has ended and nobody here holds it.
        let most = self.settings.get().max_requests;
        place.open.retain(|shared| shared.is_usable(most));
        let shared = place.open.iter().find(|shared| shared.has_room())?;
        shared.streams.set(shared.streams.get() + 1);
        shared.served.set(shared.served.get() + 1);
        Some(Lease {
            pool: Rc::clone(self),
            key: key.clone(),
            shared: Rc::clone(shared),
            _counted: Held::new(&self.ledger, Counter::UpstreamH2Streams),
        })
    }

    // Joins those who wait for a connection, as long as it will have a stream for each; else begins another one.
    fn connecting(
        self: &Rc<Self>,
        key: &PoolKey,
        tls: Option<&UpstreamTls>,
        timer: &impl Fn() -> (Timer, u64),
    ) -> Rc<Connecting> {
        let settings = self.settings.get();
        let mut places = self.places.borrow_mut();
        let place = places.entry(key.clone()).or_default();
        let room = place.room(&settings);
        let joined = place
            .connecting
            .iter()
            .find(|connecting| connecting.waiting.get() < room);
        if let Some(connecting) = joined {
            connecting.waiting.set(connecting.waiting.get() + 1);
            return Rc::clone(connecting);
        }
        let connecting = Rc::new(Connecting::default());
        connecting.waiting.set(1);
        place.connecting.push(Rc::clone(&connecting));
        let (pool, key, tls) = (Rc::clone(self), key.clone(), tls.cloned());
        let (begun, (timer, within_ms)) = (Rc::clone(&connecting), timer());
        tokio::task::spawn_local(async move {
            let opening = pin!(connect(&key, tls.as_ref()));
            let opened = timer.within(within_ms, opening).await;
            let made = match opened {
                Ok(Ok(io)) => {
                    let shaking = pin!(pool.shake_hands(io, &key));
                    timer.within(within_ms, shaking).await
                }
                _ => Ok(Err(NoConnection)),
            };
            let made = made.unwrap_or(Err(NoConnection));
            if let Some(place) = pool.places.borrow_mut().get_mut(&key) {
                place.connecting.retain(|other| !Rc::ptr_eq(other, &begun));
            }
            begun.made.set(Some(made));
            begun.done.notify_waiters();
        });
        connecting
    }

    // Waits for the settings of the upstream: before them nobody knows how many streams it takes, and a peer that speaks
    // no HTTP/2 is found out.
    async fn shake_hands(&self, io: UpstreamIo, key: &PoolKey) -> Result<(), NoConnection> {
        let streams_max = self.settings.get().h2_streams;
        let window = STREAM_WINDOW_BYTES.saturating_mul(streams_max);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(window.min(WINDOW_BYTES_MAX))
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .max_header_list_size(self.head_bytes_max.get());
        let shaken = builder.handshake::<_, Bytes>(io).await;
        let (send, connection) = shaken.map_err(|_| NoConnection)?;
        let is_retired = Rc::new(Cell::new(false));
        let shared = Shared {
            send,
            streams: Cell::new(0),
            streams_max: streams_max as usize,
            served: Cell::new(0),
            idle_since_ms: Cell::new(self.clock.now_ms()),
            is_retired: Rc::clone(&is_retired),
        };
        let settled = Rc::new(Notify::new());
        let counted = Held::new(&self.ledger, Counter::UpstreamH2Connections);
        tokio::task::spawn_local(drive(connection, Rc::clone(&settled), is_retired, counted));
        settled.notified().await;
        if shared.is_retired.get() {
            return Err(NoConnection);
        }
        let mut places = self.places.borrow_mut();
        let place = places.entry(key.clone()).or_default();
        place.streams_max = Some(shared.send.current_max_send_streams());
        place.open.push(Rc::new(shared));
        Ok(())
    }

    // Keeps no more idle connections under a key than the settings say: the one that became idle first goes.
    fn trim(&self, key: &PoolKey) {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(key) else {
            return;
        };
        let idle = || place.open.iter().filter(|one| one.streams.get() == 0);
        if idle().count() <= self.settings.get().pool_size {
            return;
        }
        let Some(first) = idle().map(|one| one.idle_since_ms.get()).min() else {
            return;
        };
        let found = place
            .open
            .iter()
            .position(|one| one.streams.get() == 0 && one.idle_since_ms.get() == first);
        found.map(|at| place.open.remove(at));
    }
}

impl Connections {
    // Streams that a connection made now will have.
    fn room(&self, settings: &KeepaliveSettings) -> usize {
        let asked = settings.h2_streams as usize;
        let allowed = self.streams_max.map_or(asked, |most| most.min(asked));
        match usize::try_from(settings.max_requests).unwrap_or(usize::MAX) {
            0 => allowed,
            worn_after => allowed.min(worn_after),
        }
    }
}

fn wire_size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

// Runs a connection to its end; tells when its upstream's settings have come, or will not.
async fn drive(
    mut connection: Connection<UpstreamIo, Bytes>,
    settled: Rc<Notify>,
    is_retired: Rc<Cell<bool>>,
    _counted: Held,
) {
    let mut has_settings = false;
    poll_fn(|context| {
        // How it ends, each of its streams is told.
        let ended = Pin::new(&mut connection).poll(context).map(drop);
        if !has_settings && connection.max_concurrent_send_streams() != 0 {
            has_settings = true;
            settled.notify_one();
        }
        ended
    })
    .await;
    is_retired.set(true);
    settled.notify_one();
}

impl Connecting {
    async fn made(&self) -> Result<(), NoConnection> {
        loop {
            let done = self.done.notified();
            if let Some(made) = self.made.get() {
                return made;
            }
            done.await;
        }
    }
}
