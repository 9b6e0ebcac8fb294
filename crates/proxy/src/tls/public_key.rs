//! The public key inside a certificate, of any X.509 version, and a signature checked with it. rustls' own verifier reads
//! version 3 alone, while certificates made by `kong hybrid gen_cert` are version 1.
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The `SubjectPublicKeyInfo` of a certificate.
pub(crate) fn of<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let (rest, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if !rest.is_empty() {
        return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
    }
    Ok(SubjectPublicKeyInfoDer::from(
        parsed.tbs_certificate.subject_pki.raw,
    ))
}

/// Whether a certificate names itself as its issuer.
pub(crate) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}

/// Checks a TLS 1.2 handshake signature: any algorithm that suits both the scheme and the key may confirm it.
pub(crate) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let key = &parsed.tbs_certificate.subject_pki;
    let candidates = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signed.scheme)
        .map(|(_, candidates)| *candidates)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let is_signed = candidates.iter().any(|algorithm| {
        key_algorithm(key.raw).is_some_and(|found| found == algorithm.public_key_alg_id().as_ref())
            && algorithm
                .verify_signature(&key.subject_public_key.data, message, signed.signature())
                .is_ok()
    });
    if is_signed {
        Ok(())
    } else {
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

/// The bytes inside the `AlgorithmIdentifier` sequence of a `SubjectPublicKeyInfo`, the form in which rustls names them.
fn key_algorithm(spki: &[u8]) -> Option<&[u8]> {
    let (_, outer) = sequence(spki)?;
    sequence(outer).map(|(_, inner)| inner)
}

/// The rest after, and the contents of, a DER sequence at the start of `bytes`.
fn sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != 0x30 {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
            rest.get(2..)?,
        ),
        _ => return None,
    };
    Some((rest.get(length..)?, rest.get(..length)?))
}
