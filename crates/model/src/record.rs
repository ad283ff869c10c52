//! What a scan found, as a whole: the events, gathered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{
    AnswersAll, Endpoint, Finished, HostName, HostUp, NameKind, Outcome, PortFact, PortsFact,
    Problem, ScanEvent, Started,
};
use crate::mac::Mac;
use crate::ports::{PortBits, PortSet};
use crate::service::Service;
use crate::state::{PortState, Protocol, Reason};
use crate::zone::Zoned;

/// A scan and everything it found. Hosts and ports are in numeric order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScanRecord {
    /// The command line, as it was typed.
    pub args: String,
    /// The program's version.
    pub version: String,
    /// What was to be scanned.
    pub started: Option<Started>,
    /// The hosts that were found up.
    pub hosts: BTreeMap<IpAddr, HostRecord>,
    /// What is left out.
    pub problems: Vec<Problem>,
    /// How it ended; `None` while it runs, and for one that was cut off.
    pub finished: Option<Finished>,
}

/// A host and what was found of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRecord {
    /// Its names, each once.
    pub names: Vec<(String, NameKind)>,
    /// How it is known to be up.
    pub reason: Reason,
    /// How long its first answer took.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of its first answer.
    pub ttl: Option<u8>,
    /// Its MAC address, where it is on a link of this machine's.
    pub mac: Option<Mac>,
    /// What shows that it answers on every port, where it does.
    pub answers_all: Option<AnswersAll>,
    /// When it was first heard of.
    pub first: Timestamp,
    /// When it was last heard of.
    pub last: Timestamp,
    /// The ports that are not simply closed or filtered: open and `open|filtered` on an answer.
    pub ports: BTreeMap<(Protocol, u16), PortRecord>,
    /// All other ports, by what they are.
    pub rest: BTreeMap<(Protocol, PortState, Reason), PortBits>,
}

/// A port and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRecord {
    /// What it is.
    pub state: PortState,
    /// What that rests on.
    pub reason: Reason,
    /// How long the answer took.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of the answer.
    pub ttl: Option<u8>,
    /// When.
    pub at: Timestamp,
    /// What runs there, by what it said; where it is `None`, the port's number is all there is
    /// to guess by.
    pub service: Option<Service>,
}

impl PortRecord {
    /// What runs there: what it said, else the guess by its number.
    pub fn service_or_guess(&self, port: u16, protocol: Protocol) -> Option<Service> {
        self.service
            .clone()
            .or_else(|| Service::by_number(port, protocol))
    }
}

impl HostRecord {
    /// A host of which nothing but its being up is known.
    pub const fn new(reason: Reason, at: Timestamp) -> Self {
        Self {
            names: Vec::new(),
            reason,
            rtt: None,
            ttl: None,
            mac: None,
            answers_all: None,
            first: at,
            last: at,
            ports: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }

    /// Whether it is there: it answered, or the user said so. A host that stayed silent is kept
    /// when its ports are reported one by one, as filtered, and is not: neither is one of which
    /// only others spoke.
    pub const fn is_up(&self) -> bool {
        let is_of_others = matches!(
            self.reason,
            Reason::NoResponse | Reason::HostUnreach | Reason::NetUnreach | Reason::AdminProhibited
        );
        self.rtt.is_some() || !is_of_others
    }

    /// The state of a port and what it rests on; `None` for one that was not reported.
    pub fn state_of(&self, protocol: Protocol, port: u16) -> Option<(PortState, Reason)> {
        if let Some(found) = self.ports.get(&(protocol, port)) {
            return Some((found.state, found.reason));
        }
        self.rest
            .iter()
            .find(|((of, _, _), ports)| *of == protocol && ports.contains(port))
            .map(|(&(_, state, reason), _)| (state, reason))
    }

    /// How many of its ports are in `state`.
    pub fn count(&self, state: PortState) -> usize {
        let alone = self.ports.values().filter(|port| port.state == state);
        let rest = self.rest.iter().filter(|((_, of, _), _)| *of == state);
        alone.count() + rest.map(|(_, ports)| ports.len()).sum::<usize>()
    }

    /// The name to show beside the address: the one typed, else the one looked up.
    pub fn name(&self) -> Option<&str> {
        self.names
            .iter()
            .min_by_key(|(_, kind)| *kind)
            .map(|(name, _)| name.as_str())
    }
}

impl ScanRecord {
    /// A record of a scan that has not begun.
    pub fn new(args: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            args: args.into(),
            version: version.into(),
            ..Self::default()
        }
    }

