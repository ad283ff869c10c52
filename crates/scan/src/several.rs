//! One scan of several techniques: they run one after the other, and are told as one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use portolan_model::address::AddressSetBuilder;
use portolan_model::event::{
    Finished, Outcome, PortsFact, Problem, Progress, Reached, ScanEvent, Started,
};
use portolan_model::spec::Discovery;
use portolan_model::{AddressSet, PortSet, PortSpec, PortState, Reason, Technique};

use crate::control::Control;
use crate::error::Result;
use crate::request::{DISCOVERED_FROM, Request};

/// The place of a technique among others stands above that of its own order.
const PART: u32 = 56;

/// Runs a scan of one technique.
pub type RunsOne<'a> = dyn FnMut(&Request, &mut dyn FnMut(ScanEvent)) -> Result<()> + 'a;

/// Runs each technique of `request` by `run`, which is handed the request of that technique alone,
/// and hands one stream of events to `sink`: a host is up once and done once, and the numbers are
/// of all.
///
/// # Errors
/// Those of the first technique. Where a later one cannot start, what was found stands, and the
/// error is a [`Problem`](ScanEvent::Problem).
pub fn run_several(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
    run: &mut RunsOne<'_>,
) -> Result<()> {
    let mut whole = Whole::new(request);
    let parts = request.techniques.len();
    let first = usize::try_from(request.from.step >> PART).unwrap_or(usize::MAX);
    let first = first.min(parts.saturating_sub(1));
    whole.pass_over(first);
    for (number, &technique) in request.techniques.iter().enumerate().skip(first) {
        if control.is_stopped() && whole.has_started {
            break;
        }
        let from = if number == first {
            Reached {
                step: request.from.step & ((1 << PART) - 1),
                ..request.from
            }
        } else {
            Reached::default()
        };
        whole.part = number as u128;
        whole.is_last = number + 1 == parts;
        let mut part = Request {
            techniques: vec![technique],
            from,
            ..request.clone()
        };
        for event in whole.narrow(&mut part, &request.techniques[..number]) {
            sink(event);
        }
        if part.addresses.is_empty() {
            continue;
        }
        let result = run(&part, &mut |event| {
            if let Some(event) = whole.passes(event) {
                sink(event);
            }
        });
        match result {
            Ok(()) => {}
            Err(error) if whole.has_started => {
                sink(ScanEvent::Problem(Problem {
                    about: technique.to_string(),
                    message: format!("{} ports are not asked: {error}", technique.protocol()),
                    hint: None,
                    left_out: true,
                }));
                whole.is_incomplete = true;
            }
            Err(error) => return Err(error),
        }
        whole.end_part();
    }
    for event in whole.finish(control) {
        sink(event);
    }
    Ok(())
}

/// What the techniques that have run make together.
struct Whole<'a> {
    request: &'a Request,
    part: u128,
    is_last: bool,
    has_started: bool,
    is_incomplete: bool,
    up: BTreeSet<IpAddr>,
    /// Hosts of which anything was told.
    known: BTreeSet<IpAddr>,
    /// Hosts that are not there, as far as their networks say.
    absent: BTreeMap<IpAddr, Reason>,
    /// Addresses that the technique that runs need not ask.
    spared: u128,
    /// What was told as a problem: what two techniques meet is told once.
    told: HashSet<Problem>,
    /// Hosts that a technique is done with, before the last.
    done: BTreeSet<IpAddr>,
    /// What the last technique to end said, with the numbers of those before it.
    finished: Option<Finished>,
    /// The progress of the technique that runs, and of those before it.
    progress: Progress,
    before: Progress,
}

