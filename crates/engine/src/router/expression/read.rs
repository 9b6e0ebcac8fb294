//! From a text to an expression, with every fault's place.
use std::net::IpAddr;
use std::sync::Arc;

use super::field::{Field, Kind};
use super::{ExpressionFault, Node, NumberTest, Predicate, Subsystem, Test, TextTest};
use crate::network::Network;
use crate::router::pattern::Pattern;

/// Brackets within brackets.
const DEPTH_MAX: usize = 100;

type Compile<'a> = &'a mut dyn FnMut(&str) -> Result<Arc<Pattern>, String>;

/// Reads the whole text.
pub(super) fn read(
    text: &str,
    subsystem: Subsystem,
    compile: Compile<'_>,
) -> Result<Node, Vec<ExpressionFault>> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        subsystem,
        compile,
        faults: Vec::new(),
    };
    let root = reader.whole();
    match root {
        Ok(node) if reader.faults.is_empty() => Ok(node),
        Ok(_) => Err(reader.faults),
        Err(fault) => {
            reader.faults.push(fault);
            Err(reader.faults)
        }
    }
}

/// A value as written.
enum Value {
    Text(String),
    Number(i64),
    Address(IpAddr),
    Network(Network),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    subsystem: Subsystem,
    compile: Compile<'a>,
    /// Those after which reading goes on: the text is well formed, what it says is not.
    faults: Vec<ExpressionFault>,
}

type Read<T> = Result<T, ExpressionFault>;

impl<'a> Reader<'a> {
    fn whole(&mut self) -> Read<Node> {
        let node = self.expression()?;
        self.skip();
        if self.at < self.text.len() {
            return Err(self.expected("&&, || or the end"));
        }
        Ok(node)
    }

    /// `a && b || c` is `a && (b || c)`.
    fn expression(&mut self) -> Read<Node> {
        let mut all = vec![self.alternatives()?];
        while self.take("&&") {
            all.push(self.alternatives()?);
        }
        Ok(single_or(all, Node::All))
    }

    fn alternatives(&mut self) -> Read<Node> {
        let mut any = vec![self.term()?];
        while self.take("||") {
            any.push(self.term()?);
        }
        Ok(single_or(any, Node::Any))
    }

