//! One request's facts and edits, from the first byte to the log line. Filters read and edit it; only the proxy renders it.
//! Holds no clock and no socket: times and addresses are handed in.
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use twinplane_model::Id;

use crate::answer::Answer;
use crate::chain::ChainRun;
use crate::headers::Headers;
use crate::scratch::Scratch;
use crate::snapshot::{ConsumerEntry, Local, NodeState, RouteEntry, ServiceEntry, Snapshot};
use crate::stream::Stream;
use crate::text::Text;

/// One request on its way through the gateway.
#[derive(Debug)]
pub struct Exchange {
    /// 32 hexadecimal digits, sent both ways as `X-Kong-Request-Id`.
    pub request_id: Text,
    /// Monotonic microseconds, refreshed before each phase.
    pub now_us: u64,
    /// Microseconds since the epoch, refreshed before each phase.
    pub wall_us: u64,
    /// When things happened.
    pub times: Times,
    /// Who asks.
    pub client: Client,
    /// What is asked; header edits made here go upstream.
    pub request: Request,
    /// The configuration this request is served by, from first to last byte.
    pub snapshot: Local<Snapshot>,
    /// What outlives configurations.
    pub node: Local<NodeState>,
    /// Index of the matched route in `snapshot.routes`.
    pub route: Option<u32>,
    /// Index of its service in `snapshot.services`.
    pub service: Option<u32>,
    /// What the route's path took from the request's path.
    pub matched: Matched,
    /// The authenticated consumer.
    pub consumer: Option<Arc<ConsumerEntry>>,
    /// The credential that was used.
    pub credential: Option<CredentialRef>,
    /// Groups that an auth plugin vouches for, with or without a consumer.
    pub authenticated_groups: Vec<Text>,
    /// Whether the consumer is the `anonymous` one of an auth plugin.
    pub is_anonymous: bool,
    /// The application the credential belongs to (portal), for metering.
    pub application: Option<Id>,
    /// What is sent upstream beyond the request's own headers.
    pub upstream: UpstreamRequest,
    /// What goes back.
    pub response: Response,
    /// Each attempt at an upstream, in order.
    pub tries: Vec<Try>,
    /// Fields that filters add to the entries of log plugins.
    pub log_fields: Vec<(&'static str, Text)>,
    /// Set where this is a stream rather than a request.
    pub stream: Option<Box<Stream>>,
    /// Small values that filters keep for their later phases.
    pub scratch: Scratch,
    /// What plugins outside of the workers' threads keep for each other.
    pub shared: Option<Box<dyn Any + Send>>,
    /// Which plugins apply and how far they have run.
    pub chain: ChainRun,
}

/// Points in time, monotonic microseconds (zero: not reached).
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// First byte of the head read.
    pub started_us: u64,
    /// The same on the wall clock.
    pub started_wall_us: u64,
    /// The access phase ended and balancing began.
    pub proxied_us: u64,
    /// The connection to the (last tried) upstream was ready.
    pub connected_us: u64,
    /// The upstream's response head was read.
    pub answered_us: u64,
    /// Last byte of the response written.
    pub ended_us: u64,
}

impl Times {
    /// From the first byte to the end of the access phase (`X-Kong-Proxy-Latency`).
    pub fn proxy_us(&self) -> u64 {
        self.proxied_us.saturating_sub(self.started_us)
    }

    /// Waiting for the upstream's response head (`X-Kong-Upstream-Latency`), if one was asked.
    pub fn waiting_us(&self) -> Option<u64> {
        (self.proxied_us != 0).then(|| self.answered_us.max(self.proxied_us) - self.proxied_us)
    }

    /// From the response head to the last byte, if an upstream answered.
    pub fn receive_us(&self) -> Option<u64> {
        (self.answered_us != 0).then(|| self.ended_us.saturating_sub(self.answered_us))
    }

    /// First byte in to last byte out.
    pub fn total_us(&self) -> u64 {
        self.ended_us.saturating_sub(self.started_us)
    }
}

