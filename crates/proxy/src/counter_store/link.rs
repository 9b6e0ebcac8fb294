//! A worker's connection to one store: made when it is first wanted, kept, made again after it broke. While nobody can be
//! reached, whoever asks is told so at once.
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use twinplane_engine::balancer::Ask;
use twinplane_engine::limiter::shared::{Counted, Counting, StoreFault};
use twinplane_engine::limiter::store::{CounterStore, StorePlace};

use super::count_failures;
use super::resp::{self, Malformed, Reply};
use super::script::{self, Named, SCRIPT};
use crate::upstream::connection;
use crate::upstream::io::UpstreamIo;
use crate::upstream::peers;
use crate::upstream::pool::{Place, PoolKey};
use crate::worker::Worker;

/// Between two attempts to reach a store that is away.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

type Answer = Result<Counted, StoreFault>;

/// Something to be counted, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    counting: Counting,
    reply: Option<oneshot::Sender<Answer>>,
    deadline: Instant,
    // Whether the script goes with it.
    is_whole: bool,
}

impl Job {
    /// A new one; what is waited for ends with the time-out of its store.
    pub(super) fn new(counting: Counting, reply: Option<oneshot::Sender<Answer>>) -> Self {
        let within = Duration::from_millis(counting.store.place.timeout_ms);
        Self {
            counting,
            reply,
            deadline: Instant::now() + within,
            is_whole: false,
        }
    }

