//! Header fields as plugins in Python name and give them: what may stand in a name and in a value, and whose fields they
//! are.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use twinplane_engine::headers::Headers;
use twinplane_engine::visit::Parts;

// What one hop's connection is about is the gateway's alone.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header's name, checked.
pub(crate) fn name_of(name: &str) -> PyResult<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(PyValueError::new_err(format!(
            "'{name}' is no name of a header"
        )));
    }
    if FRAMING.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(PyValueError::new_err(format!(
            "the header '{name}' is the gateway's own business"
        )));
    }
    Ok(name.to_owned())
}

/// A header's value, checked; one character a byte.
pub(crate) fn value_of(value: &str) -> PyResult<Vec<u8>> {
    let bytes: Option<Vec<u8>> = value
        .chars()
        .map(|character| u8::try_from(u32::from(character)).ok())
        .collect();
    match bytes {
        Some(bytes) if !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) => Ok(bytes),
        _ => Err(PyValueError::new_err(
            "a header's value holds one line of Latin-1 characters",
        )),
    }
}

/// One character a byte.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Names and values.
pub(super) fn pairs(headers: &Headers) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (latin(name), latin(value)))
        .collect()
}

/// Those of the request, or of the response.
pub(super) fn side(parts: &Parts, is_response: bool) -> &Headers {
    if is_response {
        &parts.response.headers
    } else {
        &parts.request.headers
    }
}

/// The same, to be changed.
pub(super) fn side_mut(parts: &mut Parts, is_response: bool) -> &mut Headers {
    if is_response {
        &mut parts.response.headers
    } else {
        &mut parts.request.headers
    }
}