/// Scheme of a connection or of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Port that is left out of `Host`.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Version of HTTP spoken downstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl HttpVersion {
    /// `1.0`, `1.1` or `2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// The downstream side.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address of the connection's other end.
    pub peer: IpAddr,
    /// Its port.
    pub peer_port: u16,
    /// The client's address by `trusted_ips` and `real_ip_header`; the peer's where these say nothing.
    pub ip: IpAddr,
    /// The client's port by the same rule.
    pub port: u16,
    /// Whether the peer is in `trusted_ips`.
    pub is_trusted: bool,
    /// Scheme of the connection.
    pub scheme: Scheme,
    /// Scheme the client used by a trusted `X-Forwarded-Proto`, else the connection's.
    pub forwarded_scheme: Scheme,
    /// Address at which the client reached us.
    pub listener_ip: IpAddr,
    /// Port of our listener.
    pub listener_port: u16,
    /// Number of the connection among those of the process, and of the request on it.
    pub serial: (u64, u64),
    /// Server name of the TLS handshake.
    pub sni: Option<Arc<str>>,
    /// Version of HTTP.
    pub http_version: HttpVersion,
    /// Protocol of the TLS session (`TLSv1.3`), for the log.
    pub tls_version: Option<&'static str>,
    /// Cipher suite of the TLS session, for the log.
    pub tls_cipher: Option<&'static str>,
}

impl Default for Client {
    fn default() -> Self {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            peer: nowhere,
            peer_port: 0,
            ip: nowhere,
            port: 0,
            is_trusted: false,
            scheme: Scheme::Http,
            forwarded_scheme: Scheme::Http,
            listener_ip: nowhere,
            listener_port: 0,
            serial: (0, 0),
            sni: None,
            http_version: HttpVersion::Http11,
            tls_version: None,
            tls_cipher: None,
        }
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks up to the empty one (HTTP/2: until the stream ends).
    Chunked,
}

/// What the client asks.
#[derive(Debug, Default)]
pub struct Request {
    /// The method, as sent.
    pub method: Text,
    /// The target as sent: `/path?query`.
    pub target: Text,
    /// The normalised path, by which everything decides.
    pub path: Text,
    /// Bytes after the first `?` of the target; none where there is no `?`.
    pub query: Option<Text>,
    /// The `Host` header (HTTP/2: `:authority`), as sent.
    pub host: Text,
    /// The client's headers, with the edits of filters.
    pub headers: Headers,
    /// How the body comes.
    pub body: Framing,
    /// The body, once a filter has waited for it; only its beginning where it was too large.
    pub buffered: Option<Bytes>,
    /// Whether `buffered` is the whole body.
    pub is_buffered_whole: bool,
    /// What a filter allows of a body whose length is not known before it comes.
    pub body_limit: Option<BodyLimit>,
    /// Bytes received: head and body.
    pub bytes: u64,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// How much of a body may come. It is counted as it comes, whether or not it is held.
#[derive(Debug)]
pub struct BodyLimit {
    /// The most that is let through.
    pub bytes: u64,
    /// What the client is told where more comes before a response has begun.
    pub refusal: Box<Answer>,
}

impl Request {
    /// The method as text.
    pub fn method(&self) -> &str {
        self.method.as_str().unwrap_or_default()
    }

    /// The first value of a query argument, still escaped; an empty value for an argument without `=`.
    pub fn query_argument(&self, name: &str) -> Option<&[u8]> {
        self.query_arguments()
            .find(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Name and value of each query argument as sent, still escaped.
    pub fn query_arguments(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let query = self.query.as_ref().map_or(&b""[..], Text::as_bytes);
        query
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let equals = memchr::memchr(b'=', pair);
                equals.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]))
            })
    }
}

/// What the matched path gave.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// The prefix that `strip_path` took off (sent as `X-Forwarded-Prefix`).
    pub prefix: Option<Text>,
    /// Captures of a regex path: `(name, value)`; numbered ones are named "0", "1", ...
    pub captures: Vec<(Box<str>, Box<str>)>,
}

impl Matched {
    /// A capture by name or number.
    pub fn capture(&self, name: &str) -> Option<&str> {
        self.captures
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| &**value)
    }
}

/// Which credential was used.
#[derive(Clone, Debug)]
pub struct CredentialRef {
    /// Its id.
    pub id: Id,
    /// Its collection, such as `keyauth_credentials`.
    pub kind: &'static str,
}

/// What is sent upstream beside the request's headers. Set by the walk after the match; filters may change it.
#[derive(Clone, Debug, Default)]
pub struct UpstreamRequest {
    /// Scheme of the upstream connection.
    pub scheme: Scheme,
    /// Method, where a filter replaced the client's.
    pub method: Option<Text>,
    /// `Host`, where it is known before a target is picked (`preserve_host`, a filter); else the target's name decides.
    pub host_header: Option<Text>,
    /// Path as sent upstream, escaped.
    pub path: Text,
    /// Query, where a filter replaced the client's: `Some(None)` sends none.
    pub query: Option<Option<Text>>,
    /// Body, where a filter replaced the client's.
    pub body: Option<Bytes>,
    /// Host and port, where a filter chose another upstream than the service's.
    pub target: Option<(Box<str>, u16)>,
}

