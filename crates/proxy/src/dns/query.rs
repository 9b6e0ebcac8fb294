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
use crate::settings::DnsSettings;

/// One whole attempt at a name, over all servers.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Records that are read of one answer.
const ADDRESSES_MAX: usize = 256;

/// Addresses as a server gave them.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Never empty.
    pub(crate) addresses: Vec<IpAddr>,
    /// The smallest TTL among them.
    pub(crate) ttl_ms: u64,
}

/// The name servers.
pub(crate) struct Servers {
    resolver: Option<TokioResolver>,
    families: Vec<RecordType>,
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
            families: families(&settings.order),
        }
    }

    /// The addresses of a name: the first family that has any.
    pub(crate) async fn ask(&self, name: &str) -> Result<Answer, DnsError> {
        tokio::time::timeout(ASK_TIMEOUT, self.ask_families(name))
            .await
            .unwrap_or(Err(DnsError::TimedOut))
    }

    async fn ask_families(&self, name: &str) -> Result<Answer, DnsError> {
        let resolver = self
            .resolver
            .as_ref()
            .ok_or_else(|| DnsError::Failed("no name server is configured".into()))?;
        let mut first_error = None;
        for family in &self.families {
            match resolver.lookup(name, *family).await {
                Ok(lookup) => {
                    let records = lookup
                        .answers()
                        .iter()
                        .filter_map(|record| match &record.data {
                            RData::A(address) => Some((IpAddr::V4(address.0), record.ttl)),
                            RData::AAAA(address) => Some((IpAddr::V6(address.0), record.ttl)),
                            _ => None,
                        });
                    let (addresses, ttls): (Vec<_>, Vec<_>) = records.take(ADDRESSES_MAX).unzip();
                    if let Some(ttl) = ttls.into_iter().min() {
                        return Ok(Answer {
                            addresses,
                            ttl_ms: u64::from(ttl) * 1_000,
                        });
                    }
                }
                // A family that failed outranks one that the name merely lacks.
                Err(error) => match (worded(&error), &first_error) {
                    (DnsError::NotFound, _) | (_, Some(_)) => {}
                    (worse, None) => first_error = Some(worse),
                },
            }
        }
        Err(first_error.unwrap_or(DnsError::NotFound))
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

/// The address families in the order they are asked for; IPv4 first where the setting names none, IPv6 at the end always.
fn families(order: &[String]) -> Vec<RecordType> {
    let mut families = Vec::new();
    for entry in order {
        let family = match entry.to_ascii_uppercase().as_str() {
            "A" => RecordType::A,
            "AAAA" => RecordType::AAAA,
            _ => continue,
        };
        if !families.contains(&family) {
            families.push(family);
        }
    }
    for family in [RecordType::A, RecordType::AAAA] {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    families
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
