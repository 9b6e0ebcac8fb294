//! Who wants to know why matchers do not fit. A look-up wants to know nothing and pays nothing.

/// A part of what a matcher asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Method,
    Host,
    Sni,
    /// By folded name.
    Header(&'a str),
    Source,
    Destination,
    Protocol,
    Path,
    /// The smallest part of the expression that does not hold.
    Expression(&'a str),
}

/// Hears what is not fulfilled.
pub(super) trait Watch {
    /// Whether every part is asked, or none after the first that is not fulfilled.
    const ALL: bool;

    /// A part is not fulfilled.
    fn unmet(&mut self, part: Part<'_>);
}

/// Nobody.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    const ALL: bool = false;

    #[inline]
    fn unmet(&mut self, _part: Part<'_>) {}
}
