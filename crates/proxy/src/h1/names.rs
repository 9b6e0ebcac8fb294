//! Field names that mean something to the proxy itself, told apart by length and letters without hashing.
use twinplane_engine::ascii::same_name;

/// A field name the proxy acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Host,
    Connection,
    KeepAlive,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Upgrade,
    Expect,
    Proxy,
    ProxyConnection,
    Via,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    ForwardedPort,
    ForwardedPath,
    ForwardedPrefix,
    RealIp,
    RequestId,
    Authorization,
    ContentType,
    ContentRange,
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfUnmodifiedSince,
    IfRange,
    Accel,
    AccelBuffering,
}

use Known::{
    Accel, AccelBuffering, Authorization, Connection, ContentLength, ContentRange, ContentType,
    Expect, ForwardedFor, ForwardedHost, ForwardedPath, ForwardedPort, ForwardedPrefix,
    ForwardedProto, Host, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    KeepAlive, Proxy, ProxyConnection, RealIp, RequestId, Te, Trailer, TransferEncoding, Upgrade,
    Via,
};

// By length of the name.
const BY_LENGTH: [&[(&[u8], Known)]; 20] = [
    &[],
    &[],
    &[(b"te", Te)],
    &[(b"via", Via)],
    &[(b"host", Host)],
    &[(b"proxy", Proxy)],
    &[(b"expect", Expect)],
    &[(b"upgrade", Upgrade), (b"trailer", Trailer)],
    &[(b"if-match", IfMatch), (b"if-range", IfRange)],
    &[(b"x-real-ip", RealIp)],
    &[(b"connection", Connection), (b"keep-alive", KeepAlive)],
    &[],
    &[(b"content-type", ContentType)],
    &[
        (b"authorization", Authorization),
        (b"if-none-match", IfNoneMatch),
        (b"content-range", ContentRange),
    ],
    &[(b"content-length", ContentLength)],
    &[
        (b"x-forwarded-for", ForwardedFor),
        (b"x-accel-expires", Accel),
        (b"x-accel-charset", Accel),
    ],
    &[
        (b"x-forwarded-host", ForwardedHost),
        (b"x-forwarded-port", ForwardedPort),
        (b"x-forwarded-path", ForwardedPath),
        (b"proxy-connection", ProxyConnection),
        (b"x-accel-redirect", Accel),
    ],
    &[
        (b"transfer-encoding", TransferEncoding),
        (b"x-forwarded-proto", ForwardedProto),
        (b"x-kong-request-id", RequestId),
        (b"if-modified-since", IfModifiedSince),
        (b"x-accel-buffering", AccelBuffering),
    ],
    &[
        (b"x-forwarded-prefix", ForwardedPrefix),
        (b"x-accel-limit-rate", Accel),
    ],
    &[(b"if-unmodified-since", IfUnmodifiedSince)],
];

/// The meaning of a name, if the proxy acts on it. Case does not matter.
pub fn known(name: &[u8]) -> Option<Known> {
    let named = BY_LENGTH.get(name.len())?;
    named
        .iter()
        .find(|(known, _)| same_name(name, known))
        .map(|(_, known)| *known)
}

/// As [`known`], and `_` counts as `-`: some upstreams fold the two, so neither spelling may carry a client's claim.
pub fn known_in_any_spelling(name: &[u8]) -> Option<Known> {
    let fold = |byte: &u8| {
        if *byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    let named = BY_LENGTH.get(name.len())?;
    named
        .iter()
        .find(|(known, _)| name.iter().zip(*known).all(|(a, b)| fold(a) == *b))
        .map(|(_, known)| *known)
}

/// A set of known names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownSet(u32);

impl KnownSet {
    /// Adds a name; says whether it was there already.
    pub fn put(&mut self, known: Known) -> bool {
        let bit = 1 << known as u8;
        let was = self.0 & bit != 0;
        self.0 |= bit;
        was
    }

    /// Whether a name is in it.
    pub const fn has(self, known: Known) -> bool {
        self.0 & (1 << known as u8) != 0
    }
}

impl Known {
    /// Whether a request that carries it twice is refused (as the server under Kong does; vectors/plugins, two Authorization lines).
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Host | ContentLength
                | TransferEncoding
                | Expect
                | Authorization
                | ContentType
                | ContentRange
                | IfMatch
                | IfNoneMatch
                | IfModifiedSince
                | IfUnmodifiedSince
                | IfRange
        )
    }

    /// Whether the proxy writes it itself towards upstreams, or never passes it on.
    pub const fn is_ours_upstream(self) -> bool {
        matches!(
            self,
            Host | Connection
                | KeepAlive
                | ContentLength
                | TransferEncoding
                | Te
                | Trailer
                | Upgrade
                | Expect
                | Proxy
                | ProxyConnection
                | Via
                | ForwardedFor
                | ForwardedProto
                | ForwardedHost
                | ForwardedPort
                | ForwardedPath
                | ForwardedPrefix
                | RealIp
                | RequestId
        )
    }

    /// Whether it concerns one hop only and never passes from an upstream to a client.
    pub const fn is_hop_of_response(self) -> bool {
        matches!(
            self,
            Connection
                | KeepAlive
                | ContentLength
                | TransferEncoding
                | Trailer
                | Upgrade
                | ProxyConnection
                | Te
                | Accel
                | AccelBuffering
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_under_their_length() {
        for (length, names) in BY_LENGTH.iter().enumerate() {
            for (name, _) in *names {
                assert_eq!(name.len(), length, "{}", String::from_utf8_lossy(name));
            }
        }
    }

    #[test]
    fn case_and_spelling() {
        assert_eq!(known(b"Content-LENGTH"), Some(ContentLength));
        assert_eq!(known(b"content_length"), None);
        assert_eq!(
            known_in_any_spelling(b"X_Forwarded-For"),
            Some(ForwardedFor)
        );
        assert_eq!(known(b"x-a"), None);
        assert_eq!(known(&[b'x'; 400]), None);
    }
}
