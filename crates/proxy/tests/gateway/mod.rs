//! A core on loopback, a scripted upstream and a raw client: bytes in, bytes out.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "each test file uses its part"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use twinplane_engine::plugin::PluginSpec;
use twinplane_proxy::server::Server;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the upstream does with a connection's next request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Reads a request and writes these bytes.
    Reply(Vec<u8>),
    /// Reads a request's head only and writes these bytes.
    ReplyEarly(Vec<u8>),
    /// Reads a request, writes these bytes, closes.
    ReplyAndClose(Vec<u8>),
    /// Reads a request and closes.
    Close,
    /// Reads a request and is silent.
    Hang,
    /// Reads a request, writes these bytes, then echoes whatever comes.
    Echo(Vec<u8>),
}

/// The usual reply.
pub fn ok() -> Act {
    Act::Reply(b"HTTP/1.1 200 OK\r\nServer: up\r\nContent-Length: 2\r\n\r\nok".to_vec())
}

/// A reply in full.
pub fn reply(text: &str) -> Act {
    Act::Reply(text.as_bytes().to_vec())
}

/// An upstream that follows a script, request by request, whatever the connection; after its end it says `ok`.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Receiver<Vec<u8>>,
    script: Sender<Act>,
}

impl Upstream {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let (seen_in, seen) = channel();
        let (script, acts) = channel();
        let acts = std::sync::Arc::new(std::sync::Mutex::new(acts));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, acts) = (seen_in.clone(), std::sync::Arc::clone(&acts));
                std::thread::spawn(move || serve(stream, &seen, &acts));
            }
        });
        Self {
            address,
            seen,
            script,
        }
    }

    /// Says what happens to the next request.
    pub fn next(&self, act: Act) {
        self.script.send(act).expect("a script");
    }

    /// The next request as it arrived.
    pub fn request(&self) -> String {
        let bytes = self
            .seen
            .recv_timeout(PATIENCE)
            .expect("a request upstream");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether nothing more has arrived.
    pub fn is_quiet(&self) -> bool {
        self.seen.recv_timeout(Duration::from_millis(150)).is_err()
    }
}

fn serve(mut stream: TcpStream, seen: &Sender<Vec<u8>>, acts: &std::sync::Mutex<Receiver<Act>>) {
    let mut buffer = Vec::new();
    while let Some(head) = read_until(&mut stream, &mut buffer, b"\r\n\r\n") {
        let act = acts
            .lock()
            .expect("no panic")
            .try_recv()
            .unwrap_or_else(|_| ok());
        let mut request = head.clone();
        if !matches!(act, Act::ReplyEarly(_)) {
            request.extend(read_body(&mut stream, &mut buffer, &head));
        }
        if seen.send(request).is_err() {
            return;
        }
        match act {
            Act::Reply(bytes) | Act::ReplyEarly(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Act::ReplyAndClose(bytes) => {
                let _gone = stream.write_all(&bytes);
                return;
            }
            Act::Close => return,
            Act::Hang => std::thread::sleep(PATIENCE),
            Act::Echo(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
                let mut piece = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    if stream.write_all(&piece[..read]).is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|part| part == end) {
            return Some(buffer.drain(..at + end.len()).collect());
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return read_until(stream, buffer, b"0\r\n\r\n").unwrap_or_default();
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    while buffer.len() < length {
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
            _ => break,
        }
    }
    buffer.drain(..length.min(buffer.len())).collect()
}

/// A core that proxies.
pub struct Gateway {
    /// The core.
    pub server: Server,
    /// Where it listens in the clear.
    pub address: SocketAddr,
}

impl Gateway {
    /// Starts one with settings beside the usual ones, a configuration, and plugins.
    pub fn start(settings: Value, config: &Value, plugins: &'static [PluginSpec]) -> Self {
        let mut all = json!({
            "node_id": "n", "version": "twinplane/0.1.0", "workers": 1,
            "listeners": [{"address": "127.0.0.1", "port": 0}],
        });
        for (name, value) in settings.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let settings = all.to_string();
        let payload = config.to_string();
        let server =
            Server::start(settings.as_bytes(), Some(payload.as_bytes()), plugins).expect("a start");
        let listener = &server.status().listeners[0];
        let ip = listener.address.parse().expect("an address");
        let address = SocketAddr::new(ip, listener.port);
        Self { server, address }
    }

    /// In front of one upstream, with fields for its service and its route.
    pub fn before(upstream: &Upstream, settings: Value, service: Value, route: Value) -> Self {
        Self::start(
            settings,
            &config(upstream.address.port(), service, route),
            &[],
        )
    }

    /// The usual one.
    pub fn plain(upstream: &Upstream) -> Self {
        Self::before(upstream, json!({}), json!({}), json!({}))
    }

    /// A client's connection.
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: &str) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    /// Access records so far.
    pub fn records(&self) -> Vec<Value> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let lines = self.server.drain(twinplane_proxy::drain::Kind::Records);
            let records: Vec<Value> = lines
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).expect("a record"))
                .collect();
            if !records.is_empty() || std::time::Instant::now() > deadline {
                return records;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.stop(Duration::ZERO);
    }
}

