//! The little of Lua that a node without Lua can honour: functions that return a constant. Anything else is refused when
//! the plugin is built, never guessed at.
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use twinplane_engine::filter::Filter;
use twinplane_engine::plugin::{BuildContext, BuildError};

/// A member of a log entry that a constant replaces, or removes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CustomField {
    path: Vec<String>,
    value: Option<Value>,
}

/// Reads one of `custom_fields_by_lua`.
pub(crate) fn custom_field(path: &str, source: &str) -> Result<CustomField, BuildError> {
    let value = constant(source).ok_or_else(|| {
        BuildError::Unavailable(format!(
            "its Lua for '{path}' is more than a constant, and this node runs no Lua; \
             what it computes belongs in a plugin in Python"
        ))
    })?;
    Ok(CustomField {
        path: segments(path),
        value,
    })
}

/// Stands for the plugins that are Lua and nothing else.
pub(crate) fn refuse_functions(
    _: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    Err(BuildError::Invalid(format!(
        "name: plugin '{}' runs Lua, which this node does not; write it as a plugin in Python (`twinplane plugin new`)",
        context.plugin.name
    )))
}

impl CustomField {
    /// Sets or removes the member.
    pub(crate) fn apply(&self, entry: &mut Value) {
        let Some((last, parents)) = self.path.split_last() else {
            return;
        };
        let mut at = entry;
        for name in parents {
            if !at.is_object() {
                return;
            }
            at = &mut at[name.as_str()];
            if at.is_null() {
                *at = Value::Object(serde_json::Map::new());
            }
        }
        let Value::Object(members) = at else {
            return;
        };
        match &self.value {
            Some(value) => members.insert(last.clone(), value.clone()),
            None => members.shift_remove(last),
        };
    }
}

// `a.b` names a nested member, `a\.b` one with a dot in its name.
fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, segments.last_mut()) {
            ('\\', Some(segment)) if characters.peek() == Some(&'.') => {
                characters.next();
                segment.push('.');
            }
            ('.', _) => segments.push(String::new()),
            (other, Some(segment)) => segment.push(other),
            _ => {}
        }
    }
    segments
}

// The value of `return <constant>`; `nil` is nothing.
#[expect(clippy::option_option, reason = "not a constant, nil, a value")]
fn constant(source: &str) -> Option<Option<Value>> {
    let source = source.trim().strip_prefix("return")?;
    let is_apart = source.is_empty()
        || source.starts_with(|first: char| first.is_whitespace() || "'\"".contains(first));
    let source = source.trim().trim_end_matches(';').trim_end();
    match source {
        _ if !is_apart => None,
        "" | "nil" => Some(None),
        "true" => Some(Some(true.into())),
        "false" => Some(Some(false.into())),
        _ => literal(source).map(Some),
    }
}

/// A number or a quoted text.
pub(crate) fn literal(source: &str) -> Option<Value> {
    for quote in ['\'', '"'] {
        let Some(text) = source
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        else {
            continue;
        };
        return (!text.contains(['\\', '\n', quote])).then(|| text.into());
    }
    let is_number = source.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    source.parse::<i64>().map(Value::from).ok().or_else(|| {
        let number = source.parse::<f64>().ok().filter(|_| is_number)?;
        serde_json::Number::from_f64(number).map(Value::Number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constants_are_set_and_nil_removes() {
        let mut entry = json!({"route": {"id": "r"}, "request": {"headers": {}}, "n": 1});
        for (path, source) in [
            ("added", "return 'v'"),
            ("route", "return nil"),
            ("request.headers.x", "return 5;"),
            ("a.b", "return \"nested\""),
            ("dotted\\.name", "return true"),
            ("n.below", "return 1"),
        ] {
            custom_field(path, source).unwrap().apply(&mut entry);
        }
        assert_eq!(
            entry,
            json!({"added": "v", "request": {"headers": {"x": 5}}, "a": {"b": "nested"}, "dotted.name": true, "n": 1})
        );
    }

    #[test]
    fn what_is_more_than_a_constant_is_refused() {
        for source in [
            "return kong.request.get_path()",
            "return 1 + 1",
            "local x = 1 return x",
            "return 'a' .. 'b'",
            "returned",
        ] {
            assert!(custom_field("x", source).is_err(), "{source}");
        }
    }
}
