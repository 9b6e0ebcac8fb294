//! The operations on the fields of a body: JSON, form or multipart. Names are literal: a dot in them means nothing.
use serde_json::{Map, Value};

use super::changes::Rendered;
use super::query_changes;
use crate::arguments::{Arguments, Style};
use crate::body::{self, Kind, Multipart};

/// The body with the operations applied; nothing where it stays as it is.
pub(super) fn apply(kind: &Kind, body: &[u8], changes: &Rendered) -> Option<Vec<u8>> {
    match kind {
        Kind::Json => json(body, changes),
        Kind::Form => {
            let mut form = Arguments::parse(body);
            query_changes::apply(&mut form, changes);
            Some(form.write(Style::Plain))
        }
        Kind::Multipart(boundary) => Some(multipart(body, boundary, changes)),
    }
}

// An empty body counts as an empty object; what is no object stays.
fn json(body: &[u8], changes: &Rendered) -> Option<Vec<u8>> {
    let mut object = if body.is_empty() {
        Map::new()
    } else {
        body::json_object(body)?
    };
    change(&mut object, changes);
    let mut out = Vec::with_capacity(body.len() + 64);
    body::write_json_object(&object, &mut out);
    Some(out)
}

fn change(object: &mut Map<String, Value>, changes: &Rendered) {
    for name in &changes.remove {
        object.shift_remove(&**name);
    }
    for (old, new) in &changes.rename {
        if let Some(value) = object.shift_remove(&**old) {
            object.insert(String::from_utf8_lossy(new).into_owned(), value);
        }
    }
    for (name, value) in &changes.replace {
        if is_there(object, name) {
            object.insert(name.to_string(), text(value));
        }
    }
    for (name, value) in &changes.add {
        if !is_there(object, name) {
            object.insert(name.to_string(), text(value));
        }
    }
    for (name, value) in &changes.append {
        let beside = match object.shift_remove(&**name) {
            Some(Value::Array(mut items)) => {
                items.push(text(value));
                items
            }
            Some(present @ Value::String(_)) => vec![present, text(value)],
            _ => vec![text(value)],
        };
        object.insert(name.to_string(), Value::Array(beside));
    }
}

// As in Lua, what is false is not there.
fn is_there(object: &Map<String, Value>, name: &str) -> bool {
    object
        .get(name)
        .is_some_and(|value| *value != Value::Bool(false))
}

fn text(value: &[u8]) -> Value {
    Value::from(String::from_utf8_lossy(value))
}

fn multipart(body: &[u8], boundary: &[u8], changes: &Rendered) -> Vec<u8> {
    let mut parts = Multipart::parse(body, boundary);
    for name in &changes.remove {
        parts.remove(name.as_bytes());
    }
    for (old, new) in &changes.rename {
        if let Some(value) = parts.find(old.as_bytes()).map(<[u8]>::to_vec) {
            parts.remove(old.as_bytes());
            parts.set(new, &value);
        }
    }
    for (name, value) in &changes.replace {
        if parts.contains(name.as_bytes()) {
            parts.set(name.as_bytes(), value);
        }
    }
    for (name, value) in &changes.add {
        if !parts.contains(name.as_bytes()) {
            parts.set(name.as_bytes(), value);
        }
    }
    parts.write(boundary)
}
