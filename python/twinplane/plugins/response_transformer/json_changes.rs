//! The operations on the members of a JSON body. Names are literal: a dot or a bracket in them means nothing.
use serde_json::{Map, Value};

use super::config::Config;
use super::split;
use crate::body::write_json;

/// The operations as configured.
pub(super) struct JsonChanges {
    remove: Vec<Box<str>>,
    rename: Vec<(Box<str>, Box<str>)>,
    replace: Vec<(Box<str>, Value)>,
    add: Vec<(Box<str>, Value)>,
    append: Vec<(Box<str>, Value)>,
}

impl JsonChanges {
    /// A value that is not of its type takes its operation away.
    pub(super) fn compile(config: &Config) -> Self {
        let rename = config.rename.json.iter().filter_map(|entry| {
            let (old, new) = split(entry);
            Some((old.into(), new?.into()))
        });
        Self {
            remove: config
                .remove
                .json
                .iter()
                .map(|entry| split(entry).0.into())
                .collect(),
            rename: rename.collect(),
            replace: values(&config.replace.json, &config.replace.json_types),
            add: values(&config.add.json, &config.add.json_types),
            append: values(&config.append.json, &config.append.json_types),
        }
    }

    /// Whether nothing is configured.
    pub(super) fn is_empty(&self) -> bool {
        let of_names = self.remove.is_empty() && self.rename.is_empty();
        of_names && self.replace.is_empty() && self.add.is_empty() && self.append.is_empty()
    }

    /// The body with the operations applied; nothing where it stays as it is. An array is written anew, no more.
    pub(super) fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        match &mut value {
            Value::Object(object) => self.change(object),
            Value::Array(_) => {}
            _ => return None,
        }
        let mut out = Vec::with_capacity(body.len() + 64);
        write_json(&value, &mut out);
        Some(out)
    }

    fn change(&self, object: &mut Map<String, Value>) {
        for name in &self.remove {
            object.shift_remove(&**name);
        }
        for (old, new) in &self.rename {
            if let Some(value) = object.get(&**old).cloned() {
                object.insert(new.to_string(), value);
                object.shift_remove(&**old);
            }
        }
        for (name, value) in &self.replace {
            if is_there(object, name) {
                object.insert(name.to_string(), value.clone());
            }
        }
        for (name, value) in &self.add {
            if !is_there(object, name) {
                object.insert(name.to_string(), value.clone());
            }
        }
        for (name, value) in &self.append {
            let beside = match object.shift_remove(&**name) {
                Some(Value::Array(mut items)) => {
                    items.push(value.clone());
                    items
                }
                Some(present @ Value::String(_)) => vec![present, value.clone()],
                _ => vec![value.clone()],
            };
            object.insert(name.to_string(), Value::Array(beside));
        }
    }
}

// As in Lua, what is false is not there.
fn is_there(object: &Map<String, Value>, name: &str) -> bool {
    object
        .get(name)
        .is_some_and(|value| *value != Value::Bool(false))
}

fn values(entries: &[Box<str>], types: &[Box<str>]) -> Vec<(Box<str>, Value)> {
    let of_type = |at: usize, text: &str| match types.get(at).map(AsRef::as_ref) {
        Some("number") => text.trim().parse::<f64>().ok().and_then(|number| {
            let number = serde_json::Number::from_f64(number)?;
            Some(Value::Number(number))
        }),
        Some("boolean") => Some(Value::Bool(text == "true")),
        _ => Some(Value::from(text)),
    };
    let value = |(at, entry): (usize, &str)| {
        let (name, text) = split(entry);
        // Nothing after the colon is the text `null`, as a real node has it.
        Some((name.into(), of_type(at, text.unwrap_or("null"))?))
    };
    let entries = entries.iter().map(AsRef::as_ref).enumerate();
    entries.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(config: &Value) -> JsonChanges {
        let mut whole = json!({
            "remove": {"json": [], "headers": []},
            "rename": {"json": [], "headers": []},
            "replace": {"json": [], "json_types": [], "headers": []},
            "add": {"json": [], "json_types": [], "headers": []},
            "append": {"json": [], "json_types": [], "headers": []},
        });
        for (operation, fields) in config.as_object().unwrap() {
            for (field, list) in fields.as_object().unwrap() {
                whole[operation][field] = list.clone();
            }
        }
        JsonChanges::compile(&serde_json::from_value(whole).unwrap())
    }

    fn changed(config: &Value, body: &Value) -> Value {
        let out = changes(config).apply(body.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn values_have_their_types_and_those_that_cannot_do_nothing() {
        let config = json!({"add": {
            "json": ["n:1.5", "b:true", "no:yes", "bad:x", "s:1", "empty:"],
            "json_types": ["number", "boolean", "boolean", "number"],
        }});
        let wanted = json!({"n": 1.5, "b": true, "no": false, "s": "1", "empty": "null"});
        assert_eq!(changed(&config, &json!({})), wanted);
    }

    #[test]
    fn what_is_false_is_not_there_to_be_replaced_but_can_be_renamed() {
        let config = json!({"replace": {"json": ["f:1", "n:1"]}, "rename": {"json": ["old:new"]}});
        assert_eq!(
            changed(&config, &json!({"f": false, "n": null, "old": false})),
            json!({"f": false, "n": "1", "new": false})
        );
    }

    #[test]
    fn appending_makes_an_array_of_what_is_there() {
        let config = json!({"append": {"json": ["a:2", "s:2", "none:2", "o:2"]}});
        assert_eq!(
            changed(&config, &json!({"a": [1], "s": "1", "o": {"x": 1}})),
            json!({"a": [1, "2"], "s": ["1", "2"], "none": ["2"], "o": ["2"]})
        );
    }

    #[test]
    fn what_is_no_object_stays() {
        let changes = changes(&json!({"add": {"json": ["a:1"]}}));
        for body in ["\"text\"", "1", "null", "{broken", ""] {
            assert_eq!(changes.apply(body.as_bytes()), None, "{body}");
        }
        assert_eq!(changes.apply(b"[ 1 ]"), Some(b"[1]".to_vec()));
    }
}
