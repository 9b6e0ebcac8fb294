//! Reads the server name out of a TLS `ClientHello` without taking part in the handshake. Strict and bounded: what is not
//! the beginning of a TLS handshake is refused with the first byte that shows it.

/// Content type of handshake records.
const HANDSHAKE: u8 = 22;
/// Handshake type of a `ClientHello`.
const CLIENT_HELLO: u8 = 1;
/// A hello that is longer is refused: those of browsers take about 2 KiB.
pub(super) const HELLO_BYTES_MAX: usize = 16_384;
/// Header of a record.
const RECORD_HEADER: usize = 5;
/// All that may come before a hello is known whole: it may lie in many records, but in no empty ones.
pub(super) const BYTES_MAX: usize = HELLO_BYTES_MAX + 64 * RECORD_HEADER;
/// Extension that names the server.
const SERVER_NAME: u16 = 0;
/// The kind of name in it.
const HOST_NAME: u8 = 0;
const NAME_BYTES_MAX: usize = 255;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// The beginning of a hello.
    Partial,
    /// A whole hello, with the server name it asks for, in lower case.
    Hello(Option<Box<str>>),
}

/// Not a hello, or one that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads what a connection began with.
pub fn peek(bytes: &[u8]) -> Result<Peeked, Malformed> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            check_header(rest)?;
            return partial(bytes, &message);
        };
        check_header(header)?;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        // Records of a handshake are never empty.
        if length == 0 || length > HELLO_BYTES_MAX {
            return Err(Malformed);
        }
        let (body, after) = after.split_at(length.min(after.len()));
        message.extend_from_slice(body);
        if let Some(hello) = whole(&message)? {
            return read_hello(hello).map(Peeked::Hello);
        }
        if body.len() < length {
            return partial(bytes, &message);
        }
        rest = after;
    }
}

fn partial(bytes: &[u8], message: &[u8]) -> Result<Peeked, Malformed> {
    let is_too_long = bytes.len() >= BYTES_MAX || message.len() > HELLO_BYTES_MAX;
    if is_too_long {
        Err(Malformed)
    } else {
        Ok(Peeked::Partial)
    }
}

// As much of a record's header as is there.
fn check_header(header: &[u8]) -> Result<(), Malformed> {
    let is_handshake = header.first().is_none_or(|kind| *kind == HANDSHAKE);
    // SSL 3.0 and all versions of TLS.
    let is_tls = header.get(1).is_none_or(|major| *major == 3);
    if is_handshake && is_tls {
        Ok(())
    } else {
        Err(Malformed)
    }
}

// The body of the first handshake message, once it is there.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(Malformed);
    }
    let Some(([_, high, middle, low], body)) = message.split_first_chunk() else {
        return Ok(None);
    };
    let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
    if length > HELLO_BYTES_MAX {
        return Err(Malformed);
    }
    Ok(body.get(..length))
}

fn read_hello(hello: &[u8]) -> Result<Option<Box<str>>, Malformed> {
    let mut hello = Reader(hello);
    // Version and random.
    hello.take(2 + 32)?;
    hello.short_list()?; // session id
    let suites = hello.list()?;
    let compressions = hello.short_list()?;
    if suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return Err(Malformed);
    }
    // Old clients send no extensions at all.
    if hello.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = Reader(hello.list()?);
    if !hello.0.is_empty() {
        return Err(Malformed);
    }
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let body = extensions.list()?;
        if kind == SERVER_NAME {
            if name.is_some() {
                return Err(Malformed);
            }
            name = Some(read_names(body)?);
        }
    }
    Ok(name.flatten())
}

fn read_names(extension: &[u8]) -> Result<Option<Box<str>>, Malformed> {
    let mut extension = Reader(extension);
    let mut names = Reader(extension.list()?);
    if !extension.0.is_empty() || names.0.is_empty() {
        return Err(Malformed);
    }
    let mut found = None;
    while !names.0.is_empty() {
        let kind = names.take(1)?[0];
        let name = names.list()?;
        if kind != HOST_NAME {
            continue;
        }
        let is_name = |byte: &u8| byte.is_ascii_graphic();
        let is_sound = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.iter().all(is_name);
        if !is_sound || found.is_some() {
            return Err(Malformed);
        }
        found = Some(String::from_utf8_lossy(name).to_ascii_lowercase().into());
    }
    Ok(found)
}

/// Bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of two bytes.
    fn list(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    /// Bytes behind a length of one byte.
    fn short_list(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello as rustls writes it.
    fn hello(name: &str) -> Vec<u8> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    // The same handshake message in records of so many bytes.
    fn in_records(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for part in bytes[RECORD_HEADER..].chunks(size) {
            out.extend_from_slice(&bytes[..3]);
            out.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    #[test]
    fn the_name_is_read_as_soon_as_the_hello_is_whole() {
        let bytes = hello("Echo.Example");
        for length in 0..bytes.len() {
            assert_eq!(peek(&bytes[..length]), Ok(Peeked::Partial), "{length}");
        }
        let named = Ok(Peeked::Hello(Some("echo.example".into())));
        assert_eq!(peek(&bytes), named);
        assert_eq!(peek(&[&bytes[..], b"what follows"].concat()), named);
        assert_eq!(peek(&in_records(&bytes, 100)), named);
        // An address is no server name.
        assert_eq!(peek(&hello("127.0.0.1")), Ok(Peeked::Hello(None)));
    }

    #[test]
    fn what_is_no_hello_is_refused_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02",
            b"\x17",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\xff\xff",
            b"\x16\x03\x01\x00\x05\x02",
            b"\x16\x03\x01\x00\x05\x01\x01\x00\x00",
        ] {
            assert_eq!(peek(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_hello_never_takes_more_than_its_bound() {
        // A message of the longest length, a byte in each record.
        let mut bytes = vec![CLIENT_HELLO, 0, 0x3f, 0xff];
        bytes.resize(HELLO_BYTES_MAX, 0);
        let bytes = [&[HANDSHAKE, 3, 1, 0, 0], &bytes[..]].concat();
        let drip = in_records(&bytes, 1);
        assert_eq!(peek(&drip[..BYTES_MAX - 1]), Ok(Peeked::Partial));
        assert_eq!(peek(&drip[..BYTES_MAX]), Err(Malformed));
    }

    #[test]
    fn damage_is_told_from_a_part_and_never_panics() {
        // A property over random bytes and random damage, drawn from splitmix64.
        let mut state = 7_u64;
        let mut random = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap()
        };
        let good = hello("a.example");
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=random() % 4 {
                let at = random() % bytes.len();
                bytes[at] = u8::try_from(random() % 256).unwrap();
            }
            bytes.truncate(random() % (bytes.len() + 1));
            let _any = peek(&bytes);
            let noise: Vec<u8> = (0..random() % 200)
                .map(|_| u8::try_from(random() % 256).unwrap())
                .collect();
            let framed = [
                &[HANDSHAKE, 3, 1, 0, 150, CLIENT_HELLO, 0, 0, 100],
                &noise[..],
            ]
            .concat();
            for bytes in [&noise, &framed] {
                if let Ok(Peeked::Hello(Some(name))) = peek(bytes) {
                    assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
