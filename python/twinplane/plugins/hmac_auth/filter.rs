//! hmac-auth: a consumer is known by a signature over parts of the request, made with a secret that is never sent. The
//! date that is signed bounds how long a signature can be used again.
use std::rc::Rc;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use data_encoding::BASE64;
use ring::digest::{self, SHA256};
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::credentials::HMAC;
use twinplane_engine::exchange::{Exchange, Framing};
use twinplane_engine::filter::{Filter, Flow, Outcome, Phase, Phases};
use twinplane_engine::identity;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use super::signed::{self, Signed};
use crate::body;

const HEADERS: [&str; 2] = ["Proxy-Authorization", "Authorization"];
const DATES: [&str; 2] = ["X-Date", "Date"];
const NOT_VERIFIED: &str = "HMAC signature cannot be verified";
const NO_MATCH: &str = "HMAC signature does not match";
const NO_DATE: &str = "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication";

struct HmacAuth {
    hides_credentials: bool,
    anonymous: Option<Box<str>>,
    checks_body: bool,
    skew_max_s: f64,
    enforced: Vec<Box<str>>,
    algorithms: Vec<Box<str>>,
    challenge: Text,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let required = |field| BuildError::Invalid(format!("config.{field}: required"));
    Ok(Arc::new(HmacAuth {
        hides_credentials: config.hide_credentials,
        anonymous: config.anonymous,
        checks_body: config.validate_request_body,
        skew_max_s: config.clock_skew.ok_or_else(|| required("clock_skew"))?,
        enforced: config.enforce_headers.unwrap_or_default(),
        algorithms: config.algorithms.ok_or_else(|| required("algorithms"))?,
        challenge: match config.realm {
            Some(realm) => Text::from(format!("hmac realm=\"{realm}\"")),
            None => Text::from_static("hmac"),
        },
    }))
}

impl HmacAuth {
    fn authenticate(&self, x: &mut Exchange) -> Result<(), &'static str> {
        if !HEADERS.iter().any(|name| x.request.headers.contains(name)) {
            return Err("Unauthorized");
        }
        if !DATES.iter().any(|name| self.is_recent(x, name)) {
            return Err(NO_DATE);
        }
        let (name, signed) = shown(x).ok_or(NOT_VERIFIED)?;
        if !self.takes(&signed) || signed.is_ambiguous(x) {
            return Err(NOT_VERIFIED);
        }
        // Where a date is signed it bounds the signature: another one beside it would make an old request new.
        let mut dates = DATES.iter().filter(|name| signed.lists(name)).peekable();
        if dates.peek().is_some() && !dates.any(|name| self.is_recent(x, name)) {
            return Err(NO_DATE);
        }
        let snapshot = Rc::clone(&x.snapshot);
        let credential = snapshot.credentials.hmac.get(signed.username.as_bytes());
        let credential = credential.ok_or(NOT_VERIFIED)?;
        if !signed.is_by(&credential.proof, &signed::text(x, &signed.headers))
            || (self.checks_body && !is_body_as_told(x))
        {
            return Err(NO_MATCH);
        }
        if self.hides_credentials {
            x.request.headers.remove_any_spelling(name);
        }
        identity::recognise(x, credential, HMAC);
        Ok(())
    }

    fn takes(&self, signed: &Signed) -> bool {
        self.enforced.iter().all(|wanted| signed.lists(wanted))
            && self.algorithms.iter().any(|one| **one == *signed.algorithm)
    }

    fn is_recent(&self, x: &Exchange, name: &str) -> bool {
        let date = x.request.headers.get_str(name);
        let date = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era")]
        let now_s = (x.wall_us / 1_000_000) as f64;
        since.is_some_and(|since| (now_s - since.as_secs_f64()).abs() <= self.skew_max_s)
    }

    fn decide(&self, x: &mut Exchange) -> Flow {
        let Err(message) = self.authenticate(x) else {
            return Flow::Continue;
        };
        let refusal = Answer::error(401, message);
        let refusal = refusal.with("WWW-Authenticate", self.challenge.clone());
        identity::refuse(x, self.anonymous.as_deref(), refusal)
    }
}

// The first header that holds a signature, and the signature.
fn shown(x: &Exchange) -> Option<(&'static str, Signed)> {
    let mut names = HEADERS.into_iter();
    names.find_map(|name| Some((name, Signed::read(x.request.headers.get_str(name)?)?)))
}

// The digest speaks of the body as it came. A request without body needs none; one whose body is too long to be held fails.
fn is_body_as_told(x: &Exchange) -> bool {
    let body = match (&x.request.buffered, x.request.body) {
        (Some(body), _) if x.request.is_buffered_whole => &body[..],
        (None, Framing::None | Framing::Length(0)) => b"",
        _ => return false,
    };
    match x.request.headers.get("Digest") {
        None => body.is_empty(),
        Some(told) => {
            let digest = BASE64.encode(digest::digest(&SHA256, body).as_ref());
            told.strip_prefix(b"SHA-256=") == Some(digest.as_bytes())
        }
    }
}

impl Filter for HmacAuth {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        if let Some(flow) = identity::open(x, self.anonymous.as_deref(), true) {
            // Nobody asks for the signature here; it is hidden all the same.
            if let Some((name, _)) = shown(x).filter(|_| self.hides_credentials) {
                x.request.headers.remove_any_spelling(name);
            }
            return flow;
        }
        if let Some(wait) = body::wanted(x).filter(|_| self.checks_body) {
            return wait;
        }
        self.decide(x)
    }

    fn resume(&self, _: Phase, x: &mut Exchange, _: Outcome) -> Flow {
        self.decide(x)
    }
}
