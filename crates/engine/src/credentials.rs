//! Credentials that plugins look up by what a request shows: whose they are and what proves them.
use std::sync::Arc;

use twinplane_model::Id;

use crate::signature::VerifyingKey;
use crate::snapshot::{ConsumerEntry, Index};
use crate::text::Text;

/// A credential; `P` is what proves it.
#[derive(Debug)]
pub struct Credential<P> {
    /// Its id.
    pub id: Id,
    /// What it is known by, ready as `X-Credential-Identifier`.
    pub identifier: Text,
    /// Whose it is.
    pub consumer: Arc<ConsumerEntry>,
    /// What proves it.
    pub proof: P,
}

/// Credentials by name.
pub type ByName<P> = Index<Box<[u8]>, Credential<P>>;

/// Collection of basic-auth credentials.
pub const BASIC: &str = "basicauth_credentials";
/// Collection of hmac-auth credentials.
pub const HMAC: &str = "hmacauth_credentials";
/// Collection of jwt credentials.
pub const JWT: &str = "jwt_secrets";

/// All credentials but the keys of key-auth.
#[derive(Debug, Default)]
pub struct Credentials {
    /// basic-auth by username: hash of the password.
    pub basic: ByName<Box<str>>,
    /// hmac-auth by username: the secret.
    pub hmac: ByName<Box<[u8]>>,
    /// jwt by key.
    pub jwt: ByName<JwtProof>,
}

/// What a token of a jwt credential is checked with.
#[derive(Debug)]
pub struct JwtProof {
    /// Name of the one algorithm that its tokens may name.
    pub algorithm: Box<str>,
    /// The key; none where the credential has none that is of use.
    pub key: Option<JwtKey>,
}

/// The key of a jwt credential.
#[derive(Debug)]
pub enum JwtKey {
    /// For HS256, HS384 and HS512; the plugin says whether it is base64.
    Secret(Box<[u8]>),
    /// For all others.
    Public(VerifyingKey),
}
