//! The second phase of a UDP scan: which of the ports that are silent are closed.
//!
//! In the first phase every port was asked, as fast as the path carries, and what answers is
//! known. Most closed ports are silent too, for their host sends few ICMP errors a second. So each
//! host is asked on at the [pace](crate::pace::host) of its own limit, all of them
//! side by side, until it is sure that those left are silent, or until the time for this is over.
//! What stays silent is `open|filtered`.
//!
//! That a closed port is silent means that the host may not tell just then: Linux tells one
//! address of one port a second, after six at once, and saves up what it does not tell. Whoever
//! tells of `n` ports within a time can tell of one again after that time divided by `n - 1`. Once
//! it was not asked to tell of anything for twice as long, it tells of the first closed port that
//! it is asked: so a whole round after such a rest that brings nothing proves silence. A host
//! that tells of no silent port is asked about one that is known to be closed, to learn how soon
//! it tells again; not before it is needed, since each such answer is one less about another port.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{Phase, PortState, Protocol};

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

/// A host that told of nothing for this long is asked about a port that is known to be closed:
/// longer than what Linux needs from one error to the next.
const PATIENCE: Duration = Duration::from_millis(1_250);

/// So many times at once, since a host without a limit tells so much by that.
const AT_ONCE: u32 = 8;

/// Then again after this, then after twice the time, and so on, until so many were not answered.
const PROVED_AGAIN: Duration = Duration::from_millis(250);
const PROVED_AT_LAST: Duration = Duration::from_secs(8);
const PROVED_UNTIL: u32 = 12;

/// So many tellings show how soon a host tells again, which is no sooner than this.
const TELLINGS: u32 = 3;
const SHORTEST_REST: Duration = Duration::from_millis(100);

/// Time between two questions of a round that is to prove silence.
const CONFIRMED_EVERY: Duration = Duration::from_millis(1);

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
    /// Its silent ports are asked, the next from this place in the order on, and from there as
    /// many places as are left.
    Asking { place: usize, left: usize },
    /// All were asked, and the last answers are waited for.
    Hearing(Duration),
    /// A port that is known to be closed was asked, so many times without an answer, to see how
    /// soon it tells again; the last answer is waited for.
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
    /// Whether this round began after a rest, so that it proves silence.
    confirms: bool,
    /// Such rounds without an answer, one after another.
    quiet: u32,
    /// How many ports it told of in this phase, when the last, and when the last before it.
    told: u32,
    heard: Duration,
    since: Duration,
}

impl Slow {
    /// In what time at the most it can tell of another port, once it told of one. When it told of
    /// the last port of the first phase, it could tell of no other: closed ones were left silent.
    fn recharge(&self) -> Option<Duration> {
        let passed = self.heard.saturating_sub(self.since);
        (self.told >= TELLINGS).then(|| passed / (self.told - 1))
    }

    /// Whether it told of nothing for so long that it can tell now.
    fn has_rested(&self, now: Duration) -> bool {
        let rest = self.recharge().map(|time| SHORTEST_REST.max(2 * time));
        rest.is_some_and(|rest| now >= self.heard + rest)
    }

    /// Whether it told of nothing for longer than it should need, as far as is known of it.
    fn is_strange(&self, now: Duration) -> bool {
        self.recharge().is_none() && now >= self.heard + PATIENCE
    }

    /// Begins a round over all of `ports` places at `place`.
    fn ask_from(&mut self, place: usize, ports: usize, now: Duration) {
        self.stage = Stage::Asking { place, left: ports };
        self.pace.begin(now);
    }

