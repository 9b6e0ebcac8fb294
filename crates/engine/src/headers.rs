//! Header fields in the order and case in which they came, repeats included.
//! Fields of a received head are spans into it (nothing is copied); edits are texts beside it. Says nothing about framing.
use bytes::Bytes;

use crate::ascii::{is_field_value, same_name};
use crate::router::HeaderValues;
use crate::text::Text;

/// An ordered list of header fields; names compare without regard to ASCII case.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    head: Bytes,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    // Length and outer letters of the name: tells almost all other names apart without reading them.
    key: u32,
    mark: u8,
    name: Piece,
    value: Piece,
}

#[derive(Clone, Debug)]
enum Piece {
    Span { start: u32, end: u32 },
    Text(Text),
}

const SEPARATOR: &[u8] = b": ";
const LINE_END: &[u8] = b"\r\n";

impl Headers {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            head: Bytes::new(),
            fields: Vec::new(),
        }
    }

    /// An empty list with room for `fields` fields.
    pub fn with_capacity(fields: usize) -> Self {
        Self {
            head: Bytes::new(),
            fields: Vec::with_capacity(fields),
        }
    }

    /// Adds a field of a head that is being received, by the places of its name and value in `bytes`. Until
    /// [`Headers::attach`] gives the head itself, nothing may be read. The mark is the receiver's own, see
    /// [`Headers::write_to`]; fields set later have the mark 0.
    pub fn push_span(
        &mut self,
        bytes: &[u8],
        name: std::ops::Range<usize>,
        value: std::ops::Range<usize>,
        mark: u8,
    ) {
        let key = key_of(&bytes[name.clone()]);
        self.fields.push(Field {
            key,
            mark,
            name: Piece::span(name),
            value: Piece::span(value),
        });
    }

    /// Gives the received head into which the spans point.
    pub fn attach(&mut self, head: Bytes) {
        self.head = head;
    }

    /// Forgets the fields of a received head; those set beside it stay.
    pub fn clear_spans(&mut self) {
        self.fields
            .retain(|field| matches!(field.value, Piece::Text(_)));
        self.head = Bytes::new();
    }

    /// The first value under this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.position(key_of(name.as_bytes()), name.as_bytes())
            .map(|at| self.bytes(&self.fields[at].value))
    }

    /// The first value under this name, if it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values under this name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let key = key_of(name.as_bytes());
        self.fields
            .iter()
            .filter(move |field| self.is_named(field, key, name))
            .map(|field| self.bytes(&field.value))
    }

    /// Whether a field of this name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the one value of this name: in place of the first such field, the others go; at the end if there was none.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let (name, value) = (name.into(), value.into());
        let key = key_of(name.as_bytes());
        let Some(first) = self.position(key, name.as_bytes()) else {
            self.fields.push(Field {
                key,
                mark: 0,
                name: Piece::Text(name),
                value: Piece::Text(value),
            });
            return;
        };
        self.remove_from(first + 1, key, name.as_bytes());
        self.fields[first] = Field {
            key,
            mark: 0,
            name: Piece::Text(name),
            value: Piece::Text(value),
        };
    }

    /// Adds a field at the end, beside those of the same name.
    pub fn append(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let name = name.into();
        self.fields.push(Field {
            key: key_of(name.as_bytes()),
            mark: 0,
            name: Piece::Text(name),
            value: Piece::Text(value.into()),
        });
    }

    /// Adds a field unless one of this name is there; says whether it did.
    pub fn add(&mut self, name: impl Into<Text>, value: impl Into<Text>) -> bool {
        let name = name.into();
        let key = key_of(name.as_bytes());
        if self.position(key, name.as_bytes()).is_some() {
            return false;
        }
        self.fields.push(Field {
            key,
            mark: 0,
            name: Piece::Text(name),
            value: Piece::Text(value.into()),
        });
        true
    }

    /// Removes all fields of this name; says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        self.remove_from(0, key_of(name.as_bytes()), name.as_bytes())
    }

    /// Removes all fields of this name in any spelling: case, and `_` for `-` (so that no copy survives for a lenient upstream).
    pub fn remove_any_spelling(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        let (head, wanted) = (&self.head, name.as_bytes());
        self.fields.retain(|field| {
            let name = field.name.bytes(head);
            name.len() != wanted.len()
                || !name.iter().zip(wanted).all(|(a, b)| fold(*a) == fold(*b))
        });
        self.fields.len() != before
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let head = &self.head;
        self.fields
            .retain(|field| keep(field.name.bytes(head), field.value.bytes(head)));
    }

    /// Name and value of each field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (self.bytes(&field.name), self.bytes(&field.value)))
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// How many fields there is room for.
    pub fn capacity(&self) -> usize {
        self.fields.capacity()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Forgets all fields and the head.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.head = Bytes::new();
    }

    /// Writes the fields for which `keep`, given name and mark, holds as header lines. Runs of untouched fields go out as one copy of the head.
    pub fn write_to(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8], u8) -> bool) {
        let mut run = 0..0_usize;
        for field in &self.fields {
            if !keep(self.bytes(&field.name), field.mark) {
                continue;
            }
            if let Some(line) = self.line(field) {
                if line.start == run.end {
                    run.end = line.end;
                } else {
                    out.extend_from_slice(&self.head[run]);
                    run = line;
                }
                continue;
            }
            out.extend_from_slice(&self.head[run]);
            run = 0..0;
            write_field(self.bytes(&field.name), self.bytes(&field.value), out);
        }
        out.extend_from_slice(&self.head[run]);
    }

    // The whole line in the head, where it is written there just as it would be written out.
    fn line(&self, field: &Field) -> Option<std::ops::Range<usize>> {
        let (
            Piece::Span {
                start,
                end: name_end,
            },
            Piece::Span {
                start: value_start,
                end,
            },
        ) = (&field.name, &field.value)
        else {
            return None;
        };
        let (start, name_end, value_start, end) = (
            *start as usize,
            *name_end as usize,
            *value_start as usize,
            *end as usize,
        );
        let exact = self.head.get(name_end..value_start) == Some(SEPARATOR)
            && self.head.get(end..end + 2) == Some(LINE_END);
        exact.then_some(start..end + 2)
    }

    fn is_named(&self, field: &Field, key: u32, name: &str) -> bool {
        field.key == key && same_name(field.name.bytes(&self.head), name.as_bytes())
    }

    fn position(&self, key: u32, name: &[u8]) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.key == key && same_name(field.name.bytes(&self.head), name))
    }

    fn remove_from(&mut self, first: usize, key: u32, name: &[u8]) -> bool {
        let before = self.fields.len();
        if !self.fields[first..].iter().any(|field| field.key == key) {
            return false;
        }
        let (head, mut index) = (&self.head, 0);
        self.fields.retain(|field| {
            let keep =
                index < first || field.key != key || !same_name(field.name.bytes(head), name);
            index += 1;
            keep
        });
        self.fields.len() != before
    }

    fn bytes<'a>(&'a self, piece: &'a Piece) -> &'a [u8] {
        piece.bytes(&self.head)
    }
}

