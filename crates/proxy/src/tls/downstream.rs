//! The handshake with clients: the certificate by server name, a client certificate asked for where it is wanted.
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::StartError;
use crate::settings::Settings;
use crate::tls::certificates::{CertificateTable, ServerCertificates};
use crate::tls::cipher_suites;
use crate::tls::client_verifier::PossessionVerifier;
use crate::tls::identity::Identity;

/// What the handshake told about a client.
#[derive(Clone, Debug)]
pub struct Session {
    /// Server name asked for, in lower case.
    pub sni: Option<Arc<str>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Name of the cipher suite, as OpenSSL spells it where it has a name of its own.
    pub cipher: &'static str,
    /// Whether HTTP/2 was agreed on.
    pub is_h2: bool,
    /// The client's certificate and what it sent along, leaf first; empty where none was asked for or sent.
    pub client_chain: Arc<[CertificateDer<'static>]>,
}

/// All that handshakes of a node need.
#[derive(Debug)]
pub struct Downstream {
    with_h2: Asking,
    without_h2: Asking,
    streams: Asking,
    hosts: ClientCertificateHosts,
    certificates: Arc<ServerCertificates>,
}

#[derive(Debug)]
struct Asking {
    never: Arc<ServerConfig>,
    always: Arc<ServerConfig>,
}

/// Names for which a client certificate is asked.
#[derive(Debug, Default)]
struct ClientCertificateHosts {
    exact: Vec<Box<str>>,
    suffixes: Vec<Box<str>>,
}

impl ClientCertificateHosts {
    fn new(patterns: &[String]) -> Self {
        let mut hosts = Self::default();
        for pattern in patterns {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.strip_prefix('*') {
                Some(suffix) => hosts.suffixes.push(suffix.into()),
                None => hosts.exact.push(pattern.into()),
            }
        }
        hosts
    }

    fn holds(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_under = |suffix: &str| name.len() > suffix.len() && name.ends_with(suffix);
        self.exact.iter().any(|exact| **exact == *name)
            || self.suffixes.iter().any(|suffix| is_under(suffix))
    }
}

impl Downstream {
    /// Sets up from checked settings; the table is the one each applied configuration is stored in.
    pub fn new(
        settings: &Settings,
        table: &Arc<ArcSwap<CertificateTable>>,
    ) -> Result<Self, StartError> {
        let patterns = settings
            .start
            .edge
            .as_ref()
            .map_or(&[][..], |edge| &edge.client_certificate_hosts);
        let defaults = settings.default_identities.clone();
        let certificates = Arc::new(ServerCertificates {
            table: Arc::clone(table),
            defaults: ArcSwap::from_pointee(defaults),
        });
        Ok(Self {
            with_h2: Asking::new(settings, &certificates, &[b"h2", b"http/1.1"])?,
            without_h2: Asking::new(settings, &certificates, &[b"http/1.1"])?,
            // What is spoken there is not known: no protocol is agreed on.
            streams: Asking::new(settings, &certificates, &[])?,
            hosts: ClientCertificateHosts::new(patterns),
            certificates,
        })
    }

    /// Serves these default certificates from the next handshake on.
    pub fn renew(&self, defaults: Vec<Arc<Identity>>) {
        self.certificates.defaults.store(Arc::new(defaults));
    }

    /// Performs the handshake. The caller bounds its time.
    pub async fn accept<T>(&self, io: T, http2: bool) -> io::Result<(TlsStream<T>, Session)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let config = Arc::clone(self.config(&start.client_hello(), http2));
        let stream = start.into_stream(config).await?;
        let session = Session::of(stream.get_ref().1);
        Ok((stream, session))
    }

    /// The same for a stream, whose protocol is between its two ends.
    pub async fn accept_stream<T>(&self, io: T) -> io::Result<(TlsStream<T>, Session)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.streams.never));
        let stream = acceptor.accept(io).await?;
        let session = Session::of(stream.get_ref().1);
        Ok((stream, session))
    }

    fn config(&self, hello: &ClientHello<'_>, http2: bool) -> &Arc<ServerConfig> {
        let asking = if http2 {
            &self.with_h2
        } else {
            &self.without_h2
        };
        let is_asked = hello
            .server_name()
            .is_some_and(|name| self.hosts.holds(name));
        if is_asked {
            &asking.always
        } else {
            &asking.never
        }
    }
}

impl Asking {
    fn new(
        settings: &Settings,
        certificates: &Arc<ServerCertificates>,
        protocols: &[&[u8]],
    ) -> Result<Self, StartError> {
        let provider = Arc::new(rustls::crypto::CryptoProvider {
            cipher_suites: settings.tls_cipher_suites.clone(),
            ..rustls::crypto::ring::default_provider()
        });
        let build = |is_asked: bool| -> Result<Arc<ServerConfig>, StartError> {
            let failed = |error: rustls::Error| StartError::of(format!("tls: {error}"));
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&settings.tls_versions_spoken())
                .map_err(failed)?;
            let builder = if is_asked {
                let algorithms = provider.signature_verification_algorithms;
                builder.with_client_cert_verifier(Arc::new(PossessionVerifier::new(algorithms)))
            } else {
                builder.with_no_client_auth()
            };
            let mut config = builder.with_cert_resolver(Arc::clone(certificates) as Arc<_>);
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            // Tickets alone: a cache of sessions would be a lock shared by all workers.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ignore_client_order = settings.start.tls_prefers_own_order;
            if !settings.start.tls_tickets {
                config.send_tls13_tickets = 0;
            } else if !is_asked {
                config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(failed)?;
            }
            Ok(Arc::new(config))
        };
        Ok(Self {
            never: build(false)?,
            always: build(true)?,
        })
    }
}

impl Session {
    fn of(connection: &ServerConnection) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        Self {
            sni: connection
                .server_name()
                .map(|name| Arc::from(name.to_ascii_lowercase())),
            version,
            cipher: connection
                .negotiated_cipher_suite()
                .map_or("", cipher_suites::name),
            is_h2: connection.alpn_protocol() == Some(b"h2"),
            client_chain: chain
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_certificate_is_wanted_under_a_suffix_only() {
        let hosts = ClientCertificateHosts::new(&[
            "*.cp0.Example".to_owned(),
            "kong_clustering".to_owned(),
        ]);
        assert!(
            hosts.holds("a.us.cp0.example")
                && hosts.holds("A.CP0.EXAMPLE")
                && hosts.holds("kong_clustering")
        );
        assert!(
            !hosts.holds("cp0.example")
                && !hosts.holds(".cp0.example")
                && !hosts.holds("a.cp0.example.org")
        );
    }
}
