use std::rc::Rc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::filter::Filter;
use crate::plugin::{ActsOn, PluginInstance};
use crate::snapshot::{ConsumerEntry, NodeState};

type Trace = Arc<Mutex<Vec<String>>>;

/// Notes each call; what it does in `access` is given.
struct Noting {
    name: &'static str,
    trace: Trace,
    access: fn(&mut Exchange) -> Flow,
}

impl Noting {
    fn note(&self, phase: &str) {
        self.trace
            .lock()
            .unwrap()
            .push(format!("{}.{phase}", self.name));
    }
}

impl Filter for Noting {
    fn phases(&self) -> Phases {
        Phases::REWRITE
            .and(Phases::ACCESS)
            .and(Phases::HEADER_FILTER)
            .and(Phases::LOG)
    }

    fn rewrite(&self, _x: &mut Exchange) -> Flow {
        self.note("rewrite");
        Flow::Continue
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        self.note("access");
        (self.access)(x)
    }

    fn resume(&self, _phase: Phase, _x: &mut Exchange, outcome: Outcome) -> Flow {
        self.note(&format!("resume({outcome:?})"));
        Flow::Continue
    }

    fn header_filter(&self, _x: &mut Exchange) {
        self.note("header");
    }

    fn log(&self, _x: &Exchange, _sink: &mut dyn LogSink) {
        self.note("log");
    }
}

struct NoSink;

