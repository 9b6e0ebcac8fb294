//! A configuration as it is served: immutable, indexed for the request path, swapped whole. Built by `build`.
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use twinplane_model::{CaCertificate, Certificate, Consumer, Id, Route, Service, Sni, Upstream};

use crate::balancer::{HealthBook, PeerKey, Policy};
use crate::chain::{Chain, OverlayLink};
use crate::credentials::Credentials;
use crate::exchange::Scheme;
use crate::limiter::Limiter;
use crate::limiter::store::CounterStores;
use crate::plugin::PluginInstance;
use crate::response_cache::ResponseCache;
use crate::router::Router;
use crate::text::Text;

/// A worker's own handle on something that all workers share: counting handles never touches a line of another worker.
pub type Local<T> = Rc<Arc<T>>;

/// Keyed hashing: names come from outside.
pub type Index<K, V> = HashMap<K, V, ahash::RandomState>;

/// What outlives configurations on a node. Limits count here, for all workers together.
#[derive(Debug, Default)]
pub struct NodeState {
    /// The node's id.
    pub node_id: Box<str>,
    /// The host's name, as logs carry it.
    pub hostname: Box<str>,
    /// Whether plugins that decide who may pass take paths that servers read in different ways.
    pub allows_ambiguous_paths: bool,
    /// The longest JSON body of a response that plugins change.
    pub changed_body_bytes_max: usize,
    /// Requests counted against limits.
    pub limiter: Arc<Limiter>,
    /// Where requests are counted that several nodes count together.
    pub counter_stores: CounterStores,
    /// Answers to give again.
    pub cache: ResponseCache,
    /// How the peers of upstreams fare.
    pub health: HealthBook,
    /// Keeps the plugins in Python.
    pub host: Option<Arc<dyn crate::visit::Host>>,
}

/// One whole configuration.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Which route a request is for.
    pub router: Router,
    /// Which route a stream is for.
    pub stream_router: Router,
    /// In the order of the configuration.
    pub routes: Vec<RouteEntry>,
    /// In the order of the configuration.
    pub services: Vec<ServiceEntry>,
    /// In the order of the configuration.
    pub upstreams: Vec<UpstreamEntry>,
    /// All enabled plugins.
    pub plugins: Vec<PluginInstance>,
    /// Each distinct chain once.
    pub chains: Vec<Chain>,
    /// The chain of requests without a route.
    pub global_chain: u32,
    /// Who may ask.
    pub consumers: Consumers,
    /// key-auth credentials by key.
    pub keyauth: Index<Box<[u8]>, KeyauthEntry>,
    /// Credentials of the other auth plugins.
    pub credentials: Credentials,
    /// Server certificates.
    pub certificates: Vec<Certificate>,
    /// Which name gets which certificate.
    pub snis: Vec<Sni>,
    /// Authorities for upstreams.
    pub ca_certificates: Vec<CaCertificate>,
    /// What of this configuration cannot be served as asked.
    pub issues: Vec<Issue>,
}

impl Snapshot {
    /// Whether a peer is one of a target of this configuration.
    pub fn peers_configured(&self) -> impl Fn(&PeerKey) -> bool {
        let targets = self.upstreams.iter().flat_map(|upstream| {
            let name = &*upstream.model.name;
            let targets = upstream.targets.iter();
            targets.map(move |target| (name, &*target.host, target.port))
        });
        let configured: HashSet<(&str, &str, u16), ahash::RandomState> = targets.collect();
        move |key| configured.contains(&(&*key.upstream, &*key.host, key.target_port))
    }
}

/// A route with what the request path needs of it at hand.
#[derive(Debug)]
pub struct RouteEntry {
    /// The row.
    pub model: Route,
    /// Index of its service.
    pub service: Option<u32>,
    /// Index of its chain.
    pub chain: u32,
    /// Whether clear-text requests are refused or redirected (426, 301, 302, 307, 308).
    pub https_only: Option<u16>,
    /// Whether it is for gRPC.
    pub is_grpc: bool,
    /// Whether it is for gRPC over TLS alone.
    pub is_grpcs_only: bool,
    /// Whether paths are joined in the way of `path_handling` v1, which only the flavour `traditional` knows.
    pub joins_plainly: bool,
    /// As log entries show it, made when the first one does.
    pub log_text: OnceLock<Box<str>>,
}

