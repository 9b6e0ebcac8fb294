//! Sets of addresses: found by halving, so that a long list costs no more than a short one.
use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses and ranges, IPv4 and IPv6; an IPv4 address within IPv6 counts as IPv4.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Reads addresses (`10.0.0.1`, `::1`) and ranges (`10.0.0.0/8`); the entry that is neither is the error.
    pub(super) fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut ranges = Self::default();
        for entry in entries {
            let network = match entry.parse::<IpAddr>() {
                Ok(address) => IpNet::from(address),
                Err(_) => entry.parse().map_err(|_| entry)?,
            };
            let (first, last) = (network.network(), network.broadcast());
            match (first.to_canonical(), last.to_canonical()) {
                (IpAddr::V4(_), IpAddr::V4(_)) => ranges.v4.push((number(first), number(last))),
                _ => ranges.v6.push((number(first), number(last))),
            }
        }
        join(&mut ranges.v4);
        join(&mut ranges.v6);
        Ok(ranges)
    }

    /// Whether an address is in one of them.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let list = match address.to_canonical() {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let number = number(address);
        let after = list.partition_point(|(first, _)| *first <= number);
        after > 0 && number <= list[after - 1].1
    }
}

fn number(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

// In rising order, without overlaps.
fn join(ranges: &mut Vec<(u128, u128)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let is_joined = next.0 <= before.1;
        if is_joined {
            before.1 = before.1.max(next.1);
        }
        is_joined
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(entries: &[&str], address: &str) -> bool {
        let ranges = Ranges::parse(entries.iter().copied()).unwrap();
        ranges.contain(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_found_by_itself_and_in_ranges_that_overlap() {
        let list = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.168.1.7",
            "2001:db8::/32",
            "172.16.5.4/12",
        ];
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "10.2.3.4",
            "192.168.1.7",
            "172.31.255.255",
            "2001:db8:ffff::1",
        ] {
            assert!(contains(&list, address), "{address}");
        }
        for address in [
            "9.255.255.255",
            "11.0.0.0",
            "192.168.1.8",
            "172.32.0.0",
            "2001:db9::",
            "::1",
        ] {
            assert!(!contains(&list, address), "{address}");
        }
    }

    #[test]
    fn the_two_families_do_not_meet_but_for_addresses_within_the_other() {
        assert!(!contains(&["::/0"], "127.0.0.1"));
        assert!(!contains(&["0.0.0.0/0"], "::1"));
        assert!(contains(&["127.0.0.0/8"], "::ffff:127.0.0.1"));
        assert!(contains(&["::ffff:127.0.0.0/104"], "127.0.0.1"));
    }

    #[test]
    fn what_is_no_address_is_named() {
        assert_eq!(
            Ranges::parse(["10.0.0.1", "10.0.0.0/33"].into_iter()),
            Err("10.0.0.0/33")
        );
    }
}
