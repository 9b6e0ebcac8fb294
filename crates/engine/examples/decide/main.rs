//! Answers decisions of the engine, asked as JSON lines: one object with the name of the decision and its facts in, one
//! line with the answer out. `tests/reference` compares the answers with plain statements of the same decisions.
mod matching;
mod peers;
mod plugins;
mod retrying;

use std::io::{BufRead, Write};

use serde::Deserialize;

/// What is asked.
#[derive(Deserialize)]
#[serde(tag = "decide", rename_all = "snake_case")]
enum Question {
    /// Which route each request is for.
    Match(matching::Match),
    /// What is wrong with a text as an expression.
    Expression(matching::Read),
    /// The normal form of a path and the form that goes upstream.
    Path(matching::Path),
    /// Which plugins run for a request, and in which order.
    Plugins(plugins::Plugins),
    /// Which peers a run of requests goes to.
    Pick(peers::Pick),
    /// How a peer fares after a run of reports.
    Health(peers::Health),
    /// Whether a failed attempt is repeated.
    Retry(retrying::Retry),
}

fn answer(line: &str) -> Result<String, Box<dyn std::error::Error>> {
    let answer = match serde_json::from_str(line)? {
        Question::Match(asked) => asked.answer(),
        Question::Expression(asked) => asked.answer(),
        Question::Path(asked) => asked.answer(),
        Question::Plugins(asked) => asked.answer()?,
        Question::Pick(asked) => asked.answer(),
        Question::Health(asked) => asked.answer(),
        Question::Retry(asked) => asked.answer(),
    };
    Ok(answer.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", answer(&line?)?)?;
        out.flush()?;
    }
    Ok(())
}

/// Latin-1: one character of a question is one byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