/// Writes a field as one line, whatever its value holds: control bytes are left out. With one in its name it is no field.
///
/// What was received has been judged; what was set may stem from a configuration, or from a template that a client fills.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if !is_field_value(name) {
        return;
    }
    out.extend_from_slice(name);
    out.extend_from_slice(SEPARATOR);
    if is_field_value(value) {
        out.extend_from_slice(value);
    } else {
        out.extend(
            value
                .iter()
                .filter(|byte| !byte.is_ascii_control() || **byte == b'\t'),
        );
    }
    out.extend_from_slice(LINE_END);
}

impl HeaderValues for Headers {
    fn any(&self, folded_name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(name, value)| {
            name.len() == folded_name.len()
                && name
                    .iter()
                    .zip(folded_name.as_bytes())
                    .all(|(a, b)| fold(*a) == fold(*b))
                && test(value)
        })
    }
}

impl Piece {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a head is bounded far below 4 GiB"
    )]
    fn span(range: std::ops::Range<usize>) -> Self {
        Self::Span {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    fn bytes<'a>(&'a self, head: &'a Bytes) -> &'a [u8] {
        match self {
            Self::Span { start, end } => &head[*start as usize..*end as usize],
            Self::Text(text) => text.as_bytes(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a hint, compared with itself only"
)]
fn key_of(name: &[u8]) -> u32 {
    let (first, last) = match name {
        [] => (0, 0),
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
    };
    (name.len() as u32) << 16 | u32::from(first | 0x20) << 8 | u32::from(last | 0x20)
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' {
        b'-'
    } else {
        byte.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(head: &'static str) -> Headers {
        let mut headers = Headers::new();
        let mut at = 0;
        for line in head.split_inclusive("\r\n") {
            let colon = line.find(':').unwrap();
            let value = line[colon + 1..].trim();
            let value_at = at + line.find(value).unwrap();
            headers.push_span(
                head.as_bytes(),
                at..at + colon,
                value_at..value_at + value.len(),
                0,
            );
            at += line.len();
        }
        headers.attach(Bytes::from_static(head.as_bytes()));
        headers
    }

    fn written(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write_to(&mut out, |name, _| {
            !name.eq_ignore_ascii_case(b"connection")
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_value_that_was_set_ends_its_line() {
        let mut headers = Headers::new();
        headers.append("X-A", "1\r\nX-B: 2\n\0\t3\u{e9}");
        headers.append("X-C\r\nX-D", "4");
        let mut out = Vec::new();
        headers.write_to(&mut out, |_, _| true);
        assert_eq!(out, "X-A: 1X-B: 2\t3\u{e9}\r\n".as_bytes());
    }

    #[test]
    fn order_case_and_repeats_survive() {
        let headers =
            received("X-b: 1\r\nx-A: 2\r\nConnection: close\r\nX-B:   3\r\nuser-agent: t\r\n");
        assert_eq!(headers.get("X-B"), Some(&b"1"[..]));
        assert_eq!(headers.get_all("x-b").count(), 2);
        assert_eq!(
            written(&headers),
            "X-b: 1\r\nx-A: 2\r\nX-B: 3\r\nuser-agent: t\r\n"
        );
    }

    #[test]
    fn set_replaces_the_first_and_drops_the_rest() {
        let mut headers = received("A: 1\r\nB: 2\r\na: 3\r\n");
        headers.set("a", "9");
        headers.append("C", "4");
        assert!(!headers.add("c", "5"));
        assert_eq!(written(&headers), "a: 9\r\nB: 2\r\nC: 4\r\n");
        assert!(headers.remove("B"));
        assert!(!headers.remove("B"));
        assert_eq!(written(&headers), "a: 9\r\nC: 4\r\n");
    }

    #[test]
    fn routes_find_a_header_by_its_folded_name() {
        let headers = received("X-V: 1\r\nx_V: 2\r\n");
        for wanted in [b"1", b"2"] {
            assert!(headers.any("x_v", &mut |value| value == wanted));
            assert!(headers.any("x-v", &mut |value| value == wanted));
        }
        assert!(!headers.any("x-w", &mut |_| true));
    }

    #[test]
    fn every_spelling_of_an_identity_header_is_removed() {
        let mut headers = received("x_consumer_id: 1\r\nX-Consumer_ID: 2\r\nX-Consumer-Id2: 3\r\n");
        assert!(headers.remove_any_spelling("X-Consumer-ID"));
        assert_eq!(written(&headers), "X-Consumer-Id2: 3\r\n");
    }
}
