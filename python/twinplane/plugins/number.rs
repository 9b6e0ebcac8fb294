//! Numbers as clients of a real node see them written.
use twinplane_engine::text::Text;

/// A number as C's `%.14g` writes it.
pub(crate) fn general(number: f64) -> String {
    const DIGITS: usize = 14;
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let scientific = format!("{:.*e}", DIGITS - 1, number);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..14).contains(&exponent) {
        let decimals = usize::try_from(13 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// A number as a header carries it: whole ones without a fraction.
pub(crate) fn plain(value: f64) -> Text {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "compared with the original"
    )]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "compared with the original")]
    let is_whole = (whole as f64 - value).abs() < f64::EPSILON;
    if is_whole {
        Text::from_integer(whole)
    } else {
        Text::from(general(value))
    }
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_fourteen_digits() {
        for (number, text) in [
            (1.5, "1.5"),
            (1_000.0, "1000"),
            (12_345_678_901_234_567_890.0, "1.2345678901235e+19"),
            (0.1, "0.1"),
            (1e-7, "1e-07"),
            (-2.0, "-2"),
            (99_999_999_999_999.0, "99999999999999"),
            (123_456_789_012_345.0, "1.2345678901234e+14"),
        ] {
            assert_eq!(general(number), text);
        }
    }
}
