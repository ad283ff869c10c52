//! The interfaces of this machine and their addresses: which link an address is on.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use portolan_wire::MacAddress;

use crate::kernel::Kernel;

/// Interfaces that are listed, at the most.
const MOST: usize = 4_096;

/// An interface of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address, where it has neighbours that are asked for by theirs.
    pub mac: Option<MacAddress>,
    /// Whether it leads nowhere but to this machine.
    pub is_loopback: bool,
    /// Whether packets can go out: it is up and has a carrier.
    pub is_up: bool,
    /// Its addresses with the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// Its link-local IPv6 address.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses
            .iter()
            .find_map(|(address, _)| match address {
                IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
                _ => None,
            })
    }

    /// Whether it has a prefix of IPv6 that `address` is in: then both are on one link.
    pub fn shares(&self, address: Ipv6Addr) -> bool {
        self.addresses.iter().any(|&(own, prefix)| match own {
            IpAddr::V6(own) => network(own, prefix) == network(address, prefix) && prefix < 128,
            IpAddr::V4(_) => false,
        })
    }

    /// Whether `address` means all routers of a prefix of this interface, and no host: its bits
    /// after the prefix are zero (RFC 4291, 2.6.1). Links of two hosts have no such address
    /// (RFC 6164, 5).
    pub fn is_routers_anycast(&self, address: Ipv6Addr) -> bool {
        self.addresses.iter().any(|&(own, prefix)| match own {
            IpAddr::V6(own) => {
                prefix < 127 && own != address && network(own, prefix) == address.to_bits()
            }
            IpAddr::V4(_) => false,
        })
    }
}

/// The bits of an address that a prefix fixes.
fn network(address: Ipv6Addr, prefix: u8) -> u128 {
    let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
    address.to_bits() & !host
}

/// The interfaces of the network namespace that the calling thread is in, by their numbers. It
/// needs no rights.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut kernel = Kernel::open()?;
    let mut found: Vec<Interface> = Vec::new();
    for interface in kernel.interfaces(MOST)? {
        found.push(Interface {
            index: interface.index,
            mac: interface.mac.filter(|_| interface.has_neighbours()),
            is_loopback: interface.is_loopback(),
            is_up: interface.is_up(),
            name: interface.name,
            addresses: Vec::new(),
        });
    }
    kernel.addresses(|index, address, prefix| {
        if let Some(interface) = found.iter_mut().find(|interface| interface.index == index)
            && interface.addresses.len() < MOST
        {
            interface.addresses.push((address, prefix));
        }
    })?;
    found.sort_by_key(|interface| interface.index);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[(&str, u8)]) -> Interface {
        Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: None,
            is_loopback: false,
            is_up: true,
            addresses: addresses
                .iter()
                .map(|(address, prefix)| (address.parse().unwrap(), *prefix))
                .collect(),
        }
    }

    #[test]
    fn the_loopback_is_among_the_interfaces() {
        let all = interfaces().unwrap();
        let loopback = all.iter().find(|one| one.name == "lo").unwrap();
        assert!(loopback.is_loopback && loopback.mac.is_none());
    }

    #[test]
    fn an_address_with_no_bits_after_the_prefix_means_the_routers() {
        let link = interface(&[("192.0.2.1", 24), ("fe80::1", 64), ("2001:db8::5", 120)]);
        let is = |text: &str| link.is_routers_anycast(text.parse().unwrap());
        assert!(is("2001:db8::") && is("fe80::"));
        assert!(!is("2001:db8::1") && !is("2001:db8:1::"));
        let two = interface(&[("2001:db8::1", 127)]);
        assert!(!two.is_routers_anycast("2001:db8::".parse().unwrap()));
        assert_eq!(link.link_local(), Some("fe80::1".parse().unwrap()));
        assert!(link.shares("2001:db8::77".parse().unwrap()));
        assert!(!link.shares("2001:db8::1:77".parse().unwrap()));
    }
}
