//! Open ports of hosts that may answer everything: held back until that is known.

use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{AnswersAll, Endpoint, PortFact, PortsFact, ScanEvent};
use portolan_model::{PortState, Protocol, Reason};

use super::state::State;
use super::walk::{Pass, Walk};
use super::{ATTENTION, Engine};
use crate::clock::Clock;
use crate::discovery::{Held, Verdict};
use crate::pace::Kind;
use crate::transport::{Job, Questions, Shape, Transport};

/// Ports that were drawn by lot are waited for as long as the path takes, within these bounds.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_millis(1_500);

/// A scan this slow draws no lots: they would break its pace.
const TOO_SLOW: f64 = 20.0;

/// So many open ports of a host that is not decided on when a scan is stopped are believed.
const BELIEVED: usize = 16;

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Reports a port that was just settled, or holds it back.
    pub(super) fn report_port(
        &mut self,
        state: &mut State<'a>,
        host: u32,
        fact: PortFact,
        shape: Option<Shape>,
    ) {
        let address_at = fact.at;
        let verdict = if fact.state == PortState::Open {
            let now = self.clock.now();
            self.suspects.open(host, Held { fact, shape }, now)
        } else {
            (self.sink)(ScanEvent::Port(fact));
            self.suspects.not_open(host)
        };
        if verdict == Verdict::Nothing {
            self.finish_host(state, host, address_at);
        } else {
            self.carry_verdict(state, host, verdict);
        }
    }

    /// Does what is to be done about a host.
    pub(super) fn carry_verdict(&mut self, state: &mut State<'a>, host: u32, verdict: Verdict) {
        let at = self.clock.timestamp(self.clock.now());
        match verdict {
            Verdict::Nothing => return,
            Verdict::Release(held) => self.report_open(held),
            Verdict::Ask(ports) => {
                self.ask_drawn(state, host, &ports);
                return;
            }
            Verdict::Found(evidence) => {
                if let Some(address) = state.block.address(host) {
                    (self.sink)(ScanEvent::AnswersAll(AnswersAll {
                        address,
                        protocol: self.plan.protocol(),
                        asked: evidence.asked,
                        answered: evidence.answered,
                        windowless: evidence.windowless,
                        at,
                    }));
                }
            }
        }
        self.finish_host(state, host, at);
    }

    fn report_open(&mut self, held: Vec<Held>) {
        for Held { fact, .. } in held {
            self.counts.open += 1;
            (self.sink)(ScanEvent::Port(fact));
        }
    }

    /// Asks ports that were drawn by lot: so few, and at once.
    fn ask_drawn(&mut self, state: &State<'a>, host: u32, ports: &[u16]) {
        let now = self.clock.now();
        let wait = (2 * self.pace.wait()).clamp(SHORTEST, LONGEST);
        let is_too_slow = self.options.limits.highest < TOO_SLOW;
        // Who has ended the scan wants nothing sent any more.
        let asks = !is_too_slow && !self.control.is_stopped();
        if let Some(address) = state.block.address(host).filter(|_| asks) {
            let round = self.pace.round(now);
            let jobs: Vec<Job> = ports
                .iter()
                .map(|&port| Job {
                    endpoint: Endpoint {
                        address,
                        protocol: self.plan.protocol(),
                        port,
                    },
                    round,
                    kind: Kind::Probe,
                    look: None,
                    questions: Questions::All,
                    at: now,
                    patience: wait,
                })
                .collect();
            for _ in &jobs {
                self.pace.sent(Kind::Probe);
            }
            self.counts.sent += jobs.len() as u64;
            self.transport.submit(&jobs);
        }
        self.suspects.asked(host, now + wait);
    }

    /// Decides what is due.
    pub(super) fn decide(&mut self, state: &mut State<'a>) {
        while let Some((host, verdict)) = self.suspects.due(self.clock.now()) {
            self.carry_verdict(state, host, verdict);
        }
    }

    /// Says that a host is done, once all its ports are settled and nothing is held back.
    pub(super) fn finish_host(&mut self, state: &State<'a>, host: u32, at: Timestamp) {
        if state.left.get(host as usize) != Some(&0) || self.suspects.is_waiting(host) {
            return;
        }
        let Some(address) = state.block.address(host) else {
            return;
        };
        self.report_doubtful(state, host, at);
        (self.sink)(ScanEvent::HostDone { address, at });
    }

    /// Reports what a host that answers everything answered.
    pub(super) fn report_doubtful(&mut self, state: &State<'a>, host: u32, at: Timestamp) {
        let Some((open, alike)) = self.suspects.take(host) else {
            return;
        };
        let Some(address) = state.block.address(host) else {
            return;
        };
        self.report_open(open);
        let ports = alike.to_set();
        if !ports.is_empty() {
            (self.sink)(ScanEvent::Ports(PortsFact {
                address,
                protocol: self.plan.protocol(),
                ports,
                state: PortState::OpenFiltered,
                reason: reason_of_open(self.plan.protocol()),
                at,
            }));
        }
    }

    /// Waits until every host is decided on.
    pub(super) fn hear_drawn(&mut self, state: &mut State<'a>) {
        let pass = Pass::listening(Walk::Pairs, self.pace.next_round());
        let mut answers = Vec::new();
        while let Some(due) = self.suspects.next_due()
            && !self.is_over()
        {
            let wake = due.min(self.clock.now() + ATTENTION);
            self.transport.poll(wake, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
            self.decide(state);
        }
    }

    /// Decides on the rest, by what is known, and reports what is held back.
    pub(super) fn decide_all(&mut self, state: &mut State<'a>) {
        let at = self.clock.timestamp(self.clock.now());
        for (host, verdict) in self.suspects.give_up() {
            match verdict {
                // It was stopped before the lots came back: a weaker word for so many.
                Verdict::Release(held) if self.is_over() && held.len() > BELIEVED => {
                    let ports = held.iter().map(|held| held.fact.endpoint.port).collect();
                    if let Some(address) = state.block.address(host) {
                        (self.sink)(ScanEvent::Ports(PortsFact {
                            address,
                            protocol: self.plan.protocol(),
                            ports,
                            state: PortState::OpenFiltered,
                            reason: reason_of_open(self.plan.protocol()),
                            at,
                        }));
                    }
                    self.finish_host(state, host, at);
                }
                verdict => self.carry_verdict(state, host, verdict),
            }
        }
        for host in self.suspects.convicts() {
            self.report_doubtful(state, host, at);
        }
    }
}

/// What an open port's state rests on.
const fn reason_of_open(protocol: Protocol) -> Reason {
    match protocol {
        Protocol::Tcp => Reason::SynAck,
        Protocol::Udp => Reason::UdpResponse,
    }
}
