//! Begins a response: the upstream's, cleaned of what concerns one hop, or one of our own. Header filters see it, then the
//! gateway adds its headers, which no filter can take away.
use std::future::poll_fn;
use std::rc::Rc;

use twinplane_engine::answer::Answer;
use twinplane_engine::chain::{self, Step};
use twinplane_engine::exchange::{BodyChunk, Exchange, Source};
use twinplane_engine::filter::{Effect, Phase};
use twinplane_engine::text::Text;

use super::Stop;
use super::asking::Upload;
use super::buffering;
use super::leg::{H1Leg, Leg};
use super::phases::{self, Filtered};
use super::proxy::{H1Answer, Via};
use super::receive;
use super::relay::Relayed;
use super::visit;
use crate::client_side::{ClientSide, ResponseBody};
use crate::error_page::{self, Forms, GatewayError, Page};
use crate::h1::body::IncomingBody;
use crate::h1::fault::RequestFault;
use crate::h1::framing::{self, ResponseFraming};
use crate::settings::attempts;
use crate::upgrade::Tunnel;
use crate::upstream::h2;
use crate::upstream::peers::PeerInUse;
use crate::worker::Worker;

/// Queues the head of the upstream's response.
pub(super) async fn upstream<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    via: Via,
    peer: Option<PeerInUse>,
) -> Result<Relayed, Stop> {
    let Begun {
        mut leg,
        framed,
        is_ahead_asked,
    } = begun(x, via)?;
    x.response.content_length = length_of(framed);
    let read_ms = read_ms(worker, x);
    let (mut told, mut held, mut trailers) = (framed, None, None);
    if chain::has_phase(x, Phase::Response) {
        let from = buffering::Incoming {
            leg: &mut leg,
            read_ms,
        };
        let kept = buffering::response(worker, x, client, from).await?;
        told = kept.framing(framed);
        x.response.content_length = length_of(told);
        (held, trailers) = (Some(kept.bytes), kept.trailers);
    }
    match phases::header_filter(worker, x).await {
        Filtered::Passed => {}
        Filtered::Answered(answer) => {
            x.response.headers.clear();
            return Err(Stop::Answer(answer));
        }
        Filtered::Broken => {
            x.response.headers.clear();
            return Err(GatewayError::Unexpected.into());
        }
    }
    put_proxied_headers(worker, x);
    let is_filtered = chain::has_phase(x, Phase::BodyFilter);
    let body = match told {
        _ if x.response.is_body_dropped => ResponseBody::Length(0),
        // The length that a GET would have is not known where a filter would change the body.
        ResponseFraming::None { length } => ResponseBody::None {
            length: length.filter(|_| !x.response.is_body_changed),
        },
        ResponseFraming::Length(length) if !x.response.is_body_changed => {
            ResponseBody::Length(length)
        }
        _ => ResponseBody::Unknown,
    };
    client.send_head(x, body);
    Ok(Relayed {
        leg,
        held,
        trailers,
        is_filtered,
        is_ahead_asked,
        _peer: peer,
        read_ms,
    })
}

// What is left of an answer whose head was taken.
struct Begun {
    leg: Leg,
    // How its end is told.
    framed: ResponseFraming,
    // The upstream's word on being read ahead of a slow client.
    is_ahead_asked: Option<bool>,
}

// Takes the head into the exchange.
fn begun(x: &mut Exchange, via: Via) -> Result<Begun, Stop> {
    let method = x.upstream.method.as_ref().unwrap_or(&x.request.method);
    let is_head = method.as_bytes() == b"HEAD";
    let answer = match via {
        Via::H1(answer) => answer,
        Via::H2 { head, answering } => {
            let length = h2::head::response(x, head.status.as_u16(), &head.headers);
            let framed = match length {
                // Headers alone are the whole answer: of a call, its status among them.
                _ if is_head || answering.body.is_end_stream() => ResponseFraming::None { length },
                Some(length) => ResponseFraming::Length(length),
                None => ResponseFraming::Chunked,
            };
            return Ok(Begun {
                leg: Leg::H2(answering),
                framed,
                // Calls are never read ahead: both sides may wait for each other.
                is_ahead_asked: Some(false),
            });
        }
    };
    let H1Answer {
        mut connection,
        status_line,
        upload,
    } = answer;
    let head = receive::head(x, &mut connection, &status_line);
    let Ok(framed) = framing::of_response(&head, &status_line, is_head) else {
        x.response.headers.clear_spans();
        return Err(GatewayError::UpstreamInvalid.into());
    };
    let word = status_line.hop.accel_buffering.clone();
    let is_ahead_asked = word.and_then(|value| asks_to_be_ahead(&head[value]));
    let is_persistent = receive::keeps_connection(&head, &status_line);
    receive::clean(x, &head, &status_line);
    let leg = H1Leg {
        connection,
        body: IncomingBody::of_response(framed),
        is_reusable: is_persistent && framed != ResponseFraming::Close && upload != Upload::Refused,
        upload,
    };
    Ok(Begun {
        leg: Leg::H1(leg),
        framed,
        is_ahead_asked,
    })
}

