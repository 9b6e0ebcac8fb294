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
const LENGTH_MASK: u64 = 0x7_FFFF;
const HEADERS_MAX: u32 = 255;

/// The rank as a number: higher wins.
pub(super) fn priority(traits: Traits, calculation: Calculation) -> u64 {
    let flags =
        u64::from(traits.plain_hosts_only) * PLAIN_HOST + u64::from(traits.has_regex) * REGEX;
    let headers = u64::from(traits.headers.min(HEADERS_MAX));
    let regex_priority = if traits.has_regex {
        traits.regex_priority.cast_unsigned()
    } else {
        0
    };
    let length = traits.prefix_bytes as u64 & LENGTH_MASK;
    match calculation {
        Calculation::Strict => {
            flags
                | u64::from(traits.attributes) << 61
                | headers << 52
                | regex_priority << 19
                | length
        }
        Calculation::Original => {
            // Shift counts of 61, 52 and 19 taken modulo 32, on a signed 32-bit number that is then widened.
            let attributes = traits.attributes.wrapping_shl(61).cast_signed();
            let headers = traits
                .headers
                .min(HEADERS_MAX)
                .wrapping_shl(52)
                .cast_signed();
            let regex_priority = u32::try_from(regex_priority & u64::from(u32::MAX))
                .unwrap_or_default()
                .wrapping_shl(19)
                .cast_signed();
            flags
                | (i64::from(attributes) | i64::from(headers) | i64::from(regex_priority))
                    .cast_unsigned()
                | length
        }
    }
}