/// One service on loopback with one route that takes everything.
pub fn config(port: u16, service: Value, route: Value) -> Value {
    let mut service_row = json!({"id": "s", "protocol": "http", "host": "127.0.0.1", "port": port, "enabled": true, "retries": 0});
    let mut route_row = json!({
        "id": "r", "service": "s", "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": true,
        "preserve_host": false, "request_buffering": true, "response_buffering": true, "paths": ["/"], "regex_priority": 0,
    });
    for (row, extra) in [(&mut service_row, service), (&mut route_row, route)] {
        for (name, value) in extra.as_object().expect("an object") {
            row[name] = value.clone();
        }
    }
    json!({"services": [service_row], "routes": [route_row]})
}

/// A raw client.
pub struct Client {
    /// The socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Status line and fields, without the empty line.
    pub head: String,
    /// The body, taken out of its chunks.
    pub body: Vec<u8>,
    /// Whether the connection was closed before the body's end.
    pub is_cut: bool,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }

    /// A field's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Names of all fields, in order.
    pub fn names(&self) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Sends bytes.
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("sent");
    }

    /// The next response.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response to a method.
    pub fn response_to(&mut self, method: &str) -> Response {
        let Some(head) = read_until(&mut self.stream, &mut self.buffer, b"\r\n\r\n") else {
            let body = std::mem::take(&mut self.buffer);
            return Response {
                head: String::new(),
                body,
                is_cut: true,
            };
        };
        let head = String::from_utf8_lossy(&head[..head.len() - 4]).into_owned();
        let mut response = Response {
            head,
            body: Vec::new(),
            is_cut: false,
        };
        let status = response.status();
        if method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status) {
            return response;
        }
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().expect("a length");
            response.is_cut = !self.fill(length);
            response.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        } else if response.header("transfer-encoding").is_some() {
            while let Some(line) = read_until(&mut self.stream, &mut self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(line.trim(), 16).expect("a size");
                if !self.fill(size + 2) {
                    response.is_cut = true;
                    return response;
                }
                response.body.extend(self.buffer.drain(..size));
                self.buffer.drain(..2);
                if size == 0 {
                    return response;
                }
            }
            response.is_cut = true;
        } else {
            let mut rest = std::mem::take(&mut self.buffer);
            let _until_close = self.stream.read_to_end(&mut rest);
            response.body = rest;
        }
        response
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        assert!(
            self.fill(count),
            "only {:?}",
            String::from_utf8_lossy(&self.buffer)
        );
        self.buffer.drain(..count).collect()
    }

    /// Whether the other side has closed, without a further byte.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    fn fill(&mut self, count: usize) -> bool {
        while self.buffer.len() < count {
            let mut piece = [0; 16_384];
            match self.stream.read(&mut piece) {
                Ok(read @ 1..) => self.buffer.extend_from_slice(&piece[..read]),
                _ => return false,
            }
        }
        true
    }
}
