//! The control plane's own front door: who a connection is, in headers that are taken from the handshake alone. What a
//! client sends under these names is removed, in every spelling.
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use crate::conn_info::ConnInfo;

/// The client's certificate, RFC 9440.
pub const CLIENT_CERT: &str = "Client-Cert";
/// The certificates it sent along, RFC 9440.
pub const CLIENT_CERT_CHAIN: &str = "Client-Cert-Chain";
/// Server name of the handshake.
pub const SNI: &str = "Twinplane-Sni";
/// Address and port of the connection's other end.
pub const PEER: &str = "Twinplane-Peer";

// What a peer sends along beyond this says nothing more: the longest chain that is believed is shorter.
const CHAIN_MAX: usize = 16;
const ALL: [&str; 4] = [CLIENT_CERT, CLIENT_CERT_CHAIN, SNI, PEER];

/// Identity headers of one connection, made once.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    client_cert: Option<Text>,
    // One field line each: a chain of large keys is longer than a line may be.
    client_cert_chain: Box<[Text]>,
    sni: Option<Text>,
    peer: Text,
}

impl IdentityHeaders {
    /// Those of a connection.
    pub fn of(connection: &ConnInfo) -> Self {
        let chain = connection
            .tls
            .as_ref()
            .map_or(&[][..], |tls| &tls.client_chain);
        let (leaf, rest) = chain
            .split_first()
            .map_or((None, chain), |(leaf, rest)| (Some(leaf), rest));
        let others = rest
            .iter()
            .take(CHAIN_MAX)
            .map(|certificate| Text::from(byte_sequence(certificate)));
        let sni = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        Self {
            client_cert: leaf.map(|certificate| Text::from(byte_sequence(certificate))),
            client_cert_chain: others.collect(),
            sni: sni.map(|name| Text::copy_from(name.as_bytes())),
            peer: Text::from(connection.peer.to_string()),
        }
    }

    /// Removes what the client sent under these names and puts the truth in its place.
    pub fn put(&self, headers: &mut Headers) {
        for name in ALL {
            headers.remove_any_spelling(name);
        }
        let put = |headers: &mut Headers, name, value: &Text| {
            headers.append(Text::from_static(name), value.clone());
        };
        if let Some(certificate) = &self.client_cert {
            put(headers, CLIENT_CERT, certificate);
        }
        for certificate in &self.client_cert_chain {
            put(headers, CLIENT_CERT_CHAIN, certificate);
        }
        if let Some(sni) = &self.sni {
            put(headers, SNI, sni);
        }
        headers.append(Text::from_static(PEER), self.peer.clone());
    }
}

/// A structured-field byte sequence: base64 between colons.
fn byte_sequence(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    text.push(':');
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0_u32, |bits, (at, byte)| {
            bits | u32::from(*byte) << (16 - 8 * at)
        });
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() {
                char::from(DIGITS[digit as usize])
            } else {
                '='
            });
        }
    }
    text.push(':');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sequences_are_base64_between_colons() {
        for (bytes, text) in [
            ("", "::"),
            ("f", ":Zg==:"),
            ("fo", ":Zm8=:"),
            ("foo", ":Zm9v:"),
            ("foob", ":Zm9vYg==:"),
        ] {
            assert_eq!(byte_sequence(bytes.as_bytes()), text);
        }
        assert_eq!(byte_sequence(&[0xfb, 0xff, 0xfe]), ":+//+:");
    }

    #[test]
    fn forged_identity_is_removed_in_every_spelling() {
        let peer = "192.0.2.1:5".parse().unwrap();
        let connection = ConnInfo {
            peer,
            proxied_for: None,
            listener_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            listener_port: 443,
            tls: None,
            serial: crate::conn_info::Serial::default(),
            identity: None,
            closing: std::rc::Rc::default(),
        };
        let mut headers = Headers::new();
        for name in [
            "client-cert",
            "CLIENT_CERT",
            "Client_Cert-chain",
            "twinplane_sni",
            "Twinplane-Peer",
        ] {
            headers.append(Text::from(name.to_owned()), Text::from_static("forged"));
        }
        headers.append(Text::from_static("Accept"), Text::from_static("*/*"));
        IdentityHeaders::of(&connection).put(&mut headers);
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(
            all,
            [
                (&b"Accept"[..], &b"*/*"[..]),
                (&b"Twinplane-Peer"[..], &b"192.0.2.1:5"[..])
            ]
        );
    }
}
