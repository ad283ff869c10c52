//! A network in memory, under a clock that jumps from event to event.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::Endpoint;
use portolan_model::{PortState, Reason};

use crate::clock::Clock;
use crate::pace::Kind;
use crate::permutation::mix;
use crate::transport::{self, Answer, Finding, Job, Transport};

/// A clock that the network moves.
#[derive(Debug, Clone, Default)]
pub(super) struct SimClock(Rc<Cell<Duration>>);

impl Clock for SimClock {
    fn now(&self) -> Duration {
        self.0.get()
    }

    fn timestamp(&self, at: Duration) -> Timestamp {
        Timestamp::UNIX_EPOCH + at
    }
}

/// What a port that is not open does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Reset,
    Silent,
}

/// A path, and what is at its end.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) rtt: Duration,
    /// Up to so much is added to a round trip, evenly.
    pub(super) jitter: Duration,
    /// The share lost, each way.
    pub(super) loss: f64,
    /// Packets a second, and how many may wait.
    pub(super) bottleneck: Option<(f64, u32)>,
    /// Resets a second that a host sends at the most.
    pub(super) resets: Option<f64>,
    pub(super) others: Others,
    /// The hosts that are there; `None` for all.
    pub(super) hosts: Option<BTreeSet<IpAddr>>,
    pub(super) open: BTreeSet<u16>,
    /// From so many probes on, nothing comes through any more.
    pub(super) shut_after: Option<u64>,
    /// Addresses without a route.
    pub(super) no_route: BTreeSet<IpAddr>,
    /// From so many probes on, there is no route to anywhere.
    pub(super) routes_until: Option<u64>,
    /// Jobs that are taken at once.
    pub(super) room: usize,
    /// Hosts that are farther away, by how much.
    pub(super) far: std::collections::BTreeMap<IpAddr, Duration>,
    /// How often an open port answers; its backlog is full from then on.
    pub(super) backlog: Option<u32>,
}

impl Path {
    pub(super) fn new(rtt_ms: u64, open: impl IntoIterator<Item = u16>) -> Self {
        Self {
            rtt: Duration::from_millis(rtt_ms),
            jitter: Duration::ZERO,
            loss: 0.0,
            bottleneck: None,
            resets: None,
            others: Others::Reset,
            hosts: None,
            open: open.into_iter().collect(),
            shut_after: None,
            no_route: BTreeSet::new(),
            routes_until: None,
            room: usize::MAX,
            far: std::collections::BTreeMap::new(),
            backlog: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Due {
    at: Duration,
    number: u64,
    endpoint: Endpoint,
    round: u32,
    is_sentinel: bool,
    rtt: Duration,
    what: Option<(PortState, Reason)>,
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Counts what the network saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) probes: u64,
    pub(super) dropped_by_queue: u64,
    pub(super) most_waiting: usize,
    /// The most probes in any tenth of a second.
    pub(super) most_in_a_tenth: u64,
}

/// The transport over a [`Path`].
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) clock: SimClock,
    path: Path,
    due: BinaryHeap<Reverse<Due>>,
    state: u64,
    number: u64,
    /// When the bottleneck is free again.
    free_at: Duration,
    /// Resets that may be sent, and when that was reckoned.
    tokens: (f64, Duration),
    tenth: (u64, u64),
    connections: std::collections::BTreeMap<Endpoint, u32>,
    pub(super) seen: Rc<std::cell::RefCell<Seen>>,
}

impl Sim {
    pub(super) fn new(path: Path, seed: u64) -> Self {
        Self {
            clock: SimClock::default(),
            tokens: (path.resets.unwrap_or(0.0), Duration::ZERO),
            path,
            due: BinaryHeap::new(),
            state: seed,
            number: 0,
            free_at: Duration::ZERO,
            tenth: (0, 0),
            connections: std::collections::BTreeMap::new(),
            seen: Rc::default(),
        }
    }