/// Who made a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The gateway: an error, or a filter's answer.
    #[default]
    Kong,
    /// The upstream.
    Upstream,
    /// Nobody: the client went away first.
    ClientClosed,
}

impl Source {
    /// As records and logs name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kong => "kong",
            Self::Upstream => "upstream",
            Self::ClientClosed => "client_closed",
        }
    }
}

/// What goes back to the client.
#[derive(Debug, Default)]
pub struct Response {
    /// Status code; 499 where the client went away first.
    pub status: u16,
    /// Reason phrase as the upstream sent it; none: the usual one.
    pub reason: Option<Text>,
    /// Header fields; framing fields are the proxy's business and not among them.
    pub headers: Headers,
    /// Who made it.
    pub source: Source,
    /// Status of the upstream's own answer.
    pub upstream_status: Option<u16>,
    /// Length of the body, where known before it is sent.
    pub content_length: Option<u64>,
    /// The whole body, once a filter has waited for it; a filter may replace it.
    pub buffered: Option<Bytes>,
    /// Set by a header filter whose body filter will change the body: the length is then unknown.
    pub is_body_changed: bool,
    /// Set by a header filter: the answer goes without the body that came for it.
    pub is_body_dropped: bool,
    /// Whether the gateway repeats what an upstream has answered before; it then looks like a proxied answer.
    pub is_repeated: bool,
    /// Bytes sent: head and body.
    pub bytes: u64,
    /// Bytes sent of the body.
    pub body_bytes: u64,
}

/// One attempt at an upstream.
#[derive(Clone, Debug)]
pub struct Try {
    /// Address tried.
    pub ip: Text,
    /// Port tried.
    pub port: u16,
    /// When balancing for it began, microseconds since the epoch.
    pub started_wall_us: u64,
    /// How long balancing took.
    pub balancer_us: u64,
    /// Status with which it failed.
    pub code: Option<u16>,
    /// `failed` or `next`, where it did not serve the request.
    pub state: Option<&'static str>,
}

/// A piece of a response body on its way to the client.
#[derive(Clone, Debug)]
pub struct BodyChunk {
    /// The bytes; a filter may replace them.
    pub data: Bytes,
    /// Whether this is the end of the body (the piece may be empty).
    pub is_last: bool,
}

impl Exchange {
    /// Opens an exchange; the proxy fills in what it read.
    pub fn new(snapshot: Local<Snapshot>, node: Local<NodeState>) -> Self {
        Self {
            request_id: Text::EMPTY,
            now_us: 0,
            wall_us: 0,
            times: Times::default(),
            client: Client::default(),
            request: Request::default(),
            snapshot,
            node,
            route: None,
            service: None,
            matched: Matched::default(),
            consumer: None,
            credential: None,
            authenticated_groups: Vec::new(),
            is_anonymous: false,
            application: None,
            upstream: UpstreamRequest::default(),
            response: Response::default(),
            tries: Vec::new(),
            log_fields: Vec::new(),
            stream: None,
            scratch: Scratch::default(),
            shared: None,
            chain: ChainRun::default(),
        }
    }

    /// The matched route.
    pub fn route(&self) -> Option<&RouteEntry> {
        self.route
            .and_then(|index| self.snapshot.routes.get(index as usize))
    }

    /// The service of the matched route.
    pub fn service(&self) -> Option<&ServiceEntry> {
        self.service
            .and_then(|index| self.snapshot.services.get(index as usize))
    }

    /// Keeps a value for this filter's later phases; replaces the one kept before.
    pub fn keep<T: std::any::Any + Send>(&mut self, value: T) {
        self.scratch.put(self.chain.current(), value);
    }

    /// The value this filter kept.
    pub fn kept<T: std::any::Any + Send>(&self) -> Option<&T> {
        self.scratch.get(self.chain.current())
    }

    /// The value this filter kept, to change it.
    pub fn kept_mut<T: std::any::Any + Send>(&mut self) -> Option<&mut T> {
        self.scratch.get_mut(self.chain.current())
    }
}
