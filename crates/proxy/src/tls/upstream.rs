//! TLS towards upstreams: one cached client configuration per (client certificate, authorities, verification).
//! Its number is part of a pooled connection's identity: services that verify differently never share a connection.
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, Error, RootCertStore};
use twinplane_engine::snapshot::{ServiceEntry, ServiceTarget, Snapshot};

use crate::settings::Settings;
use crate::tls::identity::{Identity, IdentityError, OneIdentity, chain_of};
use crate::tls::verification::{Names, NoVerification, Verification};

/// How one service's upstreams are spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Distinct per way of verifying and client certificate; the same for services that share both.
    pub number: u64,
    /// For `tokio_rustls::TlsConnector`.
    pub config: Arc<ClientConfig>,
}

/// Why a service's upstreams cannot be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamTlsError {
    /// A certificate that the service names is absent or damaged.
    Certificate(String),
    /// The certificate is to be verified, and nothing is trusted.
    NothingTrusted,
}

impl fmt::Display for UpstreamTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(reason) => f.write_str(reason),
            Self::NothingTrusted => {
                f.write_str("the upstream is to be verified, but no authority is trusted")
            }
        }
    }
}

impl std::error::Error for UpstreamTlsError {}

// By place, and whether it is for streams.
type ByService = AHashMap<(u32, bool), Result<UpstreamTls, UpstreamTlsError>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    // Authorities as PEM; none: not verified. Empty: those of the settings.
    authorities: Option<Vec<Box<str>>>,
    // Certificates that may stand between the upstream's and an authority's.
    depth: Option<usize>,
    // Beside the host's.
    names: Names,
    // Certificate and key as PEM; none: that of the settings, if any.
    client: Option<(Box<str>, Box<str>)>,
    // What is asked for by ALPN; none: nothing.
    protocol: Option<&'static [u8]>,
}

