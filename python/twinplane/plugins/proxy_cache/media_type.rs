//! Media types with wildcards and parameters: which answers are kept by what they hold.

/// A type such as `application/json; charset=utf-8`; `*` stands for any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    kind: Box<str>,
    subtype: Box<str>,
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl MediaType {
    /// Nothing where the text is no media type.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            Some((name.trim().to_ascii_lowercase().into(), value.into()))
        };
        let mut parameters: Vec<_> = parts.filter_map(parameter).collect();
        parameters.sort();
        Some(Self {
            kind: kind.to_ascii_lowercase().into(),
            subtype: subtype.to_ascii_lowercase().into(),
            parameters,
        })
    }

    /// Whether what is wanted covers this type: the same parameters, no more and no less.
    pub(super) fn is_covered_by(&self, wanted: &Self) -> bool {
        let covers = |wanted: &str, own: &str| wanted == "*" || wanted == own;
        covers(&wanted.kind, &self.kind)
            && covers(&wanted.subtype, &self.subtype)
            && wanted.parameters == self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::MediaType;

    #[test]
    fn parameters_have_to_be_the_same() {
        for (wanted, own, is_covered) in [
            ("application/json", "Application/JSON", true),
            ("application/json", "application/json; charset=utf-8", false),
            (
                "application/json; charset=utf-8",
                "application/json;charset=\"utf-8\"",
                true,
            ),
            ("application/json; charset=utf-8", "application/json", false),
            ("text/*", "text/css", true),
            ("*/*", "image/png", true),
            ("text/plain", "text/html", false),
        ] {
            let parse = |text| MediaType::parse(text).unwrap();
            assert_eq!(
                parse(own).is_covered_by(&parse(wanted)),
                is_covered,
                "{wanted} {own}"
            );
        }
        assert_eq!(MediaType::parse("json"), None);
    }
}
