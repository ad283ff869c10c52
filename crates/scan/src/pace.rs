//! How fast: as fast as answers keep coming back.
//!
//! Time is cut into *rounds* of about a round-trip time. Of each round it is known how many
//! probes went out, how many of them were answered, and how long that took. A round that went
//! out faster than the path can carry shows in two ways: answers that were to be expected do
//! not come, or they all take longer than the path's lowest round-trip time, since they queue;
//! longer by more than they differ from each other anyway.
//! Random loss is told from that by its share, which does not grow with the rate: what is lost
//! at lower rates is the measure, and a cut is taken back when the rounds that had left as
//! quickly as the one that seemed to show an overload come through.
//!
//! What answers are to be expected is known from *sentinels*, ports that answered before and
//! are asked again, and from the share of the other probes that was answered so far: their
//! order is random, so that the share stays the same while nothing is wrong. When that share
//! falls while sentinels answer, it is the scanned host that limits its answers, not the path,
//! and going on at speed costs nothing.
//!
//! The rate doubles each round until a round shows overload; then it is set to what came
//! through, and creeps up again, quickly far from the rate that failed and slowly near it (as
//! CUBIC does, RFC 9438). Before anything has answered, the rate stays moderate.

use std::collections::VecDeque;
use std::time::Duration;

use crate::permutation::mix;
use crate::rtt::RoundTrip;

use follow::{Cut, Doubt, Wall};
use lately::Lately;
use losses::Losses;
use outage::{Dead, Memory, Outage};
use roughness::Roughness;
use round::{Reading, Round, Shortage};

mod follow;
pub(crate) mod host;
mod lately;
mod losses;
mod outage;
mod roughness;
mod round;

/// No round is shorter: it would hold too few probes to say anything.
const SHORTEST_ROUND: Duration = Duration::from_millis(2);

/// No round is longer: the rate would adapt too slowly.
const LONGEST_ROUND: Duration = Duration::from_millis(250);

/// How much time's worth of probes may go out at once: a short queue must hold them.
const BURST: Duration = Duration::from_millis(4);

/// What may go out within this time goes out together, where nothing else wakes us before.
const TOGETHER: Duration = Duration::from_millis(1);

/// So few go out together even if that takes longer, up to [`BURST`]: every queue holds them.
const FEW: f64 = 8.0;

/// So many answers must be expected of a round before it says anything.
const EVIDENCE: f64 = 3.5;

/// Sentinels in a round when other probes give enough evidence, when they do not, and when the
/// two kinds disagree.
const SENTINELS: [u32; 3] = [2, 4, 12];

/// A round of many probes has one sentinel for some of them, but no more than this.
const MOST_SENTINELS: u32 = 48;

/// At a bound of less than this a second, sentinels would be a large part of what goes out.
const HELD: f64 = 5_000.0;

/// A scan that may not ask more often than this a second overruns no path.
const SLOW: f64 = 20.0;

/// Bounds that do not depend on what the path answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Probes a second before anything has answered.
    pub initial: f64,
    /// Probes a second at the most.
    pub highest: f64,
    /// Probes a second at the least.
    pub lowest: f64,
    /// Probes that wait for an answer at once, at the most.
    pub in_flight: u32,
    /// A probe that is not answered after this is silent, at the soonest.
    pub shortest_wait: Duration,
    /// The same, at the latest.
    pub longest_wait: Duration,
}

/// What a finished round showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The path carried it: who was silent is silent.
    Carried,
    /// The path, or we, dropped too much of it: who was silent must be asked again.
    Overran,
}

/// What an answer was to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A port whose state is being asked.
    Probe,
    /// A port that is known to answer.
    Sentinel,
    /// A port whose state is being asked, from where it is always asked: it belongs to the same
    /// flow each time, and its answer does not tell which question it is to. It counts for no
    /// round.
    Kept,
}

