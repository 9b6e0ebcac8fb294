use serde_json::{Value, json};

use super::*;
use crate::headers::Headers;

const LISTENER: End = End {
    address: None,
    port: Some(80),
};

fn route(fields: &Value) -> Route {
    let mut row = json!({
        "id": "00000000-0000-4000-8000-000000000001", "protocols": ["http", "https"], "https_redirect_status_code": 426,
        "strip_path": true, "preserve_host": false, "request_buffering": true, "response_buffering": true,
    });
    for (name, value) in fields.as_object().unwrap() {
        row[name] = value.clone();
    }
    serde_json::from_value(row).unwrap()
}

fn build(rows: &[Value]) -> Router {
    let rows: Vec<Route> = rows.iter().map(route).collect();
    Router::build(&rows, Calculation::Original).unwrap()
}

fn find(router: &Router, host: &str, path: &str, headers: &Headers) -> Option<Match> {
    router.find(&MatchInput {
        method: b"GET",
        host: host.as_bytes(),
        path: path.as_bytes(),
        sni: None,
        query: b"",
        protocol: Protocol::Http,
        source: End::default(),
        destination: LISTENER,
        headers,
    })
}

#[test]
fn headers_match_whatever_the_spelling_of_their_names() {
    let router = build(&[json!({"headers": {"X_Api-Version": ["v2", "~*^beta"]}})]);
    for (name, value, wanted) in [
        ("x-api-version", "V2", true),
        ("X_API_VERSION", "v2", true),
        ("X-Api-Version", "Beta-7", true),
        ("X-Api-Version", "v1", false),
        ("X-Api-Versio", "v2", false),
    ] {
        let mut headers = Headers::new();
        headers.append(name, "nothing");
        headers.append(name, value);
        let found = find(&router, "a.test", "/", &headers);
        assert_eq!(found.is_some(), wanted, "{name}: {value}");
    }
}

#[test]
fn captures_are_told_by_number_and_name() {
    let router = build(&[json!({"paths": [r"~/users/(?<id>\d+)(/x)?"]})]);
    let found = find(&router, "", "/users/42/y", &Headers::new()).unwrap();
    assert_eq!(found.path_taken, Some(9));
    let captures: Vec<_> = found
        .captures
        .iter()
        .map(|capture| (capture.name.as_deref(), capture.value.as_deref()))
        .collect();
    assert_eq!(
        captures,
        [
            (None, Some(b"/users/42".as_slice())),
            (Some("id"), Some(b"42".as_slice())),
            (None, None)
        ]
    );
}

