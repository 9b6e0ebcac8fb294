//! The number that ranks a matcher.
//!
//! Documented is a 64-bit layout with the count of attributes on top. A running node computes with shift counts that
//! wrap at 32 and so has another order; clients depend on that one. `Strict` is the documented layout.

/// Which order holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calculation {
    /// As a running node has it.
    #[default]
    Original,
    /// As documented.
    Strict,
}

/// What of a matcher its rank depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// How many of methods, hosts, headers, paths, SNIs, sources and destinations are given.
    pub attributes: u32,
    /// All hosts are without wildcard (and there is one).
    pub plain_hosts_only: bool,
    /// How many header names are given.
    pub headers: u32,
    /// A path is a regex.
    pub has_regex: bool,
    /// The route's `regex_priority`; counts with a regex only.
    pub regex_priority: i64,
    /// Length of the longest prefix path, in bytes.
    pub prefix_bytes: usize,
}

const PLAIN_HOST: u64 = 1 << 60;
const REGEX: u64 = 1 << 51;
const LENGTH_MAX: u64 = 0x7_FFFF;
const HEADERS_MAX: u32 = 255;

/// What ranks a route by an expression of its own above every other.
const EXPRESSION: u64 = 0xFF << 56;

/// The rank of a route by an expression of its own.
pub(super) fn of_expression(priority: i64) -> u64 {
    EXPRESSION | u64::try_from(priority).unwrap_or(0)
}

/// What the rank of a matcher for streams depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamTraits {
    /// A server name is asked for.
    pub has_snis: bool,
    /// Sum of [`END_ADDRESS`], [`END_PORT`] and [`END_RANGE`], as far as any of the ends asks for it.
    pub sources: u64,
    /// The same of the end that the client sees.
    pub destinations: u64,
}

/// An end is named by its address.
pub(super) const END_ADDRESS: u64 = 8;
/// An end is named by its port.
pub(super) const END_PORT: u64 = 4;
/// An end is named by a range of addresses.
pub(super) const END_RANGE: u64 = 1;

/// The rank of a matcher for streams.
pub(super) fn of_stream(traits: StreamTraits) -> u64 {
    let is_certain = traits.has_snis || (traits.sources > 0 && traits.destinations > 0);
    u64::from(is_certain) << 61 | traits.sources << 4 | traits.destinations
}

/// What the rank of a route depends on where the flavour is `traditional`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraditionalTraits {
    /// Which attributes are given, from hosts on the left to destinations on the right.
    pub attributes: u8,
    /// A host has a wildcard and a port.
    pub has_wildcard_with_port: bool,
    /// What is told of the ends of a stream.
    pub ends: StreamTraits,
    /// Second the route was made; older ones win.
    pub created_at: Option<i64>,
}

/// The rank where the flavour is `traditional`: the number of attributes, which ones, then what is told of them.
pub(super) fn of_traditional(traits: Traits, more: TraditionalTraits) -> (u64, u128) {
    let submatch = u64::from(more.has_wildcard_with_port) << 2
        | u64::from(traits.has_regex) << 1
        | u64::from(traits.plain_hosts_only);
    let headers = u64::from(traits.headers.min(HEADERS_MAX));
    let regex_priority = if traits.has_regex {
        rising(traits.regex_priority)
    } else {
        0
    };
    let first = u64::from(traits.attributes) << 56
        | u64::from(more.attributes) << 48
        | submatch << 45
        | (more.ends.sources | more.ends.destinations) << 40
        | headers << 32
        | regex_priority;
    let length = (traits.prefix_bytes as u128).min(u128::from(u32::MAX));
    let age = u64::MAX - u64::try_from(more.created_at.unwrap_or(i64::MAX)).unwrap_or(0);
    (first, length << 64 | u128::from(age))
}

