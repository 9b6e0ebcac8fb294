//! basic-auth: a consumer is known by a user name and a password. Passwords are compared by their hashes, in a time that
//! says nothing of how much of them was right.
use std::rc::Rc;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use twinplane_engine::answer::Answer;
use twinplane_engine::credentials::{BASIC, Credential};
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::headers::Headers;
use twinplane_engine::identity;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use crate::base64;

// The first that names a user who is known decides.
const HEADERS: [&str; 2] = ["Proxy-Authorization", "Authorization"];

struct BasicAuth {
    hides_credentials: bool,
    anonymous: Option<Box<str>>,
    challenge: Text,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    Ok(Arc::new(BasicAuth {
        hides_credentials: config.hide_credentials,
        anonymous: config.anonymous,
        challenge: Text::from(format!("Basic realm=\"{}\"", config.realm)),
    }))
}

struct Login {
    username: Vec<u8>,
    password: Vec<u8>,
}

impl Login {
    // `Basic`, or `basic`, and the base64 of `name:password`; what stands behind its padding is not read
    // (vectors/plugins: basic-auth/malformed).
    fn of(headers: &Headers, name: &str) -> Option<Self> {
        let value = headers.get(name)?.trim_ascii_start();
        let rest = value
            .strip_prefix(b"Basic")
            .or_else(|| value.strip_prefix(b"basic"))?;
        let shown = rest.trim_ascii_start().split(|byte| *byte == b'=').next()?;
        let pair = base64::decode(shown)?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        (colon > 0).then(|| Self {
            username: pair[..colon].to_vec(),
            password: pair[colon + 1..].to_vec(),
        })
    }

    // A real node keeps the SHA-1 of the password and the id of the consumer, in hexadecimal digits.
    fn opens(&self, credential: &Credential<Box<str>>) -> bool {
        let mut salted = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        salted.update(&self.password);
        salted.update(credential.consumer.id.as_bytes());
        let shown = HEXLOWER.encode(salted.finish().as_ref());
        shown.as_bytes().ct_eq(credential.proof.as_bytes()).into()
    }
}

impl BasicAuth {
    fn authenticate(&self, x: &mut Exchange) -> bool {
        let snapshot = Rc::clone(&x.snapshot);
        for name in HEADERS {
            let Some(login) = Login::of(&x.request.headers, name) else {
                continue;
            };
            if self.hides_credentials {
                x.request.headers.remove_any_spelling(name);
            }
            if let Some(credential) = snapshot.credentials.basic.get(&*login.username) {
                let is_right = login.opens(credential);
                if is_right {
                    identity::recognise(x, credential, BASIC);
                }
                return is_right;
            }
        }
        false
    }
}

impl BasicAuth {
    // Where nobody asks for a password it is hidden all the same.
    fn hide(&self, x: &mut Exchange) {
        for name in HEADERS.into_iter().filter(|_| self.hides_credentials) {
            if Login::of(&x.request.headers, name).is_some() {
                x.request.headers.remove_any_spelling(name);
            }
        }
    }
}

impl Filter for BasicAuth {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let anonymous = self.anonymous.as_deref();
        if let Some(flow) = identity::open(x, anonymous, true) {
            self.hide(x);
            return flow;
        }
        if self.authenticate(x) {
            return Flow::Continue;
        }
        let refusal = Answer::error(401, "Unauthorized");
        let refusal = refusal.with("WWW-Authenticate", self.challenge.clone());
        identity::refuse(x, anonymous, refusal)
    }
}
