//! What is not there: networks, routes, hosts.

use std::net::SocketAddr;

use portolan_model::{PortState, Protocol, Reason};
use portolan_testnet::{Listeners, Namespace};

use crate::lab::{Lab, PORTOLAN, THERE, filter, scan, set, through};

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_target_without_a_route_is_one_error_and_the_other_target_is_scanned() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let scan = lab.scan(&["203.0.113.7", THERE, "-p", "70-90", "-n", "--json"]);
    assert_eq!(scan.status, 1, "{scan:?}");
    assert_eq!(
        scan.complaints(),
        "error: no route to 203.0.113.7\n\
         hint: the routing table has no way there: see `ip route get 203.0.113.7`\n"
    );
    assert_eq!(
        scan.state(THERE, 80),
        Some((PortState::Open, Reason::SynAck))
    );
    assert_eq!(
        scan.state(THERE, 81),
        Some((PortState::Closed, Reason::ConnRefused))
    );
    assert_eq!(
        scan.state("203.0.113.7", 80),
        None,
        "nothing was asked there"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_a_network_every_target_is_named_in_one_error() {
    let alone = Namespace::new().unwrap();
    for (target, named, first, flags) in [
        (
            "192.0.2.0/24",
            "192.0.2.0-192.0.2.255",
            "192.0.2.0",
            &["-n"][..],
        ),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7", &["-n", "-Pn"]),
        ("2001:db8::7", "2001:db8::7", "2001:db8::7", &["-n", "-Pn"]),
    ] {
        let mut args = vec![target, "-p80", "--json"];
        args.extend(flags);
        let scan = scan(&alone, &args);
        assert_eq!(scan.status, 1, "{scan:?}");
        assert_eq!(
            scan.complaints(),
            format!(
                "error: no route to {named}\n\
                 hint: the routing table has no way there: see `ip route get {first}`\n"
            )
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_large_network_without_a_route_is_told_of_at_once_and_not_walked() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    for technique in ["--connect", "--udp"] {
        let scan = through(
            &lab.here,
            &[PORTOLAN],
            &[
                "198.51.0.0/16",
                "2001:db8:7::/100",
                THERE,
                "-p",
                "80",
                "-n",
                "--json",
                technique,
            ],
        );
        assert_eq!(scan.status, 1, "{scan:?}");
        assert_eq!(
            scan.complaints(),
            "error: no route to 198.51.0.0-198.51.255.255, 2001:db8:7::1-2001:db8:7::fff:ffff\n\
             hint: the routing table has no way there: see `ip route get 198.51.0.0`\n"
        );
        let record = scan.record();
        assert!(record.finished.as_ref().unwrap().sent < 50, "{record:?}");
        assert_eq!(record.hosts.len(), 1);
    }
}

/// As in containers: the addresses of IPv6 are taken away, its routes not all.
#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_ipv6_its_addresses_are_an_error_at_once_and_cost_ipv4_nothing() {
    let alone = Namespace::new().unwrap();
    set(&alone, "ipv6.conf.all.disable_ipv6", "1");
    set(&alone, "ipv6.conf.lo.disable_ipv6", "1");
    let here = [22, 80, 8080].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let _listeners = Listeners::start(&alone, here).unwrap();
    for ports in ["-p22,80,8080", "-p1-9000", "-pcommon"] {
        let scan = scan(&alone, &["127.0.0.1", "::1", ports, "-n", "--json"]);
        assert_eq!(scan.status, 1, "{scan:?}");
        assert_eq!(
            scan.complaints(),
            "error: no route to ::1\n\
             hint: the routing table has no way there: see `ip route get ::1`\n"
        );
        assert_eq!(scan.open("127.0.0.1"), [22, 80, 8080].into(), "{ports}");
        assert!(!scan.record().hosts.contains_key(&"::1".parse().unwrap()));
    }
    let alone_asked = scan(&alone, &["::1", "-p1-200", "-n"]);
    assert_eq!(alone_asked.status, 1, "{alone_asked:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_ipv6_its_udp_ports_are_the_same_error_and_the_others_are_asked() {
    let alone = Namespace::new().unwrap();
    set(&alone, "ipv6.conf.all.disable_ipv6", "1");
    set(&alone, "ipv6.conf.lo.disable_ipv6", "1");
    for ports in ["U:1-20", "T:1-20,U:1-20"] {
        let scan = scan(&alone, &["127.0.0.1", "::1", "-p", ports, "-n", "--json"]);
        assert_eq!(scan.status, 1, "{scan:?}");
        assert_eq!(
            scan.complaints(),
            "error: no route to ::1\n\
             hint: the routing table has no way there: see `ip route get ::1`\n"
        );
        let host = &scan.record().hosts[&"127.0.0.1".parse().unwrap()];
        assert_eq!(host.rest_of(Protocol::Udp, PortState::Closed).len(), 20);
    }
}

/// The same host, however its address is written.
#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_ipv4_mapped_address_is_left_out_with_the_address_that_it_means() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let mapped = "::ffff:192.0.2.2";
    let asked = lab.scan(&[mapped, "-p80", "-n", "--json"]);
    assert_eq!((asked.status, asked.complaints().as_str()), (0, ""));
    assert_eq!(asked.open("192.0.2.2"), [80].into());
    let excluded = lab.scan(&[mapped, "--exclude", "192.0.2.2", "-p80", "-n"]);
    assert_eq!(excluded.status, 2, "{excluded:?}");
    assert!(
        excluded.err.contains("every target is excluded"),
        "{excluded:?}"
    );
    let allowed = lab.scan(&[mapped, "--scope", "!192.0.2.2", "-p80", "-n"]);
    assert_eq!(allowed.status, 2, "{allowed:?}");
    assert!(allowed.err.contains("192.0.2.2"), "{allowed:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn hosts_of_the_own_network_that_are_not_there_are_down_and_no_error() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    for (machine, address) in [
        (&lab.here, "198.51.100.1/28"),
        (&lab.there, "198.51.100.2/28"),
    ] {
        let words = "address add ADDRESS brd + dev eth0".replace("ADDRESS", address);
        let words: Vec<&str> = words.split(' ').collect();
        machine.run("ip", &words).unwrap();
    }
    for ports in ["-p80,81", "-p1-100"] {
        let scan = lab.scan(&["198.51.100.0/28", ports, "-n", "--json"]);
        assert_eq!(
            (scan.status, scan.complaints().as_str()),
            (0, ""),
            "{scan:?}"
        );
        let record = scan.record();
        let up = record
            .hosts
            .iter()
            .filter(|(_, host)| host.reason != Reason::NoResponse);
        let up: Vec<String> = up.map(|(address, _)| address.to_string()).collect();
        assert_eq!(up, ["198.51.100.1", "198.51.100.2"], "{scan:?}");
        assert!(scan.open("198.51.100.1").is_empty());
        assert_eq!(scan.open("198.51.100.2"), [80].into());
        let finished = record.finished.unwrap();
        // The broadcast address of the network is none that a host can have: nobody is there.
        assert_eq!((finished.hosts_up, finished.hosts_down), (2, 14));
        assert!(!record.hosts.contains_key(&"198.51.100.15".parse().unwrap()));
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn hosts_that_discovery_left_out_are_counted_at_the_end_with_what_scans_them() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    // 192.0.2.2 is there, and nobody after it.
    let last = |args: &[&str]| {
        let scan = lab.scan(args);
        assert_eq!(scan.status, 0, "{scan:?}");
        scan.err.lines().last().unwrap_or_default().to_owned()
    };
    let targets = "192.0.2.2-3";
    assert_eq!(
        last(&[targets, "-n", "-p80-88"]),
        "note: 1 host did not answer; `-Pn` scans it all the same"
    );
    assert_eq!(
        last(&["192.0.2.2-4", "-n", "-p80-88", "--json"]),
        "note: 2 hosts did not answer; `-Pn` scans them all the same"
    );
    // So few ports are asked of every address, and those that are silent are only counted.
    assert_eq!(
        last(&["192.0.2.2-19", "-n", "-p80"]),
        "note: 17 hosts answered nothing on their ports; `-Pn` lists them all the same"
    );
    for whole in [
        // So few ports are asked at once, of every address.
        &[targets, "-n", "-p80-87"][..],
        // Nobody is left out of a search for hosts.
        &[targets, "-n", "-sn"],
        &[targets, "-n", "-p80-88", "-Pn"],
        &["192.0.2.2", "-n", "-p80-88"],
        &[targets, "-n", "-p80-88", "-q"],
    ] {
        let shown = last(whole);
        assert!(!shown.contains("did not answer"), "{whole:?}: {shown}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_discovery_a_silent_host_is_asked_for_every_port() {
    let lab = Lab::new();
    // It is there, and says nothing but on the one port.
    let _listeners = lab.listen([47_000]);
    filter(&lab.there, "input", "tcp dport != 47000 drop");
    let scan = lab.scan(&["192.0.2.2-3", "-p46990-47010", "-Pn", "-n", "--json"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(scan.open(THERE), [47_000].into());
    assert_eq!(
        scan.state(THERE, 47_001),
        Some((PortState::Filtered, Reason::NoResponse))
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn discovery_alone_finds_hosts_and_reports_no_port() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let scan = lab.scan(&["192.0.2.0/29", "-sn", "-n", "--json"]);
    assert_eq!(
        (scan.status, scan.complaints().as_str()),
        (0, ""),
        "{scan:?}"
    );
    let record = scan.record();
    let found: Vec<String> = record.hosts.keys().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1", THERE]);
    assert!(
        record.hosts.values().all(|host| host.ports.is_empty()),
        "{scan:?}"
    );
}
