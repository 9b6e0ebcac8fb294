//! Request bodies that plugins look into: which kind one is, its fields, and the same body with other fields.
use bytes::Bytes;
use serde_json::{Map, Value};
use twinplane_engine::exchange::{Exchange, Framing};
use twinplane_engine::filter::{Effect, Flow};

use crate::number::general;

/// What a body is by its content type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, with its boundary.
    Multipart(Vec<u8>),
}

impl Kind {
    /// The kind that the request's `Content-Type` names, if it is one of these.
    pub(crate) fn of(x: &Exchange) -> Option<Self> {
        let content_type = x.request.headers.get_str("Content-Type")?;
        let lower = content_type.to_ascii_lowercase();
        if lower.starts_with("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if lower.starts_with("application/json") {
            Some(Self::Json)
        } else if lower.starts_with("multipart/form-data") {
            let at = lower.find("boundary=")? + "boundary=".len();
            let boundary = content_type[at..]
                .split(';')
                .next()?
                .trim()
                .trim_matches('"');
            (!boundary.is_empty()).then(|| Self::Multipart(boundary.as_bytes().to_vec()))
        } else {
            None
        }
    }
}

/// The body as it would go upstream now, if all of it is at hand.
pub(crate) fn current(x: &Exchange) -> Option<&Bytes> {
    let received = x.request.buffered.as_ref();
    let whole = received.filter(|_| x.request.is_buffered_whole);
    x.upstream.body.as_ref().or(whole)
}

/// What a filter waits for before it can look into the body; nothing where there is none, or one was waited for.
pub(crate) fn wanted(x: &Exchange) -> Option<Flow> {
    let is_empty = matches!(x.request.body, Framing::None | Framing::Length(0));
    let is_here = x.request.buffered.is_some() || x.upstream.body.is_some();
    (!is_empty && !is_here).then_some(Flow::Wait(Effect::RequestBody {
        // As much as the node holds of any body; a longer one passes unseen.
        bytes_max: usize::MAX,
    }))
}

/// Reads a JSON object; an array or anything else is none.
pub(crate) fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Writes JSON as a real node does: numbers pass through doubles and keep 14 digits.
pub(crate) fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => {
            out.extend_from_slice(general(number.as_f64().unwrap_or_default()).as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_json_object(members, out),
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

/// Writes a JSON object, see [`write_json`].
pub(crate) fn write_json_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        write_json(value, out);
    }
    out.push(b'}');
}

/// The parts of a `multipart/form-data` body, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Multipart {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    head: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Multipart {
    /// Takes a body apart; what lies outside the parts is dropped.
    pub(crate) fn parse(body: &[u8], boundary: &[u8]) -> Self {
        let delimiter = [b"--", boundary].concat();
        let mut parts = Vec::new();
        let starts: Vec<usize> = memchr::memmem::find_iter(body, &delimiter).collect();
        for pair in starts.windows(2) {
            let piece = &body[pair[0] + delimiter.len()..pair[1]];
            if piece.starts_with(b"--") {
                break;
            }
            let piece = piece.strip_prefix(b"\r\n").unwrap_or(piece);
            let Some(end) = find(piece, b"\r\n\r\n") else {
                continue;
            };
            let value = &piece[end + 4..];
            parts.push(Part {
                head: piece[..end].to_vec(),
                name: part_name(&piece[..end]),
                value: value.strip_suffix(b"\r\n").unwrap_or(value).to_vec(),
            });
        }
        Self { parts }
    }

    /// Puts the parts together again.
    pub(crate) fn write(&self, boundary: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            for piece in [
                b"--",
                boundary,
                b"\r\n",
                &part.head,
                b"\r\n\r\n",
                &part.value,
                b"\r\n",
            ] {
                out.extend_from_slice(piece);
            }
        }
        for piece in [b"--", boundary, b"--\r\n"] {
            out.extend_from_slice(piece);
        }
        out
    }

    /// The first value under a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let part = self.parts.iter().find(|part| part.name == name);
        part.map(|part| &*part.value)
    }

    /// Whether there is a part of this name.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// Removes all parts of a name; says whether there were any.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.parts.len();
        self.parts.retain(|part| part.name != name);
        self.parts.len() != before
    }

    /// Sets the one value of a name: in place of the first part of this name, the others go; at the end if there was none.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.parts.iter().position(|part| part.name == name) else {
            self.append(name, value);
            return;
        };
        self.parts[first].value = value.to_vec();
        let mut index = 0;
        self.parts.retain(|part| {
            index += 1;
            index - 1 <= first || part.name != name
        });
    }

    /// Adds a part at the end.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) {
        let mut head = b"Content-Disposition: form-data; name=\"".to_vec();
        head.extend_from_slice(name);
        head.push(b'"');
        self.parts.push(Part {
            head,
            name: name.to_vec(),
            value: value.to_vec(),
        });
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

fn part_name(head: &[u8]) -> Vec<u8> {
    let lines = head.split(|byte| *byte == b'\n');
    for line in lines {
        let line = String::from_utf8_lossy(line);
        if !line
            .to_ascii_lowercase()
            .starts_with("content-disposition:")
        {
            continue;
        }
        for parameter in line.split(';').map(str::trim) {
            if let Some(name) = parameter.strip_prefix("name=") {
                return name.trim().trim_matches('"').as_bytes().to_vec();
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_body_survives_being_taken_apart() {
        let body = b"--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\nContent-Type: text/plain\r\n\r\nx\r\ny\r\n--X--\r\n";
        let mut multipart = Multipart::parse(body, b"X");
        assert_eq!(multipart.write(b"X"), body);
        assert_eq!(multipart.find(b"f"), Some(&b"x\r\ny"[..]));
        assert!(multipart.remove(b"a"));
        multipart.set(b"f", b"z");
        multipart.set(b"n", b"1");
        assert_eq!(
            String::from_utf8(multipart.write(b"X")).unwrap(),
            "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\nContent-Type: text/plain\r\n\r\nz\r\n--X\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n--X--\r\n"
        );
    }
}
