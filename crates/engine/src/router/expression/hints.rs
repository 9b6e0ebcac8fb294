//! What a request must have for an expression to hold, as far as an index can use it: every request that satisfies the
//! expression has one of the hosts, one of the path starts, and so on. Nothing is claimed where it is not plain to see.
use super::field::Field;
use super::{Node, Predicate, Test, TextTest};
use crate::router::matcher::HostKind;

/// Values kept for one attribute: an expression that lists more is not told apart by it.
const VALUES_MAX: usize = 256;

/// Conditions that follow from an expression; none: it says nothing of that attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::router) struct Hints {
    pub(in crate::router) hosts: Option<Vec<(HostKind, Vec<u8>)>>,
    /// What the path begins with.
    pub(in crate::router) paths: Option<Vec<Vec<u8>>>,
    /// A header by folded name, and the values that one of its occurrences has, case apart.
    pub(in crate::router) header: Option<(Box<str>, Vec<Vec<u8>>)>,
    pub(in crate::router) snis: Option<Vec<Vec<u8>>>,
    pub(in crate::router) ports: Option<Vec<u16>>,
}

/// What follows from a whole expression.
pub(in crate::router) fn hints(expression: &super::Expression) -> Hints {
    of(&expression.root)
}

fn of(node: &Node) -> Hints {
    match node {
        Node::Test(predicate) => of_predicate(predicate),
        Node::Not(_) => Hints::default(),
        Node::All(nodes) => nodes.iter().map(of).fold(Hints::default(), Hints::and),
        Node::Any(nodes) => nodes.iter().map(of).reduce(Hints::or).unwrap_or_default(),
    }
}

fn of_predicate(predicate: &Predicate) -> Hints {
    let mut hints = Hints::default();
    match (&predicate.field, &predicate.test) {
        (Field::Header(name), Test::Text(TextTest::Equal, value)) => {
            hints.header = Some((name.clone(), vec![value.to_vec()]));
        }
        // A text in lower case tells only what the text is, case apart; the index keeps case.
        _ if predicate.is_lowered => {}
        (Field::Host, Test::Text(test, value)) => {
            hints.hosts = host(*test, value).map(|host| vec![host]);
        }
        (Field::Path, Test::Text(TextTest::Equal | TextTest::Starts, value)) => {
            hints.paths = Some(vec![value.to_vec()]);
        }
        (Field::Path, Test::Regex(pattern)) => {
            hints.paths = pattern.anchored_start().map(|start| vec![start]);
        }
        (Field::Sni, Test::Text(TextTest::Equal, value)) => {
            hints.snis = Some(vec![value.to_vec()]);
        }
        (Field::DestinationPort, Test::Number(super::NumberTest::Equal, port)) => {
            hints.ports = u16::try_from(*port).ok().map(|port| vec![port]);
        }
        _ => {}
    }
    hints
}

/// The index looks for wildcards at the dots of a name alone.
fn host(test: TextTest, value: &[u8]) -> Option<(HostKind, Vec<u8>)> {
    let kind = match test {
        TextTest::Equal => HostKind::Exact,
        TextTest::Ends if value.starts_with(b".") => HostKind::Suffix,
        TextTest::Starts if value.ends_with(b".") => HostKind::Prefix,
        _ => return None,
    };
    Some((kind, value.to_vec()))
}

impl Hints {
    fn and(self, other: Self) -> Self {
        Self {
            hosts: shorter(self.hosts, other.hosts),
            paths: longer_starts(self.paths, other.paths),
            header: self.header.or(other.header),
            snis: shorter(self.snis, other.snis),
            ports: shorter(self.ports, other.ports),
        }
    }

    fn or(self, other: Self) -> Self {
        let header = match (self.header, other.header) {
            (Some((name, mut values)), Some((other, more))) if name == other => {
                values.extend(more);
                (values.len() <= VALUES_MAX).then_some((name, values))
            }
            _ => None,
        };
        Self {
            hosts: both(self.hosts, other.hosts),
            paths: both(self.paths, other.paths),
            header,
            snis: both(self.snis, other.snis),
            ports: both(self.ports, other.ports),
        }
    }
}

/// Of two lists that both hold, the one that tells more.
fn shorter<T>(left: Option<Vec<T>>, right: Option<Vec<T>>) -> Option<Vec<T>> {
    match (left, right) {
        (Some(left), Some(right)) if right.len() < left.len() => Some(right),
        (Some(left), _) => Some(left),
        (None, right) => right,
    }
}

/// As [`shorter`]; of lists of one length the one with the longer texts.
fn longer_starts(left: Option<Vec<Vec<u8>>>, right: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let shortest = |list: &[Vec<u8>]| list.iter().map(Vec::len).min().unwrap_or_default();
    match (left, right) {
        (Some(left), Some(right))
            if right.len() == left.len() && shortest(&right) > shortest(&left) =>
        {
            Some(right)
        }
        (left, right) => shorter(left, right),
    }
}

fn both<T>(left: Option<Vec<T>>, right: Option<Vec<T>>) -> Option<Vec<T>> {
    let (Some(mut left), Some(right)) = (left, right) else {
        return None;
    };
    left.extend(right);
    (left.len() <= VALUES_MAX).then_some(left)
}
