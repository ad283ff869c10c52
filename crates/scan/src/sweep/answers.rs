//! What a sweep makes of the answers that come.

use portolan_model::event::{HostUp, PortFact, ScanEvent};
use portolan_model::{PortState, Reason};

use super::liars::Told;
use super::window::Known;
use super::{ATTENTION, HOSTS, LAST_WAIT, Running, TIMED, UNKNOWN_WAIT};
use crate::clock::Clock;
use crate::engine::answers::FAREWELL;
use crate::pace::Kind;
use crate::transport::{Answer, Finding, Transport};

impl<T: Transport, C: Clock> Running<'_, T, C> {
    pub(super) fn take(&mut self, answer: &Answer) {
        let Answer {
            endpoint,
            round,
            kind,
            rtt,
            at,
            ..
        } = *answer;
        match &answer.finding {
            Finding::Port(state @ (PortState::Open | PortState::Closed), reason) => {
                // Other ports are asked but once or twice: those tell of no queue.
                let trip = rtt.map(|rtt| self.quickest.trip(endpoint.address, rtt));
                self.pace.answered(round, kind, trip, at);
                self.heard_at = at;
                self.unheard_sentinels = 0;
                self.slowest = self.slowest.max(rtt.unwrap_or_default());
                if kind == Kind::Sentinel {
                    self.sentinels.answered(endpoint);
                    let question = self.questions.iter_mut().find(|(of, ..)| *of == round);
                    match question {
                        Some((.., answered)) => *answered += 1,
                        // Late, and so not lost.
                        None => self.answered_again += 1,
                    }
                } else {
                    self.found(answer, *state, *reason);
                }
            }
            Finding::Port(..) => {
                // What a router says: it tells nothing of the path's end, but of the router.
                self.pace.withdrawn(round, kind);
                self.storm.error();
            }
            Finding::NoRoute => {
                self.pace.withdrawn(round, kind);
                self.counts.no_route += 1;
                self.no_route.get_or_insert(endpoint.address);
            }
            Finding::Failed(why) => {
                self.pace.withdrawn(round, kind);
                self.counts.failed += 1;
                self.failed.get_or_insert_with(|| (endpoint, why.clone()));
            }
            // Silence, as of any address where nobody is.
            Finding::NoNeighbour | Finding::NoHost | Finding::Host(_) => {
                self.pace.withdrawn(round, kind);
            }
        }
    }

    /// A port has answered. It counts if it has not before, and is in this shard.
    fn found(&mut self, answer: &Answer, state: PortState, reason: Reason) {
        let Some(position) = self.space.position_of(&answer.endpoint) else {
            return;
        };
        if self.window.answered(position) != Known::Silent {
            return;
        }
        self.counts.heard += 1;
        self.sentinels.offer(answer.endpoint, state);
        // Where only a later walker found it, an earlier one's probe or its answer was lost.
        self.counts.late += u64::from(self.is_asked_again(position, answer.round));
        if state != PortState::Open {
            for fact in self.liars.refused(answer.endpoint.address) {
                self.tell_open(fact);
            }
            return;
        }
        if self.counts.open >= self.given.most {
            return;
        }
        self.pace.trust_sentinels(self.given.clock.now());
        let fact = PortFact {
            endpoint: answer.endpoint,
            state,
            reason,
            rtt: answer.rtt,
            ttl: answer.ttl,
            at: self.given.clock.timestamp(answer.at),
        };
        let asked = self.asked_share();
        match self.liars.heard(fact, answer.seen.shape, asked) {
            Told::Open(facts) => {
                for fact in facts {
                    self.tell_open(fact);
                }
            }
            Told::Nothing => {}
            Told::Everything(first, found) => {
                self.tell_up(&first);
                (self.given.sink)(ScanEvent::AnswersAll(found));
            }
        }
    }

    /// The share of all pairs that this part of the sweep has asked.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn asked_share(&self) -> f64 {
        let end = self.space.len();
        let walked = self.step.min(end).saturating_sub(self.first.min(end));
        walked as f64 / end.max(1) as f64
    }

    pub(super) fn tell_open(&mut self, fact: PortFact) {
        if self.counts.open >= self.given.most {
            return;
        }
        self.counts.open += 1;
        self.tell_up(&fact);
        (self.given.sink)(ScanEvent::Port(fact));
    }

    /// Announces the host of an open port, unless that was done.
    fn tell_up(&mut self, fact: &PortFact) {
        let address = fact.endpoint.address;
        let is_new = if self.hosts.len() < HOSTS {
            self.hosts.insert(address)
        } else {
            !self.hosts.contains(&address)
        };
        if is_new {
            self.counts.up += 1;
            (self.given.sink)(ScanEvent::HostUp(HostUp {
                address,
                reason: fact.reason,
                rtt: fact.rtt,
                ttl: fact.ttl,
                at: fact.at,
            }));
        }
    }

    /// Whether the round in which a position was asked took it by later walkers than the first, and
    /// by these alone: where there is little to ask, all of them come by within one round, and the
    /// answer may well be to the first.
    fn is_asked_again(&self, position: u128, round: u32) -> bool {
        let is_walked = |walker| {
            let step = self.schedule.step(position, walker);
            let mut walked = self.stretches.iter().filter(|(of, _)| *of == round);
            walked.any(|(_, stretch)| stretch.contains(&step))
        };
        (1..self.walkers).any(is_walked) && !is_walked(0)
    }

    /// How many open ports are expected to be missing: no more than ports that have not answered.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn missed(&self) -> f64 {
        let silent = self.space.len().saturating_sub(self.counts.heard.into());
        let missed = self.loss().missed(self.counts.open, self.walkers);
        missed.min(silent as f64)
    }

    /// Where the user has ended the sweep: what is on its way is heard, for a round trip.
    pub(super) fn hear_in_flight(&mut self) {
        let until = self.given.clock.now() + self.pace.wait().min(FAREWELL);
        let mut answers = Vec::new();
        while self.given.clock.now() < until
            && self.pace.in_flight() > 0
            && self.counts.open < self.given.most
            && !self.hold.is_down()
        {
            self.given.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(&answer);
            }
        }
    }

    /// Waits for answers that are late, before the sweep ends.
    pub(super) fn hear_the_last(&mut self) {
        let timed = self.counts.heard >= TIMED;
        let least = if timed { LAST_WAIT } else { UNKNOWN_WAIT };
        let wait = least
            .max(self.slowest.mul_f64(1.5))
            .max((2 * self.pace.wait()).min(UNKNOWN_WAIT))
            .min(self.given.limits.longest_wait);
        let until = self.given.clock.now() + wait;
        let mut answers = Vec::new();
        // Once more after the time: on a busy machine, answers may have come in time and wait.
        let mut is_late = false;
        while !self.is_over() && !is_late {
            let now = self.given.clock.now();
            is_late = now >= until;
            let wake = until.min(now + ATTENTION).max(now);
            self.given.transport.poll(wake, &mut answers);
            for answer in answers.drain(..) {
                self.take(&answer);
            }
        }
    }
}
