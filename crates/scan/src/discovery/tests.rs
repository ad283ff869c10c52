//! Looking for hosts on simulated networks, in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use portolan_model::event::{Finished, Outcome};
use portolan_model::spec::Discovery;
use portolan_model::{
    AddressSet, PortSpec, PortState, Protocol, Reason, ScanEvent, ScanRecord, Target, Technique,
};
use portolan_wire::MacAddress;
use simnet::scenario::Ping;
use simnet::{Closed, Hosts, Kind, Path, Scenario, SimLink, Truth};

use crate::clock::Clock as _;
use crate::control::Control;
use crate::device::{
    Batch, ChecksumStatus, Device, DeviceError, Drops, Hand, Heard, Reach, Received, Route,
    RouteError,
};
use crate::permutation::mix;
use crate::request::Request;
use crate::run::run_syn;

mod resumed;

/// A simulated network as a device, under the clock that it moves. On a link, neighbours answer
/// for themselves.
struct SimDevice {
    link: Rc<RefCell<SimLink>>,
    truth: Truth,
    clock: Hand,
    source: IpAddr,
    reach: Reach,
    /// The share of questions for neighbours that come to nothing.
    loss: f64,
    chance: u64,
    /// What becomes of neighbours, in the order of time.
    news: VecDeque<(Duration, IpAddr, Option<MacAddress>)>,
}

fn mac_of(address: IpAddr) -> MacAddress {
    let IpAddr::V4(v4) = address else {
        panic!("IPv4 alone is simulated here");
    };
    let [a, b, c, d] = v4.octets();
    MacAddress([2, 0, a, b, c, d])
}

impl Device for SimDevice {
    fn route(&mut self, _: IpAddr) -> Result<Route, RouteError> {
        Ok(Route {
            source: self.source,
            reach: self.reach,
            path: 0,
            mtu: 1500,
        })
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
        let now = self.clock.now();
        let alive = self.truth.is_alive(neighbour);
        let mut news = (now + Duration::from_millis(1_500), neighbour, None);
        for after in [0, 150, 450, 900] {
            self.chance = mix(self.chance.wrapping_add(1));
            let drawn = u32::try_from(self.chance >> 32).unwrap_or(0);
            let is_lost = f64::from(drawn) / f64::from(u32::MAX) < self.loss;
            if alive && !is_lost {
                let at = now + Duration::from_micros(after * 1_000 + 300);
                news = (at, neighbour, Some(mac_of(neighbour)));
                break;
            }
        }
        self.news.push_back(news);
        Ok(())
    }

    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError> {
        let mut link = self.link.borrow_mut();
        for packet in batch.iter() {
            link.send(self.clock.now(), packet);
        }
        Ok(batch.len())
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), DeviceError> {
        let mut link = self.link.borrow_mut();
        let least = self.clock.now() + Duration::from_micros(1);
        let next = self.news.iter().map(|(at, ..)| *at).min();
        let mut wait = next.map_or(until, |next| next.min(until)).max(least);
        while let Some((at, bytes)) = link.recv(wait) {
            self.clock.advance_to(at);
            wait = self.clock.now();
            each(Received {
                at,
                heard: Heard::Packet {
                    bytes: &bytes,
                    checksum: ChecksumStatus::Unchecked,
                    link: None,
                },
            });
        }
        self.clock.advance_to(link.now().max(least));
        let now = self.clock.now();
        self.news.retain(|&(at, address, mac)| {
            if at <= now {
                let heard = match mac {
                    Some(link) => Heard::Neighbour { address, link },
                    None => Heard::NoNeighbour { address },
                };
                each(Received { at, heard });
            }
            at > now
        });
        Ok(())
    }

    fn drops(&mut self) -> Drops {
        Drops::default()
    }
}

struct Run {
    record: ScanRecord,
    events: Vec<ScanEvent>,
    finished: Finished,
}

impl Run {
    fn up(&self) -> BTreeSet<IpAddr> {
        let up = self.record.hosts.iter().filter(|(_, host)| host.is_up());
        up.map(|(&address, _)| address).collect()
    }

    fn seconds(&self) -> f64 {
        self.finished.elapsed.as_secs_f64()
    }
}

fn request(targets: &str, ports: &str, discovery: Discovery, seed: u64) -> Request {
    let target: Target = targets.parse().unwrap();
    Request {
        addresses: target.addresses().unwrap(),
        ports: ports.parse::<PortSpec>().unwrap(),
        techniques: vec![Technique::Syn],
        pace: portolan_model::spec::Pace::default(),
        discovery,
        seed,
        settled: BTreeMap::new(),
        shard: None,
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: None,
        payloads: crate::udp::Payloads::default(),
        from: portolan_model::event::Reached::default(),
    }
}

