//! Which way each destination takes: as the kernel says, though it is asked but once for many.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::common::{self, Ground, address};
use portolan_link::Link;
use portolan_scan::clock::{Clock as _, SystemClock};
use portolan_scan::device::{Device, RouteError};
use portolan_testnet::Namespace;

/// What the kernel says of a destination: gateway, interface and source, as `ip` shows them.
fn kernel_says(here: &Namespace, destination: IpAddr) -> Option<[String; 3]> {
    let shown = here.run("ip", &["-o", "route", "get", &destination.to_string()]);
    let shown = shown.ok()?;
    let words: Vec<&str> = shown.split_whitespace().collect();
    let after = |name: &str| {
        let place = words.iter().position(|word| *word == name);
        place.map_or("", |place| words[place + 1]).to_owned()
    };
    Some([after("via"), after("dev"), after("src")])
}

/// Asserts that the link sends to each destination as the kernel would; returns how many ways
/// there were.
fn agrees(
    here: &Namespace,
    link: &mut Link<SystemClock>,
    destinations: impl IntoIterator<Item = IpAddr>,
) -> usize {
    let mut paths: BTreeMap<u32, [String; 3]> = BTreeMap::new();
    for destination in destinations {
        let expected = kernel_says(here, destination);
        let Some(expected) = expected else {
            let error = link.route(destination).unwrap_err();
            assert_eq!(error, RouteError::NoRoute { destination });
            continue;
        };
        let route = link.route(destination).unwrap();
        assert_eq!(route.source.to_string(), expected[2], "{destination}");
        let known = paths.entry(route.path).or_insert_with(|| expected.clone());
        assert_eq!(*known, expected, "{destination}");
    }
    let ways: std::collections::BTreeSet<_> = paths.values().collect();
    assert_eq!(ways.len(), paths.len(), "{paths:?}");
    paths.len()
}

fn run(here: &Namespace, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    here.run("ip", &words).unwrap();
}

/// Lets the link hear that something changed.
fn notice(link: &mut Link<SystemClock>) {
    for _ in 0..3 {
        let until = link.clock().now() + Duration::from_millis(60);
        link.receive(until, &mut |_| {}).unwrap();
    }
}

/// The addresses at both ends of networks and beside them.
fn edges(networks: &[&str]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for network in networks {
        let (first, len) = network.split_once('/').unwrap();
        let size = 1_u32 << (32 - len.parse::<u32>().unwrap());
        let first: u32 = first.parse::<Ipv4Addr>().unwrap().to_bits();
        for bits in [
            first - 1,
            first,
            first + size / 2,
            first + size - 1,
            first + size,
        ] {
            found.push(Ipv4Addr::from_bits(bits).into());
        }
    }
    found
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn routes_within_routes_are_followed_and_one_that_comes_later_too() {
    let ground = Ground::routed();
    let here = &ground.here;
    let second = "via 203.0.113.130";
    for route in ["10.0.0.0/8", "10.77.0.0/16", "10.77.3.0/29"] {
        run(here, &format!("route add {route} {second}"));
    }
    run(here, "route add 10.77.3.4/32 via 192.0.2.254");
    run(here, "route add blackhole 10.77.9.0/24");
    run(here, "rule add to 10.99.0.0/16 lookup 99");
    run(here, "route add default via 192.0.2.254 table 99");
    let networks = [
        "10.0.0.0/8",
        "10.77.0.0/16",
        "10.77.3.0/29",
        "10.77.3.4/32",
        "10.77.9.0/24",
        "10.99.0.0/16",
    ];
    let mut link = common::open(here);
    // By the default route, which is to be asked for by an address that no later route is for.
    link.route(address("198.51.100.2")).unwrap();
    assert_eq!(agrees(here, &mut link, edges(&networks)), 2);
    run(here, &format!("route add 198.51.100.128/25 {second}"));
    run(here, "route del 10.77.3.4/32");
    notice(&mut link);
    let later = edges(&["198.51.100.128/25", "10.77.3.4/32"]);
    assert_eq!(agrees(here, &mut link, later), 2);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn where_destinations_are_spread_over_gateways_each_takes_its_own() {
    let ground = Ground::routed();
    let here = &ground.here;
    run(
        here,
        "route add 10.0.0.0/8 nexthop via 192.0.2.254 nexthop via 203.0.113.130",
    );
    let mut link = common::open(here);
    let spread = (0..64).map(|last| Ipv4Addr::new(10, 1, last, last).into());
    assert_eq!(agrees(here, &mut link, spread), 2);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn each_destination_of_ipv6_has_the_source_that_the_kernel_chooses() {
    let ground = Ground::routed();
    let here = &ground.here;
    for own in ["2001:db8:a::1/64", "2001:db8:8000::1/48", "fd00:1::1/64"] {
        run(here, &format!("-6 address add {own} dev eth0 nodad"));
    }
    let mut link = common::open(here);
    let far = [
        "2001:db8:1::2",
        "2001:db8:a::7",
        "2001:db8:a:1::7",
        "2001:db8:b::7",
        "2001:db8:8000:5::1",
        "2001:db8:9000::1",
        "2001:db9::1",
        "3fff::1",
        "fd00:2::1",
        "fdff::1",
        "2002:c000:201::1",
    ];
    let far = far.map(address);
    let near = (0..40_u128).map(|shift| {
        let bits = "2001:db8:a::1".parse::<Ipv6Addr>().unwrap().to_bits();
        IpAddr::from(Ipv6Addr::from_bits(bits ^ (1 << (64 + shift))))
    });
    assert!(agrees(here, &mut link, far.into_iter().chain(near)) >= 3);
}
