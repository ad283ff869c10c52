use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::rc::Rc;

use portolan_model::spec::{self, Discovery};
use portolan_model::{AddressSet, PortSpec, Shard, Technique};
use simnet::{Hosts, Path, Scenario, SimLink, Truth};

use super::*;
use crate::device::Hand;
use crate::request::Settled;
use crate::syn::tests::bed::SimDevice;

/// What a sweep found, in order, and what it said.
struct Swept {
    open: Vec<(IpAddr, u16)>,
    up: Vec<IpAddr>,
    reached: Vec<(usize, Reached)>,
    /// Hosts that answer everything.
    liars: Vec<IpAddr>,
    problems: Vec<Problem>,
    finished: Finished,
    seconds: f64,
}

impl Swept {
    fn set(&self) -> BTreeSet<(IpAddr, u16)> {
        let set: BTreeSet<_> = self.open.iter().copied().collect();
        assert_eq!(set.len(), self.open.len(), "a port was reported twice");
        set
    }
}

fn scenario(name: &str) -> Scenario {
    let path = format!(
        "{}/../simnet/scenarios/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    Scenario::read(std::path::Path::new(&path)).unwrap()
}

fn request(target: &str, ports: &str) -> Request {
    let target: portolan_model::Target = target.parse().unwrap();
    Request {
        addresses: target.addresses().unwrap(),
        ports: ports.parse::<PortSpec>().unwrap(),
        techniques: vec![Technique::Syn],
        pace: spec::Pace {
            max_rate: NonZeroU64::new(100_000),
            ..spec::Pace::default()
        },
        discovery: Discovery::Skip,
        seed: 7,
        settled: Settled::new(),
        shard: None,
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: Some(spec::Sweep::default()),
        payloads: crate::udp::Payloads::default(),
        from: Reached::default(),
    }
}

fn sweep(scenario: &Scenario, request: &Request) -> Swept {
    sweep_until(scenario, request, |_| false)
}

/// Sweeps until `enough` says of the number of open ports that it is.
fn sweep_until(scenario: &Scenario, request: &Request, enough: impl Fn(usize) -> bool) -> Swept {
    let link = Rc::new(RefCell::new(SimLink::new(scenario)));
    let clock = Hand::new();
    let device = SimDevice::new(link, clock.clone(), scenario);
    let control = Control::new();
    let (mut open, mut up, mut reached, mut problems) = (vec![], vec![], vec![], vec![]);
    let mut liars = vec![];
    let mut sink = |event: ScanEvent| match event {
        ScanEvent::Port(fact) => {
            assert_eq!(fact.state, PortState::Open);
            open.push((fact.endpoint.address, fact.endpoint.port));
            if enough(open.len()) {
                control.stop();
            }
        }
        ScanEvent::HostUp(host) => up.push(host.address),
        ScanEvent::Reached(place) => reached.push((open.len(), place)),
        ScanEvent::Problem(problem) => problems.push(problem),
        ScanEvent::AnswersAll(found) => liars.push(found.address),
        _ => {}
    };
    let finished = run_sweep(request, device, clock.clone(), &control, &mut sink).unwrap();
    Swept {
        open,
        up,
        reached,
        liars,
        problems,
        finished,
        seconds: clock.now().as_secs_f64(),
    }
}

/// What is open there, of the ports and addresses of a request.
fn truth(scenario: &Scenario, request: &Request) -> BTreeSet<(IpAddr, u16)> {
    Truth::new(scenario)
        .open_tcp()
        .filter(|&(address, port)| {
            request.ports.tcp().contains(port) && request.addresses.contains(address)
        })
        .collect()
}

fn hosts(prefix: &str) -> Hosts {
    Hosts {
        addresses: vec![prefix.parse().unwrap()],
        ..Hosts::default()
    }
}

/// A network of which each host answers at two ports.
fn two_ports(loss: f64) -> Scenario {
    let mut hosts = hosts("198.18.0.0/18").open(&[443, 8443]);
    hosts.live = 0.1;
    hosts.tcp.closed = simnet::Closed::Silent;
    let mut path = Path::rtt_ms(20.0);
    path.forward.loss = loss;
    path.back.loss = loss;
    Scenario::new(5, path, vec![hosts])
}

#[test]
fn a_14_of_which_2_percent_answer_is_swept_in_less_than_zmap_needs() {
    let scenario = scenario("sweep-14");
    let request = request("10.64.0.0/14", "443");
    let swept = sweep(&scenario, &request);
    assert_eq!(swept.set(), truth(&scenario, &request));
    assert_eq!(swept.up.len(), swept.open.len());
    assert_eq!(swept.finished.outcome, Outcome::Complete);
    // 262,144 probes at 100,000 a second are 2.6 s.
    assert!(swept.seconds < 4.0, "{}", swept.seconds);
    assert!(swept.finished.sent < 270_000, "{}", swept.finished.sent);
}

#[test]
fn where_probes_are_lost_ports_are_asked_again_and_nothing_is_told_twice() {
    let scenario = two_ports(0.02);
    let request = request("198.18.0.0/18", "443,8443");
    let swept = sweep(&scenario, &request);
    let (found, truth) = (swept.set(), truth(&scenario, &request));
    assert!(found.is_subset(&truth));
    assert!(
        truth.len() - found.len() <= 2,
        "{} of {}",
        found.len(),
        truth.len()
    );
    let loss = swept.finished.loss.unwrap();
    assert!((0.02..0.07).contains(&loss), "{loss}");
    let up: BTreeSet<_> = swept.up.iter().collect();
    assert_eq!(up.len(), swept.up.len(), "a host was announced twice");
}

#[test]
fn a_sweep_of_a_few_ports_invents_no_loss() {
    let mut hosts = hosts("198.18.0.0/30").open(&[443]);
    hosts.live = 1.0;
    let scenario = Scenario::new(5, Path::rtt_ms(0.4), vec![hosts]);
    for target in ["198.18.0.1", "198.18.0.1-2"] {
        for ports in ["443", "443,444", "440-449"] {
            let swept = sweep(&scenario, &request(target, ports));
            let loss = swept.finished.loss.unwrap();
            assert!(loss <= 0.0, "{target} {ports}: {loss}");
            assert!(swept.finished.expected_missed <= 0.0);
        }
    }
}

#[test]
fn probes_are_as_many_as_the_user_says() {
    let scenario = two_ports(0.0);
    let mut request = request("198.18.0.0/20", "443");
    for probes in 1..=3 {
        request.sweep = Some(spec::Sweep {
            probes: NonZeroU8::new(probes),
            max_results: None,
        });
        let swept = sweep(&scenario, &request);
        let asked = 4096 + u64::from(probes - 1) * (4096 - swept.open.len() as u64);
        let sentinels = swept.finished.sent - asked;
        assert!(sentinels < 420, "{probes}: {}", swept.finished.sent);
    }
}

#[test]
fn the_shards_of_several_machines_give_the_whole() {
    let scenario = two_ports(0.0);
    let whole = request("198.18.0.0/19", "443,8443");
    let mut found = BTreeSet::new();
    for number in 1..=3 {
        let mut part = whole.clone();
        part.shard = Shard::new(
            NonZeroU32::new(number).unwrap(),
            NonZeroU32::new(3).unwrap(),
        );
        for port in sweep(&scenario, &part).set() {
            assert!(found.insert(port), "{port:?} is in two shards");
        }
    }
    assert_eq!(found, truth(&scenario, &whole));
}

#[test]
fn it_ends_after_as_many_results_as_are_wanted() {
    let scenario = two_ports(0.0);
    let mut request = request("198.18.0.0/18", "443,8443");
    request.sweep = Some(spec::Sweep {
        probes: None,
        max_results: NonZeroU64::new(25),
    });
    let swept = sweep(&scenario, &request);
    assert_eq!(swept.set().len(), 25);
    assert_eq!(swept.finished.outcome, Outcome::Complete);
    assert_eq!(
        swept.problems[0].message,
        "ended after 25 open ports, as `--max-results` asks"
    );
    assert!(!swept.problems[0].left_out);
}

#[test]
fn a_sweep_that_goes_on_where_nobody_is_left_asks_those_that_it_knows_how_fast_it_may() {
    let mut hosts = hosts("198.18.0.0/26").open(&[443]);
    hosts.live = 0.5;
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![hosts]);
    let mut rest = request("198.18.0.0/26", "443");
    rest.pace.max_rate = None;
    for (address, port) in truth(&scenario, &rest) {
        let ports = PortSpec::new([port].into_iter().collect(), portolan_model::PortSet::EMPTY);
        rest.settled.insert(address, ports);
    }
    assert!(rest.settled.len() > 10);
    let empty: portolan_model::Target = "198.51.0.0/16".parse().unwrap();
    rest.addresses = rest.addresses.union(&empty.addresses().unwrap());
    let swept = sweep(&scenario, &rest);
    assert!(swept.open.is_empty(), "told twice");
    // At the rate of a path of which nothing is known, it is more than a minute.
    assert!(swept.seconds < 20.0, "{}", swept.seconds);
}

