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

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use portolan_model::event::{Endpoint, Finished, Outcome, Reached, ScanEvent};
use portolan_model::spec::Discovery;
use portolan_model::{PortState, services};

use crate::bits::Bits;
use crate::clock::Clock;
use crate::control::Control;
use crate::discovery::Suspects;
use crate::hold::Hold;
use crate::loss::Loss;
use crate::pace::{Limits, Pace};
use crate::plan::{Block, Plan};
use crate::quickest::Quickest;
use crate::recent::Recent;
use crate::request::Settled;
use crate::sentinels::Sentinels;
use crate::transport::Transport;
use crate::unreached::Unreached;

use ahead::Ahead;
use asked_out::AskedOut;
use discover::{Found, LOOKS};
use earlier::Taken;
use limited::Limited;
pub(crate) use settle::Settling;
use settle::{Slows, Told};
use state::{Host, State};
use walk::Walk;
pub use walk::beginning;

mod ahead;
pub(crate) mod answers;
mod asked_out;
mod discover;
mod doubt;
mod earlier;
mod give_up;
mod limited;
mod report;
mod settle;
mod state;
mod walk;
mod waning;

/// Time between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// While nothing else is due, look this often whether the user wants something.
const ATTENTION: Duration = Duration::from_millis(50);

/// What overran the path is asked again in the same pass, but a pass is never walked more often
/// than this: a path that drops whatever is done must not hold a scan for ever.
const REPEATS: u64 = 8;

/// Jobs that are handed over at once.
const BATCH: usize = 256;

