//! Whether a request satisfies an expression, and what its parts matched.
use std::net::IpAddr;

use regex_automata::PatternID;

use super::field::{Field, Kind};
use super::{Node, NumberTest, Predicate, Test, TextTest};
use crate::router::Capture;
use crate::router::asked::Asked;
use crate::router::pattern::Pattern;

/// Arguments of a query that are looked at, as a real node does.
const ARGUMENTS_MAX: usize = 100;

/// What the parts of an expression matched. A part that held counts even where the branch around it did not.
#[derive(Debug, Default)]
pub(in crate::router) struct Seen {
    /// Bytes of what the last part about the path matched.
    pub(in crate::router) path: Option<usize>,
    pub(in crate::router) captures: Vec<Capture>,
    /// Whether a part about the host held.
    pub(in crate::router) host: bool,
}

/// Where matches are noted; none: nobody wants to know.
pub(super) type Notes<'a> = Option<&'a mut Seen>;

impl Node {
    pub(super) fn holds(&self, asked: &Asked<'_>, heard: &mut Notes<'_>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(asked, heard)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(asked, heard)),
            Self::Not(node) => !node.holds(asked, heard),
            Self::Test(predicate) => predicate.holds(asked, heard),
        }
    }

    /// Where the smallest part stands that explains why this does not hold; none: it is the whole.
    pub(super) fn unmet(&self, asked: &Asked<'_>) -> Option<(usize, usize)> {
        match self {
            Self::All(nodes) => nodes
                .iter()
                .find(|node| !node.holds(asked, &mut None))
                .and_then(|node| node.unmet(asked).or_else(|| node.span())),
            Self::Any(_) | Self::Not(_) => self.span(),
            Self::Test(predicate) => Some((predicate.start, predicate.end)),
        }
    }

    /// From its first test to its last.
    fn span(&self) -> Option<(usize, usize)> {
        match self {
            Self::Test(predicate) => Some((predicate.start, predicate.end)),
            Self::Not(node) => node.span(),
            Self::All(nodes) | Self::Any(nodes) => {
                Some((nodes.first()?.span()?.0, nodes.last()?.span()?.1))
            }
        }
    }
}

impl Predicate {
    fn holds(&self, asked: &Asked<'_>, heard: &mut Notes<'_>) -> bool {
        match self.field.kind() {
            Kind::Text => self.text_holds(asked, heard),
            Kind::Number => self.number(asked).is_some_and(|number| {
                matches!(&self.test, Test::Number(test, wanted) if test.holds(number, *wanted))
            }),
            Kind::Address => self.address(asked).is_some_and(|address| match &self.test {
                Test::Address {
                    is_equal,
                    address: wanted,
                } => (address == *wanted) == *is_equal,
                Test::Network { is_in, network } => network.contains(address) == *is_in,
                _ => false,
            }),
        }
    }

    /// All values, or with `any` one of them; where there is none it does not hold, whatever is asked.
    fn text_holds(&self, asked: &Asked<'_>, heard: &mut Notes<'_>) -> bool {
        let (mut is_given, mut holds) = (false, false);
        self.each_text(asked, &mut |value| {
            is_given = true;
            holds = if self.is_lowered {
                self.one_holds(&lowered(value), heard)
            } else {
                self.one_holds(value, heard)
            };
            // Stops at the first value that decides.
            holds == self.is_any
        });
        is_given && holds
    }

    fn one_holds(&self, value: &[u8], heard: &mut Notes<'_>) -> bool {
        match &self.test {
            Test::Text(test, wanted) => {
                let holds = test.holds(value, wanted);
                if holds && test.is_noted() {
                    self.note(heard, wanted.len());
                }
                holds
            }
            Test::Regex(pattern) => match heard {
                None => pattern.is_match(value),
                Some(seen) => {
                    let Some(length) = capture(pattern, value, seen) else {
                        return false;
                    };
                    self.note(heard, length);
                    true
                }
            },
            _ => false,
        }
    }

    fn note(&self, heard: &mut Notes<'_>, length: usize) {
        if let Some(seen) = heard {
            match self.field {
                Field::Path => seen.path = Some(length),
                Field::Host => seen.host = true,
                _ => {}
            }
        }
    }

