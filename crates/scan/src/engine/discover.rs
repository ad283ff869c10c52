//! Looking which hosts are there, and asking the ports of those that are without waiting for the
//! rest.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use portolan_model::event::{Endpoint, HostLink, HostUp, Problem, Reached, ScanEvent};
use portolan_model::spec::Discovery;
use portolan_model::{Mac, PortState, Protocol, Reason};

use super::Engine;
use super::state::{Host, State};
use super::walk::{Pass, Walk, share_of};
use super::waning::Place;
use crate::clock::Clock;
use crate::discovery::{Look, MOST_LOOKS};
use crate::permutation::{Permutation, mix};
use crate::request::DISCOVERED_FROM;
use crate::transport::{Answer, Finding, Transport};

/// Silent addresses are asked again as often as the loss demands, and no more often than this:
/// most are silent because nobody is there, and each time costs several packets.
const MOST_PASSES: u32 = 4;

/// With less loss than this, a neighbour that was silent four times in a row is not there.
const LITTLE_LOSS: f64 = 0.05;

/// A neighbour is asked again after these times; later answers show that so many were lost.
const ASKED_AGAIN: [Duration; 3] = [
    Duration::from_millis(150),
    Duration::from_millis(450),
    Duration::from_millis(900),
];

/// Positions from here on stand for ways to look for a host: the way times the number of hosts,
/// plus the host.
pub(super) const LOOKS: u64 = 1 << 62;

/// Positions from here on stand for ports of hosts that were found: the host times the number of
/// ports, plus the place in [`Found::order`].
pub(super) const EARLY: u64 = 1 << 61;

/// Ports of a host that was found, before it is the next host's turn.
const TURN: u32 = 16;

/// While hosts are looked for, so much time's worth of ports that stayed silent may have been asked
/// at the most: where the scan is gone on with, they are asked again.
const EARLY_TIME: f64 = 3.0;

/// The hosts that were found: their ports are asked while others are still looked for, and in
/// the passes after that. Who is not there is not walked over.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The places of the ports in the order in which each host is asked.
    order: Option<Permutation>,
    /// The hosts that have ports left in this pass, and how many of these were walked.
    queue: VecDeque<(u32, u32)>,
    /// Positions walked in this pass.
    walked: u64,
    /// Pairs of the block that had been settled before.
    settled_before: u64,
    /// Whether it is their turn, or that of hosts to be found.
    turn: bool,
}

impl Found {
    fn new(ports: usize, seed: u64, settled_before: u64) -> Self {
        Self {
            order: Permutation::new(ports as u64, mix(seed ^ 0x666f_756e)),
            settled_before,
            ..Self::default()
        }
    }

    fn push(&mut self, host: u32) {
        if self.order.is_some() {
            self.queue.push_back((host, 0));
        }
    }

    /// Begins another pass over these hosts, at a place of the order of their ports.
    fn restart(&mut self, hosts: impl Iterator<Item = u32>, place: u64) {
        let ports = self.order.as_ref().map_or(0, Permutation::len);
        let place = u32::try_from(place.min(ports)).unwrap_or(u32::MAX);
        self.queue = hosts.map(|host| (host, place)).collect();
        self.walked = self.queue.len() as u64 * u64::from(place);
        if u64::from(place) >= ports {
            self.queue.clear();
        }
    }

    /// How many positions were walked of which it is not known what became, where so many pairs
    /// are settled.
    pub(super) const fn open(&self, settled: u64) -> u64 {
        self.walked
            .saturating_sub(settled.saturating_sub(self.settled_before))
    }

