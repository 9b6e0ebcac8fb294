//! Where plugins that limit requests count them: on the node, or in a Redis that several nodes share.
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Effect, Flow};
use twinplane_engine::limiter::shared::{Counting, SharedWindow};
use twinplane_engine::limiter::store::{CounterStore, StorePlace, StoreTls};
use twinplane_engine::limiter::tally::Tally;
use twinplane_engine::limiter::{Key, Moment};
use twinplane_engine::plugin::{BuildContext, BuildError};

// What no time-out at all comes to.
const TIMEOUT_MS: u64 = 60_000;

/// Counting in a store that nodes share.
pub(crate) struct SharedCounts {
    store: Arc<CounterStore>,
    /// Whether requests pass while the store cannot be asked.
    pub(crate) is_tolerant: bool,
    /// Where requests are counted here and told to the store from time to time.
    pub(crate) tally: Option<Arc<Tally>>,
}

/// What is said of it in the configuration of each such plugin.
#[derive(Deserialize)]
struct Config {
    policy: Option<Box<str>>,
    fault_tolerant: bool,
    redis: Redis,
    #[serde(default)]
    sync_rate: Option<f64>,
}

#[derive(Deserialize)]
struct Redis {
    host: Option<Box<str>>,
    port: Option<u16>,
    timeout: Option<u64>,
    username: Option<Box<str>>,
    password: Option<Box<str>>,
    database: Option<i64>,
    ssl: Option<bool>,
    ssl_verify: Option<bool>,
    server_name: Option<Box<str>>,
}

impl SharedCounts {
    /// Reads a configuration; none where it has requests counted on the node.
    pub(crate) fn build(
        config: &RawValue,
        context: &BuildContext<'_>,
    ) -> Result<Option<Self>, BuildError> {
        let config: Config = serde_json::from_str(config.get())?;
        match config.policy.as_deref() {
            None | Some("local") => return Ok(None),
            Some("redis") => {}
            Some(other) => {
                let reason = format!("its policy '{other}' is not available here");
                return Err(BuildError::Unavailable(reason));
            }
        }
        let stores = &context.node.counter_stores;
        let store = stores.at(config.redis.place()?);
        let sync_s = config.sync_rate.filter(|seconds| *seconds > 0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "more than nothing; casts of floats saturate"
        )]
        let tally = sync_s.map(|seconds| {
            let every_us = (seconds * 1e6) as u64;
            stores.tally(&store, every_us, &context.node.limiter)
        });
        Ok(Some(Self {
            store,
            is_tolerant: config.fault_tolerant,
            tally,
        }))
    }

    /// To be counted in the store.
    pub(crate) fn counting(&self, windows: Vec<SharedWindow>) -> Counting {
        Counting {
            store: Arc::clone(&self.store),
            windows,
        }
    }

    /// The same, waited for.
    pub(crate) fn ask(&self, windows: Vec<SharedWindow>) -> Flow {
        Flow::Wait(Effect::Count(Box::new(self.counting(windows))))
    }

    /// What becomes of a request that could not be counted.
    pub(crate) fn without(&self) -> Flow {
        if self.is_tolerant {
            Flow::Continue
        } else {
            Flow::Answer(Answer::unexpected())
        }
    }
}

impl Redis {
    fn place(self) -> Result<StorePlace, BuildError> {
        let host = self.host.filter(|host| !host.is_empty());
        let is_secure = self.ssl == Some(true);
        Ok(StorePlace {
            host: host
                .ok_or_else(|| BuildError::Invalid("config: redis.host is required".to_owned()))?,
            port: self.port.unwrap_or(6379),
            timeout_ms: self
                .timeout
                .filter(|timeout| *timeout > 0)
                .unwrap_or(TIMEOUT_MS),
            username: self.username.filter(|name| !name.is_empty()),
            password: self.password.filter(|password| !password.is_empty()),
            database: self.database.unwrap_or(0),
            tls: is_secure.then(|| StoreTls {
                is_verified: self.ssl_verify == Some(true),
                server_name: self.server_name,
            }),
        })
    }
}

/// The key of a caller: of this node alone, or the same on all of them.
pub(crate) fn key(shared: Option<&SharedCounts>, x: &Exchange, parts: &[&[u8]]) -> Key {
    match shared {
        Some(_) => Key::shared(parts),
        None => x.node.limiter.key(parts),
    }
}

/// The time of a request.
pub(crate) fn moment(x: &Exchange) -> Moment {
    Moment {
        now_us: x.now_us,
        wall_us: x.wall_us,
    }
}
