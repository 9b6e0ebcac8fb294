//! The walk of a stream: what it begins with, route, plugins, upstream, bytes both ways, record. Only forward, with one
//! bounded loop; every way out ends in the log phase and the record.
mod begin;
pub(crate) mod datagrams;
mod early;
pub mod hello;
mod pump;
mod reach;
mod replayed;
mod session;

use std::rc::Rc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::conn_info::ConnInfo;
use crate::settings::ListenerSettings;
use crate::timers::Timer;
use crate::worker::Worker;

use begin::{Client, begin};
use early::Halves;
use session::Session;

pub(crate) use reach::status_of;
pub(crate) use session::client;

/// Serves one connection to its end. Each stage lies in a box of its own, so that a session that passes bytes keeps no
/// memory of how it began.
pub(crate) async fn serve(
    stream: TcpStream,
    info: ConnInfo,
    listener: &ListenerSettings,
    worker: &Rc<Worker>,
) {
    let mut session = Session::open(worker, &info);
    let timer = worker.timers.timer();
    let begun = Box::pin(begin(stream, &info, listener, &mut session, &timer)).await;
    drop(info);
    match begun {
        None => {}
        Some(Client::Clear(client)) => carry(client, session, &timer, Halves::Two).await,
        Some(Client::Passed(client)) => carry(client, session, &timer, Halves::One).await,
        Some(Client::Ended(client)) => carry(client, session, &timer, Halves::Two).await,
    }
}

async fn carry<C>(mut client: C, mut session: Session, timer: &Timer, halves: Halves)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut early = BytesMut::new();
    let reached = tokio::select! {
        biased;
        reached = Box::pin(reach::upstream(&mut session, timer)) => Some(reached),
        () = early::left(&mut client, &mut early, halves) => None,
    };
    session.passed.received = early.len() as u64;
    match reached {
        None => session.left(),
        Some(None) => {}
        Some(Some(mut reached)) => {
            let idle_ms = reached.idle_ms;
            let passing = &mut session.passed;
            pump::run(&mut client, early, &mut reached.io, timer, idle_ms, passing).await;
        }
    }
}
