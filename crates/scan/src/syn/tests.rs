use std::fmt::Write as _;
use std::time::Duration;

use simnet::scenario::Limit;
use simnet::{Closed, Truth};

use bed::{Deaf, scan, scan_deaf, scenario};

use crate::permutation::mix;

mod banned;
pub(crate) mod bed;
mod policed;
mod random;

/// Scans a scenario with several seeds; every open port is found, nothing else, in time.
fn holds(name: &str, ports: &str, seconds: f64) {
    let mut report = String::new();
    let mut fine = true;
    for seed in 0..2 {
        for v6 in [false, true] {
            let mut scenario = scenario(name);
            scenario.seed = scenario.seed.wrapping_add(seed * 7919);
            if v6
                && !Truth::new(&scenario)
                    .addresses()
                    .any(|address| address.is_ipv6())
            {
                continue;
            }
            let run = scan(&scenario, ports, seed, v6);
            writeln!(
                report,
                "{name} v6={v6} seed={seed}: {:.2} s, found {}, missed {}, wrong {}, unproven {}, sent {}",
                run.seconds, run.found, run.missed, run.wrong, run.unproven, run.sent
            )
            .unwrap();
            fine &= run.missed == 0 && run.wrong == 0 && run.seconds < seconds;
        }
    }
    println!("{report}");
    assert!(fine, "\n{report}");
}

#[test]
fn a_host_on_the_local_network() {
    holds("lan", "all", 0.6);
}

#[test]
fn a_host_far_away_that_loses_a_little() {
    holds("lossy", "all", 1.5);
}

#[test]
fn a_host_very_far_away_that_loses_much() {
    holds("very-lossy", "1-10000", 2.0);
}

#[test]
fn a_narrow_link_with_a_short_queue() {
    holds("bottleneck", "all", 20.0);
}

#[test]
fn a_firewall_that_drops_what_is_closed() {
    holds("filtered", "1-10000", 5.0);
}

#[test]
fn a_host_that_limits_its_resets() {
    holds("rst-limited", "1-10000", 1.0);
}

#[test]
fn silent_hosts_behind_a_small_nat_table() {
    holds("nat", "1-1000", 40.0);
}

#[test]
fn nat_tables_of_other_sizes_and_lives_hide_no_port() {
    // Every port is a new flow once, though asked twice; and outages pass idly.
    for (entries, lifetime_ms, loss) in [
        (512, 2_000, 0.0),
        (2_048, 10_000, 0.0),
        (8_192, 5_000, 0.0),
        (1_024, 5_000, 0.01),
    ] {
        let mut scenario = scenario("nat");
        scenario.nat = Some(simnet::scenario::Nat {
            entries,
            lifetime_ms,
        });
        scenario.path = scenario.path.loss(loss);
        let run = scan(&scenario, "1-1000", 3, false);
        let life = Duration::from_millis(lifetime_ms).as_secs_f64();
        let most = 1.75 * 8_000.0 / f64::from(entries) * life + 4.5 * life + 2.0;
        assert_eq!((run.missed, run.wrong), (0, 0), "{entries} {lifetime_ms}");
        assert!(
            run.seconds < most,
            "{entries} {lifetime_ms}: {}",
            run.seconds
        );
    }
}

#[test]
fn a_firewall_that_shuts_after_a_burst_is_waited_for() {
    holds("angry-firewall", "1-10000", 20.0);
}

#[test]
fn a_sparse_network() {
    holds("sparse-20", "1-100", 20.0);
}

#[test]
fn loss_in_bursts_hides_no_port() {
    holds("bursty", "1-5000", 20.0);
}

#[test]
fn a_narrow_way_back_sets_the_pace() {
    holds("narrow-back", "1-10000", 30.0);
}

#[test]
fn the_last_host_of_many_kinds_is_found_too() {
    let scenario = scenario("mixed");
    let run = scan(&scenario, "1-2000", 1, false);
    assert_eq!(run.missed, 0);
    // One host takes every connection: nothing listens there.
    assert!(run.wrong <= 2_000, "{}", run.wrong);
}