fn run(scenario: &Scenario, request: &Request, reach: Reach, loss: f64) -> Run {
    run_until(scenario, request, reach, loss, |_| false)
}

/// Runs until `enough` says of the number of ports that were told of that it is.
fn run_until(
    scenario: &Scenario,
    request: &Request,
    reach: Reach,
    loss: f64,
    enough: impl Fn(usize) -> bool,
) -> Run {
    let control = Control::new();
    let mut told = 0;
    let clock = Hand::new();
    let device = SimDevice {
        link: Rc::new(RefCell::new(SimLink::new(scenario))),
        truth: Truth::new(scenario),
        clock: clock.clone(),
        source: scenario.link.address.into(),
        reach,
        loss,
        chance: mix(scenario.seed ^ request.seed),
        news: VecDeque::new(),
    };
    let mut record = ScanRecord::new("", "");
    let mut events = Vec::new();
    let mut sink = |event: ScanEvent| {
        told += usize::from(matches!(event, ScanEvent::Port(_)));
        if enough(told) {
            control.stop();
        }
        record.apply(&event);
        events.push(event);
    };
    let finished = run_syn(request, device, clock, &control, &mut sink).unwrap();
    Run {
        record,
        events,
        finished,
    }
}

fn at(prefix: &str, live: f64) -> Hosts {
    Hosts {
        addresses: vec![prefix.parse().unwrap()],
        live,
        ..Hosts::default()
    }
}

/// Hosts of every kind that some way finds.
fn a_mixed_network(net: &str, live: f64, seed: u64, loss: f64) -> Scenario {
    let mut path = Path::rtt_ms(30.0);
    path.jitter_ms = 4.0;
    (path.forward.loss, path.back.loss) = (loss, loss);
    let walled = |prefix: String| {
        let mut hosts = at(&prefix, live).closed(Closed::Silent);
        hosts.ping = Ping::Silent;
        hosts
    };
    let quarter = |number: u8| format!("{net}.{}/26", u32::from(number) * 64);
    // It drops everything but what its one service needs.
    let service = walled(quarter(0)).open(&[443]);
    // It answers neither echo nor timestamp, and refuses connections.
    let mut refusing = at(&quarter(1), live);
    refusing.ping = Ping::Silent;
    let pinged = {
        let mut hosts = walled(quarter(2));
        hosts.ping = Ping::EchoOnly;
        hosts
    };
    // Only its UDP is open to the world.
    let datagrams = walled(quarter(3));
    Scenario::new(seed, path, vec![service, refusing, pinged, datagrams])
}

#[test]
fn every_live_host_of_a_network_is_found_and_no_other_whatever_is_lost() {
    for loss in [0.01, 0.05] {
        for seed in 0..10 {
            let scenario = a_mixed_network("198.18.7", 0.3, seed, loss);
            let truth = Truth::new(&scenario);
            let live: BTreeSet<IpAddr> = truth.hosts().collect();
            let request = request("198.18.7.0/24", "all", Discovery::Only, seed);
            let run = run(&scenario, &request, Reach::Beyond, 0.0);
            println!(
                "loss {loss} seed {seed}: {} of {} in {:.1} s, {} probes",
                run.up().len(),
                live.len(),
                run.seconds(),
                run.finished.sent
            );
            assert_eq!(run.up(), live, "loss {loss}, seed {seed}");
            assert_eq!(run.finished.hosts_up, live.len() as u64);
            assert_eq!(run.finished.hosts_down, 256 - live.len() as u128);
            assert_eq!(run.record.count(PortState::Open), 0);
        }
    }
}

#[test]
fn neighbours_are_found_by_their_mac_addresses_whatever_is_lost() {
    for loss in [0.0, 0.01, 0.05] {
        for seed in 0..10 {
            let path = Path::rtt_ms(0.3);
            let mut hosts = at("198.18.7.0/24", 0.4).closed(Closed::Silent);
            hosts.ping = Ping::Silent;
            let scenario = Scenario::new(seed, path, vec![hosts]);
            let live: BTreeSet<IpAddr> = Truth::new(&scenario).hosts().collect();
            let request = request("198.18.7.0/24", "all", Discovery::Only, seed);
            // Question and answer can both be lost.
            let run = run(
                &scenario,
                &request,
                Reach::Link,
                1.0 - (1.0 - loss) * (1.0 - loss),
            );
            assert_eq!(run.up(), live, "loss {loss}, seed {seed}");
            assert!(run.seconds() < 8.0, "{}", run.seconds());
            for (&address, host) in &run.record.hosts {
                assert_eq!(host.reason, Reason::ArpResponse);
                assert_eq!(host.mac.map(|mac| mac.0), Some(mac_of(address).0));
            }
        }
    }
}

