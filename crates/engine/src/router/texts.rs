//! The hosts and paths of all routes in one block, in the order in which they are compared: a look-up that touches a
//! route for the first time in a while waits for memory once, not once a text.

/// Where a text lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    bytes: u32,
}

impl Span {
    /// Its length.
    pub(super) const fn bytes(self) -> usize {
        self.bytes as usize
    }
}

/// The block.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<u8>);

impl Texts {
    /// Adds a text. None: there is no room for more (4 GiB).
    pub(super) fn add(&mut self, text: &[u8]) -> Option<Span> {
        let start = u32::try_from(self.0.len()).ok()?;
        let bytes = u32::try_from(text.len()).ok()?;
        start.checked_add(bytes)?;
        self.0.extend_from_slice(text);
        Some(Span { start, bytes })
    }

    /// The text at this place.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        &self.0[start..start + span.bytes()]
    }

    /// Gives back what was reserved and is not used.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}