#[test]
fn every_fault_is_told() {
    let rows = [
        route(&json!({"paths": ["~/("]})),
        route(&json!({"hosts": ["a*b"]})),
        route(&json!({})),
    ];
    let faults = Router::build(&rows, Calculation::Original).unwrap_err();
    let places: Vec<u32> = faults.iter().map(|fault| fault.route).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn routes_of_streams_are_not_among_them() {
    let router = build(&[json!({"protocols": ["tls"], "snis": ["a.test"]})]);
    assert!(router.is_empty());
}

#[test]
fn the_next_router_takes_over_what_was_compiled() {
    let rows = [route(&json!({"paths": ["~/a[0-9]"]}))];
    let first = Router::build(&rows, Calculation::Original).unwrap();
    let next = Router::build_after(&rows, Calculation::Original, Some(&first)).unwrap();
    let only = |router: &Router| std::sync::Arc::clone(router.patterns.values().next().unwrap());
    assert!(std::sync::Arc::ptr_eq(&only(&first), &only(&next)));
}

#[test]
fn more_prefixes_than_are_kept_at_once_are_all_looked_at() {
    let long = "/".to_owned() + &"x".repeat(300);
    let rows: Vec<Value> = (1..=300)
        .map(|bytes| json!({"id": format!("00000000-0000-4000-8000-{bytes:012}"), "paths": [&long[..bytes]]}))
        .collect();
    let router = build(&rows);
    for bytes in [1usize, 2, 16, 17, 127, 128, 129, 300] {
        let found = find(&router, "a.test", &long[..bytes], &Headers::new()).unwrap();
        assert_eq!(found.route as usize, bytes - 1);
    }
}

/// The next of a sequence of numbers below `end`, the same each time.
fn draw(state: &mut u64, end: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap() % end
}

const HOSTS: [&str; 9] = [
    "a.test",
    "b.test",
    "c.a.test",
    "*.test",
    "*.a.test",
    "a.*",
    "c.a.*",
    "a.test:81",
    "*.a.test:81",
];
const SEGMENTS: [&str; 6] = ["/a", "/b", "/ab", "/a-b", "/", "/c.d"];
const REGEXES: [&str; 6] = ["~/a", r"~/a/\d", "~/b|/a/b", "~/(a|b)/", "~.*c", "~/ab?/"];
const METHODS: [&str; 3] = ["GET", "POST", "PURGE"];

fn some_route(state: &mut u64, number: u32) -> Value {
    let mut row =
        json!({"id": format!("{:08x}-0000-4000-8000-{number:012x}", draw(state, 1 << 30))});
    if draw(state, 2) == 0 {
        row["hosts"] = (0..=draw(state, 2))
            .map(|_| HOSTS[draw(state, 9)])
            .collect();
    }
    if draw(state, 3) == 0 {
        row["methods"] = json!([METHODS[draw(state, 3)]]);
    }
    if draw(state, 3) == 0 {
        row["headers"] = json!({"X-T": [format!("t{}", draw(state, 60))]});
    }
    if draw(state, 6) == 0 {
        row["snis"] = json!([HOSTS[draw(state, 6)]]);
    }
    // Many in one place, told apart by header or server name.
    if draw(state, 5) == 0 {
        row["paths"] = json!(["/a"]);
        let key = ["headers", "snis"][draw(state, 2)];
        row[key] = match key {
            "snis" => json!([format!("s{}.test", draw(state, 60))]),
            _ => json!({"X-T": [format!("t{}", draw(state, 60)), format!("t{}", draw(state, 60))]}),
        };
        return row;
    }
    row["paths"] = (0..=draw(state, 3))
        .map(|_| match draw(state, 4) {
            0 => REGEXES[draw(state, 6)].to_owned(),
            _ => some_path(state),
        })
        .collect();
    row
}

fn some_path(state: &mut u64) -> String {
    (0..=draw(state, 3))
        .map(|_| SEGMENTS[draw(state, 6)])
        .collect::<String>()
        .replace("//", "/")
}

#[test]
fn the_index_finds_what_asking_every_matcher_in_order_finds() {
    let mut state = 1;
    for size in [3u32, 40, 400, 3000] {
        let rows: Vec<Value> = (0..size)
            .map(|number| some_route(&mut state, number))
            .collect();
        let router = build(&rows);
        let mut found_any = 0;
        for _ in 0..600 {
            let mut headers = Headers::new();
            headers.append("x-t", format!("T{}", draw(&mut state, 60)));
            let host = [
                "a.test",
                "b.test",
                "c.a.test",
                "a.c",
                "c.a.x:81",
                "a.test:81",
                "x",
            ][draw(&mut state, 7)];
            let is_tls = draw(&mut state, 2) == 0;
            let sni = format!("s{}.test", draw(&mut state, 60));
            let path = some_path(&mut state);
            let input = MatchInput {
                method: METHODS[draw(&mut state, 3)].as_bytes(),
                host: host.as_bytes(),
                path: path.as_bytes(),
                sni: is_tls.then_some(sni.as_bytes()),
                query: b"",
                protocol: if is_tls {
                    Protocol::Https
                } else {
                    Protocol::Http
                },
                source: End::default(),
                destination: LISTENER,
                headers: &headers,
            };
            let asked = Asked::new(&input, Flavor::TraditionalCompatible);
            let mut all = router.matchers.iter();
            let wanted = all.find(|matcher| matcher.matches(&asked, &router.texts, &mut Unwatched));
            let wanted = wanted.map(|matcher| matcher.describe(&asked, &router.texts));
            assert_eq!(router.find(&input), wanted, "{host} {path}");
            found_any += usize::from(wanted.is_some());
        }
        assert!(
            size < 40 || found_any > 300,
            "{found_any} of 600 found a route"
        );
    }
}

/// How many matchers one look-up asks, in a table of `count` routes.
fn asked_of(count: u32, flavor: Flavor, row: impl Fn(u32) -> Value, path: &str, host: &str) -> u32 {
    let rows: Vec<Route> = (0..count)
        .map(|number| {
            let mut row = row(number);
            row["id"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
            route(&row)
        })
        .collect();
    let rules = Rules {
        flavor,
        ..Rules::default()
    };
    let router = Router::build(&rows, rules).unwrap();
    let mut headers = Headers::new();
    headers.append("x-tenant", "t7");
    let input = MatchInput {
        method: b"GET",
        host: host.as_bytes(),
        path: path.as_bytes(),
        query: b"",
        protocol: Protocol::Http,
        sni: None,
        source: End::default(),
        destination: LISTENER,
        headers: &headers,
    };
    let asked = Asked::new(&input, flavor);
    let tests = std::cell::Cell::new(0);
    let found = router.index.first(&asked, |rank| {
        tests.set(tests.get() + 1);
        router.matchers[rank as usize].matches(&asked, &router.texts, &mut Unwatched)
    });
    assert!(found.is_some(), "{count} {path}");
    tests.get()
}

#[test]
fn a_look_up_asks_as_many_in_a_large_table_as_in_a_small_one() {
    type Shape = fn(u32) -> Value;
    let by_expression: [Shape; 5] = [
        |n| json!({"expression": format!("http.path ^= \"/a{n}/\"")}),
        |n| json!({"expression": format!("http.host == \"h{n}.test\" && http.path ^= \"/a\"")}),
        |n| json!({"expression": format!("http.path ~ r#\"^/a{n}/[0-9]+\"# || http.path == \"/b{n}\"")}),
        |n| json!({"expression": format!("any(lower(http.headers.x_tenant)) == \"t{n}\"")}),
        |n| json!({"expression": format!("http.path ^= \"/a\" && http.path ^= \"/a{n}/\" && http.method == \"GET\"")}),
    ];
    let by_attributes: [Shape; 3] = [
        |n| json!({"paths": [format!("/a{n}/")]}),
        |n| json!({"hosts": [format!("h{n}.test")], "paths": ["/a"]}),
        |n| json!({"headers": {"x-tenant": [format!("t{n}")]}}),
    ];
    for (flavor, shapes) in [
        (Flavor::Expressions, &by_expression[..]),
        (Flavor::Expressions, &by_attributes[..]),
        (Flavor::Traditional, &by_attributes[..]),
        (Flavor::TraditionalCompatible, &by_attributes[..]),
    ] {
        for (at, shape) in shapes.iter().enumerate() {
            let [small, large] =
                [100, 20_000].map(|count| asked_of(count, flavor, shape, "/a7/1", "h7.test"));
            assert_eq!(small, large, "{flavor:?} {at}");
            assert!(small < 4, "{flavor:?} {at}: {small}");
        }
    }
}
