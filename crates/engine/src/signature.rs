//! Public keys and the signatures that they check, by the names of JSON web algorithms. A key is read and judged once,
//! when a configuration is built; one that does not fit its algorithm is never used.
use p521::ecdsa::signature::Verifier;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
const ED25519: &str = "1.3.101.112";

const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;

/// A public key, ready to check signatures of one algorithm.
#[derive(Debug)]
pub struct VerifyingKey(Kind);

#[derive(Debug)]
enum Kind {
    Ring(UnparsedPublicKey<Box<[u8]>>),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

impl VerifyingKey {
    /// Reads a key in PEM for an algorithm such as `RS256`; says what is wrong with it.
    pub fn read(pem: &str, algorithm: &str) -> Result<Self, String> {
        let block = Pem::iter_from_buffer(pem.as_bytes())
            .next()
            .and_then(Result::ok)
            .ok_or("it is no PEM text")?;
        let info;
        let found = match block.label.as_str() {
            "RSA PUBLIC KEY" => Found {
                kind: RSA.to_owned(),
                curve: None,
                rsa_bits: rsa_bits(&block.contents)?,
                key: &block.contents,
            },
            "PUBLIC KEY" => {
                info = SubjectPublicKeyInfo::from_der(&block.contents)
                    .map_err(|_| "it is no public key")?
                    .1;
                Found::of(&info)?
            }
            label => return Err(format!("it holds a {label}, not a PUBLIC KEY")),
        };
        found.key_for(algorithm)
    }

    /// Whether a signature over a message is this key's.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Ring(key) => key.verify(message, signature).is_ok(),
            Kind::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

// What a block of PEM turned out to hold.
struct Found<'a> {
    kind: String,
    curve: Option<String>,
    rsa_bits: usize,
    key: &'a [u8],
}

impl<'a> Found<'a> {
    fn of(info: &'a SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        let key = &*info.subject_public_key.data;
        let kind = info.algorithm.algorithm.to_id_string();
        let rsa_bits = match kind.as_str() {
            RSA | RSA_PSS => rsa_bits(key)?,
            _ => 0,
        };
        Ok(Self {
            kind,
            curve: curve(&info.algorithm),
            rsa_bits,
            key,
        })
    }

    fn key_for(&self, algorithm: &str) -> Result<VerifyingKey, String> {
        let with: &'static dyn VerificationAlgorithm = match algorithm {
            "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
            "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
            "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
            "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
            "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
            "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
            "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
            "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
            "ES512" => {
                self.expect(EC, Some(P521), algorithm)?;
                let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(self.key)
                    .map_err(|_| "its point is not on the curve")?;
                return Ok(VerifyingKey(Kind::P521(Box::new(key))));
            }
            "EdDSA" => &signature::ED25519,
            other => return Err(format!("the algorithm '{other}' is not known")),
        };
        match algorithm {
            "ES256" => self.expect(EC, Some(P256), algorithm)?,
            "ES384" => self.expect(EC, Some(P384), algorithm)?,
            "EdDSA" => self.expect(ED25519, None, algorithm)?,
            _ if self.kind == RSA_PSS && algorithm.starts_with('P') => self.fit()?,
            _ => {
                self.expect(RSA, None, algorithm)?;
                self.fit()?;
            }
        }
        Ok(VerifyingKey(Kind::Ring(UnparsedPublicKey::new(
            with,
            self.key.into(),
        ))))
    }

    fn expect(&self, kind: &str, curve: Option<&str>, algorithm: &str) -> Result<(), String> {
        let is_so = self.kind == kind && (curve.is_none() || self.curve.as_deref() == curve);
        is_so
            .then_some(())
            .ok_or_else(|| format!("it is no key for {algorithm}"))
    }

    fn fit(&self) -> Result<(), String> {
        if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&self.rsa_bits) {
            return Ok(());
        }
        Err(format!(
            "an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, this one {}",
            self.rsa_bits
        ))
    }
}

fn rsa_bits(key: &[u8]) -> Result<usize, &'static str> {
    let (_, key) = RSAPublicKey::from_der(key).map_err(|_| "it is no RSA key")?;
    Ok(PublicKey::RSA(key).key_size())
}

fn curve(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    let parameters = algorithm.parameters.as_ref()?;
    Some(parameters.as_oid().ok()?.to_id_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEL9YkxQjgeHj3nUTkIKejcN+bVvgx\nh485/m1e9uJUjPu6tJf4vk6AC+IqMduCurfZQG5AnByD7EwuEZYj5g7bcA==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_serves_its_own_algorithm_alone() {
        assert!(VerifyingKey::read(P256_KEY, "ES256").is_ok());
        for other in ["RS256", "PS256", "ES384", "ES512", "EdDSA", "HS256", "none"] {
            assert!(VerifyingKey::read(P256_KEY, other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_no_public_key_says_what_it_is() {
        for (text, reason) in [
            ("", "it is no PEM text"),
            ("secret", "it is no PEM text"),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                "it is no public key",
            ),
            (
                "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
                "it is no RSA key",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "it holds a CERTIFICATE, not a PUBLIC KEY",
            ),
        ] {
            assert_eq!(VerifyingKey::read(text, "RS256").unwrap_err(), reason);
        }
    }
}
