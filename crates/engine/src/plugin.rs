//! What the engine knows of plugins before a configuration names them: the table of all bundled ones, and how one
//! configured plugin becomes a filter.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_model::{ConfigTable, Id, Plugin};

use crate::answer::Answer;
use crate::chain::Ordering;
use crate::exchange::Exchange;
use crate::filter::{Filter, Flow, Phases};
use crate::router::Expression;
use crate::snapshot::NodeState;
use crate::stream::is_stream;

/// Makes a filter of a plugin's `config`.
pub type BuildFilter = fn(&RawValue, &BuildContext<'_>) -> Result<Arc<dyn Filter>, BuildError>;

/// Why a plugin's `config` makes no filter; each a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// It is not a configuration of this plugin: the whole payload is refused.
    Invalid(String),
    /// It asks for what this node cannot do: the plugin is reported and its routes are refused, unless it only observes.
    Unavailable(String),
}

impl From<serde_json::Error> for BuildError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(format!("config: {error}"))
    }
}

/// One bundled plugin.
#[derive(Clone, Copy, Debug)]
pub struct PluginSpec {
    /// Its name, such as `key-auth`.
    pub name: &'static str,
    /// Higher runs earlier.
    pub priority: i32,
    /// The version this node reports.
    pub version: &'static str,
    /// Whether a route may be served without it: it neither refuses nor changes anything.
    pub observes_only: bool,
    /// How to build it; none: declared only.
    pub build: Option<BuildFilter>,
}

/// All bundled plugins.
pub type PluginTable = [PluginSpec];

/// What a plugin may look at while it is built.
#[derive(Clone, Copy)]
pub struct BuildContext<'a> {
    /// The plugin's own row.
    pub plugin: &'a Plugin,
    /// The whole configuration.
    pub table: &'a ConfigTable,
    /// What outlives configurations.
    pub node: &'a Arc<NodeState>,
}

/// A configured plugin.
pub struct PluginInstance {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: &'static str,
    /// Its behaviour.
    pub filter: Arc<dyn Filter>,
    /// The phases it acts in.
    pub phases: Phases,
    /// Place of its name among all plugins: by priority, highest first. Starts at 1.
    pub order: u16,
    /// Whom it runs before and after in the access phase, whatever its place.
    pub ordering: Option<Box<Ordering>>,
    /// What a request has to satisfy for it to take part.
    pub condition: Option<Box<Expression>>,
    /// What kinds of traffic its protocols are of.
    pub acts_on: ActsOn,
}

impl std::fmt::Debug for PluginInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.name, self.id)
    }
}

/// The kinds of traffic that a plugin takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActsOn {
    /// Requests.
    pub requests: bool,
    /// Streams.
    pub streams: bool,
}

impl ActsOn {
    /// Of the protocols of a plugin: any one of a kind is enough for all of that kind, as on a real node. Without any, it
    /// acts on requests.
    pub fn of(protocols: &[Box<str>]) -> Self {
        let streams = protocols.iter().filter(|name| is_stream(name)).count();
        Self {
            requests: protocols.is_empty() || streams < protocols.len(),
            streams: streams > 0,
        }
    }
}

/// Stands in for a plugin that this node cannot run: its routes are refused rather than served unprotected.
pub(crate) struct Unavailable;

impl Filter for Unavailable {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::PREREAD)
    }

    fn preread(&self, x: &mut Exchange) -> Flow {
        self.access(x)
    }

    fn access(&self, _x: &mut Exchange) -> Flow {
        Flow::Answer(Answer::error(
            503,
            "A plugin of this route is not available on this node",
        ))
    }
}