    fn term(&mut self) -> Read<Node> {
        let is_negated = self.take("!");
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(self.fault(self.at, format!("more than {DEPTH_MAX} nested brackets")));
            }
            let inner = self.expression()?;
            if !self.take(")") {
                return Err(self.expected("&&, || or )"));
            }
            self.depth -= 1;
            return Ok(if is_negated {
                Node::Not(Box::new(inner))
            } else {
                inner
            });
        }
        if is_negated {
            return Err(self.expected("( after !"));
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Read<Node> {
        self.skip();
        let start = self.at;
        let (name, is_lowered, is_any) = self.left()?;
        let operator = self.operator()?;
        self.skip();
        let value_at = self.at;
        let value = self.value()?;
        let end = self.at;
        let test = Field::named(name, self.subsystem)
            .map_err(|wrong| self.fault(start, format!("'{name}': {wrong}")))
            .and_then(|field| {
                if is_lowered && field.kind() != Kind::Text {
                    return Err(self.fault(start, format!("'{name}' has no upper and lower case")));
                }
                let test = self.test(name, field.kind(), operator, value, value_at)?;
                Ok((field, test))
            });
        match test {
            Ok((field, test)) => Ok(Node::Test(Box::new(Predicate {
                field,
                is_lowered,
                is_any,
                test,
                start,
                end,
            }))),
            Err(fault) => {
                self.faults.push(fault);
                // Stands for the part at fault; nobody sees it.
                Ok(Node::All(Box::default()))
            }
        }
    }

    /// A field, perhaps within functions.
    fn left(&mut self) -> Read<(&'a str, bool, bool)> {
        let (mut is_lowered, mut is_any, mut open) = (false, false, 0);
        loop {
            self.skip();
            let start = self.at;
            let rest = &self.text[start..];
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
            let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
            if !rest.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
                return Err(self.expected("a field"));
            }
            self.at += length;
            if !self.take("(") {
                for _ in 0..open {
                    if !self.take(")") {
                        return Err(self.expected(")"));
                    }
                }
                return Ok((&rest[..length], is_lowered, is_any));
            }
            match &rest[..length] {
                "lower" => is_lowered = true,
                "any" => is_any = true,
                other => {
                    return Err(self.fault(start, format!("there is no function '{other}'")));
                }
            }
            open += 1;
            if open > DEPTH_MAX {
                return Err(self.fault(start, format!("more than {DEPTH_MAX} nested brackets")));
            }
        }
    }

    fn operator(&mut self) -> Read<&'static str> {
        const OPERATORS: [&str; 11] = [
            "==", "!=", "~", "^=", "=^", ">=", ">", "<=", "<", "in", "contains",
        ];
        if self.take("not") {
            return if self.take("in") {
                Ok("not in")
            } else {
                Err(self.expected("in after not"))
            };
        }
        let found = OPERATORS.into_iter().find(|operator| self.take(operator));
        found.ok_or_else(|| {
            self.expected("one of ==, !=, ~, ^=, =^, >, >=, <, <=, in, not in, contains")
        })
    }

    fn test(
        &mut self,
        name: &str,
        kind: Kind,
        operator: &str,
        value: Value,
        value_at: usize,
    ) -> Read<Test> {
        let test = match (kind, operator, value) {
            (Kind::Text, "~", Value::Text(text)) => {
                let pattern = (self.compile)(&text);
                return pattern
                    .map(Test::Regex)
                    .map_err(|wrong| self.fault(value_at, wrong));
            }
            (Kind::Text, _, Value::Text(text)) => {
                text_test(operator).map(|test| Test::Text(test, text.into_bytes().into()))
            }
            (Kind::Number, _, Value::Number(number)) => {
                number_test(operator).map(|test| Test::Number(test, number))
            }
            (Kind::Address, "==" | "!=", Value::Address(address)) => Some(Test::Address {
                is_equal: operator == "==",
                address,
            }),
            (Kind::Address, "in" | "not in", Value::Network(network)) => Some(Test::Network {
                is_in: operator == "in",
                network,
            }),
            _ => None,
        };
        test.ok_or_else(|| {
            let wanted = match kind {
                Kind::Text => "a text, to be compared by ==, !=, ~, ^=, =^ or contains",
                Kind::Number => "a number, to be compared by ==, !=, >, >=, < or <=",
                Kind::Address => {
                    "an address, to be compared by == or != with an address, by in or not in with a network"
                }
            };
            self.fault(value_at, format!("'{name}' is {wanted}"))
        })
    }

    fn value(&mut self) -> Read<Value> {
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            return self.text_value();
        }
        if let Some(raw) = rest.strip_prefix("r#\"") {
            let Some(length) = raw.find("\"#") else {
                return Err(self.fault(self.at, "the text has no end: \"# is missing"));
            };
            self.at += length + 5;
            return Ok(Value::Text(raw[..length].to_owned()));
        }
        let is_address = |letter: char| letter.is_ascii_hexdigit() || ".:/".contains(letter);
        let length = rest
            .find(|letter| !is_address(letter))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        if word.contains(['.', ':']) {
            return self.address(word);
        }
        self.number(rest)
    }

    fn text_value(&mut self) -> Read<Value> {
        let start = self.at;
        let mut text = String::new();
        let mut letters = self.text[start + 1..].char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at = start + 1 + offset + 1;
                    return Ok(Value::Text(text));
                }
                '\\' => match letters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    _ => {
                        let at = start + 1 + offset;
                        return Err(
                            self.fault(at, r#"after a backslash comes one of ", \, n, r, t; a raw text needs none"#)
                        );
                    }
                },
                _ => text.push(letter),
            }
        }
        Err(self.fault(start, "the text has no end: \" is missing"))
    }

    fn address(&mut self, word: &str) -> Read<Value> {
        let start = self.at;
        self.at += word.len();
        let Some((address, bits)) = word.split_once('/') else {
            let address = word.parse().ok().map(Value::Address);
            return address.ok_or_else(|| self.fault(start, format!("'{word}' is no address")));
        };
        let network: Option<Network> = word.parse().ok().filter(|_| !bits.is_empty());
        let Some(network) = network else {
            return Err(self.fault(start, format!("'{word}' is no network")));
        };
        let is_clean = address
            .parse()
            .is_ok_and(|address| network.is_first_address(address));
        if is_clean {
            Ok(Value::Network(network))
        } else {
            Err(self.fault(start, format!("'{word}' has bits after its first {bits}")))
        }
    }

    fn number(&mut self, rest: &str) -> Read<Value> {
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        let digits_of = |text: &str, radix: u32| {
            text.find(|letter: char| !letter.is_digit(radix))
                .unwrap_or(text.len())
        };
        let (skipped, radix) = if unsigned.starts_with("0x") {
            (2, 16)
        } else if unsigned.starts_with('0') && digits_of(&unsigned[1..], 8) > 0 {
            (1, 8)
        } else {
            (0, 10)
        };
        let length = digits_of(&unsigned[skipped..], radix);
        if length == 0 {
            return Err(self.expected("a text, a number, an address or a network"));
        }
        let digits = &unsigned[skipped..skipped + length];
        let sign = if unsigned.len() == rest.len() {
            ""
        } else {
            "-"
        };
        let start = self.at;
        self.at += sign.len() + skipped + length;
        i64::from_str_radix(&format!("{sign}{digits}"), radix)
            .map(Value::Number)
            .map_err(|_| self.fault(start, "the number is too large"))
    }

    fn skip(&mut self) {
        let rest = &self.text[self.at..];
        let left = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - left.len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let is_next = self.text[self.at..].starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn expected(&mut self, what: &str) -> ExpressionFault {
        self.skip();
        self.fault(self.at, format!("expected {what}"))
    }

    #[expect(clippy::unused_self, reason = "reads as the other ways to end")]
    fn fault(&self, at: usize, message: impl Into<String>) -> ExpressionFault {
        ExpressionFault {
            at,
            message: message.into(),
        }
    }
}

