//! A token taken apart: header, claims, signature. Strict where leniency would let two readers see two tokens.
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::base64;

const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
    "PS384", "PS512", "EdDSA",
];

/// A token whose signature is yet to be checked.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// What its header names.
    pub(super) algorithm: String,
    /// The part of the token that is signed.
    pub(super) signed: String,
    pub(super) signature: Vec<u8>,
}

impl Token {
    /// Takes a token apart; the error is what a real node says of it.
    pub(super) fn read(text: &[u8]) -> Result<Self, &'static str> {
        const JSON: &str = "invalid JSON";
        let text = std::str::from_utf8(text).map_err(|_| JSON)?;
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(JSON);
        let (header_part, claims_part, signature_part) = (part()?, part()?, part()?);
        let members = |part: &str| {
            let json = base64::decode_url(part.as_bytes())?;
            serde_json::from_slice::<Members>(&json).ok()
        };
        let Members(header) = members(header_part).ok_or(JSON)?;
        let Members(claims) = members(claims_part).ok_or(JSON)?;
        match header.get("typ") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => {}
            Some(_) => return Err("invalid typ"),
        }
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) if ALGORITHMS.contains(&name.as_str()) => name.clone(),
            _ => return Err("invalid alg"),
        };
        // What must be understood to read the token is understood by nobody here.
        if header.contains_key("crit") {
            return Err("invalid crit");
        }
        let signature = base64::decode_url(signature_part.as_bytes()).ok_or("invalid signature")?;
        Ok(Self {
            header,
            claims,
            algorithm,
            signed: text[..text.len() - signature_part.len() - 1].to_owned(),
            signature,
        })
    }
}

// The members of a JSON object, none of them twice; any other JSON has none.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Members(Map::new()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }

    fn visit_unit<E: Error>(self) -> Result<Members, E> {
        Ok(Members(Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    fn read(header: &str, claims: &str) -> Result<Token, &'static str> {
        let part = |json: &str| BASE64URL_NOPAD.encode(json.as_bytes());
        Token::read(format!("{}.{}.c2ln", part(header), part(claims)).as_bytes())
    }

    #[test]
    fn a_token_is_taken_apart() {
        let token = read(r#"{"alg":"HS256","typ":"jwt"}"#, r#"{"iss":"a"}"#).unwrap();
        assert_eq!(token.algorithm, "HS256");
        assert_eq!(token.claims["iss"], "a");
        assert_eq!(token.signature, b"sig");
        assert_eq!(
            token.signed,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6Imp3dCJ9.eyJpc3MiOiJhIn0"
        );
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for (header, claims, reason) in [
            (r#"{"alg":"HS256","alg":"none"}"#, "{}", "invalid JSON"),
            (
                r#"{"alg":"HS256"}"#,
                r#"{"iss":"a","iss":"b"}"#,
                "invalid JSON",
            ),
            (r#"{"alg":"HS256"}"#, "{} {}", "invalid JSON"),
            (r#"{"alg":"none"}"#, "{}", "invalid alg"),
            (r#"{"alg":5}"#, "{}", "invalid alg"),
            ("{}", "{}", "invalid alg"),
            ("[]", "{}", "invalid alg"),
            ("null", "{}", "invalid alg"),
            (r#"{"alg":"HS256","typ":"JWE"}"#, "{}", "invalid typ"),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "{}", "invalid crit"),
        ] {
            assert_eq!(read(header, claims).unwrap_err(), reason, "{header}");
        }
    }
}
