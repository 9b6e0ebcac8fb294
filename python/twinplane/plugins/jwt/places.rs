//! Where a request may carry its token: arguments of the query, cookies, headers. The same token twice is one.
use twinplane_engine::exchange::Exchange;

use super::config::Config;
use crate::arguments::Arguments;

/// What was found in all places together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    One(Vec<u8>),
    /// Different ones: which one counts is not guessed.
    Several,
}

/// Looks into every place that is configured.
pub(super) fn token(x: &Exchange, config: &Config) -> Shown {
    let mut shown = Shown::Nothing;
    let mut add = |token: &[u8]| {
        if token.is_empty() {
            return;
        }
        match &shown {
            Shown::Nothing => shown = Shown::One(token.to_vec()),
            Shown::One(before) if before == token => {}
            _ => shown = Shown::Several,
        }
    };
    if let Some(query) = &x.request.query {
        let arguments = Arguments::parse(query.as_bytes());
        for name in config.uri_param_names.iter().flatten() {
            let values = arguments.0.iter().filter(|(key, _)| key == name.as_bytes());
            values
                .filter_map(|(_, value)| value.as_deref())
                .for_each(&mut add);
        }
    }
    for name in config.cookie_names.iter().flatten() {
        add(cookie(x, name).unwrap_or_default());
    }
    for name in config.header_names.iter().flatten() {
        x.request
            .headers
            .get_all(name)
            .filter_map(bearer)
            .for_each(&mut add);
    }
    shown
}

fn cookie<'a>(x: &'a Exchange, name: &str) -> Option<&'a [u8]> {
    let lines = x.request.headers.get_all("Cookie");
    let mut pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
    })
}

// `Bearer <token>`, or `bearer`, with any space between.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii_start();
    let rest = value
        .strip_prefix(b"Bearer")
        .or_else(|| value.strip_prefix(b"bearer"))?;
    let token = rest.trim_ascii();
    (token.len() < rest.len() && rest[0].is_ascii_whitespace()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_stands_after_space() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b" bearer   a.b.c"), Some(&b"a.b.c"[..]));
        for value in ["Bearer", "Bearerabc", "BEARER abc", "Basic abc", "abc", ""] {
            assert_eq!(bearer(value.as_bytes()), None, "{value}");
        }
    }
}
