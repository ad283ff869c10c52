//! Sweeps: a few ports of whole networks, without a memory of what was asked.
//!
//! ```text
//! space (addresses × ports, permuted, sharded)
//!    │ steps of the schedule: walkers one behind the other
//!    v
//! jobs ─> transport (a keyed hash proves each answer) ─> answers ─> window (is it new?) ─> events
//!    ^                                                      │
//!    └──── pace, sentinels, loss, storm <───────────────────┘
//! ```
//!
//! Memory does not grow with the space: the window remembers which of the last positions
//! have answered, and what a [round](crate::pace) of the pace walked is forgotten once the round is
//! judged. Only open ports are reported; everything that answers serves to judge the path.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use portolan_model::event::{Endpoint, Finished, Outcome, Problem, Reached, ScanEvent, Started};
use portolan_model::{PortState, Protocol};

use crate::clock::Clock;
use crate::control::Control;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::hold::{Change, ENDED, Hold};
use crate::loss::Loss;
use crate::pace::{Judgement, Kind, Limits, Pace, Verdict};
use crate::permutation::mix;
use crate::quickest::Quickest;
use crate::recent::Recent;
use crate::request::Request;
use crate::run::{asked_ports, syn_options};
use crate::sentinels::Sentinels;
use crate::syn::Syn;
use crate::transport::{Job, Questions, Transport};

use liars::Liars;
use schedule::Schedule;
use storm::Storm;
use window::{Known, LARGEST, Window};

pub use space::Space;

mod answers;
mod liars;
mod report;
mod schedule;
mod space;
mod storm;
#[cfg(test)]
mod tests;
mod window;

/// Without a wish, a port is asked so often at the most, whatever is lost.
const MOST_WALKERS: u32 = 4;

/// So many questions to ports that are known to answer tell that a path loses nothing.
const MEASURED: u64 = 100;

/// So many questions tell whether the path carries what is sent: until then, a sweep is blind.
const SEEING: u64 = 20;

/// While nothing answers, a named rate is reached by doubling this often: silence is no sign of
/// overload, and a sweep of empty networks should end.
const RAISED_EVERY: Duration = Duration::from_millis(500);

/// Time between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// Time between two places that a sweep can go on from, and how much later than the judgement of
/// its round an answer may still come to be kept by both.
const REACHED_EVERY: Duration = Duration::from_secs(1);

/// While nothing else is due, look this often whether the user wants something.
const ATTENTION: Duration = Duration::from_millis(50);

/// Jobs that are handed over at once.
const BATCH: usize = 256;

/// Positions that are looked at before answers are taken again.
const STRIDE: u32 = 1 << 14;

/// What overran the path is asked again, but in all no more often than this times the space.
const REPEATS: u128 = 4;

/// Hosts that are known to have been announced; beyond, one with several open ports may be
/// announced again.
const HOSTS: usize = 1 << 17;

/// After the last probe, answers are waited for this long at least, and this long where too few
/// came to know how long they take.
const LAST_WAIT: Duration = Duration::from_millis(300);
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// So many answers show how long answers take.
const TIMED: u64 = 200;

/// Contact is lost when this many sentinels in a row, over this much time, stay unanswered.
const LOST_CONTACT: (u32, Duration) = (20, Duration::from_secs(15));

/// Sweeps to the end through `device`, and hands every fact to `sink` in the order of finding, on
/// the calling thread. The first event is `Started`, the last `Finished`.
///
/// # Errors
/// When it cannot start at all. What goes wrong later is an event.
pub fn run_sweep<D: Device, C: Clock + Clone>(
    request: &Request,
    device: D,
    clock: C,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Result<Finished> {
    let told = request.sweep.ok_or(Error::UnknownTechnique)?;
    let space = Space::new(
        request.addresses.clone(),
        request.ports.tcp(),
        request.seed,
        request.shard,
    )?;
    sink(ScanEvent::Started(Started {
        at: clock.timestamp(clock.now()),
        techniques: request.techniques.clone(),
        ports: asked_ports(request, Protocol::Tcp),
        addresses: request.addresses.len(),
        probes: space.len(),
        seed: request.seed,
        zones: request.zones.clone(),
    }));
    let options = syn_options(request);
    let sweep = Sweep {
        transport: Syn::new(device, clock.clone()),
        clock,
        control,
        sink,
        most: told.max_results.map_or(u64::MAX, Into::into),
        probes: told.probes.map(|probes| u32::from(probes.get())),
        named: request.pace.max_rate.is_some(),
        limits: options.limits,
        sentinel_gap: options.sentinel_gap,
    };
    let finished = Running::new(sweep, &space, request).run();
    Ok(finished)
}

/// What a sweep is given.
struct Sweep<'a, T, C> {
    transport: T,
    clock: C,
    control: &'a Control,
    sink: &'a mut dyn FnMut(ScanEvent),
    /// It ends after so many open ports.
    most: u64,
    /// How often each port is asked; `None` for as often as the loss demands.
    probes: Option<u32>,
    /// Whether the user named the highest rate.
    named: bool,
    limits: Limits,
    sentinel_gap: Duration,
}

