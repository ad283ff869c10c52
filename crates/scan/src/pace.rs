//! How fast: as fast as answers keep coming back.
//!
//! Time is cut into *rounds* of about a round-trip time. Of each round it is known how many
//! probes went out, how many of them were answered, and how long that took. A round that went
//! out faster than the path can carry shows in two ways: answers that were to be expected do
//! not come, or they all take longer than the path's lowest round-trip time, since they queue.
//! Random loss shows in neither way: its share does not grow with the rate.
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

use crate::rtt::RoundTrip;

/// No round is shorter: it would hold too few probes to say anything.
const SHORTEST_ROUND: Duration = Duration::from_millis(2);

/// No round is longer: the rate would adapt too slowly.
const LONGEST_ROUND: Duration = Duration::from_millis(250);

/// How much time's worth of probes may go out at once: a short queue must hold them.
const BURST: Duration = Duration::from_millis(4);

/// What lasts longer, and nothing came through meanwhile, is a table that is full or a firewall
/// that has shut: it opens by time.
const SHORTEST_OUTAGE: Duration = Duration::from_millis(500);

/// While nothing comes through, so many sentinels a second see whether it does again.
const OUTAGE_RATE: f64 = 10.0;

/// So many answers must be expected of a round before it says anything.
const EVIDENCE: f64 = 3.5;

/// Sentinels in a round when other probes give enough evidence, when they do not, and when the
/// two kinds disagree.
const SENTINELS: [u32; 3] = [2, 4, 12];

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
}

/// Probes that went out within about a round-trip time.
#[derive(Debug, Clone)]
struct Round {
    start: Duration,
    end: Option<Duration>,
    /// The rate that was set.
    rate: f64,
    sent: u32,
    answered: u32,
    sentinels: u32,
    sentinels_answered: u32,
    /// The share of answers that was to be expected when it started.
    expected_share: Option<f64>,
    /// The lowest round-trip time of its answers.
    rtt: Option<Duration>,
    first_answer: Option<Duration>,
    last_answer: Option<Duration>,
    weighed: bool,
    /// It was weighed, and what was missing of it was found to be held back at the other end.
    limited: bool,
    /// Its sentinels are open ports, whose answers nobody limits.
    trusted: bool,
}

impl Round {
    fn waiting(&self) -> u32 {
        (self.sent + self.sentinels).saturating_sub(self.answered + self.sentinels_answered)
    }
}

/// The path has closed altogether: nothing comes back, not even from sentinels.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// When what was lost had begun to be sent.
    since: Duration,
    /// The rate until then.
    rate: f64,
    /// Probes that went out from the last recovery until then.
    carried: f64,
}

/// What an outage has taught: a table on the path that fills, or a firewall that counts.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// How long the path remembers, about.
    time: Duration,
    /// The rate that it bore on average, and when that was learnt.
    rate: f64,
    at: Duration,
    /// Sentinels since then, and how many of them were lost.
    asked: u32,
    lost: u32,
}

impl Memory {
    /// Whether more is lost than the path loses at any rate.
    fn overflows(&self, base_loss: f64) -> bool {
        self.asked >= 12 && f64::from(self.lost) > f64::from(self.asked) * (base_loss + 0.08)
    }

    /// The rate to try: more only after it has borne this one for as long as it remembers, and
    /// then little by little.
    fn rate_to_try(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let times = passed / self.time.as_secs_f64().max(0.25);
        self.rate * 1.03f64.powf((times - 3.0).max(0.0))
    }
}

/// How a round is read, before the rate follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reading {
    /// Too few answers were to be expected.
    Nothing,
    /// What was expected came.
    Fine,
    /// It came, but it queued; so much a second came through.
    Queued { delivered: f64 },
    /// Too little came; this share of it was lost.
    Lost { share: f64 },
    /// Nothing came at all.
    Dead,
    /// Sentinels answered, other probes less than before, by this share.
    Disagreed { share: f64 },
}

/// Rounds in which sentinels and other probes disagreed, one after another.
#[derive(Debug, Clone, Copy, Default)]
struct Doubt {
    /// The logarithm of the chance that all the sentinels that answered would have come through
    /// if the path had lost the share that was missing of the others.
    chance: f64,
}