#[test]
fn a_large_network_is_looked_through() {
    let mut path = Path::rtt_ms(20.0);
    (path.forward.loss, path.back.loss) = (0.01, 0.01);
    let scenario = Scenario::new(3, path, vec![at("198.18.0.0/16", 0.05)]);
    let live: BTreeSet<IpAddr> = Truth::new(&scenario).hosts().collect();
    let request = request("198.18.0.0/16", "all", Discovery::Only, 3);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    println!(
        "a /16, {} of {} in {:.1} s, {} probes",
        run.up().len(),
        live.len(),
        run.seconds(),
        run.finished.sent
    );
    assert_eq!(run.up(), live);
    assert!(run.seconds() < 300.0, "{}", run.seconds());
}

#[test]
fn what_is_on_its_way_when_the_user_ends_a_scan_is_heard() {
    let host = Hosts::at([198, 18, 0, 9]).open(&(1..=60).collect::<Vec<u16>>());
    let scenario = Scenario::new(5, Path::rtt_ms(200.0), vec![host]);
    let mut request = request("198.18.0.9", "1-60000", Discovery::Skip, 5);
    request.pace.max_rate = std::num::NonZeroU64::new(1_000);
    let run = run_until(&scenario, &request, Reach::Beyond, 0.0, |told| told == 500);
    assert_eq!(run.finished.outcome, Outcome::Interrupted);
    let told = run.events.iter();
    let told = told
        .filter(|event| matches!(event, ScanEvent::Port(_)))
        .count();
    assert!(told > 650, "{told}");
    assert!(run.seconds() < 2.5, "{}", run.seconds());
}

#[test]
fn looking_for_hosts_measures_what_the_path_loses() {
    for (each_way, least, most) in [(0.0, 0.0, 0.0), (0.005, 0.001, 0.03), (0.03, 0.02, 0.12)] {
        let mut path = Path::rtt_ms(20.0);
        (path.forward.loss, path.back.loss) = (each_way, each_way);
        let scenario = Scenario::new(3, path, vec![at("198.18.0.0/20", 0.02)]);
        let request = request("198.18.0.0/20", "all", Discovery::Only, 3);
        let run = run(&scenario, &request, Reach::Beyond, 0.0);
        let loss = run.finished.loss.unwrap();
        assert!((least..=most).contains(&loss), "{each_way}: {loss}");
    }
}

#[test]
fn a_host_that_was_found_is_asked_at_once_while_others_are_looked_for() {
    // Some are found by the first question, some by the last.
    let mut late = at("198.18.2.0/23", 0.05)
        .open(&[150])
        .closed(Closed::Silent);
    late.ping = Ping::Silent;
    let hosts = vec![at("198.18.0.0/23", 0.05).open(&[150]), late];
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), hosts);
    let live: BTreeSet<IpAddr> = Truth::new(&scenario).hosts().collect();
    let request = request("198.18.0.0/22", "1-200", Discovery::Auto, 5);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    assert_eq!(run.up(), live);
    let first_done = run
        .events
        .iter()
        .position(|event| matches!(event, ScanEvent::HostDone { .. }));
    let last_up = run
        .events
        .iter()
        .rposition(|event| matches!(event, ScanEvent::HostUp(_)));
    assert!(first_done < last_up, "{first_done:?} {last_up:?}");
    assert_eq!(run.record.count(PortState::Open), live.len());
    let silent = run.record.count(PortState::Filtered) as u64;
    // What is asked early is not asked again, but for what is silent: that is, twice more.
    let ports = live.len() as u64 * 200 + 2 * silent;
    let looks = 1024 * 8 * 2;
    assert!(
        run.finished.sent < ports * 11 / 10 + looks,
        "{}",
        run.finished.sent
    );
}

#[test]
fn hosts_that_are_down_are_counted_and_not_asked() {
    let scenario = Scenario::new(
        5,
        Path::rtt_ms(20.0),
        vec![Hosts::at([198, 18, 0, 9]).open(&[22])],
    );
    let request = request("198.18.0.0/28", "1-1000", Discovery::Auto, 5);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    assert_eq!((run.finished.hosts_up, run.finished.hosts_down), (1, 15));
    assert_eq!(run.record.hosts.len(), 1);
    assert!(
        run.finished.sent < 1_200 + 16 * 8 * 3,
        "{}",
        run.finished.sent
    );
}

