//! What a request finds around it on its worker: settings, the configuration in force, clocks, names, TLS, the recorder.
//! A worker is one thread; nothing here is shared with another one but by handles.
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::snapshot::{Local, NodeState, Snapshot};
use twinplane_engine::text::Text;

use crate::clock::Clock;
use crate::connection::room::Rooms;
use crate::counter_store::CounterLinks;
use crate::dns::Dns;
use crate::node::Node;
use crate::recorder::Recorder;
use crate::settings::Settings;
use crate::timers::Timers;
use crate::tls::upstream::UpstreamConfigs;
use crate::upstream::balancers::Balancers;
use crate::upstream::h2::H2Pool;
use crate::upstream::pool::Pool;

/// One worker thread's surroundings.
#[derive(Debug)]
pub struct Worker {
    /// From 0.
    pub number: usize,
    /// The clocks.
    pub clock: Clock,
    /// Deadlines.
    pub timers: Timers,
    /// TLS towards upstreams.
    pub upstream_tls: UpstreamConfigs,
    /// What requests leave behind.
    pub recorder: Recorder,
    /// What outlives configurations.
    pub state: Local<NodeState>,
    /// What all workers share.
    pub node: Arc<Node>,
    /// Idle connections to upstreams.
    pub pool: Pool,
    /// Shared connections to gRPC upstreams.
    pub h2_pool: Rc<H2Pool>,
    /// Balancers of the configuration in force.
    pub balancers: Balancers,
    /// Connections to stores of shared counters.
    pub counter_links: CounterLinks,
    /// Header values made once.
    pub texts: Texts,
    /// Room for requests, of connections that have none under way.
    pub(crate) rooms: Rooms,
    settings: RefCell<Local<Settings>>,
    dns: RefCell<Dns>,
    random: Cell<u64>,
    recent_us: Cell<u64>,
    epoch_us: Cell<u64>,
    date: RefCell<(u64, Text)>,
    current: RefCell<(u64, Local<Snapshot>)>,
    is_draining: Cell<bool>,
    drained: Notify,
    open: Cell<usize>,
    emptied: Notify,
}

impl Worker {
    /// A worker of a node; on the thread it will live on.
    pub fn new(node: &Arc<Node>, number: usize) -> Rc<Self> {
        let settings = node.settings.load_full();
        let dns = settings.start.dns.clone().unwrap_or_default();
        let generation = node.generation.load(Ordering::Acquire);
        let worker = Self {
            number,
            clock: node.clock,
            timers: Timers::new(node.clock),
            dns: RefCell::new(Dns::new(&dns, node.clock, Arc::clone(&node.dns))),
            upstream_tls: UpstreamConfigs::new(Arc::clone(&settings)),
            recorder: Recorder::new(Arc::clone(&node.ledgers[number])),
            state: Rc::new(Arc::clone(&node.state)),
            current: RefCell::new((generation, Rc::new(node.snapshot.load_full()))),
            is_draining: Cell::new(false),
            drained: Notify::new(),
            open: Cell::new(0),
            emptied: Notify::new(),
            node: Arc::clone(node),
            pool: Pool::new(settings.start.upstream_keepalive),
            h2_pool: H2Pool::new(
                settings.start.upstream_keepalive,
                settings.start.limits.response_head_most(),
                node.clock,
                Arc::clone(&node.ledgers[number]),
            ),
            balancers: Balancers::default(),
            counter_links: CounterLinks::default(),
            texts: Texts::of(&settings),
            rooms: Rooms::default(),
            random: Cell::new(ahash::RandomState::new().hash_one(number)),
            recent_us: Cell::new(node.clock.now_us()),
            epoch_us: Cell::new(node.clock.wall_us() - node.clock.now_us()),
            date: RefCell::default(),
            settings: RefCell::new(Rc::new(settings)),
        };
        Rc::new(worker)
    }

    /// The configuration in force; taken once per request and kept to its end.
    pub fn snapshot(&self) -> Local<Snapshot> {
        let generation = self.node.generation.load(Ordering::Acquire);
        if self.current.borrow().0 != generation {
            self.refresh(generation);
        }
        Rc::clone(&self.current.borrow().1)
    }

    /// Lets go of a configuration that is no longer in force, also where no request comes.
    pub fn refresh(&self, generation: u64) {
        *self.current.borrow_mut() = (generation, Rc::new(self.node.snapshot.load_full()));
        self.upstream_tls.forget_services();
        self.balancers.forget();
        self.recorder.forget_snapshot();
    }