// As on a real node, other words say nothing.
fn asks_to_be_ahead(value: &[u8]) -> Option<bool> {
    if value.eq_ignore_ascii_case(b"no") {
        return Some(false);
    }
    value.eq_ignore_ascii_case(b"yes").then_some(true)
}

/// Queues the head with which the upstream agreed to another protocol.
pub(super) async fn tunnel<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    answer: H1Answer,
) -> Tunnel {
    let H1Answer {
        mut connection,
        status_line,
        ..
    } = answer;
    let head = receive::head(x, &mut connection, &status_line);
    receive::clean(x, &head, &status_line);
    if let Some(protocol) = status_line.hop.upgrade.clone() {
        let protocol = Text::copy_from(&head[protocol]);
        x.response.headers.append("Upgrade", protocol);
    }
    // The answer stands whatever a filter makes of it: both sides speak the other protocol from here on.
    let _filtered = phases::header_filter(worker, x).await;
    put_proxied_headers(worker, x);
    client.send_head(x, ResponseBody::None { length: None });
    Tunnel {
        connection,
        idle_ms: read_ms(worker, x),
    }
}

fn read_ms(worker: &Worker, x: &Exchange) -> u64 {
    let set = x.service().and_then(|service| service.model.read_timeout);
    attempts::timeout(set, worker.settings().start.attempts.read_timeout_ms)
}

fn length_of(framing: ResponseFraming) -> Option<u64> {
    match framing {
        ResponseFraming::None { length } => length,
        ResponseFraming::Length(length) => Some(length),
        ResponseFraming::Chunked | ResponseFraming::Close => None,
    }
}

fn put_proxied_headers(worker: &Worker, x: &mut Exchange) {
    let on = worker.settings().header_switches;
    let is_upstream = x.response.source == Source::Upstream;
    if is_upstream && on.server {
        x.response
            .headers
            .add("Server", worker.texts.server.clone());
    }
    if on.upstream_status
        && let Some(status) = x.response.upstream_status
    {
        x.response
            .headers
            .set("X-Kong-Upstream-Status", Text::from_integer(status));
    }
    if on.upstream_latency {
        let waited_ms = x.times.waiting_us().unwrap_or(0) / 1_000;
        x.response
            .headers
            .set("X-Kong-Upstream-Latency", Text::from_integer(waited_ms));
    }
    if on.proxy_latency {
        let proxy_us = if x.response.is_repeated {
            x.now_us.saturating_sub(x.times.started_us)
        } else {
            x.times.proxy_us()
        };
        x.response
            .headers
            .set("X-Kong-Proxy-Latency", Text::from_integer(proxy_us / 1_000));
    }
    if on.via {
        let via = match x.response.headers.get("via") {
            None => worker.texts.via.clone(),
            Some(before) => Text::from([before, b", ", worker.texts.via.as_bytes()].concat()),
        };
        x.response.headers.set("Via", via);
    }
    if !is_upstream && on.server {
        let server = worker.texts.server.clone();
        if x.response.is_repeated {
            x.response.headers.add("Server", server);
        } else {
            x.response.headers.set("Server", server);
        }
    }
    if on.request_id {
        x.response
            .headers
            .set("X-Kong-Request-Id", x.request_id.clone());
    }
}

fn put_own_headers(worker: &Worker, x: &mut Exchange) {
    let on = worker.settings().header_switches;
    if on.response_latency {
        let took_ms = x.now_us.saturating_sub(x.times.started_us) / 1_000;
        x.response
            .headers
            .set("X-Kong-Response-Latency", Text::from_integer(took_ms));
    }
    if on.server {
        x.response
            .headers
            .set("Server", worker.texts.server.clone());
    }
    if on.request_id {
        x.response
            .headers
            .set("X-Kong-Request-Id", x.request_id.clone());
    }
}

