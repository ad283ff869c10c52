//! What changed between two results.
//!
//! Only what both scans really asked is compared. A port that one of them never asked, and a
//! host that an interrupted scan may not have reached, is not reported as a change; what could
//! not be compared is said instead.

mod render;

use portolan_model::event::Outcome;
use portolan_model::{
    HostRecord, PortSet, PortState, Protocol, Reason, ScanRecord, Service, Technique, Zoned,
};
use serde::Serialize;

/// The changes from one result to a later one, in the order of addresses and ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Diff {
    /// Hosts that only the later result has, with their open ports.
    pub come: Vec<HostChange>,
    /// Hosts that only the earlier result has, with the ports that were open.
    pub gone: Vec<HostChange>,
    /// Ports whose state changed, of hosts in both.
    pub ports: Vec<PortChange>,
    /// Ports that stayed open and run something else.
    pub services: Vec<ServiceChange>,
    /// What could not be compared, and why: a line each.
    pub not_compared: Vec<String>,
}

/// A host that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostChange {
    /// Its address.
    pub address: Zoned,
    /// The name it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its open ports.
    pub open: Vec<PortName>,
}

/// A port, as a value to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortName {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// What runs there, or is guessed to.
    pub service: String,
}

/// How a port's state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is open, and was not.
    Opened,
    /// It is not open, and was.
    Closed,
    /// From one state to another, neither of them open.
    Changed,
}

/// A port whose state changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortChange {
    /// Whose port.
    pub address: Zoned,
    /// The name its host goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which port.
    #[serde(flatten)]
    pub port: PortName,
    /// In which way.
    pub change: Change,
    /// What it was; `None` for "not open" in a result that holds open ports alone.
    pub old: Option<PortState>,
    /// What it is; `None` as for `old`.
    pub new: Option<PortState>,
}

/// An open port that runs something else than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceChange {
    /// Whose port.
    pub address: Zoned,
    /// The name its host goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// What it said before.
    pub old: Service,
    /// What it says now.
    pub new: Service,
}

impl Diff {
    /// Whether nothing changed, as far as it could be compared.
    pub const fn is_empty(&self) -> bool {
        self.come.is_empty()
            && self.gone.is_empty()
            && self.ports.is_empty()
            && self.services.is_empty()
    }
}

/// What one result knows of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    State(PortState),
    /// It was asked and is not among the open ones: what a result that leaves out all others
    /// says of it.
    NotOpen,
    Nothing,
}

impl Known {
    const fn is_open(self) -> bool {
        matches!(self, Self::State(PortState::Open))
    }

    const fn state(self) -> Option<PortState> {
        match self {
            Self::State(state) => Some(state),
            Self::NotOpen | Self::Nothing => None,
        }
    }
}

/// One of the two results, with what it asked.
struct Side<'a> {
    record: &'a ScanRecord,
    is_whole: bool,
    asked: [PortSet; 2],
}

impl<'a> Side<'a> {
    fn new(record: &'a ScanRecord) -> Self {
        let mut asked = [PortSet::EMPTY, PortSet::EMPTY];
        if let Some(started) = &record.started {
            for technique in &started.techniques {
                let protocol = Technique::protocol(*technique);
                asked[protocol as usize] = started.ports.of(protocol).clone();
            }
        }
        Self {
            record,
            is_whole: record.outcome() == Outcome::Complete,
            asked,
        }
    }

    fn known(&self, host: &HostRecord, protocol: Protocol, port: u16) -> Known {
        match host.state_of(protocol, port) {
            Some((state, _)) => Known::State(state),
            None if self.is_whole && self.asked[protocol as usize].contains(port) => Known::NotOpen,
            None => Known::Nothing,
        }
    }
}

/// Compares an earlier result with a later one.
pub fn diff(old: &ScanRecord, new: &ScanRecord) -> Diff {
    let (old, new) = (Side::new(old), Side::new(new));
    let mut diff = Diff::default();
    asked_alike(&old, &new, &mut diff);
    let mut unsure = [0usize; 2];
    for (&address, host) in &old.record.hosts {
        let (place, address) = (address, old.record.zoned(address));
        // Over another interface it is another host.
        let is_same = new.record.zoned(place) == address;
        match new.record.hosts.get(&place).filter(|_| is_same) {
            Some(now) => host_changes(&address, (&old, host), (&new, now), &mut diff),
            // It is not there in either.
            None if !host.is_up() => {}
            None if new.is_whole => diff.gone.push(HostChange::new(address, host)),
            None => unsure[0] += 1,
        }
    }
    for (&address, host) in &new.record.hosts {
        let (place, address) = (address, new.record.zoned(address));
        let was_known = old.record.hosts.contains_key(&place) && old.record.zoned(place) == address;
        if host.is_up() && !was_known {
            if old.is_whole {
                diff.come.push(HostChange::new(address, host));
            } else {
                unsure[1] += 1;
            }
        }
    }
    for (side, which) in [(&old, "old"), (&new, "new")] {
        if !has_end(side.record) {
            diff.not_compared.push(format!(
                "what the {which} scan did not come to: it did not finish"
            ));
        }
    }
    for (count, has, lacks) in [(unsure[0], "old", "new"), (unsure[1], "new", "old")] {
        if count > 0 {
            diff.not_compared.push(format!(
                "hosts that only the {has} scan found: {count}; the {lacks} one did not finish"
            ));
        }
    }
    diff
}

