//! Walks over the order of a block: what is asked next, and what is asked again.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use portolan_model::Protocol;
use portolan_model::event::Endpoint;

use super::discover::{EARLY, LOOKS};
use super::state::{Host, State};
use super::waning::Place;
use super::{ATTENTION, BATCH, Engine, PROGRESS, REPEATS};
use crate::clock::Clock;
use crate::discovery::Look;
use crate::pace::Kind;
use crate::permutation::mix;
use crate::plan::{Block, Plan};
use crate::request::DISCOVERED_FROM;
use crate::transport::{Job, Questions, Transport};

/// Positions that are looked at before answers are taken again.
pub(super) const STRIDE: u32 = 1 << 14;

/// A question is asked again within its flow after this long: no burst of losses lasts so long.
const TWIN_GAP: Duration = Duration::from_millis(500);

/// Verdicts are asked for this often at the most, unless answers come.
const JUDGEMENT_STEP: Duration = Duration::from_micros(500);

/// Questions that are asked again go out together when they are due so close to each other.
const TWIN_STEP: Duration = Duration::from_millis(1);

/// Of every host, so many of the most likely ports are asked first: an early answer teaches the
/// pace.
pub(super) const PRIMED: usize = 32;

/// With more hosts than this, others answer soon enough.
const FEW_HOSTS: u32 = 16;

/// The first pass over no more pairs than this asks nothing twice: an open port is a service, to
/// which each question is a connection.
const FEW_PAIRS: u64 = 256;

/// How far a place is on the way, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn share_of(place: u64, all: u64) -> f64 {
    place as f64 / all.max(1) as f64
}

/// What the positions of a walk stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// Each way to look for a host in turn, at every host; and ports of hosts that were found.
    Hosts,
    /// The pairs of the block in its order.
    Pairs,
    /// The pairs of the hosts that were found.
    Found,
}

/// A position that is asked again before its flow is forgotten on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twin {
    due: Duration,
    position: u64,
    /// How often it is still to be asked, this time included.
    left: u32,
}

/// A pass over a block.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) walk: Walk,
    pub(super) number: u32,
    /// The first round that belongs to it.
    pub(super) first_round: u32,
    /// The next position, and the end.
    pub(super) next: u64,
    pub(super) end: u64,
    /// Stretches to be walked again.
    pub(super) again: VecDeque<Range<u64>>,
    /// The same, but not before an open port has answered or all else was walked: until then it is
    /// not known whether the path or the host keeps silent, and what was not asked yet may tell.
    pub(super) later: VecDeque<Range<u64>>,
    /// Questions to be asked again within their flows, the soonest first.
    pub(super) twins: VecDeque<Twin>,
    /// Positions that were walked before all others, in order: the walk passes over them.
    pub(super) primed: Vec<u64>,
    /// Positions that may still be walked again in this pass.
    pub(super) repeats: u64,
}

impl Pass {
    /// None at all: what comes late is heard.
    pub(super) const fn listening(walk: Walk, first_round: u32) -> Self {
        Self {
            walk,
            number: 1,
            first_round,
            next: 0,
            end: 0,
            again: VecDeque::new(),
            later: VecDeque::new(),
            twins: VecDeque::new(),
            primed: Vec::new(),
            repeats: 0,
        }
    }
}

/// The positions of the ports of each host of a block that are asked first, where it has few hosts:
/// the first of those that are likely, of UDP all of them.
fn primed<'b>(
    block: &'b Block<'_>,
    protocol: Protocol,
    likely: &'b [u16],
) -> impl Iterator<Item = u64> + 'b {
    let hosts = if block.hosts() > FEW_HOSTS {
        0
    } else {
        block.hosts()
    };
    let most = match protocol {
        Protocol::Tcp => PRIMED,
        Protocol::Udp => usize::MAX,
    };
    (0..hosts).flat_map(move |host| {
        let pairs = likely
            .iter()
            .filter_map(move |&port| block.pair(host, port));
        pairs.take(most).map(|pair| block.position_of(pair))
    })
}