/// How long an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// From the question to the answer.
    pub rtt: Duration,
    /// How much of it is more than the quickest answer of the same host took; `None` where it is
    /// the host's first.
    pub waited: Option<Duration>,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Which.
    pub round: u32,
    /// Whether the path carried it.
    pub verdict: Verdict,
    /// Sentinels of it that were lost, if they are open ports. Where it is asked again, they
    /// say nothing about what is missed in the end.
    pub sentinels_lost: u32,
}

/// Sets the rate of a scan over one path.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing learnt on its own, in any combination"
)]
pub struct Pace {
    limits: Limits,
    rtt: RoundTrip,
    rate: f64,
    /// Probes that may go out now.
    credit: f64,
    credited: Duration,
    rounds: VecDeque<Round>,
    /// The number of the first of `rounds`.
    first: u32,
    /// Doubling, until the first overload.
    doubling: bool,
    /// The rate that last overran the path.
    wall: Option<Wall>,
    /// Good rounds since then.
    streak: u32,
    /// When the rate was last cut: older rounds say nothing about the new rate.
    cut: Duration,
    /// The last cut for losses, while it may still turn out to have been for nothing.
    undecided: Option<Cut>,
    /// An overload whose cause is not known yet: rate and lost share when it began.
    episode: Option<(f64, f64)>,
    /// The share of probes that is answered while all is well.
    share: Option<f64>,
    /// What sentinels lose, and at which rate.
    losses: Losses,
    /// What too little came of, of rounds in a row.
    shortage: Shortage,
    /// How much the times of answers differ from each other.
    roughness: Roughness,
    heard: bool,
    /// Sentinels are open ports.
    trusts: bool,
    /// Closed ports are preferred as sentinels.
    spares_open: bool,
    doubt: Option<Doubt>,
    limited: bool,
    outage: Option<Outage>,
    /// The last rounds of which nothing came back, and the last one of which something did.
    dead: Option<Dead>,
    alive: u32,
    /// When something last came through again.
    reopened: Duration,
    memory: Option<Memory>,
    /// For how long something on the path shuts, after how many packets.
    shuts: Option<(Duration, u32)>,
    /// When the path last opened, and how many probes have gone out since.
    opened: Duration,
    sent_since: f64,
    /// What has gone out of late.
    lately: Lately,
    /// When a flow that the path knows was last asked in.
    checked: Option<Duration>,
    in_flight: u32,
    overruns: u32,
    heard_of: u64,
    /// The rate at which the narrowest place of the path carries, by rounds that were more.
    narrowest: Option<f64>,
    /// The highest rate of a round of which all came back.
    carried: f64,
    /// How often a table on the path may have dropped something.
    doubts: u32,
}