    fn is_given_up(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn end(self, answer: Answer) {
        if let Some(reply) = self.reply {
            // Who asked may be gone.
            let _unheard = reply.send(answer);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // Nobody asked for long, or not yet.
    Asleep,
    // A connection is there, or on its way; who asks waits.
    Awake,
    // Nobody is reached; who asks is told so.
    Away,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    store: Weak<CounterStore>,
    place: StorePlace,
    state: Cell<State>,
    is_in_trouble: Cell<bool>,
    // Not yet written.
    jobs: RefCell<VecDeque<Job>>,
    // Those, and those that were written and not yet answered.
    waiting: Cell<usize>,
    woken: Notify,
}

/// How a connection ended.
enum End {
    // Nobody waited.
    Unused,
    // With a fault.
    Broken(StoreFault),
}

impl Link {
    /// One to a store.
    pub(super) fn to(store: &Arc<CounterStore>) -> Self {
        Self {
            store: Arc::downgrade(store),
            place: store.place.clone(),
            state: Cell::new(State::Asleep),
            is_in_trouble: Cell::new(false),
            jobs: RefCell::default(),
            waiting: Cell::new(0),
            woken: Notify::new(),
        }
    }

    /// Whether it is the one to this store.
    pub(super) fn leads_to(&self, store: &Arc<CounterStore>) -> bool {
        Weak::as_ptr(&self.store) == Arc::as_ptr(store)
    }

    /// Whether no configuration names the store any more.
    pub(super) fn is_over(&self) -> bool {
        self.store.strong_count() == 0
    }

    /// Whether something was not yet answered.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Has it look around.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Takes something to be counted. False: the link is to be [`run`].
    pub(super) fn put(&self, job: Job, commands_max: usize) -> Result<bool, StoreFault> {
        let state = self.state.get();
        if state == State::Away {
            return Err(StoreFault::Unreachable(self.last_reason()));
        }
        if self.waiting.get() >= commands_max {
            return Err(StoreFault::Full);
        }
        self.waiting.set(self.waiting.get() + 1);
        self.jobs.borrow_mut().push_back(job);
        self.state.set(State::Awake);
        self.wake();
        Ok(state != State::Asleep)
    }

    fn last_reason(&self) -> Box<str> {
        let store = self.store.upgrade();
        store.map_or_else(Box::default, |store| store.health().reason)
    }

    fn end(&self, job: Job, answer: Answer) {
        self.waiting.set(self.waiting.get() - 1);
        job.end(answer);
    }

    fn fail(&self, worker: &Worker, jobs: impl IntoIterator<Item = Job>, fault: &StoreFault) {
        let mut failed = 0;
        for job in jobs {
            self.end(job, Err(fault.clone()));
            failed += 1;
        }
        if let Some(store) = self.store.upgrade() {
            count_failures(worker, &store, fault, failed);
            if !self.is_in_trouble.replace(true) {
                store.enter_trouble();
            }
        }
    }

    fn recover(&self) {
        if self.is_in_trouble.replace(false)
            && let Some(store) = self.store.upgrade()
        {
            store.leave_trouble();
        }
    }
}

/// Keeps the link until nobody needs it.
pub(super) async fn run(link: Rc<Link>, worker: Rc<Worker>) {
    let within = Duration::from_millis(link.place.timeout_ms);
    let mut pause = PAUSE_FIRST;
    while !link.is_over() {
        let opened = tokio::time::timeout(within, open(&worker, &link.place)).await;
        let fault = match opened.unwrap_or(Err(StoreFault::TimedOut)) {
            Ok(opened) => {
                link.recover();
                link.state.set(State::Awake);
                pause = PAUSE_FIRST;
                match opened.pump(&link, &worker).await {
                    End::Unused => {
                        link.state.set(State::Asleep);
                        return;
                    }
                    // A server that has begun anew is there at once; who asks meanwhile waits for that.
                    End::Broken(StoreFault::Lost(_)) => continue,
                    End::Broken(fault) => fault,
                }
            }
            Err(fault) => fault,
        };
        link.state.set(State::Away);
        let jobs = link.jobs.take();
        link.fail(&worker, jobs, &fault);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A connection that has been greeted.
struct Opened {
    reader: ReadHalf<UpstreamIo>,
    writer: WriteHalf<UpstreamIo>,
    // What came and was not yet read.
    input: BytesMut,
    // The script's.
    digest: String,
}

/// Connects, says who the node is, chooses the database and leaves the script there.
async fn open(worker: &Worker, place: &StorePlace) -> Result<Opened, StoreFault> {
    let unreachable = |reason: String| StoreFault::Unreachable(script::short(&reason));
    let io = connect(worker, place).await.map_err(unreachable)?;
    let (reader, writer) = tokio::io::split(io);
    let mut opened = Opened {
        reader,
        writer,
        input: BytesMut::new(),
        digest: String::new(),
    };
    let mut greeting = BytesMut::new();
    let mut replies = 1;
    if let Some(password) = &place.password {
        let mut parts: Vec<&[u8]> = vec![b"AUTH"];
        parts.extend(place.username.as_ref().map(|name| name.as_bytes()));
        parts.push(password.as_bytes());
        resp::write_command(&parts, &mut greeting);
        replies += 1;
    }
    if place.database != 0 {
        let number = place.database.to_string();
        resp::write_command(&[b"SELECT", number.as_bytes()], &mut greeting);
        replies += 1;
    }
    resp::write_command(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()], &mut greeting);
    opened
        .write(&mut greeting)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    for _ in 0..replies {
        match opened.next_reply().await {
            Ok(Reply::Error(error)) => return Err(unreachable(without_password(error, place))),
            Ok(Reply::Text(text)) => opened.digest = text,
            Ok(_) => return Err(unreachable("an odd greeting".to_owned())),
            Err(reason) => return Err(unreachable(reason)),
        }
    }
    Ok(opened)
}

// A server that does not know the command may say it again with all that came with it.
fn without_password(error: String, place: &StorePlace) -> String {
    match &place.password {
        Some(password) if error.contains(&**password) => "it does not take the password".to_owned(),
        _ => error,
    }
}

async fn connect(worker: &Worker, place: &StorePlace) -> Result<UpstreamIo, String> {
    let within = Duration::from_millis(place.timeout_ms);
    let ask = Ask {
        tried: &[],
        hash: None,
        now_us: worker.now_us(),
    };
    let found = peers::by_name(worker, &place.host, place.port, &ask, within).await;
    let (address, port) = found.map_err(|_| format!("{} has no address", place.host))?;
    let tls = match &place.tls {
        None => None,
        Some(tls) => {
            let made = worker.upstream_tls.of_store(tls.is_verified);
            Some(made.map_err(|error| error.to_string())?)
        }
    };
    let server_name = place.tls.as_ref().map(|tls| {
        let host = place.host.trim_matches(|end| matches!(end, '[' | ']'));
        tls.server_name.clone().unwrap_or_else(|| host.into())
    });
    let key = PoolKey {
        place: Place::Tcp(SocketAddr::new(address, port)),
        tls: tls.as_ref().map_or(0, |tls| tls.number),
        server_name,
    };
    connection::connect(&key, tls.as_ref())
        .await
        .map_err(|fault| match fault {
            connection::ConnectFault::Refused(error) => error.to_string(),
            connection::ConnectFault::ServerName => "no name that TLS can ask for".to_owned(),
        })
}

impl Opened {
    async fn write(&mut self, output: &mut BytesMut) -> std::io::Result<()> {
        self.writer.write_all_buf(output).await?;
        self.writer.flush().await
    }

    async fn next_reply(&mut self) -> Result<Reply, String> {
        loop {
            match resp::read(&mut self.input) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(Malformed) => return Err("it does not speak the protocol of Redis".to_owned()),
            }
            match self.reader.read_buf(&mut self.input).await {
                Ok(0) => return Err("it has closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Carries commands there and answers back until it ends.
    async fn pump(mut self, link: &Link, worker: &Worker) -> End {
        let mut written: VecDeque<Job> = VecDeque::new();
        let mut output = BytesMut::new();
        let mut is_flushed = true;
        let end = loop {
            for job in link.jobs.take() {
                if job.is_given_up() {
                    link.end(job, Err(StoreFault::TimedOut));
                    continue;
                }
                script::write(&job.counting, Named::Digest(&self.digest), &mut output);
                written.push_back(job);
                is_flushed = false;
            }
            if link.is_over() && written.is_empty() {
                break End::Unused;
            }
            let deadline = written.front().map(|job| job.deadline);
            let (reader, writer) = (&mut self.reader, &mut self.writer);
            let write = async {
                writer.write_all_buf(&mut output).await?;
                writer.flush().await
            };
            let has_read = tokio::select! {
                sent = write, if !is_flushed => sent.map(|()| {
                    is_flushed = true;
                    None
                }),
                read = reader.read_buf(&mut self.input) => read.map(Some),
                () = link.woken.notified() => Ok(None),
                () = until(deadline), if deadline.is_some() => {
                    break End::Broken(StoreFault::TimedOut);
                }
            };
            match has_read {
                Ok(None) => {}
                Ok(Some(0)) | Err(_) if written.is_empty() => break End::Unused,
                Ok(Some(0)) => break End::Broken(lost("it has closed the connection")),
                Ok(Some(_)) => {
                    let answered = self.answer(link, worker, &mut written, &mut output);
                    if let Err(fault) = answered {
                        break End::Broken(fault);
                    }
                    is_flushed &= output.is_empty();
                }
                Err(error) => break End::Broken(lost(&error.to_string())),
            }
        };
        if let End::Broken(fault) = &end {
            link.fail(worker, written, fault);
        }
        // What was put while the last connection ended is the next one's.
        match end {
            End::Unused if !link.jobs.borrow().is_empty() => End::Broken(lost("it was closed")),
            end => end,
        }
    }

    // Gives the answers that have come to those who wait for them, in their order.
    fn answer(
        &mut self,
        link: &Link,
        worker: &Worker,
        written: &mut VecDeque<Job>,
        output: &mut BytesMut,
    ) -> Result<(), StoreFault> {
        while let Some(reply) = resp::read(&mut self.input)
            .map_err(|Malformed| lost("it does not speak the protocol of Redis"))?
        {
            let Some(mut job) = written.pop_front() else {
                return Err(lost("it has answered what was not asked"));
            };
            if script::is_forgotten(&reply) && !job.is_whole {
                job.is_whole = true;
                script::write(&job.counting, Named::Text, output);
                written.push_back(job);
                continue;
            }
            match script::read(reply, job.counting.windows.len()) {
                Ok(counted) => {
                    link.recover();
                    link.end(job, Ok(counted));
                }
                Err(fault) => link.fail(worker, [job], &fault),
            }
        }
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

fn lost(reason: &str) -> StoreFault {
    StoreFault::Lost(script::short(reason))
}
