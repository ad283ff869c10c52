//! Loopback, Ethernet between namespaces, routers, and what goes wrong there.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use crate::common::{self, Ground, PORTS, SYN, address, answer_to, hear, hear_until, scan, syn};
use portolan_link::{Error, Link, Options, drop_capabilities};
use portolan_scan::clock::{Clock, SystemClock};
use portolan_scan::device::{Batch, ChecksumStatus, Device, DeviceError, Reach, RouteError};
use portolan_testnet::{Listeners, Namespace, connect};
use portolan_wire::tcp::Flags;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_loopback_answers_in_both_families() {
    let here = Namespace::new().unwrap();
    for near in ["127.0.0.1", "127.9.9.9", "::1"] {
        let near = address(near);
        let _listeners = Listeners::start(&here, [(near, 22).into()]).unwrap();
        let mut link = common::open(&here);
        assert_eq!(link.route(near).unwrap().reach, Reach::Host);
        assert_eq!(scan(&mut link, near, &[22, 23]), [(22, true), (23, false)]);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_address_of_this_machine_is_reached_like_the_loopback() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let near = address("192.0.2.1");
    let _listeners = Listeners::start(&here, [(near, 22).into()]).unwrap();
    let mut link = common::open(&here);
    let route = link.route(near).unwrap();
    assert_eq!((route.reach, route.source), (Reach::Host, near));
    assert_eq!(scan(&mut link, near, &[22, 23]), [(22, true), (23, false)]);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn on_the_loopback_what_we_send_is_not_heard() {
    let here = Namespace::new().unwrap();
    let near = address("127.0.0.1");
    let mut link = common::open(&here);
    // To ports of our own range, where the answer to each would be heard.
    let mut batch = Batch::new();
    let inside = *PORTS.start() + 7;
    for flags in [SYN, Flags::RST, Flags::ACK] {
        common::segment(&mut batch, flags, (near, near), inside, 1);
    }
    syn(&mut batch, (near, near), 23, 77);
    assert_eq!(link.send(&batch).unwrap(), 4);
    let heard = hear_until(&mut link, |packet| answer_to(packet, 23).is_some());
    assert!(heard.iter().all(|packet| !packet.is_syn()), "{heard:?}");
    // What the kernel answers to the SYN and the ACK, and to the last SYN; not our RST and ACK.
    assert_eq!(heard.len(), 3, "{heard:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_veth_pair_carries_both_families_and_finds_the_neighbour_first() {
    let (here, there) = common::pair();
    for (near, far) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        let (near, far) = (address(near), address(far));
        let _listeners = Listeners::start(&there, [(far, 22).into()]).unwrap();
        let mut link = common::open(&here);
        let route = link.route(far).unwrap();
        assert_eq!(
            (route.source, route.reach, route.mtu),
            (near, Reach::Link, 1500)
        );
        let mut batch = Batch::new();
        syn(&mut batch, (near, far), 22, 1);
        assert_eq!(link.send(&batch).unwrap(), 1);
        let mut neighbour = None;
        let heard = common::hear_all(&mut link, &mut neighbour, |packet| {
            answer_to(packet, 22).is_some()
        });
        let (address, mac) = neighbour.expect("it was not known");
        assert_eq!(address, far);
        assert_eq!(heard[0].link, Some(mac));
        // Made on this machine, so its sum was never finished.
        assert_eq!(heard[0].checksum, ChecksumStatus::Unfinished);
        assert_eq!(answer_to(&heard[0], 22), Some(true));
        assert_eq!(scan(&mut link, far, &[22, 23]), [(22, true), (23, false)]);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_router_carries_packets_to_networks_behind_it() {
    let ground = Ground::routed();
    for (far, gateway) in [
        ("198.51.100.2", "192.0.2.254"),
        ("2001:db8:1::2", "2001:db8::fe"),
    ] {
        let far = address(far);
        let _listeners = Listeners::start(&ground.far, [(far, 22).into()]).unwrap();
        let mut link = common::open(&ground.here);
        let (beyond, near) = (
            link.route(far).unwrap(),
            link.route(address(gateway)).unwrap(),
        );
        assert_eq!((beyond.reach, near.reach), (Reach::Beyond, Reach::Link));
        assert_ne!(beyond.path, near.path);
        assert_eq!(scan(&mut link, far, &[22, 23]), [(22, true), (23, false)]);
        let error = link.solicit(far).unwrap_err();
        assert!(matches!(error, DeviceError::NotOnLink { address } if address == far));
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_gateway_that_does_not_answer_is_an_error_that_names_it() {
    let (here, _there) = common::pair();
    let mut link = common::open(&here);
    for (gateway, far, interface) in [
        ("192.0.2.254", "198.51.100.2", "eth0"),
        ("2001:db8::fe", "2001:db8:1::2", "eth1"),
    ] {
        here.run("ip", &["route", "add", "default", "via", gateway])
            .unwrap();
        let error = link.route(address(far)).unwrap_err();
        let expected = RouteError::GatewaySilent {
            gateway: address(gateway),
            interface: interface.to_owned(),
        };
        assert_eq!(error, expected);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_neighbour_that_does_not_answer_is_told_and_its_packets_are_counted() {
    let (here, _there) = common::pair();
    let mut link = common::open(&here);
    for (count, far) in [(2, "192.0.2.77"), (4, "2001:db8::77")] {
        let far = address(far);
        let source = link.source(far).unwrap();
        let mut batch = Batch::new();
        syn(&mut batch, (source, far), 22, 1);
        syn(&mut batch, (source, far), 23, 1);
        assert_eq!(link.send(&batch).unwrap(), 2);
        assert_eq!(common::neighbour_of(&mut link, far), None);
        assert_eq!(link.drops().unresolved, count);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn who_is_on_the_link_is_found_with_its_mac_address() {
    let (here, there) = common::pair();
    let shown = there.run("cat", &["/sys/class/net/eth0/address"]).unwrap();
    let mut link = common::open(&here);
    let far = address("192.0.2.2");
    link.solicit(far).unwrap();
    let found = common::neighbour_of(&mut link, far);
    assert_eq!(
        found.map(|mac| mac.to_string()).as_deref(),
        Some(shown.trim())
    );
    // Asked again, it is told again.
    link.solicit(far).unwrap();
    assert_eq!(common::neighbour_of(&mut link, far), found);
    // The other family's link is another interface here.
    let far = address("2001:db8::2");
    let shown = there.run("cat", &["/sys/class/net/eth1/address"]).unwrap();
    link.solicit(far).unwrap();
    let found = common::neighbour_of(&mut link, far);
    assert_eq!(
        found.map(|mac| mac.to_string()).as_deref(),
        Some(shown.trim())
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn one_batch_leaves_by_several_interfaces() {
    let here = Namespace::new().unwrap();
    let (one, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&one, "192.0.2.2/24")).unwrap();
    connect((&here, "198.51.100.1/24"), (&other, "198.51.100.2/24")).unwrap();
    let targets = ["192.0.2.2", "198.51.100.2", "127.0.0.1"].map(address);
    let _listeners = [
        Listeners::start(&one, [(targets[0], 22).into()]).unwrap(),
        Listeners::start(&other, [(targets[1], 22).into()]).unwrap(),
        Listeners::start(&here, [(targets[2], 22).into()]).unwrap(),
    ];
    let mut link = common::open(&here);
    let routes = targets.map(|target| link.route(target).unwrap());
    assert_ne!(routes[0].path, routes[1].path);
    let mut batch = Batch::new();
    // Twice: the first time, neighbours are looked for, and the second time they are known.
    for _ in 0..2 {
        for (target, route) in targets.iter().zip(&routes) {
            syn(&mut batch, (route.source, *target), 22, 1);
        }
        common::send_all(&mut link, &mut batch);
        let mut left = targets.to_vec();
        hear_until(&mut link, |packet| {
            if answer_to(packet, 22) == Some(true) {
                left.retain(|target| *target != packet.source());
            }
            left.is_empty()
        });
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn rights_are_needed_to_open_and_for_nothing_later() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let far = address("192.0.2.2");
    let _listeners = Listeners::start(&there, [(far, 22).into()]).unwrap();
    let _local = Listeners::start(&here, ["127.0.0.1:22".parse().unwrap()]).unwrap();
    here.enter(|| {
        // As a container grants them: no CAP_NET_ADMIN.
        set_capabilities(
            None,
            CapabilitySets {
                effective: CapabilitySet::NET_RAW,
                permitted: CapabilitySet::NET_RAW,
                inheritable: CapabilitySet::empty(),
            },
        )
        .unwrap();
        let mut link = Link::open(SystemClock::start(), &Options::new(PORTS)).unwrap();
        drop_capabilities().unwrap();
        assert_eq!(scan(&mut link, far, &[22, 23]), [(22, true), (23, false)]);
        let near = address("127.0.0.1");
        assert_eq!(scan(&mut link, near, &[22, 23]), [(22, true), (23, false)]);
        let error = Link::open(SystemClock::start(), &Options::new(PORTS)).unwrap_err();
        let Error::NotPermitted(missing) = error else {
            panic!("{error:?}");
        };
        assert!(missing.to_string().contains("setcap cap_net_raw+ep /"));
    })
    .unwrap();
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_interface_that_goes_down_ends_the_scan_with_its_name() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    here.run("ip", &["link", "set", "eth0", "down"]).unwrap();
    let error = common::error_of(&mut link);
    assert!(error.is_final());
    assert_eq!(error.to_string(), "the interface `eth0` went down");
    // Sending says the same.
    let mut batch = Batch::new();
    syn(
        &mut batch,
        (address("192.0.2.1"), address("192.0.2.2")),
        22,
        1,
    );
    assert_eq!(
        link.send(&batch).unwrap_err().to_string(),
        "the interface `eth0` went down"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn sending_alone_notices_that_an_interface_is_down() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    here.run("ip", &["link", "set", "eth0", "down"]).unwrap();
    let mut batch = Batch::new();
    syn(
        &mut batch,
        (address("192.0.2.1"), address("192.0.2.2")),
        22,
        1,
    );
    let error = link.send(&batch).unwrap_err();
    assert_eq!(error.to_string(), "the interface `eth0` went down");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_carrier_that_is_lost_ends_the_scan() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    there.run("ip", &["link", "set", "eth0", "down"]).unwrap();
    let error = common::error_of(&mut link);
    assert_eq!(error.to_string(), "the interface `eth0` went down");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_interface_that_is_removed_ends_the_scan() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    here.run("ip", &["link", "delete", "eth0"]).unwrap();
    let error = common::error_of(&mut link);
    assert_eq!(error.to_string(), "the interface `eth0` is gone");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_address_that_is_taken_away_ends_the_scan() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    here.run("ip", &["address", "del", "192.0.2.1/24", "dev", "eth0"])
        .unwrap();
    let error = common::error_of(&mut link);
    assert_eq!(error.to_string(), "`eth0` lost the address 192.0.2.1");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_route_that_changes_ends_the_scan_and_is_told_in_words() {
    let ground = Ground::routed();
    let far = address("198.51.100.2");
    let mut link = common::open_after_scan(&ground.here, far);
    let change = ["route", "add", "198.51.100.0/24", "via", "192.0.2.253"];
    ground.here.run("ip", &change).unwrap();
    assert_eq!(
        common::error_of(&mut link).to_string(),
        "the route to 198.51.100.2 changed: it was via 192.0.2.254 on `eth0`, \
         and is via 192.0.2.253 on `eth0`"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn changes_that_concern_no_path_in_use_do_no_harm() {
    let ground = Ground::routed();
    let far = address("198.51.100.2");
    let mut link = common::open_after_scan(&ground.here, far);
    for change in [
        ["route", "add", "203.0.113.0/24", "via", "192.0.2.253"].as_slice(),
        &["address", "add", "192.0.2.9/24", "dev", "eth0"],
        &["link", "set", "eth1", "down"],
    ] {
        ground.here.run("ip", change).unwrap();
        assert_eq!(scan(&mut link, far, &[23]), [(23, false)], "{change:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_new_mac_address_of_our_own_is_the_one_that_neighbours_answer_to() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    there
        .run("ip", &["address", "add", "192.0.2.3/24", "dev", "eth0"])
        .unwrap();
    let mut link = common::open_after_scan(&here, address("192.0.2.2"));
    let change = ["link", "set", "eth0", "address", "02:00:00:00:00:77"];
    here.run("ip", &change).unwrap();
    // Hearing anything at all makes it take notice.
    let near = address("127.0.0.1");
    assert_eq!(scan(&mut link, near, &[23]), [(23, false)]);
    let other = address("192.0.2.3");
    link.solicit(other).unwrap();
    assert!(common::neighbour_of(&mut link, other).is_some());
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_destination_without_a_way_says_why() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    here.run("ip", &["route", "add", "blackhole", "203.0.113.0/25"])
        .unwrap();
    here.run("ip", &["route", "add", "prohibit", "203.0.113.128/25"])
        .unwrap();
    here.run("ip", &["route", "add", "unreachable", "198.18.0.0/15"])
        .unwrap();
    let mut link = common::open(&here);
    for nowhere in ["198.51.100.2", "2001:db8::1", "203.0.113.1"] {
        let destination = address(nowhere);
        assert_eq!(
            link.source(destination),
            Err(RouteError::NoRoute { destination })
        );
    }
    let destination = address("198.18.0.1");
    assert_eq!(
        link.source(destination),
        Err(RouteError::Unreachable { destination })
    );
    let destination = address("203.0.113.129");
    assert_eq!(
        link.source(destination),
        Err(RouteError::Prohibited { destination })
    );
    for group in [
        "192.0.2.255",
        "255.255.255.255",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "ff02::1",
    ] {
        let destination = address(group);
        assert_eq!(
            link.source(destination),
            Err(RouteError::NotAHost { destination })
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn options_that_name_what_is_not_there_are_errors() {
    let here = Namespace::new().unwrap();
    let open = |options: &Options| {
        let opened = here.enter(|| Link::open(SystemClock::start(), options).map(drop));
        opened.unwrap().unwrap_err().to_string()
    };
    let mut options = Options::new(PORTS);
    options.source = Some(address("192.0.2.9"));
    assert_eq!(
        open(&options),
        "the source address 192.0.2.9 is not an address of this machine"
    );
    options = Options::new(PORTS);
    options.interface = Some("eth7".to_owned());
    assert_eq!(open(&options), "there is no interface `eth7`");
    #[expect(clippy::reversed_empty_ranges, reason = "that is the error")]
    let options = Options::new(9..=8);
    assert_eq!(open(&options), "the range of source ports 9-8 is empty");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn source_and_interface_can_be_chosen() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    connect((&here, "198.51.100.1/24"), (&there, "198.51.100.2/24")).unwrap();
    here.run("ip", &["address", "add", "192.0.2.9/24", "dev", "eth0"])
        .unwrap();
    let far = address("192.0.2.2");
    let mut options = Options::new(PORTS);
    options.source = Some(address("192.0.2.9"));
    let mut link = common::open_with(&here, &options);
    assert_eq!(link.source(far), Ok(address("192.0.2.9")));
    assert_eq!(scan(&mut link, far, &[23]), [(23, false)]);
    options = Options::new(PORTS);
    options.interface = Some("eth1".to_owned());
    let mut link = common::open_with(&here, &options);
    let far = address("198.51.100.2");
    assert_eq!(scan(&mut link, far, &[23]), [(23, false)]);
    let other = address("192.0.2.2");
    assert_ne!(link.source(other), Ok(address("192.0.2.1")));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_local_firewall_that_forbids_packets_is_told() {
    let here = Namespace::new().unwrap();
    here.firewall(
        "table inet filter {
            chain output { type filter hook output priority 0; tcp dport 23 drop; }
        }",
    )
    .unwrap();
    let near = address("127.0.0.1");
    let mut link = common::open(&here);
    let mut batch = Batch::new();
    for port in [22, 23, 24] {
        syn(&mut batch, (near, near), port, 1);
    }
    assert_eq!(link.send(&batch).unwrap(), 1);
    batch.drop_front(1);
    let error = link.send(&batch).unwrap_err();
    assert!(
        matches!(error, DeviceError::Forbidden { destination, .. } if destination == near),
        "{error:?}"
    );
    assert!(!error.is_final());
    batch.drop_front(1);
    assert_eq!(link.send(&batch).unwrap(), 1);
    hear_until(&mut link, |packet| answer_to(packet, 24) == Some(false));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_packet_that_cannot_be_sent_stops_the_batch_before_it() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let (near, far) = (address("192.0.2.1"), address("192.0.2.2"));
    let mut link = common::open_after_scan(&here, far);
    let mut batch = Batch::new();
    syn(&mut batch, (near, far), 22, 1);
    batch.push(3).fill(9);
    let mut long = vec![0; 1501];
    let mut one = Batch::new();
    syn(&mut one, (near, far), 24, 1);
    long[..40].copy_from_slice(&one.get(0).unwrap()[..40]);
    batch.push(1501).copy_from_slice(&long);
    syn(&mut batch, (near, far), 25, 1);
    assert_eq!(link.send(&batch).unwrap(), 1);
    for words in ["it is no IP packet", "it is longer than the link takes"] {
        batch.drop_front(1);
        let error = link.send(&batch).unwrap_err();
        assert!(error.to_string().ends_with(words), "{error}");
        assert!(!error.is_final());
    }
    batch.drop_front(1);
    assert_eq!(link.send(&batch).unwrap(), 1);
    hear_until(&mut link, |packet| answer_to(packet, 25) == Some(false));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_packet_longer_than_the_buffers_is_cut_and_counted() {
    let here = Namespace::new().unwrap();
    let mut link = common::open(&here);
    here.enter(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = ("127.0.0.1", *PORTS.start());
        socket.send_to(&[7; 5_000], to).unwrap();
    })
    .unwrap();
    let heard = hear(&mut link);
    assert_eq!(heard[0].bytes.len(), 2_048);
    assert_eq!(link.drops().truncated, 1);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn answers_that_find_no_room_are_counted() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let mut link = common::open(&here);
    there
        .enter(|| {
            let socket = UdpSocket::bind("192.0.2.2:0").unwrap();
            let to = ("192.0.2.1", *PORTS.start());
            for _ in 0..60_000 {
                // The other side answers that nobody listens there, and that is an error here.
                let _ = socket.send_to(&[7; 100], to);
            }
        })
        .unwrap();
    let mut heard = 0_u64;
    let until = Duration::ZERO;
    for _ in 0..1_000 {
        link.receive(until, &mut |_| heard += 1).unwrap();
    }
    let drops = link.drops().incoming;
    assert!(drops > 0 && heard > 0, "{heard} heard, {drops} dropped");
    assert!(
        heard + drops <= 60_000 + 100,
        "{heard} heard, {drops} dropped"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn waiting_ends_at_its_time_when_nothing_comes() {
    let here = Namespace::new().unwrap();
    let clock = SystemClock::start();
    let mut link = here
        .enter(|| Link::open(clock, &Options::new(PORTS)))
        .unwrap()
        .unwrap();
    let until = clock.now() + Duration::from_millis(20);
    link.receive(until, &mut |_| panic!("nothing was sent"))
        .unwrap();
    assert!(clock.now() >= until);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_answer_comes_after_its_question_and_before_now() {
    let here = Namespace::new().unwrap();
    let near = address("127.0.0.1");
    let clock = SystemClock::start();
    let mut link = here
        .enter(|| Link::open(clock, &Options::new(PORTS)))
        .unwrap()
        .unwrap();
    for _ in 0..100 {
        let mut batch = Batch::new();
        syn(&mut batch, (near, near), 23, 1);
        let before = clock.now();
        link.send(&batch).unwrap();
        let heard = hear_until(&mut link, |packet| answer_to(packet, 23).is_some());
        let at = heard[0].at;
        assert!(before <= at && at <= clock.now(), "{before:?} {at:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_batch_of_thousands_is_sent_in_order_and_whole() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    let far: IpAddr = address("192.0.2.2");
    let mut link = common::open_after_scan(&here, far);
    let source = link.source(far).unwrap();
    let ports: Vec<u16> = (1..=3_000).collect();
    let mut batch = Batch::new();
    for &port in &ports {
        syn(&mut batch, (source, far), port, 1);
    }
    let mut heard = Vec::new();
    for _ in 0..1_000 {
        let taken = link.send(&batch).unwrap();
        batch.drop_front(taken);
        heard.extend(hear(&mut link));
        if heard.len() >= ports.len() {
            break;
        }
    }
    let answered: Vec<u16> = heard
        .iter()
        .filter_map(common::Packet::source_port)
        .collect();
    assert_eq!(answered, ports);
}
