//! Asking name servers, over UDP and TCP. Remembers nothing.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as ServerAnswer, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::dns::DnsError;
use crate::dns::found::{ServiceRecord, first_of};
use crate::settings::DnsSettings;

/// Records that are read of one answer.
const ADDRESSES_MAX: usize = 256;
/// Service records that are followed.
const SERVICES_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    V4,
    V6,
}

/// What a server gave; never empty.
#[derive(Debug)]
pub(crate) enum Records {
    Addresses(Vec<IpAddr>),
    Services(Vec<ServiceRecord>),
}

/// An answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) records: Records,
    /// The smallest TTL among them.
    pub(crate) ttl_ms: u64,
}

/// The name servers.
pub(crate) struct Servers {
    resolver: Option<TokioResolver>,
    order: Vec<Wanted>,
    is_service_by_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What the name had the last time.
    Last,
    Kind(Kind),
}

impl Servers {
    /// Sets up from settings that have been checked.
    pub(crate) fn new(settings: &DnsSettings) -> Self {
        let named = settings.servers().unwrap_or_default();
        let (config, mut options) = hickory_resolver::system_conf::read_system_conf()
            .unwrap_or_else(|_| (ResolverConfig::default(), ResolverOpts::default()));
        let config = if named.is_empty() {
            config
        } else {
            let (domain, search, _) = config.into_parts();
            ResolverConfig::from_parts(domain, search, named.into_iter().map(name_server).collect())
        };
        // What is remembered, and for how long, is decided by our own cache.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = options.timeout.min(Duration::from_secs(2));
        options.try_tcp_on_error = true;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Self {
            resolver: builder.build().ok(),
            order: order(&settings.order),
            is_service_by_name: settings.services_by_name,
        }
    }

    /// What to ask for, one after the other; `last` is what the name had the last time.
    pub(crate) fn kinds(&self, name: &str, last: Option<Kind>) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for wanted in &self.order {
            let kind = match wanted {
                Wanted::Last => last,
                Wanted::Kind(kind) => Some(*kind),
            };
            let is_service_name = !self.is_service_by_name || name.starts_with('_');
            let kind = kind.filter(|kind| *kind != Kind::Service || is_service_name);
            kinds.extend(kind.filter(|kind| !kinds.contains(kind)));
        }
        kinds
    }

    /// Asks for one kind of record.
    pub(crate) async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, DnsError> {
        let resolver = self
            .resolver
            .as_ref()
            .ok_or_else(|| DnsError::Failed("no name server is configured".into()))?;
        let record_type = match kind {
            Kind::Service => RecordType::SRV,
            Kind::V4 => RecordType::A,
            Kind::V6 => RecordType::AAAA,
        };
        let lookup = resolver.lookup(name, record_type).await;
        let lookup = lookup.map_err(|error| worded(&error))?;
        let (mut addresses, mut services, mut ttl) = (Vec::new(), Vec::new(), u32::MAX);
        for record in lookup.answers() {
            match &record.data {
                RData::A(found) if kind == Kind::V4 => addresses.push(IpAddr::V4(found.0)),
                RData::AAAA(found) if kind == Kind::V6 => addresses.push(IpAddr::V6(found.0)),
                RData::SRV(found) if kind == Kind::Service => services.push(ServiceRecord {
                    priority: found.priority,
                    weight: found.weight,
                    port: found.port,
                    name: found.target.to_ascii().trim_end_matches('.').into(),
                }),
                _ => continue,
            }
            ttl = ttl.min(record.ttl);
        }
        addresses.truncate(ADDRESSES_MAX);
        let mut services = first_of(services);
        services.truncate(SERVICES_MAX);
        let records = match (addresses.is_empty(), services.is_empty()) {
            (false, _) => Records::Addresses(addresses),
            (true, false) => Records::Services(services),
            (true, true) => return Err(DnsError::NotFound),
        };
        Ok(Answer {
            records,
            ttl_ms: u64::from(ttl) * 1_000,
        })
    }
}

impl DnsSettings {
    /// The servers named by the settings.
    pub fn servers(&self) -> Result<Vec<SocketAddr>, String> {
        let read = |text: &String| {
            let address = text.parse::<SocketAddr>().ok();
            address.or_else(|| {
                text.parse::<IpAddr>()
                    .ok()
                    .map(|ip| SocketAddr::new(ip, 53))
            })
        };
        let wrong =
            |text: &String| format!("dns.resolvers: not an address with or without a port: {text}");
        self.resolvers
            .iter()
            .map(|text| read(text).ok_or_else(|| wrong(text)))
            .collect()
    }
}

/// What is asked for, in the order of the setting.
fn order(entries: &[String]) -> Vec<Wanted> {
    let read = |entry: &String| match entry.to_ascii_uppercase().as_str() {
        "LAST" => Some(Wanted::Last),
        "SRV" => Some(Wanted::Kind(Kind::Service)),
        "A" => Some(Wanted::Kind(Kind::V4)),
        "AAAA" => Some(Wanted::Kind(Kind::V6)),
        // An address is asked for along with the names that lead to it.
        _ => None,
    };
    entries.iter().filter_map(read).collect()
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn worded(error: &NetError) -> DnsError {
    match error {
        NetError::Dns(ServerAnswer::NoRecordsFound(_)) => DnsError::NotFound,
        NetError::Timeout => DnsError::TimedOut,
        other => DnsError::Failed(other.to_string().into()),
    }
}
