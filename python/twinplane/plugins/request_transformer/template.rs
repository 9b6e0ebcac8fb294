//! Templates: text with `$(expression)` in it. The expressions are the part of Lua that reads: names, members, constants,
//! `..`, `or`, `and`, `not`, `#`, comparison. Whatever else Lua could say is refused when the plugin is built.
mod parse;
mod value;

pub(super) use value::{Environment, Failure};
use value::{Expression, Value};

/// A compiled template.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Expression(Expression),
}

impl Template {
    /// Compiles a template; the error names what is not understood.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some((before, inside, after)) = next_expression(rest) {
            push_text(&mut pieces, before);
            let expression = parse::expression(inside).ok_or_else(|| inside.to_owned())?;
            pieces.push(Piece::Expression(expression));
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self(pieces))
    }

    /// Renders it; a failure is what Lua would raise.
    pub(super) fn render(&self, environment: &Environment<'_>) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Expression(expression) => {
                    let value: Value<'_> = expression.evaluate(environment)?;
                    value.write(&mut out)?;
                }
            }
        }
        Ok(out)
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.as_bytes().into()));
    }
}

// What stands before the next `$(...)` with matching parentheses, inside and after it. A lone `$(` is text.
fn next_expression(source: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = source[from..].find("$(") {
        let start = from + found;
        let mut depth = 0_usize;
        for (at, byte) in source.bytes().enumerate().skip(start + 1) {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some((&source[..start], &source[start + 2..at], &source[at + 1..]));
            }
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use twinplane_engine::headers::Headers;

    fn rendered(source: &str) -> Result<String, Failure> {
        let mut headers = Headers::new();
        headers.append("X-Who", "bob");
        let query = Arguments::parse(b"q=abc&flag&q2=");
        let captures = [("1".into(), "42".into()), ("id".into(), "42".into())];
        let environment = Environment {
            headers: &headers,
            query: &query,
            captures: &captures,
        };
        let bytes = Template::compile(source).unwrap().render(&environment)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_asked_for_is_read() {
        for (source, text) in [
            ("plain", "plain"),
            ("/u/$(uri_captures['id'])/$(uri_captures[1])", "/u/42/42"),
            ("$(headers.x_who)$(headers[\"X-Who\"])", "bobbob"),
            (
                "$(query_params.q or 'none') $(query_params.z or 'none')",
                "abc none",
            ),
            ("$(\"a \" .. headers['x-who'] .. 1)", "a bob1"),
            ("$(#query_params.q)", "3"),
            ("$(uri_captures.nope)", ""),
            ("$(query_params.q2 and 'set')", "set"),
            ("$(query_params.q == 'abc' and 'yes' or 'no')", "yes"),
            ("$(not shared.x)", "true"),
            ("$(query_params.flag)", "true"),
            ("$(]", "$(]"),
        ] {
            assert_eq!(rendered(source).unwrap(), text, "{source}");
        }
    }

    #[test]
    fn what_lua_would_raise_fails() {
        for source in [
            "$(uri_captures.a.b.c)",
            "$(string.upper(headers.host))",
            "$('a' .. headers.nope)",
            "$(#headers.nope)",
        ] {
            assert_eq!(rendered(source), Err(Failure), "{source}");
        }
    }

    #[test]
    fn other_lua_is_refused_when_compiled() {
        for source in [
            "$((function() return 1 end)())",
            "$(1 + 1)",
            "$(])",
            "$(headers.)",
        ] {
            assert!(Template::compile(source).is_err(), "{source}");
        }
    }
}