impl LogSink for NoSink {
    fn entry(&mut self, _plugin_id: &twinplane_model::Id, _plugin: &'static str, _entry: Bytes) {}
    fn count_shared(&mut self, _counting: crate::limiter::shared::Counting) {}
    fn count(&mut self, _name: &'static str, _labels: &[(&'static str, &str)], _by: u64) {}
    fn observe(
        &mut self,
        _name: &'static str,
        _labels: &[(&'static str, &str)],
        _value: f64,
        _buckets: &'static [f64],
    ) {
    }
}

fn go_on(_x: &mut Exchange) -> Flow {
    Flow::Continue
}

fn refuse(_x: &mut Exchange) -> Flow {
    Flow::Answer(Answer::error(401, "Unauthorized"))
}

fn wait(_x: &mut Exchange) -> Flow {
    Flow::Wait(Effect::Timer { ms: 5 })
}

// An auth plugin: recognises the consumer under whose name the test put overlay links.
fn recognise(x: &mut Exchange) -> Flow {
    x.consumer = x.snapshot.consumers.by_username.get("bob").cloned();
    Flow::Continue
}

struct World {
    trace: Trace,
    snapshot: Snapshot,
}

impl World {
    fn new() -> Self {
        Self {
            trace: Trace::default(),
            snapshot: Snapshot::default(),
        }
    }

    fn plugin(
        &mut self,
        name: &'static str,
        order: u16,
        rank: u8,
        access: fn(&mut Exchange) -> Flow,
    ) -> Link {
        let filter: Arc<dyn Filter> = Arc::new(Noting {
            name,
            trace: Arc::clone(&self.trace),
            access,
        });
        let plugin = u32::try_from(self.snapshot.plugins.len()).unwrap();
        self.snapshot.plugins.push(PluginInstance {
            id: name.into(),
            name,
            phases: filter.phases(),
            filter,
            order,
            ordering: None,
            condition: None,
            acts_on: ActsOn::of(&[]),
        });
        Link {
            plugin,
            order,
            rank,
        }
    }

    fn open(mut self, links: &[Link], own: &[OverlayLink]) -> (Exchange, Trace) {
        let phases = Noting {
            name: "",
            trace: Trace::default(),
            access: go_on,
        }
        .phases();
        self.snapshot.chains = vec![Chain {
            links: links.into(),
            phases,
            is_ordered: false,
        }];
        let model = serde_json::from_str(r#"{"id": "c", "username": "bob"}"#).unwrap();
        let bob = ConsumerEntry {
            model,
            id: "c".into(),
            username: None,
            custom_id: None,
            groups: Vec::new(),
            plugins: own.into(),
            log_text: std::sync::OnceLock::new(),
        };
        self.snapshot
            .consumers
            .by_username
            .insert("bob".into(), Arc::new(bob));
        let x = Exchange::new(
            Rc::new(Arc::new(self.snapshot)),
            Rc::new(Arc::new(NodeState::default())),
        );
        (x, self.trace)
    }
}

fn own(link: Link) -> OverlayLink {
    OverlayLink {
        link,
        route: None,
        service: None,
    }
}

fn taken(trace: &Trace) -> Vec<String> {
    std::mem::take(&mut *trace.lock().unwrap())
}

#[test]
fn filters_run_in_order_and_a_waiting_one_is_resumed() {
    let mut world = World::new();
    let links = [
        world.plugin("a", 1, 0, go_on),
        world.plugin("b", 2, 0, wait),
        world.plugin("c", 3, 0, go_on),
    ];
    let (mut x, trace) = world.open(&links, &[]);
    assert!(matches!(
        access(&mut x, None),
        Step::Wait(Effect::Timer { ms: 5 })
    ));
    assert_eq!(taken(&trace), ["a.access", "b.access"]);
    assert!(matches!(access(&mut x, Some(Outcome::Timer)), Step::Done));
    assert_eq!(taken(&trace), ["b.resume(Timer)", "c.access"]);
}

#[test]
fn after_an_answer_the_later_phases_of_all_plugins_still_run() {
    let mut world = World::new();
    let links = [
        world.plugin("a", 1, 0, refuse),
        world.plugin("b", 2, 0, go_on),
    ];
    let (mut x, trace) = world.open(&links, &[]);
    assert!(matches!(access(&mut x, None), Step::Answered(answer) if answer.status == 401));
    header_filter(&mut x, None);
    log(&mut x, &mut NoSink);
    assert_eq!(
        taken(&trace),
        ["a.access", "a.header", "b.header", "a.log", "b.log"]
    );
}

#[test]
fn a_consumer_found_on_the_way_adds_its_plugins_from_there_on() {
    let mut world = World::new();
    let links = [
        world.plugin("early", 1, 0, go_on),
        world.plugin("auth", 2, 0, recognise),
        world.plugin("limit", 4, 0, go_on),
    ];
    let overlay = [
        own(world.plugin("early-own", 1, 3, go_on)),
        own(world.plugin("own", 3, 3, go_on)),
        own(world.plugin("limit-own", 4, 3, go_on)),
    ];
    let (mut x, trace) = world.open(&links, &overlay);
    assert!(matches!(access(&mut x, None), Step::Done));
    assert_eq!(
        taken(&trace),
        [
            "early.access",
            "auth.access",
            "own.access",
            "limit-own.access"
        ]
    );
    header_filter(&mut x, None);
    assert_eq!(
        taken(&trace),
        [
            "early.header",
            "auth.header",
            "own.header",
            "limit-own.header"
        ]
    );
}

#[test]
fn of_a_consumers_plugins_the_most_specific_that_applies_runs() {
    let mut world = World::new();
    let links = [
        world.plugin("auth", 1, 0, recognise),
        world.plugin("limit", 2, 4, go_on),
    ];
    let plain = own(world.plugin("consumer", 2, 3, go_on));
    let elsewhere = OverlayLink {
        route: Some(9),
        ..own(world.plugin("other-route", 2, 6, go_on))
    };
    let (mut x, trace) = world.open(&links, &[elsewhere, plain]);
    assert!(matches!(access(&mut x, None), Step::Done));
    // Route and service together outrank the consumer alone.
    assert_eq!(taken(&trace), ["auth.access", "limit.access"]);
    log(&mut x, &mut NoSink);
    assert_eq!(taken(&trace), ["auth.log", "limit.log"]);
}

#[test]
fn ranks_follow_the_documented_precedence() {
    use Whose::{Anybody, Consumer, Group};
    let falling = [
        rank(true, true, Consumer),
        rank(true, true, Group),
        rank(true, false, Consumer),
        rank(false, true, Consumer),
        rank(true, false, Group),
        rank(false, true, Group),
        rank(true, true, Anybody),
        rank(false, false, Consumer),
        rank(false, false, Group),
        rank(true, false, Anybody),
        rank(false, true, Anybody),
        rank(false, false, Anybody),
    ];
    assert!(falling.windows(2).all(|pair| pair[0] > pair[1]));
}

#[test]
fn without_access_the_global_plugins_still_filter_and_log() {
    let mut world = World::new();
    let links = [world.plugin("g", 1, 0, go_on)];
    let (mut x, trace) = world.open(&links, &[]);
    assert!(matches!(rewrite(&mut x, None), Step::Done));
    header_filter(&mut x, None);
    log(&mut x, &mut NoSink);
    assert_eq!(taken(&trace), ["g.rewrite", "g.header", "g.log"]);
}

#[test]
fn every_rank_tells_its_scope() {
    for (whose, word) in [
        (Whose::Anybody, None),
        (Whose::Group, Some("consumer group")),
        (Whose::Consumer, Some("consumer")),
    ] {
        for (has_route, has_service) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let route = has_route.then_some("route");
            let service = has_service.then_some("service");
            let wanted: Vec<&str> = word.into_iter().chain(route).chain(service).collect();
            assert_eq!(scope_of(rank(has_route, has_service, whose)), wanted);
        }
    }
}
