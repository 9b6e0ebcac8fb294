//! How the certificates of upstreams are verified, or not.
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::public_key;

/// Verifies by authorities, and beside that what a service asks for: how long a chain may be, and other names that will do.
///
/// The depth counts what the upstream presents, authorities themselves aside: a server that presents more than is needed
/// must be given it.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) verifier: Arc<WebPkiServerVerifier>,
    pub(super) depth: Option<usize>,
    pub(super) names: Names,
}

/// Names of which one may stand in the certificate in place of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Names {
    pub(super) dns: Vec<Box<str>>,
    pub(super) uris: Vec<Box<str>>,
}

impl Names {
    /// Whether a certificate bears one of them: a DNS name as it stands there, wildcards included, or a URI.
    fn are_in(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return false;
        };
        let Ok(Some(alternative)) = parsed.subject_alternative_name() else {
            return false;
        };
        let mut borne = alternative.value.general_names.iter();
        borne.any(|name| match name {
            GeneralName::DNSName(borne) => {
                let mut dns = self.dns.iter();
                dns.any(|wanted| wanted.eq_ignore_ascii_case(borne))
            }
            GeneralName::URI(borne) => self.uris.iter().any(|wanted| **wanted == **borne),
            _ => false,
        })
    }

    fn server_names(&self) -> impl Iterator<Item = ServerName<'_>> {
        self.dns
            .iter()
            .filter_map(|name| ServerName::try_from(&**name).ok())
    }
}

impl ServerCertVerifier for Verification {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let between = intermediates
            .iter()
            .filter(|certificate| !public_key::is_self_issued(certificate));
        if self.depth.is_some_and(|depth| between.count() > depth) {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let verify = |name: &ServerName<'_>| {
            self.verifier
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let verified = verify(server_name);
        // Names are looked at last: all else about the certificate is in order.
        let is_only_its_name = matches!(
            verified,
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        );
        let is_named = || {
            self.names.are_in(end_entity)
                || self.names.server_names().any(|name| verify(&name).is_ok())
        };
        if is_only_its_name && is_named() {
            return Ok(ServerCertVerified::assertion());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Takes any certificate, as Kong does where verification is off; possession of its key is proved all the same.
#[derive(Debug)]
pub(super) struct NoVerification {
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        public_key::verify_tls12(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key::of(certificate)?;
        verify_tls13_signature_with_raw_key(
            message,
            &key,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
