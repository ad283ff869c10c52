//! The second phase of a UDP scan: which of the ports that are silent are closed.
//!
//! In the first phase every port was asked, as fast as the path carries, and what answers is
//! known. Most closed ports are silent too, for their host sends few ICMP errors a second. So each
//! host that sent any is asked on at the [pace](crate::pace::host) of its own limit, all of them
//! side by side, until a round over its silent ports brings nothing new although the host still
//! tells of a port that is known to be closed; or until the time for this is over. What stays
//! silent is `open|filtered`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Protocol};

use super::state::{Host, State};
use super::walk::{Pass, Walk};
use super::{ATTENTION, BATCH, Engine, PROGRESS};
use crate::clock::Clock;
use crate::pace::Kind;
use crate::pace::host::{HostPace, SLOWEST};
use crate::permutation::{Permutation, mix};
use crate::transport::{Answer, Finding, Job, Questions, Transport};

/// With less loss than this, one round without an answer proves silence, else two do.
const LITTLE_LOSS: f64 = 0.005;

/// A host that does not tell of a closed port any more is asked about it again after this, then
/// after twice the time, and so on.
const PROVED_AGAIN: Duration = Duration::from_millis(500);
const PROVED_AT_LAST: Duration = Duration::from_secs(8);

/// How the second phase is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settling {
    /// For how long; `None` for as long as it takes.
    pub(crate) budget: Option<Duration>,
}

/// What a host has told of its ports by ICMP errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// One of them.
    port: u16,
    count: u32,
    first: Duration,
    last: Duration,
}

/// What is done with a host now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its silent ports are asked, the next from this place in the order on.
    Asking(usize),
    /// All were asked, and the last answers are waited for.
    Hearing(Duration),
    /// A port that is known to be closed was asked, so many times, to see whether it still tells.
    Proving(u32, Duration),
}

/// A host whose silent ports are asked again.
#[derive(Debug)]
struct Slow {
    pace: HostPace,
    stage: Stage,
    /// Which round over its silent ports this is, and what it brought.
    round: u32,
    answered: u32,
    /// Rounds without an answer, one after another.
    quiet: u32,
    /// The port that is known to be closed has answered.
    is_proved: bool,
}

/// The hosts of a block that are asked on.
#[derive(Debug, Default)]
pub(super) struct Slows {
    hosts: HashMap<u32, Slow>,
    due: BinaryHeap<Reverse<(Duration, u32)>>,
    /// The places of the ports in the order in which each host is asked.
    order: Vec<u16>,
    started: Duration,
    ends: Option<Duration>,
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Notes what an answer says of the pace at which its host tells of its ports.
    pub(super) fn note_told(&mut self, state: &State<'a>, answer: &Answer) {
        let is_told = matches!(
            answer.finding,
            Finding::Port(PortState::Closed | PortState::Filtered, _)
        );
        if self.options.settling.is_none() || answer.endpoint.protocol != Protocol::Udp || !is_told
        {
            return;
        }
        let Some(host) = state.block.host_of(answer.endpoint.address) else {
            return;
        };
        let port = answer.endpoint.port;
        let told = self.told.entry(host).or_insert(Told {
            port,
            count: 0,
            first: answer.at,
            last: answer.at,
        });
        told.count += 1;
        told.last = answer.at;
        let Some(slow) = self.slows.hosts.get_mut(&host) else {
            return;
        };
        if told.port == port {
            slow.is_proved = true;
        } else {
            slow.answered += 1;
            slow.pace.answered();
        }
    }

