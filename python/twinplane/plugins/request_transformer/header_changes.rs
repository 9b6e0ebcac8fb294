//! The operations on headers. Framing is never theirs to change; `Host` can only be replaced.
use twinplane_engine::exchange::Exchange;
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use super::changes::Rendered;

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Applies them to what goes upstream.
pub(super) fn apply(x: &mut Exchange, changes: &Rendered) {
    for (name, value) in &changes.replace {
        if is_host(name) {
            x.upstream.host_header = Some(host(value));
        }
    }
    let headers = &mut x.request.headers;
    for name in changes.remove.iter().filter(|name| is_free(name)) {
        headers.remove(name);
    }
    for (old, new) in changes.rename.iter().filter(|(old, _)| is_free(old)) {
        let new = String::from_utf8_lossy(new).to_ascii_lowercase();
        if is_token(&new) && is_free(&new) {
            rename(headers, old, &new);
        }
    }
    for (name, value) in changes.replace.iter().filter(|(name, _)| is_free(name)) {
        replace(headers, name, value);
    }
    for (name, value) in changes.add.iter().filter(|(name, _)| is_free(name)) {
        headers.add(Text::copy_from(name.as_bytes()), shown(value));
    }
    for (name, value) in changes.append.iter().filter(|(name, _)| is_free(name)) {
        append(headers, name, value);
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

fn is_free(name: &str) -> bool {
    !is_host(name)
        && !FRAMING
            .iter()
            .any(|framing| name.eq_ignore_ascii_case(framing))
}

// A name that a template has made may be no name at all, such as one of framing with a space behind it.
fn is_token(name: &str) -> bool {
    let is_mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

// No host ends its line, or is two.
fn host(value: &[u8]) -> Text {
    let kept: Vec<u8> = value.iter().copied().filter(u8::is_ascii_graphic).collect();
    Text::from(kept)
}

// An empty value goes out as a single space, and no value can end its line.
fn shown(value: &[u8]) -> Text {
    if value.is_empty() {
        return Text::from_static(" ");
    }
    let is_split = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if is_split {
        let kept: Vec<u8> = value
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0))
            .collect();
        return Text::from(kept);
    }
    Text::copy_from(value)
}

// A new name is written in lower case; where it is taken, the field that has it keeps its spelling.
fn rename(headers: &mut Headers, old: &str, new: &str) {
    let values: Vec<Text> = headers.get_all(old).map(Text::copy_from).collect();
    if values.is_empty() {
        return;
    }
    let taken = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(new.as_bytes()));
    let name = taken.map_or_else(
        || Text::copy_from(new.as_bytes()),
        |(name, _)| Text::copy_from(name),
    );
    headers.remove(old);
    for (at, value) in values.into_iter().enumerate() {
        if at == 0 {
            headers.set(name.clone(), value);
        } else {
            headers.append(name.clone(), value);
        }
    }
}

fn replace(headers: &mut Headers, name: &str, value: &[u8]) {
    let present = headers
        .iter()
        .find(|(present, _)| present.eq_ignore_ascii_case(name.as_bytes()));
    let Some(name) = present.map(|(name, _)| Text::copy_from(name)) else {
        return;
    };
    headers.set(name, shown(value));
}

// Beside what is there; the whole takes the configured spelling.
fn append(headers: &mut Headers, name: &str, value: &[u8]) {
    let values: Vec<Text> = headers.get_all(name).map(Text::copy_from).collect();
    let name = Text::copy_from(name.as_bytes());
    for (at, present) in values.into_iter().enumerate() {
        if at == 0 {
            headers.set(name.clone(), present);
        } else {
            headers.append(name.clone(), present);
        }
    }
    headers.append(name, shown(value));
}
