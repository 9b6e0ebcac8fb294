//! key-auth: a consumer is known by a key in a header, in the query or in the body. The key is looked up by a keyed
//! hash of the snapshot; what a client claims to be is deleted whatever the outcome.
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{CredentialRef, Exchange};
use twinplane_engine::filter::{Filter, Flow, Outcome, Phase, Phases};
use twinplane_engine::identity;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::snapshot::KeyauthEntry;
use twinplane_engine::text::Text;

use super::config::Config;
use crate::arguments::{Arguments, Found, Style};
use crate::body::{self, Kind, Multipart};

const CREDENTIALS: &str = "keyauth_credentials";

struct KeyAuth {
    config: Config,
    challenge: Text,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let challenge = match &config.realm {
        Some(realm) => Text::from(format!("Key realm=\"{realm}\"")),
        None => Text::from_static("Key"),
    };
    Ok(Arc::new(KeyAuth { config, challenge }))
}

/// A body in which a key may stand.
enum Fields {
    None,
    Form(Arguments),
    Json(Map<String, Value>),
    Multipart(Multipart, Vec<u8>),
}

impl Fields {
    fn of(x: &Exchange) -> Self {
        let (Some(kind), Some(bytes)) = (Kind::of(x), body::current(x)) else {
            return Self::None;
        };
        match kind {
            Kind::Form => Self::Form(Arguments::parse(bytes)),
            Kind::Json => body::json_object(bytes).map_or(Self::None, Self::Json),
            Kind::Multipart(boundary) => {
                Self::Multipart(Multipart::parse(bytes, &boundary), boundary)
            }
        }
    }

    fn find(&self, name: &str) -> Found<'_> {
        match self {
            Self::None => Found::Nothing,
            Self::Form(form) => form.find(name.as_bytes()),
            Self::Json(object) => match object.get(name) {
                Some(Value::String(value)) => Found::One(value.as_bytes()),
                Some(Value::Array(_) | Value::Object(_)) => Found::Many,
                _ => Found::Nothing,
            },
            Self::Multipart(parts, _) => match parts.find(name.as_bytes()) {
                Some(value) => Found::One(value),
                None => Found::Nothing,
            },
        }
    }

    // The body without the key, if it held one.
    fn without(mut self, name: &str) -> Option<Vec<u8>> {
        match &mut self {
            Self::None => None,
            Self::Form(form) => form
                .remove(name.as_bytes())
                .then(|| form.write(Style::Form)),
            Self::Json(object) => object.shift_remove(name).map(|_| {
                let mut out = Vec::new();
                body::write_json_object(object, &mut out);
                out
            }),
            Self::Multipart(parts, boundary) => {
                parts.remove(name.as_bytes()).then(|| parts.write(boundary))
            }
        }
    }
}

impl KeyAuth {
    // Header, query and body under each name in turn; the first text found is the key, even an empty one.
    fn key(&self, x: &mut Exchange) -> Result<Vec<u8>, &'static str> {
        let parsed = OnceCell::new();
        let query = || parsed.get_or_init(|| query(x));
        let fields = if self.config.key_in_body {
            Fields::of(x)
        } else {
            Fields::None
        };
        for name in &self.config.key_names {
            let mut found = Found::Nothing;
            if self.config.key_in_header {
                found = in_headers(x, name);
            }
            if found == Found::Nothing && self.config.key_in_query {
                found = query().find(name.as_bytes());
            }
            if found == Found::Nothing {
                found = fields.find(name);
            }
            match found {
                Found::Nothing => {}
                Found::Many => {
                    if self.config.hide_credentials {
                        let query = parsed.into_inner().unwrap_or_else(|| self::query(x));
                        hide(x, name, query, fields);
                    }
                    return Err("Duplicate API key found");
                }
                Found::One(b"") => break,
                Found::One(key) => {
                    let key = key.to_vec();
                    if self.config.hide_credentials {
                        let query = parsed.into_inner().unwrap_or_else(|| self::query(x));
                        hide(x, name, query, fields);
                    }
                    return Ok(key);
                }
            }
        }
        Err("No API key found in request")
    }

    fn authenticate(&self, x: &mut Exchange) -> Result<(), &'static str> {
        let key = self.key(x)?;
        let snapshot = Rc::clone(&x.snapshot);
        let entry = snapshot.keyauth.get(&*key);
        let is_valid = |entry: &&KeyauthEntry| {
            entry
                .expires_at
                .is_none_or(|second| x.wall_us / 1_000_000 < second)
        };
        let entry = entry.filter(is_valid).ok_or("Unauthorized")?;
        let credential = CredentialRef {
            id: Arc::clone(&entry.id),
            kind: CREDENTIALS,
        };
        identity::authenticate(x, &entry.consumer, credential, entry.identifier.clone());
        Ok(())
    }

    fn open(&self, x: &mut Exchange) -> Option<Flow> {
        let anonymous = self.config.anonymous.as_deref();
        identity::open(x, anonymous, self.config.run_on_preflight)
    }

    fn decide(&self, x: &mut Exchange) -> Flow {
        if let Some(flow) = self.open(x) {
            // Nobody asks for the key here; it is hidden all the same.
            let _shown = self.key(x);
            return flow;
        }
        let Err(message) = self.authenticate(x) else {
            return Flow::Continue;
        };
        let refusal = Answer::error(401, message).with("WWW-Authenticate", self.challenge.clone());
        identity::refuse(x, self.config.anonymous.as_deref(), refusal)
    }
}

fn query(x: &Exchange) -> Arguments {
    let query = x.request.query.as_ref();
    Arguments::parse(query.map_or(&b""[..], Text::as_bytes))
}

fn in_headers<'a>(x: &'a Exchange, name: &str) -> Found<'a> {
    let one = |name: &str| {
        let mut values = x.request.headers.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Found::Nothing,
            (Some(value), None) => Found::One(value),
            _ => Found::Many,
        }
    };
    match one(name) {
        // A name with an underscore also stands for the header with hyphens.
        Found::Nothing if name.contains('_') => one(&name.replace('_', "-")),
        found => found,
    }
}

// The key goes from everywhere: from what goes upstream and from what logs show.
fn hide(x: &mut Exchange, name: &str, mut query: Arguments, fields: Fields) {
    x.request.headers.remove_any_spelling(name);
    if x.request.query.is_some() {
        query.remove(name.as_bytes());
        let query = Text::from(query.write(Style::Form));
        x.request.query = Some(query.clone());
        x.upstream.query = Some(Some(query));
    }
    if let Some(body) = fields.without(name) {
        x.upstream.body = Some(Bytes::from(body));
    }
}

impl Filter for KeyAuth {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let open = self.open(x);
        let hides = self.config.hide_credentials && matches!(open, Some(Flow::Continue));
        if let Some(flow) = open.filter(|_| !hides) {
            return flow;
        }
        let looks_into_body = self.config.key_in_body && Kind::of(x).is_some();
        if let Some(wait) = body::wanted(x).filter(|_| looks_into_body) {
            return wait;
        }
        self.decide(x)
    }

    // A body that is too large shows no key: header and query alone decide.
    fn resume(&self, _: Phase, x: &mut Exchange, _: Outcome) -> Flow {
        self.decide(x)
    }
}
