//! One stream from its first byte to its record. However it ends, also by being cut, it is logged and counted once.
use std::net::IpAddr;
use std::rc::Rc;

use twinplane_engine::chain::{self, Step};
use twinplane_engine::exchange::{Client, Exchange, Source};
use twinplane_engine::stream::{self, Offered, SERVED, Transport};

use super::pump::Passed;
use crate::conn_info::ConnInfo;
use crate::request::phases;
use crate::settings::Settings;
use crate::worker::Worker;

/// A stream under way.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it is served.
    pub(super) worker: Rc<Worker>,
    /// What is known of it.
    pub(crate) x: Exchange,
    /// What has passed so far.
    pub(super) passed: Passed,
    // Plugins take part once a route has been found.
    has_plugins: bool,
}

impl Session {
    /// A stream that begins now, with the configuration in force.
    pub(crate) fn open(worker: &Rc<Worker>, info: &ConnInfo) -> Self {
        let mut x = Exchange::new(worker.snapshot(), Rc::clone(&worker.state));
        x.stream = Some(Box::default());
        x.request_id = worker.request_id();
        worker.touch(&mut x);
        x.times.started_us = x.now_us;
        x.times.started_wall_us = x.wall_us;
        x.client = client(info, &worker.settings());
        // Until it is known better.
        x.response.status = stream::NOT_SERVED;
        x.response.source = Source::Kong;
        Self {
            worker: Rc::clone(worker),
            x,
            passed: Passed::default(),
            has_plugins: false,
        }
    }

    /// A PROXY header has told who the client is.
    pub(super) fn tell_client(&mut self, info: &ConnInfo) {
        self.x.client = client(info, &self.worker.settings());
    }

    /// Finds the route and runs the plugins that decide who may pass; none: the stream is closed.
    pub(super) fn admit(&mut self, offered: Offered) -> Option<Transport> {
        let transport = stream::find(&mut self.x, offered).ok()?;
        self.has_plugins = true;
        match phases::guarded(&self.worker, &mut self.x, chain::preread) {
            Some(Step::Done) => Some(transport),
            Some(Step::Answered(answer)) => {
                self.refuse(answer.status);
                None
            }
            // Nothing waits in this phase, and a plugin that broke lets nobody pass.
            Some(Step::Wait(_)) | None => {
                let snapshot = Rc::clone(&self.x.snapshot);
                chain::finish(&mut self.x, &snapshot);
                self.refuse(stream::NOT_SERVED);
                None
            }
        }
    }

    /// The stream ends with this status.
    pub(super) fn refuse(&mut self, status: u16) {
        self.x.response.status = status;
    }

    /// The client left before there was an upstream: as on a real node that is no failure.
    pub(super) fn left(&mut self) {
        self.x.response.status = SERVED;
        self.x.response.source = Source::ClientClosed;
    }

    /// The upstream is there: from now on what becomes of the stream is between the two ends.
    pub(super) fn reached(&mut self) {
        self.worker.touch(&mut self.x);
        self.x.times.connected_us = self.x.now_us;
        self.x.times.answered_us = self.x.now_us;
        self.x.response.status = SERVED;
        self.x.response.source = Source::Upstream;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Self {
            worker, x, passed, ..
        } = self;
        worker.touch(x);
        x.times.ended_us = x.now_us;
        x.request.bytes = passed.received;
        x.response.bytes = passed.sent;
        x.response.body_bytes = passed.sent;
        if let Some(stream) = &mut x.stream {
            stream.upstream_sent = passed.upstream_sent;
            stream.upstream_received = passed.upstream_received;
        }
        if self.has_plugins {
            phases::log(worker, x);
        } else {
            // As on a real node: log plugins hear of no stream that no route is for.
            worker.recorder.open().record(x);
        }
    }
}

/// The client of a stream. A PROXY header of a trusted peer counts, whatever header tells it of requests.
pub(crate) fn client(info: &ConnInfo, settings: &Settings) -> Client {
    let peer = info.peer.ip().to_canonical();
    let is_trusted = settings.trusts(peer);
    let told = info.proxied_for.filter(|_| is_trusted);
    let told: Option<(IpAddr, u16)> = told.map(|told| (told.ip().to_canonical(), told.port()));
    let (ip, port) = told.unwrap_or((peer, info.peer.port()));
    Client {
        peer,
        peer_port: info.peer.port(),
        ip,
        port,
        is_trusted,
        listener_ip: info.listener_ip.to_canonical(),
        // Routes name the port that clients see.
        listener_port: settings.outside_port(info.listener_port),
        ..Client::default()
    }
}
