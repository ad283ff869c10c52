//! Firewalls that keep silent, and paths that lose packets.

use portolan_model::{PortState, Reason};

use crate::lab::{Lab, THERE, filter, spread};

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn behind_a_firewall_that_drops_the_rest_all_20_open_of_10_000_are_found_and_none_else() {
    let lab = Lab::new();
    let open = spread(20, 1, 10_000);
    let _listeners = lab.listen(open.iter().copied());
    let list = open.iter().map(u16::to_string).collect::<Vec<_>>();
    filter(
        &lab.there,
        "input",
        &format!(
            "tcp dport {{ {} }} accept\nmeta l4proto tcp drop",
            list.join(", ")
        ),
    );
    let scan = lab.scan(&[THERE, "-p1-10000", "-n", "--json", "--seed", "1"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(scan.open(THERE), open);
    let silent = (1..=10_000).find(|port| !open.contains(port)).unwrap();
    assert_eq!(
        scan.state(THERE, silent),
        Some((PortState::Filtered, Reason::NoResponse))
    );
}

/// Loses 3 of 100 packets, by chance.
const LOSSY: &str = "meta l4proto tcp numgen random mod 100 < 3 drop";

fn finds_all_over_a_lossy_path(seed: &str) {
    let lab = Lab::new();
    let open = spread(100, 1, 5_000);
    let _listeners = lab.listen(open.iter().copied());
    for way in ["input", "output"] {
        filter(&lab.there, way, LOSSY);
    }
    let scan = lab.scan(&[THERE, "-p1-5000", "-n", "--json", "--seed", seed]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(scan.open(THERE), open);
    let loss = scan.record().finished.unwrap().loss.unwrap();
    assert!((0.01..0.2).contains(&loss), "measured {loss}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_3_percent_lost_each_way_100_open_ports_are_found_in_the_order_of_seed_1() {
    finds_all_over_a_lossy_path("1");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_3_percent_lost_each_way_100_open_ports_are_found_in_the_order_of_seed_2() {
    finds_all_over_a_lossy_path("2");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_3_percent_lost_each_way_100_open_ports_are_found_in_the_order_of_seed_3() {
    finds_all_over_a_lossy_path("3");
}
