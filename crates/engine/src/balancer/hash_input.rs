//! What a request hashes to, by the upstream's rules.
use super::Algorithm;
use super::policy::{HashSource, Policy, StickyCookie};
use super::ring::hash;
use super::sticky;
use crate::exchange::Exchange;
use crate::text::Text;

/// What a request hashes to.
#[derive(Clone, Debug, Default)]
pub struct HashInput {
    /// The hash; none where no property is there to hash, or the upstream does not hash.
    pub hash: Option<u32>,
    /// `Set-Cookie` by which the client comes back to the same peer.
    pub set_cookie: Option<Text>,
}

/// Hashes the request where the upstream asks for it. Called once a request: retries hash alike.
pub fn hash_input(policy: &Policy, x: &Exchange) -> HashInput {
    if let Some(rule) = &policy.sticky {
        return HashInput {
            hash: cookie(x, &rule.name).and_then(sticky::number),
            set_cookie: None,
        };
    }
    if policy.algorithm != Algorithm::ConsistentHashing {
        return HashInput::default();
    }
    of_source(&policy.hash_on, x)
        .or_else(|| of_source(&policy.hash_fallback, x))
        .unwrap_or_default()
}

fn of_source(source: &HashSource, x: &Exchange) -> Option<HashInput> {
    let hashed = |value: &[u8]| {
        Some(HashInput {
            hash: Some(hash(value)),
            set_cookie: None,
        })
    };
    match source {
        HashSource::None => None,
        HashSource::Consumer => {
            let consumer = x.consumer.as_ref().map(|consumer| consumer.id.as_bytes());
            let credential = x.credential.as_ref().map(|used| used.id.as_bytes());
            consumer.or(credential).and_then(hashed)
        }
        HashSource::Ip => hashed(x.client.ip.to_string().as_bytes()),
        HashSource::Path => hashed(x.request.path.as_bytes()),
        HashSource::Header(name) => {
            let values: Vec<&[u8]> = x.request.headers.get_all(name).collect();
            (!values.is_empty())
                .then(|| values.concat())
                .and_then(|joined| hashed(&joined))
        }
        HashSource::Cookie { name, path } => match cookie(x, name) {
            Some(value) => hashed(value),
            None => Some(new_cookie(name, path, x)),
        },
        HashSource::QueryArgument(name) => {
            let arguments = x.request.query_arguments();
            let mut values: Vec<&[u8]> = arguments
                .filter(|(key, _)| *key == name.as_bytes())
                .map(|(_, value)| value)
                .collect();
            values.sort_unstable();
            (!values.is_empty())
                .then(|| values.join(&b','))
                .and_then(|joined| hashed(&joined))
        }
        HashSource::UriCapture(name) => x
            .matched
            .capture(name)
            .and_then(|value| hashed(value.as_bytes())),
    }
}

/// `Set-Cookie` that ties the client to the peer of this number.
pub fn sticky_cookie(rule: &StickyCookie, number: u32) -> Text {
    let StickyCookie { name, path } = rule;
    Text::from(format!(
        "{name}={number:08x}; Path={path}; Same-Site=Lax; HttpOnly"
    ))
}

fn cookie<'a>(x: &'a Exchange, name: &str) -> Option<&'a [u8]> {
    let lines = x.request.headers.get_all("cookie");
    let mut pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// The request id is random and used once, so it makes the value: the engine draws no random numbers.
fn new_cookie(name: &str, path: &str, x: &Exchange) -> HashInput {
    let id = x.request_id.as_str().unwrap_or_default();
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let value = format!(
        "{}-{}-4{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    );
    HashInput {
        hash: Some(hash(value.as_bytes())),
        set_cookie: Some(Text::from(format!(
            "{name}={value}; Path={path}; Same-Site=Lax; HttpOnly"
        ))),
    }
}
