//! Which route a request is for, and what follows from it alone: service, upstream path, refusals by protocol.
use twinplane_engine::exchange::{Exchange, HttpVersion, Matched, Scheme};
use twinplane_engine::path;
use twinplane_engine::router::{MatchInput, Trace};
use twinplane_engine::text::Text;

use crate::error_page::GatewayError;
use crate::forwarded::raw_path;
use crate::grpc;
use crate::h1::fault::RequestFault;
use crate::settings::Settings;

/// The way of the router over a request that [`find`] has seen.
pub(crate) fn trace(x: &Exchange, most: usize) -> Trace {
    let input = MatchInput::of(&x.request, &x.client);
    x.snapshot.router.trace(&input, most)
}

/// Finds the route and prepares what goes upstream.
pub(crate) fn find(settings: &Settings, x: &mut Exchange) -> Result<(), GatewayError> {
    normalise(x)?;
    let snapshot = std::rc::Rc::clone(&x.snapshot);
    let Some(found) = snapshot.router.find(&MatchInput::of(&x.request, &x.client)) else {
        return Err(GatewayError::NoRoute);
    };
    let route = &snapshot.routes[found.route as usize];
    x.route = Some(found.route);
    x.service = route.service;
    let service = route.service.map(|at| &snapshot.services[at as usize]);
    let path = x.request.path.as_bytes();
    let base = service
        .and_then(|service| service.model.path.as_deref())
        .unwrap_or_default();
    x.upstream.path = upstream_path(
        &x.request.path,
        base,
        found.path_taken,
        (route.model.strip_path, route.joins_plainly),
    );
    x.matched = Matched {
        prefix: found
            .path_taken
            .filter(|_| route.model.strip_path)
            .map(|taken| header_text(&path[..taken])),
        captures: captures(found.captures),
    };
    x.upstream.scheme = service.map_or(Scheme::Http, |service| service.scheme);
    if route.model.preserve_host && !x.request.host.is_empty() {
        x.upstream.host_header = Some(x.request.host.clone());
    }
    if settings.start.allow_debug_header {
        tell_names(x);
    }
    refuse_by_protocol(x)
}

fn normalise(x: &mut Exchange) -> Result<(), GatewayError> {
    let target = &x.request.target;
    let normal = path::normalise(raw_path(target.as_bytes()));
    let Ok(normal) = normal else {
        x.request.path = Text::copy_from(raw_path(x.request.target.as_bytes()));
        return Err(GatewayError::Request(RequestFault::Malformed));
    };
    x.request.path = match normal {
        std::borrow::Cow::Borrowed(path) if path.len() == target.len() => target.clone(),
        std::borrow::Cow::Borrowed(path) => Text::copy_from(path),
        std::borrow::Cow::Owned(path) => Text::from(path),
    };
    Ok(())
}

// Where nothing is stripped and nothing comes before it, the path stays what it is.
fn upstream_path(
    path: &Text,
    base: &str,
    taken: Option<usize>,
    (strips, joins_plainly): (bool, bool),
) -> Text {
    let is_same = matches!(base, "" | "/") && (!strips || taken.is_none_or(|taken| taken <= 1));
    if !is_same {
        let join = if joins_plainly {
            path::upstream_path_v1
        } else {
            path::upstream_path
        };
        return escaped(join(base.as_bytes(), path.as_bytes(), taken, strips));
    }
    match path::escape(path.as_bytes()) {
        std::borrow::Cow::Borrowed(_) => path.clone(),
        std::borrow::Cow::Owned(escaped) => Text::from(escaped),
    }
}

fn escaped(path: Vec<u8>) -> Text {
    match path::escape(&path) {
        std::borrow::Cow::Owned(escaped) => Text::from(escaped),
        std::borrow::Cow::Borrowed(_) => Text::from(path),
    }
}

// A normalised path may hold decoded control bytes, which a header may not.
fn header_text(path: &[u8]) -> Text {
    if path.iter().any(u8::is_ascii_control) {
        Text::copy_from(&path::escape(path))
    } else {
        Text::copy_from(path)
    }
}

fn captures(found: Vec<twinplane_engine::router::Capture>) -> Vec<(Box<str>, Box<str>)> {
    let mut captures = Vec::with_capacity(found.len());
    for (number, capture) in found.into_iter().enumerate() {
        let value: Box<str> = match &capture.value {
            Some(value) => String::from_utf8_lossy(value).into(),
            None => "".into(),
        };
        if let Some(name) = capture.name {
            captures.push((name, value.clone()));
        }
        captures.push((number.to_string().into(), value));
    }
    captures
}

fn tell_names(x: &mut Exchange) {
    if x.request.headers.get("kong-debug") != Some(b"1") {
        return;
    }
    let snapshot = std::rc::Rc::clone(&x.snapshot);
    let told = &mut x.response.headers;
    let mut tell = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value {
            told.append(name, Text::copy_from(value.as_bytes()));
        }
    };
    if let Some(route) = x.route.map(|at| &snapshot.routes[at as usize]) {
        tell("Kong-Route-Id", Some(&route.model.id));
        tell("Kong-Route-Name", route.model.name.as_deref());
    }
    if let Some(service) = x.service.map(|at| &snapshot.services[at as usize]) {
        tell("Kong-Service-Id", Some(&service.model.id));
        tell("Kong-Service-Name", service.model.name.as_deref());
    }
}

fn refuse_by_protocol(x: &Exchange) -> Result<(), GatewayError> {
    let Some(route) = x.route() else {
        return Err(GatewayError::NoRoute);
    };
    if let Some(status) = route.https_only
        && x.client.forwarded_scheme == Scheme::Http
    {
        return Err(GatewayError::HttpsRequired { status });
    }
    if !route.is_grpc {
        return Ok(());
    }
    let content_type = x.request.headers.get("content-type").unwrap_or_default();
    if !grpc::has_type(content_type) {
        return Err(GatewayError::NotGrpc);
    }
    if x.client.http_version != HttpVersion::Http2 {
        return Err(GatewayError::Http2Required);
    }
    if route.is_grpcs_only && x.client.forwarded_scheme == Scheme::Http {
        return Err(GatewayError::GrpcsRequired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_gives_what_the_long_way_gives() {
        for given in ["/", "/a", "/a/", "/a b", "/...", "/..a", "/a/..b", "/{x}"] {
            for (taken, strips) in [
                (None, true),
                (None, false),
                (Some(1), true),
                (Some(1), false),
                (Some(0), true),
            ] {
                for (base, is_v1) in [("", false), ("/", false), ("", true), ("/", true)] {
                    let join = if is_v1 {
                        path::upstream_path_v1
                    } else {
                        path::upstream_path
                    };
                    let long = escaped(join(base.as_bytes(), given.as_bytes(), taken, strips));
                    let text = Text::copy_from(given.as_bytes());
                    let short = upstream_path(&text, base, taken, (strips, is_v1));
                    assert_eq!(short, long, "{given} {taken:?} {strips} {is_v1}");
                }
            }
        }
    }
}