impl<'a> Whole<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            request,
            part: 0,
            is_last: false,
            has_started: false,
            is_incomplete: false,
            // What an earlier part of the scan found is not told of again.
            up: request.settled.keys().copied().collect(),
            known: request.settled.keys().copied().collect(),
            absent: BTreeMap::new(),
            spared: 0,
            told: HashSet::new(),
            done: BTreeSet::new(),
            finished: None,
            progress: Progress::default(),
            before: Progress::default(),
        }
    }

    /// Counts the techniques before `first`: an earlier part of the scan is done with them.
    fn pass_over(&mut self, first: usize) {
        let hosts = self.request.addresses.len();
        let techniques = self.request.techniques.iter().take(first);
        let ports =
            techniques.map(|technique| self.request.ports.of(technique.protocol()).len() as u128);
        let pairs: u128 = ports.map(|ports| ports.saturating_mul(hosts)).sum();
        (self.before.done, self.before.total) = (pairs, pairs);
    }

    /// Takes from a part what techniques `before` it have found out of its hosts: those that were
    /// found are not looked for again, and those that are not there are not asked. Returns what
    /// that says of their ports.
    fn narrow(&mut self, part: &mut Request, before: &[Technique]) -> Vec<ScanEvent> {
        self.spared = 0;
        let Some(protocol) = part
            .techniques
            .first()
            .map(|technique| technique.protocol())
        else {
            return Vec::new();
        };
        if before.is_empty() || part.discovery != Discovery::Auto {
            return Vec::new();
        }
        // The order of what is asked has to be the same where the scan is gone on with, and what is
        // known is what was told of then.
        let none = || PortSpec::new(PortSet::EMPTY, PortSet::EMPTY);
        for &address in &self.known {
            part.settled.entry(address).or_insert_with(none);
        }
        let all = part.addresses.len();
        let has_looked = part.shard.is_none() && before.iter().any(|of| self.looks_for_hosts(*of));
        let mut events = Vec::new();
        if has_looked {
            let known = self.known.iter().copied();
            part.addresses = set_of(known.filter(|&address| part.addresses.contains(address)));
            self.spared = all - part.addresses.len();
        } else if part.shard.is_none() {
            for address in self.absent.keys() {
                let settled = part.settled.entry(*address).or_insert_with(none);
                *settled = PortSpec::new(settled.tcp().clone(), part.ports.udp().clone());
            }
            self.spared = self.absent.len() as u128;
            let at = self.finished.as_ref().map(|finished| finished.at);
            let told = self.absent.iter().zip(std::iter::repeat(at));
            for ((&address, &reason), at) in told.filter_map(|(of, at)| Some((of, at?))) {
                events.push(ScanEvent::Ports(PortsFact {
                    address,
                    protocol,
                    ports: part.ports.of(protocol).clone(),
                    state: PortState::Filtered,
                    reason,
                    at,
                }));
                self.done.insert(address);
            }
        }
        events
    }

    /// Whether a technique looks for all hosts before it asks their ports.
    fn looks_for_hosts(&self, technique: Technique) -> bool {
        technique == Technique::Syn
            && self.request.addresses.len() > 1
            && self.request.ports.of(technique.protocol()).len() >= DISCOVERED_FROM
    }

    /// The event as the whole scan says it; `None` where it said so before or says it later.
    fn passes(&mut self, event: ScanEvent) -> Option<ScanEvent> {
        Some(match event {
            ScanEvent::Started(started) => {
                if std::mem::replace(&mut self.has_started, true) {
                    return None;
                }
                ScanEvent::Started(self.started(&started))
            }
            ScanEvent::Port(fact) => {
                self.known.insert(fact.endpoint.address);
                ScanEvent::Port(fact)
            }
            ScanEvent::HostUp(up) => {
                self.known.insert(up.address);
                if !self.up.insert(up.address) {
                    return None;
                }
                ScanEvent::HostUp(up)
            }
            ScanEvent::HostDone { address, at } => {
                if !self.is_last {
                    self.done.insert(address);
                    return None;
                }
                self.done.remove(&address);
                ScanEvent::HostDone { address, at }
            }
            ScanEvent::Problem(problem) => {
                if !self.told.insert(problem.clone()) {
                    return None;
                }
                ScanEvent::Problem(problem)
            }
            ScanEvent::Ports(fact) => {
                self.known.insert(fact.address);
                let is_absent = matches!(fact.reason, Reason::HostUnreach | Reason::NetUnreach);
                if is_absent && !self.up.contains(&fact.address) {
                    self.absent.insert(fact.address, fact.reason);
                }
                ScanEvent::Ports(fact)
            }
            ScanEvent::Reached(_) if self.has_left_out() => return None,
            ScanEvent::Reached(reached) => ScanEvent::Reached(Reached {
                step: (self.part << PART) + reached.step,
                ..reached
            }),
            ScanEvent::Progress(progress) => {
                self.progress = progress;
                ScanEvent::Progress(self.progress())
            }
            ScanEvent::Finished(finished) => {
                self.add(finished);
                return None;
            }
            event => event,
        })
    }

    fn started(&self, started: &Started) -> Started {
        let asked = |technique: &Technique| technique.protocol();
        let ports = |protocol| {
            if self
                .request
                .techniques
                .iter()
                .map(asked)
                .any(|of| of == protocol)
            {
                self.request.ports.of(protocol).clone()
            } else {
                PortSet::EMPTY
            }
        };
        let ports = PortSpec::new(
            ports(portolan_model::Protocol::Tcp),
            ports(portolan_model::Protocol::Udp),
        );
        let each = (ports.tcp().len() + ports.udp().len()) as u128;
        Started {
            techniques: self.request.techniques.clone(),
            probes: started.addresses * each,
            ports,
            ..started.clone()
        }
    }

    fn progress(&self) -> Progress {
        let (now, before) = (self.progress, self.before);
        // What later techniques are to ask is about as much as the request says.
        let later = self
            .request
            .techniques
            .iter()
            .skip(usize::try_from(self.part).unwrap_or(0) + 1);
        let hosts = self.request.addresses.len();
        let ports =
            later.map(|technique| self.request.ports.of(technique.protocol()).len() as u128);
        let later: u128 = ports.map(|ports| ports.saturating_mul(hosts)).sum();
        let scanned = now.total.max(1);
        let of_this = self
            .request
            .techniques
            .get(usize::try_from(self.part).unwrap_or(0));
        let this = of_this.map_or(1, |technique| {
            let ports = self.request.ports.of(technique.protocol()).len() as u128;
            ports.saturating_mul(hosts)
        });
        // Where hosts are not there, later techniques do not ask them either.
        let later = later.saturating_mul(scanned) / this.max(scanned).max(1);
        Progress {
            done: before.done + now.done,
            total: before.total + now.total + later,
            open: before.open + now.open,
            hosts_up: self.up.len() as u64,
            sent: before.sent + now.sent,
            elapsed: before.elapsed + now.elapsed,
            left: now.left.filter(|_| later == 0),
            ..now
        }
    }

    /// A technique is over.
    fn end_part(&mut self) {
        let ended = self.progress();
        let now = self.progress;
        self.before = Progress {
            total: self.before.total + now.total,
            ..ended
        };
        self.progress = Progress::default();
    }

    /// Whether a technique that is over left something out: the scan is gone on with there.
    fn has_left_out(&self) -> bool {
        let ended = self.finished.as_ref();
        self.is_incomplete || ended.is_some_and(|ended| ended.outcome == Outcome::Incomplete)
    }

    fn add(&mut self, mut finished: Finished) {
        finished.hosts_down += self.spared;
        self.finished = Some(match self.finished.take() {
            None => finished,
            Some(before) => Finished {
                outcome: worse(before.outcome, finished.outcome),
                elapsed: before.elapsed + finished.elapsed,
                hosts_up: self.up.len() as u64,
                hosts_down: before.hosts_down.min(finished.hosts_down),
                sent: before.sent + finished.sent,
                loss: match (before.loss, finished.loss) {
                    (Some(before), Some(now)) => Some(before.max(now)),
                    (before, now) => before.or(now),
                },
                expected_missed: before.expected_missed + finished.expected_missed,
                at: finished.at,
            },
        });
    }

    /// The last events.
    fn finish(self, control: &Control) -> Vec<ScanEvent> {
        let Some(mut finished) = self.finished else {
            return Vec::new();
        };
        let is_stopped = control.is_stopped() || finished.outcome == Outcome::Interrupted;
        if self.is_incomplete {
            finished.outcome = worse(finished.outcome, Outcome::Incomplete);
        }
        if is_stopped {
            finished.outcome = Outcome::Interrupted;
        }
        finished.hosts_up = self.up.len() as u64;
        // Hosts of which the last technique had nothing more to say.
        let at = finished.at;
        let done = self.done.into_iter().filter(|_| !is_stopped);
        let mut events: Vec<ScanEvent> = done
            .map(|address| ScanEvent::HostDone { address, at })
            .collect();
        events.push(ScanEvent::Finished(finished));
        events
    }
}

fn set_of(addresses: impl Iterator<Item = IpAddr>) -> AddressSet {
    let mut set = AddressSetBuilder::default();
    for address in addresses {
        set.push_range(address, address);
    }
    set.build()
}

const fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Interrupted, _) | (_, Outcome::Interrupted) => Outcome::Interrupted,
        (Outcome::Incomplete, _) | (_, Outcome::Incomplete) => Outcome::Incomplete,
        (Outcome::Complete, Outcome::Complete) => Outcome::Complete,
    }
}

#[cfg(test)]
mod tests;
