//! The ways that packets take out of this machine, and which destination takes which.

use std::fmt;
use std::net::IpAddr;

use portolan_scan::device::{Reach, Route};
use portolan_wire::MacAddress;

use crate::kernel::Interface;

/// Places of destinations whose way is remembered, two in each; others are asked of the kernel, or
/// of the table of neighbours, again.
const PLACES: usize = 1 << 16;

/// What carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A link with Ethernet headers: packet sockets.
    Link,
    /// A tunnel or another link without: raw IP sockets, and the kernel does the rest.
    Tunnel,
    /// This machine itself: raw IP sockets too, since packet sockets do not reach it.
    Host,
}

/// All that destinations share which leave in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) carrier: Carrier,
    pub(crate) interface: Interface,
    pub(crate) gateway: Option<IpAddr>,
    /// Where the gateway is on the link, once that is known.
    pub(crate) gateway_mac: Option<MacAddress>,
    pub(crate) source: IpAddr,
    pub(crate) mtu: u32,
    /// A destination that takes it, by which to see whether it is still the way.
    pub(crate) sample: IpAddr,
}

impl Path {
    /// Whether the other is the same way.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.carrier == other.carrier
            && self.interface.index == other.interface.index
            && self.gateway == other.gateway
            && self.source == other.source
            && self.mtu == other.mtu
    }

    /// What the engine learns of it.
    pub(crate) fn route(&self, number: u32) -> Route {
        Route {
            source: self.source,
            reach: match (self.carrier, self.gateway) {
                (Carrier::Host, _) => Reach::Host,
                (Carrier::Link, None) => Reach::Link,
                (Carrier::Link, Some(_)) | (Carrier::Tunnel, _) => Reach::Beyond,
            },
            path: number,
            mtu: self.mtu,
        }
    }
}

/// A way in words: `via 192.0.2.254 on eth0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words<'a> {
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) interface: &'a str,
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, "via {gateway} ")?;
        }
        write!(f, "on `{}`", self.interface)
    }
}

/// How to send to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) destination: IpAddr,
    /// The number of the path.
    pub(crate) path: u32,
    /// Where the next hop is on the link, once that is known.
    pub(crate) mac: Option<MacAddress>,
}

/// Ways of the destinations that were asked for last: each has one place, where two are kept.
#[derive(Debug, Default)]
pub(crate) struct Ways(Box<[[Option<Way>; 2]]>);

impl Ways {
    /// The way to a destination, if it is remembered.
    pub(crate) fn get(&self, destination: IpAddr) -> Option<Way> {
        let ways = self.0.get(place(destination))?.iter().flatten();
        ways.copied().find(|way| way.destination == destination)
    }

    /// Remembers a way, in place of the older one at its place.
    pub(crate) fn insert(&mut self, way: Way) {
        if self.0.is_empty() {
            self.0 = vec![[None; 2]; PLACES].into_boxed_slice();
        }
        if let Some([newer, older]) = self.0.get_mut(place(way.destination)) {
            if newer.is_some_and(|newer| newer.destination != way.destination) {
                *older = *newer;
            }
            *newer = Some(way);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.fill([None; 2]);
    }
}

/// The place of a destination, by the multiplicative hash of its last 8 bytes: neighbouring
/// addresses fall on different places.
fn place(destination: IpAddr) -> usize {
    let key = match destination {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let [high, low] = [address.to_bits() >> 64, address.to_bits()];
            #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
            let mixed = (high as u64).rotate_left(32) ^ low as u64;
            mixed
        }
    };
    // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    usize::try_from(hash).unwrap_or(0) % PLACES
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn way(destination: IpAddr) -> Way {
        Way {
            destination,
            path: 3,
            mac: None,
        }
    }

    #[test]
    fn a_way_is_remembered_until_all_are_forgotten() {
        let mut ways = Ways::default();
        let near: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(ways.get(near), None);
        ways.insert(way(near));
        assert_eq!(ways.get(near), Some(way(near)));
        let known = Way {
            mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
            ..way(near)
        };
        ways.insert(known);
        assert_eq!(ways.get(near), Some(known));
        assert_eq!(ways.get("192.0.2.2".parse().unwrap()), None);
        ways.clear();
        assert_eq!(ways.get(near), None);
    }

    #[test]
    fn two_that_share_a_place_do_not_take_it_from_each_other() {
        let mut ways = Ways::default();
        let near: IpAddr = "192.0.2.1".parse().unwrap();
        let mut rivals = (0..u32::MAX)
            .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)))
            .filter(|other| *other != near && place(*other) == place(near));
        let (rival, last) = (rivals.next().unwrap(), rivals.next().unwrap());
        for _ in 0..3 {
            ways.insert(way(near));
            ways.insert(way(rival));
        }
        assert!(ways.get(near).is_some() && ways.get(rival).is_some());
        ways.insert(way(last));
        assert!(ways.get(near).is_none() && ways.get(rival).is_some());
    }

    #[test]
    fn the_addresses_of_a_network_rarely_share_a_place() {
        let first = Ipv4Addr::new(10, 1, 0, 0).to_bits();
        let places: std::collections::HashSet<_> = (first..first + 4096)
            .map(|bits| place(Ipv4Addr::from_bits(bits).into()))
            .collect();
        assert!(places.len() > 3_900, "{}", places.len());
    }

    #[test]
    fn words_name_gateway_and_interface() {
        let words = Words {
            gateway: Some("192.0.2.254".parse().unwrap()),
            interface: "eth0",
        };
        assert_eq!(words.to_string(), "via 192.0.2.254 on `eth0`");
    }
}