    /// The open ports of which nothing said what runs there.
    pub fn unnamed(&self) -> impl Iterator<Item = PortFact> + '_ {
        self.hosts.iter().flat_map(|(&address, host)| {
            let ports = host.ports.iter();
            let unnamed = ports
                .filter(|(_, found)| found.state == PortState::Open && found.service.is_none());
            unnamed.map(move |(&(protocol, port), found)| PortFact {
                endpoint: Endpoint {
                    address,
                    protocol,
                    port,
                },
                state: found.state,
                reason: found.reason,
                rtt: found.rtt,
                ttl: found.ttl,
                at: found.at,
            })
        })
    }

    /// Takes in one more event.
    pub fn apply(&mut self, event: &ScanEvent) {
        match event {
            ScanEvent::Started(started) => {
                let goes_on = |before: &Started| before.seed == started.seed;
                if self.started.as_ref().is_some_and(goes_on) {
                    // What an earlier part left out, this one asks, or tells anew.
                    self.problems.clear();
                    self.finished = None;
                }
                self.started = Some(started.clone());
            }
            ScanEvent::HostUp(up) => self.host_up(up),
            ScanEvent::HostName(name) => self.host_name(name),
            // Both are reported after `HostUp`.
            ScanEvent::HostLink(link) => {
                if let Some(host) = self.hosts.get_mut(&link.address) {
                    host.mac = Some(link.mac);
                }
            }
            ScanEvent::AnswersAll(found) => {
                if let Some(host) = self.hosts.get_mut(&found.address) {
                    host.answers_all = Some(*found);
                }
            }
            ScanEvent::Port(fact) => self.port(fact),
            ScanEvent::Ports(fact) => self.ports(fact),
            ScanEvent::Service(fact) => {
                if let Some(port) = self.port_mut(fact.endpoint) {
                    port.service = Some(fact.service.clone());
                }
            }
            ScanEvent::HostDone { address, at } => {
                if let Some(host) = self.hosts.get_mut(address) {
                    host.last = host.last.max(*at);
                }
            }
            ScanEvent::Problem(problem) => self.problems.push(problem.clone()),
            // For those who watch the scan, and for whoever finds out what runs there.
            ScanEvent::Preparing(_)
            | ScanEvent::Progress(_)
            | ScanEvent::Reached(_)
            | ScanEvent::Path(_)
            | ScanEvent::Said(_) => {}
            ScanEvent::Finished(finished) => self.finished = Some(finished.clone()),
        }
    }

    /// How the scan ended; one without an end was interrupted.
    pub fn outcome(&self) -> Outcome {
        match &self.finished {
            None => Outcome::Interrupted,
            Some(finished) => match finished.outcome {
                Outcome::Complete if self.problems.iter().any(|problem| problem.left_out) => {
                    Outcome::Incomplete
                }
                outcome => outcome,
            },
        }
    }

    /// An address of the scan with its zone, where it has one.
    pub fn zoned(&self, address: IpAddr) -> Zoned {
        match &self.started {
            Some(started) => started.zones.zoned(address),
            None => address.into(),
        }
    }

    /// How many ports of all hosts are in `state`.
    pub fn count(&self, state: PortState) -> usize {
        self.hosts.values().map(|host| host.count(state)).sum()
    }

    fn host_up(&mut self, up: &HostUp) {
        let host = self
            .hosts
            .entry(up.address)
            .or_insert_with(|| HostRecord::new(up.reason, up.at));
        host.reason = up.reason;
        host.rtt = host.rtt.or(up.rtt);
        host.ttl = host.ttl.or(up.ttl);
        host.first = host.first.min(up.at);
    }

    fn host_name(&mut self, found: &HostName) {
        // A typed name is known before its host is; whoever reports it does so after `HostUp`.
        if let Some(host) = self.hosts.get_mut(&found.address) {
            let name = (found.name.clone(), found.kind);
            if !host.names.contains(&name) {
                host.names.push(name);
                host.names.sort_by_key(|(_, kind)| *kind);
            }
        }
    }

    fn host_mut(&mut self, address: IpAddr, reason: Reason, at: Timestamp) -> &mut HostRecord {
        let host = self
            .hosts
            .entry(address)
            .or_insert_with(|| HostRecord::new(reason, at));
        host.last = host.last.max(at);
        host
    }

    fn port(&mut self, fact: &PortFact) {
        let Endpoint {
            address,
            protocol,
            port,
        } = fact.endpoint;
        let host = self.host_mut(address, fact.reason, fact.at);
        let is_notable = fact.state == PortState::Open
            || (fact.state == PortState::OpenFiltered && fact.reason != Reason::NoResponse);
        if is_notable {
            host.ports.insert(
                (protocol, port),
                PortRecord {
                    state: fact.state,
                    reason: fact.reason,
                    rtt: fact.rtt,
                    ttl: fact.ttl,
                    at: fact.at,
                    service: None,
                },
            );
        } else {
            host.rest
                .entry((protocol, fact.state, fact.reason))
                .or_default()
                .insert(port);
        }
    }

    fn ports(&mut self, fact: &PortsFact) {
        let host = self.host_mut(fact.address, fact.reason, fact.at);
        host.rest
            .entry((fact.protocol, fact.state, fact.reason))
            .or_default()
            .extend_set(&fact.ports);
    }

    fn port_mut(&mut self, endpoint: Endpoint) -> Option<&mut PortRecord> {
        self.hosts
            .get_mut(&endpoint.address)?
            .ports
            .get_mut(&(endpoint.protocol, endpoint.port))
    }
}