    /// The place in the order of ports that every host has come to, in this pass; `asked_again`
    /// are stretches of positions that are still waited for.
    pub(super) fn level<'s>(&self, asked_again: impl Iterator<Item = &'s Range<u64>>) -> u64 {
        let Some(ports) = self.order.as_ref().map(Permutation::len) else {
            return 0;
        };
        let waiting = asked_again.filter_map(|stretch| {
            let first = stretch.start.checked_sub(EARLY)?;
            let last = stretch.end.checked_sub(EARLY + 1)?;
            // One that goes on at the next host has that one's first port in it.
            Some(if first / ports == last / ports {
                first % ports
            } else {
                0
            })
        });
        let queued = self.queue.iter().map(|&(_, place)| place.into());
        queued.chain(waiting).fold(ports, u64::min)
    }

    /// Whether this pass has nothing left.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Positions that this pass has walked.
    pub(super) const fn walked(&self) -> u64 {
        self.walked
    }

    /// The next position; every other time only, while hosts are still to be found.
    ///
    /// Afterwards a host that is behind the others has the turn until it has caught up: that all
    /// have come to one place is where a scan can be gone on from.
    pub(super) fn next(&mut self, shares: bool) -> Option<u64> {
        self.turn = !self.turn;
        if shares && !self.turn {
            return None;
        }
        let ports = self.order.as_ref()?.len();
        let (host, place) = self.queue.front_mut()?;
        let position = EARLY + u64::from(*host) * ports + u64::from(*place);
        *place += 1;
        self.walked += 1;
        let place = *place;
        let is_behind = |next: Option<&(u32, u32)>| next.is_some_and(|&(_, next)| next > place);
        if u64::from(place) >= ports {
            self.queue.pop_front();
        } else if place.is_multiple_of(TURN) && (shares || !is_behind(self.queue.get(1))) {
            self.queue.rotate_left(1);
        }
        Some(position)
    }

    /// The pair at a position.
    pub(super) fn pair(&self, position: u64) -> Option<u64> {
        let order = self.order.as_ref()?;
        let index = position.checked_sub(EARLY)?;
        let (host, place) = (index / order.len(), index % order.len());
        Some(host * order.len() + order.at(place))
    }

    /// Where in the order of its host's ports a pair stands.
    pub(super) fn place_of(&self, pair: u64) -> Option<Place> {
        let order = self.order.as_ref()?;
        let place = order.position_of(pair % order.len());
        Some(Place::Other(share_of(place, order.len())))
    }
}