#[test]
fn answers_that_this_machine_lost_are_asked_for_again() {
    let mut scenario = scenario("filtered");
    scenario.path = scenario.path.loss(0.0);
    for hosts in &mut scenario.hosts {
        hosts.tcp.syn_ack_retries = 0;
    }
    let truth = Truth::new(&scenario);
    let mut open: Vec<u16> = truth
        .open_tcp()
        .filter(|(address, port)| address.is_ipv4() && *port <= 2_000)
        .map(|(_, port)| port)
        .collect();
    let port = open.pop().unwrap();
    let deaf = |is_told| Deaf {
        port,
        answers: 7,
        is_told,
    };
    let run = scan_deaf(&scenario, "1-2000", 1, false, deaf(true));
    assert_eq!((run.missed, run.path.dropped), (0, 7));
    // It is what the machine tells that finds it.
    let unaware = scan_deaf(&scenario, "1-2000", 1, false, deaf(false));
    assert_eq!(unaware.missed, 1);
}

#[test]
fn a_host_that_limits_its_resets_is_not_taken_for_a_firewall() {
    let limited = scan(&scenario("rst-limited"), "1-10000", 1, false);
    assert!(limited.unproven > 1_000, "{}", limited.unproven);
    assert_eq!(limited.path.limited_hosts, 1);
    assert_eq!(
        limited.notes,
        [format!(
            "198.18.0.10 limits how many resets it sends: most of its {} filtered ports are \
             likely closed",
            crate::words::grouped(limited.unproven)
        )]
    );
    for name in ["filtered", "lossy", "very-lossy", "bottleneck", "bursty"] {
        let run = scan(&scenario(name), "1-5000", 1, false);
        assert_eq!((run.path.limited_hosts, run.notes.len()), (0, 0), "{name}");
    }
}

#[test]
fn a_firewall_that_keeps_silent_limits_nothing() {
    // The likely ports are asked first, and more of them are open.
    for seed in 100..130 {
        let mut scenario = scenario("filtered");
        scenario.seed = mix(seed);
        let run = scan(&scenario, "1-3000", seed, false);
        assert_eq!((run.path.limited_hosts, run.notes.len()), (0, 0), "{seed}");
    }
}

#[test]
fn a_firewall_that_refuses_limits_icmp_errors_and_no_resets() {
    let names = ["lan", "lossy", "filtered"];
    for seed in 100..130 {
        let mut scenario = scenario(names[usize::try_from(seed % 3).unwrap()]);
        scenario.seed = mix(seed);
        let hosts = &mut scenario.hosts[0];
        hosts.tcp.closed = if seed.is_multiple_of(2) {
            Closed::AdminProhibited
        } else {
            Closed::PortUnreachable
        };
        // What Linux does by itself.
        hosts.icmp_limit = Some(Limit { rate: 1, burst: 6 });
        let run = scan(&scenario, "1-3000", seed, false);
        let [note] = &run.notes[..] else {
            panic!("{seed}: {:?}", run.notes);
        };
        assert!(
            note.contains("limits how many ICMP errors"),
            "{seed}: {note}"
        );
    }
}

#[test]
fn what_is_said_of_the_path_is_what_it_is() {
    let narrow = scan(&scenario("bottleneck"), "1-30000", 1, false).path;
    let carries = narrow.carries.unwrap();
    assert!((3_600.0..=4_400.0).contains(&carries), "{carries}");
    let lowest = narrow.lowest_rtt.unwrap().as_millis();
    assert!((29..=32).contains(&lowest), "{lowest}");
    assert!(narrow.passes >= 2 && narrow.overruns > 0, "{narrow:?}");
    let wide = scan(&scenario("lossy"), "1-30000", 1, false).path;
    assert_eq!(wide.carries, None, "{wide:?}");
    assert!(wide.carried > 10_000.0, "{wide:?}");
}
