//! The walk of a stream: what it begins with, route, plugins, upstream, bytes both ways, record. Only forward, with one
//! bounded loop; every way out ends in the log phase and the record.
mod begin;
pub(crate) mod datagrams;
pub mod hello;
mod pump;
mod reach;
mod replayed;
mod session;

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::conn_info::ConnInfo;
use crate::settings::ListenerSettings;
use crate::timers::Timer;
use crate::worker::Worker;

use begin::{Client, begin};
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
        Some(Client::Clear(client)) => carry(client, session, &timer).await,
        Some(Client::Passed(client)) => carry(client, session, &timer).await,
        Some(Client::Ended(client)) => carry(client, session, &timer).await,
    }
}

async fn carry<C>(mut client: C, mut session: Session, timer: &Timer)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let Some(mut reached) = Box::pin(reach::upstream(&mut session, timer)).await else {
        return;
    };
    let idle_ms = reached.idle_ms;
    let passing = &mut session.passed;
    pump::run(&mut client, &mut reached.io, timer, idle_ms, passing).await;
}
