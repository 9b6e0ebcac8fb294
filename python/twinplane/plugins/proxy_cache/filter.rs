//! proxy-cache: answers of the upstream are kept as they came, before any plugin has changed them, and given again as if
//! the upstream had been asked: every header and body filter acts on them anew.
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{Exchange, Source};
use twinplane_engine::filter::{Filter, Flow, LogSink, Phases};
use twinplane_engine::headers::Headers;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::response_cache::Kept;
use twinplane_engine::text::Text;

use super::conditions;
use super::config::Config;
use super::directives::{Directives, freshness_s};
use super::key::Variation;
use super::media_type::MediaType;

// Fields of the connection, and those that are told anew each time.
const NOT_KEPT: [&str; 12] = [
    "age",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "public",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-kong-request-id",
];

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the configuration"
)]
struct ProxyCache {
    response_codes: Vec<u16>,
    methods: Vec<Box<str>>,
    content_types: Vec<MediaType>,
    cache_ttl_s: u64,
    storage_ttl_s: Option<i64>,
    follows_directives: bool,
    variation: Variation,
    shows_age: bool,
    shows_status: bool,
    shows_key: bool,
}

/// What the cache has to do with a request, kept for its later phases.
struct Visit {
    status: Option<&'static str>,
    key: Option<Box<[u8]>>,
    shown_key: Option<Text>,
    // Of an answer that is to be kept, also where clients are not shown it.
    kept_as: Box<str>,
    gathering: Option<Gathering>,
}

/// An answer on its way into the cache.
struct Gathering {
    status: u16,
    headers: Headers,
    fresh_s: u64,
    body: BytesMut,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let content_types = config.content_type.iter();
    Ok(Arc::new(ProxyCache {
        response_codes: config.response_code,
        methods: config.request_method,
        content_types: content_types
            .filter_map(|text| MediaType::parse(text))
            .collect(),
        cache_ttl_s: u64::try_from(config.cache_ttl.unwrap_or(300)).unwrap_or(0),
        storage_ttl_s: config.storage_ttl,
        follows_directives: config.cache_control,
        variation: Variation {
            ignores_case: config.ignore_uri_case.unwrap_or(false),
            query: config.vary_query_params.unwrap_or_default(),
            headers: config.vary_headers.unwrap_or_default(),
        },
        shows_age: config.response_headers.age.unwrap_or(true),
        shows_status: config.response_headers.x_cache_status.unwrap_or(true),
        shows_key: config.response_headers.x_cache_key.unwrap_or(true),
    }))
}

impl ProxyCache {
    // Why an answer that is kept will not do, if it will not.
    fn is_stale(&self, kept: &Kept, asked: &Directives, age_s: u64) -> bool {
        if !self.follows_directives {
            return age_s > self.cache_ttl_s;
        }
        let stale_s = age_s.saturating_sub(kept.fresh_s);
        let fresh_s = kept.fresh_s.saturating_sub(age_s);
        asked.max_age.is_some_and(|most| age_s > most)
            || asked.min_fresh.is_some_and(|least| fresh_s < least)
            || stale_s > asked.max_stale.unwrap_or(0)
    }

    fn hit(&self, x: &mut Exchange, kept: &Kept, age_s: u64) -> Box<Answer> {
        x.response.is_repeated = true;
        let is_known =
            kept.status == 200 && conditions::is_known(&x.request.headers, &kept.headers);
        let mut answer = if is_known {
            Answer::empty(304)
        } else {
            let content_type = kept.headers.get("Content-Type").map(Text::copy_from);
            Answer::bytes(kept.status, content_type, kept.body.clone())
        };
        for (name, value) in kept.headers.iter() {
            if !name.eq_ignore_ascii_case(b"content-type") {
                let name = Text::copy_from(name);
                answer.headers.append(name, Text::copy_from(value));
            }
        }
        if self.shows_age {
            answer.headers.set("age", Text::from_integer(age_s));
        }
        answer
    }

