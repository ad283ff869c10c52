//! Many events of a scan as one message.

use std::collections::{BTreeMap, BTreeSet};

use portolan_model::{
    PortSet, PortState, Protocol, Reason, ScanEvent, Service as Known, Zoned, Zones,
};
use serde::Serialize;

use crate::api::views::{Name, Progress, ResultItem, Scan, ScanProblem, Service, millis};

/// What a scan found since the message before.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Update {
    /// `scan:` and the scan's number.
    pub(crate) topic: String,
    /// The state that the scan is in.
    pub(crate) state: String,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<Progress>,
    /// Hosts that were found, and names of hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<FoundHost>,
    /// Open ports, and others that answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<ResultItem>,
    /// Closed and filtered ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rest: Vec<Rest>,
    /// What runs on ports that were told before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<FoundService>,
    /// What is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<ScanProblem>,
    /// The scan as a whole, where its state changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<Scan>,
}

/// A host that was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundHost {
    /// Its address.
    pub(crate) host: Zoned,
    /// Its names, as far as they are new.
    pub(crate) names: Vec<Name>,
}

/// Ports of a host that are all the same.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rest {
    /// The host's address.
    pub(crate) host: Zoned,
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// What each is.
    pub(crate) state: PortState,
    /// What that rests on.
    pub(crate) reason: Reason,
    /// The ports: `1-21,23`.
    pub(crate) ports: String,
}

/// What runs on a port.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FoundService {
    /// The host's address.
    pub(crate) host: Zoned,
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The port's number.
    pub(crate) port: u16,
    /// What runs there.
    pub(crate) service: Service,
}

/// Where a port is.
pub(crate) type Place = (Zoned, Protocol, u16);

type Same = (Zoned, Protocol, PortState, Reason);

impl Update {
    /// What `events` say together, and which of their open ports are new.
    pub(crate) fn gather(
        topic: String,
        state: String,
        events: &[ScanEvent],
        zones: &Zones,
        new: &BTreeSet<Place>,
    ) -> Self {
        let mut update = Self {
            topic,
            state,
            ..Self::default()
        };
        let mut hosts: BTreeMap<Zoned, Vec<Name>> = BTreeMap::new();
        let mut rest: BTreeMap<Same, Vec<(u16, u16)>> = BTreeMap::new();
        for event in events {
            match event {
                ScanEvent::HostUp(up) => {
                    hosts.entry(zones.zoned(up.address)).or_default();
                }
                ScanEvent::HostName(name) => hosts
                    .entry(zones.zoned(name.address))
                    .or_default()
                    .push((name.name.clone(), name.kind).into()),
                ScanEvent::Port(fact) => {
                    let place = fact.endpoint;
                    let host = zones.zoned(place.address);
                    if is_notable(fact.state, fact.reason) {
                        let guess = Known::by_number(place.port, place.protocol);
                        update.ports.push(ResultItem {
                            host,
                            name: None,
                            protocol: place.protocol,
                            port: place.port,
                            state: fact.state,
                            reason: fact.reason,
                            rtt_ms: fact.rtt.map(millis),
                            ttl: fact.ttl,
                            at: fact.at,
                            new: new.contains(&(host, place.protocol, place.port)),
                            service: guess.map(Service::from),
                        });
                    } else {
                        rest.entry((host, place.protocol, fact.state, fact.reason))
                            .or_default()
                            .push((place.port, place.port));
                    }
                }
                ScanEvent::Ports(fact) if fact.state == PortState::Open => {
                    update
                        .ports
                        .extend(fact.ports.iter().map(|port| ResultItem {
                            host: zones.zoned(fact.address),
                            name: None,
                            protocol: fact.protocol,
                            port,
                            state: fact.state,
                            reason: fact.reason,
                            rtt_ms: None,
                            ttl: None,
                            at: fact.at,
                            new: new.contains(&(zones.zoned(fact.address), fact.protocol, port)),
                            service: Known::by_number(port, fact.protocol).map(Service::from),
                        }));
                }
                ScanEvent::Ports(fact) => rest
                    .entry((
                        zones.zoned(fact.address),
                        fact.protocol,
                        fact.state,
                        fact.reason,
                    ))
                    .or_default()
                    .extend_from_slice(fact.ports.ranges()),
                ScanEvent::Service(fact) => update.services.push(FoundService {
                    host: zones.zoned(fact.endpoint.address),
                    protocol: fact.endpoint.protocol,
                    port: fact.endpoint.port,
                    service: fact.service.clone().into(),
                }),
                ScanEvent::Problem(problem) => update.problems.push(problem.clone().into()),
                _ => {}
            }
        }
        update.hosts = hosts
            .into_iter()
            .map(|(host, names)| FoundHost { host, names })
            .collect();
        update.rest = rest
            .into_iter()
            .map(|((host, protocol, state, reason), ranges)| Rest {
                host,
                protocol,
                state,
                reason,
                ports: PortSet::from_ranges(ranges).to_string(),
            })
            .collect();
        update
    }

    /// Whether it tells of progress alone.
    pub(crate) const fn is_moment(&self) -> bool {
        self.hosts.is_empty()
            && self.ports.is_empty()
            && self.rest.is_empty()
            && self.services.is_empty()
            && self.problems.is_empty()
            && self.scan.is_none()
    }

    /// Its JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The open ports that events tell of.
pub(crate) fn open_in(events: &[ScanEvent], zones: &Zones) -> Vec<Place> {
    let mut open = Vec::new();
    for event in events {
        match event {
            ScanEvent::Port(fact) if fact.state == PortState::Open => {
                let place = fact.endpoint;
                open.push((zones.zoned(place.address), place.protocol, place.port));
            }
            ScanEvent::Ports(fact) if fact.state == PortState::Open => {
                let ports = fact.ports.iter();
                open.extend(ports.map(|port| (zones.zoned(fact.address), fact.protocol, port)));
            }
            _ => {}
        }
    }
    open
}

/// Whether a port stands alone in a result: open, or open or filtered by an answer.
fn is_notable(state: PortState, reason: Reason) -> bool {
    state == PortState::Open || (state == PortState::OpenFiltered && reason != Reason::NoResponse)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portolan_model::event::{Endpoint, PortFact, Progress as Far};

    use super::*;

    fn port(number: u16, state: PortState, reason: Reason) -> ScanEvent {
        ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: "127.0.0.1".parse().unwrap(),
                protocol: Protocol::Tcp,
                port: number,
            },
            state,
            reason,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn closed_ports_are_told_together_and_open_ones_alone() {
        let mut events: Vec<_> = [5, 3, 4, 9]
            .map(|number| port(number, PortState::Closed, Reason::ConnRefused))
            .into();
        events.push(port(22, PortState::Open, Reason::SynAck));
        let new = BTreeSet::from_iter(open_in(&events, &Zones::NONE));
        let update = Update::gather(
            "scan:1".to_owned(),
            "running".to_owned(),
            &events,
            &Zones::NONE,
            &new,
        );
        assert!(update.ports[0].new);
        assert_eq!(update.rest.len(), 1);
        assert_eq!(update.rest[0].ports, "3-5,9");
        assert_eq!(update.ports.len(), 1);
        assert_eq!(update.ports[0].service.as_ref().unwrap().name, "ssh");
        assert!(!update.is_moment());
    }

    #[test]
    fn progress_alone_is_a_moment() {
        let events = [ScanEvent::Progress(Far::default())];
        let none = BTreeSet::new();
        let update = Update::gather(
            "scan:1".to_owned(),
            "running".to_owned(),
            &events,
            &Zones::NONE,
            &none,
        );
        assert!(update.is_moment());
    }
}
