//! The PROXY protocol, versions 1 and 2: who a load balancer in front of us speaks for. Reads exactly the header.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::downstream::{PAUSE_MS, PAUSE_MS_MAX};

const V1_BYTES_MAX: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Header of version 2 with the extensions that anybody sends.
const V2_BYTES_MAX: usize = 16 + 2_048;

/// Reads the header off a connection. None: the balancer speaks for itself, or of an address that is not IP.
pub async fn read(stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = vec![0; V2_BYTES_MAX];
    let mut pause_ms = PAUSE_MS;
    loop {
        let seen = stream.peek(&mut head).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((length, source)) = parse(&head[..seen])? {
            take(stream, length).await?;
            return Ok(source);
        }
        if seen == V2_BYTES_MAX {
            return Err(wrong());
        }
        // A part of it: the socket stays readable, so waiting for it would spin.
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

async fn take(stream: &TcpStream, length: usize) -> io::Result<()> {
    let mut header = vec![0; length];
    let mut taken = 0;
    while taken < length {
        stream.readable().await?;
        match stream.try_read(&mut header[taken..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a PROXY protocol header")
}

/// Length of the header and the source it names; none while bytes are missing.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Option<SocketAddr>)>> {
    let common = bytes.len().min(V2_SIGNATURE.len());
    if bytes[..common] == V2_SIGNATURE[..common] {
        return parse_v2(bytes);
    }
    let common = bytes.len().min(6);
    if bytes[..common] != b"PROXY "[..common] {
        return Err(wrong());
    }
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(V1_BYTES_MAX)]) {
        Some(end) => Ok(Some((end + 1, parse_v1(&bytes[..=end])?))),
        None if bytes.len() >= V1_BYTES_MAX => Err(wrong()),
        None => Ok(None),
    }
}

fn parse_v1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let line = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or_else(wrong)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let source: IpAddr = source.parse().map_err(|_| wrong())?;
            if source.is_ipv4() != (family == "TCP4") {
                return Err(wrong());
            }
            Ok(Some(SocketAddr::new(
                source,
                port.parse().map_err(|_| wrong())?,
            )))
        }
        _ => Err(wrong()),
    }
}

fn parse_v2(bytes: &[u8]) -> io::Result<Option<(usize, Option<SocketAddr>)>> {
    let Some(([version, family, high, low], rest)) =
        bytes.get(12..).and_then(|rest| rest.split_first_chunk())
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if version >> 4 != 2 || 16 + length > V2_BYTES_MAX {
        return Err(wrong());
    }
    let Some(addresses) = rest.get(..length) else {
        return Ok(None);
    };
    let source = match (version & 0xf, family >> 4) {
        (1, 1) => {
            let octets: [u8; 4] = addresses.first_chunk().copied().ok_or_else(wrong)?;
            Some((
                IpAddr::V4(Ipv4Addr::from(octets)),
                addresses.get(8..10).ok_or_else(wrong)?,
            ))
        }
        (1, 2) => {
            let octets: [u8; 16] = addresses.first_chunk().copied().ok_or_else(wrong)?;
            Some((
                IpAddr::V6(Ipv6Addr::from(octets)),
                addresses.get(32..34).ok_or_else(wrong)?,
            ))
        }
        (0 | 1, _) => None,
        _ => return Err(wrong()),
    };
    let source =
        source.map(|(ip, port)| SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])));
    Ok(Some((16 + length, source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_names_the_source() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(
            parse(line).unwrap(),
            Some((42, Some("192.0.2.1:56324".parse().unwrap())))
        );
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n";
        assert_eq!(
            parse(line).unwrap(),
            Some((line.len(), Some("[2001:db8::1]:1".parse().unwrap())))
        );
        assert_eq!(parse(b"PROXY UNKNOWN\r\n").unwrap(), Some((15, None)));
        assert_eq!(parse(b"PROXY TCP4 192.0").unwrap(), None);
    }

    #[test]
    fn version_2_names_the_source() {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 187]);
        assert_eq!(
            parse(&header).unwrap(),
            Some((28, Some("192.0.2.1:80".parse().unwrap())))
        );
        assert_eq!(parse(&header[..20]).unwrap(), None);
        header[12] = 0x20;
        assert_eq!(parse(&header).unwrap(), Some((28, None)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY \n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