/// The client configurations of one worker.
#[derive(Debug)]
pub struct UpstreamConfigs {
    settings: RefCell<Arc<Settings>>,
    provider: Arc<CryptoProvider>,
    // Of one snapshot, known by its address; a worker that takes another one clears this first.
    by_service: RefCell<(usize, ByService)>,
    by_key: RefCell<AHashMap<Key, UpstreamTls>>,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl UpstreamConfigs {
    /// Without any.
    pub fn new(settings: Arc<Settings>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self {
            settings: RefCell::new(settings),
            provider,
            by_service: RefCell::default(),
            by_key: RefCell::default(),
        }
    }

    /// The configuration of the service at `index` of `snapshot`, for requests or for streams.
    pub fn of(
        &self,
        snapshot: &Snapshot,
        index: u32,
        is_stream: bool,
    ) -> Result<UpstreamTls, UpstreamTlsError> {
        let address = std::ptr::from_ref(snapshot) as usize;
        {
            let mut by_service = self.by_service.borrow_mut();
            if by_service.0 != address {
                *by_service = (address, AHashMap::new());
            }
            if let Some(found) = by_service.1.get(&(index, is_stream)) {
                return found.clone();
            }
        }
        let made = match snapshot.services.get(index as usize) {
            Some(service) => self.make(snapshot, service, is_stream),
            None => Err(UpstreamTlsError::Certificate(
                "the service is not part of the configuration".into(),
            )),
        };
        let mut by_service = self.by_service.borrow_mut();
        by_service.1.insert((index, is_stream), made.clone());
        made
    }

    /// Other settings are in force: whom to trust, what to show and what to speak is asked anew for new connections.
    pub fn adopt(&self, settings: &Arc<Settings>) {
        let before = self.settings.replace(Arc::clone(settings));
        if before.start.trusted_certificates != settings.start.trusted_certificates
            || before.start.client_certificate != settings.start.client_certificate
            || before.start.grpcs_tls_verify != settings.start.grpcs_tls_verify
            || before.tls_versions != settings.tls_versions
        {
            *self.by_service.borrow_mut() = (0, AHashMap::new());
            self.by_key.borrow_mut().clear();
        }
    }

    /// Another snapshot is in force: indices mean other services now. What no service of it asks for goes later.
    pub fn forget_services(&self) {
        *self.by_service.borrow_mut() = (0, AHashMap::new());
        let mut by_key = self.by_key.borrow_mut();
        // Numbers of configurations that live on must not change, or idle connections would be lost with each swap.
        if by_key.len() > 256 {
            by_key.retain(|_, known| Arc::strong_count(&known.config) > 1);
        }
    }

    /// The configuration for a store of counters; verified, it is by the authorities of the settings.
    pub fn of_store(&self, is_verified: bool) -> Result<UpstreamTls, UpstreamTlsError> {
        self.made(Key {
            authorities: is_verified.then(Vec::new),
            depth: None,
            names: Names::default(),
            client: None,
            protocol: None,
        })
    }

    fn make(
        &self,
        snapshot: &Snapshot,
        service: &ServiceEntry,
        is_stream: bool,
    ) -> Result<UpstreamTls, UpstreamTlsError> {
        self.made(self.key(snapshot, service, is_stream)?)
    }

    fn made(&self, key: Key) -> Result<UpstreamTls, UpstreamTlsError> {
        if let Some(known) = self.by_key.borrow().get(&key) {
            return Ok(known.clone());
        }
        let config = Arc::new(self.config(&key)?);
        let made = UpstreamTls {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            config,
        };
        self.by_key.borrow_mut().insert(key, made.clone());
        Ok(made)
    }

    fn key(
        &self,
        snapshot: &Snapshot,
        entry: &ServiceEntry,
        is_stream: bool,
    ) -> Result<Key, UpstreamTlsError> {
        let service = &entry.model;
        let pool = match entry.target {
            ServiceTarget::Upstream(at) => snapshot.upstreams.get(at as usize),
            _ => None,
        };
        // The service's own certificate comes before that of its upstream.
        let client = pool.and_then(|pool| pool.model.client_certificate.as_ref());
        let client = service.client_certificate.as_ref().or(client);
        let named = service.ca_certificates.as_deref().unwrap_or_default();
        // Unset verifies only where authorities are configured for the service.
        let is_asked_for = entry.is_grpc && self.settings.borrow().start.grpcs_tls_verify;
        let is_verified = service
            .tls_verify
            .unwrap_or(is_asked_for || !named.is_empty());
        let absent = |id: &str| {
            UpstreamTlsError::Certificate(format!("certificate {id} is not in the configuration"))
        };
        let mut authorities = Vec::new();
        for id in named.iter().filter(|_| is_verified) {
            let row = snapshot
                .ca_certificates
                .iter()
                .find(|row| row.id == *id)
                .ok_or_else(|| absent(id))?;
            authorities.push(row.cert.clone());
        }
        let client = match client {
            Some(id) => {
                let row = snapshot
                    .certificates
                    .iter()
                    .find(|row| row.id == *id)
                    .ok_or_else(|| absent(id))?;
                Some((row.cert.clone(), row.key.clone()))
            }
            None => None,
        };
        let sans = service.tls_sans.as_ref().filter(|_| is_verified);
        let depth = service.tls_verify_depth.filter(|_| is_verified);
        Ok(Key {
            authorities: is_verified.then_some(authorities),
            depth: depth.and_then(|depth| usize::try_from(depth).ok()),
            names: sans.map_or_else(Names::default, |sans| Names {
                dns: sans.dnsnames.clone().unwrap_or_default(),
                uris: sans.uris.clone().unwrap_or_default(),
            }),
            client,
            // What is spoken in a stream is between its two ends.
            protocol: (!is_stream).then_some(if entry.is_grpc { b"h2" } else { b"http/1.1" }),
        })
    }

    fn config(&self, key: &Key) -> Result<ClientConfig, UpstreamTlsError> {
        let damaged = |error: IdentityError| UpstreamTlsError::Certificate(error.to_string());
        let failed = |error: Error| UpstreamTlsError::Certificate(error.to_string());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.settings.borrow().tls_versions)
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(key)?);
        let identity = match &key.client {
            Some((cert, private)) => Some(Arc::new(
                Identity::from_pem(cert, private).map_err(damaged)?,
            )),
            None => self.settings.borrow().client_identity.clone(),
        };
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(OneIdentity(identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = key.protocol.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    fn verifier(&self, key: &Key) -> Result<Arc<dyn ServerCertVerifier>, UpstreamTlsError> {
        let Some(authorities) = &key.authorities else {
            return Ok(Arc::new(NoVerification {
                provider: Arc::clone(&self.provider),
            }));
        };
        let damaged = |error: IdentityError| UpstreamTlsError::Certificate(error.to_string());
        let roots = if authorities.is_empty() {
            let settings = self.settings.borrow();
            let trusted = settings.start.trusted_certificates.as_deref();
            roots_of(trusted.ok_or(UpstreamTlsError::NothingTrusted)?).map_err(damaged)?
        } else {
            roots_of(&authorities.join("\n")).map_err(damaged)?
        };
        if roots.is_empty() {
            return Err(UpstreamTlsError::NothingTrusted);
        }
        let builder = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        );
        let verifier = builder
            .build()
            .map_err(|error| UpstreamTlsError::Certificate(error.to_string()))?;
        Ok(Arc::new(Verification {
            verifier,
            depth: key.depth,
            names: key.names.clone(),
        }))
    }
}

/// The authorities of a PEM text. Those that cannot be anchors (version 1, damaged) are left out, as OpenSSL does.
pub fn roots_of(pem: &str) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain_of(pem)?);
    Ok(roots)
}
