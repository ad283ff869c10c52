//! Networks of IPv6 that are too large to ask each address: who is found on their links.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portolan_testnet::{Listeners, Namespace};

use crate::lab::{PORTOLAN, Scan, bare, listen, set};

const PREFIX: &str = "2001:db8:1::/64";
const PORTS: &str = "8080-8083";

/// Five machines on the bridge of a sixth, each with port 8081 open.
struct Bridge {
    here: Namespace,
    others: Vec<Namespace>,
    _listeners: Vec<Listeners>,
}

fn ip(namespace: &Namespace, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    namespace.run("ip", &words).unwrap();
}

impl Bridge {
    fn new() -> Self {
        let here = Namespace::new().unwrap();
        ip(&here, "link add bridge0 type bridge mcast_snooping 0");
        ip(&here, "address add 192.0.2.1/24 dev bridge0");
        ip(&here, "-6 address add 2001:db8:1::1/64 dev bridge0 nodad");
        let mut others = Vec::new();
        let mut listeners = Vec::new();
        for number in 2..7 {
            let other = Namespace::new().unwrap();
            let name = other.name().to_owned();
            ip(
                &here,
                &format!("link add end{number} type veth peer name cable0 netns {name}"),
            );
            ip(&here, &format!("link set end{number} master bridge0 up"));
            ip(
                &other,
                &format!("link set cable0 address 02:00:00:00:10:0{number}"),
            );
            set(&other, "ipv6.conf.cable0.accept_dad", "0");
            ip(
                &other,
                &format!("address add 192.0.2.{number}/24 dev cable0"),
            );
            let address = match number {
                // Derived from the MAC address (RFC 4291, appendix A).
                4 => "2001:db8:1::ff:fe00:1004".to_owned(),
                _ => format!("2001:db8:1::{number}:cafe:77"),
            };
            ip(
                &other,
                &format!("-6 address add {address}/64 dev cable0 nodad"),
            );
            ip(&other, "link set cable0 up");
            listeners.push(listen(&other, [8081]));
            others.push(other);
        }
        ip(&here, "link set bridge0 up");
        set(&here, "ipv6.conf.bridge0.accept_dad", "0");
        // The kernel takes a moment to see that a bridge has a carrier.
        let is_up = || {
            let shown = here.run("ip", &["-o", "link", "show", "bridge0"]).unwrap();
            shown.contains("LOWER_UP") && shown.contains("state UP")
        };
        assert!((0..2000).any(|_| is_up()));
        Self {
            here,
            others,
            _listeners: listeners,
        }
    }

    fn scan(&self, program: &[&str], args: &[&str]) -> Scan {
        let mut command = self.here.command("timeout");
        command.args(["--kill-after=1", "120"]).args(program);
        Scan::of(
            &bare(&mut command)
                .arg(PORTOLAN)
                .arg("-n")
                .args(args)
                .output()
                .unwrap(),
        )
    }
}

fn v6(scan: &Scan) -> BTreeSet<Ipv6Addr> {
    let record = scan.record();
    let found = record.hosts.keys().filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    found.collect()
}

