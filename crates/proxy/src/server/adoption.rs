//! Other settings for a core that serves. What is new is bound first; then everything is swapped; then what is old goes.
//! Where anything is wrong nothing has changed.
use std::sync::mpsc::channel;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Server;
use super::making::bind_all;
use super::thread::{Adoption, Command, Opening};
use crate::error::StartError;
use crate::listener::{Bound, OpenListener};
use crate::settings::{ListenerSettings, Settings};
use crate::tls::downstream::Downstream;

/// So long is waited for workers to close what they were told to; they do so as soon as they are free.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// What a node listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    standing: Vec<Standing>,
    opened_total: u64,
}

#[derive(Debug)]
struct Standing {
    number: u64,
    settings: ListenerSettings,
    open: OpenListener,
}

/// What other settings make of what is listened on, by places in their list.
struct Plan {
    kept: Vec<(usize, u64)>,
    added: Vec<usize>,
    closed: Vec<u64>,
}

impl Listeners {
    /// Those that were bound, and the sockets of each worker.
    pub(super) fn of(
        settings: &[ListenerSettings],
        bound: Vec<Bound>,
    ) -> (Self, Vec<Vec<Opening>>) {
        let mut listeners = Self::default();
        let sockets = listeners.add(settings.iter().cloned().zip(bound));
        (listeners, sockets)
    }

    /// What is open.
    pub(super) fn open(&self) -> Vec<OpenListener> {
        self.standing.iter().map(|one| one.open.clone()).collect()
    }

    fn add(&mut self, added: impl Iterator<Item = (ListenerSettings, Bound)>) -> Vec<Vec<Opening>> {
        let mut sockets: Vec<Vec<Opening>> = Vec::new();
        for (settings, bound) in added {
            self.opened_total += 1;
            let number = self.opened_total;
            sockets.resize_with(sockets.len().max(bound.sockets.len()), Vec::new);
            for (own, socket) in sockets.iter_mut().zip(bound.sockets) {
                own.push(Opening {
                    number,
                    settings: settings.clone(),
                    socket,
                });
            }
            self.standing.push(Standing {
                number,
                settings,
                open: bound.open,
            });
        }
        sockets
    }

    // A listener is the same where it stands at the same address and port; any free port is as good as another.
    fn plan(&self, wanted: &[ListenerSettings]) -> Plan {
        let mut left: Vec<&Standing> = self.standing.iter().collect();
        let (mut kept, mut added) = (Vec::new(), Vec::new());
        for (at, listener) in wanted.iter().enumerate() {
            let same = |one: &&Standing| {
                let place = |of: &ListenerSettings| (of.port, of.stream, of.udp);
                one.settings.address == listener.address && place(&one.settings) == place(listener)
            };
            match left.iter().position(same) {
                Some(place) => kept.push((at, left.remove(place).number)),
                None => added.push(at),
            }
        }
        Plan {
            kept,
            added,
            closed: left.iter().map(|one| one.number).collect(),
        }
    }

    // The sockets of each worker for those that are new, and the flags of those that have others.
    fn carry_out(
        &mut self,
        plan: &Plan,
        wanted: &[ListenerSettings],
        added: impl Iterator<Item = (ListenerSettings, Bound)>,
    ) -> (Vec<Vec<Opening>>, Vec<(u64, ListenerSettings)>) {
        let opened = self.add(added);
        let changed = plan
            .kept
            .iter()
            .filter_map(|(at, number)| Some((*number, self.change(*number, &wanted[*at])?)));
        let changed = changed.collect();
        self.standing
            .retain(|one| !plan.closed.contains(&one.number));
        (opened, changed)
    }

    // The flags of one that stays; how its sockets share the port was settled when they were bound.
    fn change(&mut self, number: u64, wanted: &ListenerSettings) -> Option<ListenerSettings> {
        let one = self.standing.iter_mut().find(|one| one.number == number)?;
        let settings = ListenerSettings {
            reuseport: one.settings.reuseport,
            ipv6only: one.settings.ipv6only,
            ..wanted.clone()
        };
        if settings == one.settings {
            return None;
        }
        one.open.tls = settings.tls;
        one.settings = settings.clone();
        Some(settings)
    }
}

impl Server {
    /// Serves by other settings, from the next request and the next connection on. Where this fails nothing has changed.
    ///
    /// Workers, identity, sizes of what is kept, and how routes are written are those of the start.
    pub fn adopt(&self, settings: &[u8]) -> Result<(), StartError> {
        let _one_at_a_time = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = Arc::new(Settings::parse(settings)?);
        let wanted = &settings.start.listeners;
        let plan = self.listeners().plan(wanted);
        let workers = self.node.ledgers.len();
        let added: Vec<ListenerSettings> =
            plan.added.iter().map(|at| wanted[*at].clone()).collect();
        let bound = bind_all(&added, workers)?;
        let tls = self.tls_of(&settings)?;

        let (mut opened, changed) =
            self.listeners()
                .carry_out(&plan, wanted, added.into_iter().zip(bound));
        opened.resize_with(workers, Vec::new);
        if let Some(tls) = tls {
            self.node.downstream_tls.store(Arc::new(tls));
        } else {
            let identities = settings.default_identities.clone();
            self.node.downstream_tls.load().renew(identities);
        }
        self.node.settings.store(Arc::clone(&settings));
        self.tell_adoption(&settings, opened, &changed, &plan.closed);
        Ok(())
    }

    // None where the handshake stays as it is: sessions can be taken up again then.
    fn tls_of(&self, settings: &Settings) -> Result<Option<Downstream>, StartError> {
        let before = self.node.settings.load();
        let of = |settings: &Settings| {
            (
                settings.start.tls_protocols.clone(),
                settings.start.tls_cipher_suites.clone(),
                settings.start.tls_prefers_own_order,
                settings.start.tls_tickets,
            )
        };
        if of(&before) == of(settings) {
            return Ok(None);
        }
        Downstream::new(settings, &self.node.certificates).map(Some)
    }

    fn tell_adoption(
        &self,
        settings: &Arc<Settings>,
        opened: Vec<Vec<Opening>>,
        changed: &[(u64, ListenerSettings)],
        closed: &[u64],
    ) {
        let (done, acknowledged) = channel();
        {
            let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            for (worker, opened) in workers.iter().zip(opened) {
                let adoption = Adoption {
                    settings: Arc::clone(settings),
                    opened,
                    changed: changed.to_vec(),
                    closed: closed.to_vec(),
                    done: done.clone(),
                };
                // A worker that has ended needs no settings.
                let _ended = worker.commands.send(Command::Adopt(Box::new(adoption)));
            }
        }
        drop(done);
        // Each worker tells once, or lets go of its end.
        let deadline = Instant::now() + CLOSED_WITHIN;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if acknowledged.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}