/// With a chance below this, it was not the path.
const BEYOND_DOUBT: f64 = 0.005;

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
    /// The rate that last overran the path, and when.
    wall: Option<(f64, Duration)>,
    /// Good rounds since then.
    streak: u32,
    /// When the rate was last cut: older rounds say nothing about the new rate.
    cut: Duration,
    /// An overload whose cause is not known yet: rate and lost share when it began.
    episode: Option<(f64, f64)>,
    /// The share of probes that is answered while all is well.
    share: Option<f64>,
    /// The share of sentinels that is lost at any rate.
    base_loss: f64,
    heard: bool,
    /// Sentinels are open ports.
    trusts: bool,
    /// Closed ports are preferred as sentinels.
    spares_open: bool,
    doubt: Option<Doubt>,
    limited: bool,
    outage: Option<Outage>,
    /// The last round of which nothing came back.
    dead: Option<u32>,
    memory: Option<Memory>,
    /// When the path last opened, and how many probes have gone out since.
    opened: Duration,
    sent_since: f64,
    in_flight: u32,
    overruns: u32,
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
            episode: None,
            share: None,
            base_loss: 0.0,
            heard: false,
            trusts: false,
            spares_open: false,
            doubt: None,
            limited: false,
            outage: None,
            dead: None,
            memory: None,
            opened: now,
            sent_since: 0.0,
            in_flight: 0,
            overruns: 0,
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
            self.rate = OUTAGE_RATE.min(self.limits.highest);
        }
        let passed = now.saturating_sub(self.credited).as_secs_f64();
        self.credited = now;
        let most = (self.rate * BURST.as_secs_f64()).max(1.0);
        self.credit = (self.credit + passed * self.rate).min(most);
        let room = self.limits.in_flight.saturating_sub(self.in_flight);
        truncate(self.credit).min(room)
    }

    /// When the next probe may go out, so far as the rate decides.
    pub fn next_allowance(&self, now: Duration) -> Duration {
        let missing = (1.0 - self.credit).max(0.0) / self.rate;
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
                answered: 0,
                sentinels: 0,
                sentinels_answered: 0,
                expected_share: self.share,
                rtt: None,
                first_answer: None,
                last_answer: None,
                weighed: false,
                limited: false,
                trusted: !self.prefers_closed(),
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
        if let Some(round) = round {
            self.in_flight = self.in_flight.saturating_sub(1);
            match kind {
                Kind::Probe => round.sent = round.sent.saturating_sub(1),
                Kind::Sentinel => round.sentinels = round.sentinels.saturating_sub(1),
            }
        }
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
            self.base_loss = 0.0;
            self.cut = now;
        }
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
        if self.outage.is_some() {
            return 1;
        }
        // Sentinels come beside probes, not in their place.
        let most = if self.limits.highest < SLOW {
            0
        } else if self.memory.is_some() {
            // What the path bears is little: it is not to go into sentinels.
            round.sent / 16 + 1
        } else {
            round.sent / 3 + 1
        };
        let length = self.round_length().as_secs_f64();
        let passed = now.saturating_sub(round.start).as_secs_f64() / length;
        let due = truncate(f64::from(wanted) * passed + 0.5).max(1);
        due.min(wanted).min(most).saturating_sub(round.sentinels)
    }

    /// A probe went out in the running round.
    pub fn sent(&mut self, kind: Kind) {
        self.credit -= 1.0;
        self.in_flight += 1;
        self.sent_since += 1.0;
        if let Some(round) = self.rounds.back_mut() {
            match kind {
                Kind::Probe => round.sent += 1,
                Kind::Sentinel => round.sentinels += 1,
            }
        }
    }

    /// A probe of round `number` was answered after `rtt`; `None` where that is not known.
    pub fn answered(&mut self, number: u32, kind: Kind, rtt: Option<Duration>, now: Duration) {
        self.heard = true;
        if let Some(rtt) = rtt {
            self.rtt.sample(rtt);
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
        };
        if *answered >= sent {
            // A repetition.
            return;
        }
        *answered += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(rtt) = rtt {
            round.rtt = Some(round.rtt.map_or(rtt, |lowest| lowest.min(rtt)));
        }
        round.first_answer.get_or_insert(now);
        round.last_answer = Some(now);
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
    pub fn judge(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        self.end_when_due(now);
        let ready = self.rtt.expected().min(self.wait());
        for place in 0..self.rounds.len() {
            let round = &self.rounds[place];
            let all_in = round.waiting() == 0;
            match round.end {
                Some(end) if !round.weighed && (all_in || now >= end + ready) => {
                    let reading = self.read(round);
                    self.follow(place, reading, now);
                    self.rounds[place].weighed = true;
                }
                Some(_) => {}
                None => break,
            }
        }
        let wait = self.wait();
        let round = self.rounds.front()?;
        let end = round.end?;
        if !round.weighed || (round.waiting() > 0 && now < end + wait) {
            return None;
        }
        let verdict = match self.read(round) {
            Reading::Disagreed { .. } if round.limited => Verdict::Carried,
            Reading::Lost { .. } | Reading::Disagreed { .. } | Reading::Dead => Verdict::Overran,
            // A table that is full drops what is new, one here, one there.
            _ if self.memory.is_some()
                && self.base_loss < 0.02
                && round.sentinels_answered < round.sentinels =>
            {
                Verdict::Overran
            }
            _ if self
                .outage
                .is_some_and(|outage| round.start >= outage.since) =>
            {
                Verdict::Overran
            }
            _ => Verdict::Carried,
        };
        self.in_flight = self.in_flight.saturating_sub(round.waiting());
        let number = self.first;
        self.rounds.pop_front();
        self.first += 1;
        Some((number, verdict))
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
        let close = self
            .rounds
            .front()
            .and_then(|round| Some(round.end? + wait));
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

    /// What `round` shows, so far as its answers have come.
    fn read(&self, round: &Round) -> Reading {
        let share = round.expected_share.or(self.share).unwrap_or(0.0);
        let sent = f64::from(round.sent);
        let sentinels = f64::from(round.sentinels);
        let probes_expected = sent * share;
        let sentinels_expected = sentinels * (1.0 - self.base_loss);
        let expected = probes_expected + sentinels_expected;
        let came = f64::from(round.answered + round.sentinels_answered);
        if expected < EVIDENCE {
            return if expected >= 1.0 && came >= expected * 0.85 {
                Reading::Fine
            } else {
                Reading::Nothing
            };
        }
        if came == 0.0 && sentinels >= 2.0 && self.trusts && round.trusted {
            return Reading::Dead;
        }
        let spread = sent * share * (1.0 - share) + sentinels * self.base_loss.max(0.05);
        if falls_short(came, expected, spread) {
            let walk_spread = sent * share * (1.0 - share);
            let walk_fell = falls_short(f64::from(round.answered), probes_expected, walk_spread);
            let sentinel_spread = sentinels * self.base_loss.max(0.05);
            let sentinels_came = f64::from(round.sentinels_answered);
            let sentinels_fell = falls_short(sentinels_came, sentinels_expected, sentinel_spread);
            // Where answers queue, it is the path that drops.
            let queues = came >= 4.0 && self.queues(round);
            if self.trusts && !round.trusted && !queues {
                // Open ports must say whether it is the path.
                return Reading::Disagreed {
                    share: 1.0 - came / expected,
                };
            }
            if self.trusts && walk_fell && !sentinels_fell && !queues {
                return Reading::Disagreed {
                    share: 1.0 - f64::from(round.answered) / probes_expected,
                };
            }
            return Reading::Lost {
                share: 1.0 - came / expected,
            };
        }
        if came >= 4.0
            && self.queues(round)
            && let (Some(first), Some(last)) = (round.first_answer, round.last_answer)
        {
            let span = last.saturating_sub(first).as_secs_f64();
            let length = round
                .end
                .map_or(0.0, |end| end.saturating_sub(round.start).as_secs_f64());
            let carried = (sent + sentinels) * (came / expected).min(1.0);
            return Reading::Queued {
                delivered: carried / span.max(length).max(1e-6),
            };
        }
        Reading::Fine
    }

    /// Whether even the quickest answer of the round had to wait in a queue.
    fn queues(&self, round: &Round) -> bool {
        let (Some(rtt), Some(lowest)) = (round.rtt, self.rtt.lowest()) else {
            return false;
        };
        rtt > lowest.mul_f64(1.25) + Duration::from_millis(3)
    }

    /// Sets the rate by what the round at `place` shows.
    fn follow(&mut self, place: usize, reading: Reading, now: Duration) {
        let Some(round) = self.rounds.get(place).cloned() else {
            return;
        };
        let is_news = round.start >= self.cut;
        if is_news {
            self.remember(&round, now);
        }
        match reading {
            Reading::Nothing => self.learn_share(&round, 0.3),
            Reading::Fine => {
                self.doubt = None;
                self.learn(&round);
                if is_news {
                    self.episode = None;
                    self.grow(&round, now);
                }
            }
            Reading::Queued { delivered } => {
                self.doubt = None;
                self.learn(&round);
                if is_news {
                    self.doubling = false;
                    self.set_wall(round.rate.min(self.rate), now);
                    self.set_rate(delivered.min(round.rate) * 0.97);
                    self.cut = now;
                }
            }
            Reading::Disagreed { share } => {
                let doubt = self.doubt.get_or_insert_default();
                if round.trusted {
                    doubt.chance +=
                        f64::from(round.sentinels_answered) * (1.0 - share.clamp(0.01, 0.99)).ln();
                }
                if doubt.chance < BEYOND_DOUBT.ln() {
                    self.limited = true;
                    self.doubt = None;
                    self.learn_share(&round, 1.0);
                    if let Some(round) = self.rounds.get_mut(place) {
                        round.limited = true;
                    }
                    if is_news {
                        self.grow(&round, now);
                    }
                }
            }
            Reading::Dead => {
                self.doubt = None;
                let number = self.first + as_u32(place);
                let is_second = self.dead.is_some_and(|dead| dead + 1 == number);
                if is_news && self.outage.is_none() && is_second {
                    self.close(&round);
                }
                self.dead = Some(number);
            }
            Reading::Lost { share } => {
                self.doubt = None;
                if is_news && self.memory.is_none() {
                    self.cut_for(&round, share, now);
                }
            }
        }
    }

    /// Counts what became of sentinels on a path that remembers, and goes slower when it
    /// overflows again.
    fn remember(&mut self, round: &Round, now: Duration) {
        let base_loss = self.base_loss;
        let Some(memory) = self.memory.as_mut() else {
            return;
        };
        memory.asked += round.sentinels;
        memory.lost += round.sentinels.saturating_sub(round.sentinels_answered);
        if memory.overflows(base_loss) {
            *memory = Memory {
                rate: memory.rate.min(self.rate) * 0.9,
                at: now,
                asked: 0,
                lost: 0,
                ..*memory
            };
            let rate = memory.rate;
            self.overruns += 1;
            self.cut = now;
            self.set_rate(rate);
        }
    }

    /// Nothing comes through any more.
    fn close(&mut self, round: &Round) {
        self.overruns += 1;
        self.doubling = false;
        let later: u32 = self
            .rounds
            .iter()
            .filter(|other| other.start >= round.start)
            .map(|other| other.sent + other.sentinels)
            .sum();
        self.outage = Some(Outage {
            since: round.start,
            rate: round.rate,
            carried: (self.sent_since - f64::from(later)).max(1.0),
        });
        self.rate = OUTAGE_RATE.min(self.limits.highest);
    }

    /// Whether a round began while nothing came through.
    fn is_of_outage(&self, number: u32) -> bool {
        let place = number.checked_sub(self.first);
        let round = place.and_then(|place| self.rounds.get(place as usize));
        match (round, self.outage) {
            (Some(round), Some(outage)) => round.start > outage.since,
            _ => false,
        }
    }

    /// Something came through again: what went out until it closed, over all the time since the
    /// last opening, is what the path bears in the long run.
    fn open_again(&mut self, outage: Outage, now: Duration) {
        self.outage = None;
        self.cut = now;
        let length = now.saturating_sub(outage.since);
        let rtt = self.rtt.srtt().unwrap_or_default();
        if length < SHORTEST_OUTAGE.max(8 * rtt) {
            // A burst of losses, no more.
            self.set_rate(outage.rate / 2.0);
            return;
        }
        let cycle = now.saturating_sub(self.opened).as_secs_f64().max(1e-3);
        // A little less, since the last of it may have been dropped already.
        let rate = 0.95 * outage.carried / cycle;
        self.memory = Some(Memory {
            time: length,
            rate,
            at: now,
            asked: 0,
            lost: 0,
        });
        self.opened = now;
        self.sent_since = 0.0;
        self.wall = None;
        self.episode = None;
        self.cut = now;
        self.set_rate(rate);
    }

    fn cut_for(&mut self, round: &Round, share: f64, now: Duration) {
        let (rate, lost) = *self.episode.get_or_insert((round.rate, share));
        if round.rate <= 0.6 * rate && share >= 0.7 * lost && share < 0.95 {
            // At little more than half the rate as much is lost: the rate is not the cause.
            self.base_loss = 1.0 - (1.0 - self.base_loss) * (1.0 - share);
            self.share = self.share.map(|known| known * (1.0 - share));
            self.episode = None;
            self.wall = None;
            self.set_rate(rate);
            self.cut = now;
            return;
        }
        self.overruns += 1;
        self.doubling = false;
        self.set_wall(round.rate, now);
        self.set_rate(round.rate.min(self.rate) * (1.0 - share).clamp(0.25, 0.95) * 0.95);
        self.cut = now;
    }

    fn set_wall(&mut self, rate: f64, now: Duration) {
        self.streak = 0;
        self.wall = Some((rate, now));
    }

    fn set_rate(&mut self, rate: f64) {
        let lowest = if self.trusts || self.memory.is_some() {
            self.limits.lowest
        } else {
            self.limits
                .initial
                .clamp(self.limits.lowest, self.limits.highest)
        };
        self.rate = rate.clamp(lowest, self.limits.highest);
    }

    fn grow(&mut self, round: &Round, now: Duration) {
        self.streak += 1;
        let factor = if self.doubling {
            2.0
        } else {
            match self.wall {
                Some((wall, at)) if now.saturating_sub(at) < Duration::from_secs(10) => {
                    let near = round.rate / wall;
                    // What failed once and holds now for many rounds was no wall, but a burst of
                    // losses.
                    match self.streak {
                        _ if near < 0.75 => 1.2,
                        0..5 => 1.02,
                        5..10 => 1.1,
                        10..15 => 1.3,
                        _ => 2.0,
                    }
                }
                _ => 1.25,
            }
        };
        // What was not used is not known to be carried.
        let length = round
            .end
            .map_or(0.0, |end| end.saturating_sub(round.start).as_secs_f64());
        let used = f64::from(round.sent + round.sentinels) / length.max(1e-6);
        let mut aim = (round.rate * factor).min((used * 4.0).max(self.limits.initial));
        if let Some(memory) = self.memory {
            // A path that remembers for seconds shows only after seconds what was too much.
            aim = aim.min(memory.rate_to_try(now));
        }
        if aim > self.rate {
            self.set_rate(aim);
        }
    }

    fn learn(&mut self, round: &Round) {
        self.learn_share(round, 0.2);
        if round.sentinels > 0 && self.memory.is_none() {
            let lost = 1.0 - f64::from(round.sentinels_answered) / f64::from(round.sentinels);
            let weight = f64::from(round.sentinels) / (f64::from(round.sentinels) + 100.0);
            self.base_loss += (lost.clamp(0.0, 1.0) - self.base_loss) * weight;
        }
    }

    fn learn_share(&mut self, round: &Round, weight: f64) {
        if round.sent < 16 {
            return;
        }
        let now = (f64::from(round.answered) / f64::from(round.sent)).min(1.0);
        self.share = Some(match self.share {
            None => now,
            Some(known) => known + (now - known) * weight,
        });
    }
}

/// Whether `came` is too few where `expected` were to come, by more than chance explains.
fn falls_short(came: f64, expected: f64, variance: f64) -> bool {
    came < (0.85 * expected).min(expected - 3.0 * (variance + 0.05).sqrt())
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
