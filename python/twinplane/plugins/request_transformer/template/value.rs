//! What expressions of templates are made of, and what they come to.
use twinplane_engine::headers::Headers;

use crate::arguments::Arguments;
use crate::number::general;

/// What an expression may read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment<'a> {
    /// `headers`
    pub(crate) headers: &'a Headers,
    /// `query_params`
    pub(crate) query: &'a Arguments,
    /// `uri_captures`
    pub(crate) captures: &'a [(Box<str>, Box<str>)],
}

/// An expression raised: the request ends in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

/// An expression.
#[derive(Debug)]
pub(super) enum Expression {
    Nil,
    Boolean(bool),
    Number(f64),
    Text(Box<str>),
    Name(Box<str>),
    Member(Box<Expression>, Box<Expression>),
    Call,
    Not(Box<Expression>),
    Length(Box<Expression>),
    Concatenation(Box<Expression>, Box<Expression>),
    Equal(Box<Expression>, Box<Expression>, bool),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

/// What an expression comes to.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Nil,
    Boolean(bool),
    Number(f64),
    Text(Vec<u8>),
    Headers(&'a Headers),
    Query(&'a Arguments),
    Captures(&'a [(Box<str>, Box<str>)]),
    /// A table without members: what plugins share, of which there is nothing here.
    Empty,
}

impl Expression {
    pub(super) fn evaluate<'a>(&self, environment: &Environment<'a>) -> Result<Value<'a>, Failure> {
        Ok(match self {
            Self::Nil => Value::Nil,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Number(value) => Value::Number(*value),
            Self::Text(text) => Value::Text(text.as_bytes().to_vec()),
            Self::Name(name) => match &**name {
                "headers" => Value::Headers(environment.headers),
                "query_params" => Value::Query(environment.query),
                "uri_captures" => Value::Captures(environment.captures),
                "shared" => Value::Empty,
                _ => Value::Nil,
            },
            Self::Member(of, key) => of
                .evaluate(environment)?
                .member(&key.evaluate(environment)?)?,
            // Nothing that can be reached is a function.
            Self::Call => return Err(Failure),
            Self::Not(value) => Value::Boolean(!value.evaluate(environment)?.is_true()),
            Self::Length(value) => match value.evaluate(environment)? {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                Value::Text(text) => Value::Number(text.len() as f64),
                _ => return Err(Failure),
            },
            Self::Concatenation(left, right) => {
                let mut text = left.evaluate(environment)?.text()?;
                text.extend(right.evaluate(environment)?.text()?);
                Value::Text(text)
            }
            Self::Equal(left, right, wanted) => {
                let is_equal = left
                    .evaluate(environment)?
                    .equals(&right.evaluate(environment)?);
                Value::Boolean(is_equal == *wanted)
            }
            Self::And(left, right) => {
                let value = left.evaluate(environment)?;
                if value.is_true() {
                    right.evaluate(environment)?
                } else {
                    value
                }
            }
            Self::Or(left, right) => {
                let value = left.evaluate(environment)?;
                if value.is_true() {
                    value
                } else {
                    right.evaluate(environment)?
                }
            }
        })
    }
}

impl<'a> Value<'a> {
    fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Boolean(false))
    }

    // Only texts and numbers can be put together.
    fn text(self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Number(number) => Ok(general(number).into_bytes()),
            _ => Err(Failure),
        }
    }

    fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Nil, Value::Nil) => true,
            (Self::Boolean(one), Value::Boolean(other)) => one == other,
            (Self::Number(one), Value::Number(other)) => (one - other).abs() < f64::EPSILON,
            (Self::Text(one), Value::Text(other)) => one == other,
            _ => false,
        }
    }

    fn member(&self, key: &Value<'_>) -> Result<Value<'a>, Failure> {
        let name = match key {
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Value::Number(number) => general(*number),
            _ => return Ok(Value::Nil),
        };
        let text = |value: &[u8]| Value::Text(value.to_vec());
        Ok(match self {
            // Names of headers are found in any case, with `_` for `-`.
            Self::Headers(headers) => {
                let value = headers
                    .get(&name)
                    .or_else(|| headers.get(&name.replace('_', "-")));
                value.map_or(Value::Nil, text)
            }
            Self::Query(query) => {
                let found = query.0.iter().find(|(key, _)| key == name.as_bytes());
                match found {
                    Some((_, Some(value))) => text(value),
                    Some((_, None)) => Value::Boolean(true),
                    None => Value::Nil,
                }
            }
            Self::Captures(captures) => {
                let found = captures.iter().find(|(key, _)| **key == name);
                found.map_or(Value::Nil, |(_, value)| text(value.as_bytes()))
            }
            Self::Empty => Value::Nil,
            Self::Nil | Self::Boolean(_) | Self::Number(_) | Self::Text(_) => return Err(Failure),
        })
    }

    /// Writes the value as text; nothing for nil.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Nil => {}
            Self::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Number(number) => out.extend_from_slice(general(*number).as_bytes()),
            Self::Text(text) => out.extend_from_slice(text),
            Self::Headers(_) | Self::Query(_) | Self::Captures(_) | Self::Empty => {
                return Err(Failure);
            }
        }
        Ok(())
    }
}
