//! request-transformer: changes the method, path, headers, query and body of what goes upstream. Templates are rendered
//! before anything is changed, so each sees the request as it came to this plugin.
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Outcome, Phase, Phases};
use twinplane_engine::path;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::changes::{Changes, Rendered};
use super::config::Config;
use super::template::{Environment, Failure, Template};
use super::{body_changes, header_changes, query_changes};
use crate::arguments::{Arguments, Style};
use crate::body::{self, Kind};

struct RequestTransformer {
    method: Option<Text>,
    uri: Option<Template>,
    headers: Changes,
    query: Changes,
    body: Changes,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let (remove, rename, replace) = (&config.remove, &config.rename, &config.replace);
    let (add, append) = (&config.add, &config.append);
    let uri = replace
        .uri
        .as_deref()
        .map(super::changes::template)
        .transpose()?;
    Ok(Arc::new(RequestTransformer {
        method: config
            .http_method
            .as_ref()
            .map(|method| Text::copy_from(method.as_bytes())),
        uri,
        headers: Changes::compile(
            &remove.headers,
            &rename.headers,
            &replace.headers,
            &add.headers,
            &append.headers,
        )?,
        query: Changes::compile(
            &remove.querystring,
            &rename.querystring,
            &replace.querystring,
            &add.querystring,
            &append.querystring,
        )?,
        body: Changes::compile(
            &remove.body,
            &rename.body,
            &replace.body,
            &add.body,
            &append.body,
        )?,
    }))
}

/// All that the templates came to.
struct Plan {
    uri: Option<Vec<u8>>,
    headers: Rendered,
    query: Rendered,
    body: Rendered,
}

impl RequestTransformer {
    // A form's fields move into the query where the method takes no body.
    fn moves_form(&self) -> bool {
        self.method
            .as_ref()
            .is_some_and(|method| matches!(method.as_bytes(), b"GET" | b"HEAD" | b"TRACE"))
    }

    fn plan(&self, x: &Exchange) -> Result<Plan, Failure> {
        let query = current_query(x);
        let environment = Environment {
            headers: &x.request.headers,
            query: &query,
            captures: &x.matched.captures,
        };
        Ok(Plan {
            uri: self
                .uri
                .as_ref()
                .map(|uri| uri.render(&environment))
                .transpose()?,
            headers: self.headers.render(&environment)?,
            query: self.query.render(&environment)?,
            body: self.body.render(&environment)?,
        })
    }

    fn transform(&self, x: &mut Exchange) -> Flow {
        let Ok(plan) = self.plan(x) else {
            return Flow::Answer(Answer::unexpected());
        };
        let kind = Kind::of(x);
        if let Some(uri) = plan.uri {
            replace_uri(x, &uri);
        }
        if let Some(method) = &self.method {
            x.upstream.method = Some(method.clone());
            if self.moves_form() && kind == Some(Kind::Form) {
                move_form(x);
            }
        }
        header_changes::apply(x, &plan.headers);
        if let Some(kind) = kind.filter(|_| !self.body.is_empty()) {
            let is_whole = body::current(x).is_some() || x.request.buffered.is_none();
            let current = body::current(x).cloned().unwrap_or_default();
            let changed = body_changes::apply(&kind, &current, &plan.body).filter(|_| is_whole);
            x.upstream.body = changed.map(Bytes::from).or(x.upstream.body.take());
        }
        if !self.query.is_empty() {
            let mut query = current_query(x);
            query_changes::apply(&mut query, &plan.query);
            set_query(x, query);
        }
        Flow::Continue
    }
}

fn current_query(x: &Exchange) -> Arguments {
    let query = match &x.upstream.query {
        Some(query) => query.as_ref(),
        None => x.request.query.as_ref(),
    };
    Arguments::parse(query.map_or(&b""[..], Text::as_bytes))
}

// A query that is built anew has its names in order.
fn set_query(x: &mut Exchange, mut query: Arguments) {
    query.0.sort_by(|(one, _), (other, _)| one.cmp(other));
    let query = Text::from(query.write(Style::Plain));
    // One that was empty stays so, one that has become empty goes.
    let was_empty = x.request.query.as_ref().is_some_and(Text::is_empty);
    x.upstream.query = Some((was_empty || !query.is_empty()).then_some(query));
}

fn move_form(x: &mut Exchange) {
    let Some(form) = body::current(x).map(|form| Arguments::parse(form)) else {
        return;
    };
    if !form.0.is_empty() {
        let mut query = current_query(x);
        query.0.extend(form.0);
        set_query(x, query);
    }
}

// The path is what the template says, whatever service and route would have made of it.
fn replace_uri(x: &mut Exchange, uri: &[u8]) {
    let (path, query) = match uri.iter().position(|byte| *byte == b'?') {
        Some(at) => (&uri[..at], Some(&uri[at + 1..])),
        None => (uri, None),
    };
    x.upstream.path = Text::copy_from(&path::escape(path));
    if let Some(query) = query {
        let mut whole = one_word(query);
        if let Some(own) = &x.request.query {
            whole.push(b'?');
            whole.extend_from_slice(own.as_bytes());
        }
        x.upstream.query = Some(Some(Text::from(whole)));
    }
}

// A query that a template has made stays one word of the request line.
fn one_word(query: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(query.len());
    for byte in query {
        if byte.is_ascii_graphic() {
            word.push(*byte);
        } else {
            word.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    word
}

impl Filter for RequestTransformer {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let looks_into_body = !self.body.is_empty() || self.moves_form();
        if let Some(wait) = body::wanted(x).filter(|_| looks_into_body && Kind::of(x).is_some()) {
            return wait;
        }
        self.transform(x)
    }

    fn resume(&self, _: Phase, x: &mut Exchange, _: Outcome) -> Flow {
        self.transform(x)
    }
}
