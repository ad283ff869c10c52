//! Networks, as a scenario writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    first: IpAddr,
    len: u8,
}

/// An address as a number, with the bits of its family.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl Prefix {
    /// How many leading bits count.
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether it is the network of all addresses.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Whether it names one address.
    pub fn is_single(self) -> bool {
        self.len == bits(self.first).1
    }

    /// Its first address.
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// Whether `address` is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let (own, width) = bits(self.first);
        let (other, other_width) = bits(address);
        let host_bits = u32::from(width - self.len);
        width == other_width
            && own.checked_shr(host_bits).unwrap_or(0) == other.checked_shr(host_bits).unwrap_or(0)
    }

    /// Every address of it, in order. It may be very long.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let (first, width) = bits(self.first);
        let last = first
            | u128::MAX
                .checked_shr(128 - u32::from(width - self.len))
                .unwrap_or(0);
        (first..=last).map(move |bits| match u32::try_from(bits) {
            Ok(v4) if width == 32 => IpAddr::V4(Ipv4Addr::from_bits(v4)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        })
    }
}

impl From<IpAddr> for Prefix {
    fn from(first: IpAddr) -> Self {
        Self {
            first,
            len: bits(first).1,
        }
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Prefix {
            text: text.to_owned(),
        };
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| wrong())?;
        let (number, width) = bits(first);
        let len = len.unwrap_or(width);
        let host =
            u128::MAX.checked_shr(128 - u32::from(width.checked_sub(len).ok_or_else(wrong)?));
        if number & host.unwrap_or(0) != 0 {
            return Err(wrong());
        }
        Ok(Self { first, len })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.first.fmt(f)
        } else {
            write!(f, "{}/{}", self.first, self.len)
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        let network: Prefix = "198.18.4.0/22".parse().unwrap();
        assert!(network.contains("198.18.7.255".parse().unwrap()));
        assert!(!network.contains("198.18.8.0".parse().unwrap()));
        assert!(!network.contains("::".parse().unwrap()));
        assert_eq!(network.addresses().count(), 1024);
        let one: Prefix = "2001:db8::1".parse().unwrap();
        assert_eq!(one.addresses().count(), 1);
        assert_eq!(one.to_string(), "2001:db8::1");
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn host_bits_and_long_prefixes_are_refused() {
        for text in [
            "198.18.4.1/22",
            "198.18.4.0/33",
            "::/129",
            "x",
            "198.18.4.0/",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
