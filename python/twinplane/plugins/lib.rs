//! What the bundled plugins written in Rust do to a request, one folder each.
