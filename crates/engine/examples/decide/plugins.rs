//! Questions about the plugins of a request. Each configured plugin is a filter that notes that it ran; some find the
//! consumer, some answer.
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use twinplane_engine::answer::Answer;
use twinplane_engine::build::{BuildInput, build};
use twinplane_engine::chain;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError, PluginSpec};
use twinplane_engine::router::Rules;
use twinplane_engine::snapshot::NodeState;
use twinplane_model::{ConfigTable, Id};

#[derive(Deserialize)]
pub(crate) struct Plugins {
    /// Name and priority of every bundled plugin.
    bundled: Vec<(String, i32)>,
    /// The configuration as text: raw parts of it cannot be read from a tree.
    table: String,
    /// Id of the route of the request; none: no route matched.
    route: Option<String>,
}

/// `config` of a plugin of these questions.
#[derive(Deserialize)]
struct Config {
    /// Id of the consumer that it finds.
    finds: Option<String>,
    /// Whether it answers.
    answers: bool,
}

struct Noting {
    id: Id,
    config: Config,
}

impl Filter for Noting {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::HEADER_FILTER)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        x.request.headers.append("ran", self.id.to_string());
        if let Some(finds) = &self.config.finds {
            let consumer = x.snapshot.consumers.by_id.get(finds.as_str());
            x.consumer = consumer.map(Arc::clone);
        }
        if self.config.answers {
            return Flow::Answer(Answer::empty(200));
        }
        Flow::Continue
    }

    fn header_filter(&self, x: &mut Exchange) {
        x.response.headers.append("filtered", self.id.to_string());
    }
}

fn noting(config: &RawValue, context: &BuildContext<'_>) -> Result<Arc<dyn Filter>, BuildError> {
    Ok(Arc::new(Noting {
        id: Arc::clone(&context.plugin.id),
        config: serde_json::from_str(config.get())?,
    }))
}

impl Plugins {
    pub(crate) fn answer(self) -> Result<Value, Box<dyn std::error::Error>> {
        let specs = self.bundled.into_iter().map(|(name, priority)| PluginSpec {
            // A table of plugins lives as long as the program.
            name: name.leak(),
            priority,
            version: "1.0.0",
            observes_only: false,
            build: Some(noting),
        });
        let specs: Vec<PluginSpec> = specs.collect();
        let table: ConfigTable = serde_json::from_str(&self.table)?;
        let node = Arc::new(NodeState::default());
        let input = BuildInput {
            plugins: &specs,
            node: &node,
            rules: Rules::default(),
            previous: None,
            is_edge: false,
        };
        let snapshot = match build(table, input) {
            Ok(snapshot) => snapshot,
            Err(faults) => {
                let told = faults.iter().map(|fault| json!([fault.id, fault.message]));
                return Ok(json!({"refused": told.collect::<Vec<_>>()}));
            }
        };
        let mut x = Exchange::new(Rc::new(Arc::new(snapshot)), Rc::new(node));
        let mut routes = x.snapshot.routes.iter();
        let at = routes.position(|route| Some(&*route.model.id) == self.route.as_deref());
        x.route = at.and_then(|at| u32::try_from(at).ok());
        x.service = x.route().and_then(|route| route.service);
        // Without a route no plugin has a say before the answer, but global ones see it.
        let _ = if x.route.is_some() {
            chain::access(&mut x, None)
        } else {
            chain::rewrite(&mut x, None)
        };
        chain::header_filter(&mut x, None);
        let noted = |name, headers: &twinplane_engine::headers::Headers| -> Vec<String> {
            let ids = headers.get_all(name);
            ids.map(|id| String::from_utf8_lossy(id).into_owned())
                .collect()
        };
        Ok(json!({
            "ran": noted("ran", &x.request.headers),
            "filtered": noted("filtered", &x.response.headers),
        }))
    }
}
