//! Networks at random: what holds for those that were thought of is to hold for others.

use std::fmt::Write as _;

use simnet::scenario::{Bottleneck, Burst, Limit};
use simnet::{Closed, Hosts, Path, Scenario};

use super::bed::{Outcome, scan};
use crate::loss::MISSED_SHARE;
use crate::permutation::mix;

/// Chance that repeats itself.
struct Dice(u64);

impl Dice {
    /// A number from 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        f64::from(u32::try_from(mix(self.0) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A number between two, each order of magnitude as likely as the others.
    fn scale(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.unit())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds are small positive numbers"
    )]
    fn count(&mut self, least: f64, most: f64) -> u32 {
        self.scale(least, most) as u32
    }
}

/// A network, and how many ports to ask of each of its hosts.
fn network(seed: u64) -> (Scenario, u32) {
    let mut dice = Dice(seed);
    let mut path = Path::rtt_ms(dice.scale(1.0, 300.0));
    if dice.chance(0.5) {
        path.jitter_ms = path.rtt_ms * dice.unit() * 0.25;
    }
    if dice.chance(0.5) {
        path = path.loss(dice.scale(0.001, 0.1));
    }
    if dice.chance(0.6) {
        let bottleneck = Bottleneck {
            rate: dice.count(500.0, 100_000.0),
            queue: dice.count(10.0, 1_000.0),
        };
        if dice.chance(0.75) {
            path.forward.bottleneck = Some(bottleneck);
        } else {
            path.back.bottleneck = Some(bottleneck);
        }
    }
    for way in [&mut path.forward, &mut path.back] {
        if dice.chance(0.2) {
            way.burst = Some(Burst {
                enter: dice.scale(0.000_3, 0.003),
                leave: dice.scale(0.02, 0.3),
                loss: 0.5 + dice.unit() / 2.0,
            });
        }
        if dice.chance(0.2) {
            way.duplicate = 0.05 * dice.unit();
        }
        if dice.chance(0.2) {
            way.reorder = 0.2 * dice.unit();
            way.reorder_by_ms = path.rtt_ms * dice.unit() * 0.3;
        }
    }
    let kinds = dice.count(1.0, 5.0);
    let mut hosts = Vec::new();
    for kind in 0..kinds {
        let mut some = Hosts::at([198, 18, u8::try_from(kind).unwrap(), 1]);
        if dice.chance(0.4) {
            let last = [30, 29, 28][usize::try_from(dice.count(1.0, 3.99)).unwrap() - 1];
            some.addresses = vec![format!("198.18.{kind}.16/{last}").parse().unwrap()];
        }
        some.tcp.open = "22,80,443".parse().unwrap();
        some.tcp.open_share = dice.scale(0.001, 0.05);
        let kind = dice.unit();
        if kind < 0.35 {
            some.tcp.closed = Closed::Silent;
        } else if kind < 0.6 {
            some.tcp.filtered = "300-700".parse().unwrap();
        }
        if dice.chance(0.3) {
            let rate = dice.count(1.0, 1_000.0);
            some.rst_limit = Some(Limit { rate, burst: rate });
        }
        if dice.chance(0.2) {
            some.extra_rtt_ms = dice.scale(1.0, 200.0);
        }
        hosts.push(some);
    }
    (
        Scenario::new(seed, path, hosts),
        dice.count(1_000.0, 6_000.0),
    )
}

/// How long it takes at the least to ask so many ports in so many passes: what is asked passes
/// the narrowest place, and a few round trips go by.
fn limit(scenario: &Scenario, pairs: f64, outcome: &Outcome) -> f64 {
    let ways = [&scenario.path.forward, &scenario.path.back];
    let narrowest = ways
        .iter()
        .filter_map(|way| way.bottleneck)
        .map(|bottleneck| f64::from(bottleneck.rate))
        .fold(f64::INFINITY, f64::min);
    let silent = scenario.hosts.iter().any(|hosts| {
        hosts.tcp.closed == Closed::Silent
            || hosts.rst_limit.is_some()
            || hosts.tcp.filtered.contains(300)
    });
    let passes = if silent {
        f64::from(outcome.passes)
    } else {
        1.0
    };
    let extra = scenario.hosts.iter().map(|hosts| hosts.extra_rtt_ms);
    let rtt = (scenario.path.rtt_ms + extra.fold(0.0, f64::max)) / 1_000.0;
    pairs * passes / narrowest + (10.0 + 4.0 * passes) * rtt + 1.0
}

/// What came of many networks.
struct Survey {
    /// A line for each that was slow or not wholly found.
    report: String,
    missed: f64,
    open: f64,
    /// How many took more than three times their limit.
    slow: u32,
}

fn survey(seeds: std::ops::Range<u64>) -> Survey {
    let mut report = String::new();
    let (mut missed, mut open, mut slow) = (0.0, 0.0, 0);
    for seed in seeds {
        let (scenario, ports) = network(seed);
        let outcome = scan(&scenario, &format!("1-{ports}"), seed, false);
        let hosts = simnet::Truth::new(&scenario).addresses().count();
        let pairs = f64::from(ports) * f64::from(u32::try_from(hosts).unwrap());
        let limit = limit(&scenario, pairs, &outcome);
        let factor = outcome.seconds / limit;
        assert_eq!(outcome.wrong, 0, "{seed}");
        let count = |number: usize| f64::from(u32::try_from(number).unwrap());
        missed += count(outcome.missed);
        open += count(outcome.found + outcome.missed);
        slow += u32::from(factor > 3.0);
        if outcome.missed > 0 || factor > 2.0 {
            writeln!(
                report,
                "seed {seed}: {:.2} s, limit {limit:.2} s, {factor:.1} times; {hosts} hosts, {ports} ports, \
                 missed {} of {}, passes {}, sent {}, path {:?}, hosts {:?}",
                outcome.seconds,
                outcome.missed,
                outcome.missed + outcome.found,
                outcome.passes,
                outcome.sent,
                scenario.path,
                scenario.hosts.iter().map(|hosts| (hosts.rst_limit.map(|limit| limit.rate), hosts.tcp.closed, hosts.extra_rtt_ms)).collect::<Vec<_>>(),
            )
            .unwrap();
        }
    }
    writeln!(report, "missed {missed} of {open}, slow {slow}").unwrap();
    Survey {
        report,
        missed,
        open,
        slow,
    }
}

#[test]
fn networks_at_random_hide_no_port() {
    let survey = survey(0..40);
    println!("{}", survey.report);
    // The bound that a scan promises, and what chance may add to it.
    let allowed = MISSED_SHARE * survey.open + 3.0 * (MISSED_SHARE * survey.open).sqrt();
    assert!(survey.missed <= allowed, "\n{}", survey.report);
    assert!(survey.slow <= 2, "\n{}", survey.report);
}
