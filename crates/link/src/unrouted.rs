//! Which of many addresses this machine has no route to, without asking for each: one question to
//! the kernel answers for all addresses between which none of its networks draws a line.

use std::io;
use std::net::IpAddr;

use portolan_scan::{AddressSet, AddressSetBuilder};

use crate::cells::Prefix;
use crate::kernel::{Kernel, KernelRoute, RouteKind};

/// The kernel is asked no more often than this.
const MOST_QUESTIONS: usize = 4_096;

/// The addresses of `addresses` to which there is no route. Where the kernel has so many networks
/// that they are not held, none of them: each is found out when it is asked.
///
/// # Errors
/// Where the kernel refuses to tell.
pub fn without_route(addresses: &AddressSet) -> io::Result<AddressSet> {
    those(addresses, |route| {
        route.is_none_or(|route| route.kind == RouteKind::Nowhere)
    })
}

/// The addresses of `addresses` that no host has, as far as the routes of this machine say: those
/// by which all hosts of one of its networks are meant.
///
/// # Errors
/// Where the kernel refuses to tell.
pub fn no_hosts(addresses: &AddressSet) -> io::Result<AddressSet> {
    those(addresses, |route| {
        route.is_some_and(|route| route.kind == RouteKind::Group)
    })
}

/// The addresses whose routes are such.
fn those(
    addresses: &AddressSet,
    is_such: impl Fn(Option<KernelRoute>) -> bool,
) -> io::Result<AddressSet> {
    let mut kernel = Kernel::open()?;
    let mut found = AddressSetBuilder::default();
    let mut left = MOST_QUESTIONS;
    for is_v4 in [true, false] {
        let ranges = addresses
            .ranges()
            .filter(|(first, _)| first.is_ipv4() == is_v4);
        let ranges: Vec<(IpAddr, IpAddr)> = ranges.collect();
        if ranges.is_empty() {
            continue;
        }
        let Some(prefixes) = kernel.prefixes(is_v4)? else {
            continue;
        };
        let firsts = firsts(&prefixes);
        for (first, last) in ranges {
            for (first, last) in pieces(&firsts, first, last) {
                if left == 0 {
                    return Ok(found.build());
                }
                left -= 1;
                if is_somewhere(first) && is_such(kernel.route(first, None, None)?) {
                    found.push_range(first, last);
                }
            }
        }
    }
    Ok(found.build())
}

/// Whether an address can be that of a host, as far as its digits say.
fn is_somewhere(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// Where the kernel may begin to send otherwise, in order.
fn firsts(prefixes: &[Prefix]) -> Vec<u128> {
    let mut firsts: Vec<u128> = prefixes
        .iter()
        .map(Prefix::range)
        .flat_map(|(first, last)| [Some(first), last.checked_add(1)])
        .flatten()
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    firsts
}

/// A range of addresses, cut at these places.
fn pieces(
    firsts: &[u128],
    first: IpAddr,
    last: IpAddr,
) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
    let is_v4 = first.is_ipv4();
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let address = move |number: u128| match u32::try_from(number) {
        Ok(number) if is_v4 => IpAddr::from(std::net::Ipv4Addr::from_bits(number)),
        _ => IpAddr::from(std::net::Ipv6Addr::from_bits(number)),
    };
    let (mut next, end) = (Some(number(first)), number(last));
    std::iter::from_fn(move || {
        let first = next.filter(|&first| first <= end)?;
        let cut = firsts.partition_point(|&cut| cut <= first);
        let cut = firsts.get(cut).map_or(end, |cut| end.min(cut - 1));
        next = cut.checked_add(1);
        Some((address(first), address(cut)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_cut_where_a_network_begins_or_ends() {
        let firsts = firsts(&[Prefix::of(v4("10.0.0.0"), 24), Prefix::of(v4("0.0.0.0"), 0)]);
        let pieces: Vec<_> = pieces(&firsts, v4("9.255.255.255"), v4("10.0.1.7")).collect();
        assert_eq!(
            pieces,
            [
                (v4("9.255.255.255"), v4("9.255.255.255")),
                (v4("10.0.0.0"), v4("10.0.0.255")),
                (v4("10.0.1.0"), v4("10.0.1.7")),
            ]
        );
    }

    #[test]
    fn the_last_address_of_a_family_ends_it() {
        let all = |first: &str, last: &str| pieces(&[], v4(first), v4(last)).count();
        assert_eq!(all("0.0.0.0", "255.255.255.255"), 1);
        assert_eq!(all("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 1);
    }

    #[test]
    fn the_loopback_has_a_route_and_a_broadcast_address() {
        let own = AddressSet::from_range(v4("127.0.0.0"), v4("127.255.255.255"));
        assert!(without_route(&own).unwrap().is_empty());
        let no_hosts = no_hosts(&own).unwrap();
        assert!(no_hosts.contains(v4("127.255.255.255")), "{no_hosts}");
        assert!(!no_hosts.contains(v4("127.0.0.1")));
    }
}
