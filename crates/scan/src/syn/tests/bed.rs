//! Whole scans over simulated networks, in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use portolan_model::event::PathSeen;
use portolan_model::spec::Discovery;
use portolan_model::{AddressSet, PortSpec, PortState, Protocol, ScanEvent, ScanRecord, Technique};
use simnet::{Scenario, SimLink, Truth};

use crate::clock::Clock;
use crate::control::Control;
use crate::device::{
    Batch, ChecksumStatus, Device, DeviceError, Drops, Hand, Heard, Reach, Received, Route,
    RouteError,
};
use crate::request::Request;
use crate::run::run_syn;

/// A simulated network as a device, under the clock that it moves.
pub(crate) struct SimDevice {
    link: Rc<RefCell<SimLink>>,
    clock: Hand,
    v4: IpAddr,
    v6: IpAddr,
    deaf: Deaf,
    drops: u64,
}

/// The first answers of a port that the machine itself loses, and whether it knows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deaf {
    pub(super) port: u16,
    pub(super) answers: u64,
    pub(super) is_told: bool,
}

impl SimDevice {
    pub(crate) fn new(link: Rc<RefCell<SimLink>>, clock: Hand, scenario: &Scenario) -> Self {
        Self {
            link,
            clock,
            v4: scenario.link.address.into(),
            v6: scenario.link.address6.into(),
            deaf: Deaf::default(),
            drops: 0,
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
            let port = bytes
                .get(20..22)
                .map(|port| u16::from_be_bytes([port[0], port[1]]));
            if port == Some(self.deaf.port) && self.drops < self.deaf.answers {
                self.drops += 1;
                continue;
            }
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
        Ok(())
    }

    fn drops(&mut self) -> Drops {
        Drops {
            incoming: if self.deaf.is_told { self.drops } else { 0 },
            ..Drops::default()
        }
    }
}

pub(super) struct Outcome {
    pub(super) seconds: f64,
    pub(super) found: usize,
    pub(super) missed: usize,
    pub(super) wrong: usize,
    pub(super) sent: u64,
    /// How often silent ports were asked.
    pub(super) passes: u32,
    /// What was learnt of the path.
    pub(super) path: PathSeen,
    /// What the user is told beside the result.
    pub(super) notes: Vec<String>,
    /// Closed ports that are known to answer, but were called filtered.
    pub(super) unproven: usize,
}

pub(super) fn scenario(name: &str) -> Scenario {
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
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: None,
        payloads: crate::udp::Payloads::default(),
        from: portolan_model::event::Reached::default(),
    }
}

/// Scans a scenario's IPv4 or IPv6 addresses as `--syn -Pn -n` does.
pub(super) fn scan(scenario: &Scenario, ports: &str, seed: u64, v6: bool) -> Outcome {
    scan_deaf(scenario, ports, seed, v6, Deaf::default())
}

/// The same, on a machine that loses answers.
pub(super) fn scan_deaf(
    scenario: &Scenario,
    ports: &str,
    seed: u64,
    v6: bool,
    deaf: Deaf,
) -> Outcome {
    let truth = Truth::new(scenario);
    let addresses: AddressSet = truth.addresses().filter(|a| a.is_ipv6() == v6).collect();
    let request = request(addresses, ports, seed);
    let link = Rc::new(RefCell::new(SimLink::new(scenario)));
    let clock = Hand::new();
    let device = SimDevice {
        deaf,
        ..SimDevice::new(link.clone(), clock.clone(), scenario)
    };
    let mut record = ScanRecord::new("", "");
    let mut passes = 0;
    let mut path = PathSeen::default();
    let mut sink = |event: ScanEvent| {
        if let ScanEvent::Progress(progress) = &event {
            passes = passes.max(progress.pass);
        }
        if let ScanEvent::Path(seen) = &event {
            path = *seen;
        }
        record.apply(&event);
    };
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
        passes,
        path,
        notes: record
            .problems
            .iter()
            .map(|problem| problem.message.clone())
            .collect(),
        unproven,
    }
}