    // Says in the response what the cache has done.
    fn tell(&self, x: &mut Exchange) {
        let Some(visit) = x.kept::<Visit>() else {
            return;
        };
        let (status, key) = (visit.status, visit.shown_key.clone());
        let headers = &mut x.response.headers;
        if let Some(key) = key {
            headers.set("X-Cache-Key", key);
        }
        if let Some(status) = status.filter(|_| self.shows_status) {
            headers.set("X-Cache-Status", Text::from_static(status));
        }
    }

    // Whether an answer of the upstream may be kept, and for how long it is fresh.
    fn keeps(&self, x: &Exchange) -> Option<u64> {
        let response = &x.response;
        if !self.response_codes.contains(&response.status) {
            return None;
        }
        let mut content_types = response.headers.get_all("Content-Type");
        let content_type = content_types
            .next()
            .filter(|_| content_types.next().is_none())?;
        // The server under a real node adds its character set after the cache has looked.
        let text = String::from_utf8_lossy(content_type);
        let bare = text.strip_suffix("; charset=UTF-8").unwrap_or(&text);
        let of = |text| MediaType::parse(text);
        let covers = |own: &MediaType| {
            self.content_types
                .iter()
                .any(|wanted| own.is_covered_by(wanted))
        };
        if !of(&text).is_some_and(|own| covers(&own)) && !of(bare).is_some_and(|own| covers(&own)) {
            return None;
        }
        if !self.follows_directives {
            return Some(self.cache_ttl_s);
        }
        let said = Directives::of(&response.headers);
        let fresh_s = freshness_s(&said, &response.headers, x.wall_us);
        // What was asked with credentials is for others only where the answer says so.
        let is_for_all = said.is_public || said.must_revalidate || said.s_maxage.is_some();
        let is_personal = x.request.headers.contains("Authorization") && !is_for_all;
        let is_refused = said.is_private || said.no_store || said.no_cache || is_personal;
        (!is_refused && fresh_s > 0).then_some(fresh_s)
    }

    // How long an answer stays; zero, as configured, is until another one needs its place.
    fn stay_us(&self, fresh_s: u64) -> Option<u64> {
        let seconds = match self.storage_ttl_s {
            None => fresh_s,
            Some(0) => return Some(u64::MAX),
            Some(seconds) => u64::try_from(seconds).ok()?,
        };
        Some(seconds.saturating_mul(1_000_000))
    }
}

impl Filter for ProxyCache {
    fn phases(&self) -> Phases {
        Phases::ACCESS
            .and(Phases::UPSTREAM)
            .and(Phases::HEADER_FILTER)
            .and(Phases::BODY_FILTER)
            .and(Phases::LOG)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let mut visit = Visit {
            status: Some("Bypass"),
            key: None,
            shown_key: None,
            kept_as: Box::default(),
            gathering: None,
        };
        let asked = if self.follows_directives {
            Directives::of(&x.request.headers)
        } else {
            Directives::default()
        };
        let is_method = self
            .methods
            .iter()
            .any(|method| **method == *x.request.method());
        if !is_method || asked.no_store || asked.no_cache {
            x.keep(visit);
            return Flow::Continue;
        }
        let key = self.variation.key(x);
        let bytes = key.bytes();
        let found = x.node.cache.find(&bytes, x.now_us);
        let shown = (self.shows_key || found.is_none()).then(|| key.shown());
        let told = shown.as_deref().filter(|_| self.shows_key);
        visit.shown_key = told.map(|shown| Text::copy_from(shown.as_bytes()));
        visit.key = Some(bytes.into());
        let Some(kept) = found else {
            let is_unwanted = asked.only_if_cached;
            visit.status = (!is_unwanted).then_some("Miss");
            visit.kept_as = shown.unwrap_or_default().into();
            x.keep(visit);
            if is_unwanted {
                return Flow::Answer(Answer::server_error(
                    504,
                    "The upstream server is timing out",
                ));
            }
            return Flow::Continue;
        };
        let age_s = x.now_us.saturating_sub(kept.kept_us) / 1_000_000;
        if self.is_stale(&kept, &asked, age_s) {
            visit.status = Some("Refresh");
            visit.kept_as = shown.map_or_else(|| kept.shown_key.clone(), Into::into);
            x.keep(visit);
            return Flow::Continue;
        }
        visit.status = Some("Hit");
        let mut answer = self.hit(x, &kept, age_s);
        if let Some(key) = visit.shown_key.clone() {
            answer.headers.set("X-Cache-Key", key);
        }
        if self.shows_status {
            answer
                .headers
                .set("X-Cache-Status", Text::from_static("Hit"));
        }
        x.keep(visit);
        Flow::Answer(answer)
    }

