use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use portolan_model::spec::Discovery;
use portolan_model::{AddressSet, PortSpec, ScanEvent, ScanRecord, Technique};
use simnet::{Scenario, SimLink, Truth};

use super::*;
use crate::control::Control;
use crate::device::{Drops, Hand, Reach, Received, Route};
use crate::request::Request;
use crate::run::run_syn;

/// A simulated network as a device, under the clock that it moves.
pub(crate) struct SimDevice {
    link: Rc<RefCell<SimLink>>,
    clock: Hand,
    v4: IpAddr,
    v6: IpAddr,
}

impl SimDevice {
    pub(crate) fn new(link: Rc<RefCell<SimLink>>, clock: Hand, scenario: &Scenario) -> Self {
        Self {
            link,
            clock,
            v4: scenario.link.address.into(),
            v6: scenario.link.address6.into(),
        }
    }
}

impl Device for SimDevice {
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError> {
        Ok(Route {
            source: if destination.is_ipv4() {
                self.v4
            } else {
                self.v6
            },
            reach: Reach::Beyond,
            path: 0,
            mtu: 1500,
        })
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
        Err(DeviceError::NotOnLink { address: neighbour })
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
        // Time passes even if nothing happens, as it does for a real thread.
        let least = self.clock.now() + Duration::from_micros(1);
        let mut wait = until.max(least);
        while let Some((at, bytes)) = link.recv(wait) {
            self.clock.advance_to(at);
            wait = self.clock.now();
            each(Received {
                at,
                heard: device::Heard::Packet {
                    bytes: &bytes,
                    checksum: ChecksumStatus::Unchecked,
                    link: None,
                },
            });
        }
        self.clock.advance_to(link.now().max(least));
        Ok(())
    }

    fn drops(&mut self) -> Drops {
        Drops::default()
    }
}

struct Outcome {
    seconds: f64,
    found: usize,
    missed: usize,
    wrong: usize,
    sent: u64,
    /// Closed ports that are known to answer, but were called filtered.
    unproven: usize,
}

fn scenario(name: &str) -> Scenario {
    let path = format!(
        "{}/../simnet/scenarios/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    Scenario::read(std::path::Path::new(&path)).unwrap()
}

fn request(addresses: AddressSet, ports: &str, seed: u64) -> Request {
    Request {
        addresses,
        ports: ports.parse::<PortSpec>().unwrap(),
        techniques: vec![Technique::Syn],
        pace: portolan_model::spec::Pace::default(),
        discovery: Discovery::Skip,
        seed,
        settled: BTreeMap::new(),
        shard: None,
        sweep: None,
        from: portolan_model::event::Reached::default(),
    }
}

/// Scans a scenario's IPv4 or IPv6 addresses as `--syn -Pn -n` does.
fn scan(scenario: &Scenario, ports: &str, seed: u64, v6: bool) -> Outcome {
    let truth = Truth::new(scenario);
    let addresses: AddressSet = truth.addresses().filter(|a| a.is_ipv6() == v6).collect();
    let request = request(addresses, ports, seed);
    let link = Rc::new(RefCell::new(SimLink::new(scenario)));
    let clock = Hand::new();
    let device = SimDevice::new(link.clone(), clock.clone(), scenario);
    let mut record = ScanRecord::new("", "");
    let mut sink = |event: ScanEvent| record.apply(&event);
    let finished = run_syn(&request, device, clock, &Control::new(), &mut sink).unwrap();
    let asked = request.ports.tcp();
    let open: BTreeSet<(IpAddr, u16)> = truth
        .open_tcp()
        .filter(|(address, port)| address.is_ipv6() == v6 && asked.contains(*port))
        .collect();
    let found: BTreeSet<(IpAddr, u16)> = record
        .hosts
        .iter()
        .flat_map(|(&address, host)| host.ports.keys().map(move |&(_, port)| (address, port)))
        .collect();
    let unproven = record
        .hosts
        .iter()
        .map(|(&address, host)| {
            host.rest_of(Protocol::Tcp, PortState::Filtered)
                .iter()
                .filter(|&port| {
                    truth.port(address, portolan_wire::Protocol::TCP, port)
                        == simnet::PortTruth::Closed
                })
                .count()
        })
        .sum();
    Outcome {
        seconds: finished.elapsed.as_secs_f64(),
        found: found.len(),
        missed: open.difference(&found).count(),
        wrong: found.difference(&open).count(),
        sent: finished.sent,
        unproven,
    }
}

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
    holds("rst-limited", "1-10000", 3.0);
}

#[test]
fn silent_hosts_behind_a_small_nat_table() {
    holds("nat", "1-1000", 60.0);
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