/// Ports of a host that an earlier part of the scan heard from, which are asked again.
const ANSWERED: usize = 2;

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
    /// A host that answered is asked for no longer than this.
    pub(crate) host_timeout: Option<Duration>,
    /// How ports that are silent are told apart in the end; `None` where silence says what they
    /// are.
    pub(crate) settling: Option<Settling>,
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
    /// How far that part has come.
    pub(crate) from: Reached,
    /// The ports that are asked first, where there are few hosts.
    pub(crate) likely: Vec<u16>,
    /// Where the running pass begins, if not at its beginning.
    pass_from: u64,
    /// The block that is scanned, when that began, and when its hosts were found up.
    block: u64,
    block_started: Duration,
    up_at: HashMap<u32, Duration>,
    /// Hosts that were given up.
    given_up: u64,
    /// Where the scan could have been gone on from at the last look, and when that was.
    reached: (Duration, Reached),
    pace: Pace,
    /// What became of probes to open ports and to sentinels.
    loss: Loss,
    /// The same of closed ports, whose answers a host may hold back.
    closed_loss: Loss,
    /// The port that is always asked within the same flow.
    steady: Option<Endpoint>,
    /// How long the quickest answer of a host took.
    quickest: Quickest,
    sentinels: Sentinels,
    unreached: Unreached,
    /// The stretches of the order that each round walked, oldest round first.
    stretches: VecDeque<(u32, Vec<Range<u64>>)>,
    counts: Counts,
    started: Duration,
    reported: Duration,
    recent: Recent,
    heard_at: Duration,
    /// The longest that a first answer took.
    slowest: Duration,
    unheard_sentinels: u32,
    lost_contact: bool,
    /// Whether the way is down for now.
    hold: Hold,
    /// Packets that this machine lost on their way in.
    dropped: u64,
    limit_shown: bool,
    limited: Limited,
    pass_shown: u32,
    /// Pairs done, as last shown: it never goes back.
    done_shown: u128,
    /// What of that an earlier part of the scan did, as far as it is known.
    taken: Taken,
    /// Time that the scan was told to wait.
    idle: Duration,
    /// Whether hosts are being looked for.
    looking: bool,
    found: Found,
    suspects: Suspects,
    /// What hosts of the block have told of their ports by ICMP errors.
    told: HashMap<u32, Told>,
    slows: Slows,
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
            from: Reached::default(),
            likely: services::ranked(plan.protocol()).to_vec(),
            pass_from: 0,
            block: 0,
            block_started: now,
            up_at: HashMap::new(),
            given_up: 0,
            reached: (now, Reached::default()),
            pace: Pace::new(options.limits, now),
            loss: Loss::default(),
            closed_loss: Loss::default(),
            steady: None,
            quickest: Quickest::default(),
            sentinels: Sentinels::new(options.sentinel_gap),
            unreached: Unreached::default(),
            stretches: VecDeque::new(),
            counts: Counts::default(),
            started: now,
            reported: now,
            recent: Recent::new(Duration::ZERO),
            heard_at: now,
            slowest: Duration::ZERO,
            unheard_sentinels: 0,
            lost_contact: false,
            hold: Hold::default(),
            dropped: 0,
            limit_shown: false,
            limited: Limited::default(),
            pass_shown: 1,
            done_shown: 0,
            taken: Taken::default(),
            idle: Duration::ZERO,
            looking: false,
            found: Found::default(),
            suspects: Suspects::none(),
            told: HashMap::new(),
            slows: Slows::default(),
            clock,
        }
    }

    /// Asks everything, block by block, and says how it went. `Started` and `Finished` are the
    /// caller's to send.
    pub(crate) fn run(&mut self) -> Finished {
        let first = u64::try_from(self.from.step).unwrap_or(u64::MAX);
        self.reached.1 = self.from;
        self.pass_over(first);
        for number in first..self.plan.blocks() {
            if self.control.is_stopped() || self.lost_contact {
                break;
            }
            self.block = number;
            self.run_block(self.plan.block(number));
            if !self.is_over() {
                self.from = Reached {
                    step: u128::from(number) + 1,
                    ..Reached::default()
                };
                self.note_reached(self.clock.now(), self.from);
            }
        }
        let (protocol, silent) = (self.plan.protocol(), self.options.silent);
        let budget = self.options.settling.and_then(|of| of.budget);
        let mut problems = self.limited.notes(protocol, silent, budget);
        problems.extend(self.unreached.problems(self.plan));
        problems.extend(self.note_of_shutting());
        for problem in problems {
            (self.sink)(ScanEvent::Problem(problem));
        }
        self.report_progress(self.clock.now());
        self.report_path();
        let now = self.clock.now();
        Finished {
            at: self.clock.timestamp(now),
            outcome: if self.control.is_stopped() {
                Outcome::Interrupted
            } else if self.lost_contact || self.given_up > 0 || self.unreached.is_left_out() {
                Outcome::Incomplete
            } else {
                Outcome::Complete
            },
            elapsed: self.ran(now),
            hosts_up: self.counts.up,
            hosts_down: self.counts.down,
            sent: self.counts.sent,
            loss: self.seen_loss().told(),
            expected_missed: self.counts.missed,
        }
    }

    fn run_block(&mut self, block: Block<'a>) {
        let hosts = block.hosts() as usize;
        let ports = self.plan.ports().len();
        let mut state = State {
            settled: Bits::new(block.pairs()),
            asked_out: AskedOut::default(),
            ahead: Ahead::default(),
            hosts: vec![Host::Unknown; hosts],
            left: vec![u32::try_from(ports).unwrap_or(u32::MAX); hosts],
            unsettled: block.pairs(),
            settled_count: 0,
            block,
        };
        self.block_started = self.clock.now();
        self.up_at.clear();
        self.told.clear();
        self.take_up(&mut state);
        let only_hosts = self.options.discovery == Discovery::Only;
        let discovers = self.discovers();
        self.found = Found::default();
        self.suspects = if only_hosts {
            Suspects::none()
        } else if self.options.settling.is_some() {
            // What answers a datagram is rarely nobody, and is told at once.
            Suspects::new(state.block.hosts(), ports, self.plan.seed()).holding(Duration::ZERO)
        } else {
            Suspects::new(state.block.hosts(), ports, self.plan.seed())
                .drawing_from(self.plan.ports())
        };
        let mut passes = 0;
        if discovers && self.from.pass > 0 && self.from.position < LOOKS {
            // An earlier part of the scan has looked for them.
            self.take_up_found(&state);
        } else if discovers {
            self.discover(&mut state);
        }
        if !only_hosts && !self.is_over() {
            passes = if discovers {
                self.ask_found(&mut state)
            } else {
                self.ask_pairs(&mut state)
            };
            self.hear_the_last(&mut state);
            self.settle(&mut state, passes);
            self.hear_drawn(&mut state);
        }
        if self.control.is_stopped() && !self.hold.is_down() {
            self.hear_in_flight(&mut state);
        }
        self.decide_all(&mut state);
        self.close_block(&state, passes, discovers);
    }

    /// Marks what is known already: its hosts are up, its ports are not asked.
    ///
    /// Of a host that was not done, what is known has answered: silent ports are told at its end.
    /// Some of it is asked again, so that this part soon knows what the path bears and loses.
    fn take_up(&mut self, state: &mut State<'a>) {
        let is_begun = self.from.pass > 0;
        for (&address, ports) in self.settled {
            let Some(host) = state.block.host_of(address) else {
                continue;
            };
            state.set_host(host, Host::Up);
            self.up_at.insert(host, self.block_started);
            self.counts.up += 1;
            for port in ports.of(self.plan.protocol()).iter() {
                if let Some(pair) = state.block.pair(host, port) {
                    state.settle(pair, host);
                }
            }
            if self.options.discovery == Discovery::Only {
                // Most hosts answer echo requests, and one that does not is soon let go.
                let endpoint = Endpoint {
                    address,
                    protocol: portolan_model::Protocol::Tcp,
                    port: 0,
                };
                self.sentinels.offer(endpoint, PortState::Closed);
            }
            let answered = ports.of(self.plan.protocol()).iter().take(ANSWERED);
            for port in answered.filter(|_| state.lacks(host)) {
                let endpoint = Endpoint {
                    address,
                    protocol: self.plan.protocol(),
                    port,
                };
                self.sentinels.offer(endpoint, PortState::Closed);
            }
        }
        self.taken.begin(state.settled_count.into(), is_begun);
    }

    fn is_over(&self) -> bool {
        self.control.is_stopped() || self.lost_contact
    }

    /// Asks the pairs of the block until silence is proven; returns how often.
    fn ask_pairs(&mut self, state: &mut State<'a>) -> u32 {
        let mut again = self.looks_ahead(state);
        again.extend(self.primed(state));
        let end = state.block.pairs();
        // An earlier part of the scan has these passes behind it, and some of the next.
        let taken_up = std::mem::take(&mut self.from);
        let mut number = taken_up.pass.saturating_sub(1);
        self.pass_from = taken_up.position;
        loop {
            number += 1;
            let first = std::mem::take(&mut again);
            let before = state.settled_count;
            self.run_pass(state, Walk::Pairs, number, 0..end, first);
            // Of a pass that was begun earlier, some of what is asked is asked for the first time.
            let is_whole = number != taken_up.pass;
            if self.is_over() || self.is_proven(state, number, is_whole.then_some(before)) {
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

    /// The loss of the path: closed ports say nothing of it where they answer less than others,
    /// and those of UDP never do.
    fn measured(&self) -> Loss {
        // Of ICMP errors every host sends fewer than it might (RFC 1812, 4.3.2.8).
        if self.plan.protocol() == portolan_model::Protocol::Udp {
            self.loss
        } else {
            self.loss.with_closed(&self.closed_loss)
        }
    }

    /// The loss that is told at the end. Where hosts limit what they say of closed ports, these
    /// lose nothing on the way, however late they are told of.
    fn seen_loss(&self) -> Loss {
        if self.limited.count > 0 {
            self.loss
        } else {
            self.measured()
        }
    }

    /// Whether what stays silent after so many passes is: `before` pairs were settled before the
    /// last of them, if that is known.
    fn is_proven(&self, state: &State<'a>, passes: u32, before: Option<u64>) -> bool {
        let too_many = |before| self.revived_too_many(state, passes, before);
        state.unsettled == 0 || passes >= self.passes() && !before.is_some_and(too_many)
    }

    /// Whether more of what had been silent answered in the last pass than the measured loss
    /// explains: then more than was measured is lost, and another pass finds more.
    #[expect(clippy::cast_precision_loss, reason = "counts of ports")]
    fn revived_too_many(&self, state: &State<'a>, passes: u32, before: u64) -> bool {
        // Who limits what they say of closed ports answers late for that.
        let limits = self.limited.count > 0 || self.pace.is_limited();
        let is_fixed = self.options.passes.is_some() || !(2..crate::loss::MOST).contains(&passes);
        if is_fixed || limits || self.plan.protocol() == portolan_model::Protocol::Udp {
            return false;
        }
        let share = (1..passes).fold(1.0, |share, _| share * self.measured().expected());
        let expected = state.settled_count as f64 * share;
        let revived = state.settled_count.saturating_sub(before) as f64;
        revived > expected + 3.0 * (expected + 1.0).sqrt()
    }

    fn passes(&self) -> u32 {
        self.options
            .passes
            .unwrap_or_else(|| self.measured().passes(self.counts.open))
    }
}

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