#[test]
fn proxies_that_say_yes_for_any_port_are_told_once_each_and_listeners_as_they_are() {
    let mut proxies = hosts("198.18.0.0/28");
    proxies.live = 1.0;
    proxies.kind = simnet::Kind::Proxy;
    let mut listeners = hosts("198.18.1.0/28").open(&(1..=100).collect::<Vec<u16>>());
    listeners.live = 1.0;
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![proxies, listeners]);
    let mut many = request("198.18.0.0/23", "1-300");
    let swept = sweep(&scenario, &many);
    let liars: BTreeSet<_> = swept.liars.iter().collect();
    assert_eq!((swept.liars.len(), liars.len()), (16, 16));
    assert_eq!(swept.set().len(), 1_600);
    assert!(
        swept
            .open
            .iter()
            .all(|(address, _)| !liars.contains(address))
    );
    // Where few ports are asked, nobody is misled.
    many = request("198.18.0.0/23", "80,443");
    let swept = sweep(&scenario, &many);
    assert!(swept.liars.is_empty());
    assert_eq!(swept.set().len(), 32 + 16);
}

#[test]
fn what_is_on_its_way_when_the_user_ends_a_sweep_is_heard() {
    let mut hosts = hosts("198.18.0.0/20").open(&[443]);
    hosts.live = 1.0;
    let scenario = Scenario::new(5, Path::rtt_ms(200.0), vec![hosts]);
    let mut request = request("198.18.0.0/20", "443");
    request.pace.max_rate = NonZeroU64::new(1_000);
    request.sweep = Some(spec::Sweep {
        probes: NonZeroU8::new(1),
        max_results: None,
    });
    let swept = sweep_until(&scenario, &request, |open| open == 500);
    assert_eq!(swept.finished.outcome, Outcome::Interrupted);
    // 200 are on their way; all else that was sent are questions to sentinels.
    assert!(swept.open.len() > 650, "{}", swept.open.len());
    assert!(swept.seconds < 2.5, "{}", swept.seconds);
}

