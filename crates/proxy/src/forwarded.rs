//! Who the client is and what it asked for, through trusted proxies in front: the client's address on the way in,
//! `X-Forwarded-*` and `X-Real-IP` on the way out. One derivation for everything that judges by address.
use std::net::{IpAddr, SocketAddr};

use twinplane_engine::exchange::{Client, Exchange, HttpVersion, Scheme};
use twinplane_engine::headers::Headers;

use crate::conn_info::ConnInfo;
use crate::settings::Settings;
use crate::upstream::peers::address_text;

/// The client of a request on a connection.
pub fn client(
    info: &ConnInfo,
    settings: &Settings,
    headers: &Headers,
    version: HttpVersion,
) -> Client {
    let scheme = if info.tls.is_some() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let peer = info.peer.ip().to_canonical();
    let is_trusted = settings.trusts(peer);
    let told = if is_trusted {
        told_address(info, settings, headers)
    } else {
        None
    };
    // One of IPv4 is the same in either form.
    let (ip, port) = told.map_or((peer, info.peer.port()), |(ip, port)| {
        (ip.to_canonical(), port)
    });
    Client {
        peer,
        peer_port: info.peer.port(),
        ip,
        port,
        is_trusted,
        scheme,
        forwarded_scheme: forwarded_scheme(is_trusted, headers).unwrap_or(scheme),
        listener_ip: info.listener_ip,
        listener_port: info.listener_port,
        serial: (0, 0),
        sni: info.tls.as_ref().and_then(|tls| tls.sni.clone()),
        http_version: version,
        tls_version: info.tls.as_ref().map(|tls| tls.version),
        tls_cipher: info.tls.as_ref().map(|tls| tls.cipher),
    }
}

pub(crate) fn forwarded_scheme(is_trusted: bool, headers: &Headers) -> Option<Scheme> {
    let told = headers.get("x-forwarded-proto").filter(|_| is_trusted)?;
    if told.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if told.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

// What a trusted peer says of the client's address.
fn told_address(info: &ConnInfo, settings: &Settings, headers: &Headers) -> Option<(IpAddr, u16)> {
    let name = settings.start.real_ip_header.as_str();
    if name.eq_ignore_ascii_case("proxy_protocol") {
        return info.proxied_for.map(|client| (client.ip(), client.port()));
    }
    if !name.eq_ignore_ascii_case("x-forwarded-for") {
        return headers.get(name).and_then(address);
    }
    // From the right: each hop added the one before it.
    let mut found = None;
    let lines: Vec<&[u8]> = headers.get_all(name).collect();
    let entries = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for entry in entries {
        let Some(told) = address(entry) else {
            break;
        };
        found = Some(told);
        if !settings.start.real_ip_recursive || !settings.trusts(told.0) {
            break;
        }
    }
    found
}

fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some((ip, 0));
    }
    let with_port: SocketAddr = text.parse().ok()?;
    Some((with_port.ip(), with_port.port()))
}

/// Writes `X-Forwarded-*` and `X-Real-IP` as header lines. What an untrusted peer sent of them is replaced, but for the
/// addresses in `X-Forwarded-For`, which name no one by themselves.
pub fn write(x: &Exchange, settings: &Settings, out: &mut Vec<u8>) {
    let (client, headers) = (&x.client, &x.request.headers);
    let told = |name: &str| {
        if client.is_trusted {
            headers.get(name)
        } else {
            None
        }
    };
    out.extend_from_slice(b"X-Forwarded-For: ");
    // Of several lines only the first counts, as on a real node (vectors/plugins, xff-untrusted).
    if let Some(before) = headers.get("x-forwarded-for") {
        put(out, &[before, b", "]);
    }
    let peer = address_text(client.peer);
    put(out, &[peer.as_bytes(), b"\r\nX-Forwarded-Proto: "]);
    let proto = told("x-forwarded-proto").unwrap_or(client.scheme.as_str().as_bytes());
    put(out, &[proto, b"\r\nX-Forwarded-Host: "]);
    match told("x-forwarded-host") {
        Some(host) => out.extend_from_slice(host),
        None => out.extend(
            host_without_port(x.request.host.as_bytes())
                .iter()
                .map(u8::to_ascii_lowercase),
        ),
    }
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    if let Some(port) = told("x-forwarded-port") {
        out.extend_from_slice(port);
    } else {
        let mut digits = itoa::Buffer::new();
        let port = digits.format(settings.outside_port(client.listener_port));
        out.extend_from_slice(port.as_bytes());
    }
    let path = told("x-forwarded-path").unwrap_or_else(|| raw_path(x.request.target.as_bytes()));
    put(out, &[b"\r\nX-Forwarded-Path: ", path]);
    let prefix = told("x-forwarded-prefix").or_else(|| stripped_prefix(x));
    if let Some(prefix) = prefix {
        put(out, &[b"\r\nX-Forwarded-Prefix: ", prefix]);
    }
    let real = if client.ip == client.peer {
        peer
    } else {
        address_text(client.ip)
    };
    put(out, &[b"\r\nX-Real-IP: ", real.as_bytes(), b"\r\n"]);
}

