//! The own machine: no connection may meet itself, and nothing may be left behind.

use std::collections::BTreeSet;

use portolan_model::PortState;
use portolan_testnet::{Namespace, connect};

use crate::lab::{Lab, THERE, listen, scan, set, spread};

/// Scans every port that the system gives to outgoing connections, again and again.
fn no_connection_meets_itself(addresses: &[&str]) {
    const FIRST: u16 = 40_000;
    const LAST: u16 = 41_999;
    let (machine, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&machine, "192.0.2.1/24"), (&other, "192.0.2.2/24")).unwrap();
    connect((&machine, "2001:db8::1/64"), (&other, "2001:db8::2/64")).unwrap();
    // The narrower the range, the more of the connections meet their own port.
    set(
        &machine,
        "ipv4.ip_local_port_range",
        &format!("{FIRST} {LAST}"),
    );
    let open = BTreeSet::from([FIRST + 3, FIRST + 1_000]);
    let _listeners = listen(&machine, open.iter().copied());
    for run in 0..10 {
        for address in addresses {
            let range = format!("-p{FIRST}-{LAST}");
            let scan = scan(&machine, &[address, &range, "-n", "--json"]);
            assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
            assert_eq!(scan.open(address), open, "{address}, run {run}");
            let closed = usize::from(LAST - FIRST) + 1 - open.len();
            assert_eq!(scan.record().count(PortState::Closed), closed);
        }
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn on_loopback_no_connection_meets_itself() {
    no_connection_meets_itself(&["127.0.0.1", "::1"]);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn on_own_addresses_beyond_loopback_no_connection_meets_itself() {
    no_connection_meets_itself(&["192.0.2.1", "2001:db8::1"]);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn neither_machine_keeps_connections_after_a_scan() {
    let lab = Lab::new();
    let open = spread(50, 1, 2_000);
    let _listeners = lab.listen(open.iter().copied());
    let scan = lab.scan(&[THERE, "-p1-2000", "-n", "--json"]);
    assert_eq!(scan.open(THERE), open);
    for machine in [&lab.here, &lab.there] {
        let args = ["--tcp", "--all", "--numeric", "--no-header"];
        let sockets = machine.run("ss", &args).unwrap();
        let left: Vec<&str> = sockets
            .lines()
            .filter(|line| !line.starts_with("LISTEN"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