#[test]
fn a_sweep_that_was_cut_off_goes_on_and_the_union_is_exact() {
    let scenario = two_ports(0.0);
    let mut request = request("198.18.0.0/18", "443,8443");
    request.pace.max_rate = NonZeroU64::new(4_000);
    let truth = truth(&scenario, &request);
    for stop in [40, 400, 1_000, 1_500] {
        let first = sweep_until(&scenario, &request, |open| open == stop);
        assert_eq!(first.finished.outcome, Outcome::Interrupted);
        // What a checkpoint of the last place holds: what was told before it.
        let (told, from) = first.reached.last().copied().unwrap_or_default();
        let mut rest = request.clone();
        rest.from = from;
        for &(address, port) in first.open.iter().take(told) {
            let ports = PortSpec::new([port].into_iter().collect(), portolan_model::PortSet::EMPTY);
            let known = rest.settled.remove(&address);
            let ports = known.map_or(ports.clone(), |known: PortSpec| {
                PortSpec::new(
                    known.tcp().union(ports.tcp()),
                    portolan_model::PortSet::EMPTY,
                )
            });
            rest.settled.insert(address, ports);
        }
        let second = sweep(&scenario, &rest);
        let before: BTreeSet<_> = first.open.iter().take(told).copied().collect();
        let after = second.set();
        assert!(before.is_disjoint(&after), "told twice");
        assert_eq!(before.union(&after).count(), truth.len());
        // At most 5 s of work are done twice.
        let probes = first.finished.sent + second.finished.sent;
        assert!(probes < 32_768 + 5 * 4_000 + 1_000, "{probes}");
    }
}