fn addresses(texts: &[&str]) -> BTreeSet<Ipv6Addr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// All that there are, this machine included.
fn everyone() -> BTreeSet<Ipv6Addr> {
    addresses(&[
        "2001:db8:1::1",
        "2001:db8:1::2:cafe:77",
        "2001:db8:1::3:cafe:77",
        "2001:db8:1::ff:fe00:1004",
        "2001:db8:1::5:cafe:77",
        "2001:db8:1::6:cafe:77",
    ])
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_hosts_of_a_large_network_are_found_and_scanned() {
    let lab = Bridge::new();
    // One that answers nobody's echo request to all, and says nothing of strange options either:
    // what is known of it is its neighbourhood in IPv4.
    let quiet = &lab.others[2];
    let rules = "icmpv6 type echo-request drop; ip6 nexthdr 60 drop";
    crate::lab::filter(quiet, "input", rules);
    // One that ignores echo requests to all alone.
    set(&lab.others[3], "ipv6.icmp.echo_ignore_multicast", "1");
    for technique in ["-sS", "-sT"] {
        let args = [technique, "-p", PORTS, "192.0.2.0/28", PREFIX, "--json"];
        let scan = lab.scan(&[], &args);
        assert_eq!(scan.status, 0, "{technique}: {scan:?}");
        assert_eq!(v6(&scan), everyone(), "{technique}: {scan:?}");
        for address in everyone().iter().skip(1) {
            assert_eq!(
                scan.open(&address.to_string()),
                [8081].into(),
                "{address}: {scan:?}"
            );
        }
        assert_eq!(
            scan.open("192.0.2.4"),
            [8081].into(),
            "both families: {scan:?}"
        );
        let note = "note: 2001:db8:1::/64 is too large to ask each address: 6 hosts of its link \
                    were found by multicast and from their neighbours; others may be missing";
        assert!(scan.err.contains(note), "{scan:?}");
    }
    let hosts = lab.scan(
        &[],
        &[
            "-sn",
            PREFIX,
            "--exclude",
            "2001:db8:1::2:cafe:77",
            "--json",
        ],
    );
    let found = v6(&hosts);
    assert!(
        found.contains(&"2001:db8:1::6:cafe:77".parse().unwrap()),
        "{hosts:?}"
    );
    assert!(
        !found.contains(&"2001:db8:1::2:cafe:77".parse().unwrap()),
        "{hosts:?}"
    );
    let local = lab.scan(&[], &["-sS", "-p", PORTS, "fe80::%bridge0/64", "--json"]);
    assert_eq!(local.status, 0, "{local:?}");
    let found = v6(&local);
    let of_mac = |number: u8| format!("fe80::ff:fe00:100{number}").parse().unwrap();
    for number in 2..7 {
        assert!(found.contains(&of_mac(number)), "{number}: {local:?}");
        let address = Ipv6Addr::to_string(&of_mac(number));
        assert_eq!(local.open(&address), [8081].into(), "{local:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_rights_the_system_finds_those_it_can() {
    let lab = Bridge::new();
    let group = "0 2147483647";
    set(&lab.here, "ipv4.ping_group_range", group);
    let plain = [
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
    ];
    let scan = lab.scan(&plain, &["-p", PORTS, PREFIX, "--json"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(v6(&scan), everyone(), "{scan:?}");
    assert!(
        scan.err
            .contains("found by multicast and in this machine's table"),
        "{scan:?}"
    );
    // Where echo requests are for root alone, the table and mDNS remain.
    set(&lab.here, "ipv4.ping_group_range", "1 0");
    let stop = Arc::new(AtomicBool::new(false));
    let responder = respond(&lab.others[4], "2001:db8:1::6:cafe:77", &stop);
    ip(&lab.here, "neigh flush dev bridge0");
    let scan = lab.scan(&plain, &["-p", PORTS, PREFIX, "--json"]);
    stop.store(true, Ordering::Relaxed);
    responder.join().unwrap();
    assert_eq!(scan.status, 0, "{scan:?}");
    assert!(
        v6(&scan).contains(&"2001:db8:1::6:cafe:77".parse().unwrap()),
        "{scan:?}"
    );
    assert!(
        scan.err
            .contains("found by mDNS and in this machine's table"),
        "{scan:?}"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn who_answers_multicast_dns_alone_is_found_by_what_it_says() {
    let lab = Bridge::new();
    let there = &lab.others[4];
    crate::lab::filter(
        there,
        "input",
        "icmpv6 type echo-request drop; ip6 nexthdr 60 drop",
    );
    let stop = Arc::new(AtomicBool::new(false));
    let responder = respond(there, "2001:db8:1::6:cafe:77", &stop);
    let scan = lab.scan(&[], &["-sS", "-p", PORTS, PREFIX, "--json"]);
    stop.store(true, Ordering::Relaxed);
    responder.join().unwrap();
    assert_eq!(
        scan.open("2001:db8:1::6:cafe:77"),
        [8081].into(),
        "{scan:?}"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_large_network_with_nobody_or_not_on_a_link_is_told_of() {
    let lab = Bridge::new();
    ip(&lab.here, "link add lonely0 type veth peer name lonely1");
    ip(
        &lab.here,
        "-6 address add 2001:db8:7::1/64 dev lonely0 nodad",
    );
    ip(&lab.here, "link set lonely0 up");
    ip(&lab.here, "link set lonely1 up");
    let args = [
        "-sS",
        "-p",
        PORTS,
        "2001:db8:7::/64",
        "--exclude",
        "2001:db8:7::1",
        "--json",
    ];
    let nobody = lab.scan(&[], &args);
    assert_eq!(nobody.status, 0, "{nobody:?}");
    assert!(nobody.record().hosts.is_empty(), "{nobody:?}");
    assert!(
        nobody.err.contains("0 hosts of its link were found"),
        "{nobody:?}"
    );
    let far = ["-sS", "-p", PORTS, "2001:db8:9::/64"];
    let lost = lab.scan(&[], &far);
    assert_eq!(lost.status, 1, "{lost:?}");
    assert!(lost.complaints().contains("no route to"), "{lost:?}");
    ip(
        &lab.here,
        "-6 route add 2001:db8:9::/64 via 2001:db8:7::2 dev lonely0",
    );
    let far = lab.scan(&[], &far);
    assert_eq!(far.status, 2, "{far:?}");
    assert!(
        far.complaints()
            .contains("probes are more than one scan can hold"),
        "{far:?}"
    );
    assert!(
        far.complaints().contains("only where it is on a link"),
        "{far:?}"
    );
    let shards = ["-sS", "-p", PORTS, "--shard", "1/2", "--seed", "7", PREFIX];
    let shards = lab.scan(&[], &shards);
    assert_eq!(shards.status, 2, "{shards:?}");
    assert!(shards.complaints().contains("in shards"), "{shards:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn who_answers_nothing_that_goes_to_all_is_found_by_the_groups_it_listens_to() {
    let lab = Bridge::new();
    let there = &lab.others[4];
    // Neither echo requests nor strange options are answered, and no MAC address shows this one.
    crate::lab::filter(
        there,
        "input",
        "icmpv6 type echo-request drop; ip6 nexthdr 60 drop; meta protocol arp drop",
    );
    ip(there, "-6 address flush dev cable0 scope link");
    ip(there, "-6 address add fe80::6:cafe:77/64 dev cable0 nodad");
    for args in [
        ["-sS", "-p", PORTS, PREFIX],
        ["-sS", "-p", PORTS, "fe80::%bridge0/64"],
    ] {
        let scan = lab.scan(&[], &[&args[..], &["--json"]].concat());
        let address = match args[3] {
            PREFIX => "2001:db8:1::6:cafe:77",
            _ => "fe80::6:cafe:77",
        };
        assert_eq!(scan.open(address), [8081].into(), "{scan:?}");
    }
}

/// Answers questions of multicast DNS with an address.
fn respond(on: &Namespace, address: &str, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let socket = on
        .enter(|| {
            let socket = UdpSocket::bind(("::", 5353)).unwrap();
            let shown = on.run("ip", &["-o", "link", "show", "cable0"]).unwrap();
            let index = shown.split(':').next().unwrap().trim().parse().unwrap();
            let group = "ff02::fb".parse().unwrap();
            socket.join_multicast_v6(&group, index).unwrap();
            socket
        })
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let octets = address.parse::<Ipv6Addr>().unwrap().octets();
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while !stop.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if len < 12 || buffer[2] & 0x80 != 0 {
                continue;
            }
            let mut answer = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            answer.extend(b"\x04host\x05local\x00");
            answer.extend([0, 28, 0x80, 1, 0, 0, 0, 120, 0, 16]);
            answer.extend(octets);
            let _ = socket.send_to(&answer, from);
        }
    })
}