/// Counts over the whole sweep.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    sent: u64,
    open: u64,
    up: u64,
    /// Answers of any kind that were new.
    heard: u64,
    /// Of these, those that only a later walker found.
    late: u64,
    no_route: u64,
    failed: u64,
}

/// What was asked before it could be seen whether the path carries it.
#[derive(Debug, Clone)]
enum Blind {
    /// It still cannot be seen.
    Still { from: u128 },
    /// These steps; whether the path is narrow is not sure yet.
    Was(Range<u128>),
    /// They were asked again, or need not be.
    Settled,
}

/// A sweep as it runs.
struct Running<'a, T, C> {
    given: Sweep<'a, T, C>,
    space: &'a Space,
    schedule: Schedule,
    window: Window,
    liars: Liars,
    pace: Pace,
    storm: Storm,
    sentinels: Sentinels,
    quickest: Quickest,
    /// Questions to sentinels in each round that is not judged yet: how many, and how many were
    /// answered.
    questions: VecDeque<(u32, u64, u64)>,
    /// The same in all rounds that the path carried.
    asked_again: u64,
    answered_again: u64,
    unheard_sentinels: u32,
    /// How many walkers there are, as far as the loss is known.
    walkers: u32,
    /// The steps that were walked before the answers could tell whether the path carries them.
    blind: Blind,
    /// The next step, and the walkers of this step that are done.
    step: u128,
    walker: u32,
    /// Where this part of the sweep began.
    first: u128,
    /// The steps that each round walked, oldest round first.
    stretches: VecDeque<(u32, Range<u128>)>,
    again: VecDeque<Range<u128>>,
    repeats: u128,
    hosts: HashSet<IpAddr>,
    counts: Counts,
    /// The first host without a route, and what the system said of the first that failed.
    no_route: Option<IpAddr>,
    failed: Option<(Endpoint, String)>,
    started: Duration,
    /// Time that the sweep was told to wait.
    idle: Duration,
    reported: Duration,
    recent: Recent,
    raised: Duration,
    heard_at: Duration,
    slowest: Duration,
    /// Where the sweep could have been gone on from at the last look, and when that was.
    reached: (Duration, u128),
    lost_contact: bool,
    /// Whether the way is down for now.
    hold: Hold,
}

impl<'a, T: Transport, C: Clock> Running<'a, T, C> {
    fn new(given: Sweep<'a, T, C>, space: &'a Space, request: &Request) -> Self {
        let now = given.clock.now();
        let most = given.probes.unwrap_or(MOST_WALKERS);
        let step = request.from.step;
        let window = Window::new(space.len(), LARGEST, 0);
        let schedule = Schedule::new(space.len(), window.size(), most);
        let window = Window::new(space.len(), LARGEST, schedule.head(step));
        let mut running = Self {
            pace: Pace::new(given.limits, now),
            sentinels: Sentinels::new(given.sentinel_gap),
            quickest: Quickest::default(),
            given,
            space,
            schedule,
            window,
            liars: Liars::new(request.ports.tcp().iter().collect::<Vec<_>>().into_iter()),
            first: step,
            storm: Storm::new(now),
            questions: VecDeque::new(),
            asked_again: 0,
            answered_again: 0,
            unheard_sentinels: 0,
            walkers: 1,
            blind: Blind::Still { from: step },
            step,
            walker: 0,
            stretches: VecDeque::new(),
            again: VecDeque::new(),
            repeats: space.len().saturating_mul(REPEATS),
            hosts: HashSet::new(),
            counts: Counts::default(),
            no_route: None,
            failed: None,
            started: now,
            idle: Duration::ZERO,
            reported: now,
            recent: Recent::new(Duration::ZERO),
            raised: now,
            heard_at: now,
            slowest: Duration::ZERO,
            reached: (now, step),
            lost_contact: false,
            hold: Hold::default(),
        };
        running.take_up(request);
        running.walkers = running.wanted_walkers();
        running
    }