#[test]
fn a_single_host_that_does_not_answer_is_asked_all_the_same_and_that_is_said() {
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![]);
    let request = request("198.18.0.9", "1-100", Discovery::Auto, 5);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    assert_eq!(run.record.count(PortState::Filtered), 100);
    let problems: Vec<&str> = run
        .record
        .problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(
        problems,
        ["198.18.0.9 answered nothing: its ports were asked all the same"]
    );
    assert_eq!(run.finished.outcome, Outcome::Complete);
}

#[test]
fn a_single_host_with_silent_ports_is_up_by_its_echo() {
    let host = Hosts::at([198, 18, 0, 9]).closed(Closed::Silent);
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), vec![host]);
    let request = request("198.18.0.9", "1-100", Discovery::Auto, 5);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    let host = run.record.hosts.values().next().unwrap();
    assert_eq!((host.reason, host.is_up()), (Reason::EchoReply, true));
    assert_eq!(host.count(PortState::Filtered), 100);
    assert!(run.record.problems.is_empty());
}

#[test]
fn a_syn_proxy_is_reported_once_and_its_ports_are_not_called_open() {
    for (loss, seed) in [(0.0, 1), (0.05, 2), (0.05, 3)] {
        let mut path = Path::rtt_ms(15.0);
        (path.forward.loss, path.back.loss) = (loss, loss);
        let mut proxy = Hosts::at([198, 18, 0, 9]);
        proxy.kind = Kind::Proxy;
        let scenario = Scenario::new(seed, path, vec![proxy]);
        let request = request("198.18.0.9", "all", Discovery::Auto, seed);
        let run = run(&scenario, &request, Reach::Beyond, 0.0);
        let found: Vec<_> = run
            .events
            .iter()
            .filter_map(|event| match event {
                ScanEvent::AnswersAll(found) => Some(*found),
                _ => None,
            })
            .collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].answered >= 9 && found[0].windowless == found[0].answered);
        assert_eq!(run.record.count(PortState::Open), 0);
        assert_eq!(run.record.count(PortState::OpenFiltered), 65_535);
        let facts = run
            .events
            .iter()
            .filter(|event| matches!(event, ScanEvent::Port(_) | ScanEvent::Ports(_)));
        assert_eq!(facts.count(), 1);
        assert!(run.seconds() < 20.0, "{}", run.seconds());
    }
}

#[test]
fn a_honeypot_with_two_thousand_open_ports_is_shown_as_it_is() {
    let mut host = Hosts::at([198, 18, 0, 9]).open(&[22, 80]);
    host.tcp.open_share = 0.03;
    for closed in [Closed::Reset, Closed::Silent] {
        let scenario = Scenario::new(7, Path::rtt_ms(15.0), vec![host.clone().closed(closed)]);
        let truth = Truth::new(&scenario);
        let open: AddressSet = truth.hosts().collect();
        assert_eq!(open.len(), 1);
        let request = request("198.18.0.9", "all", Discovery::Auto, 7);
        let run = run(&scenario, &request, Reach::Beyond, 0.0);
        let found: BTreeSet<u16> = run
            .record
            .hosts
            .values()
            .flat_map(|host| host.ports.keys().map(|&(_, port)| port))
            .collect();
        let there: BTreeSet<u16> = truth
            .open_tcp()
            .map(|(_, port)| port)
            .filter(|&port| port > 0)
            .collect();
        assert!(there.len() > 1_500);
        assert_eq!(found, there);
        assert_eq!(run.record.count(PortState::OpenFiltered), 0);
    }
}

#[test]
fn every_common_port_open_is_no_proof_of_answering_everything() {
    let host = Hosts::at([198, 18, 0, 9]);
    let ports: Vec<u16> = (1..=300).collect();
    let scenario = Scenario::new(7, Path::rtt_ms(15.0), vec![host.open(&ports)]);
    let request = request("198.18.0.9", "1-300", Discovery::Auto, 7);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    assert_eq!(run.record.count(PortState::Open), 300);
    let host = run.record.hosts.values().next().unwrap();
    assert!(host.answers_all.is_none());
    assert!(host.ports.keys().all(|(of, _)| *of == Protocol::Tcp));
}

#[test]
fn each_port_of_a_proxy_is_settled_for_a_scan_that_goes_on() {
    let mut proxy = Hosts::at([198, 18, 0, 9]);
    proxy.kind = Kind::Proxy;
    let scenario = Scenario::new(1, Path::rtt_ms(15.0), vec![proxy]);
    let request = request("198.18.0.9", "1-500", Discovery::Auto, 1);
    let run = run(&scenario, &request, Reach::Beyond, 0.0);
    let settled = crate::settled_in(&run.record);
    let ports = settled.values().next().unwrap();
    assert_eq!(ports.tcp().to_string(), "1-500");
}
