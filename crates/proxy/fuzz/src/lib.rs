//! The parsers that are tried in `tests/mutations.rs` beside this folder, for cargo-fuzz to lead by what is covered.
#[path = "../../tests/targets/mod.rs"]
mod targets;

use std::path::Path;

/// Lays the seeds of a target where cargo-fuzz looks for what to begin with, and its pieces into `target/NAME.dict`.
pub fn plant(name: &str) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = targets::named(name);
    let folder = home.join("corpus").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the seeds");
    for (number, seed) in target.seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
    }
    let words: String = target.pieces.iter().map(|piece| word(piece)).collect();
    std::fs::write(home.join(format!("target/{name}.dict")), words)
        .expect("a list of words is written");
}

/// A line of libFuzzer's lists of words.
fn word(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect();
    format!("\"{digits}\"\n")
}

/// Tries one input.
pub fn run(name: &str, data: &[u8]) {
    let _taken = (targets::named(name).run)(data);
}
