//! The scan itself: passes over what has not answered, at the pace that the path carries.
//!
//! ```text
//! plan ─> block ─> pass over silent pairs ─> jobs ─> transport
//!                      ^                                 │
//!      rounds judged ──┴── pace, loss, sentinels <── answers ──> events
//! ```
//!
//! No probe has a record of its own. A bit says whether a pair is settled; each round of the
//! [pace](crate::pace) remembers which stretches of the order it walked. When a round turns out
//! to have overrun the path, its stretches are walked again, and what answered is skipped.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use portolan_model::event::{
    Endpoint, Finished, HostUp, Outcome, PortFact, PortsFact, Problem, Progress, ScanEvent,
};
use portolan_model::spec::Discovery;
use portolan_model::{PortSet, PortState, Reason, services};

use crate::bits::Bits;
use crate::clock::Clock;
use crate::control::Control;
use crate::loss::Loss;
use crate::pace::{Kind, Limits, Pace, Verdict};
use crate::permutation::mix;
use crate::plan::{Block, Plan};
use crate::request::Settled;
use crate::sentinels::Sentinels;
use crate::transport::{Answer, Finding, Job, Transport};
use crate::unreached::Unreached;

/// Time between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// While nothing else is due, look this often whether the user wants something.
const ATTENTION: Duration = Duration::from_millis(50);

/// Positions that are looked at before answers are taken again.
const STRIDE: u32 = 1 << 14;

/// After the last pass, late answers are waited for this long at the least.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// What overran the path is asked again in the same pass, but a pass is never walked more often
/// than this: a path that drops whatever is done must not hold a scan for ever.
const REPEATS: u64 = 8;

/// Jobs that are handed over at once.
const BATCH: usize = 256;

/// Of every host, so many of the most likely ports are asked first: an early answer teaches the
/// pace.
const PRIMED: usize = 32;

/// With no more ports than this a host is not looked for first: its ports are asked at once.
const DISCOVERED_FROM: usize = 9;

/// The ports by which hosts are looked for: each is open, or at least not filtered, on many.
const DISCOVERY_PORTS: [u16; 8] = [443, 80, 22, 445, 3389, 8080, 53, 5900];

/// Up to so many addresses, one that answered nothing is reported with all its ports; beyond,
/// such addresses are counted.
const LISTED_SILENT: u128 = 16;

/// The path is lost when this many sentinels in a row, over this much time, stay unanswered.
const LOST_CONTACT: (u32, Duration) = (20, Duration::from_secs(15));

/// The system sends a SYN again by itself after this (RFC 6298, 2.1): what takes longer may be
/// the answer to that one, and says nothing about the path's time, unless the path is slow.
const SYSTEM_RETRIES: Duration = Duration::from_millis(990);

/// A path that takes this long may well take longer than the system's own retry.
const SLOW: Duration = Duration::from_millis(400);

/// Everything about a run that is not found out on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    /// So many passes over silent ports, whatever is lost.
    pub(crate) passes: Option<u32>,
    pub(crate) discovery: Discovery,
    /// Time between two probes to the same sentinel.
    pub(crate) sentinel_gap: Duration,
    /// Whether sentinels are closed ports where that will do: an open one is a service that each
    /// question costs a connection.
    pub(crate) spares_open: bool,
    /// What a port that stays silent is.
    pub(crate) silent: PortState,
}

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    /// Nothing yet.
    Unknown,
    /// It answered.
    Up,
    /// Something that answers for its address says it is not there.
    Down(Reason),
    /// Nothing answered when hosts were looked for.
    Silent,
    /// It cannot be asked from here.
    Unreachable,
}

impl Host {
    /// Whether its ports are asked.
    const fn is_asked(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }
}

/// What the positions of a walk stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Walk {
    /// Each discovery port in turn, at every host.
    Hosts(Vec<u16>),
    /// The pairs of the block in its order.
    Pairs,
}

/// A pass over a block.
#[derive(Debug)]
struct Pass {
    walk: Walk,
    number: u32,
    /// The first round that belongs to it.
    first_round: u32,
    /// The next position, and the end.
    next: u64,
    end: u64,
    /// Stretches to be walked again.
    again: VecDeque<Range<u64>>,
    /// Positions that may still be walked again in this pass.
    repeats: u64,
}

