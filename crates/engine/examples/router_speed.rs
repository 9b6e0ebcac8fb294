//! How much processor time a look-up and a build take, and how much memory a route, at 10 to 100,000 routes of several
//! shapes.
//!
//! `cargo run --release -p twinplane-engine --example router_speed`
use std::hint::black_box;

use serde_json::{Value, json};
use twinplane_engine::router::{Calculation, End, HeaderValues, MatchInput, Protocol, Router};
use twinplane_model::Route;

const LOOKUPS: u32 = 400_000;

/// One header, the tenant's.
struct Tenant<'a>(&'a [u8]);

impl HeaderValues for Tenant<'_> {
    fn any(&self, folded_name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        folded_name == "x-tenant" && test(self.0)
    }
}

/// A shape of table: the fields of route `n`, and a request that is for it.
struct Shape {
    name: &'static str,
    fields: fn(u32) -> Value,
    request: fn(u32) -> (String, String),
}

const SHAPES: [Shape; 8] = [
    Shape {
        name: "paths of one host-less API",
        fields: |n| json!({"paths": [format!("/api/v{}/area-{}/resource-{n}", n % 3, n % 97)]}),
        request: |n| {
            let path = format!("/api/v{}/area-{}/resource-{n}/items/42", n % 3, n % 97);
            ("api.example".into(), path)
        },
    },
    Shape {
        name: "a host each",
        fields: |n| json!({"hosts": [format!("tenant-{n}.example.com")], "paths": ["/"]}),
        request: |n| (format!("tenant-{n}.example.com"), "/items/42".into()),
    },
    Shape {
        name: "hosts with paths",
        fields: |n| json!({"hosts": [format!("team-{}.example.com", n / 20)], "paths": [format!("/svc-{}", n % 20), format!("/v2/svc-{}", n % 20)]}),
        request: |n| {
            (
                format!("team-{}.example.com", n / 20),
                format!("/v2/svc-{}/orders/7", n % 20),
            )
        },
    },
    Shape {
        name: "wildcard hosts",
        fields: |n| json!({"hosts": [format!("*.tenant-{n}.example.com")], "paths": ["/"]}),
        request: |n| (format!("www.tenant-{n}.example.com"), "/items/42".into()),
    },
    Shape {
        name: "methods on one path",
        fields: |n| json!({"methods": ([["GET"], ["PUT"], ["POST"], ["DELETE"]][n as usize % 4]), "paths": [format!("/r{}", n / 4)]}),
        request: |n| ("api.example".into(), format!("/r{}", n / 4)),
    },
    Shape {
        name: "a tenant header each, on one path",
        fields: |n| json!({"headers": {"X-Tenant": [format!("t{n}")]}, "paths": ["/"]}),
        request: |n| (format!("t{n}"), "/items/42".into()),
    },
    Shape {
        name: "a server name each, on one path",
        fields: |n| json!({"snis": [format!("t{n}")], "paths": ["/"]}),
        request: |n| (format!("t{n}"), "/items/42".into()),
    },
    Shape {
        name: "regexes with a literal start",
        fields: |n| json!({"paths": [format!(r"~/things-{n}/(?<id>\d+)$")]}),
        request: |n| ("api.example".into(), format!("/things-{n}/42")),
    },
];

fn routes(shape: &Shape, count: u32) -> Vec<Route> {
    let row = |n: u32| {
        let mut row = json!({
            "id": format!("{:08x}-0000-4000-8000-{n:012x}", n.wrapping_mul(0x9E37_79B9)),
            "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": true,
            "preserve_host": false, "request_buffering": true, "response_buffering": true, "regex_priority": 0,
        });
        let fields = (shape.fields)(n);
        for (name, value) in fields.as_object().expect("an object") {
            row[name] = value.clone();
        }
        serde_json::from_value(row).expect("a route")
    };
    (0..count).map(row).collect()
}

/// Resident bytes of this process.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// Nanoseconds of processor time of this process: other work on the machine does not count.
fn processor_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let spent = text.split(' ').next().and_then(|spent| spent.parse().ok());
    spent.unwrap_or(0.0)
}

fn measure(shape: &Shape, count: u32) {
    let table = routes(shape, count);
    let before = resident();
    let started = processor_ns();
    let router = Router::build(&table, Calculation::Original).expect("a router");
    let build_ms = (processor_ns() - started) / 1e6;
    let bytes = (resident() - before) / f64::from(count);
    let requests: Vec<(String, String)> = (0..4096u32)
        .map(|n| (shape.request)(n.wrapping_mul(2_654_435_761) % count))
        .collect();
    let started = processor_ns();
    let mut found = 0u32;
    for n in 0..LOOKUPS {
        let (host, path) = &requests[(n % 4096) as usize];
        let input = MatchInput {
            method: b"GET",
            host: host.as_bytes(),
            path: path.as_bytes(),
            sni: Some(host.as_bytes()),
            query: b"",
            protocol: Protocol::Https,
            source: End::default(),
            destination: End::default(),
            headers: &Tenant(host.as_bytes()),
        };
        found += u32::from(router.find(black_box(&input)).is_some());
    }
    let lookup_ns = (processor_ns() - started) / f64::from(LOOKUPS);
    println!(
        "{:<34} {count:>7} {lookup_ns:>9.0} {build_ms:>9.1} {bytes:>9.0}   {:.0} % found",
        shape.name,
        f64::from(found) * 100.0 / f64::from(LOOKUPS)
    );
}

fn main() {
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9}",
        "shape", "routes", "look-up ns", "build ms", "B/route"
    );
    for shape in &SHAPES {
        for count in [10, 1_000, 10_000, 100_000] {
            measure(shape, count);
        }
    }
}