    /// Asks silent ports at the pace of their hosts.
    pub(super) fn settle(&mut self, state: &mut State<'a>, passes: u32) {
        let Some(Settling { budget }) = self.options.settling else {
            return;
        };
        let started = self.clock.now();
        self.slows = Slows {
            order: self.order_of_ports(),
            started,
            ends: budget.map(|budget| started + budget),
            ..Slows::default()
        };
        for (&host, told) in &self.told {
            if !state.lacks(host) || state.host(host) != Host::Up {
                continue;
            }
            let seconds = told.last.saturating_sub(told.first).as_secs_f64();
            let seen = f64::from(told.count) / seconds.max(1.0 / SLOWEST);
            let slow = Slow {
                pace: HostPace::new(seen, started),
                stage: Stage::Asking(0),
                round: 0,
                answered: 0,
                quiet: 0,
                is_proved: false,
            };
            self.slows.hosts.insert(host, slow);
            self.slows.due.push(Reverse((started, host)));
        }
        let pass = Pass {
            number: passes + 1,
            ..Pass::listening(Walk::Pairs, self.pace.next_round())
        };
        self.pass_shown = passes + 1;
        let mut answers = Vec::new();
        let mut jobs = Vec::with_capacity(BATCH);
        while !self.slows.due.is_empty() {
            let now = self.clock.now();
            let mut heard = Pass::listening(Walk::Pairs, pass.first_round);
            self.take_verdicts(&mut heard, now);
            if self.is_over() || self.slows.ends.is_some_and(|end| now >= end) {
                break;
            }
            if self.control.is_paused() {
                // A pause is not counted against the time.
                self.slows.ends = self.slows.ends.map(|end| end + ATTENTION);
            } else {
                self.ask_slow(state, &mut jobs, now);
            }
            let until = self.next_slow(now);
            self.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
            self.decide(state);
            let now = self.clock.now();
            if now >= self.reported + PROGRESS {
                self.report_settling(state, now);
                self.give_up_hosts(state, now);
            }
        }
        self.pace.end_round(self.clock.now());
        for (host, slow) in std::mem::take(&mut self.slows).hosts {
            if let Some(limit) = slow.pace.limit() {
                self.limited.rates.insert(host, limit);
            }
        }
    }

    /// The places of all ports: those that have a question of their own first, since what they are
    /// is asked for most, the others in an order that is keyed.
    fn order_of_ports(&self) -> Vec<u16> {
        let ports = self.plan.ports();
        let place = |port: &u16| ports.binary_search(port).ok();
        let first: Vec<usize> = self.likely.iter().filter_map(place).collect();
        let key = mix(self.plan.seed() ^ 0x736c_6f77);
        let order = Permutation::new(ports.len() as u64, key);
        let all = (0..ports.len() as u64).map(|at| order.as_ref().map_or(at, |order| order.at(at)));
        let rest = all.filter_map(|at| usize::try_from(at).ok());
        let mut is_first = vec![false; ports.len()];
        for &at in &first {
            is_first[at] = true;
        }
        let rest = rest.filter(|&at| !is_first[at]);
        let places = first.iter().copied().chain(rest);
        places.filter_map(|at| u16::try_from(at).ok()).collect()
    }

    /// When something is due, as far as the path's own pace allows it.
    fn next_slow(&mut self, now: Duration) -> Duration {
        let mut until = now + ATTENTION;
        if !self.control.is_paused()
            && let Some(Reverse((due, _))) = self.slows.due.peek()
        {
            let allowed = self.pace.next_allowance(now);
            until = until.min((*due).max(allowed));
        }
        if let Some(end) = self.slows.ends {
            until = until.min(end);
        }
        until.max(now + Duration::from_micros(200))
    }

    /// Asks what is due.
    fn ask_slow(&mut self, state: &State<'a>, jobs: &mut Vec<Job>, now: Duration) {
        let room = self.transport.room().min(BATCH);
        let mut left = (self.pace.allowance(now) as usize).min(room);
        let round = self.pace.round(now);
        jobs.clear();
        while let Some(&Reverse((due, host))) = self.slows.due.peek()
            && due <= now
            && left > 0
        {
            self.slows.due.pop();
            let (question, next) = self.step_slow(state, host, now);
            if let Some((endpoint, turn)) = question {
                self.pace.sent(Kind::Probe);
                left -= 1;
                jobs.push(Job {
                    endpoint,
                    round,
                    kind: Kind::Probe,
                    look: None,
                    questions: Questions::One(turn),
                    at: now,
                    patience: self.pace.wait(),
                });
            }
            match next {
                Some(next) => self.slows.due.push(Reverse((next, host))),
                None => {
                    self.slows.hosts.remove(&host);
                }
            }
        }
        self.counts.sent += jobs.len() as u64;
        self.transport.submit(jobs);
    }

