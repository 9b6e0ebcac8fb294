//! Reads recordings of a real node, which lie beside the project.
use std::path::PathBuf;

use serde_json::Value;

/// The cases of a file; none, said by name, where it is absent.
pub(crate) fn cases(name: &str) -> Option<Vec<Value>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors")
        .join(name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: {name} is not beside the project");
        return None;
    };
    let case = |line| serde_json::from_str(line).expect("each line is JSON");
    Some(text.lines().map(case).collect())
}