fn single_or(mut nodes: Vec<Node>, several: impl FnOnce(Box<[Node]>) -> Node) -> Node {
    if nodes.len() == 1 {
        nodes.remove(0)
    } else {
        several(nodes.into())
    }
}

fn text_test(operator: &str) -> Option<TextTest> {
    Some(match operator {
        "==" => TextTest::Equal,
        "!=" => TextTest::NotEqual,
        "^=" => TextTest::Starts,
        "=^" => TextTest::Ends,
        "contains" => TextTest::Contains,
        _ => return None,
    })
}

fn number_test(operator: &str) -> Option<NumberTest> {
    Some(match operator {
        "==" => NumberTest::Equal,
        "!=" => NumberTest::NotEqual,
        ">" => NumberTest::Greater,
        ">=" => NumberTest::GreaterOrEqual,
        "<" => NumberTest::Less,
        "<=" => NumberTest::LessOrEqual,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, Subsystem};

    fn faults(text: &str) -> Vec<(usize, String)> {
        let read = Expression::read(text, Subsystem::Http);
        let faults = read.err().unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| (fault.at, fault.message))
            .collect()
    }

    #[test]
    fn what_is_well_formed_is_read() {
        for text in [
            r#"http.path == "/a""#,
            r#" ( http.path=="/a" )  "#,
            r#"!(http.path ^= "/a") && any(lower(http.headers.x_y)) != "b" || tls.sni =^ ".c""#,
            r##"http.path ~ r#"^/a"b"# "##,
            "net.src.ip in10.0.0.0/8 && net.dst.ip == ::1 && net.port == 0x1F && net.src.port < 017",
            "net.src.ip not in 2001:db8::/32",
            "http.path.segments.len >= -1",
            r#"http.path.segments.0_2 contains "x" && http.queries.q == """#,
        ] {
            assert_eq!(faults(text), [], "{text}");
        }
    }

    #[test]
    fn faults_have_their_place() {
        for (text, at) in [
            ("", 0),
            ("http.path", 9),
            (r#"http.path == "/a"#, 13),
            (r#"http.path == "\d""#, 14),
            (r#"(http.path == "/a""#, 18),
            (r#"http.path == "/a" http.host == "b""#, 18),
            (r#"!http.path == "/a""#, 1),
            (r#"upper(http.path) == "/A""#, 0),
            ("net.src.ip in 10.0.0.1/8", 14),
            ("net.src.ip == 10.0.0.444", 14),
            ("net.src.port == 99999999999999999999", 16),
            ("http.path == 5", 13),
            ("lower(net.src.port) == 5", 0),
            (r#"http.unknown == "a""#, 0),
            (r##"http.path ~ r#"("#"##, 12),
        ] {
            let found = faults(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, at, "{text}: {found:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_in_a_well_formed_text_is_told() {
        let found = faults(r#"http.nothing == "a" && net.port == "b" && http.path ~ "(""#);
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [0, 35, 54]);
    }

    #[test]
    fn streams_have_no_http_fields() {
        assert!(Expression::read(r#"http.path == "/""#, Subsystem::Stream).is_err());
        assert!(Expression::read(r#"tls.sni == "a""#, Subsystem::Stream).is_ok());
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = |depth: usize| {
            format!(
                "{}http.path == \"/\"{}",
                "(".repeat(depth),
                ")".repeat(depth)
            )
        };
        assert_eq!(faults(&deep(100)), []);
        assert_eq!(faults(&deep(101)).len(), 1);
        assert_eq!(faults(&"(".repeat(1 << 20)).len(), 1);
        assert_eq!(faults(&"lower(".repeat(1 << 18)).len(), 1);
    }
}
