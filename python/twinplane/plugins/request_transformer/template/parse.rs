//! From the text of an expression to the expression; nothing where it is not of the part of Lua that templates may use.
use super::value::Expression;

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 32;

/// Reads a whole expression.
pub(super) fn expression(source: &str) -> Option<Expression> {
    let mut parser = Parser {
        rest: source,
        depth: 0,
    };
    let expression = parser.alternative()?;
    parser.skip_space();
    parser.rest.is_empty().then_some(expression)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest.strip_prefix(symbol);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let is_there = name_length(self.rest) == word.len() && self.rest.starts_with(word);
        if is_there {
            self.rest = &self.rest[word.len()..];
        }
        is_there
    }

    fn alternative(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut left = self.conjunction()?;
        while self.takes_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        self.depth -= 1;
        Some(left)
    }

    fn conjunction(&mut self) -> Option<Expression> {
        let mut left = self.comparison()?;
        while self.takes_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Some(left)
    }

    fn comparison(&mut self) -> Option<Expression> {
        let left = self.concatenation()?;
        for (symbol, wanted) in [("==", true), ("~=", false)] {
            if self.takes(symbol) {
                let right = self.concatenation()?;
                return Some(Expression::Equal(Box::new(left), Box::new(right), wanted));
            }
        }
        Some(left)
    }

    fn concatenation(&mut self) -> Option<Expression> {
        let mut left = self.unary()?;
        while self.takes("..") {
            left = Expression::Concatenation(Box::new(left), Box::new(self.unary()?));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        let mut marks = Vec::new();
        loop {
            if self.takes_word("not") {
                marks.push(true);
            } else if self.takes("#") {
                marks.push(false);
            } else {
                break;
            }
            if marks.len() > DEPTH_MAX {
                return None;
            }
        }
        let mut operand = self.postfix()?;
        while let Some(is_not) = marks.pop() {
            let inner = Box::new(operand);
            operand = if is_not {
                Expression::Not(inner)
            } else {
                Expression::Length(inner)
            };
        }
        Some(operand)
    }

    fn postfix(&mut self) -> Option<Expression> {
        let mut of = self.primary()?;
        for _ in 0..DEPTH_MAX {
            self.skip_space();
            if self.rest.starts_with("..") {
                return Some(of);
            }
            if self.takes(".") {
                let key = self.name()?;
                of = Expression::Member(Box::new(of), Box::new(Expression::Text(key.into())));
            } else if self.takes("[") {
                let key = self.alternative()?;
                if !self.takes("]") {
                    return None;
                }
                of = Expression::Member(Box::new(of), Box::new(key));
            } else if self.takes("(") {
                self.skip_arguments()?;
                of = Expression::Call;
            } else {
                return Some(of);
            }
        }
        None
    }

    // Arguments are read only to see where they end: what is called is never there.
    fn skip_arguments(&mut self) -> Option<()> {
        if self.takes(")") {
            return Some(());
        }
        loop {
            self.alternative()?;
            if self.takes(")") {
                return Some(());
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    fn primary(&mut self) -> Option<Expression> {
        self.skip_space();
        if self.takes("(") {
            let inner = self.alternative()?;
            return self.takes(")").then_some(inner);
        }
        let first = self.rest.chars().next()?;
        if first == '"' || first == '\'' {
            return self.text(first);
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        let name = self.name()?;
        Some(match name {
            "nil" => Expression::Nil,
            "true" => Expression::Boolean(true),
            "false" => Expression::Boolean(false),
            "and" | "or" | "not" | "function" | "if" | "then" | "else" | "end" | "for"
            | "while" | "do" | "local" | "return" | "repeat" | "until" | "break" | "in"
            | "elseif" => return None,
            name => Expression::Name(name.into()),
        })
    }

    fn text(&mut self, quote: char) -> Option<Expression> {
        let inside = &self.rest[1..];
        let mut text = String::new();
        let mut characters = inside.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    other if "\\'\"".contains(other) => text.push(other),
                    _ => return None,
                },
                '\n' => return None,
                end if end == quote => {
                    self.rest = &inside[at + 1..];
                    return Some(Expression::Text(text.into()));
                }
                other => text.push(other),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Expression> {
        let digits = self
            .rest
            .find(|byte: char| !byte.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let mut end = digits;
        let fraction = &self.rest[digits..];
        if fraction.starts_with('.') && !fraction.starts_with("..") {
            let more = fraction[1..].find(|byte: char| !byte.is_ascii_digit());
            end = digits + 1 + more.unwrap_or(fraction.len() - 1);
        }
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(Expression::Number(number))
    }

    fn name(&mut self) -> Option<&'a str> {
        self.skip_space();
        let length = name_length(self.rest);
        let starts_well = self.rest.starts_with(|first: char| !first.is_ascii_digit());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0 && starts_well).then_some(name)
    }
}

fn name_length(text: &str) -> usize {
    text.find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
        .unwrap_or(text.len())
}
