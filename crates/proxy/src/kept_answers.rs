//! The answers that proxy-cache keeps, as people look at them and forget them. Nothing here is on the request path.
use serde::Deserialize;
use serde_json::{Map, Value, json};
use twinplane_engine::response_cache::{Kept, ResponseCache};

use crate::clock::Clock;

/// What is wanted of the cache.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Wanted {
    /// Everything is to go.
    Clear,
    /// What is kept under a key, as clients are shown it.
    Find(Box<str>),
    /// What is kept under it is to go.
    Forget(Box<str>),
}

/// Does what is wanted: an answer that was found, or how many went.
pub(crate) fn answer(cache: &ResponseCache, clock: Clock, wanted: &Wanted) -> Value {
    match wanted {
        Wanted::Clear => cache.clear().into(),
        Wanted::Forget(key) => cache.forget_shown(key).into(),
        Wanted::Find(key) => cache
            .find_shown(key, clock.now_us())
            .map_or(Value::Null, |kept| told(&kept, clock)),
    }
}

fn told(kept: &Kept, clock: Clock) -> Value {
    let mut headers = Map::new();
    for (name, value) in kept.headers.iter() {
        let name = String::from_utf8_lossy(name).into_owned();
        let value = Value::from(String::from_utf8_lossy(value));
        match headers.get_mut(&name) {
            None => {
                headers.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(before) => *before = json!([before.take(), value]),
        }
    }
    let age_us = clock.now_us().saturating_sub(kept.kept_us);
    json!({
        "status": kept.status,
        "headers": headers,
        "body": String::from_utf8_lossy(&kept.body),
        "body_len": kept.body.len(),
        "timestamp": clock.wall_us().saturating_sub(age_us) / 1_000_000,
        "ttl": kept.fresh_s,
    })
}
