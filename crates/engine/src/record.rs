//! One record per request or stream for analytics, and the key under which usage is counted. No header, body, query or credential
//! value ever enters a record.
use twinplane_model::Id;

use crate::exchange::{Exchange, HttpVersion, Source};
use crate::text::Text;

/// What is kept of one request.
#[derive(Clone, Debug)]
pub struct AccessRecord<'a> {
    /// Microseconds since the epoch.
    pub started_us: u64,
    /// The request's id.
    pub request_id: &'a Text,
    /// Service asked.
    pub service_id: Option<&'a Id>,
    /// Route matched.
    pub route_id: Option<&'a Id>,
    /// Consumer recognised.
    pub consumer_id: Option<&'a Id>,
    /// Credential used.
    pub credential_id: Option<&'a Id>,
    /// Application of the credential.
    pub application_id: Option<&'a Id>,
    /// Method.
    pub method: &'a Text,
    /// Normalised path, without the query.
    pub path: &'a Text,
    /// Host, only where the route matched on it.
    pub host: Option<&'a Text>,
    /// Scheme of the connection, or how the stream was carried.
    pub protocol: &'static str,
    /// Version of HTTP; none of a stream.
    pub http_version: Option<HttpVersion>,
    /// Status sent.
    pub status: u16,
    /// Status of the upstream.
    pub upstream_status: Option<u16>,
    /// Who made the response.
    pub source: Source,
    /// Time spent here.
    pub latency_kong_us: u64,
    /// Time spent waiting for the upstream.
    pub latency_upstream_us: Option<u64>,
    /// Time in all.
    pub latency_total_us: u64,
    /// Bytes received.
    pub request_bytes: u64,
    /// Bytes sent.
    pub response_bytes: u64,
    /// Attempts at upstreams.
    pub tries: u32,
}

impl<'a> AccessRecord<'a> {
    /// The record of a request that is over.
    pub fn of(x: &'a Exchange) -> Self {
        let route = x.route();
        let total = x.times.total_us();
        let upstream = x.times.waiting_us();
        Self {
            started_us: x.times.started_wall_us,
            request_id: &x.request_id,
            service_id: x.service().map(|service| &service.model.id),
            route_id: route.map(|route| &route.model.id),
            consumer_id: x.consumer.as_ref().map(|consumer| &consumer.model.id),
            credential_id: x.credential.as_ref().map(|credential| &credential.id),
            application_id: x.application.as_ref(),
            method: &x.request.method,
            path: &x.request.path,
            host: route
                .filter(|route| {
                    route
                        .model
                        .hosts
                        .as_ref()
                        .is_some_and(|hosts| !hosts.is_empty())
                })
                .map(|_| &x.request.host),
            protocol: x
                .stream
                .as_ref()
                .map_or(x.client.scheme.as_str(), |stream| stream.transport.name()),
            http_version: x.stream.is_none().then_some(x.client.http_version),
            status: x.response.status,
            upstream_status: x.response.upstream_status,
            source: x.response.source,
            latency_kong_us: total.saturating_sub(upstream.unwrap_or(0)),
            latency_upstream_us: upstream,
            latency_total_us: total,
            request_bytes: x.request.bytes,
            response_bytes: x.response.bytes,
            tries: u32::try_from(x.tries.len()).unwrap_or(u32::MAX),
        }
    }

    /// Writes the record as one line: a JSON array, columns in the order of the fields above.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let mut line = Line {
            out,
            separator: b'[',
        };
        line.integer(self.started_us);
        line.plain(Some(self.request_id.as_bytes()));
        for id in [
            self.service_id,
            self.route_id,
            self.consumer_id,
            self.credential_id,
            self.application_id,
        ] {
            line.plain(id.map(|id| id.as_bytes()));
        }
        line.text(Some(known_part(self.method.as_bytes())));
        line.path(self.path.as_bytes());
        line.text(self.host.map(Text::as_bytes));
        line.plain(Some(self.protocol.as_bytes()));
        line.plain(self.http_version.map(|version| version.as_str().as_bytes()));
        line.integer(u64::from(self.status));
        line.optional(self.upstream_status.map(u64::from));
        line.plain(Some(self.source.as_str().as_bytes()));
        line.integer(self.latency_kong_us);
        line.optional(self.latency_upstream_us);
        line.integer(self.latency_total_us);
        line.integer(self.request_bytes);
        line.integer(self.response_bytes);
        line.integer(u64::from(self.tries));
        out.extend_from_slice(b"]\n");
    }

    /// The key under which this request counts as usage.
    pub fn usage_key(&self) -> UsageKey {
        UsageKey {
            minute: self.started_us / 60_000_000 * 60,
            service_id: self.service_id.cloned(),
            route_id: self.route_id.cloned(),
            consumer_id: self.consumer_id.cloned(),
            application_id: self.application_id.cloned(),
            status: self.status,
        }
    }
}

// What was not read of a request that was refused is told by a dash; a method is bounded.
fn known_part(text: &[u8]) -> &[u8] {
    if text.is_empty() {
        b"-"
    } else {
        &text[..text.len().min(METHOD_BYTES_MAX)]
    }
}

fn known_part_of_path(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"-" } else { path }
}

const METHOD_BYTES_MAX: usize = 64;