    fn upstream_head(&self, x: &mut Exchange) {
        let fresh_s = self.keeps(x);
        let Some(visit) = x.kept::<Visit>() else {
            return;
        };
        if visit.key.is_none() {
            return self.tell(x);
        }
        // Without a body there is nothing to keep.
        let is_head = x.request.method() == "HEAD";
        let has_body = !is_head && !matches!(x.response.status, 100..=199 | 204 | 304);
        let gathering = fresh_s.filter(|_| has_body).map(|fresh_s| Gathering {
            status: x.response.status,
            headers: kept_headers(&x.response.headers),
            fresh_s,
            body: BytesMut::new(),
        });
        let status = if fresh_s.is_some() {
            visit.status
        } else {
            Some("Bypass")
        };
        if let Some(visit) = x.kept_mut::<Visit>() {
            visit.status = status;
            visit.gathering = gathering;
        }
        self.tell(x);
    }

    fn upstream_body(&self, x: &mut Exchange, data: &Bytes, is_last: bool) {
        let bytes_max = x.node.cache.body_bytes_max();
        let now_us = x.now_us;
        let Some(visit) = x.kept_mut::<Visit>() else {
            return;
        };
        let Some(gathering) = &mut visit.gathering else {
            return;
        };
        if gathering.body.len() + data.len() > bytes_max {
            visit.gathering = None;
            x.node.cache.note_refused();
            return;
        }
        gathering.body.extend_from_slice(data);
        if !is_last {
            return;
        }
        if let (Some(gathered), Some(key)) = (visit.gathering.take(), visit.key.take())
            && let Some(stay_us) = self.stay_us(gathered.fresh_s)
        {
            let kept = Kept {
                shown_key: std::mem::take(&mut visit.kept_as),
                status: gathered.status,
                headers: gathered.headers,
                // What grew by halves takes no more than it holds.
                body: Bytes::copy_from_slice(&gathered.body),
                kept_us: now_us,
                fresh_s: gathered.fresh_s,
                ends_us: now_us.saturating_add(stay_us),
            };
            x.node.cache.keep(&key, kept);
        }
    }

    fn header_filter(&self, x: &mut Exchange) {
        // What the gateway makes itself in place of the upstream's answer is not kept.
        if x.response.source == Source::Kong && !x.response.is_repeated {
            if let Some(visit) = x.kept_mut::<Visit>() {
                visit.status = visit.status.map(|_| "Bypass");
            }
            self.tell(x);
        }
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        if let Some(status) = x.kept::<Visit>().and_then(|visit| visit.status) {
            sink.count(
                "twinplane_proxy_cache_requests_total",
                &[("status", status)],
                1,
            );
        }
    }
}

fn kept_headers(headers: &Headers) -> Headers {
    let mut kept = Headers::new();
    for (name, value) in headers.iter() {
        let name_text = String::from_utf8_lossy(name).to_ascii_lowercase();
        let is_counted = name_text.contains("ratelimit-remaining");
        if !is_counted && !NOT_KEPT.contains(&&*name_text) && !name_text.starts_with("x-cache-") {
            kept.append(Text::copy_from(name), Text::copy_from(value));
        }
    }
    kept
}
