//! Forms of errors that an operator wrote: the first `%s` is the message, the second one the id of the request, `%%` a
//! percent sign.
use serde::Deserialize;

use super::Form;

/// One text per form; none: the built-in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorTemplates {
    /// For `text/html`.
    pub html: Option<String>,
    /// For `application/json`.
    pub json: Option<String>,
    /// For `application/xml`.
    pub xml: Option<String>,
    /// For `text/plain`.
    pub plain: Option<String>,
}

impl ErrorTemplates {
    pub(crate) fn of(&self, form: Form) -> Option<&str> {
        match form {
            Form::Html => self.html.as_deref(),
            Form::Json => self.json.as_deref(),
            Form::Xml => self.xml.as_deref(),
            Form::Plain => self.plain.as_deref(),
        }
    }

    /// Adds what is wrong with them.
    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        for (name, template) in [
            ("html", &self.html),
            ("json", &self.json),
            ("xml", &self.xml),
            ("plain", &self.plain),
        ] {
            if let Some(problem) = template.as_deref().and_then(problem) {
                faults.push(format!("error_template_{name}: {problem}"));
            }
        }
    }
}

fn problem(template: &str) -> Option<String> {
    let mut places = 0;
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('s') => places += 1,
            Some('%') => {}
            _ => return Some("a percent sign is written %%, a place for a text %s".to_owned()),
        }
        rest = &rest[1..];
    }
    (places > 2).then(|| {
        format!("{places} times %s; there are two texts: the message and the id of the request")
    })
}

/// The template with its texts.
pub(crate) fn fill(template: &str, message: &str, request_id: &str) -> String {
    let mut texts = [message, request_id].into_iter();
    let mut filled = String::with_capacity(template.len() + message.len() + request_id.len());
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        let is_place = rest[at + 1..].starts_with('s');
        filled.push_str(if is_place {
            texts.next().unwrap_or_default()
        } else {
            "%"
        });
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_where_their_places_are() {
        assert_eq!(fill("<%s|%s|100 %%>", "a%sb", "7"), "<a%sb|7|100 %>");
        assert_eq!(fill("alone", "m", "7"), "alone");
    }

    #[test]
    fn a_template_that_asks_for_more_is_refused() {
        assert!(problem("%s %s %%").is_none());
        assert!(problem("%s %s %s").is_some_and(|told| told.starts_with("3 times")));
        for wrong in ["50%", "%d", "%\u{e9}"] {
            assert!(problem(wrong).is_some(), "{wrong}");
        }
    }
}