/// Under what requests are counted for metering.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UsageKey {
    /// Start of the minute, seconds since the epoch.
    pub minute: u64,
    /// Service asked.
    pub service_id: Option<Id>,
    /// Route matched.
    pub route_id: Option<Id>,
    /// Consumer recognised.
    pub consumer_id: Option<Id>,
    /// Application of the credential.
    pub application_id: Option<Id>,
    /// Status sent.
    pub status: u16,
}

/// What is counted under a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests.
    pub count: u64,
    /// Bytes received.
    pub request_bytes: u64,
    /// Bytes sent.
    pub response_bytes: u64,
}

impl UsageKey {
    /// Writes key and usage as one line: a JSON array.
    pub fn write_line(&self, usage: &Usage, out: &mut Vec<u8>) {
        let mut line = Line {
            out,
            separator: b'[',
        };
        line.integer(self.minute);
        for id in [
            &self.service_id,
            &self.route_id,
            &self.consumer_id,
            &self.application_id,
        ] {
            line.text(id.as_ref().map(|id| id.as_bytes()));
        }
        line.integer(u64::from(self.status));
        line.integer(usage.count);
        line.integer(usage.request_bytes);
        line.integer(usage.response_bytes);
        out.extend_from_slice(b"]\n");
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Line<'_> {
    fn start(&mut self) {
        self.out.push(self.separator);
        self.separator = b',';
    }

    fn integer(&mut self, value: u64) {
        self.start();
        self.out
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn optional(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.integer(value),
            None => self.text(None),
        }
    }

    // Text that needs no escaping: ids and words of our own.
    fn plain(&mut self, value: Option<&[u8]>) {
        self.start();
        match value {
            None => self.out.extend_from_slice(b"null"),
            Some(value) => {
                self.out.push(b'"');
                self.out.extend_from_slice(value);
                self.out.push(b'"');
            }
        }
    }

    // A normalised path may hold control bytes that were escaped in the target; here they are escaped again.
    fn path(&mut self, value: &[u8]) {
        if !value.iter().any(u8::is_ascii_control) {
            return self.text(Some(known_part_of_path(value)));
        }
        let mut escaped = Vec::with_capacity(value.len() + 16);
        for byte in value {
            if byte.is_ascii_control() {
                let digits = b"0123456789ABCDEF";
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                escaped.extend_from_slice(&[b'%', digits[high], digits[low]]);
            } else {
                escaped.push(*byte);
            }
        }
        self.text(Some(&escaped));
    }

    fn text(&mut self, value: Option<&[u8]>) {
        self.start();
        let Some(value) = value else {
            self.out.extend_from_slice(b"null");
            return;
        };
        self.out.push(b'"');
        // Every byte is looked at, whatever was found, so that many are looked at at a time.
        let is_odd = |byte: u8| !(b' '..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
        if value
            .iter()
            .fold(0, |found, byte| found | u8::from(is_odd(*byte)))
            == 0
        {
            self.out.extend_from_slice(value);
        } else {
            self.escaped(&String::from_utf8_lossy(value));
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '"' | '\\' => self.out.extend_from_slice(&[b'\\', character as u8]),
                control if u32::from(control) < 0x20 => {
                    let digits = b"0123456789abcdef";
                    let code = control as usize;
                    self.out.extend_from_slice(&[
                        b'\\',
                        b'u',
                        b'0',
                        b'0',
                        digits[code >> 4],
                        digits[code & 15],
                    ]);
                }
                other => self
                    .out
                    .extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::{NodeState, Snapshot};

    fn line_of(change: impl FnOnce(&mut Exchange)) -> Vec<serde_json::Value> {
        let snapshot = Rc::new(Arc::new(Snapshot::default()));
        let mut x = Exchange::new(snapshot, Rc::new(Arc::new(NodeState::default())));
        change(&mut x);
        let mut line = Vec::new();
        AccessRecord::of(&x).write_line(&mut line);
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn columns_are_in_their_order() {
        let line = line_of(|x| {
            x.request_id = Text::from_static("id");
            x.request.method = Text::from_static("GET");
            x.request.path = Text::copy_from("/a\"b".as_bytes());
            x.times.started_wall_us = 7;
            x.times.ended_us = 12;
            x.response.status = 200;
        });
        let wanted = serde_json::json!([
            7, "id", null, null, null, null, null, "GET", "/a\"b", null, "http", "1.1", 200, null,
            "kong", 12, null, 12, 0, 0, 0
        ]);
        assert_eq!(serde_json::Value::from(line), wanted);
    }

    #[test]
    fn a_stream_is_told_by_how_it_was_carried() {
        let line = line_of(|x| {
            x.stream = Some(Box::default());
            x.response.status = 502;
        });
        let told: Vec<&serde_json::Value> = line[7..13].iter().collect();
        let wanted = serde_json::json!(["-", "-", null, "tcp", null, 502]);
        assert_eq!(told, wanted.as_array().unwrap().iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_clients_write_cannot_forge_or_break_a_line() {
        let line = line_of(|x| {
            x.request.method = Text::copy_from(&[b'A'; 100]);
            x.request.path = Text::copy_from(b"/a\nb\x7f\xff");
        });
        assert_eq!(line[7].as_str().map(str::len), Some(64));
        assert_eq!(line[8].as_str(), Some("/a%0Ab%7F\u{fffd}"));
        let unread = line_of(|_| {});
        assert_eq!(
            (unread[7].as_str(), unread[8].as_str()),
            (Some("-"), Some("-"))
        );
    }
}