impl HostRecord {
    /// The ports of one protocol and state that are not in [`ports`](Self::ports), as a set.
    pub fn rest_of(&self, protocol: Protocol, state: PortState) -> PortSet {
        self.rest
            .iter()
            .filter(|((of, is, _), _)| *of == protocol && *is == state)
            .fold(PortSet::EMPTY, |all, (_, ports)| all.union(&ports.to_set()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            address: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::Tcp,
            port,
        }
    }

    fn fact(port: u16, state: PortState, reason: Reason) -> ScanEvent {
        ScanEvent::Port(PortFact {
            endpoint: endpoint(port),
            state,
            reason,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_part_that_goes_on_answers_for_what_the_one_before_it_left_out() {
        let started = ScanEvent::Started(Started {
            at: Timestamp::UNIX_EPOCH,
            techniques: Vec::new(),
            ports: crate::PortSpec::new(PortSet::EMPTY, PortSet::EMPTY),
            addresses: 1,
            probes: 1,
            seed: 7,
            zones: crate::Zones::NONE,
        });
        let end = |outcome| {
            ScanEvent::Finished(Finished {
                at: Timestamp::UNIX_EPOCH,
                outcome,
                elapsed: Duration::ZERO,
                hosts_up: 1,
                hosts_down: 0,
                sent: 1,
                loss: None,
                expected_missed: 0.0,
            })
        };
        let mut record = ScanRecord::new("portolan 192.0.2.1", "0");
        record.apply(&started);
        record.apply(&ScanEvent::Problem(Problem {
            about: "192.0.2.1".to_owned(),
            message: "no route to 192.0.2.1".to_owned(),
            hint: None,
            left_out: true,
        }));
        record.apply(&end(Outcome::Incomplete));
        record.apply(&started);
        assert_eq!(record.outcome(), Outcome::Interrupted, "it runs");
        record.apply(&end(Outcome::Complete));
        assert_eq!(record.outcome(), Outcome::Complete);
    }

    #[test]
    fn open_ports_stand_alone_and_the_rest_is_counted() {
        let mut record = ScanRecord::new("portolan 192.0.2.1", "0");
        record.apply(&fact(22, PortState::Open, Reason::SynAck));
        for port in 23..3023 {
            record.apply(&fact(port, PortState::Closed, Reason::ConnRefused));
        }
        record.apply(&ScanEvent::Service(ServiceFact22::event()));
        let host = &record.hosts[&endpoint(22).address];
        assert_eq!(host.ports.len(), 1);
        assert_eq!(host.count(PortState::Closed), 3000);
        assert_eq!(
            host.state_of(Protocol::Tcp, 1000),
            Some((PortState::Closed, Reason::ConnRefused))
        );
        assert_eq!(host.state_of(Protocol::Tcp, 1), None);
        let port = &host.ports[&(Protocol::Tcp, 22)];
        assert_eq!(port.service.as_ref().unwrap().name, "ssh");
    }

    struct ServiceFact22;

    impl ServiceFact22 {
        fn event() -> crate::event::ServiceFact {
            crate::event::ServiceFact {
                endpoint: endpoint(22),
                service: Service {
                    name: "ssh".to_owned(),
                    ..Service::default()
                },
            }
        }
    }

    #[test]
    fn open_ports_that_said_nothing_yet_are_the_unnamed_ones() {
        let mut record = ScanRecord::new("portolan 192.0.2.1", "0");
        record.apply(&fact(22, PortState::Open, Reason::SynAck));
        record.apply(&fact(80, PortState::Open, Reason::SynAck));
        record.apply(&fact(81, PortState::Closed, Reason::ConnRefused));
        record.apply(&ScanEvent::Service(ServiceFact22::event()));
        let unnamed: Vec<_> = record.unnamed().map(|fact| fact.endpoint).collect();
        assert_eq!(unnamed, [endpoint(80)]);
    }

    #[test]
    fn a_record_without_an_end_was_interrupted() {
        assert_eq!(ScanRecord::default().outcome(), Outcome::Interrupted);
    }
}