impl Pace {
    /// A pace that has heard nothing yet.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            rtt: RoundTrip::default(),
            rate: limits.initial.clamp(limits.lowest, limits.highest),
            credit: 1.0,
            credited: now,
            rounds: VecDeque::new(),
            first: 0,
            doubling: true,
            wall: None,
            streak: 0,
            cut: now,
            undecided: None,
            episode: None,
            share: None,
            losses: Losses::default(),
            shortage: Shortage::default(),
            roughness: Roughness::default(),
            heard: false,
            trusts: false,
            spares_open: false,
            doubt: None,
            limited: false,
            outage: None,
            dead: None,
            alive: 0,
            reopened: now,
            memory: None,
            shuts: None,
            opened: now,
            sent_since: 0.0,
            lately: Lately::default(),
            checked: None,
            in_flight: 0,
            overruns: 0,
            heard_of: 0,
            narrowest: None,
            carried: 0.0,
            doubts: 0,
        }
    }

    /// The round-trip times of the path.
    pub const fn rtt(&self) -> &RoundTrip {
        &self.rtt
    }

    /// Probes a second, as set now.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Probes that wait for an answer.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether the scanned side was seen to limit its answers.
    pub const fn is_limited(&self) -> bool {
        self.limited
    }

    /// How often the rate was found to be too high.
    pub const fn overruns(&self) -> u32 {
        self.overruns
    }

    /// Packets a second that the narrowest place of the path carries; `None` where that was not
    /// reached.
    pub const fn narrowest(&self) -> Option<f64> {
        self.narrowest
    }

    /// The highest rate that the path was seen to carry, in packets a second.
    pub const fn carried(&self) -> f64 {
        self.carried
    }

    /// How often the path, or a table on it, was found to drop, or may have dropped.
    pub const fn doubts(&self) -> u32 {
        self.overruns + self.doubts
    }

    /// Of how many sentinels it is known what became of them.
    pub const fn heard_of(&self) -> u64 {
        self.heard_of
    }

    /// Whether a rate was seen that the path does not carry.
    pub const fn is_narrow(&self) -> bool {
        self.wall.is_some() || self.overruns > 0
    }

    /// How long to wait before silence counts.
    pub fn wait(&self) -> Duration {
        let expected = self.rtt.expected();
        expected
            .max(self.limits.shortest_wait)
            .min(self.limits.longest_wait)
    }

    /// How many probes may go out now.
    pub fn allowance(&mut self, now: Duration) -> u32 {
        if self.outage.is_some() {
            // Sentinels alone see when it opens again.
            self.rate = self.outage_rate(now).min(self.limits.highest);
        }
        let passed = now.saturating_sub(self.credited).as_secs_f64();
        self.credited = now;
        let most = (self.rate * BURST.as_secs_f64()).max(1.0);
        self.credit = (self.credit + passed * self.rate).min(most);
        let room = self.limits.in_flight.saturating_sub(self.in_flight);
        truncate(self.credit).min(room)
    }

    /// Sends at up to `rate` while nothing has answered, so far as the limits allow.
    pub fn raise_unheard(&mut self, rate: f64) {
        if !self.heard {
            self.rate = rate.clamp(self.rate, self.limits.highest.max(self.rate));
        }
    }

    /// When the next probe may go out, so far as the rate decides.
    pub fn next_allowance(&self, now: Duration) -> Duration {
        self.allowance_of(1.0, now)
    }

    /// When it is worth waking up for the next probes: to wake up costs more than a probe. While
    /// the rate is still to be found, each shows the sooner how the path is the sooner it leaves:
    /// then they wait for each other no longer than a small part of a round trip.
    pub fn next_departure(&self, now: Duration) -> Duration {
        let in_time = |time: Duration| self.rate * time.as_secs_f64();
        let together = if self.doubling && self.rate < self.limits.highest {
            let rtt = self.rtt.lowest().unwrap_or_default();
            in_time(TOGETHER.min(rtt / 32))
        } else if self.rate >= self.limits.highest {
            // Whoever bounds the rate wants it even.
            in_time(TOGETHER)
        } else {
            in_time(TOGETHER).max(FEW.min(0.75 * in_time(BURST)))
        };
        self.allowance_of(together.max(1.0), now)
    }

    fn allowance_of(&self, probes: f64, now: Duration) -> Duration {
        let missing = (probes - self.credit).max(0.0) / self.rate;
        now + Duration::from_secs_f64(missing.min(3600.0))
    }

    /// The number of the round that what goes out now belongs to.
    pub fn round(&mut self, now: Duration) -> u32 {
        let open = self.rounds.back().is_some_and(|round| round.end.is_none());
        if !open {
            self.rounds.push_back(Round {
                start: now,
                end: None,
                rate: self.rate,
                sent: 0,
                kept: 0,
                sent_before: self.sent_since,
                lately: self.lately.within(now),
                answered: 0,
                sentinels: 0,
                sentinels_answered: 0,
                expected_share: self.share,
                timed: 0,
                waited: None,
                first_answer: None,
                last_answer: None,
                weighed: false,
                limited: false,
                trusted: !self.prefers_closed(),
                dropped: false,
                shut: false,
            });
        }
        self.first + as_u32(self.rounds.len()) - 1
    }

    /// The number that the next round will have.
    pub fn next_round(&self) -> u32 {
        self.first + as_u32(self.rounds.len())
    }

    /// Whether more may wait for an answer than do now.
    pub const fn has_room(&self) -> bool {
        self.in_flight < self.limits.in_flight
    }

    /// A probe of round `number` never went out, or its answer says nothing about the path.
    pub fn withdrawn(&mut self, number: u32, kind: Kind) {
        let place = number.checked_sub(self.first);
        let round = place.and_then(|place| self.rounds.get_mut(place as usize));
        if kind == Kind::Kept {
            return;
        }
        if let Some(round) = round {
            self.in_flight = self.in_flight.saturating_sub(1);
            match kind {
                Kind::Probe => round.sent = round.sent.saturating_sub(1),
                Kind::Kept => {}
                Kind::Sentinel => round.sentinels = round.sentinels.saturating_sub(1),
            }
        }
    }

    /// A probe of round `number` was answered, by an answer that may as well not have come: it
    /// shows how long the path takes, and nothing of what it loses.
    pub fn heard_aside(&mut self, number: u32, kind: Kind, trip: Option<Trip>) {
        self.heard = true;
        if let Some(trip) = trip {
            self.rtt.sample(trip.rtt);
        }
        self.withdrawn(number, kind);
    }

    /// Open ports serve as sentinels from now on.
    ///
    /// Until then all that answers is closed, and what is missing of it may have been limited
    /// by the scanned host as well as lost on the path. So the rate did not go below that of
    /// a path of which nothing is known, and what was learnt on the way is forgotten.
    pub fn trust_sentinels(&mut self, now: Duration) {
        if !self.trusts {
            self.trusts = true;
            self.doubling = true;
            self.wall = None;
            self.episode = None;
            self.undecided = None;
            self.losses = Losses::default();
            self.cut = now;
        }
    }

    /// Whether open ports serve as sentinels.
    pub const fn trusts(&self) -> bool {
        self.trusts
    }

    /// Closed ports that answer are there to serve as sentinels, and are to be preferred: they
    /// bother no service.
    pub const fn have_closed_sentinels(&mut self) {
        self.spares_open = true;
    }

    /// Whether sentinels are to be closed ports now. They serve until their silence could also
    /// mean that the host limits its resets.
    pub const fn prefers_closed(&self) -> bool {
        self.spares_open && self.doubt.is_none() && !self.limited && self.outage.is_none()
    }

    /// Whether the sentinels of the running round are closed ports.
    pub fn asks_closed(&self) -> bool {
        self.rounds.back().is_some_and(|round| !round.trusted)
    }

    /// Whether the path has closed: only sentinels are worth sending.
    pub const fn is_closed(&self) -> bool {
        self.outage.is_some()
    }

    /// How many sentinels the running round asks for by now: they are spread over its time, so
    /// that they meet what the others meet.
    pub fn sentinels_due(&self, now: Duration) -> u32 {
        let Some(round) = self.rounds.back().filter(|round| round.end.is_none()) else {
            return 0;
        };
        let expected = f64::from(round.sent) * round.expected_share.unwrap_or(0.0);
        let wanted = if self.doubt.is_some() {
            SENTINELS[2]
        } else if expected < EVIDENCE {
            SENTINELS[1]
        } else {
            SENTINELS[0]
        };
        let wanted = wanted.max((round.sent / 40).min(MOST_SENTINELS));
        if self.outage.is_some() {
            return 1;
        }
        // Sentinels come beside probes, not in their place.
        let most = if self.limits.highest < SLOW {
            0
        } else if self.memory.is_some() {
            // What the path bears is little: it is not to go into sentinels.
            (round.sent + round.kept) / 24 + 1
        } else if self.limits.highest < HELD && self.rate >= self.limits.highest {
            // Whoever bounds the rate so low wants it for their ports.
            round.sent / 16
        } else {
            round.sent / 3 + 1
        };
        let length = self.round_length().as_secs_f64();
        let passed = now.saturating_sub(round.start).as_secs_f64() / length;
        let by_now = f64::from(wanted) * passed;
        let due = truncate(by_now + self.moment(truncate(by_now))).max(1);
        due.min(wanted).min(most).saturating_sub(round.sentinels)
    }

    /// How much sooner than at the end of its part of the running round a sentinel is due, from 0
    /// to 1: by lot. What lets packets through at fixed times, as a policer does, is to meet
    /// sentinels as it meets the others.
    fn moment(&self, sentinel: u32) -> f64 {
        let round = u64::from(self.first) + self.rounds.len() as u64;
        let lot = mix(round << 32 | u64::from(sentinel)) >> 32;
        f64::from(u32::try_from(lot).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }

    /// A probe went out in the running round.
    pub fn sent(&mut self, kind: Kind) {
        self.credit -= 1.0;
        self.in_flight += u32::from(kind != Kind::Kept);
        self.sent_since += 1.0;
        self.lately.sent();
        if let Some(round) = self.rounds.back_mut() {
            match kind {
                Kind::Kept => round.kept += 1,
                Kind::Probe => round.sent += 1,
                Kind::Sentinel => round.sentinels += 1,
            }
        }
    }

    /// A probe of round `number` was answered; `trip` is `None` where it is not known how long
    /// that took.
    pub fn answered(&mut self, number: u32, kind: Kind, trip: Option<Trip>, now: Duration) {
        self.heard = true;
        if kind == Kind::Kept {
            self.hear_kept(now);
            return;
        }
        if let Some(trip) = trip {
            self.rtt.sample(trip.rtt);
            if let Some(waited) = trip.waited {
                self.roughness.note(waited);
            }
        }
        if let Some(outage) = self.outage
            && self.is_of_outage(number)
        {
            self.open_again(outage, now);
        }
        let Some(round) = number
            .checked_sub(self.first)
            .and_then(|place| self.rounds.get_mut(place as usize))
        else {
            // Later than its round was waited for: it counts for nothing but the time it took.
            return;
        };
        let (sent, answered) = match kind {
            Kind::Probe => (round.sent, &mut round.answered),
            Kind::Sentinel => (round.sentinels, &mut round.sentinels_answered),
            Kind::Kept => return,
        };
        if *answered >= sent {
            // A repetition.
            return;
        }
        *answered += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(waited) = trip.and_then(|trip| trip.waited) {
            round.timed += 1;
            round.waited = Some(round.waited.map_or(waited, |least| least.min(waited)));
        }
        round.first_answer.get_or_insert(now);
        round.last_answer = Some(now);
        self.note_alive(number);
    }

    /// This machine lost packets that came faster than it took them: of no round that is waited
    /// for is it known what came of it, and the rate is more than we can hear.
    pub fn overran_here(&mut self, now: Duration) {
        for round in &mut self.rounds {
            round.dropped = true;
        }
        // What is lost within a round trip of a cut may still be for the rate before it.
        if self.overruns == 0 || now >= self.cut + self.rtt.expected().min(self.wait()) {
            self.overruns += 1;
            self.doubling = false;
            self.set_wall(self.rate, 2, now);
            self.set_rate(self.rate * 0.7);
            self.cut = now;
        }
    }

    /// The order of asking changes its nature (a new pass): what share of it is answered is not
    /// known.
    pub fn forget_share(&mut self) {
        self.share = None;
        self.doubt = None;
    }

    /// The last round ends now, however short.
    pub fn end_round(&mut self, now: Duration) {
        if let Some(round) = self.rounds.back_mut()
            && round.end.is_none()
        {
            round.end = Some(now);
        }
    }

    /// Ends the running round when it is time, weighs the rounds whose answers should have
    /// come, and hands out the verdict on the oldest round that was waited for long enough.
    pub fn judge(&mut self, now: Duration) -> Option<Judgement> {
        self.end_when_due(now);
        let ready = self.rtt.expected().min(self.wait());
        for place in 0..self.rounds.len() {
            let round = &self.rounds[place];
            let all_in = round.waiting() == 0;
            match round.end {
                Some(end) if !round.weighed && (all_in || now >= end + ready) => {
                    // What this machine lost says nothing about the path.
                    if !round.dropped {
                        let reading = self.read(round);
                        self.follow(place, reading, now);
                    }
                    self.rounds[place].weighed = true;
                }
                Some(_) => {}
                None => break,
            }
        }
        let wait = self.wait();
        let round = self.rounds.front()?;
        let end = round.end?;
        // What follows may show that it overran the path at its end.
        let length = end.saturating_sub(round.start);
        let follows = length.min(wait);
        if !round.weighed || (round.waiting() > 0 && now < end + wait + 2 * follows) {
            return None;
        }
        let reading = self.read(round);
        let verdict = match reading {
            _ if round.dropped || round.shut => Verdict::Overran,
            Reading::Disagreed { .. } if round.limited => Verdict::Carried,
            Reading::Lost { .. } | Reading::Disagreed { .. } | Reading::Dead => Verdict::Overran,
            // A table that is full drops what is new, one here, one there.
            _ if self.memory.is_some_and(|memory| !memory.counts_packets)
                && self.losses.base(round.rate) < 0.02
                && round.sentinels_answered < round.sentinels =>
            {
                Verdict::Overran
            }
            _ if self
                .outage
                .is_some_and(|outage| end + length >= outage.since) =>
            {
                Verdict::Overran
            }
            _ => Verdict::Carried,
        };
        self.in_flight = self.in_flight.saturating_sub(round.waiting());
        let is_open = self.trusts && round.trusted;
        // What a queue dropped is lost for the rate, and says nothing about the path.
        let queued = matches!(reading, Reading::Queued { .. });
        let sentinels_lost = if is_open && !queued {
            round.sentinels.saturating_sub(round.sentinels_answered)
        } else {
            0
        };
        let number = self.first;
        self.rounds.pop_front();
        self.first += 1;
        Some(Judgement {
            round: number,
            verdict,
            sentinels_lost,
        })
    }

    /// Whether [`judge`](Self::judge) weighs or closes a round now.
    pub fn is_judging(&self, now: Duration) -> bool {
        let wait = self.wait();
        let ready = self.rtt.expected().min(wait);
        let is_over =
            |end: Option<Duration>, more: Duration| end.is_some_and(|end| now >= end + more);
        self.rounds
            .iter()
            .any(|round| !round.weighed && is_over(round.end, ready))
            || self
                .rounds
                .front()
                .is_some_and(|round| is_over(round.end, wait))
    }

    /// When [`judge`](Self::judge) has something to say next.
    pub fn next_judgement(&self) -> Option<Duration> {
        let wait = self.wait();
        let ready = self.rtt.expected().min(wait);
        let unweighed = self.rounds.iter().find(|round| !round.weighed);
        let weigh = unweighed.map(|round| match round.end {
            Some(end) => end + ready,
            None => round.start + self.round_length(),
        });
        let close = self.rounds.front().and_then(|round| {
            let end = round.end?;
            Some(end + wait + 2 * end.saturating_sub(round.start).min(wait))
        });
        weigh.into_iter().chain(close).min()
    }

    /// Whether nothing that was sent is still waited for.
    pub fn is_quiet(&self) -> bool {
        self.rounds.is_empty()
    }

    fn round_length(&self) -> Duration {
        let rtt = self.rtt.srtt().unwrap_or(LONGEST_ROUND);
        // The sooner a round ends, the sooner the next step up.
        let length = if self.doubling { rtt / 4 } else { rtt };
        length.clamp(SHORTEST_ROUND, LONGEST_ROUND)
    }

    fn end_when_due(&mut self, now: Duration) {
        let length = self.round_length();
        if let Some(round) = self.rounds.back_mut()
            && round.end.is_none()
            && now >= round.start + length
        {
            // A round with too little evidence goes on for a while.
            let expected = f64::from(round.sent) * round.expected_share.unwrap_or(0.0)
                + f64::from(round.sentinels);
            let patience = if self.memory.is_some() {
                4 * LONGEST_ROUND
            } else {
                LONGEST_ROUND
            };
            let patient = now < round.start + patience;
            let unsure = self.doubt.is_some() && round.sentinels < SENTINELS[1];
            if (unsure || expected < EVIDENCE) && self.heard && patient {
                return;
            }
            round.end = Some(now);
        }
    }
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and the number is not negative"
)]
const fn truncate(number: f64) -> u32 {
    number.max(0.0) as u32
}
