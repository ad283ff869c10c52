//! What changed between two results.
//!
//! Only what both scans really asked is compared. A port that one of them never asked, and a
//! host that an interrupted scan may not have reached, is not reported as a change; what could
//! not be compared is said instead.

mod render;

use portolan_model::event::{NameKind, Outcome, Started};
use portolan_model::{
    HostRecord, PortSet, PortState, Protocol, Reach, Reason, ScanRecord, Service, Technique, Zoned,
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
    /// Hosts that only one of the results has, and of which it is not known whether they came or
    /// went, since the other was not to ask them, or did not come to it.
    pub hosts_not_compared: usize,
    /// Open ports that only one of the results has, and the other did not ask, or did not come to;
    /// those of such hosts among them.
    pub ports_not_compared: usize,
    /// Addresses that a scan which did not finish was to ask, and of which it has no answer: it
    /// did not come to them, or they were silent until then. Of two such scans the larger number.
    pub addresses_not_reached: u128,
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
    /// The hosts that it was to ask, where that is known.
    reach: Option<&'a Reach>,
}

impl<'a> Side<'a> {
    fn new(record: &'a ScanRecord, reach: Option<&'a Reach>) -> Self {
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
            reach,
        }
    }

    fn asked(&self, protocol: Protocol, port: u16) -> bool {
        self.asked[protocol as usize].contains(port)
    }

    /// Whether it looked for hosts and asked no port.
    fn looks_for_hosts_only(&self) -> bool {
        let started = self.record.started.as_ref();
        started.is_some_and(Started::looks_for_hosts_only)
    }

    /// Whether a host that the other result has was to be asked; unless that is known, it was.
    fn may_have_asked(&self, address: &Zoned, host: &HostRecord) -> bool {
        let Some(reach) = self.reach else {
            return true;
        };
        if reach.has(address.address) {
            // Over another interface it is another host.
            return self.record.zoned(address.address) == *address && reach.shard().is_none();
        }
        // A name may lead elsewhere by now: then this address was not asked.
        let mut typed = host
            .names
            .iter()
            .filter(|(_, kind)| *kind == NameKind::User);
        typed.any(|(name, _)| {
            let known = |host: &HostRecord| host.names.iter().any(|(known, _)| known == name);
            reach.names(name) && !self.record.hosts.values().any(known)
        })
    }

    /// Whether a host would have been found that answers as this one did: a port was asked that
    /// answered, or none answered and it was found otherwise.
    fn would_have_heard(&self, host: &HostRecord) -> bool {
        if self.looks_for_hosts_only() {
            return true;
        }
        let alone = host.ports.keys().copied();
        let mut has_answered = false;
        for (protocol, port) in alone {
            has_answered = true;
            if self.asked(protocol, port) {
                return true;
            }
        }
        for &protocol in Protocol::ALL {
            let closed = host.rest_of(protocol, PortState::Closed);
            has_answered |= !closed.is_empty();
            let asked = &self.asked[protocol as usize];
            if closed.without(asked) != closed {
                return true;
            }
        }
        !has_answered
    }

    /// Whether it asked a part of its ports or hosts alone.
    fn is_shard(&self) -> bool {
        self.reach.is_some_and(|reach| reach.shard().is_some())
    }

    fn known(&self, host: &HostRecord, protocol: Protocol, port: u16) -> Known {
        match host.state_of(protocol, port) {
            Some((state, _)) => Known::State(state),
            None if self.is_whole && self.asked(protocol, port) && !self.is_shard() => {
                Known::NotOpen
            }
            None => Known::Nothing,
        }
    }
}

/// Compares an earlier result with a later one, of which nothing more is known than they say.
pub fn diff(old: &ScanRecord, new: &ScanRecord) -> Diff {
    compare((old, None), (new, None))
}

/// Compares an earlier result with a later one, each with the hosts that it was to ask, where
/// that is known: a host that the other was not to ask has neither come nor gone.
pub fn compare(
    (old, old_reach): (&ScanRecord, Option<&Reach>),
    (new, new_reach): (&ScanRecord, Option<&Reach>),
) -> Diff {
    let (old, new) = (Side::new(old, old_reach), Side::new(new, new_reach));
    let mut diff = Diff::default();
    let mut missing = Missing::default();
    asked_alike(&old, &new, &mut diff);
    for (&place, host) in &old.record.hosts {
        let address = old.record.zoned(place);
        // Over another interface it is another host.
        let is_same = new.record.zoned(place) == address;
        match new.record.hosts.get(&place).filter(|_| is_same) {
            Some(now) => host_changes(&address, (&old, host), (&new, now), &mut diff, &mut missing),
            // It is not there in either.
            None if !host.is_up() => {}
            None => {
                let only = only_in(&address, host, &old, &new, &mut missing.old);
                diff.gone.extend(only);
            }
        }
    }
    for (&place, host) in &new.record.hosts {
        let address = new.record.zoned(place);
        let was_known = old.record.hosts.contains_key(&place) && old.record.zoned(place) == address;
        if host.is_up() && !was_known {
            let only = only_in(&address, host, &new, &old, &mut missing.new);
            diff.come.extend(only);
        }
    }
    for (side, which) in [(&old, "old"), (&new, "new")] {
        if !has_end(side.record) {
            let unreached = unreached(side.record);
            diff.addresses_not_reached = diff.addresses_not_reached.max(unreached);
            let line = if unreached == 0 {
                format!("what the {which} scan did not come to: it did not finish")
            } else {
                format!(
                    "what the {which} scan did not come to: it did not finish, and {} of its {} \
                     addresses were not reached, or silent until then",
                    crate::escape::thousands(unreached),
                    crate::escape::thousands(unreached + side.record.hosts.len() as u128),
                )
            };
            diff.not_compared.push(line);
        }
    }
    missing.tell(&mut diff);
    diff
}

