//! What answers and verdicts mean for the scan.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use portolan_model::event::{Endpoint, PortFact, Problem, Said, ScanEvent};
use portolan_model::{PortState, Reason};

use super::state::{Host, State};
use super::walk::{Pass, Walk};
use super::{ATTENTION, Engine};
use crate::clock::Clock;
use crate::hold::{Change, ENDED};
use crate::loss::Loss;
use crate::pace::{Judgement, Kind, Verdict};
use crate::transport::{Answer, Finding, Transport};
use crate::unreached::Unreached;

/// After the last pass, late answers are waited for this long at the least.
pub(super) const LAST_WAIT: Duration = Duration::from_millis(100);

/// The same where a host has not answered at all (RFC 6298, 2.1).
pub(super) const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// The path is lost when this many sentinels in a row, over this much time, stay unanswered: a
/// firewall that was crossed shuts for half a minute.
pub(super) const LOST_CONTACT: (u32, Duration) = (20, Duration::from_secs(45));

/// Who ends a scan waits no longer than this for what is on its way.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// The system sends a SYN again by itself after this (RFC 6298, 2.1): what takes longer may be
/// the answer to that one, and says nothing about the path's time, unless the path is slow.
pub(super) const SYSTEM_RETRIES: Duration = Duration::from_millis(990);

