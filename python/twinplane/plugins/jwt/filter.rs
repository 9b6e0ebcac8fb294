//! jwt: a consumer is known by a signed token. Which algorithm a token is checked by says the credential, never the token.
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ring::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use twinplane_engine::answer::Answer;
use twinplane_engine::credentials::{JWT, JwtKey, JwtProof};
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::identity;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use super::places::{self, Shown};
use super::token::Token;
use crate::base64;

struct Jwt {
    config: Config,
    key_claim: Box<str>,
    challenge: Text,
    challenge_invalid: Text,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let Some(key_claim) = config.key_claim_name.clone() else {
        return Err(BuildError::Invalid(
            "config.key_claim_name: required".to_owned(),
        ));
    };
    let challenge = match &config.realm {
        Some(realm) => format!("Bearer realm=\"{realm}\""),
        None => "Bearer".to_owned(),
    };
    Ok(Arc::new(Jwt {
        key_claim,
        challenge_invalid: Text::from(format!("{challenge} error=\"invalid_token\"")),
        challenge: Text::from(challenge),
        config,
    }))
}

// Why nobody is let in.
enum Refusal {
    NoToken,
    Invalid(String),
    Claims(BTreeMap<&'static str, &'static str>),
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        Self::Invalid(message.to_owned())
    }
}

impl Jwt {
    fn authenticate(&self, x: &mut Exchange) -> Result<(), Refusal> {
        let text = match places::token(x, &self.config) {
            Shown::Nothing => return Err(Refusal::NoToken),
            Shown::Several => return Err("Multiple tokens provided".into()),
            Shown::One(text) => text,
        };
        let token = Token::read(&text)
            .map_err(|reason| Refusal::Invalid(format!("Bad token; {reason}")))?;
        let key = self.key(&token)?;
        let snapshot = Rc::clone(&x.snapshot);
        let Some(credential) = snapshot.credentials.jwt.get(key.as_bytes()) else {
            let message = format!("No credentials found for given '{}'", self.key_claim);
            return Err(Refusal::Invalid(message));
        };
        if *token.algorithm != *credential.proof.algorithm {
            return Err("Invalid algorithm".into());
        }
        self.check_signature(&token, &credential.proof)?;
        self.check_claims(&token.claims, x.wall_us / 1_000_000)
            .map_err(Refusal::Claims)?;
        identity::recognise(x, credential, JWT);
        Ok(())
    }

    // The claim that names the credential may stand in the token's header too.
    fn key<'a>(&self, token: &'a Token) -> Result<&'a str, Refusal> {
        let is_there = |value: &&Value| !matches!(value, Value::Null | Value::Bool(false));
        let named =
            |members: &'a Map<String, Value>| members.get(&*self.key_claim).filter(is_there);
        match named(&token.claims).or_else(|| named(&token.header)) {
            Some(Value::String(key)) if !key.is_empty() => Ok(key),
            Some(_) => Err(Refusal::Invalid(format!(
                "Invalid '{}' in claims",
                self.key_claim
            ))),
            None => Err(Refusal::Invalid(format!(
                "No mandatory '{}' in claims",
                self.key_claim
            ))),
        }
    }

    fn check_signature(&self, token: &Token, proof: &JwtProof) -> Result<(), Refusal> {
        let is_signed = match &proof.key {
            None => return Err("Invalid key/secret".into()),
            Some(JwtKey::Public(key)) => key.verifies(token.signed.as_bytes(), &token.signature),
            Some(JwtKey::Secret(secret)) => {
                let algorithm = match &*proof.algorithm {
                    "HS256" => HMAC_SHA256,
                    "HS384" => HMAC_SHA384,
                    _ => HMAC_SHA512,
                };
                let decoded;
                let secret: &[u8] = if self.config.secret_is_base64 {
                    // One that says nothing, such as padding alone, would let everybody sign.
                    decoded =
                        base64::decode_url(&url_alphabet(secret)).filter(|key| !key.is_empty());
                    decoded.as_deref().ok_or("Invalid key/secret")?
                } else {
                    secret
                };
                let key = hmac::Key::new(algorithm, secret);
                hmac::verify(&key, token.signed.as_bytes(), &token.signature).is_ok()
            }
        };
        is_signed.then_some(()).ok_or("Invalid signature".into())
    }

    // All that is wrong at once, as a real node tells it.
    #[expect(clippy::cast_precision_loss, reason = "seconds of this era")]
    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        now_s: u64,
    ) -> Result<(), BTreeMap<&'static str, &'static str>> {
        let now_s = now_s as f64;
        let number = |name: &str| claims.get(name).and_then(Value::as_f64);
        let mut wrong = BTreeMap::new();
        for claim in self.config.claims_to_verify.iter().flatten() {
            let (name, fault) = match (&**claim, number(claim)) {
                ("exp", Some(exp)) => ("exp", (exp <= now_s).then_some("token expired")),
                ("exp", None) => ("exp", Some("must be a number")),
                (_, Some(nbf)) => ("nbf", (nbf > now_s).then_some("token not valid yet")),
                (_, None) => ("nbf", Some("must be a number")),
            };
            wrong.extend(fault.map(|fault| (name, fault)));
        }
        let longest_s = self
            .config
            .maximum_expiration
            .filter(|longest| *longest > 0.0);
        if let (true, Some(longest_s)) = (wrong.is_empty(), longest_s)
            && number("exp").is_none_or(|exp| exp - now_s > longest_s)
        {
            wrong.insert("exp", "exceeds maximum allowed expiration");
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn refusal(&self, refusal: &Refusal) -> Box<Answer> {
        let (answer, challenge) = match refusal {
            Refusal::NoToken => (Answer::message(401, "Unauthorized"), &self.challenge),
            Refusal::Invalid(message) => (Answer::message(401, message), &self.challenge_invalid),
            Refusal::Claims(wrong) => {
                let wrong = serde_json::to_vec(wrong).unwrap_or_default();
                (Answer::json(401, wrong), &self.challenge_invalid)
            }
        };
        answer.with("WWW-Authenticate", challenge.clone())
    }
}

// Secrets come in either alphabet.
fn url_alphabet(text: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    text.iter().map(one).collect()
}

impl Filter for Jwt {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let anonymous = self.config.anonymous.as_deref();
        if let Some(flow) = identity::open(x, anonymous, self.config.run_on_preflight) {
            return flow;
        }
        match self.authenticate(x) {
            Ok(()) => Flow::Continue,
            Err(refusal) => identity::refuse(x, anonymous, self.refusal(&refusal)),
        }
    }
}
