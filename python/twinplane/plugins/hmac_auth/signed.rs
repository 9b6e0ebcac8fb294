//! The credential that a client shows in its header, and the text that it signed.
use ring::hmac::{
    self, Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512,
};
use twinplane_engine::exchange::{Exchange, HttpVersion};

use crate::base64;

/// `hmac username="…", algorithm="…", headers="…", signature="…"`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) username: String,
    pub(super) algorithm: String,
    pub(super) headers: Vec<String>,
    signature: String,
}

impl Signed {
    /// Reads a header. The parameters stand in this order and none may be empty.
    pub(super) fn read(header: &str) -> Option<Self> {
        let rest = header.trim_start();
        let rest = rest
            .strip_prefix("hmac")
            .or_else(|| rest.strip_prefix("Hmac"))?;
        let (username, rest) = parameter(rest, "username")?;
        let (algorithm, rest) = parameter(rest.strip_prefix(',')?, "algorithm")?;
        let (headers, rest) = parameter(rest.strip_prefix(',')?, "headers")?;
        let (signature, _) = parameter(rest.strip_prefix(',')?, "signature")?;
        Some(Self {
            username: username.to_owned(),
            algorithm: algorithm.to_owned(),
            headers: headers.split(' ').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    /// Whether a part of the request is signed.
    pub(super) fn lists(&self, name: &str) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|header| header.eq_ignore_ascii_case(name))
    }

    /// Whether a header that is signed is there more than once: the signature speaks of one value, another reader may
    /// take the other.
    pub(super) fn is_ambiguous(&self, x: &Exchange) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|name| x.request.headers.get_all(name).nth(1).is_some())
    }

    /// Whether the signature was made with a secret over a text.
    pub(super) fn is_by(&self, secret: &[u8], text: &[u8]) -> bool {
        let (Some(algorithm), Some(signature)) = (
            algorithm(&self.algorithm),
            base64::decode(self.signature.as_bytes()),
        ) else {
            return false;
        };
        hmac::verify(&hmac::Key::new(algorithm, secret), text, &signature).is_ok()
    }
}

fn parameter<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.trim_start().strip_prefix(name)?.strip_prefix("=\"")?;
    rest.split_once('"').filter(|(value, _)| !value.is_empty())
}

fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "hmac-sha1" => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha256" => HMAC_SHA256,
        "hmac-sha384" => HMAC_SHA384,
        "hmac-sha512" => HMAC_SHA512,
        _ => return None,
    })
}

/// The text that a client signs: a line for each part that it lists.
pub(super) fn text(x: &Exchange, headers: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let (method, target) = (x.request.method.as_bytes(), x.request.target.as_bytes());
    for (at, name) in headers.iter().enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        match (x.request.headers.get(name), name.as_str()) {
            (Some(value), _) => out.extend([name.as_bytes(), b": ", value].concat()),
            (None, "request-line") => {
                let version = match x.client.http_version {
                    HttpVersion::Http10 => "1.0",
                    HttpVersion::Http11 => "1.1",
                    HttpVersion::Http2 => "2.0",
                };
                out.extend([method, b" ", target, b" HTTP/", version.as_bytes()].concat());
            }
            (None, "@request-target") => {
                let method = method.to_ascii_lowercase();
                out.extend([b"@request-target: ", &*method, b" ", target].concat());
            }
            (None, "host") => out.extend([b"host: ", x.request.host.as_bytes()].concat()),
            (None, _) => out.extend([name.as_bytes(), b":"].concat()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_stand_in_one_order() {
        let header = r#"hmac username="bob", algorithm="hmac-sha256", headers="date @request-target", signature="YQ==""#;
        let signed = Signed::read(header).unwrap();
        assert_eq!(signed.username, "bob");
        assert_eq!(signed.headers, ["date", "@request-target"]);
        assert_eq!(signed.signature, "YQ==");
        assert!(Signed::read(&header.replace(", ", ",")).is_some());
        for (from, to) in [
            ("hmac ", "basic "),
            ("username=\"bob\", ", ""),
            ("\"bob\"", "\"\""),
            ("headers", "header"),
            ("\"YQ==\"", "YQ=="),
        ] {
            assert_eq!(Signed::read(&header.replace(from, to)), None, "{from}");
        }
    }
}
