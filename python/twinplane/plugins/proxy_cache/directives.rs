//! What both sides say about keeping an answer: `Cache-Control` and `Expires`.
use std::time::{Duration, UNIX_EPOCH};

use twinplane_engine::headers::Headers;

/// The directives of `Cache-Control` that count here.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a directive of its own"
)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) is_private: bool,
    pub(super) is_public: bool,
    pub(super) must_revalidate: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    /// Any staleness is accepted where no seconds are given.
    pub(super) max_stale: Option<u64>,
    pub(super) min_fresh: Option<u64>,
}

impl Directives {
    /// Those of a request or a response, on one or several lines.
    pub(super) fn of(headers: &Headers) -> Self {
        let mut found = Self::default();
        for line in headers.get_all("Cache-Control") {
            for part in line.split(|byte| *byte == b',') {
                found.read(&String::from_utf8_lossy(part));
            }
        }
        found
    }

    fn read(&mut self, part: &str) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        let seconds = value.parse().ok();
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.is_private = true,
            "public" => self.is_public = true,
            "must-revalidate" => self.must_revalidate = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = seconds,
            "s-maxage" => self.s_maxage = seconds,
            "max-stale" => {
                self.max_stale = if value.is_empty() {
                    Some(u64::MAX)
                } else {
                    seconds
                }
            }
            "min-fresh" => self.min_fresh = seconds,
            _ => {}
        }
    }
}

/// For how many seconds a response says that it is fresh.
pub(super) fn freshness_s(directives: &Directives, headers: &Headers, wall_us: u64) -> u64 {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return seconds;
    }
    // Of several the last counts.
    let expires = headers.get_all("Expires").last();
    let expires = expires.and_then(date_s).unwrap_or(0);
    expires.saturating_sub(wall_us / 1_000_000)
}

/// A date of HTTP in seconds since the epoch.
pub(super) fn date_s(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    let since = date.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Some(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(*name, *value);
        }
        headers
    }

    #[test]
    fn directives_of_all_lines_count() {
        let headers = headers(&[
            ("Cache-Control", "No-Cache , max-age = 5"),
            ("cache-control", "max-stale,min-fresh=\"3\", max-age=x"),
        ]);
        let wanted = Directives {
            no_cache: true,
            max_stale: Some(u64::MAX),
            min_fresh: Some(3),
            ..Directives::default()
        };
        assert_eq!(Directives::of(&headers), wanted);
    }

    #[test]
    fn freshness_is_told_by_the_shared_age_then_the_age_then_the_end() {
        let wall_us = 784_111_777_000_000;
        let expires = ("Expires", "Sun, 06 Nov 1994 08:49:47 GMT");
        for (cache_control, wanted) in [("s-maxage=9, max-age=1", 9), ("max-age=1", 1), ("", 10)] {
            let headers = headers(&[("Cache-Control", cache_control), expires]);
            assert_eq!(
                freshness_s(&Directives::of(&headers), &headers, wall_us),
                wanted
            );
        }
        let past = headers(&[("Expires", "0")]);
        assert_eq!(freshness_s(&Directives::default(), &past, wall_us), 0);
    }
}