    /// The settings in force. Taken where they are needed: they may be others by the next time.
    pub fn settings(&self) -> Local<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Names to addresses.
    pub fn dns(&self) -> Dns {
        self.dns.borrow().clone()
    }

    /// Serves by other settings from the next request and the next connection on.
    pub fn adopt(&self, settings: &Arc<Settings>) {
        let before = self.settings.replace(Rc::new(Arc::clone(settings)));
        self.pool.adopt(settings.start.upstream_keepalive);
        let head_most = settings.start.limits.response_head_most();
        self.h2_pool
            .adopt(settings.start.upstream_keepalive, head_most);
        self.upstream_tls.adopt(settings);
        // Names that are remembered stay so, unless it is about them.
        if before.start.dns != settings.start.dns {
            let dns = settings.start.dns.clone().unwrap_or_default();
            let counts = Arc::clone(&self.node.dns);
            self.dns.replace(Dns::new(&dns, self.clock, counts));
        }
    }

    /// Whether no further request is to be begun on a connection.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Ends idle connections, and busy ones after their request.
    pub fn drain(&self) {
        self.is_draining.set(true);
        self.timers.drain();
        self.drained.notify_waiters();
    }

    /// Waits for a drain to begin.
    pub async fn drained(&self) {
        let notified = self.drained.notified();
        if !self.is_draining.get() {
            notified.await;
        }
    }

    /// Waits until no connection is open.
    pub async fn emptied(&self) {
        while self.open.get() != 0 {
            self.emptied.notified().await;
        }
    }

    pub(crate) fn connection_opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.emptied.notify_one();
        }
    }
}

/// Header values made once for all requests.
#[derive(Debug)]
pub struct Texts {
    /// `Server`
    pub server: Text,
    /// `Via` on responses.
    pub via: Text,
}

impl Texts {
    fn of(settings: &Settings) -> Self {
        Self {
            server: Text::from(settings.start.version.clone()),
            via: Text::copy_from(settings.via.as_bytes()),
        }
    }
}

/// What requests need of the worker for themselves.
impl Worker {
    /// Reads the clock.
    pub fn now_us(&self) -> u64 {
        let now_us = self.clock.now_us();
        self.recent_us.set(now_us);
        now_us
    }

    /// The time when somebody on this worker read the clock last: for what need not be exact.
    pub fn recent_us(&self) -> u64 {
        self.recent_us.get()
    }

    /// The same in milliseconds.
    pub fn recent_ms(&self) -> u64 {
        self.recent_us.get() / 1_000
    }

    /// Gives the exchange the time.
    pub fn touch(&self, x: &mut Exchange) {
        x.now_us = self.now_us();
        x.wall_us = self.wall_us(x.now_us);
    }

    /// The wall clock at a monotonic time. The distance of the two is measured anew with each sweep.
    pub fn wall_us(&self, now_us: u64) -> u64 {
        self.epoch_us.get() + now_us
    }

    /// A random number, good enough to tell requests apart.
    pub fn random(&self) -> u64 {
        // splitmix64
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A request's id: 32 hexadecimal digits.
    pub fn request_id(&self) -> Text {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut id = [0; 32];
        for half in id.chunks_exact_mut(16) {
            let bits = self.random().to_be_bytes();
            for (pair, byte) in half.chunks_exact_mut(2).zip(bits) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 15)];
            }
        }
        Text::copy_from(&id)
    }

    /// The `Date` of a moment of the wall clock; made once a second.
    pub fn date(&self, wall_us: u64) -> Text {
        let second = wall_us / 1_000_000;
        let mut date = self.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            *date = (second, Text::from(http_date(second)));
        }
        date.1.clone()
    }

    /// Looks after what waits: idle connections, the distance of the clocks. Runs for as long as the worker lives.
    pub async fn sweep(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let now_ms = self.clock.now_ms();
            self.pool.sweep(now_ms);
            self.h2_pool.sweep(now_ms);
            self.epoch_us
                .set(self.clock.wall_us().saturating_sub(self.clock.now_us()));
        }
    }
}

const SWEEP: std::time::Duration = std::time::Duration::from_secs(1);

fn http_date(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, of_day) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil(days);
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Year, month from 1 and day of so many days since the epoch, by eras of 400 years that begin in March.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    (
        era * 400 + year_of_era + u64::from(month < 2),
        month + 1,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(http_date(4_102_444_799), "Thu, 31 Dec 2099 23:59:59 GMT");
    }
}
