//! The operations on the arguments of a query or of a form.
use super::changes::Rendered;
use crate::arguments::Arguments;

/// Applies them.
pub(super) fn apply(arguments: &mut Arguments, changes: &Rendered) {
    for name in &changes.remove {
        arguments.remove(name.as_bytes());
    }
    for (old, new) in &changes.rename {
        rename(arguments, old.as_bytes(), new);
    }
    for (name, value) in &changes.replace {
        replace(arguments, name.as_bytes(), value);
    }
    for (name, value) in &changes.add {
        if !arguments.contains(name.as_bytes()) {
            push(arguments, name, value);
        }
    }
    for (name, value) in &changes.append {
        push(arguments, name, value);
    }
}

fn push(arguments: &mut Arguments, name: &str, value: &[u8]) {
    arguments
        .0
        .push((name.as_bytes().to_vec(), Some(value.to_vec())));
}

// What had the new name is overwritten.
fn rename(arguments: &mut Arguments, old: &[u8], new: &[u8]) {
    if old == new || !arguments.contains(old) {
        return;
    }
    arguments.remove(new);
    for (name, _) in arguments.0.iter_mut().filter(|(name, _)| name == old) {
        new.clone_into(name);
    }
}

fn replace(arguments: &mut Arguments, name: &[u8], value: &[u8]) {
    let mut is_first = true;
    arguments.0.retain_mut(|(key, present)| {
        if key != name {
            return true;
        }
        *present = Some(value.to_vec());
        std::mem::take(&mut is_first)
    });
}
