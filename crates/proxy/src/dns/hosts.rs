//! The hosts file: names that need no asking. Read once at start; pure but for that.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use ahash::AHashMap;

/// Names with fixed addresses.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    names: AHashMap<Box<str>, Rc<[IpAddr]>>,
}

impl Hosts {
    /// Reads a hosts file; an absent one holds no names.
    pub(crate) fn read(path: &str) -> Self {
        std::fs::read(path)
            .map(|bytes| Self::parse(&String::from_utf8_lossy(&bytes)))
            .unwrap_or_default()
    }

    /// Reads the text of a hosts file: address, names, comments after `#`. IPv4 addresses of a name come first.
    pub(crate) fn parse(text: &str) -> Self {
        let mut found: AHashMap<Box<str>, Vec<IpAddr>> = AHashMap::new();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for name in words {
                let addresses = found.entry(name.to_ascii_lowercase().into()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        let sorted = found.into_iter().map(|(name, mut addresses)| {
            addresses.sort_by_key(IpAddr::is_ipv6);
            // Kong asks a hosts file for one family only: IPv4 where there is one.
            let is_first_ipv6 = addresses.first().is_some_and(IpAddr::is_ipv6);
            addresses.retain(|address| address.is_ipv6() == is_first_ipv6);
            (name, Rc::from(addresses))
        });
        Self {
            names: sorted.collect(),
        }
    }

    /// The addresses of a name (in lower case). Names under `localhost` are this machine's, as RFC 6761 has it.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<[IpAddr]>> {
        if let Some(addresses) = self.names.get(name) {
            return Some(Rc::clone(addresses));
        }
        let is_local = name == "localhost" || name.ends_with(".localhost");
        let is_ip6 = name == "ip6-localhost" || name == "ip6-loopback";
        match (is_local, is_ip6) {
            (true, _) => Some(Rc::from([IpAddr::V4(Ipv4Addr::LOCALHOST)])),
            (_, true) => Some(Rc::from([IpAddr::V6(Ipv6Addr::LOCALHOST)])),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_line() {
        let hosts = Hosts::parse(
            "# top\n::1 both\n10.0.0.1 a A.Example # b\n10.0.0.2 a both\nnonsense c\n",
        );
        assert_eq!(
            &*hosts.get("a").unwrap(),
            ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert_eq!(hosts.get("a.example").unwrap().len(), 1);
        assert_eq!(
            &*hosts.get("both").unwrap(),
            ["10.0.0.2".parse::<IpAddr>().unwrap()]
        );
        assert!(hosts.get("b").is_none() && hosts.get("c").is_none());
    }

    #[test]
    fn localhost_is_this_machine() {
        let hosts = Hosts::default();
        for name in ["localhost", "twinplane.localhost"] {
            assert_eq!(
                &*hosts.get(name).unwrap(),
                ["127.0.0.1".parse::<IpAddr>().unwrap()]
            );
        }
        assert!(hosts.get("example").is_none());
    }
}
