//! A short run of bytes in whatever home is cheapest: static, inline, or shared. The building stone of header fields.
//! Never allocates for what fits inline; cloning never copies the heap.
use bytes::Bytes;

/// Longest text kept without a heap block: a request id, an address, any integer.
pub const INLINE_MAX: usize = 38;

/// Bytes that are static, inline or shared.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static [u8]),
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Shared(Bytes),
}

impl Text {
    /// The empty text.
    pub const EMPTY: Text = Text(Repr::Static(b""));

    /// A text that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Repr::Static(text.as_bytes()))
    }

    /// Copies bytes: inline where they fit, else into one shared block.
    pub fn copy_from(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE_MAX {
            let mut inline = [0; INLINE_MAX];
            inline[..bytes.len()].copy_from_slice(bytes);
            #[expect(clippy::cast_possible_truncation, reason = "at most INLINE_MAX")]
            Self(Repr::Inline {
                len: bytes.len() as u8,
                bytes: inline,
            })
        } else {
            Self(Repr::Shared(Bytes::copy_from_slice(bytes)))
        }
    }

    /// The same bytes in a block of their own, so that keeping them does not keep the head they came with.
    #[must_use]
    pub fn detached(&self) -> Self {
        match &self.0 {
            Repr::Shared(bytes) => Self::copy_from(bytes),
            _ => self.clone(),
        }
    }

    /// An integer in decimal, never on the heap.
    pub fn from_integer(value: impl itoa::Integer) -> Self {
        Self::copy_from(itoa::Buffer::new().format(value).as_bytes())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Static(bytes) => bytes,
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The text, or nothing where the bytes are not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Shared(bytes))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.len() <= INLINE_MAX {
            Self::copy_from(text.as_bytes())
        } else {
            Self(Repr::Shared(Bytes::from(text)))
        }
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE_MAX {
            Self::copy_from(&bytes)
        } else {
            Self(Repr::Shared(Bytes::from(bytes)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay_inline_and_long_ones_are_shared() {
        let short = Text::copy_from(&[b'a'; INLINE_MAX]);
        assert!(matches!(short.0, Repr::Inline { .. }));
        let long = Text::copy_from(&[b'a'; INLINE_MAX + 1]);
        assert!(matches!(long.0, Repr::Shared(_)));
        assert_eq!(long.len(), INLINE_MAX + 1);
        assert_eq!(Text::from_integer(-17), Text::from_static("-17"));
    }
}