    /// Hands every value of a text field to `test`, until it says stop.
    fn each_text(&self, asked: &Asked<'_>, test: &mut dyn FnMut(&[u8]) -> bool) {
        let input = asked.input;
        match &self.field {
            Field::Method => test(input.method),
            Field::Host => test(asked.host.name),
            Field::Path => test(input.path),
            Field::Protocol => test(input.protocol.name().as_bytes()),
            Field::Sni => asked.sni().is_some_and(test),
            Field::Header(name) => input.headers.any(name, test),
            Field::Query(name) => arguments(input.query)
                .filter(|(given, _)| **given == *name.as_bytes())
                .any(|(_, value)| test(&value)),
            Field::Segments(first, last) => segments(input.path, *first, *last).is_some_and(test),
            _ => false,
        };
    }

    fn number(&self, asked: &Asked<'_>) -> Option<i64> {
        match self.field {
            Field::SegmentCount => i64::try_from(path_segments(asked.input.path).count()).ok(),
            Field::SourcePort => asked.input.source.port.map(i64::from),
            Field::DestinationPort => asked.destination().port.map(i64::from),
            _ => None,
        }
    }

    fn address(&self, asked: &Asked<'_>) -> Option<IpAddr> {
        let end = match self.field {
            Field::SourceAddress => asked.input.source,
            _ => asked.input.destination,
        };
        end.address.map(|address| address.to_canonical())
    }
}

impl TextTest {
    fn holds(self, value: &[u8], wanted: &[u8]) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::NotEqual => value != wanted,
            Self::Starts => value.starts_with(wanted),
            Self::Ends => value.ends_with(wanted),
            Self::Contains => memchr::memmem::find(value, wanted).is_some(),
        }
    }

    const fn is_noted(self) -> bool {
        matches!(self, Self::Equal | Self::Starts | Self::Ends)
    }
}

impl NumberTest {
    const fn holds(self, number: i64, wanted: i64) -> bool {
        match self {
            Self::Equal => number == wanted,
            Self::NotEqual => number != wanted,
            Self::Greater => number > wanted,
            Self::GreaterOrEqual => number >= wanted,
            Self::Less => number < wanted,
            Self::LessOrEqual => number <= wanted,
        }
    }
}

fn lowered(value: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_ascii() => text.to_lowercase().into_bytes(),
        _ => value.to_ascii_lowercase(),
    }
}

/// Notes the groups; returns the length of the whole match. Groups of an earlier expression that had more of them stay.
fn capture(pattern: &Pattern, value: &[u8], seen: &mut Seen) -> Option<usize> {
    let regex = pattern.regex()?;
    let mut captures = regex.create_captures();
    regex.captures(value, &mut captures);
    let whole = captures.get_match()?;
    let names = captures.group_info().pattern_names(PatternID::ZERO);
    for (at, (name, group)) in names.zip(captures.iter()).enumerate() {
        let found = Capture {
            name: name.map(Into::into),
            value: group.map(|group| value[group.range()].into()),
        };
        if at < seen.captures.len() {
            seen.captures[at] = found;
        } else {
            seen.captures.push(found);
        }
    }
    Some(whole.len())
}

/// Parts between slashes; one slash at the end counts for nothing.
fn path_segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let is_empty = path.is_empty();
    path.split(|byte| *byte == b'/')
        .take_while(move |_| !is_empty)
}

/// Some segments with the slashes between them; none where the path has not so many.
fn segments(path: &[u8], first: usize, last: usize) -> Option<&[u8]> {
    let mut parts = path_segments(path);
    let start = parts.nth(first)?;
    let end = if last > first {
        parts.nth(last - first - 1)?
    } else {
        start
    };
    let offset = |part: &[u8]| part.as_ptr() as usize - path.as_ptr() as usize;
    path.get(offset(start)..offset(end) + end.len())
}

/// Names and values of a query, escapes decoded; an argument without a value has an empty one.
fn arguments(query: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query
        .split(|byte| *byte == b'&')
        .filter(|argument| !argument.is_empty())
        .take(ARGUMENTS_MAX)
        .map(|argument| {
            let equals = memchr::memchr(b'=', argument);
            let (name, value) = equals.map_or((argument, &b""[..]), |at| {
                (&argument[..at], &argument[at + 1..])
            });
            (decoded(name), decoded(value))
        })
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let hex = |at: usize| {
        let digit = text.get(at).copied().map(char::from);
        digit.and_then(|digit| digit.to_digit(16))
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match (byte, hex(at), hex(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high << 4 | low));
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}
