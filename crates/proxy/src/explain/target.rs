//! The target that would be picked, as the balancer stands; its turn is left to it.
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use twinplane_engine::balancer::Ask;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::snapshot::{ServiceEntry, ServiceTarget};

use super::text;
use crate::upstream::peers::NoDestination;
use crate::upstream::{balancers, peers, rounds};
use crate::worker::Worker;

/// Names are looked up so long.
const LOOK_UP: Duration = Duration::from_secs(5);

/// A target and what is told of the choice.
pub(super) struct Target {
    /// In JSON.
    pub(super) told: Value,
    /// Why there is none.
    pub(super) problem: Option<NoDestination>,
    /// `Host` that it asks for, where it is not the service's.
    pub(super) host_header: Option<String>,
}

impl Target {
    /// For the service of an exchange whose route has been found.
    pub(super) async fn of(worker: &Rc<Worker>, x: &mut Exchange) -> Self {
        let hash = rounds::hash(x);
        let snapshot = Rc::clone(&x.snapshot);
        let Some(service) = x.service() else {
            return Self::new(Value::Null);
        };
        match &service.target {
            ServiceTarget::Address(address) => {
                Self::new(json!({"ip": address, "port": port(service)}))
            }
            ServiceTarget::Socket(path) => Self::new(json!({"socket": path})),
            ServiceTarget::Name => {
                // As a second attempt: the next request's turn is left to it.
                let again = Ask {
                    tried: &[(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)],
                    hash,
                    now_us: x.now_us,
                };
                let host = &service.model.host;
                match peers::by_name(worker, host, port(service), &again, LOOK_UP).await {
                    Ok((ip, port)) => Self::new(json!({"ip": ip, "port": port})),
                    Err(error) => Self {
                        problem: Some(error),
                        ..Self::new(Value::Null)
                    },
                }
            }
            ServiceTarget::Upstream(index) => {
                let built = balancers::current(worker, &snapshot, *index, LOOK_UP).await;
                let entry = &snapshot.upstreams[*index as usize];
                let ask = Ask {
                    tried: &[],
                    hash,
                    now_us: x.now_us,
                };
                let peers = built.balancer.peers();
                let all: Vec<Value> = peers
                    .iter()
                    .map(|peer| {
                        json!({
                            "host": peer.host, "ip": peer.address, "port": peer.port, "weight": peer.weight,
                            "is_available": peer.health.is_available(),
                        })
                    })
                    .collect();
                let picked = built.balancer.preview_at(&ask).map(|at| &peers[at]);
                let host_header = picked.map(|peer| {
                    let own = || peers::host_header(&peer.host, peer.port, x.upstream.scheme);
                    text(&entry.host_header.clone().unwrap_or_else(own))
                });
                let told = json!({
                    "upstream": entry.model.name,
                    "algorithm": entry.model.algorithm,
                    "hash": hash,
                    "picked": picked.map(|peer| json!({"host": peer.host, "ip": peer.address, "port": peer.port})),
                    "peers": all,
                });
                Self {
                    told,
                    problem: picked.is_none().then_some(NoDestination::NoPeer),
                    host_header,
                }
            }
        }
    }

    const fn new(told: Value) -> Self {
        Self {
            told,
            problem: None,
            host_header: None,
        }
    }
}

/// Host and port of a service, as they stand in a URI.
pub(super) fn address(service: &ServiceEntry) -> String {
    format!("{}:{}", service.model.host, port(service))
}

fn port(service: &ServiceEntry) -> u16 {
    u16::try_from(service.model.port).unwrap_or(0)
}