/// A path that takes this long may well take longer than the system's own retry.
pub(super) const SLOW: Duration = Duration::from_millis(400);

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Takes the pace's verdicts: what overran the path is walked again.
    pub(super) fn take_verdicts(&mut self, pass: &mut Pass, now: Duration) {
        // Known before any round is judged: one whose answers this machine lost is no proof.
        if self.pace.is_judging(now) {
            let dropped = self.transport.lost();
            if dropped > self.dropped {
                self.dropped = dropped;
                self.pace.overran_here(now);
            }
        }
        while let Some(judgement) = self.pace.judge(now) {
            let Judgement {
                round,
                verdict,
                sentinels_lost,
            } = judgement;
            while self.stretches.front().is_some_and(|(of, _)| *of < round) {
                self.stretches.pop_front();
            }
            let walked = match self.stretches.front() {
                Some((of, _)) if *of == round => {
                    self.stretches.pop_front().map(|(_, walked)| walked)
                }
                _ => None,
            };
            if self.pace.is_limited() && !self.limit_shown {
                // What was taken for loss so far was the limit.
                self.limit_shown = true;
                self.closed_loss = Loss::default();
            }
            let length =
                |walked: &[Range<u64>]| walked.iter().map(|part| part.end - part.start).sum();
            let left = pass
                .repeats
                .checked_sub(walked.as_deref().map_or(0, length));
            match (verdict, left) {
                (Verdict::Overran, Some(left)) if self.options.passes.is_none() => {
                    if round >= pass.first_round
                        && let Some(walked) = walked
                    {
                        pass.repeats = left;
                        pass.later.extend(walked);
                    }
                }
                // What is not asked again counts as lost.
                _ => self.loss.lost(sentinels_lost.into()),
            }
        }
        self.look_at_the_way(pass, now);
        if self.lost_contact {
            return;
        }
        let (sentinels, time) = LOST_CONTACT;
        let was_heard = self.heard_at > self.started;
        if was_heard && self.unheard_sentinels >= sentinels && now >= self.heard_at + time {
            self.lost_contact = true;
            (self.sink)(ScanEvent::Problem(Problem {
                about: self.plan.addresses().to_string(),
                message: format!(
                    "nothing answers any more since {} seconds, not even ports that did",
                    time.as_secs()
                ),
                hint: Some(
                    "a firewall may have shut us out, or the path is down; \
                     scan the rest later, with `--max-rate`"
                        .to_owned(),
                ),
                left_out: true,
            }));
        }
    }

    /// Where the way is down, waits for it to come back, and then asks again what was on its way.
    fn look_at_the_way(&mut self, pass: &mut Pass, now: Duration) {
        let note = match self.hold.look(self.transport.failure(), now) {
            Change::None => None,
            Change::Down(note) => {
                // Of what is not judged yet it is not known what came of it.
                self.pace.overran_here(now);
                // Of what is asked again less is answered: that is no limit of the other side.
                self.pace.forget_share();
                for (_, walked) in self.stretches.drain(..) {
                    pass.later.extend(walked);
                }
                note
            }
            Change::Up(note) => {
                self.pace.forget_share();
                self.unheard_sentinels = 0;
                self.heard_at = self.heard_at.max(now);
                note
            }
            Change::Over(_) if self.lost_contact => None,
            Change::Over(failure) => {
                self.lost_contact = true;
                Some(Problem {
                    about: String::new(),
                    message: format!("the scan cannot go on: {failure}"),
                    hint: Some(ENDED.to_owned()),
                    left_out: true,
                })
            }
        };
        if let Some(note) = note {
            (self.sink)(ScanEvent::Problem(note));
        }
    }

    pub(super) fn take(&mut self, state: &mut State<'a>, pass: &Pass, mut answer: Answer) {
        self.note_told(state, &answer);
        if answer.endpoint.protocol != self.plan.protocol()
            && let Finding::Port(_, reason) = answer.finding
            && answer.seen.by_host
        {
            // A port that looked for the host, and is none of those that are asked for.
            answer.finding = Finding::Host(reason);
        }
        let Answer {
            endpoint,
            round,
            kind,
            at,
            ..
        } = answer;
        // What a router says, or this machine itself, tells nothing of the path's far end, and both
        // may say less than they are asked.
        let is_refusal =
            !answer.seen.by_host && matches!(answer.finding, Finding::Port(PortState::Filtered, _));
        let is_answer =
            !is_refusal && matches!(answer.finding, Finding::Port(..) | Finding::Host(_));
        self.teach(&answer, is_answer);
        if kind == Kind::Sentinel && self.take_sentinel(&answer, is_answer) {
            return;
        }
        let Some(host) = state.block.host_of(endpoint.address) else {
            return;
        };
        if !answer.seen.by_host && (self.looking || endpoint.port == 0) {
            self.heard_of(state, host, &answer.finding);
            if matches!(answer.finding, Finding::Port(..)) {
                return;
            }
        }
        match answer.finding {
            Finding::Host(reason) => {
                if state.host(host) != Host::Up {
                    self.host_up(state, pass, host, &answer, reason);
                }
            }
            Finding::Port(port_state, reason) if is_refusal => {
                self.refused(state, pass, (host, endpoint), (port_state, reason), &answer);
            }
            Finding::Port(port_state, reason) => {
                if state.host(host) != Host::Up {
                    self.host_up(state, pass, host, &answer, reason);
                }
                let drawn = self.suspects.heard(
                    host,
                    endpoint.port,
                    port_state == PortState::Open,
                    answer.seen.shape,
                );
                self.carry_verdict(state, host, drawn);
                let Some(pair) = state.block.pair(host, endpoint.port) else {
                    // A discovery port that is not to be reported.
                    self.offer_sentinel(endpoint, port_state);
                    return;
                };
                if !state.settle(pair, host) {
                    return;
                }
                self.note_loss(pass, round, host, port_state);
                let place = self.place_of(state, pass, host, pair);
                self.limited.answered(host, port_state, place);
                self.offer_found(endpoint, port_state);
                let fact = PortFact {
                    endpoint,
                    state: port_state,
                    reason,
                    rtt: answer.rtt,
                    ttl: answer.ttl,
                    at: self.clock.timestamp(at),
                };
                if !answer.said.is_empty() {
                    (self.sink)(ScanEvent::Said(Said {
                        endpoint,
                        bytes: std::mem::take(&mut answer.said),
                    }));
                }
                self.report_port(state, host, fact, answer.seen.shape);
            }
            Finding::NoNeighbour => self.no_neighbour(state, pass, host),
            // A way that is down for a moment is waited for, and this is asked again.
            Finding::NoRoute if self.transport.failure().is_some() => {}
            Finding::NoRoute => self.no_route(state, host),
            Finding::NoHost => self.no_host(state, host),
            Finding::Failed(why) if endpoint.port == 0 => {
                // One that cannot be looked for is not down for that.
                self.unreachable(state, host, |unreached, _| unreached.failed(endpoint, why));
            }
            Finding::Failed(why) => {
                if let Some(pair) = state.block.pair(host, endpoint.port)
                    && state.settle(pair, host)
                {
                    self.unreached.failed(endpoint, why);
                }
            }
        }
    }

    /// Takes what a sentinel was answered; returns whether it says nothing of its host. One that
    /// was asked by an echo request serves like an open port.
    fn take_sentinel(&mut self, answer: &Answer, is_answer: bool) -> bool {
        let endpoint = answer.endpoint;
        if answer.finding == Finding::NoRoute && self.transport.failure().is_none() {
            // Its silence would say nothing of the path.
            self.sentinels.forget(endpoint.address);
            return false;
        }
        if is_answer {
            self.sentinels.answered(endpoint);
            let is_open = matches!(
                answer.finding,
                Finding::Host(_) | Finding::Port(PortState::Open, _)
            );
            if is_open {
                self.loss.answered();
                // Of what an earlier part of the scan knew, only now.
                self.offer_sentinel(endpoint, PortState::Open);
            }
        }
        true
    }

    /// Tells the pace what an answer says of the path.
    fn teach(&mut self, answer: &Answer, is_answer: bool) {
        let &Answer {
            endpoint,
            round,
            kind,
            rtt,
            at,
            ..
        } = answer;
        // A host sends as many ICMP errors as it wants: that one did not come says nothing of the
        // path.
        let is_held_back = self.options.settling.is_some()
            && kind != Kind::Sentinel
            && matches!(
                answer.finding,
                Finding::Port(PortState::Closed | PortState::Filtered, _)
            );
        if is_answer && is_held_back {
            let trip = rtt.map(|rtt| self.quickest.trip(endpoint.address, rtt));
            self.pace.heard_aside(round, kind, trip);
            self.heard_at = at;
        } else if is_answer {
            let is_slow = self.pace.rtt().srtt().is_none_or(|srtt| srtt > SLOW);
            let clean = rtt.filter(|rtt| is_slow || *rtt < SYSTEM_RETRIES);
            let trip = clean.map(|rtt| self.quickest.trip(endpoint.address, rtt));
            self.pace.answered(round, kind, trip, at);
            self.slowest = self.slowest.max(clean.unwrap_or_default());
            self.heard_at = at;
            if kind != Kind::Kept {
                self.unheard_sentinels = 0;
            }
        } else {
            self.pace.withdrawn(round, kind);
        }
    }

    /// This machine has no way to a host, or none any more: then its silent ports may not have been
    /// asked, and are left out.
    fn no_route(&mut self, state: &mut State<'a>, host: u32) {
        if state.host(host) != Host::Up {
            self.unreachable(state, host, |unreached, address| {
                unreached.no_route(address);
            });
        } else if state.lacks(host)
            && let Some(address) = state.block.address(host)
        {
            self.counts.skipped += state.set_host(host, Host::CutOff);
            self.unreached.no_route(address);
        }
    }

    /// The address is none that a host can have: in a network that is natural, and it is down
    /// like others where nobody is; alone it is a mistake.
    fn no_host(&mut self, state: &mut State<'a>, host: u32) {
        let is_alone = self.plan.addresses().len() == 1;
        let mut is_down = false;
        self.unreachable(state, host, |unreached, address| {
            if is_alone {
                unreached.no_host(address);
            } else {
                is_down = true;
            }
        });
        self.counts.down += u128::from(is_down);
    }

    /// A router, or this machine itself, says that a port cannot be reached. That shows no host,
    /// and is told of one that is there, or where few are asked.
    fn refused(
        &mut self,
        state: &mut State<'a>,
        pass: &Pass,
        (host, endpoint): (u32, Endpoint),
        (port_state, reason): (PortState, Reason),
        answer: &Answer,
    ) {
        let is_told = state.host(host) == Host::Up || self.lists_silent();
        if let Some(pair) = state.block.pair(host, endpoint.port)
            && is_told
            && state.settle(pair, host)
        {
            let place = self.place_of(state, pass, host, pair);
            self.limited.answered(host, port_state, place);
            if pass.number > 1 && answer.round >= pass.first_round {
                self.limited.answered_late(host, port_state);
            }
            let fact = PortFact {
                endpoint,
                state: port_state,
                reason,
                rtt: answer.rtt,
                ttl: answer.ttl,
                at: self.clock.timestamp(answer.at),
            };
            self.report_port(state, host, fact, None);
        }
    }

    /// Offers a port that was found, unless it is a UDP service that may be none of its number.
    /// Sentinels are asked what a port is asked first: one that has no question of its own and
    /// answered to that of another would stay silent.
    fn offer_found(&mut self, endpoint: Endpoint, state: PortState) {
        let asks_others = self.options.settling.is_some() && self.pass_shown > 1;
        if !asks_others || self.likely.contains(&endpoint.port) {
            self.offer_sentinel(endpoint, state);
        }
    }

    pub(super) fn offer_sentinel(&mut self, endpoint: Endpoint, state: PortState) {
        if self.options.settling.is_some() && state == PortState::Closed {
            // Of its answers it is not known how many there may be.
            return;
        }
        self.sentinels.offer(endpoint, state);
        if self.options.spares_open && self.sentinels.has_closed() {
            self.pace.have_closed_sentinels();
        }
        if state == PortState::Open {
            self.pace.trust_sentinels(self.clock.now());
        }
    }

    pub(super) fn unreachable(
        &mut self,
        state: &mut State<'a>,
        host: u32,
        note: impl FnOnce(&mut Unreached, IpAddr),
    ) {
        if state.host(host) == Host::Unknown
            && let Some(address) = state.block.address(host)
        {
            self.counts.skipped += state.set_host(host, Host::Unreachable);
            note(&mut self.unreached, address);
        }
    }

    /// An answer in a later pass than the first shows that earlier probes were lost; one to a
    /// probe of an earlier pass was only late.
    pub(super) fn note_loss(&mut self, pass: &Pass, round: u32, host: u32, state: PortState) {
        let loss = if state == PortState::Open {
            &mut self.loss
        } else {
            &mut self.closed_loss
        };
        loss.answered();
        if pass.walk != Walk::Hosts && round >= pass.first_round && round != u32::MAX {
            loss.lost(u64::from(pass.number - 1));
            if pass.number > 1 {
                self.limited.answered_late(host, state);
            }
        }
    }

    /// Where the user has ended the scan: what is on its way is heard, for a round trip.
    pub(super) fn hear_in_flight(&mut self, state: &mut State<'a>) {
        let until = self.clock.now() + self.pace.wait().min(FAREWELL);
        let pass = Pass::listening(Walk::Pairs, self.pace.next_round());
        let mut answers = Vec::new();
        while self.clock.now() < until && self.pace.in_flight() > 0 && !self.lost_contact {
            self.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
        }
    }

    /// Waits once more for answers that are late, before silence is reported.
    ///
    /// How long the answers of some hosts take says nothing of a host that has not answered yet:
    /// it is given as long as one of which nothing is known.
    pub(super) fn hear_the_last(&mut self, state: &mut State<'a>) {
        let unheard = state.hosts.contains(&Host::Unknown);
        let least = if unheard { UNKNOWN_WAIT } else { LAST_WAIT };
        let slowest = self.slowest.mul_f64(1.5);
        let wait = (2 * self.pace.wait())
            .min(UNKNOWN_WAIT)
            .max(least)
            .max(slowest);
        let until = self.clock.now() + wait.min(self.options.limits.longest_wait);
        let walk = if self.looking {
            Walk::Hosts
        } else {
            Walk::Pairs
        };
        let pass = Pass::listening(walk, self.pace.next_round());
        let mut answers = Vec::new();
        // Once more after the time: on a busy machine, answers may have come in time and wait.
        let mut is_late = false;
        while state.unsettled > 0 && !self.is_over() && !is_late {
            if unheard && !state.hosts.contains(&Host::Unknown) {
                return self.hear_the_last(state);
            }
            let now = self.clock.now();
            is_late = now >= until;
            let wake = until.min(now + ATTENTION).max(now);
            self.transport.poll(wake, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
        }
    }
}
