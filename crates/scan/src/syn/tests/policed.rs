//! Paths and hosts that police: what is too much is dropped at once, and nothing waits.

use std::fmt::Write as _;

use simnet::scenario::Limit;
use simnet::{Hosts, Path, Scenario};

use super::bed::scan;
use crate::permutation::mix;

/// A host of 3,000 ports behind a policer of its questions.
fn policed(rate: u32, burst: u32, rtt_ms: f64, loss: f64, seed: u64) -> Scenario {
    let mut path = Path::rtt_ms(rtt_ms).loss(loss);
    path.forward.police = Some(Limit { rate, burst });
    let mut host = Hosts::at([198, 18, 0, 1]);
    host.tcp.open = "22,80,443,1000,1500,2000,2500,2900".parse().unwrap();
    Scenario::new(mix(seed), path, vec![host])
}

#[test]
fn a_policer_hides_no_port() {
    let mut report = String::new();
    let mut missed = 0;
    let mut slow = 0;
    for rate in [100, 300, 1_000, 2_000, 10_000] {
        for burst in [5, 50, 200, 1_000] {
            for rtt_ms in [0.1, 1.0, 20.0, 100.0] {
                for loss in [0.0, 0.01] {
                    for seed in 0..2 {
                        let scenario = policed(rate, burst, rtt_ms, loss, seed);
                        let outcome = scan(&scenario, "1-3000", seed, false);
                        let least = 3_000.0 / f64::from(rate);
                        assert_eq!(outcome.wrong, 0);
                        missed += outcome.missed;
                        let is_slow = outcome.seconds > 4.0 * least + 2.0 + rtt_ms / 20.0;
                        slow += u32::from(is_slow);
                        if outcome.missed > 0 || is_slow {
                            writeln!(
                                report,
                                "{rate}/s, {burst} at once, {rtt_ms} ms, {loss}, seed {seed}: missed {}, {:.1} s (least {least:.1}), unproven {}, overruns {}, sent {}, expected missed {:?}",
                                outcome.missed, outcome.seconds, outcome.unproven, outcome.path.overruns, outcome.sent, outcome.path
                            )
                            .unwrap();
                        }
                    }
                }
            }
        }
    }
    println!("{report}\nmissed {missed}, slow {slow}");
    // Of 1,280 open ports. Where all that there is to ask goes out within a few round trips, what
    // passes a policer may be by chance what tells of it.
    assert!(missed <= 2 && slow <= 1, "\n{report}");
}

#[test]
fn a_policer_sets_the_pace() {
    for (rate, seconds) in [(300, 25.0), (2_000, 7.0)] {
        let outcome = scan(&policed(rate, 50, 20.0, 0.0, 1), "1-3000", 1, false);
        assert_eq!((outcome.missed, outcome.wrong, outcome.unproven), (0, 0, 0));
        assert!(outcome.seconds < seconds, "{rate}: {}", outcome.seconds);
    }
}

#[test]
fn what_a_policer_lets_through_is_told() {
    let mut told = String::new();
    let mut right = 0;
    for rate in [300, 1_000, 2_000] {
        for burst in [20, 200, 800] {
            for seed in 10..14 {
                let run = scan(
                    &policed(rate, burst, 20.0, 0.0, seed),
                    "1-3000",
                    seed,
                    false,
                );
                let times = run.path.carries.map(|carries| carries / f64::from(rate));
                right += u32::from(times.is_some_and(|times| (0.6..1.6).contains(&times)));
                writeln!(told, "{rate}/s, {burst} at once: {times:?}").unwrap();
            }
        }
    }
    // Of 36. What passes at once is long on its way where it is a third of all that is asked.
    assert!(right >= 30, "{right}\n{told}");
}
