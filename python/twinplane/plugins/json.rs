//! JSON objects written straight into a buffer, in the order in which their members are named.
use serde_json::Value;

/// An object being written. Close it.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        write_text(name.as_bytes(), self.out);
        self.out.push(b':');
    }

    /// A text; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        write_text(value, self.out);
    }

    /// An integer.
    pub(crate) fn integer(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        self.out
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Any value.
    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A member that `write` writes.
    pub(crate) fn member(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.out);
    }

    /// A nested object.
    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut inner = Object::open(self.out);
        fill(&mut inner);
        inner.close();
    }

    /// Ends the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

/// Writes a text in quotes.
pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if text.iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    } else {
        let text = String::from_utf8_lossy(text);
        out.extend_from_slice(Value::from(&*text).to_string().as_bytes());
    }
}

/// Writes an array of what `write` makes of each item.
pub(crate) fn write_array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}