/// A host that only one result has: that it came or went, unless the other cannot know.
fn only_in(
    address: &Zoned,
    host: &HostRecord,
    has: &Side<'_>,
    lacks: &Side<'_>,
    missing: &mut MissingOf,
) -> Option<HostChange> {
    let mut change = HostChange::new(*address, host);
    let count = if !lacks.may_have_asked(address, host) {
        &mut missing.not_to_ask
    } else if !lacks.is_whole {
        &mut missing.not_finished
    } else if !lacks.would_have_heard(host) && !has.looks_for_hosts_only() {
        &mut missing.other_ports
    } else {
        let all = change.open.len();
        change
            .open
            .retain(|port| lacks.asked(port.protocol, port.port));
        missing.ports.add(all - change.open.len());
        return Some(change);
    };
    count.hosts += 1;
    count.ports += change.open.len();
    None
}

/// Hosts, and open ports, that could not be compared.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    hosts: usize,
    ports: usize,
}

impl Count {
    /// Counts the ports of one host, if there are any.
    fn add(&mut self, ports: usize) {
        self.hosts += usize::from(ports > 0);
        self.ports += ports;
    }
}

/// What one of the two results has, and the other cannot say anything of.
#[derive(Debug, Clone, Copy, Default)]
struct MissingOf {
    /// Hosts that the other was not to ask.
    not_to_ask: Count,
    /// Hosts that the other may not have come to.
    not_finished: Count,
    /// Hosts of which the other asked none of the ports that answered.
    other_ports: Count,
    /// Ports that the other did not ask, of hosts that both know.
    ports: Count,
    /// The same, where it was to ask them and did not come to it.
    not_come_to: Count,
}

#[derive(Debug, Clone, Copy, Default)]
struct Missing {
    old: MissingOf,
    new: MissingOf,
}

impl Missing {
    fn tell(&self, diff: &mut Diff) {
        for (of, has, lacks) in [(self.old, "old", "new"), (self.new, "new", "old")] {
            let hosts = [
                (
                    of.not_to_ask,
                    format!("hosts that only the {has} scan was to ask"),
                    String::new(),
                ),
                (
                    of.not_finished,
                    format!("hosts that only the {has} scan found"),
                    format!("; the {lacks} one did not finish"),
                ),
                (
                    of.other_ports,
                    format!("hosts that only the {has} scan found"),
                    format!("; the {lacks} one asked none of the ports that answered"),
                ),
            ];
            for (count, what, why) in hosts.into_iter().filter(|(count, ..)| count.hosts > 0) {
                let ports = match count.ports {
                    0 => String::new(),
                    1 => ", with 1 open port".to_owned(),
                    ports => format!(", with {ports} open ports"),
                };
                diff.not_compared
                    .push(format!("{what}: {}{ports}{why}", count.hosts));
                diff.hosts_not_compared += count.hosts;
                diff.ports_not_compared += count.ports;
            }
            let ports = [
                (
                    of.ports,
                    format!("open ports that only the {has} scan asked"),
                ),
                (
                    of.not_come_to,
                    format!("open ports that the {lacks} scan did not come to"),
                ),
            ];
            for (count, what) in ports.into_iter().filter(|(count, _)| count.ports > 0) {
                let hosts = match count.hosts {
                    1 => "1 host".to_owned(),
                    hosts => format!("{hosts} hosts"),
                };
                diff.not_compared
                    .push(format!("{what}: {}, of {hosts}", count.ports));
                diff.ports_not_compared += count.ports;
            }
        }
    }
}

/// Whether a scan came to its end: it was neither interrupted nor cut off, and does not run yet.
pub fn has_end(record: &ScanRecord) -> bool {
    record
        .finished
        .as_ref()
        .is_some_and(|finished| finished.outcome != Outcome::Interrupted)
}

/// Addresses that a scan was to ask and tells nothing of.
fn unreached(record: &ScanRecord) -> u128 {
    let started = record.started.as_ref();
    let all = started.map_or(0, |started| started.addresses);
    all.saturating_sub(record.hosts.len() as u128)
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
        && (old.reach.is_none() || new.reach.is_none())
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
    missing: &mut Missing,
) {
    let name = after.name().or_else(|| before.name()).map(str::to_owned);
    // Of open ports that only the one or the other knows: those that the other did not ask, and
    // those that it did not come to.
    let mut lost = [[0usize; 2]; 2];
    for &protocol in Protocol::ALL {
        let ports = differing(before, after, protocol);
        for port in ports.iter() {
            let (was, is) = (
                old.known(before, protocol, port),
                new.known(after, protocol, port),
            );
            if was == Known::Nothing || is == Known::Nothing {
                for (side, (known, other)) in [(was, new), (is, old)].into_iter().enumerate() {
                    let why = usize::from(other.asked(protocol, port));
                    lost[side][why] += usize::from(known.is_open());
                }
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
    for (of, [ports, not_come_to]) in [&mut missing.old, &mut missing.new].into_iter().zip(lost) {
        of.ports.add(ports);
        of.not_come_to.add(not_come_to);
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
