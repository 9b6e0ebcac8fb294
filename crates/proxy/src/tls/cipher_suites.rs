//! Cipher suites by OpenSSL's names, which settings and logs of Kong carry; those of TLS 1.3 have the standard's.
use rustls::{CipherSuite, SupportedCipherSuite};

/// The suites of these names, in their order; all that are spoken where no name is given.
pub fn read(names: &[String], faults: &mut Vec<String>) -> Vec<SupportedCipherSuite> {
    let spoken = rustls::crypto::ring::default_provider().cipher_suites;
    if names.is_empty() {
        return spoken;
    }
    let mut found: Vec<SupportedCipherSuite> = Vec::new();
    for wanted in names {
        match spoken.iter().find(|suite| name(**suite) == wanted) {
            Some(suite) if found.contains(suite) => {}
            Some(suite) => found.push(*suite),
            None => faults.push(format!("tls_cipher_suites: not spoken: {wanted}")),
        }
    }
    found
}

/// The name of a suite.
pub fn name(suite: SupportedCipherSuite) -> &'static str {
    use CipherSuite as Suite;
    match suite.suite() {
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_found_by_name_in_their_order() {
        let mut faults = Vec::new();
        let names = [
            "ECDHE-RSA-AES128-GCM-SHA256",
            "TLS_AES_128_GCM_SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
        ];
        let found = read(&names.map(str::to_owned), &mut faults);
        assert_eq!(
            found.into_iter().map(name).collect::<Vec<_>>(),
            ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"]
        );
        assert!(faults.is_empty());
        assert_eq!(read(&[], &mut faults).len(), 9);
        read(&["RC4-MD5".to_owned()], &mut faults);
        assert_eq!(faults, ["tls_cipher_suites: not spoken: RC4-MD5"]);
    }
}