/// A service with what the request path needs of it at hand.
#[derive(Debug)]
pub struct ServiceEntry {
    /// The row.
    pub model: Service,
    /// Scheme of the upstream connection.
    pub scheme: Scheme,
    /// Whether the upstream speaks gRPC: HTTP/2, whatever the client speaks.
    pub is_grpc: bool,
    /// Where requests go.
    pub target: ServiceTarget,
    /// `Host` sent where neither route nor upstream names another: with the port unless it is the scheme's.
    pub host_header: Text,
    /// As log entries show it, made when the first one does.
    pub log_text: OnceLock<Box<str>>,
}

/// Where a service's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceTarget {
    /// An upstream of the configuration, by its index.
    Upstream(u32),
    /// A fixed address.
    Address(std::net::IpAddr),
    /// A name to resolve: the service's host.
    Name,
    /// A Unix socket (the front door's built-in configuration only).
    Socket(Box<str>),
}

/// An upstream with its targets and its rules.
#[derive(Debug)]
pub struct UpstreamEntry {
    /// The row.
    pub model: Upstream,
    /// Its targets, in the order of the configuration.
    pub targets: Vec<TargetEntry>,
    /// How requests are spread over them, and what counts as a failure.
    pub policy: Policy,
    /// `Host` sent instead of the target's name; the target's port is added unless it is the scheme's.
    pub host_header: Option<Text>,
}

/// A target of an upstream.
#[derive(Debug)]
pub struct TargetEntry {
    /// Its id.
    pub id: Id,
    /// A name or an address.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Share of requests.
    pub weight: u32,
    /// Whether it stands in only while the others are down.
    pub is_failover: bool,
}

/// A consumer with its groups, its own plugins and its prepared identity headers.
#[derive(Debug)]
pub struct ConsumerEntry {
    /// The row.
    pub model: Consumer,
    /// `X-Consumer-ID`
    pub id: Text,
    /// `X-Consumer-Username`
    pub username: Option<Text>,
    /// `X-Consumer-Custom-ID`
    pub custom_id: Option<Text>,
    /// Groups by acl, in the order of the configuration.
    pub groups: Vec<Text>,
    /// Plugins scoped to it or to a group of consumers that it is in; of two that are alike, the first by the group's name.
    pub plugins: Box<[OverlayLink]>,
    /// As log entries show it, made when the first one does.
    pub log_text: OnceLock<Box<str>>,
}

/// All consumers.
#[derive(Debug, Default)]
pub struct Consumers {
    /// By id.
    pub by_id: Index<Id, Arc<ConsumerEntry>>,
    /// By username.
    pub by_username: Index<Box<str>, Arc<ConsumerEntry>>,
    /// By custom id.
    pub by_custom_id: Index<Box<str>, Arc<ConsumerEntry>>,
}

impl Consumers {
    /// The consumer with this id or else this username, as `anonymous` names it.
    pub fn find(&self, id_or_username: &str) -> Option<&Arc<ConsumerEntry>> {
        self.by_id
            .get(id_or_username)
            .or_else(|| self.by_username.get(id_or_username))
    }
}

/// A key-auth credential.
#[derive(Debug)]
pub struct KeyauthEntry {
    /// Its id.
    pub id: Id,
    /// The same, ready as `X-Credential-Identifier`.
    pub identifier: Text,
    /// Whose it is.
    pub consumer: Arc<ConsumerEntry>,
    /// Second since the epoch from which it is refused.
    pub expires_at: Option<u64>,
}

/// Something configured that this node cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The plugin's id.
    pub plugin_id: Id,
    /// The plugin's name.
    pub plugin: String,
    /// A stable code.
    pub code: &'static str,
    /// A sentence for the operator.
    pub message: String,
}

/// Why a configuration cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Collection of the entity.
    pub entity: &'static str,
    /// Its id.
    pub id: Id,
    /// A sentence for the operator.
    pub message: String,
}