    /// How many ports a second it tells of, as far as that was seen.
    fn rate(&self) -> Option<f64> {
        let seen = || Some(1.0 / self.recharge()?.as_secs_f64().max(1e-3));
        self.pace.limit().or_else(seen)
    }
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
        slow.told += 1;
        slow.heard = slow.heard.max(answer.at);
        if told.port == port {
            if let Stage::Proving(asked, _) = &mut slow.stage {
                *asked = (*asked).min(AT_ONCE);
            }
            return;
        }
        slow.answered += 1;
        if std::mem::take(&mut slow.confirms) {
            // It was asked much faster than it is from now on.
            slow.pace.begin(answer.at);
        } else {
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
        for host in 0..state.block.hosts() {
            if !state.lacks(host) || state.host(host) != Host::Up {
                continue;
            }
            // One that told of nothing yet may have told others of what it may tell.
            let (seen, heard) = self.told.get(&host).map_or((SLOWEST, started), |told| {
                let seconds = told.last.saturating_sub(told.first).as_secs_f64();
                let seen = f64::from(told.count) / seconds.max(1.0 / SLOWEST);
                (seen, told.last)
            });
            let slow = Slow {
                pace: HostPace::new(seen, started),
                stage: Stage::Asking {
                    place: 0,
                    left: self.slows.order.len(),
                },
                round: 0,
                answered: 0,
                confirms: false,
                quiet: 0,
                told: 0,
                heard,
                since: heard,
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
        if self.is_over() {
            return;
        }
        // Of what is left of these, it is not known what it is.
        for (host, slow) in std::mem::take(&mut self.slows).hosts {
            if state.lacks(host) {
                self.limited.cut_short(host, slow.rate());
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
                    // The passes before have had theirs.
                    questions: Questions::One(turn + self.pass_shown.saturating_sub(2)),
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
        let ports = self.slows.order.len();
        match slow.stage {
            Stage::Asking {
                mut place,
                mut left,
            } => {
                if !slow.confirms && slow.has_rested(now) {
                    slow.confirms = true;
                    slow.ask_from(place, ports, now);
                    left = ports;
                }
                if slow.is_strange(now) {
                    slow.stage = Stage::Hearing(now + wait);
                    return (None, Some(now + wait));
                }
                if !slow.confirms {
                    slow.pace.review(now, rtt);
                    if slow.pace.due() > now {
                        return (None, Some(slow.pace.due()));
                    }
                }
                let first = u64::from(host) * ports as u64;
                while left > 0 {
                    let pair = first + u64::from(self.slows.order[place % ports]);
                    (place, left) = ((place + 1) % ports, left - 1);
                    if state.settled.is_set(pair) {
                        continue;
                    }
                    slow.stage = Stage::Asking { place, left };
                    let next = if slow.confirms {
                        now + CONFIRMED_EVERY
                    } else {
                        slow.pace.sent(now);
                        slow.pace.due()
                    };
                    let question = state.block.endpoint(pair);
                    return (question.map(|of| (of, slow.round)), Some(next));
                }
                slow.stage = Stage::Hearing(now + wait);
                (None, Some(now + wait))
            }
            Stage::Hearing(until) if now < until => (None, Some(until)),
            Stage::Hearing(_) => {
                slow.round += 1;
                let was_quiet = std::mem::take(&mut slow.answered) == 0;
                if was_quiet && slow.confirms {
                    slow.quiet += 1;
                    if slow.quiet >= needed {
                        return (None, None);
                    }
                } else {
                    slow.quiet = 0;
                    slow.confirms = false;
                }
                if slow.is_strange(now) {
                    if known.is_none() {
                        return (None, None);
                    }
                    return self.prove(state, host, known, 0, now);
                }
                slow.ask_from(0, ports, now);
                (None, Some(now))
            }
            Stage::Proving(..) if slow.recharge().is_some() => {
                slow.ask_from(0, ports, now);
                (None, Some(now))
            }
            Stage::Proving(asked, _) if asked < AT_ONCE => {
                self.prove(state, host, known, asked, now)
            }
            Stage::Proving(_, until) if now < until => {
                let soon = now + wait / 4 + Duration::from_millis(1);
                (None, Some(until.min(soon)))
            }
            Stage::Proving(asked, _) if asked >= AT_ONCE + PROVED_UNTIL => {
                // It tells of nothing any more, for whatever reason.
                self.limited.cut_short(host, None);
                (None, None)
            }
            Stage::Proving(asked, _) => self.prove(state, host, known, asked, now),
        }
    }

    /// Asks a port that is known to be closed, to see how soon its host tells again.
    fn prove(
        &mut self,
        state: &State<'a>,
        host: u32,
        known: Option<u16>,
        asked: u32,
        now: Duration,
    ) -> (Option<(Endpoint, u32)>, Option<Duration>) {
        let again = asked.saturating_sub(AT_ONCE - 1).min(8);
        let wait = (PROVED_AGAIN * 2_u32.pow(again)).min(PROVED_AT_LAST);
        let until = now + wait.max(2 * self.pace.wait());
        if let Some(slow) = self.slows.hosts.get_mut(&host) {
            slow.stage = Stage::Proving(asked + 1, until);
        }
        let endpoint = known.and_then(|port| {
            Some(Endpoint {
                address: state.block.address(host)?,
                protocol: Protocol::Udp,
                port,
            })
        });
        let next = if asked + 1 < AT_ONCE {
            now
        } else {
            now + self.pace.wait() / 4 + Duration::from_millis(1)
        };
        (endpoint.map(|endpoint| (endpoint, asked)), Some(next))
    }

    /// Progress of the second phase: a silent port counts by the share of the time that is over.
    /// What the scan is at.
    pub(super) fn phase(&self, now: Duration) -> Phase {
        if self.slows.hosts.is_empty() {
            return Phase::Asking;
        }
        Phase::Settling {
            at_most: self.slows.ends.map(|end| end.saturating_sub(now)),
        }
    }

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