#[test]
fn a_link_that_cannot_carry_the_named_rate_is_not_overrun() {
    let mut scenario = two_ports(0.0);
    scenario.path.forward.bottleneck = Some(simnet::scenario::Bottleneck {
        rate: 5_000,
        queue: 50,
    });
    let request = request("198.18.0.0/18", "443,8443");
    let swept = sweep(&scenario, &request);
    let (found, truth) = (swept.set(), truth(&scenario, &request));
    eprintln!("{} s, {:?}", swept.seconds, swept.finished);
    assert!(
        truth.len() - found.len() <= truth.len() / 500,
        "{} of {}",
        found.len(),
        truth.len()
    );
    // Four rounds of questions at most, since it takes its own overruns for loss.
    assert!(swept.seconds < 32.0, "{}", swept.seconds);
}

#[test]
fn both_families_are_swept_at_once() {
    let mut hosts = hosts("2001:db8::/112").open(&[443]);
    hosts.live = 0.01;
    hosts.tcp.closed = simnet::Closed::Silent;
    let mut scenario = two_ports(0.0);
    scenario.hosts.push(hosts);
    let mut request = request("198.18.0.0/18", "443");
    let v6: portolan_model::Target = "2001:db8::/112".parse().unwrap();
    request.addresses = request.addresses.union(&v6.addresses().unwrap());
    let swept = sweep(&scenario, &request);
    assert_eq!(swept.set(), truth(&scenario, &request));
}

#[test]
fn an_empty_network_is_swept_at_the_named_rate() {
    let scenario = two_ports(0.0);
    let request = request("198.51.0.0/16", "9");
    let swept = sweep(&scenario, &request);
    assert!(swept.open.is_empty());
    // Two probes each: 131,072 in all.
    assert!(swept.seconds < 9.0, "{}", swept.seconds);
}

#[test]
fn a_space_far_larger_than_the_window_begins_at_once() {
    let addresses: portolan_model::Target = "2001:db8::/32".parse().unwrap();
    let mut request = request("198.18.0.0/24", "1-65535");
    request.addresses = addresses.addresses().unwrap();
    request.sweep = Some(spec::Sweep {
        probes: None,
        max_results: NonZeroU64::new(1),
    });
    let mut hosts = hosts("2001:db8::/32").open(&[443]);
    hosts.tcp.open_share = 0.01;
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![hosts]);
    let swept = sweep(&scenario, &request);
    assert_eq!(swept.set().len(), 1);
    assert!(AddressSet::contains(&request.addresses, swept.open[0].0));
}

#[test]
fn a_tar_pit_that_offers_a_window_is_told_once_and_a_host_of_many_ports_is_none() {
    let (first, last) = (20_000, 21_499);
    let mut pits = hosts("198.18.0.0/28").open(&(first..=last).collect::<Vec<u16>>());
    pits.live = 1.0;
    // A third of all that is asked, and the rest is dropped or refused.
    let third: Vec<u16> = (first..=last).step_by(3).collect();
    let mut walled = hosts("198.18.1.0/28").open(&third);
    walled.live = 1.0;
    let walled = walled.closed(simnet::Closed::Silent);
    let mut plain = hosts("198.18.2.0/28").open(&third);
    plain.live = 1.0;
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![pits, walled, plain]);
    let swept = sweep(&scenario, &request("198.18.0.0/22", "20000-21499"));
    let liars: BTreeSet<IpAddr> = swept.liars.iter().copied().collect();
    assert_eq!((swept.liars.len(), liars.len()), (16, 16));
    let is_pit = |address: &IpAddr| address.to_string().starts_with("198.18.0.");
    assert!(liars.iter().all(is_pit), "{liars:?}");
    let of_pits = swept.open.iter().filter(|(address, _)| is_pit(address));
    let told = of_pits.count();
    assert!(
        told <= 16 * 12,
        "{told} of 24,000 were told before it was known"
    );
    let others = swept
        .set()
        .into_iter()
        .filter(|(address, _)| !is_pit(address));
    assert_eq!(others.count(), 32 * third.len());
}
