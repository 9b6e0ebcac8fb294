//! Credentials by what a request shows. One that names a consumer who is not there refuses the configuration; a public key
//! that cannot be used puts its credential alone out of service.
use std::sync::Arc;

use twinplane_model::{ConfigTable, Id, JwtSecret};

use super::dangling;
use crate::credentials::{BASIC, ByName, Credential, Credentials, HMAC, JWT, JwtKey, JwtProof};
use crate::signature::VerifyingKey;
use crate::snapshot::{Consumers, Fault, Issue};
use crate::text::Text;

/// Indexes all of them.
pub(super) fn build(
    table: &ConfigTable,
    consumers: &Consumers,
    issues: &mut Vec<Issue>,
    faults: &mut Vec<Fault>,
) -> Credentials {
    let mut credentials = Credentials::default();
    let mut place = Place { consumers, faults };
    for row in &table.basicauth_credentials {
        let (name, proof) = (Some(&*row.username), Ok(row.password.clone()));
        place.credential(
            &mut credentials.basic,
            BASIC,
            (&row.id, &row.consumer),
            name,
            proof,
        );
    }
    for row in &table.hmacauth_credentials {
        let secret = row.secret.as_ref().ok_or("secret");
        let (name, proof) = (
            Some(&*row.username),
            secret.map(|secret| secret.as_bytes().into()),
        );
        place.credential(
            &mut credentials.hmac,
            HMAC,
            (&row.id, &row.consumer),
            name,
            proof,
        );
    }
    for row in &table.jwt_secrets {
        let (name, proof) = (row.key.as_deref(), Ok(jwt_proof(row, issues)));
        place.credential(
            &mut credentials.jwt,
            JWT,
            (&row.id, &row.consumer),
            name,
            proof,
        );
    }
    credentials
}

struct Place<'a> {
    consumers: &'a Consumers,
    faults: &'a mut Vec<Fault>,
}

impl Place<'_> {
    // What is missing refuses the configuration: a node would let nobody in by it.
    fn credential<P>(
        &mut self,
        index: &mut ByName<P>,
        collection: &'static str,
        (id, owner): (&Id, &Id),
        name: Option<&str>,
        proof: Result<P, &str>,
    ) {
        let Some(consumer) = self.consumers.by_id.get(owner) else {
            self.faults
                .push(dangling(collection, id, "consumer", owner));
            return;
        };
        let (name, proof) = match (name.ok_or("key"), proof) {
            (Ok(name), Ok(proof)) => (name, proof),
            (Err(field), _) | (_, Err(field)) => {
                self.faults.push(Fault {
                    entity: collection,
                    id: Arc::clone(id),
                    message: format!("{field}: required"),
                });
                return;
            }
        };
        let credential = Credential {
            id: Arc::clone(id),
            identifier: Text::copy_from(name.as_bytes()),
            consumer: Arc::clone(consumer),
            proof,
        };
        index.insert(name.as_bytes().into(), credential);
    }
}

fn jwt_proof(row: &JwtSecret, issues: &mut Vec<Issue>) -> JwtProof {
    let algorithm = row.algorithm.as_deref().unwrap_or_default();
    let key = if algorithm.starts_with("HS") {
        let secret = row.secret.as_ref();
        secret.map(|secret| JwtKey::Secret(secret.as_bytes().into()))
    } else {
        match row
            .rsa_public_key
            .as_deref()
            .map(|pem| VerifyingKey::read(pem, algorithm))
        {
            Some(Ok(key)) => Some(JwtKey::Public(key)),
            Some(Err(reason)) => {
                issues.push(unusable(row, &reason));
                None
            }
            None => None,
        }
    };
    JwtProof {
        algorithm: algorithm.into(),
        key,
    }
}

fn unusable(row: &JwtSecret, reason: &str) -> Issue {
    Issue {
        plugin_id: Arc::clone(&row.id),
        plugin: "jwt".to_owned(),
        code: "credential_unusable",
        message: format!(
            "{JWT} {}: rsa_public_key: {reason}; tokens of this credential are refused",
            row.id
        ),
    }
}