/// A block and what is known of its pairs and hosts.
struct State<'a> {
    block: Block<'a>,
    settled: Bits,
    hosts: Vec<Host>,
    /// Of each host, the pairs that are not settled.
    left: Vec<u32>,
    /// The pairs that are not settled, of the hosts that are asked.
    unsettled: u64,
    /// The pairs that are settled.
    settled_count: u64,
}

/// Counts over the whole scan.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    sent: u64,
    open: u64,
    up: u64,
    down: u128,
    /// Pairs of the blocks that are done.
    done: u128,
    /// Pairs that are not asked, since their hosts are not there.
    skipped: u128,
    /// The largest number of expected misses of any block.
    missed: f64,
}

/// A run of a plan over a transport.
pub(crate) struct Engine<'a, T, C> {
    pub(crate) plan: &'a Plan,
    pub(crate) transport: T,
    pub(crate) clock: C,
    pub(crate) control: &'a Control,
    pub(crate) sink: &'a mut dyn FnMut(ScanEvent),
    pub(crate) options: Options,
    /// What an earlier part of the scan has settled.
    pub(crate) settled: &'a Settled,
    pace: Pace,
    loss: Loss,
    sentinels: Sentinels,
    unreached: Unreached,
    /// The stretches of the order that each round walked, oldest round first.
    stretches: VecDeque<(u32, Vec<Range<u64>>)>,
    counts: Counts,
    started: Duration,
    reported: Duration,
    /// Time and number of probes at the last reports, for the rate to show.
    recent: VecDeque<(Duration, u64)>,
    heard_at: Duration,
    unheard_sentinels: u32,
    lost_contact: bool,
    limit_shown: bool,
    pass_shown: u32,
    /// Pairs done, as last shown: it never goes back.
    done_shown: u128,
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    pub(crate) fn new(
        plan: &'a Plan,
        transport: T,
        clock: C,
        control: &'a Control,
        sink: &'a mut dyn FnMut(ScanEvent),
        options: Options,
        settled: &'a Settled,
    ) -> Self {
        let now = clock.now();
        Self {
            plan,
            transport,
            control,
            sink,
            options,
            settled,
            pace: Pace::new(options.limits, now),
            loss: Loss::default(),
            sentinels: Sentinels::new(options.sentinel_gap),
            unreached: Unreached::default(),
            stretches: VecDeque::new(),
            counts: Counts::default(),
            started: now,
            reported: now,
            recent: VecDeque::new(),
            heard_at: now,
            unheard_sentinels: 0,
            lost_contact: false,
            limit_shown: false,
            pass_shown: 1,
            done_shown: 0,
            clock,
        }
    }

    /// Asks everything, block by block, and says how it went. `Started` and `Finished` are the
    /// caller's to send.
    pub(crate) fn run(&mut self) -> Finished {
        for number in 0..self.plan.blocks() {
            if self.control.is_stopped() || self.lost_contact {
                break;
            }
            self.run_block(self.plan.block(number));
        }
        let problems: Vec<Problem> = self.unreached.problems().collect();
        for problem in problems {
            (self.sink)(ScanEvent::Problem(problem));
        }
        self.report_progress(self.clock.now());
        let now = self.clock.now();
        Finished {
            at: self.clock.timestamp(now),
            outcome: if self.control.is_stopped() {
                Outcome::Interrupted
            } else if self.lost_contact || self.unreached.is_left_out() {
                Outcome::Incomplete
            } else {
                Outcome::Complete
            },
            elapsed: now.saturating_sub(self.started),
            hosts_up: self.counts.up,
            hosts_down: self.counts.down,
            sent: self.counts.sent,
            loss: self.loss.measured(),
            expected_missed: self.counts.missed,
        }
    }

    fn run_block(&mut self, block: Block<'a>) {
        let hosts = block.hosts() as usize;
        let ports = self.plan.ports().len();
        let mut state = State {
            settled: Bits::new(block.pairs()),
            hosts: vec![Host::Unknown; hosts],
            left: vec![u32::try_from(ports).unwrap_or(u32::MAX); hosts],
            unsettled: block.pairs(),
            settled_count: 0,
            block,
        };
        self.take_up(&mut state);
        let only_hosts = self.options.discovery == Discovery::Only;
        let discovers = only_hosts
            || (self.options.discovery == Discovery::Auto
                && self.plan.addresses().len() > 1
                && ports >= DISCOVERED_FROM);
        let mut passes = 0;
        if discovers {
            passes = self.discover(&mut state);
        }
        if !only_hosts && !self.is_over() {
            passes = self.ask_pairs(&mut state, discovers);
        }
        self.hear_the_last(&mut state);
        self.close_block(&state, passes, discovers);
    }

    /// Marks what is known already: its hosts are up, its ports are not asked.
    fn take_up(&mut self, state: &mut State<'a>) {
        for (&address, ports) in self.settled {
            let Some(host) = state.block.host_of(address) else {
                continue;
            };
            state.set_host(host, Host::Up);
            self.counts.up += 1;
            for port in ports.of(self.plan.protocol()).iter() {
                if let Some(pair) = state.block.pair(host, port) {
                    state.settle(pair, host);
                }
            }
        }
    }

    /// Waits once more for answers that are late, before silence is reported.
    fn hear_the_last(&mut self, state: &mut State<'a>) {
        let wait = (2 * self.pace.wait()).clamp(LAST_WAIT, Duration::from_secs(1));
        let until = self.clock.now() + wait.min(self.options.limits.longest_wait);
        let walk = Walk::Pairs;
        let pass = Pass {
            walk,
            number: 1,
            first_round: self.pace.next_round(),
            next: 0,
            end: 0,
            again: VecDeque::new(),
            repeats: 0,
        };
        let mut answers = Vec::new();
        while state.unsettled > 0 && !self.is_over() && self.clock.now() < until {
            let wake = until.min(self.clock.now() + ATTENTION);
            self.transport.poll(wake, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.control.is_stopped() || self.lost_contact
    }

    /// Looks which hosts are there; returns how often the silent ones were asked.
    fn discover(&mut self, state: &mut State<'a>) -> u32 {
        let ports: Vec<u16> = DISCOVERY_PORTS.to_vec();
        let end = u64::from(state.block.hosts()) * ports.len() as u64;
        let mut number = 0;
        loop {
            number += 1;
            let walk = Walk::Hosts(ports.clone());
            self.run_pass(state, walk, number, end, VecDeque::new());
            let wanted = self.passes().min(2);
            let all_known = !state.hosts.contains(&Host::Unknown);
            if self.is_over() || number >= wanted || all_known {
                return number;
            }
        }
    }

    /// Asks the pairs of the block until silence is proven; returns how often.
    fn ask_pairs(&mut self, state: &mut State<'a>, discovered: bool) -> u32 {
        if discovered {
            // What was not found up is not asked further.
            for host in 0..state.block.hosts() {
                if state.host(host) == Host::Unknown {
                    self.counts.skipped += state.set_host(host, Host::Silent);
                }
            }
        }
        let primed = self.primed(state);
        let mut again = primed;
        let end = state.block.pairs();
        let mut number = 0;
        loop {
            number += 1;
            let first = std::mem::take(&mut again);
            self.run_pass(state, Walk::Pairs, number, end, first);
            if self.is_over() || state.unsettled == 0 || number >= self.passes() {
                break;
            }
            // A host that never answered is asked twice, no more.
            let someone = state.hosts.contains(&Host::Up);
            let unknown = state.hosts.contains(&Host::Unknown);
            let is_worth_it = someone || (unknown && number < 2);
            if !is_worth_it {
                break;
            }
        }
        number
    }

    fn passes(&self) -> u32 {
        self.options
            .passes
            .unwrap_or_else(|| self.loss.passes(self.counts.open))
    }

    /// The positions of the likeliest ports of each host, where there are few hosts.
    fn primed(&self, state: &State<'a>) -> VecDeque<Range<u64>> {
        let mut positions = VecDeque::new();
        if state.block.hosts() > 16 {
            return positions;
        }
        let ranked = services::ranked(self.plan.protocol());
        for host in 0..state.block.hosts() {
            let pairs = ranked
                .iter()
                .filter_map(|&port| state.block.pair(host, port))
                .take(PRIMED);
            for pair in pairs {
                let position = state.block.position_of(pair);
                positions.push_back(position..position + 1);
            }
        }
        positions
    }

    /// Walks the block once, and waits for what comes back.
    fn run_pass(
        &mut self,
        state: &mut State<'a>,
        walk: Walk,
        number: u32,
        end: u64,
        first: VecDeque<Range<u64>>,
    ) {
        let now = self.clock.now();
        self.pace.end_round(now);
        self.pace.forget_share();
        self.pass_shown = number;
        let mut pass = Pass {
            walk,
            number,
            first_round: self.pace.next_round(),
            next: 0,
            end,
            again: first,
            repeats: end.saturating_mul(REPEATS),
        };
        let mut answers = Vec::new();
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            let now = self.clock.now();
            self.take_verdicts(&mut pass, now);
            if self.control.is_stopped() || self.lost_contact {
                return;
            }
            let is_walked = pass.next >= pass.end && pass.again.is_empty();
            let is_settled = state.unsettled == 0;
            if is_settled || is_walked {
                self.pace.end_round(now);
                if is_settled || self.pace.is_quiet() {
                    // Rounds that are still open have nothing left to teach this pass.
                    return;
                }
            } else if !self.control.is_paused() {
                self.send(state, &mut pass, &mut jobs, now);
            }
            let until = self.wake(&pass, state, now);
            self.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(state, &pass, answer);
            }
            let now = self.clock.now();
            if now >= self.reported + PROGRESS {
                self.report_progress_of(state, &pass, now);
            }
        }
    }

    /// When there is something to do again, if no answer comes before.
    fn wake(&self, pass: &Pass, state: &State<'a>, now: Duration) -> Duration {
        let mut until = now + ATTENTION;
        if let Some(judgement) = self.pace.next_judgement() {
            until = until.min(judgement);
        }
        let has_work = (pass.next < pass.end || !pass.again.is_empty()) && state.unsettled > 0;
        if has_work && !self.control.is_paused() && self.pace.has_room() {
            until = until.min(self.pace.next_allowance(now));
        }
        until.max(now)
    }

    /// Hands over as many jobs as pace and transport take now.
    fn send(&mut self, state: &State<'a>, pass: &mut Pass, jobs: &mut Vec<Job>, now: Duration) {
        let room = self.transport.room().min(BATCH);
        let mut allowance = self.pace.allowance(now) as usize;
        allowance = allowance.min(room);
        if allowance == 0 {
            return;
        }
        let round = self.pace.round(now);
        let closed = self.pace.asks_closed();
        let patience = self.pace.wait();
        let job = |endpoint, kind| Job {
            endpoint,
            round,
            kind,
            at: now,
            patience,
        };
        jobs.clear();
        let mut looked_at = 0;
        // A queue drops the end of a burst: sentinels stand anywhere in it.
        let place = usize::try_from(mix(self.counts.sent) % allowance as u64).unwrap_or(0);
        while jobs.len() < allowance {
            if (jobs.len() >= place || self.pace.is_closed())
                && self.pace.sentinels_due(now) > 0
                && let Some(endpoint) =
                    self.sentinels
                        .next(now, closed, self.unheard_sentinels == 0)
            {
                self.pace.sent(Kind::Sentinel);
                self.unheard_sentinels += 1;
                jobs.push(job(endpoint, Kind::Sentinel));
                continue;
            }
            if looked_at >= STRIDE || self.pace.is_closed() {
                break;
            }
            looked_at += 1;
            let Some(position) = self.next_position(pass, round) else {
                break;
            };
            if let Some(endpoint) = self.to_ask(state, pass, position) {
                self.pace.sent(Kind::Probe);
                jobs.push(job(endpoint, Kind::Probe));
            }
        }
        self.counts.sent += jobs.len() as u64;
        self.transport.submit(jobs);
    }

    /// The next position of the walk, noted as walked in `round`.
    fn next_position(&mut self, pass: &mut Pass, round: u32) -> Option<u64> {
        let position = loop {
            if let Some(stretch) = pass.again.front_mut() {
                match stretch.next() {
                    Some(position) => break position,
                    None => {
                        pass.again.pop_front();
                    }
                }
            } else if pass.next < pass.end {
                pass.next += 1;
                break pass.next - 1;
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
    fn to_ask(&self, state: &State<'a>, pass: &Pass, position: u64) -> Option<Endpoint> {
        match &pass.walk {
            Walk::Hosts(ports) => {
                let hosts = u64::from(state.block.hosts());
                let host = u32::try_from(position % hosts).ok()?;
                let port = *ports.get(usize::try_from(position / hosts).ok()?)?;
                if state.host(host) != Host::Unknown {
                    return None;
                }
                Some(Endpoint {
                    address: state.block.address(host)?,
                    protocol: self.plan.protocol(),
                    port,
                })
            }
            Walk::Pairs => {
                let pair = state.block.pair_at(position);
                if state.settled.is_set(pair) {
                    return None;
                }
                match state.host(state.block.host(pair)) {
                    Host::Up => {}
                    Host::Unknown if pass.number <= 2 => {}
                    _ => return None,
                }
                state.block.endpoint(pair)
            }
        }
    }

    /// Takes the pace's verdicts: what overran the path is walked again.
    fn take_verdicts(&mut self, pass: &mut Pass, now: Duration) {
        while let Some((round, verdict)) = self.pace.judge(now) {
            while self.stretches.front().is_some_and(|(of, _)| *of < round) {
                self.stretches.pop_front();
            }
            let walked = match self.stretches.front() {
                Some((of, _)) if *of == round => self.stretches.pop_front(),
                _ => None,
            };
            if self.pace.is_limited() && !self.limit_shown {
                // What was taken for loss so far was the limit.
                self.limit_shown = true;
                self.loss = Loss::default();
            }
            if verdict == Verdict::Overran
                && round >= pass.first_round
                && self.options.passes.is_none()
                && let Some((_, walked)) = walked
            {
                let length: u64 = walked.iter().map(|walked| walked.end - walked.start).sum();
                if let Some(left) = pass.repeats.checked_sub(length) {
                    pass.repeats = left;
                    pass.again.extend(walked);
                }
            }
        }
        if let Some(failure) = self.transport.failure()
            && !self.lost_contact
        {
            self.lost_contact = true;
            (self.sink)(ScanEvent::Problem(Problem {
                about: self.plan.addresses().to_string(),
                message: format!("the scan cannot go on: {failure}"),
                hint: Some("what was found until then stands; scan the rest again".to_owned()),
                left_out: true,
            }));
            return;
        }
        let (sentinels, time) = LOST_CONTACT;
        if self.unheard_sentinels >= sentinels && now >= self.heard_at + time {
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

    fn take(&mut self, state: &mut State<'a>, pass: &Pass, answer: Answer) {
        let Answer {
            endpoint,
            round,
            kind,
            rtt,
            at,
            ..
        } = answer;
        let is_answer = matches!(answer.finding, Finding::Port(..));
        if is_answer {
            let is_slow = self.pace.rtt().srtt().is_none_or(|srtt| srtt > SLOW);
            let clean = rtt.filter(|rtt| is_slow || *rtt < SYSTEM_RETRIES);
            self.pace.answered(round, kind, clean, at);
            self.heard_at = at;
            self.unheard_sentinels = 0;
        } else {
            self.pace.withdrawn(round, kind);
        }
        if kind == Kind::Sentinel {
            if is_answer {
                self.sentinels.answered(endpoint);
                self.loss.answered();
            }
            return;
        }
        let Some(host) = state.block.host_of(endpoint.address) else {
            return;
        };
        match answer.finding {
            Finding::Port(port_state, reason) => {
                if state.host(host) != Host::Up {
                    self.host_up(state, host, &answer, reason);
                }
                let Some(pair) = state.block.pair(host, endpoint.port) else {
                    // A discovery port that is not to be reported.
                    self.offer_sentinel(endpoint, port_state);
                    return;
                };
                if !state.settle(pair, host) {
                    return;
                }
                self.note_loss(pass, round, port_state);
                if port_state == PortState::Open {
                    self.counts.open += 1;
                }
                self.offer_sentinel(endpoint, port_state);
                (self.sink)(ScanEvent::Port(PortFact {
                    endpoint,
                    state: port_state,
                    reason,
                    rtt: answer.rtt,
                    ttl: answer.ttl,
                    at: self.clock.timestamp(at),
                }));
                if state.left.get(host as usize) == Some(&0) {
                    (self.sink)(ScanEvent::HostDone {
                        address: endpoint.address,
                        at: self.clock.timestamp(at),
                    });
                }
            }
            Finding::NoNeighbour => {
                if state.host(host) == Host::Unknown {
                    self.counts.skipped += state.set_host(host, Host::Down(Reason::HostUnreach));
                }
            }
            Finding::NoRoute => self.unreachable(state, host, |unreached, address| {
                unreached.no_route(address);
            }),
            Finding::NoHost => self.unreachable(state, host, |_, _| {}),
            Finding::Failed(why) => {
                if let Some(pair) = state.block.pair(host, endpoint.port)
                    && state.settle(pair, host)
                {
                    self.unreached.failed(endpoint, why);
                }
            }
        }
    }

    fn offer_sentinel(&mut self, endpoint: Endpoint, state: PortState) {
        self.sentinels.offer(endpoint, state);
        if self.options.spares_open && self.sentinels.has_closed() {
            self.pace.have_closed_sentinels();
        }
        if state == PortState::Open {
            self.pace.trust_sentinels(self.clock.now());
        }
    }

    fn unreachable(
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

    fn host_up(&mut self, state: &mut State<'a>, host: u32, answer: &Answer, reason: Reason) {
        let was = state.host(host);
        let changed = state.set_host(host, Host::Up);
        if !was.is_asked() {
            self.counts.skipped = self.counts.skipped.saturating_sub(changed);
        }
        self.counts.up += 1;
        (self.sink)(ScanEvent::HostUp(HostUp {
            address: answer.endpoint.address,
            reason,
            rtt: answer.rtt,
            ttl: answer.ttl,
            at: self.clock.timestamp(answer.at),
        }));
    }

    /// An answer in a later pass than the first shows that earlier probes were lost; one to a
    /// probe of an earlier pass was only late.
    /// Closed ports say nothing about loss where the host limits its resets.
    fn note_loss(&mut self, pass: &Pass, round: u32, state: PortState) {
        if self.pace.is_limited() && state != PortState::Open {
            return;
        }
        self.loss.answered();
        if pass.walk == Walk::Pairs && round >= pass.first_round {
            self.loss.lost(u64::from(pass.number - 1));
        }
    }

    /// Reports what stayed silent, and what is left of the block's hosts.
    fn close_block(&mut self, state: &State<'a>, passes: u32, discovered: bool) {
        let is_silence_left = state.unsettled > 0;
        let missed = if is_silence_left {
            self.loss.missed(self.counts.open, passes)
        } else {
            0.0
        };
        self.counts.missed = self.counts.missed.max(missed);
        let lists_silent = self.plan.addresses().len() <= LISTED_SILENT && !discovered;
        if !self.is_over() {
            self.counts.done += u128::from(state.settled_count + state.unsettled);
            self.done_shown = self.done_shown.max(self.counts.done);
        }
        let now = self.clock.timestamp(self.clock.now());
        for host in 0..state.block.hosts() {
            let Some(address) = state.block.address(host) else {
                continue;
            };
            let known = state.host(host);
            if self.is_over() {
                self.counts.down += u128::from(matches!(known, Host::Down(_)));
                continue;
            }
            let reason = match known {
                Host::Up => Reason::NoResponse,
                Host::Unknown if lists_silent => Reason::NoResponse,
                Host::Down(reason) if lists_silent => reason,
                Host::Unreachable => continue,
                _ => {
                    self.counts.down += 1;
                    continue;
                }
            };
            if known != Host::Up {
                self.counts.down += 1;
                if self.options.discovery == Discovery::Skip {
                    (self.sink)(ScanEvent::HostUp(HostUp {
                        address,
                        reason: Reason::UserSet,
                        rtt: None,
                        ttl: None,
                        at: now,
                    }));
                }
            }
            if state.left[host as usize] == 0 || self.options.discovery == Discovery::Only {
                continue;
            }
            (self.sink)(ScanEvent::Ports(PortsFact {
                address,
                protocol: self.plan.protocol(),
                ports: state.silent_ports(host, self.plan.ports()),
                state: self.options.silent,
                reason,
                at: now,
            }));
            (self.sink)(ScanEvent::HostDone { address, at: now });
        }
    }

    fn report_progress_of(&mut self, state: &State<'a>, pass: &Pass, now: Duration) {
        if pass.walk == Walk::Pairs {
            // A silent pair counts by the passes that it has behind it.
            let passes = u128::from(self.passes().max(pass.number));
            let behind = u128::from(pass.number - 1) * u128::from(pass.end) + u128::from(pass.next);
            let all = (passes * u128::from(pass.end)).max(1);
            let silent = u128::from(state.unsettled) * behind / all;
            let done = self.counts.done + u128::from(state.settled_count) + silent;
            self.done_shown = self.done_shown.max(done);
        }
        self.report_progress(now);
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate to show")]
    fn report_progress(&mut self, now: Duration) {
        self.reported = now;
        self.recent.push_back((now, self.counts.sent));
        while self.recent.len() > 21 {
            self.recent.pop_front();
        }
        let (since, sent) = self.recent.front().copied().unwrap_or((self.started, 0));
        let span = now.saturating_sub(since).as_secs_f64();
        let rate = if span > 0.0 {
            (self.counts.sent - sent) as f64 / span
        } else {
            0.0
        };
        let total = u128::from(self.plan.len()).saturating_sub(self.counts.skipped);
        let done = self.done_shown.min(total);
        let elapsed = now.saturating_sub(self.started);
        let left = (done > 0 && done < total).then(|| {
            let share = done as f64 / total as f64;
            elapsed.mul_f64((1.0 / share - 1.0).min(1e6))
        });
        (self.sink)(ScanEvent::Progress(Progress {
            done,
            total,
            open: self.counts.open,
            hosts_up: self.counts.up,
            sent: self.counts.sent,
            rate,
            in_flight: self.pace.in_flight(),
            pass: self.pass_shown,
            rtt: self.pace.rtt().srtt(),
            loss: self.loss.measured().unwrap_or(0.0),
            elapsed,
            left,
        }));
    }
}

impl State<'_> {
    /// What is known of a host.
    fn host(&self, host: u32) -> Host {
        let known = self.hosts.get(host as usize);
        known.copied().unwrap_or(Host::Unreachable)
    }

    /// Notes what a host is; returns how many pairs need no asking for it any more, or need it
    /// again.
    fn set_host(&mut self, host: u32, now: Host) -> u128 {
        let Some(known) = self.hosts.get_mut(host as usize) else {
            return 0;
        };
        let was = std::mem::replace(known, now);
        let left = self.left.get(host as usize).copied().unwrap_or(0);
        match (was.is_asked(), now.is_asked()) {
            (true, false) => self.unsettled -= u64::from(left),
            (false, true) => self.unsettled += u64::from(left),
            _ => return 0,
        }
        left.into()
    }

    /// Settles a pair; returns whether it was not settled before.
    fn settle(&mut self, pair: u64, host: u32) -> bool {
        let new = self.settled.set(pair);
        if new {
            self.settled_count += 1;
            self.unsettled -= u64::from(self.host(host).is_asked());
            if let Some(left) = self.left.get_mut(host as usize) {
                *left = left.saturating_sub(1);
            }
        }
        new
    }

    /// The ports of a host that did not answer.
    fn silent_ports(&self, host: u32, ports: &[u16]) -> PortSet {
        let first = u64::from(host) * ports.len() as u64;
        (first..)
            .zip(ports)
            .filter(|(pair, _)| !self.settled.is_set(*pair))
            .map(|(_, &port)| port)
            .collect()
    }
}

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
