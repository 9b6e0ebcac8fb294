//! What the tests of this crate share: a gateway on any free port, an upstream that tells what it was sent, and clients
//! that say exactly what a test wants said.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use twinplane_proxy::server::Server;

pub mod tls;

/// A PEM file of `tests/certificates`.
pub fn pem(name: &str) -> String {
    let path = format!("{}/tests/certificates/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// Certificate and key of that name.
pub fn pair(name: &str) -> Value {
    json!({"cert": pem(&format!("{name}.pem")), "key": pem(&format!("{name}.key"))})
}

/// A row of `services`.
pub fn service(id: &str, address: SocketAddr) -> Value {
    json!({"id": id, "name": id, "protocol": "http", "host": address.ip().to_string(), "port": address.port(), "retries": 5,
        "connect_timeout": 5_000, "read_timeout": 5_000, "write_timeout": 5_000, "enabled": true})
}

/// A row of `routes`, for any method under a path.
pub fn route(id: &str, service: &str, path: &str) -> Value {
    json!({"id": id, "name": id, "service": service, "protocols": ["http", "https"], "https_redirect_status_code": 426,
        "strip_path": false, "preserve_host": false, "request_buffering": true, "response_buffering": true, "paths": [path],
        "path_handling": "v0", "regex_priority": 0})
}

/// A configuration with one route to one upstream.
pub fn one_route(address: SocketAddr) -> Value {
    json!({"services": [service("s", address)], "routes": [route("r", "s", "/")]})
}

/// A gateway under test.
pub struct Gateway {
    pub server: Server,
    pub port: u16,
}

impl Gateway {
    /// In the clear, with the settings changed as told.
    pub fn start(changes: &Value, payload: &Value) -> Self {
        let mut settings = json!({"node_id": "n", "version": "twinplane/0.1.0", "workers": 2,
            "listeners": [{"address": "127.0.0.1", "port": 0, "http2": true}], "default_certificates": [pair("default")]});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let payload = payload.to_string();
        let server = Server::start(
            settings.to_string().as_bytes(),
            Some(payload.as_bytes()),
            &[],
        )
        .unwrap();
        let port = server.status().listeners[0].port;
        Self { server, port }
    }

    /// With one TLS listener.
    pub fn start_tls(changes: &Value, payload: &Value) -> Self {
        let mut settings =
            json!({"listeners": [{"address": "127.0.0.1", "port": 0, "tls": true, "http2": true}]});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        Self::start(&settings, payload)
    }

    pub fn apply(&self, payload: &Value) {
        self.server.apply(payload.to_string().as_bytes()).unwrap();
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        Answer::read(&mut stream).unwrap()
    }

    pub fn metrics(&self) -> Value {
        serde_json::from_slice(&self.server.drain("metrics".parse().unwrap())).unwrap()
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// An HTTP/1 response as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads one response; none where the peer closed instead.
    pub fn read(stream: &mut impl Read) -> Option<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Self {
            status,
            head,
            body: Vec::new(),
        };
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut answer.body).ok()?;
        } else if answer.header("transfer-encoding").is_some() {
            answer.body = read_chunks(stream)?;
        }
        Some(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        header_lines(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Values of a header that the upstream was sent (it answers with what it was sent).
    pub fn sent(&self, name: &str) -> Vec<&str> {
        header_lines(self.text(), name)
    }
}

fn header_lines<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let values = head.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    values.collect()
}

fn read_chunks(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).ok()?;
            line.push(byte[0]);
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// An upstream that answers each request with the head and body it was sent. `/slow/MS` waits first.
pub struct Upstream {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), counter) = (stream, Arc::clone(&counter)) else {
                    return;
                };
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut writer = stream.try_clone().unwrap();
                    let mut reader = BufReader::new(stream);
                    while echo(&mut reader, &mut writer, &counter).is_some() {}
                });
            }
        });
        Self { address, requests }
    }

    pub fn seen(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers one request with its own head and body.
pub fn echo(
    reader: &mut impl BufRead,
    writer: &mut impl Write,
    counter: &AtomicUsize,
) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    counter.fetch_add(1, Ordering::SeqCst);
    let mut body = Vec::new();
    if let Some(length) = header_lines(&head, "content-length").first() {
        body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).ok()?;
    } else if !header_lines(&head, "transfer-encoding").is_empty() {
        body = read_chunks(reader)?;
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    if let Some(wait) = path.strip_prefix("/slow/") {
        std::thread::sleep(Duration::from_millis(wait.parse().unwrap()));
    }
    let answer = if header_lines(&head, "x-only-body").is_empty() {
        [head.as_bytes(), &body].concat()
    } else {
        body
    };
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    )
    .ok()?;
    writer.write_all(&answer).ok()
}