/// Whether a scan came to its end: it was neither interrupted nor cut off, and does not run yet.
pub fn has_end(record: &ScanRecord) -> bool {
    record
        .finished
        .as_ref()
        .is_some_and(|finished| finished.outcome != Outcome::Interrupted)
}

/// Notes where the two scans did not ask the same.
fn asked_alike(old: &Side<'_>, new: &Side<'_>, diff: &mut Diff) {
    for &protocol in Protocol::ALL {
        let (before, after) = (&old.asked[protocol as usize], &new.asked[protocol as usize]);
        for (only, which) in [
            (before.without(after), "old"),
            (after.without(before), "new"),
        ] {
            if !only.is_empty() {
                let list = only.to_string();
                diff.not_compared.push(format!(
                    "{protocol} ports that only the {which} scan asked: {}",
                    crate::escape::truncate(&list, 60)
                ));
            }
        }
    }
    if let (Some(before), Some(after)) = (&old.record.started, &new.record.started)
        && before.addresses != after.addresses
    {
        diff.not_compared.push(format!(
            "the old scan covered {} address{}, the new one {}: hosts that only one found may not have been asked by the other",
            before.addresses,
            if before.addresses == 1 { "" } else { "es" },
            after.addresses
        ));
    }
}

fn host_changes(
    address: &Zoned,
    (old, before): (&Side<'_>, &HostRecord),
    (new, after): (&Side<'_>, &HostRecord),
    diff: &mut Diff,
) {
    let name = after.name().or_else(|| before.name()).map(str::to_owned);
    let mut lost = 0usize;
    for &protocol in Protocol::ALL {
        let ports = differing(before, after, protocol);
        for port in ports.iter() {
            let (was, is) = (
                old.known(before, protocol, port),
                new.known(after, protocol, port),
            );
            if was == Known::Nothing || is == Known::Nothing {
                lost += usize::from(was.is_open() || is.is_open());
                continue;
            }
            let found = |host: &HostRecord| host.ports.get(&(protocol, port)).cloned();
            let change = match (was.is_open(), is.is_open()) {
                (false, true) => Change::Opened,
                (true, false) => Change::Closed,
                (true, true) => {
                    if let (Some(said), Some(says)) = (
                        found(before).and_then(|port| port.service),
                        found(after).and_then(|port| port.service),
                    ) && !is_same(&said, &says)
                    {
                        diff.services.push(ServiceChange {
                            address: *address,
                            name: name.clone(),
                            protocol,
                            port,
                            old: said,
                            new: says,
                        });
                    }
                    continue;
                }
                // "Not open" may be any of the others.
                (false, false) if was == is || was.state().is_none() || is.state().is_none() => {
                    continue;
                }
                (false, false) => Change::Changed,
            };
            let shown = if change == Change::Opened {
                after
            } else {
                before
            };
            diff.ports.push(PortChange {
                address: *address,
                name: name.clone(),
                port: PortName::new(shown, protocol, port),
                change,
                old: was.state(),
                new: is.state(),
            });
        }
    }
    if lost > 0 {
        diff.not_compared.push(format!(
            "open ports of {address} that only one of the scans asked: {lost}"
        ));
    }
}

/// The ports that may differ: those that stand alone, and those whose sets are not the same.
fn differing(before: &HostRecord, after: &HostRecord, protocol: Protocol) -> PortSet {
    let alone = [before, after]
        .into_iter()
        .flat_map(|host| host.ports.keys())
        .filter(|(of, _)| *of == protocol)
        .map(|&(_, port)| port);
    let mut ports: PortSet = alone.collect();
    for &state in PortState::ALL {
        let (was, is) = (
            before.rest_of(protocol, state),
            after.rest_of(protocol, state),
        );
        if was != is {
            ports = ports.union(&was.without(&is)).union(&is.without(&was));
        }
    }
    ports
}

/// Whether two findings mean the same service; how sure each was does not count.
fn is_same(a: &Service, b: &Service) -> bool {
    crate::view::plain_name(a) == crate::view::plain_name(b)
        && a.product == b.product
        && a.version == b.version
        && a.extra == b.extra
        && a.tls == b.tls
}

impl HostChange {
    fn new(address: Zoned, host: &HostRecord) -> Self {
        let open = host
            .ports
            .iter()
            .filter(|(_, port)| port.state == PortState::Open)
            .map(|(&(protocol, port), _)| PortName::new(host, protocol, port))
            .collect();
        Self {
            address,
            name: host.name().map(str::to_owned),
            open,
        }
    }
}

impl PortName {
    fn new(host: &HostRecord, protocol: Protocol, port: u16) -> Self {
        let row = crate::view::Row {
            protocol,
            port,
            state: PortState::Open,
            reason: Reason::UserSet,
            found: host.ports.get(&(protocol, port)),
        };
        Self {
            protocol,
            port,
            service: row.service_name(),
        }
    }
}