/// The pairs of a plan in the order in which a scan comes by them that does not look for hosts
/// first, where the ports in `likely` are those that services are likely at.
pub fn beginning<'p>(plan: &'p Plan, likely: &[u16]) -> impl Iterator<Item = Endpoint> + 'p {
    let looks_first = plan.host_count() > 1 && plan.ports().len() >= DISCOVERED_FROM;
    let block = plan.block(0);
    let first: Vec<u64> = if looks_first {
        Vec::new()
    } else {
        primed(&block, plan.protocol(), likely).collect()
    };
    let is_first: HashSet<u64> = first.iter().copied().collect();
    let rest = (0..plan.len()).filter(move |position| !is_first.contains(position));
    first
        .into_iter()
        .chain(rest)
        .filter_map(|position| plan.at(position))
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// The positions of the likeliest ports of each host, where there are few hosts.
    pub(super) fn primed(&self, state: &State<'a>) -> VecDeque<Range<u64>> {
        let positions = primed(&state.block, self.plan.protocol(), &self.likely);
        positions.map(|position| position..position + 1).collect()
    }

    /// Where in the order of the first pass a pair was asked.
    pub(super) fn place_of(
        &self,
        state: &State<'a>,
        pass: &Pass,
        host: u32,
        pair: u64,
    ) -> Option<Place> {
        if pass.number > 1 {
            return None;
        }
        if pass.walk != Walk::Pairs {
            return self.found.place_of(pair);
        }
        let position = state.block.position_of(pair);
        if pass.primed.binary_search(&position).is_err() {
            return Some(Place::Other(share_of(position, state.block.pairs())));
        }
        let likely = self
            .likely
            .iter()
            .filter_map(|&port| state.block.pair(host, port));
        let place = likely.take(PRIMED).position(|likely| likely == pair)?;
        Some(Place::Likely(share_of(place as u64, PRIMED as u64)))
    }

    /// Walks the block once, and waits for what comes back.
    pub(super) fn run_pass(
        &mut self,
        state: &mut State<'a>,
        walk: Walk,
        number: u32,
        range: Range<u64>,
        first: VecDeque<Range<u64>>,
    ) {
        let now = self.clock.now();
        self.pace.end_round(now);
        self.pace.forget_share();
        self.pass_shown = number;
        let mut primed: Vec<u64> = first.iter().flat_map(Range::clone).collect();
        primed.sort_unstable();
        let mut pass = Pass {
            walk,
            number,
            first_round: self.pace.next_round(),
            next: (range.start + std::mem::take(&mut self.pass_from)).min(range.end),
            end: range.end,
            again: first,
            later: VecDeque::new(),
            twins: VecDeque::new(),
            primed,
            repeats: (range.end - range.start).saturating_mul(REPEATS),
        };
        let mut answers = Vec::new();
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            let now = self.clock.now();
            self.take_verdicts(&mut pass, now);
            if self.control.is_stopped() || self.lost_contact {
                return;
            }
            let is_walked = self.is_walked(&pass);
            let is_settled = state.unsettled == 0;
            if is_settled || is_walked {
                self.pace.end_round(now);
                if is_settled || self.pace.is_quiet() {
                    // Rounds that are still open have nothing left to teach this pass.
                    let (heard_of, doubts) = (self.pace.heard_of(), self.pace.doubts());
                    let pairs = state.block.pairs();
                    state.asked_out.learn(heard_of, doubts, pairs);
                    state.asked_out.end_pass(pairs);
                    return;
                }
            } else if !self.control.is_paused() && !self.hold.is_down() {
                self.send(state, &mut pass, &mut jobs, now);
            }
            let until = if self.hold.is_down() {
                now + ATTENTION
            } else {
                self.wake(&pass, state, now)
            };
            self.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
            self.decide(state);
            let now = self.clock.now();
            if now >= self.reported + PROGRESS {
                self.report_progress_of(state, &pass, now);
                self.report_reached(&pass, now);
                self.give_up_hosts(state, now);
            }
        }
    }

    fn is_walked(&self, pass: &Pass) -> bool {
        let has_found = pass.walk == Walk::Found && !self.found.is_empty();
        let is_through = pass.next >= pass.end && pass.again.is_empty() && pass.later.is_empty();
        is_through && pass.twins.is_empty() && !has_found
    }

    /// When there is something to do again, if no answer comes before.
    pub(super) fn wake(&mut self, pass: &Pass, state: &State<'a>, now: Duration) -> Duration {
        let mut until = now + ATTENTION;
        if let Some(judgement) = self.pace.next_judgement() {
            // A round that goes on for want of evidence is due all the time.
            until = until.min(judgement.max(now + JUDGEMENT_STEP));
        }
        if let Some(twin) = pass.twins.front()
            && !self.control.is_paused()
            && !self.pace.is_closed()
        {
            until = until.min(twin.due.max(now + TWIN_STEP));
        }
        if let Some(decision) = self.suspects.next_due() {
            until = until.min(decision);
        }
        let has_work = !self.is_walked(pass) && state.unsettled > 0;
        if has_work && !self.control.is_paused() && self.pace.has_room() {
            let soonest = if self.pace.is_closed() {
                now + JUDGEMENT_STEP
            } else {
                now
            };
            until = until.min(self.pace.next_departure(now).max(soonest));
        }
        until.max(now)
    }

    /// Hands over as many jobs as pace and transport take now.
    pub(super) fn send(
        &mut self,
        state: &mut State<'a>,
        pass: &mut Pass,
        jobs: &mut Vec<Job>,
        now: Duration,
    ) {
        self.send_twins(state, pass, jobs, now);
        let room = self.transport.room().min(BATCH);
        let mut allowance = self.pace.allowance(now) as usize;
        allowance = allowance.min(room);
        if allowance == 0 {
            return;
        }
        let round = self.pace.round(now);
        let closed = self.pace.asks_closed();
        let patience = self.pace.wait();
        let again = match pass.number {
            0 | 1 => Questions::All,
            number => Questions::Again(number - 2),
        };
        let job = |endpoint, kind, look| Job {
            endpoint,
            round,
            kind,
            look,
            // A sentinel is asked what it has answered.
            questions: if kind == Kind::Probe {
                again
            } else {
                Questions::All
            },
            at: now,
            patience,
        };
        jobs.clear();
        let twins = self.twins(pass);
        let takes_early = pass.walk == Walk::Found || self.may_ask_early(state);
        let mut looked_at = 0;
        // So few probes overrun no path: what stays silent is asked again before it is in doubt.
        let is_worth_a_sentinel = pass.number > 1 || pass.end > FEW_PAIRS;
        // A queue drops the end of a burst: sentinels stand anywhere in it.
        let place = usize::try_from(mix(self.counts.sent) % allowance as u64).unwrap_or(0);
        while jobs.len() < allowance {
            if (is_worth_a_sentinel && jobs.len() >= place || self.pace.is_closed())
                && self.pace.sentinels_due(now) > 0
                && let Some(endpoint) =
                    self.sentinels
                        .next(now, closed, self.unheard_sentinels == 0)
            {
                self.pace.sent(Kind::Sentinel);
                self.unheard_sentinels += 1;
                // Without a port, the sentinel is a host that answers echo requests.
                let look = (endpoint.port == 0).then_some(Look::Echo);
                jobs.push(job(endpoint, Kind::Sentinel, look));
                continue;
            }
            if looked_at >= STRIDE || self.pace.is_closed() {
                break;
            }
            looked_at += 1;
            let is_repeat = !pass.again.is_empty();
            let Some(position) = self.next_position(pass, round, takes_early) else {
                break;
            };
            if !is_repeat && state.asked_out.holds(position) {
                continue;
            }
            if let Some((endpoint, look)) = self.question(state, pass, position) {
                let kind = match twins {
                    Some((gap, left)) => {
                        let due = now + gap;
                        pass.twins.push_back(Twin {
                            due,
                            position,
                            left,
                        });
                        Kind::Kept
                    }
                    None => Kind::Probe,
                };
                self.pace.sent(kind);
                jobs.push(job(endpoint, kind, look));
            }
        }
        self.counts.sent += jobs.len() as u64;
        self.transport.submit(jobs);
    }

    /// Whether what is asked now is to be asked again within its flow: after which time, and how
    /// often.
    ///
    /// A path with a table of flows bears few new ones, and any number of packets of those that
    /// it knows: all that a port needs asking is done while its flow lives.
    fn twins(&self, pass: &Pass) -> Option<(Duration, u32)> {
        if pass.walk != Walk::Pairs || !self.transport.keeps_flows() {
            return None;
        }
        let lives = self.pace.keeps_flows()?;
        let left = self.passes().saturating_sub(pass.number);
        // Each question makes the flow live on: the shorter the gap, the less of the table it takes.
        let gap = (lives / 20).max(2 * self.pace.wait()).min(TWIN_GAP);
        (left > 0).then_some((gap, left))
    }

    /// Asks a port that answers, always within the same flow, from time to time.
    fn check_flows(&mut self, now: Duration) {
        if self.transport.keeps_flows()
            && self.pace.checks_flows(now)
            && self.transport.room() > 0
            && let Some(endpoint) = self.steady.or_else(|| self.sentinels.steady())
        {
            // Another one would be a new flow.
            self.steady = Some(endpoint);
            self.pace.checked_flows(now);
            self.counts.sent += 1;
            self.transport.submit(&[Job {
                endpoint,
                round: u32::MAX,
                kind: Kind::Kept,
                look: None,
                questions: Questions::All,
                at: now,
                patience: self.pace.wait(),
            }]);
        }
    }

    /// Asks again, within their flows, what is due.
    fn send_twins(
        &mut self,
        state: &mut State<'a>,
        pass: &mut Pass,
        jobs: &mut Vec<Job>,
        now: Duration,
    ) {
        self.check_flows(now);
        let (heard_of, doubts) = (self.pace.heard_of(), self.pace.doubts());
        let pairs = state.block.pairs();
        state.asked_out.learn(heard_of, doubts, pairs);
        if self.pace.is_closed() || pass.twins.front().is_none_or(|twin| twin.due > now) {
            return;
        }
        jobs.clear();
        let room = self.transport.room().min(BATCH);
        let patience = self.pace.wait();
        while jobs.len() < room
            && let Some(twin) = pass.twins.front().copied()
            && twin.due <= now
        {
            pass.twins.pop_front();
            if let Some((endpoint, look)) = self.question(state, pass, twin.position) {
                jobs.push(Job {
                    endpoint,
                    round: u32::MAX,
                    kind: Kind::Kept,
                    look,
                    questions: Questions::All,
                    at: now,
                    patience,
                });
            }
            if twin.left > 1 {
                let gap = self.twins(pass).map_or(TWIN_GAP, |(gap, _)| gap);
                pass.twins.push_back(Twin {
                    due: now + gap,
                    left: twin.left - 1,
                    ..twin
                });
            } else {
                state.asked_out.add(twin.position, self.pace.heard_of());
            }
        }
        self.counts.sent += jobs.len() as u64;
        self.transport.submit(jobs);
    }

    /// The next position of the walk, noted as walked in `round`. While hosts are looked for,
    /// `takes_early` says whether it may be a port of one that was found.
    pub(super) fn next_position(
        &mut self,
        pass: &mut Pass,
        round: u32,
        takes_early: bool,
    ) -> Option<u64> {
        if self.pace.trusts() || pass.next >= pass.end {
            pass.again.append(&mut pass.later);
        }
        let position = loop {
            if let Some(stretch) = pass.again.front_mut() {
                match stretch.next() {
                    Some(position) => break position,
                    None => {
                        pass.again.pop_front();
                    }
                }
            } else if (pass.walk == Walk::Found || pass.next < pass.end)
                && pass.walk != Walk::Pairs
                && takes_early
                && let Some(position) = self.found.next(pass.next < pass.end)
            {
                break position;
            } else if pass.next < pass.end {
                pass.next += 1;
                // Its answer may be on its way: a service is not to be asked twice for nothing.
                if pass.primed.binary_search(&(pass.next - 1)).is_err() {
                    break pass.next - 1;
                }
            } else {
                return None;
            }
        };
        if self.stretches.back().is_none_or(|(last, _)| *last != round) {
            self.stretches.push_back((round, Vec::new()));
        }
        if let Some((_, stretches)) = self.stretches.back_mut() {
            match stretches.last_mut() {
                Some(stretch) if stretch.end == position => stretch.end = position + 1,
                _ => stretches.push(position..position + 1),
            }
        }
        Some(position)
    }

    /// What to ask at a position; `None` where there is nothing left to ask.
    pub(super) fn question(
        &mut self,
        state: &mut State<'a>,
        pass: &Pass,
        position: u64,
    ) -> Option<(Endpoint, Option<Look>)> {
        if position >= LOOKS {
            return self.look_at(state, pass, position);
        }
        let is_of_found = position >= EARLY;
        let pair = if is_of_found {
            self.found.pair(position)?
        } else {
            state.pair_at(position)
        };
        if state.settled.is_set(pair) {
            return None;
        }
        let host = state.block.host(pair);
        match state.host(host) {
            Host::Up => {}
            Host::Unknown if pass.number <= 2 => {}
            _ => return None,
        }
        Some((state.block.endpoint(pair)?, None))
    }
}
