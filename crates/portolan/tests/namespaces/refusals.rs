//! Each way in which a network says no has a state and a reason of its own.

use portolan_model::{PortState, Reason};
use portolan_testnet::Namespace;

use crate::lab::{Lab, PORTOLAN, Scan, THERE, THERE_V6, bare, filter, scan};

/// Asks an open port, a closed one, and one that the other machine's firewall answers `with`.
fn answered(address: &str, with: &str) -> Scan {
    let lab = Lab::new();
    let _listeners = lab.listen([22]);
    let rule = format!("tcp dport 80-89 reject with {with}");
    filter(&lab.there, "input", &rule);
    let scan = lab.scan(&[address, "-p22,23,80-89", "-n", "--json"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(
        scan.state(address, 22),
        Some((PortState::Open, Reason::SynAck))
    );
    assert_eq!(
        scan.state(address, 23),
        Some((PortState::Closed, Reason::ConnRefused))
    );
    scan
}

macro_rules! answers {
    ($($name:ident: $address:expr, $with:literal => $state:ident, $reason:ident;)+) => {
        $(#[test]
        #[ignore = "needs CAP_NET_ADMIN"]
        fn $name() {
            let scan = answered($address, $with);
            for port in 80..=89 {
                assert_eq!(
                    scan.state($address, port),
                    Some((PortState::$state, Reason::$reason)),
                    "port {port}: {scan:?}"
                );
            }
        })+
    };
}

answers! {
    a_prohibition_means_filtered:
        THERE, "icmp type admin-prohibited" => Filtered, AdminProhibited;
    a_prohibited_host_means_filtered:
        THERE, "icmp type host-prohibited" => Filtered, AdminProhibited;
    an_unreachable_host_means_filtered:
        THERE, "icmp type host-unreachable" => Filtered, HostUnreach;
    an_unreachable_network_means_filtered:
        THERE, "icmp type net-unreachable" => Filtered, NetUnreach;
    an_unreachable_protocol_means_filtered_and_says_so:
        THERE, "icmp type prot-unreachable" => Filtered, ProtoUnreach;
    an_unreachable_port_means_filtered:
        THERE, "icmp type port-unreachable" => Filtered, PortUnreach;
    a_reset_of_a_firewall_means_closed:
        THERE, "tcp reset" => Closed, ConnRefused;
    over_ipv6_a_prohibition_means_filtered:
        THERE_V6, "icmpv6 type admin-prohibited" => Filtered, AdminProhibited;
    over_ipv6_no_route_beyond_means_filtered:
        THERE_V6, "icmpv6 type no-route" => Filtered, NetUnreach;
    over_ipv6_an_unreachable_address_means_filtered:
        THERE_V6, "icmpv6 type addr-unreachable" => Filtered, HostUnreach;
    over_ipv6_an_unreachable_port_means_filtered:
        THERE_V6, "icmpv6 type port-unreachable" => Filtered, PortUnreach;
    over_ipv6_a_reset_of_a_firewall_means_closed:
        THERE_V6, "tcp reset" => Closed, ConnRefused;
}

/// A namespace whose route to 198.51.100.0/24 is of that kind.
fn routed(route: &str) -> Namespace {
    let namespace = Namespace::new().unwrap();
    let words = ["route", "add", route, "198.51.100.0/24"];
    namespace.run("ip", &words).unwrap();
    namespace
}

/// Asks an address that the own machine's routes turn away, beside one that answers: by
/// connections and by packets, which must say the same.
fn turned_away(route: &str) -> [Scan; 2] {
    ["-sT", "-sS"].map(|technique| {
        let namespace = routed(route);
        let mut command = namespace.command("timeout");
        command.args(["--kill-after=1", "60", PORTOLAN, technique]);
        let targets = ["198.51.100.7", "127.0.0.1", "-p80", "-n", "--json"];
        Scan::of(&bare(&mut command).args(targets).output().unwrap())
    })
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn what_the_own_routes_prohibit_is_filtered_and_said_to_be_prohibited() {
    for scan in turned_away("prohibit") {
        assert_eq!(
            (scan.status, scan.complaints().as_str()),
            (0, ""),
            "{scan:?}"
        );
        assert_eq!(
            scan.state("198.51.100.7", 80),
            Some((PortState::Filtered, Reason::AdminProhibited))
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_connection_without_permission_is_told_word_for_word() {
    let namespace = routed("prohibit");
    // The system refuses it with EACCES before a packet leaves.
    let scan = scan(&namespace, &["198.51.100.7", "-p80", "-n"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    // Above them is how long the refusal took.
    let rows: Vec<&str> = scan.out.lines().skip(1).collect();
    assert_eq!(
        rows,
        [
            "PORT    STATE     REASON            SERVICE",
            "80/tcp  filtered  admin-prohibited  http"
        ]
    );
    assert_eq!(scan.complaints(), "");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_host_that_routes_refuse_is_down_in_every_output() {
    let namespace = routed("prohibit");
    for technique in ["-sT", "-sS"] {
        let shown = |format: &str| {
            let mut command = namespace.command("timeout");
            command.args(["--kill-after=1", "60", PORTOLAN, technique]);
            let args = ["198.51.100.7", "-p80", "-n", format, "-"];
            let output = bare(&mut command).args(args).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let xml = shown("-oX");
        assert!(xml.contains(r#"<status state="down""#), "{xml}");
        assert!(
            xml.contains(r#"<hosts up="0" down="1" total="1"/>"#),
            "{xml}"
        );
        assert!(shown("-oG").contains("Status: Down"));
        assert!(shown("-oN").contains("Host seems down"));
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn what_the_own_routes_call_unreachable_is_filtered() {
    for scan in turned_away("unreachable") {
        assert_eq!(
            (scan.status, scan.complaints().as_str()),
            (0, ""),
            "{scan:?}"
        );
        assert_eq!(
            scan.state("198.51.100.7", 80),
            Some((PortState::Filtered, Reason::HostUnreach))
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn what_the_own_routes_throw_away_is_said_to_be_left_out() {
    for scan in turned_away("blackhole") {
        assert_eq!(scan.status, 1, "{scan:?}");
        assert!(scan.err.contains("198.51.100.7"), "{scan:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn what_the_own_firewall_forbids_is_filtered() {
    for (verdict, reason) in [
        ("drop", Reason::NoResponse),
        (
            "reject with icmp type admin-prohibited",
            Reason::AdminProhibited,
        ),
    ] {
        let lab = Lab::new();
        let _listeners = lab.listen([22, 80]);
        filter(&lab.here, "output", &format!("tcp dport 80 {verdict}"));
        let scan = lab.scan(&[THERE, "-p22,80", "-n", "--json"]);
        assert_eq!(scan.status, 0, "{verdict}: {scan:?}");
        assert_eq!(scan.state(THERE, 80), Some((PortState::Filtered, reason)));
        assert_eq!(
            scan.state(THERE, 22),
            Some((PortState::Open, Reason::SynAck))
        );
    }
}