    /// A number from 0 to 1.
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        f64::from(u32::try_from(mix(self.state) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// When a packet that arrives at `at` leaves the bottleneck; `None` when it is dropped.
    fn through(&mut self, at: Duration) -> Option<Duration> {
        let Some((rate, queue)) = self.path.bottleneck else {
            return Some(at);
        };
        let service = Duration::from_secs_f64(1.0 / rate);
        let start = self.free_at.max(at);
        if start.saturating_sub(at) > service * queue {
            self.seen.borrow_mut().dropped_by_queue += 1;
            return None;
        }
        self.free_at = start + service;
        Some(self.free_at)
    }

    fn take_token(&mut self, at: Duration) -> bool {
        let Some(rate) = self.path.resets else {
            return true;
        };
        let (tokens, then) = self.tokens;
        let now = (tokens + at.saturating_sub(then).as_secs_f64() * rate).min(rate / 10.0);
        let is_taken = now >= 1.0;
        self.tokens = (now - f64::from(u8::from(is_taken)), at.max(then));
        is_taken
    }

    fn ask(&mut self, job: Job) {
        let tenth = u64::try_from(job.at.as_millis() / 100).unwrap();
        if self.tenth.0 != tenth {
            self.tenth = (tenth, 0);
        }
        self.tenth.1 += 1;
        {
            let mut seen = self.seen.borrow_mut();
            seen.probes += 1;
            seen.most_in_a_tenth = seen.most_in_a_tenth.max(self.tenth.1);
        }
        let Endpoint { address, port, .. } = job.endpoint;
        let has_routes = self
            .path
            .routes_until
            .is_none_or(|until| self.seen.borrow().probes <= until);
        let mut what = if self.path.no_route.contains(&address) || !has_routes {
            self.push(job, job.at, None);
            return;
        } else if self.path.open.contains(&port) {
            Some((PortState::Open, Reason::SynAck))
        } else if self.path.others == Others::Reset {
            Some((PortState::Closed, Reason::ConnRefused))
        } else {
            None
        };
        let is_there = self
            .path
            .hosts
            .as_ref()
            .is_none_or(|hosts| hosts.contains(&address));
        let is_shut = self
            .path
            .shut_after
            .is_some_and(|after| self.seen.borrow().probes > after);
        if !is_there || is_shut {
            what = None;
        }
        if let (Some(backlog), Some((PortState::Open, _))) = (self.path.backlog, what) {
            let connections = self.connections.entry(job.endpoint).or_default();
            *connections += 1;
            if *connections > backlog {
                what = None;
            }
        }
        let Some(through) = self.through(job.at) else {
            return;
        };
        if self.chance() < self.path.loss {
            return;
        }
        let arrival = through + self.path.rtt / 2;
        if matches!(what, Some((PortState::Closed, _))) && !self.take_token(arrival) {
            return;
        }
        if what.is_none() || self.chance() < self.path.loss {
            return;
        }
        let far = self.path.far.get(&address).copied().unwrap_or_default();
        let jitter = self.path.jitter.mul_f64(self.chance()) + far;
        self.push(job, arrival + self.path.rtt / 2 + jitter, what);
    }

    fn push(&mut self, job: Job, at: Duration, what: Option<(PortState, Reason)>) {
        self.number += 1;
        self.due.push(Reverse(Due {
            at,
            number: self.number,
            endpoint: job.endpoint,
            round: job.round,
            is_sentinel: job.kind == Kind::Sentinel,
            rtt: at.saturating_sub(job.at),
            what,
        }));
        let mut seen = self.seen.borrow_mut();
        seen.most_waiting = seen.most_waiting.max(self.due.len());
    }
}

impl Transport for Sim {
    fn room(&mut self) -> usize {
        self.path.room.saturating_sub(self.due.len())
    }

    fn submit(&mut self, jobs: &[Job]) {
        for &job in jobs {
            self.ask(job);
        }
    }

    fn poll(&mut self, until: Duration, answers: &mut Vec<Answer>) {
        let next = self
            .due
            .peek()
            .map_or(until, |Reverse(due)| due.at.min(until));
        // Time passes even if nothing happens, as it does for a real thread.
        let now = next.max(self.clock.now() + Duration::from_micros(1));
        self.clock.0.set(now);
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = self.due.pop() else {
                break;
            };
            answers.push(Answer {
                endpoint: due.endpoint,
                round: due.round,
                kind: if due.is_sentinel {
                    Kind::Sentinel
                } else {
                    Kind::Probe
                },
                rtt: Some(due.rtt),
                ttl: None,
                seen: transport::Seen::by(true),
                at: due.at,
                finding: match due.what {
                    Some((state, reason)) => Finding::Port(state, reason),
                    None => Finding::NoRoute,
                },
                said: Vec::new(),
            });
        }
    }
}
