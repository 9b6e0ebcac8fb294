//! Which certificate a server name gets: the configuration's own first, then the default ones. Built with each
//! configuration, swapped whole, read by every handshake.
use std::sync::Arc;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use twinplane_engine::snapshot::Fault;
use twinplane_model::{Certificate, Id, Sni};

use crate::tls::identity::{Identity, IdentityError};

/// Certificates by server name.
#[derive(Debug, Default)]
pub struct CertificateTable {
    // Each with its alternative of another kind of key, if any.
    exact: AHashMap<Box<str>, Arc<[Arc<Identity>]>>,
    // "*.example.com" by ".example.com", "example.*" by "example.".
    leading: AHashMap<Box<str>, Arc<[Arc<Identity>]>>,
    trailing: AHashMap<Box<str>, Arc<[Arc<Identity>]>>,
    any: Option<Arc<[Arc<Identity>]>>,
}

impl CertificateTable {
    /// Reads the certificates of a configuration; a damaged one is a fault.
    pub fn build(certificates: &[Certificate], snis: &[Sni]) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut by_id: AHashMap<&Id, Arc<[Arc<Identity>]>> = AHashMap::new();
        for row in certificates {
            match identities(row) {
                Ok(identities) => drop(by_id.insert(&row.id, identities)),
                Err(error) => {
                    faults.push(Fault {
                        entity: "certificates",
                        id: row.id.clone(),
                        message: error.to_string(),
                    });
                }
            }
        }
        let mut table = Self::default();
        for sni in snis {
            if let Some(identities) = by_id.get(&sni.certificate) {
                table.insert(&sni.name.to_ascii_lowercase(), Arc::clone(identities));
            } else if faults.is_empty() {
                let message = format!(
                    "certificate {} is not part of the configuration",
                    sni.certificate
                );
                faults.push(Fault {
                    entity: "snis",
                    id: sni.id.clone(),
                    message,
                });
            }
        }
        if faults.is_empty() {
            Ok(table)
        } else {
            Err(faults)
        }
    }

    fn insert(&mut self, name: &str, identities: Arc<[Arc<Identity>]>) {
        if name == "*" {
            self.any = Some(identities);
        } else if let Some(suffix) = name.strip_prefix('*') {
            self.leading.insert(suffix.into(), identities);
        } else if let Some(prefix) = name.strip_suffix('*') {
            self.trailing.insert(prefix.into(), identities);
        } else {
            self.exact.insert(name.into(), identities);
        }
    }

    /// The certificates for a name: exact, then `*.` one label up, then `.*` one label down, then `*`.
    pub fn find(&self, name: &str) -> Option<&Arc<[Arc<Identity>]>> {
        let leading = || {
            name.find('.')
                .and_then(|dot| self.leading.get(&name[dot..]))
        };
        let trailing = || {
            name.rfind('.')
                .and_then(|dot| self.trailing.get(&name[..=dot]))
        };
        self.exact
            .get(name)
            .or_else(leading)
            .or_else(trailing)
            .or(self.any.as_ref())
    }
}

fn identities(row: &Certificate) -> Result<Arc<[Arc<Identity>]>, IdentityError> {
    let mut found = vec![Arc::new(Identity::from_pem(&row.cert, &row.key)?)];
    if let (Some(cert), Some(key)) = (&row.cert_alt, &row.key_alt) {
        found.push(Arc::new(Identity::from_pem(cert, key)?));
    }
    Ok(found.into())
}

/// Answers rustls: which certificate for this client hello.
#[derive(Debug)]
pub struct ServerCertificates {
    /// Those of the configuration in force.
    pub table: Arc<ArcSwap<CertificateTable>>,
    /// Those of the settings, or what took their place since.
    pub defaults: ArcSwap<Vec<Arc<Identity>>>,
}

impl ServerCertificates {
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let lower = name.map(str::to_ascii_lowercase);
        // Clients without a server name get what "*" stands for, as the default.
        let named = lower
            .as_deref()
            .map_or(table.any.as_ref(), |name| table.find(name));
        let defaults = self.defaults.load();
        let candidates = named.map_or(&defaults[..], |identities| &identities[..]);
        // What the client likes best comes first; schemes that its cipher suites rule out are not among these.
        let suited = schemes
            .iter()
            .find_map(|scheme| {
                let mut candidates = candidates.iter();
                candidates.find(|identity| identity.suits(std::slice::from_ref(scheme)))
            })
            .or_else(|| candidates.first());
        suited.map(|identity| Arc::clone(&identity.certified))
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
