//! Router expressions: `http.path ^= "/a" && net.src.ip in 10.0.0.0/8`. Read, checked and asked of requests.
//!
//! `||` binds tighter than `&&`, as in the nodes of Kong 3.x, whatever one would expect; brackets make it plain.
mod ask;
mod field;
mod hints;
mod read;

use std::sync::Arc;

use ask::Notes;
pub(super) use ask::Seen;
pub(super) use hints::{Hints, hints};

use super::asked::Asked;
use super::pattern::Pattern;
use super::{Flavor, MatchInput};
use crate::network::Network;
use field::Field;

/// What a kind of traffic offers to expressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subsystem {
    /// Requests.
    #[default]
    Http,
    /// Streams of bytes.
    Stream,
}

/// An expression that can be asked.
#[derive(Debug)]
pub struct Expression {
    root: Node,
    text: Box<str>,
}

/// What keeps a text from being an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// Where it shows: the byte in the text.
    pub at: usize,
    /// What is wrong, in words.
    pub message: String,
}

#[derive(Debug)]
enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    Test(Box<Predicate>),
}

/// A field and what it is compared with.
#[derive(Debug)]
struct Predicate {
    field: Field,
    /// Whether the field's text is put in lower case first.
    is_lowered: bool,
    /// Whether one of several values is enough.
    is_any: bool,
    test: Test,
    /// Where it stands in the text.
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Test {
    Text(TextTest, Box<[u8]>),
    Regex(Arc<Pattern>),
    Number(NumberTest, i64),
    Address {
        is_equal: bool,
        address: std::net::IpAddr,
    },
    Network {
        is_in: bool,
        network: Network,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextTest {
    Equal,
    NotEqual,
    Starts,
    Ends,
    Contains,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberTest {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Expression {
    /// Reads an expression; every fault that can be told beside the others is told.
    pub fn read(text: &str, subsystem: Subsystem) -> Result<Self, Vec<ExpressionFault>> {
        Self::read_with(text, subsystem, &mut |text| {
            Pattern::new(text).map(Arc::new)
        })
    }

    /// As [`Self::read`], with a store of compiled regular expressions.
    pub(super) fn read_with(
        text: &str,
        subsystem: Subsystem,
        compile: &mut dyn FnMut(&str) -> Result<Arc<Pattern>, String>,
    ) -> Result<Self, Vec<ExpressionFault>> {
        let root = read::read(text, subsystem, compile)?;
        Ok(Self {
            root,
            text: text.into(),
        })
    }

    /// Whether a request satisfies it.
    pub fn holds(&self, input: &MatchInput<'_>) -> bool {
        self.matches(&Asked::new(input, Flavor::Expressions), &mut None)
    }

    /// The part that a request does not satisfy; none: it satisfies the whole.
    pub fn lacks(&self, input: &MatchInput<'_>) -> Option<&str> {
        let asked = Asked::new(input, Flavor::Expressions);
        (!self.matches(&asked, &mut None)).then(|| self.unmet(&asked))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a request satisfies it; notes what its parts matched, where that is wanted.
    pub(super) fn matches(&self, asked: &Asked<'_>, notes: &mut Notes<'_>) -> bool {
        self.root.holds(asked, notes)
    }

    /// The smallest part that explains why a request does not satisfy it.
    pub(super) fn unmet(&self, asked: &Asked<'_>) -> &str {
        let (start, end) = self.root.unmet(asked).unwrap_or((0, self.text.len()));
        &self.text[start..end]
    }
}

impl std::fmt::Display for ExpressionFault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "at byte {}: {}", self.at + 1, self.message)
    }
}
