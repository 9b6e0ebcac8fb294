//! Certificates and keys out of the settings.
use std::sync::Arc;

use crate::error::StartError;
use crate::settings::start::CertificatePair;
use crate::tls::identity::Identity;

/// Reads default certificates alone: a list of pairs, as in the settings.
pub fn identities_of(json: &[u8]) -> Result<Vec<Arc<Identity>>, StartError> {
    let pairs: Vec<CertificatePair> = serde_json::from_slice(json)
        .map_err(|error| StartError::of(format!("default_certificates: {error}")))?;
    let mut faults = Vec::new();
    let found = identities(&pairs, &mut faults);
    if pairs.is_empty() {
        faults.push("default_certificates: holds none".to_owned());
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(StartError { faults })
    }
}

/// Certificates that can be served; what is wrong with others is told.
pub(super) fn identities(
    pairs: &[CertificatePair],
    faults: &mut Vec<String>,
) -> Vec<Arc<Identity>> {
    let mut found = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        match Identity::from_pem(&pair.cert, &pair.key) {
            Ok(identity) => found.push(Arc::new(identity)),
            Err(error) => faults.push(format!("default_certificates[{index}]: {error}")),
        }
    }
    found
}