fn stripped_prefix(x: &Exchange) -> Option<&[u8]> {
    let prefix = x.matched.prefix.as_ref()?.as_bytes();
    (prefix != b"/").then_some(prefix)
}

/// The path of a target as it was sent, without its query.
pub fn raw_path(target: &[u8]) -> &[u8] {
    memchr::memchr(b'?', target).map_or(target, |at| &target[..at])
}

/// A `Host` without its port.
pub fn host_without_port(host: &[u8]) -> &[u8] {
    let after_bracket = memchr::memrchr(b']', host).unwrap_or(0);
    memchr::memchr(b':', &host[after_bracket..]).map_or(host, |at| &host[..after_bracket + at])
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(recursive: bool, header: &str) -> Settings {
        let json = format!(
            r#"{{"node_id":"n","version":"twinplane/0.1.0","trusted_ips":["127.0.0.0/8"],"real_ip_header":"{header}","real_ip_recursive":{recursive}}}"#
        );
        Settings::parse(json.as_bytes()).unwrap()
    }

    fn ip_of(peer: &str, settings: &Settings, fields: &[(&'static str, &'static str)]) -> String {
        let info = ConnInfo {
            peer: SocketAddr::new(peer.parse().unwrap(), 4000),
            proxied_for: Some("9.8.7.6:5".parse().unwrap()),
            listener_ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            listener_port: 8000,
            tls: None,
            serial: crate::conn_info::Serial::default(),
            identity: None,
            closing: std::rc::Rc::default(),
        };
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(*name, *value);
        }
        client(&info, settings, &headers, HttpVersion::Http11)
            .ip
            .to_string()
    }

    #[test]
    fn only_trusted_peers_tell_the_clients_address() {
        let by_header = settings(false, "X-Real-IP");
        assert_eq!(
            ip_of("127.0.0.1", &by_header, &[("X-Real-IP", "2.2.2.2")]),
            "2.2.2.2"
        );
        assert_eq!(
            ip_of("127.0.0.1", &by_header, &[("X-Real-IP", "[::1]:77")]),
            "::1"
        );
        assert_eq!(
            ip_of("127.0.0.1", &by_header, &[("X-Real-IP", "::ffff:2.2.2.2")]),
            "2.2.2.2"
        );
        assert_eq!(
            ip_of("127.0.0.1", &by_header, &[("X-Real-IP", "nonsense")]),
            "127.0.0.1"
        );
        assert_eq!(
            ip_of("8.8.8.8", &by_header, &[("X-Real-IP", "2.2.2.2")]),
            "8.8.8.8"
        );
        assert_eq!(
            ip_of("127.0.0.1", &settings(false, "proxy_protocol"), &[]),
            "9.8.7.6"
        );
    }

    #[test]
    fn forwarded_for_is_read_from_the_right() {
        let last = settings(false, "X-Forwarded-For");
        let first_untrusted = settings(true, "X-Forwarded-For");
        let chain = [("X-Forwarded-For", "6.6.6.6, 1.1.1.1, 127.0.0.7")];
        assert_eq!(ip_of("127.0.0.1", &last, &chain), "127.0.0.7");
        assert_eq!(ip_of("127.0.0.1", &first_untrusted, &chain), "1.1.1.1");
        let two = [
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-For", "127.0.0.9"),
        ];
        assert_eq!(ip_of("127.0.0.1", &first_untrusted, &two), "1.1.1.1");
    }

    #[test]
    fn a_host_loses_its_port_alone() {
        for (host, wanted) in [
            ("a:80", "a"),
            ("a", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(host_without_port(host.as_bytes()), wanted.as_bytes());
        }
    }
}
