//! The five operations on one kind of fields, in the order in which they are applied: remove, rename, replace, add,
//! append.
use twinplane_engine::plugin::BuildError;

use super::template::{Environment, Failure, Template};

/// The operations as configured.
#[derive(Debug)]
pub(super) struct Changes {
    remove: Vec<Change>,
    rename: Vec<Change>,
    replace: Vec<Change>,
    add: Vec<Change>,
    append: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    name: Box<str>,
    value: Option<Template>,
}

/// The operations for one request.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Names to remove.
    pub(super) remove: Vec<Box<str>>,
    /// Old name, new name.
    pub(super) rename: Vec<(Box<str>, Vec<u8>)>,
    /// Name and value, only where the field is there.
    pub(super) replace: Vec<(Box<str>, Vec<u8>)>,
    /// Name and value, only where the field is not there.
    pub(super) add: Vec<(Box<str>, Vec<u8>)>,
    /// Name and value, beside what is there.
    pub(super) append: Vec<(Box<str>, Vec<u8>)>,
}

/// Compiles a template; one that this node cannot render makes the plugin unavailable.
pub(super) fn template(source: &str) -> Result<Template, BuildError> {
    Template::compile(source).map_err(|expression| {
        BuildError::Unavailable(format!(
            "this node runs no Lua, and '{expression}' is more than it can read"
        ))
    })
}

impl Changes {
    pub(super) fn compile(
        remove: &[Box<str>],
        rename: &[Box<str>],
        replace: &[Box<str>],
        add: &[Box<str>],
        append: &[Box<str>],
    ) -> Result<Self, BuildError> {
        let all = |list: &[Box<str>]| {
            list.iter()
                .map(|entry| Change::compile(entry))
                .collect::<Result<_, _>>()
        };
        Ok(Self {
            remove: all(remove)?,
            rename: all(rename)?,
            replace: all(replace)?,
            add: all(add)?,
            append: all(append)?,
        })
    }

    /// Whether nothing is configured.
    pub(super) fn is_empty(&self) -> bool {
        [
            &self.remove,
            &self.rename,
            &self.replace,
            &self.add,
            &self.append,
        ]
        .into_iter()
        .all(Vec::is_empty)
    }

    /// Renders all templates.
    pub(super) fn render(&self, environment: &Environment<'_>) -> Result<Rendered, Failure> {
        let all = |changes: &[Change]| {
            let mut pairs = Vec::with_capacity(changes.len());
            for change in changes {
                if let Some(value) = &change.value {
                    pairs.push((change.name.clone(), value.render(environment)?));
                }
            }
            Ok(pairs)
        };
        Ok(Rendered {
            remove: self
                .remove
                .iter()
                .map(|change| change.name.clone())
                .collect(),
            rename: all(&self.rename)?,
            replace: all(&self.replace)?,
            add: all(&self.add)?,
            append: all(&self.append)?,
        })
    }
}

impl Change {
    fn compile(entry: &str) -> Result<Self, BuildError> {
        let (name, value) = entry.split_once(':').unwrap_or((entry, ""));
        let value = value.trim_start_matches(':');
        Ok(Self {
            name: name.into(),
            value: (!value.is_empty()).then(|| template(value)).transpose()?,
        })
    }
}
