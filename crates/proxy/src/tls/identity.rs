//! A certificate chain with its private key, ready to sign. Takes certificates of any X.509 version.
use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::tls::public_key;

/// Why a certificate and key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The PEM text holds no certificate, or a damaged one.
    Certificate,
    /// The PEM text holds no private key, or one of an unknown kind.
    Key,
    /// The key is not the certificate's.
    Mismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "not a certificate in PEM form",
            Self::Key => "not a private key in PEM form that can sign",
            Self::Mismatch => "the private key is not the certificate's",
        })
    }
}

impl std::error::Error for IdentityError {}

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Identity {
    /// As rustls takes it.
    pub certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads both from PEM.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = chain_of(chain)?;
        let leaf = chain.first().ok_or(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| IdentityError::Key)?;
        let signing =
            rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| IdentityError::Key)?;
        let ours = public_key::of(leaf).map_err(|_| IdentityError::Certificate)?;
        if signing
            .public_key()
            .is_some_and(|theirs| theirs.as_ref() != ours.as_ref())
        {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, signing)),
        })
    }

    /// Whether a peer that takes these schemes can check our signature.
    pub fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }
}

/// The certificates of a PEM text; at least one.
pub fn chain_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(IdentityError::Certificate)
}

/// Hands out one identity to any server that asks.
#[derive(Debug)]
pub struct OneIdentity(pub Arc<Identity>);

impl ResolvesClientCert for OneIdentity {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.suits(schemes).then(|| Arc::clone(&self.0.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