    /// Marks what an earlier part has found, so that it is not reported again. A port that it found
    /// beyond the place where this part begins is asked again and dropped.
    fn take_up(&mut self, request: &Request) {
        let mut ahead = self.window.head();
        let known: Vec<u128> = request
            .settled
            .iter()
            .flat_map(|(&address, ports)| ports.tcp().iter().map(move |port| (address, port)))
            .filter_map(|(address, port)| {
                self.space.position_of(&Endpoint {
                    address,
                    protocol: Protocol::Tcp,
                    port,
                })
            })
            .collect();
        // All of them are found ports, so that they are kept even where the window is far: the
        // window is made to hold what lies between.
        for &position in &known {
            ahead = ahead.max(position + 1);
        }
        self.window
            .advance(ahead.min(self.window.head() + self.window.size()));
        for position in known {
            self.window.answered(position);
            // Where nobody is left who answers, they show what the path carries.
            if let Some(endpoint) = self.space.at(position) {
                self.sentinels.offer(endpoint, PortState::Open);
            }
        }
        self.hosts.extend(request.settled.keys().take(HOSTS));
        self.counts.up = request.settled.len() as u64;
        self.counts.open = request
            .settled
            .values()
            .map(|ports| ports.tcp().len() as u64)
            .sum();
    }

    fn run(mut self) -> Finished {
        self.walk();
        if self.given.control.is_stopped() {
            self.hear_in_flight();
        } else {
            self.hear_the_last();
        }
        self.finish()
    }

    /// What the path loses: by the questions to sentinels, and once there is a second walker by
    /// what only a later one found.
    fn loss(&self) -> Loss {
        let answered = self.answered_again.min(self.asked_again);
        let lost = self.asked_again - answered;
        if self.counts.late == 0 {
            Loss::of(answered, lost)
        } else {
            let first = self.counts.heard - self.counts.late;
            Loss::of(answered + first, lost + self.counts.late)
        }
    }

    /// How many walkers there are to be, by what is lost.
    fn wanted_walkers(&self) -> u32 {
        if let Some(probes) = self.given.probes {
            return probes.max(1);
        }
        let loss = self.loss();
        match loss.measured() {
            Some(0.0) if self.asked_again >= MEASURED => 1,
            Some(_) => loss.passes(self.counts.open).min(MOST_WALKERS),
            None => 2,
        }
    }

    fn is_over(&self) -> bool {
        self.given.control.is_stopped() || self.lost_contact || self.counts.open >= self.given.most
    }