/// What was heard of a host that did not answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing at all.
    Nothing,
    /// Routers, or this machine's own routes, refused its ports.
    Refusals,
    /// Its network says that it is not there.
    NotThere,
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Whether hosts are looked for before their ports are asked.
    pub(super) fn discovers(&self) -> bool {
        match self.options.discovery {
            Discovery::Only => true,
            Discovery::Skip => false,
            Discovery::Auto => {
                self.plan.addresses().len() > 1
                    && self.plan.ports().len() >= DISCOVERED_FROM
                    && self.transport.looks_for_hosts()
            }
        }
    }

    /// Looks which hosts are there, and begins to ask the ports of those that are.
    pub(super) fn discover(&mut self, state: &mut State<'a>) {
        let hosts = state.block.hosts();
        let end = LOOKS + u64::from(hosts) * MOST_LOOKS as u64;
        if self.options.discovery != Discovery::Only {
            self.found = self.nobody_found(state);
            // Hosts that an earlier part of the scan found are not looked for, but asked.
            let up = (0..state.block.hosts()).filter(|&host| state.host(host) == Host::Up);
            self.found.restart(up, 0);
        }
        self.looking = true;
        let mut number = 0;
        if self.from.position >= LOOKS {
            number = self.from.pass.saturating_sub(1);
            self.pass_from = self.from.position - LOOKS;
        }
        self.from = Reached::default();
        loop {
            number += 1;
            self.run_pass(state, Walk::Hosts, number, LOOKS..end, VecDeque::new());
            let wanted = self.options.passes.unwrap_or_else(|| {
                // Where the second pass finds nobody whom the first did not, little is lost.
                let is_clean = self.loss.measured().is_none_or(|share| share <= 0.0);
                let most = if is_clean { 2 } else { MOST_PASSES };
                self.loss.passes(self.counts.up).min(most)
            });
            let all_known = !state.hosts.contains(&Host::Unknown);
            if self.is_over() || number >= wanted || all_known {
                break;
            }
        }
        if state.hosts.contains(&Host::Unknown) {
            self.hear_the_last(state);
        }
        self.looking = false;
    }

    fn nobody_found(&self, state: &State<'a>) -> Found {
        let ports = self.plan.ports().len();
        Found::new(ports, self.plan.seed(), state.settled_count)
    }

    /// The hosts that an earlier part of the scan has found, and no others.
    pub(super) fn take_up_found(&mut self, state: &State<'a>) {
        self.found = self.nobody_found(state);
        let up = (0..state.block.hosts()).filter(|&host| state.host(host) == Host::Up);
        self.found.restart(up, self.from.position);
    }

    /// Whether ports of hosts that were found may be asked while others are looked for.
    pub(super) fn may_ask_early(&self, state: &State<'a>) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a bound that need not be exact")]
        let open = self.found.open(state.settled_count) as f64;
        open < EARLY_TIME * self.pace.rate()
    }

    /// Asks the ports of the hosts that were found until silence is proven; returns how often.
    pub(super) fn ask_found(&mut self, state: &mut State<'a>) -> u32 {
        // Who was not found up is not asked further.
        for host in 0..state.block.hosts() {
            if state.host(host) == Host::Unknown {
                self.counts.skipped += state.set_host(host, Host::Silent);
            }
        }
        let taken_up = std::mem::take(&mut self.from);
        let mut number = taken_up.pass.saturating_sub(1);
        loop {
            number += 1;
            let before = state.settled_count;
            self.run_pass(state, Walk::Found, number, 0..0, VecDeque::new());
            let is_whole = number != taken_up.pass;
            if self.is_over() || self.is_proven(state, number, is_whole.then_some(before)) {
                return number;
            }
            let up = (0..state.block.hosts()).filter(|&host| state.host(host) == Host::Up);
            self.found.restart(up, 0);
        }
    }

    /// What stands before the first pass over ports where hosts are not looked for first: a
    /// single host is looked for all the same, since an answer teaches the pace and shows a host
    /// all of whose ports are silent. With few ports, one question does.
    pub(super) fn looks_ahead(&self, state: &State<'a>) -> VecDeque<Range<u64>> {
        if self.options.discovery != Discovery::Auto {
            return VecDeque::new();
        }
        let ways = if self.plan.addresses().len() == 1 {
            MOST_LOOKS as u64
        } else {
            1
        };
        let ahead = LOOKS..LOOKS + u64::from(state.block.hosts()) * ways;
        VecDeque::from([ahead])
    }

    /// How to look for a host at a position.
    pub(super) fn look_at(
        &mut self,
        state: &State<'a>,
        pass: &Pass,
        position: u64,
    ) -> Option<(Endpoint, Option<Look>)> {
        let index = position.checked_sub(LOOKS)?;
        let hosts = u64::from(state.block.hosts());
        let host = u32::try_from(index % hosts).ok()?;
        if state.host(host) != Host::Unknown {
            return None;
        }
        let address = state.block.address(host)?;
        let looks = self.transport.looks(address);
        let look = *looks.get(usize::try_from(index / hosts).ok()?)?;
        let endpoint = |port| Endpoint {
            address,
            protocol: Protocol::Tcp,
            port,
        };
        match look {
            Look::Syn(port)
                if pass.walk == Walk::Hosts || self.plan.protocol() != Protocol::Tcp =>
            {
                Some((endpoint(port), None))
            }
            // Ports are asked anyway.
            Look::Syn(_) => None,
            Look::Ack(port) => Some((endpoint(port), Some(look))),
            Look::Neighbour | Look::Echo | Look::Timestamp | Look::Datagram => {
                Some((endpoint(0), Some(look)))
            }
        }
    }

    /// A host was found.
    pub(super) fn host_up(
        &mut self,
        state: &mut State<'a>,
        pass: &Pass,
        host: u32,
        answer: &Answer,
        reason: Reason,
    ) {
        let was = state.host(host);
        if matches!(was, Host::GivenUp | Host::CutOff) {
            return;
        }
        let now = if was == Host::Unreachable {
            Host::CutOff
        } else {
            Host::Up
        };
        let changed = state.set_host(host, now);
        self.up_at.insert(host, self.clock.now());
        if !was.is_asked() {
            self.counts.skipped = self.counts.skipped.saturating_sub(changed);
        }
        self.counts.up += 1;
        let address = answer.endpoint.address;
        (self.sink)(ScanEvent::HostUp(HostUp {
            address,
            reason,
            rtt: answer.rtt,
            ttl: answer.ttl,
            at: self.clock.timestamp(answer.at),
        }));
        if let Some(mac) = answer.seen.mac {
            let mac = Mac(mac.0);
            (self.sink)(ScanEvent::HostLink(HostLink { address, mac }));
        }
        if reason == Reason::EchoReply && answer.endpoint.port == 0 {
            // While most addresses are silent, it tells whether the path still carries.
            self.offer_sentinel(answer.endpoint, PortState::Open);
        }
        if self.looking {
            self.note_looked(pass, answer, reason);
        }
        if now == Host::Up {
            self.found.push(host);
        }
    }

    /// What the time that a host took to be found says of loss.
    fn note_looked(&mut self, pass: &Pass, answer: &Answer, reason: Reason) {
        self.loss.answered();
        if matches!(reason, Reason::ArpResponse | Reason::NdpResponse) {
            let rtt = answer.rtt.unwrap_or_default();
            let lost = ASKED_AGAIN.iter().filter(|after| rtt > **after).count();
            self.loss.lost(lost as u64);
        }
        if answer.round >= pass.first_round && answer.round != u32::MAX {
            self.loss.lost(u64::from(pass.number - 1));
        }
    }

    /// Nothing on the local link answers for an address.
    pub(super) fn no_neighbour(&mut self, state: &mut State<'a>, pass: &Pass, host: u32) {
        if state.host(host) != Host::Unknown {
            return;
        }
        let is_first = self.looking && pass.number == 1 && self.options.passes != Some(1);
        if is_first && self.loss.expected() >= LITTLE_LOSS {
            // It is asked again in the next pass.
            return;
        }
        self.counts.skipped += state.set_host(host, Host::Down(Reason::HostUnreach));
    }

    /// What a router says of a host that is looked for.
    pub(super) fn heard_of(&mut self, state: &mut State<'a>, host: u32, finding: &Finding) {
        // That a firewall forbids one way says nothing of the others.
        if let Finding::Port(
            PortState::Filtered,
            reason @ (Reason::HostUnreach | Reason::NetUnreach),
        ) = finding
            && self.looking
            && state.host(host) == Host::Unknown
        {
            self.counts.skipped += state.set_host(host, Host::Down(*reason));
        }
    }

    /// Says of a single host that stayed silent why its ports are shown all the same.
    pub(super) fn tell_silent(&mut self, address: IpAddr, heard: Heard) {
        let address = self.plan.zoned(address);
        let message = match heard {
            Heard::NotThere => format!("{address} is not there, as far as its network says"),
            Heard::Refusals => {
                format!(
                    "{address} itself answered nothing: routes or firewalls on the way refused it"
                )
            }
            Heard::Nothing => {
                format!("{address} answered nothing: its ports were asked all the same")
            }
        };
        (self.sink)(ScanEvent::Problem(Problem {
            about: address.to_string(),
            message,
            hint: None,
            left_out: false,
        }));
    }
}
