//! The operations on headers, each told whether a header is there by the response as it came to this plugin. Framing is
//! never theirs to change.
use twinplane_engine::headers::Headers;
use twinplane_engine::plugin::BuildError;
use twinplane_engine::text::Text;

use super::config::Config;
use super::split;

const FRAMING: [&str; 4] = [
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
];

/// The operations as configured.
pub(super) struct HeaderChanges {
    remove: Vec<Box<str>>,
    rename: Vec<(Box<str>, Text)>,
    replace: Vec<(Box<str>, Text)>,
    add: Vec<(Box<str>, Text)>,
    append: Vec<(Box<str>, Text)>,
}

impl HeaderChanges {
    /// Refuses names that are no header names.
    pub(super) fn compile(config: &Config) -> Result<Self, BuildError> {
        let mut remove = Vec::new();
        for entry in &config.remove.headers {
            remove.extend(name(split(entry).0)?);
        }
        let mut rename = Vec::new();
        for (old, new) in pairs(&config.rename.headers)? {
            if let Some(new) = name(&String::from_utf8_lossy(new.as_bytes()))? {
                rename.push((old, Text::copy_from(new.as_bytes())));
            }
        }
        Ok(Self {
            remove,
            rename,
            replace: pairs(&config.replace.headers)?,
            add: pairs(&config.add.headers)?,
            append: pairs(&config.append.headers)?,
        })
    }

    /// Applies them.
    pub(super) fn apply(&self, headers: &mut Headers) {
        let before = headers.clone();
        for name in &self.remove {
            headers.remove(name);
        }
        for (old, new) in &self.rename {
            let mut values = before.get_all(old).map(Text::copy_from);
            let Some(first) = values.next() else {
                continue;
            };
            headers.set(new.clone(), first);
            values.for_each(|value| headers.append(new.clone(), value));
            headers.remove(old);
        }
        for (name, value) in self
            .replace
            .iter()
            .filter(|(name, _)| before.contains(name))
        {
            headers.set(Text::copy_from(name.as_bytes()), value.clone());
        }
        for (name, value) in self.add.iter().filter(|(name, _)| !before.contains(name)) {
            headers.set(Text::copy_from(name.as_bytes()), value.clone());
        }
        for (name, value) in &self.append {
            headers.append(Text::copy_from(name.as_bytes()), value.clone());
        }
    }
}

// Names with their values; an entry without a value does nothing.
fn pairs(entries: &[Box<str>]) -> Result<Vec<(Box<str>, Text)>, BuildError> {
    let mut pairs = Vec::with_capacity(entries.len());
    for entry in entries {
        let (key, value) = split(entry);
        let (Some(name), Some(value)) = (name(key)?, value) else {
            continue;
        };
        // No value can end its line.
        let line: Vec<u8> = value
            .bytes()
            .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0))
            .collect();
        pairs.push((name, Text::from(line)));
    }
    Ok(pairs)
}

// A header's name, unless it is one of framing.
fn name(text: &str) -> Result<Option<Box<str>>, BuildError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        let message = format!("config: '{text}' is no name of a header");
        return Err(BuildError::Invalid(message));
    }
    let is_framing = FRAMING
        .iter()
        .any(|framing| text.eq_ignore_ascii_case(framing));
    Ok((!is_framing).then(|| text.into()))
}