    /// What a host is asked now, and when it is looked at again; never, once it is done.
    fn step_slow(
        &mut self,
        state: &State<'a>,
        host: u32,
        now: Duration,
    ) -> (Option<(Endpoint, u32)>, Option<Duration>) {
        let rtt = self.pace.rtt().srtt().unwrap_or_default();
        let wait = self.pace.wait();
        let needed = 1 + u32::from(self.measured().measured().unwrap_or(0.0) > LITTLE_LOSS);
        let known = self.told.get(&host).map(|told| told.port);
        let Some(slow) = self.slows.hosts.get_mut(&host) else {
            return (None, None);
        };
        if !state.lacks(host) {
            return (None, None);
        }
        match slow.stage {
            Stage::Asking(place) => {
                slow.pace.review(now, rtt);
                if slow.pace.due() > now {
                    return (None, Some(slow.pace.due()));
                }
                let ports = self.slows.order.len() as u64;
                let first = u64::from(host) * ports;
                let silent = (place..self.slows.order.len()).find(|&at| {
                    let pair = first + u64::from(self.slows.order[at]);
                    !state.settled.is_set(pair)
                });
                let Some(at) = silent else {
                    slow.stage = Stage::Hearing(now + wait);
                    return (None, Some(now + wait));
                };
                slow.stage = Stage::Asking(at + 1);
                slow.pace.sent(now);
                let pair = first + u64::from(self.slows.order[at]);
                let question = state.block.endpoint(pair);
                (question.map(|of| (of, slow.round)), Some(slow.pace.due()))
            }
            Stage::Hearing(until) if now < until => (None, Some(until)),
            Stage::Hearing(_) => {
                slow.round += 1;
                slow.quiet = if slow.answered == 0 {
                    slow.quiet + 1
                } else {
                    0
                };
                slow.answered = 0;
                if slow.quiet < needed {
                    slow.stage = Stage::Asking(0);
                    slow.pace.begin(now);
                    return (None, Some(now));
                }
                self.prove(state, host, known, 0, now)
            }
            Stage::Proving(asked, _) if slow.is_proved => {
                if asked <= 1 {
                    // It had told of a closed port, were there one left.
                    return (None, None);
                }
                slow.quiet = 0;
                slow.stage = Stage::Asking(0);
                slow.pace.slow_down(now);
                (None, Some(now))
            }
            Stage::Proving(_, until) if now < until => {
                let soon = now + wait / 4 + Duration::from_millis(1);
                (None, Some(until.min(soon)))
            }
            Stage::Proving(asked, _) => self.prove(state, host, known, asked, now),
        }
    }

    /// Asks a port that is known to be closed, to see whether its host still tells.
    fn prove(
        &mut self,
        state: &State<'a>,
        host: u32,
        known: Option<u16>,
        asked: u32,
        now: Duration,
    ) -> (Option<(Endpoint, u32)>, Option<Duration>) {
        let wait = (PROVED_AGAIN * 2_u32.saturating_pow(asked.min(8))).min(PROVED_AT_LAST);
        let until = now + wait.max(2 * self.pace.wait());
        if let Some(slow) = self.slows.hosts.get_mut(&host) {
            slow.stage = Stage::Proving(asked + 1, until);
            slow.is_proved = false;
        }
        let endpoint = known.and_then(|port| {
            Some(Endpoint {
                address: state.block.address(host)?,
                protocol: Protocol::Udp,
                port,
            })
        });
        let soon = now + self.pace.wait() / 4 + Duration::from_millis(1);
        (endpoint.map(|endpoint| (endpoint, asked)), Some(soon))
    }

    /// Progress of the second phase: a silent port counts by the share of the time that is over.
    fn report_settling(&mut self, state: &State<'a>, now: Duration) {
        let passed = now.saturating_sub(self.slows.started);
        let share = self.slows.ends.map_or(0.0, |end| {
            let all = end.saturating_sub(self.slows.started).as_secs_f64();
            (passed.as_secs_f64() / all.max(1e-3)).min(1.0)
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a count, to show"
        )]
        let silent = (state.unsettled as f64 * share) as u128;
        let done = self.counts.done + u128::from(state.settled_count) + silent;
        self.come_to(done);
        self.report_progress(now);
    }
}

#[cfg(test)]
mod tests;