    fn walk(&mut self) {
        let mut answers = Vec::new();
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            let now = self.given.clock.now();
            self.take_verdicts(now);
            if self.is_over() {
                return;
            }
            if self.is_walked() {
                self.pace.end_round(now);
                if self.pace.is_quiet() {
                    self.walkers = self.wanted_walkers();
                    self.open_eyes();
                    if self.is_walked() {
                        return;
                    }
                }
            } else if !self.given.control.is_paused() && !self.hold.is_down() {
                self.send(&mut jobs, now);
            }
            let until = if self.hold.is_down() {
                now + ATTENTION
            } else {
                self.wake(now)
            };
            self.given.transport.poll(until, &mut answers);
            for answer in answers.drain(..) {
                self.take(&answer);
            }
            self.look(self.given.clock.now());
        }
    }

    /// Whether every walker has come to the end.
    fn is_walked(&self) -> bool {
        self.again.is_empty() && self.step >= self.schedule.end(self.walkers)
    }

    /// When there is something to do again, if no answer comes before.
    fn wake(&self, now: Duration) -> Duration {
        let mut until = now + ATTENTION;
        if let Some(judgement) = self.pace.next_judgement() {
            until = until.min(judgement);
        }
        if !self.is_walked() && !self.given.control.is_paused() && self.pace.has_room() {
            until = until.min(self.pace.next_departure(now));
        }
        if self.storm.most().is_some() {
            until = until.min(now + Duration::from_millis(1)).max(now);
        }
        until.max(now)
    }

    /// What is due from time to time.
    fn look(&mut self, now: Duration) {
        let lost = if now >= self.reported + PROGRESS {
            Some(self.given.transport.lost())
        } else {
            None
        };
        if let Some(lost) = lost {
            self.storm.look(lost, self.pace.rate(), now);
            self.walkers = self.wanted_walkers();
            self.open_eyes();
            self.report_progress(now);
        }
        if self.given.named && self.counts.heard == 0 && now >= self.raised + RAISED_EVERY {
            self.raised = now;
            self.pace.raise_unheard(2.0 * self.pace.rate());
        }
        if now >= self.reached.0 + REACHED_EVERY {
            let step = self.reached.1;
            (self.given.sink)(ScanEvent::Reached(Reached {
                step,
                ..Reached::default()
            }));
            self.reached = (now, self.judged());
        }
    }

    /// Asks again what went out before it could be seen that the path is narrow.
    fn open_eyes(&mut self) {
        let is_narrow = self.pace.is_narrow();
        self.blind = match std::mem::replace(&mut self.blind, Blind::Settled) {
            Blind::Still { from } if self.asked_again >= SEEING => Blind::Was(from..self.step),
            Blind::Was(steps) if is_narrow && self.given.probes.is_none() && !steps.is_empty() => {
                self.again.push_back(steps);
                Blind::Settled
            }
            Blind::Was(_) if self.asked_again >= MEASURED => Blind::Settled,
            other => other,
        };
    }

    /// The first step that may still be waited for.
    fn judged(&self) -> u128 {
        let waiting = self.stretches.iter().map(|(_, stretch)| stretch.start);
        let again = self.again.iter().map(|stretch| stretch.start);
        waiting.chain(again).fold(self.step, u128::min)
    }

    /// Takes the pace's verdicts: what overran the path is asked again.
    fn take_verdicts(&mut self, now: Duration) {
        while let Some(Judgement { round, verdict, .. }) = self.pace.judge(now) {
            while let Some(&(of, asked, answered)) = self.questions.front()
                && of <= round
            {
                self.questions.pop_front();
                // What we ourselves overran says nothing of what the path loses by itself.
                if of < round || verdict == Verdict::Carried {
                    self.asked_again += asked;
                    self.answered_again += answered;
                }
            }
            while let Some((of, stretch)) = self.stretches.front().cloned()
                && of <= round
            {
                self.stretches.pop_front();
                if of < round || verdict == Verdict::Carried || self.given.probes.is_some() {
                    continue;
                }
                let length = stretch.end - stretch.start;
                if let Some(left) = self.repeats.checked_sub(length) {
                    self.repeats = left;
                    self.again.push_back(stretch);
                }
            }
        }
        let problem = if let Some(failure) = self.look_at_the_way(now) {
            Some((format!("the sweep cannot go on: {failure}"), ENDED))
        } else if self.unheard_sentinels >= LOST_CONTACT.0 && now >= self.heard_at + LOST_CONTACT.1
        {
            Some((
                format!(
                    "nothing answers any more since {} seconds, not even ports that did",
                    LOST_CONTACT.1.as_secs()
                ),
                "a firewall may have shut us out, or the path is down; \
                 sweep the rest later, with a lower `--max-rate`",
            ))
        } else {
            None
        };
        if let Some((message, hint)) = problem
            && !self.lost_contact
        {
            self.lost_contact = true;
            (self.given.sink)(ScanEvent::Problem(Problem {
                about: String::new(),
                message,
                hint: Some(hint.to_owned()),
                left_out: true,
            }));
        }
    }

    /// Where the way is down, waits for it to come back, and then asks again what was on its way;
    /// returns why it does not come back.
    fn look_at_the_way(&mut self, now: Duration) -> Option<String> {
        let note = match self.hold.look(self.given.transport.failure(), now) {
            Change::None => None,
            Change::Down(note) => {
                // Of what is not judged yet it is not known what came of it.
                self.pace.overran_here(now);
                self.pace.forget_share();
                self.questions.clear();
                let walked = self.stretches.drain(..).map(|(_, stretch)| stretch);
                self.again.extend(walked);
                note
            }
            Change::Up(note) => {
                self.unheard_sentinels = 0;
                self.heard_at = self.heard_at.max(now);
                note
            }
            Change::Over(failure) => return Some(failure),
        };
        if let Some(note) = note {
            (self.given.sink)(ScanEvent::Problem(note));
        }
        None
    }

    /// Hands over as many jobs as pace and transport take now.
    fn send(&mut self, jobs: &mut Vec<Job>, now: Duration) {
        let room = self.given.transport.room().min(BATCH);
        let allowed = (self.pace.allowance(now) as usize).min(room);
        let allowed = self.storm.allowance(allowed, now);
        if allowed == 0 {
            return;
        }
        let round = self.pace.round(now);
        let patience = self.pace.wait();
        let job = |endpoint, kind| Job {
            endpoint,
            round,
            kind,
            at: now,
            patience,
            look: None,
            questions: Questions::All,
        };
        jobs.clear();
        let mut looked_at = 0;
        // A queue drops the end of a burst: sentinels stand anywhere in it.
        let place = usize::try_from(mix(self.counts.sent) % allowed as u64).unwrap_or(0);
        while jobs.len() < allowed {
            if (jobs.len() >= place || self.pace.is_closed())
                && self.pace.sentinels_due(now) > 0
                && let Some(endpoint) = self.sentinels.next(now, false, self.unheard_sentinels == 0)
            {
                self.pace.sent(Kind::Sentinel);
                self.unheard_sentinels += 1;
                match self.questions.back_mut() {
                    Some((of, asked, _)) if *of == round => *asked += 1,
                    _ => self.questions.push_back((round, 1, 0)),
                }
                jobs.push(job(endpoint, Kind::Sentinel));
                continue;
            }
            if looked_at >= STRIDE || self.pace.is_closed() {
                break;
            }
            looked_at += 1;
            let Some(position) = self.next_position(round) else {
                break;
            };
            if self.window.look(position) == Known::Silent
                && let Some(endpoint) = self.space.at(position)
            {
                self.pace.sent(Kind::Probe);
                jobs.push(job(endpoint, Kind::Probe));
            }
        }
        self.counts.sent += jobs.len() as u64;
        self.storm.sent(jobs.len() as u64);
        self.given.transport.submit(jobs);
    }

    /// The next position of the walk, noted as walked in `round`; `None` at the end.
    fn next_position(&mut self, round: u32) -> Option<u128> {
        loop {
            let walkers = self.walkers;
            let (step, is_again) = match self.again.front() {
                Some(stretch) => (stretch.start, true),
                None if self.step < self.schedule.end(walkers) => (self.step, false),
                None => return None,
            };
            let on_their_way = self.schedule.walkers(step, walkers);
            let walker = self.walker.max(on_their_way.start);
            if walker >= on_their_way.end {
                self.walker = 0;
                if is_again {
                    if let Some(stretch) = self.again.front_mut() {
                        stretch.start += 1;
                        if stretch.start >= stretch.end {
                            self.again.pop_front();
                        }
                    }
                } else {
                    self.step += 1;
                }
                continue;
            }
            self.walker = walker + 1;
            self.note(round, step);
            self.window.advance(self.schedule.head(step + 1));
            if let Some(position) = self.schedule.position(step, walker) {
                return Some(position);
            }
        }
    }

    fn note(&mut self, round: u32, step: u128) {
        match self.stretches.back_mut() {
            Some((of, stretch)) if *of == round && (stretch.end == step + 1) => {}
            Some((of, stretch)) if *of == round && stretch.end == step => stretch.end = step + 1,
            _ => self.stretches.push_back((round, step..step + 1)),
        }
    }

    fn finish(mut self) -> Finished {
        for fact in self.liars.release() {
            if self.counts.open < self.given.most {
                self.tell_open(fact);
            }
        }
        self.tell_what_is_left_out();
        let now = self.given.clock.now();
        self.report_progress(now);
        let is_enough = self.counts.open >= self.given.most;
        let is_left_out = self.counts.no_route > 0 || self.counts.failed > 0;
        let walked = self.step >= self.schedule.end(1);
        let loss = self.loss();
        let finished = Finished {
            at: self.given.clock.timestamp(now),
            outcome: if self.given.control.is_stopped() && !is_enough {
                Outcome::Interrupted
            } else if self.lost_contact || is_left_out {
                Outcome::Incomplete
            } else {
                Outcome::Complete
            },
            elapsed: self.ran(now),
            hosts_up: self.counts.up,
            hosts_down: 0,
            sent: self.counts.sent,
            loss: loss.told(),
            expected_missed: if walked { self.missed() } else { 0.0 },
        };
        (self.given.sink)(ScanEvent::Finished(finished.clone()));
        finished
    }
}
