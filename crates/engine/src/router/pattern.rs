//! One regular expression of a route: checked when the router is built, compiled when it is first asked.
//!
//! Tables generated from API descriptions hold thousands of them; compiling each at every change would take seconds.
//! They are run by the engines that need little memory: a path is short, and what is saved is worth more to a large table
//! than the last hundred nanoseconds of a single expression. Both engines take time linear in the text.
use std::sync::OnceLock;

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;

/// What a compiled expression may take, where it is compiled at once.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Longer expressions, and those that count repetitions, are compiled at once: only they can grow beyond bounds.
const LAZY_BYTES_MAX: usize = 256;
/// What no expression that is compiled late comes near to.
const LAZY_COMPILED_BYTES_MAX: usize = 64 << 20;

/// A regular expression.
#[derive(Debug)]
pub(super) struct Pattern {
    text: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Checks the expression; says what is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let compiled = OnceLock::new();
        if text.len() > LAZY_BYTES_MAX || text.contains('{') {
            let regex = compile(text, COMPILED_BYTES_MAX).map_err(|error| {
                let cause = error.syntax_error().map(ToString::to_string);
                unusable(text, &cause.unwrap_or_else(|| "it is too large".to_owned()))
            })?;
            // Nobody else has it yet.
            let _ = compiled.set(Some(regex));
        } else {
            regex_syntax::ParserBuilder::new()
                .utf8(false)
                .build()
                .parse(text)
                .map_err(|error| unusable(text, &error.to_string()))?;
        }
        Ok(Self {
            text: text.into(),
            compiled,
        })
    }

    /// The compiled expression. None would mean that one passed the check and does not compile: it then matches nothing.
    pub(super) fn regex(&self) -> Option<&Regex> {
        let compiled = self.compiled.get_or_init(|| {
            let compiled = compile(&self.text, LAZY_COMPILED_BYTES_MAX);
            debug_assert!(compiled.is_ok(), "'{}' passed the check", self.text);
            compiled.ok()
        });
        compiled.as_ref()
    }

    /// The bytes that every text begins with that it matches; none where it may match within a text.
    pub(super) fn anchored_start(&self) -> Option<Vec<u8>> {
        let start = literal_start(self.text.strip_prefix('^')?);
        (!start.is_empty()).then(|| start.into_bytes())
    }

    /// Whether it matches.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }
}

// A class such as `\w` takes a hundred times the room where it means the letters of all scripts, so that `\w{64}` alone is
// beyond the bound. Paths are written in ASCII, where both meanings are one: what is too large is tried without them.
fn compile(text: &str, bytes_max: usize) -> Result<Regex, Box<BuildError>> {
    compile_as(text, bytes_max, true).or_else(|error| {
        let narrow = error
            .size_limit()
            .and_then(|_| compile_as(text, bytes_max, false).ok());
        narrow.ok_or(error)
    })
}

fn compile_as(text: &str, bytes_max: usize, unicode: bool) -> Result<Regex, Box<BuildError>> {
    let config = Config::new()
        .nfa_size_limit(Some(bytes_max))
        .utf8_empty(false)
        .auto_prefilter(false)
        .hybrid(false)
        .dfa(false)
        .onepass(false);
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false).unicode(unicode))
        .build(text)
        .map_err(Box::new)
}

fn unusable(text: &str, cause: &str) -> String {
    format!("the regex '{text}' cannot be used: {cause}")
}

/// The bytes that everything begins with that `^pattern` matches. Empty where that is not plain to see.
pub(super) fn literal_start(pattern: &str) -> String {
    let mut start = String::new();
    // With an alternative somewhere the start may be any; one in brackets is not worth telling apart.
    if pattern.contains('|') {
        return start;
    }
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' | '?' | '{' => {
                start.pop();
                break;
            }
            '+' | '.' | '[' | ']' | '(' | ')' | '^' | '$' | '}' => break,
            '\\' => match letters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => start.push(escaped),
                _ => break,
            },
            plain => start.push(plain),
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_start_is_what_every_match_begins_with() {
        for (pattern, wanted) in [
            ("/users/(?<id>[^/]+)$", "/users/"),
            ("/v\\d+/x", "/v"),
            ("/a\\.b\\/c-d/.*", "/a.b/c-d/"),
            ("/ab?c", "/a"),
            ("/ab*", "/a"),
            ("/ab+c", "/ab"),
            ("/ab{0,2}", "/a"),
            ("/a|/b", ""),
            ("(?i)/a", ""),
            ("/café?", "/caf"),
            (".*", ""),
            ("", ""),
            ("/end$", "/end"),
        ] {
            assert_eq!(literal_start(pattern), wanted, "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_at_once() {
        for text in [
            "^/(",
            "^/(?=x)",
            r"^/(a)\1",
            "^/a{2000000}",
            "^(\\w{1000}){1000}",
        ] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        assert!(Pattern::new(r"^/users/(?<id>\d+)$").is_ok());
    }

    #[test]
    fn counted_letters_are_not_too_large() {
        for (text, path) in [
            (r"^/u/(?<name>\w{1,64})$", "/u/anna_9"),
            (r"^/u/[\w.-]{3,255}$", "/u/a.b-c"),
            (
                r"(?i)^/K/\w{36}\W\S{100}$",
                &format!("/k/{}-{}", "a".repeat(36), "b".repeat(100)),
            ),
        ] {
            let pattern = Pattern::new(text).unwrap();
            assert!(pattern.is_match(path.as_bytes()), "{text}");
            assert!(!pattern.is_match(b"/u/?"), "{text}");
        }
    }

    #[test]
    fn it_is_compiled_when_first_asked() {
        let pattern = Pattern::new("^/a[0-9]+$").unwrap();
        assert!(pattern.compiled.get().is_none());
        assert!(pattern.is_match(b"/a12"));
        assert!(!pattern.is_match(b"/a12/"));
        assert!(pattern.compiled.get().is_some());
    }
}
