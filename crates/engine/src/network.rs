//! A network in CIDR form. Says whether an address lies in it, nothing else.
use std::net::IpAddr;
use std::str::FromStr;

/// An address and the number of leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in this network. IPv4 addresses written as IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }

    /// Whether this is the address with which the network begins: no bit is set after those that count.
    pub fn is_first_address(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        self.address == address
            && match address {
                IpAddr::V4(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
                IpAddr::V6(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
            }
    }

    /// Whether it is one address alone.
    pub const fn is_single(&self) -> bool {
        self.bits == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not an address or network: {text}");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            Err(wrong())
        } else {
            Ok(Self { address, bits })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(address: &str, network: &str) -> bool {
        network
            .parse::<Network>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn leading_bits_decide() {
        assert!(is_in("10.1.2.3", "10.0.0.0/8"));
        assert!(!is_in("11.1.2.3", "10.0.0.0/8"));
        assert!(is_in("11.1.2.3", "0.0.0.0/0"));
        assert!(is_in("::ffff:10.1.2.3", "10.0.0.0/8"));
        assert!(is_in("2001:db8::1", "2001:db8::/32"));
        assert!(is_in("2001:db8::1", "::/0"));
        assert!(!is_in("10.0.0.1", "::/0"));
        assert!(is_in("10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0", "x/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
