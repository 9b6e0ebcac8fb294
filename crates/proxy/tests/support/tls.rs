//! A TLS client that takes any server certificate, tells which one it got, and whether it was asked for its own.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use super::{Answer, connect, pem};

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Offers a certificate and notes whether it was asked for.
#[derive(Debug)]
struct Noting {
    own: Option<Arc<CertifiedKey>>,
    was_asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Noting {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::SeqCst);
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client, before it connects.
#[derive(Default)]
pub struct Client<'a> {
    /// Name of a certificate of `tests/certificates` to present, and of the key it is presented with.
    pub own: Option<(&'a str, &'a str)>,
    /// Speak TLS 1.2 alone.
    pub is_tls12: bool,
    /// Offer HTTP/2.
    pub offers_h2: bool,
}

/// A connection that a client has made.
pub struct Connected {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    was_asked: Arc<AtomicBool>,
}

impl Client<'_> {
    pub fn config(&self) -> (ClientConfig, Arc<AtomicBool>) {
        let was_asked = Arc::new(AtomicBool::new(false));
        let own = self.own.map(|(chain, key)| {
            let chain = CertificateDer::pem_slice_iter(pem(&format!("{chain}.pem")).as_bytes())
                .map(Result::unwrap)
                .collect();
            let key = PrivateKeyDer::from_pem_slice(pem(&format!("{key}.key")).as_bytes()).unwrap();
            Arc::new(CertifiedKey::new(
                chain,
                rustls::crypto::ring::sign::any_supported_type(&key).unwrap(),
            ))
        });
        let version = if self.is_tls12 {
            &rustls::version::TLS12
        } else {
            &rustls::version::TLS13
        };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer))
                .with_client_cert_resolver(Arc::new(Noting {
                    own,
                    was_asked: Arc::clone(&was_asked),
                }));
        if self.offers_h2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        (config, was_asked)
    }

    /// Connects under a server name (an address sends none).
    pub fn connect(&self, port: u16, name: &str) -> std::io::Result<Connected> {
        let (config, was_asked) = self.config();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = StreamOwned::new(
            ClientConnection::new(Arc::new(config), name).unwrap(),
            connect(port),
        );
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connected { stream, was_asked })
    }
}

impl Connected {
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::SeqCst)
    }

    /// Whether the server showed the certificate of that name.
    pub fn was_shown(&self, name: &str) -> bool {
        let wanted =
            CertificateDer::from_pem_slice(pem(&format!("{name}.pem")).as_bytes()).unwrap();
        self.stream.conn.peer_certificates().unwrap()[0] == wanted
    }

    /// Sends a head as it is and reads one response; none where the server closed or refused instead.
    pub fn ask(&mut self, head: &str) -> Option<Answer> {
        self.stream.write_all(head.as_bytes()).ok()?;
        Answer::read(&mut Reading(self))
    }
}

struct Reading<'a>(&'a mut Connected);

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.stream.read(buffer)
    }
}
