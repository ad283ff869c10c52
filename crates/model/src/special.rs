//! Addresses that are no ordinary hosts of the Internet: what a sweep leaves out unless it is
//! named.

use std::net::IpAddr;

use crate::address::{AddressSet, AddressSetBuilder};
use crate::target::Target;

/// A block of the IANA registries of special-purpose addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// The block, as an address with a prefix.
    pub block: &'static str,
    /// What it is for.
    pub name: &'static str,
    /// Who says so.
    pub source: &'static str,
}

const fn special(block: &'static str, name: &'static str, source: &'static str) -> Special {
    Special {
        block,
        name,
        source,
    }
}

/// The blocks that are not reachable from everywhere, none inside another: the IANA IPv4 and IPv6
/// special-purpose address registries (RFC 6890, updated by RFC 8190), and multicast.
pub const SPECIAL: &[Special] = &[
    special("0.0.0.0/8", "this network", "RFC 791, 3.2"),
    special("10.0.0.0/8", "private use", "RFC 1918"),
    special("100.64.0.0/10", "shared with the provider", "RFC 6598"),
    special("127.0.0.0/8", "loopback", "RFC 1122, 3.2.1.3"),
    special("169.254.0.0/16", "link local", "RFC 3927"),
    special("172.16.0.0/12", "private use", "RFC 1918"),
    special("192.0.0.0/24", "protocol assignments", "RFC 6890, 2.1"),
    special("192.0.2.0/24", "documentation", "RFC 5737"),
    special("192.88.99.0/24", "6to4 relays, no longer used", "RFC 7526"),
    special("192.168.0.0/16", "private use", "RFC 1918"),
    special("198.18.0.0/15", "benchmarks", "RFC 2544"),
    special("198.51.100.0/24", "documentation", "RFC 5737"),
    special("203.0.113.0/24", "documentation", "RFC 5737"),
    special("224.0.0.0/4", "multicast", "RFC 5771"),
    special("240.0.0.0/4", "reserved", "RFC 1112, 4"),
    special("::/128", "unspecified", "RFC 4291"),
    special("::1/128", "loopback", "RFC 4291"),
    special("::ffff:0:0/96", "IPv4-mapped", "RFC 4291"),
    special("64:ff9b:1::/48", "translation of IPv4, local", "RFC 8215"),
    special("100::/64", "discard only", "RFC 6666"),
    special("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    special("2001::/23", "protocol assignments", "RFC 2928"),
    special("2001:db8::/32", "documentation", "RFC 3849"),
    special("2002::/16", "6to4", "RFC 3056"),
    special("3fff::/20", "documentation", "RFC 9637"),
    special("5f00::/16", "segment routing", "RFC 9602"),
    special("fc00::/7", "unique local", "RFC 4193"),
    special("fe80::/10", "link local", "RFC 4291"),
    special("ff00::/8", "multicast", "RFC 4291"),
];

impl Special {
    /// Its first and last address.
    pub fn range(&self) -> Option<(IpAddr, IpAddr)> {
        self.set().ranges().next()
    }

    fn set(&self) -> AddressSet {
        let target = self.block.parse::<Target>().ok();
        target
            .and_then(|target| target.addresses())
            .unwrap_or_default()
    }
}

/// The addresses of `targets` without the special blocks that nobody named, and how many of each
/// block are left out for that.
///
/// A block is named by a target of which all lies within it: `10.0.0.0/8` and `10.1.2.3` name the
/// private block, `10.0.0.0/7` and `0.0.0.0/0` do not. What several targets hold is left out only
/// if none of them names it.
pub fn without_special<'a>(
    targets: impl IntoIterator<Item = &'a AddressSet>,
) -> (AddressSet, Vec<(Special, u128)>) {
    let blocks: Vec<(Special, AddressSet)> = SPECIAL
        .iter()
        .map(|&special| (special, special.set()))
        .collect();
    let (mut all, mut kept) = (AddressSetBuilder::default(), AddressSetBuilder::default());
    for target in targets {
        all.push_set(target);
        let mut left = target.clone();
        for (_, block) in &blocks {
            if !target.without(block).is_empty() {
                left = left.without(block);
            }
        }
        kept.push_set(&left);
    }
    let (all, kept) = (all.build(), kept.build());
    let gone = all.without(&kept);
    let left_out = blocks
        .into_iter()
        .filter_map(|(special, block)| {
            let count = gone.len() - gone.without(&block).len();
            (count > 0).then_some((special, count))
        })
        .collect();
    (kept, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(target: &str) -> AddressSet {
        target.parse::<Target>().unwrap().addresses().unwrap()
    }

    fn swept(targets: &[&str]) -> (String, Vec<&'static str>) {
        let sets: Vec<_> = targets.iter().map(|target| set(target)).collect();
        let (kept, left_out) = without_special(&sets);
        let names = left_out.iter().map(|(special, _)| special.block).collect();
        (kept.to_string(), names)
    }

    #[test]
    fn every_block_of_the_table_is_a_network_and_none_lies_in_another() {
        let mut before = AddressSet::default();
        for special in SPECIAL {
            let block = set(special.block);
            assert_eq!(block.runs(), 1, "{}", special.block);
            assert_eq!(before.without(&block), before, "{}", special.block);
            before = before.union(&block);
        }
    }

    #[test]
    fn the_whole_of_ipv4_is_swept_without_what_is_special() {
        let (kept, left_out) = without_special(&[set("0.0.0.0/0")]);
        let special: u128 = left_out.iter().map(|(_, count)| count).sum();
        assert_eq!(kept.len() + special, 1 << 32);
        assert_eq!(left_out.len(), 15);
        assert!(!kept.contains("10.1.2.3".parse().unwrap()));
        assert!(!kept.contains("239.1.2.3".parse().unwrap()));
        assert!(kept.contains("9.255.255.255".parse().unwrap()));
    }

    #[test]
    fn a_block_that_is_named_is_swept() {
        for target in [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.0.0.1",
            "127.0.0.1",
            "fe80::1",
        ] {
            assert_eq!(without_special(&[set(target)]), (set(target), Vec::new()));
        }
        assert_eq!(
            swept(&["10.0.0.0/7"]),
            ("11.0.0.0-11.255.255.255".to_owned(), vec!["10.0.0.0/8"])
        );
        assert_eq!(
            swept(&["10.0.0.0/7", "10.9.0.0/30"]),
            (
                "10.9.0.0-10.9.0.3,11.0.0.0-11.255.255.255".to_owned(),
                vec!["10.0.0.0/8"]
            )
        );
    }

    #[test]
    fn the_whole_of_ipv6_has_no_overflow() {
        let (kept, left_out) = without_special(&[set("::/0")]);
        assert!(kept.len() > 1 << 127);
        assert!(!kept.contains("2001:db8::1".parse().unwrap()));
        assert_eq!(left_out.len(), 14);
    }
}
