//! Who a request says it is of: what the filters of authentication read, through their own door. Whoever is let in has shown
//! the secret.
use std::rc::Rc;
use std::sync::Arc;

use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::Flow;
use twinplane_engine::headers::Headers;
use twinplane_engine::signature::VerifyingKey;
use twinplane_engine::snapshot::{Local, NodeState, Snapshot};
use twinplane_engine::text::Text;

use super::{Target, configuration};

const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJib2IiLCJleHAiOjF9\
                     .uJSxj1Ul2wCurvv9IkJHQyJmKjxdgSC-OBPLIeEcaD8";
// What its signature speaks of.
const SIGNED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJib2IiLCJleHAiOjF9";

thread_local! {
    static SNAPSHOT: Local<Snapshot> = {
        let built = configuration::built(configuration::WHOLE);
        Rc::new(Arc::new(built.expect("it is read").expect("it is built")))
    };
}

/// A name and a password in base64.
pub(super) const BASIC: Target = Target {
    name: "basic_auth",
    seeds: &[
        b"Basic Ym9iOnNlY3JldA==",
        b"basic Ym9iOnNlY3JldA",
        b" Basic  Ym9iOnNlY3JldA==x",
    ],
    pieces: &[b"Basic ", b"=", b"==", b"Og", b":", b" ", b"\xff", b"Ym9i"],
    run: |value| {
        let is_let_in = is_let_in("basic-auth", &[("Authorization", value)], b"");
        assert!(!is_let_in || contains(value, b"Ym9iOnNlY3Jld"));
        is_let_in
    },
};

/// A signature over headers.
pub(super) const HMAC: Target = Target {
    name: "hmac_auth",
    seeds: &[
        br#"hmac username="bob", algorithm="hmac-sha256", headers="date", signature="Z/kcs5lH/Me4DgZB3rKzStMSrCtaHpWVIHse5T/++yg=""#,
    ],
    pieces: &[
        b"\"", b",", b", ", b"=", b"hmac ", b"username=\"", b"hmac-sha1", b"date", b" ",
        b"request-line", b"@request-target", b"\xff",
    ],
    run: |value| {
        let date = b"Thu, 01 Jan 1970 00:00:00 GMT";
        let is_let_in = is_let_in(
            "hmac-auth",
            &[("Authorization", value), ("Date", date)],
            b"",
        );
        assert!(!is_let_in || contains(value, b"Z/kcs5lH/Me4DgZB3rKzStMSrCtaHpWVIHse5T/++y"));
        // The date itself, as mutated.
        let _told = self::is_let_in("hmac-auth", &[("Authorization", b"hmac"), ("Date", value)], b"");
        is_let_in
    },
};

/// A token in a header.
pub(super) const JWT: Target = Target {
    name: "jwt",
    seeds: &[TOKEN.as_bytes()],
    pieces: TOKEN_PIECES,
    run: |token| {
        let value = [b"Bearer ", token].concat();
        let is_let_in = is_let_in("jwt", &[("Authorization", &value)], b"");
        assert!(!is_let_in || contains(token, SIGNED.as_bytes()));
        is_let_in
    },
};

const TOKEN_PIECES: &[&[u8]] = &[
    b".",
    b"=",
    b"e30",
    b"bnVsbA",
    b"W10",
    b"MTIz",
    b"\xff",
    b"-_",
    b" ",
    // Of `{"alg":"none"}`, and of a member twice.
    b"eyJhbGciOiJub25lIn0",
    b"eyJhIjoxLCJhIjoyfQ",
    b"token=",
    b"jwt=",
    b"&",
    b";",
    b"%2e",
    b"%",
    b"+",
];

/// A token among cookies or arguments.
pub(super) const COOKIE_AND_QUERY: Target = Target {
    name: "cookie_and_query",
    seeds: &[
        b"a=b; token=eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJib2IiLCJleHAiOjF9.uJSxj1Ul2wCurvv9IkJHQyJmKjxdgSC-OBPLIeEcaD8",
        b"a=b&jwt=eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9%2eeyJpc3MiOiJib2IiLCJleHAiOjF9.uJSxj1Ul2wCurvv9IkJHQyJmKjxdgSC-OBPLIeEcaD8&c",
    ],
    pieces: TOKEN_PIECES,
    run: |bytes| {
        let in_cookie = is_let_in("jwt", &[("Cookie", bytes)], b"");
        assert!(!in_cookie || contains(bytes, SIGNED.as_bytes()));
        let in_query = is_let_in("jwt", &[], bytes);
        let _told = is_let_in("key-auth", &[("Cookie", bytes)], bytes);
        in_cookie || in_query
    },
};

/// A key in PEM serves its own algorithm, or none.
pub(super) const PUBLIC_KEY: Target = Target {
    name: "public_key",
    seeds: &[b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEL9YkxQjgeHj3nUTkIKejcN+bVvgx\nh485/m1e9uJUjPu6tJf4vk6AC+IqMduCurfZQG5AnByD7EwuEZYj5g7bcA==\n-----END PUBLIC KEY-----\n"],
    pieces: &[
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN RSA PUBLIC KEY-----\n",
        b"-----END PUBLIC KEY-----",
        b"\n",
        b"=",
        b"MFkw",
        b"AAAA",
        b"//",
    ],
    run: |bytes| {
        let Ok(pem) = std::str::from_utf8(bytes) else {
            return false;
        };
        let mut serves = Vec::new();
        for algorithm in ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "none"] {
            if let Ok(key) = VerifyingKey::read(pem, algorithm) {
                assert!(!key.verifies(b"a message", bytes));
                serves.push(algorithm);
            }
        }
        // A key of RSA is for both of its ways to sign.
        let is_rsa = serves == ["RS256", "PS512"];
        assert!(serves.len() <= 1 || is_rsa, "{serves:?}");
        assert!(!serves.contains(&"none"));
        !serves.is_empty()
    },
};

fn is_let_in(plugin: &str, fields: &[(&'static str, &[u8])], query: &[u8]) -> bool {
    let snapshot = SNAPSHOT.with(Rc::clone);
    let mut x = Exchange::new(
        Rc::clone(&snapshot),
        Rc::new(Arc::new(NodeState::default())),
    );
    let mut headers = Headers::new();
    for (name, value) in fields {
        // The scanner takes no head that holds them.
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return false;
        }
        headers.append(*name, Text::copy_from(value));
    }
    x.request.headers = headers;
    x.request.query = Some(Text::copy_from(query));
    let mut named = snapshot.plugins.iter();
    let plugin = named.find(|each| each.name == plugin).expect("configured");
    let flow = plugin.filter.access(&mut x);
    let is_let_in = x.consumer.is_some();
    match flow {
        Flow::Answer(answer) => {
            assert!(!is_let_in);
            assert_eq!(answer.status, 401);
        }
        Flow::Continue => assert!(is_let_in),
        Flow::Wait(_) => panic!("nothing to wait for"),
    }
    is_let_in
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}