/// Answers with an error. False where nothing could be sent.
pub(super) async fn error<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    error: &GatewayError,
) -> bool {
    let snapshot = Rc::clone(&x.snapshot);
    chain::finish(x, &snapshot);
    // A body that was too long for a filter is refused in its words.
    let is_too_large = matches!(error, GatewayError::Request(RequestFault::BodyTooLarge));
    if let Some(limit) = x.request.body_limit.take().filter(|_| is_too_large) {
        return answer(worker, x, client, &limit.refusal, false).await;
    }
    let worded = error_page::word(error, x, worker.settings().https_port);
    answer(worker, x, client, &worded.answer, worded.is_of_server).await
}

/// Sends a response of our own. False where nothing could be sent.
pub(super) async fn answer<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    answer: &Answer,
    is_of_server: bool,
) -> bool {
    worker.touch(x);
    let settings = worker.settings();
    let forms = Forms::of(&settings);
    let mut page = error_page::render(x, answer, is_of_server, &forms);
    prepare(x, answer, &page);
    match phases::header_filter(worker, x).await {
        Filtered::Passed => {}
        Filtered::Answered(answer) => {
            page = error_page::render(x, &answer, false, &forms);
            x.response.headers.clear();
            prepare(x, &answer, &page);
        }
        Filtered::Broken => {
            let broken = error_page::word(&GatewayError::Unexpected, x, None).answer;
            page = error_page::render(x, &broken, true, &forms);
            x.response.headers.clear();
            prepare(x, &broken, &page);
        }
    }
    if x.tries.is_empty() && !x.response.is_repeated {
        put_own_headers(worker, x);
    } else {
        put_proxied_headers(worker, x);
    }
    let Some(body) = filtered(worker, x, page).await else {
        return false;
    };
    let length = body.len() as u64;
    if x.response.is_body_changed {
        x.response
            .headers
            .set("Content-Length", Text::from_integer(length));
    }
    let is_bodiless = matches!(x.response.status, 100..=199 | 204 | 304);
    client.send_head(
        x,
        if is_bodiless {
            ResponseBody::None { length: None }
        } else {
            ResponseBody::Length(length)
        },
    );
    if !body.is_empty() && !is_bodiless {
        client.send_data(body);
    }
    client.send_end();
    poll_fn(|context| client.poll_flush(context)).await.is_ok()
}

// A whole body of ours goes through the body filters at once, so that its length is known.
async fn filtered(worker: &Worker, x: &mut Exchange, page: Page) -> Option<bytes::Bytes> {
    if !chain::has_phase(x, Phase::BodyFilter) {
        return Some(page.body);
    }
    let mut chunk = BodyChunk {
        data: page.body,
        is_last: true,
    };
    let mut outcome = None;
    loop {
        match phases::body_filter(worker, x, &mut chunk, outcome.take())? {
            Step::Done => return Some(chunk.data),
            Step::Wait(Effect::Visit(visit)) => {
                outcome = Some(visit::perform(worker, x, visit).await);
            }
            Step::Wait(_) | Step::Answered(_) => return None,
        }
    }
}

fn prepare(x: &mut Exchange, answer: &Answer, page: &Page) {
    let is_server_page = matches!(answer.body, twinplane_engine::answer::AnswerBody::Page);
    let response = &mut x.response;
    response.headers.clear_spans();
    response.status = answer.status;
    response.reason = error_page::reason(answer.status).map(Text::from_static);
    response.source = Source::Kong;
    response.content_length = Some(page.body.len() as u64);
    if let Some(content_type) = &page.content_type {
        let with_charset = (!is_server_page && receive::gets_charset(content_type.as_bytes()))
            .then(|| Text::from([content_type.as_bytes(), b"; charset=UTF-8"].concat()));
        response.headers.set(
            "Content-Type",
            with_charset.unwrap_or_else(|| content_type.clone()),
        );
    }
    for (name, value) in answer.headers.iter() {
        if name.eq_ignore_ascii_case(b"content-type") && page.content_type.is_some() {
            continue;
        }
        response
            .headers
            .append(Text::copy_from(name), Text::copy_from(value));
    }
    if let Some(status) = &page.call {
        response
            .headers
            .set("grpc-status", Text::from_integer(status.code));
        response.headers.set("grpc-message", status.message.clone());
    }
    if !is_server_page && !matches!(answer.status, 204 | 304) {
        response
            .headers
            .set("Content-Length", Text::from_integer(page.body.len()));
    }
}