/// The rank as a number: higher wins.
pub(super) fn priority(traits: Traits, calculation: Calculation) -> u64 {
    let flags =
        u64::from(traits.plain_hosts_only) * PLAIN_HOST + u64::from(traits.has_regex) * REGEX;
    let headers = traits.headers.min(HEADERS_MAX);
    let regex_priority = if traits.has_regex {
        traits.regex_priority
    } else {
        0
    };
    let length = (traits.prefix_bytes as u64).min(LENGTH_MAX);
    match calculation {
        Calculation::Strict => {
            let attributes = u64::from(traits.attributes) << 61;
            flags | attributes | u64::from(headers) << 52 | rising(regex_priority) << 19 | length
        }
        Calculation::Original => {
            // Shift counts of 61, 52 and 19 taken modulo 32, on a signed 32-bit number that is then widened.
            let attributes = traits.attributes.wrapping_shl(61);
            let headers = headers.wrapping_shl(52);
            let regex_priority = low_word(regex_priority).wrapping_shl(19);
            let low = (attributes | headers | regex_priority).cast_signed();
            flags | i64::from(low).cast_unsigned() | length
        }
    }
}

/// Priorities as 32 bits that rise with them, negative ones first.
fn rising(priority: i64) -> u64 {
    let priority = priority.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    (priority - i64::from(i32::MIN)).cast_unsigned()
}

#[expect(clippy::cast_possible_truncation, reason = "numbers wrap at 32 bits")]
const fn low_word(number: i64) -> u32 {
    number.cast_unsigned() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use Calculation::{Original, Strict};

    const PATH: Traits = Traits {
        attributes: 1,
        plain_hosts_only: false,
        headers: 0,
        has_regex: false,
        regex_priority: 0,
        prefix_bytes: 10,
    };

    #[test]
    fn plain_hosts_outrank_any_number_of_attributes_but_not_in_strict() {
        let host = Traits {
            plain_hosts_only: true,
            prefix_bytes: 0,
            ..PATH
        };
        let three = Traits {
            attributes: 3,
            ..PATH
        };
        assert!(priority(host, Original) > priority(three, Original));
        assert!(priority(host, Strict) < priority(three, Strict));
    }

    #[test]
    fn a_regex_outranks_attributes_but_not_in_strict() {
        let regex = Traits {
            has_regex: true,
            prefix_bytes: 0,
            ..PATH
        };
        let two = Traits {
            attributes: 2,
            ..PATH
        };
        assert!(priority(regex, Original) > priority(two, Original));
        assert!(priority(regex, Strict) < priority(two, Strict));
    }

    #[test]
    fn four_attributes_outrank_everything() {
        let four = Traits {
            attributes: 4,
            ..PATH
        };
        let host = Traits {
            plain_hosts_only: true,
            has_regex: true,
            attributes: 3,
            ..PATH
        };
        assert!(priority(four, Original) > priority(host, Original));
    }

    #[test]
    fn in_original_two_of_regex_priority_are_one_header() {
        let regex = Traits {
            has_regex: true,
            regex_priority: 2,
            ..PATH
        };
        let header = Traits {
            has_regex: true,
            headers: 1,
            ..PATH
        };
        assert_eq!(priority(regex, Original), priority(header, Original));
        assert!(priority(regex, Strict) < priority(header, Strict));
    }

    #[test]
    fn in_strict_regex_priorities_rise_through_zero() {
        let with = |regex_priority| Traits {
            has_regex: true,
            regex_priority,
            ..PATH
        };
        let ranks = [i64::MIN, -1, 0, 1, i64::from(i32::MAX)].map(|p| priority(with(p), Strict));
        assert!(ranks.is_sorted(), "{ranks:?}");
    }

    #[test]
    fn long_prefixes_keep_their_number_within_its_bits() {
        let long = Traits {
            prefix_bytes: 0x10_0000,
            ..PATH
        };
        assert_eq!(priority(long, Original) & 0xF_FFFF, 0x7_FFFF);
    }
}
