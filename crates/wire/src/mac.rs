//! Addresses of network interfaces.

use std::fmt;
use std::net::Ipv6Addr;

/// An IEEE 802 MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The address of every interface on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names one interface: the group bit is not set.
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0
    }

    /// The address that frames to an IPv6 multicast group go to (RFC 2464, 7).
    pub const fn ipv6_multicast(group: Ipv6Addr) -> Self {
        let octets = group.octets();
        Self([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }
}

/// Two hexadecimal digits an octet, colons between: `00:00:5e:00:53:01`.
impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_colons() {
        let address = MacAddress([0, 0, 0x5e, 0, 0x53, 1]);
        assert_eq!(address.to_string(), "00:00:5e:00:53:01");
        assert!(address.is_unicast());
        assert!(!MacAddress::BROADCAST.is_unicast());
    }

    #[test]
    fn a_solicited_node_group_maps_to_33_33() {
        let group = "ff02::1:ff00:1".parse().unwrap();
        assert_eq!(
            MacAddress::ipv6_multicast(group).to_string(),
            "33:33:ff:00:00:01"
        );
    }
}
