//! Arguments of a query or of a form: taken apart, looked up, changed, put together again. Order is kept; what is not
//! asked for is not decoded twice.

/// Arguments in the order in which they came; one without `=` has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments(pub(crate) Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// How arguments are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A space as `+`, an argument without a value as `name=`.
    Form,
    /// A space as `%20`, an argument without a value as `name`.
    Plain,
}

/// What is found under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nothing, or the name alone.
    Nothing,
    /// One value.
    One(&'a [u8]),
    /// Several.
    Many,
}

impl Arguments {
    /// Takes apart a query or a form body.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let pairs = text.split(|byte| *byte == b'&').filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let name = decode(&pair[..equals.unwrap_or(pair.len())]);
            (!name.is_empty()).then(|| (name, equals.map(|at| decode(&pair[at + 1..]))))
        });
        Self(pairs.collect())
    }

    /// What is found under a name.
    pub(crate) fn find(&self, name: &[u8]) -> Found<'_> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Found::Many,
            (Some((_, Some(value))), None) => Found::One(value),
            _ => Found::Nothing,
        }
    }

    /// Whether there is an argument of this name.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Removes all arguments of a name; says whether there were any.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| key != name);
        self.0.len() != before
    }

    /// Puts the arguments together again.
    pub(crate) fn write(&self, style: Style) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push(b'&');
            }
            escape(name, style, &mut out);
            match value {
                Some(value) => {
                    out.push(b'=');
                    escape(value, style, &mut out);
                }
                None if style == Style::Form => out.push(b'='),
                None => {}
            }
        }
        out
    }
}

/// Decodes `%XX` and `+`; what is no escape stays as it is.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(b'%'),
            },
            (other, _) => out.push(*other),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn escape(text: &[u8], style: Style, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(*byte),
            b' ' if style == Style::Form => out.push(b'+'),
            other => out.extend_from_slice(&[
                b'%',
                DIGITS[usize::from(other >> 4)],
                DIGITS[usize::from(other & 15)],
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_being_taken_apart() {
        let arguments = Arguments::parse(b"a=1&flag&b=%20x+y&=no&&a=2&c=%zz");
        assert_eq!(arguments.find(b"a"), Found::Many);
        assert_eq!(arguments.find(b"b"), Found::One(b" x y"));
        assert_eq!(arguments.find(b"flag"), Found::Nothing);
        assert!(arguments.contains(b"flag"));
        assert_eq!(
            arguments.write(Style::Form),
            b"a=1&flag=&b=+x+y&a=2&c=%25zz"
        );
        assert_eq!(
            arguments.write(Style::Plain),
            b"a=1&flag&b=%20x%20y&a=2&c=%25zz"
        );
    }
}
