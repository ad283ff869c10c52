//! Hosts that answer on every port: SYN proxies, tar-pits, and what else takes a SYN for any
//! port and says yes.
//!
//! A SYN/ACK of such a host shows no listener, so that its ports must not be called open. But a
//! host with many open ports, such as a honeypot, must not be mistaken for one. So the first
//! SYN/ACKs of a host are held back until one of these is known:
//!
//! - it also says no: enough of its ports are closed;
//! - it was not so many: after a moment, a few open ports are reported, whatever the others do;
//! - ports that were drawn by lot, none of which a service is known for, say yes as well. Then
//!   it answers everything, and a port is called open only if its answer looks unlike theirs:
//!   another window, other options, another TTL. Something else answers there;
//! - those refuse or are silent, but a proxy may stand before a range of ports only. It does where
//!   all that answered did so as no listener does, with window 0; or where a thousand ports or
//!   more are asked for which no service is known, and next to none of them that were drawn by
//!   lot is silent. With fewer, a host may well have every port open that is asked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use portolan_model::event::PortFact;
use portolan_model::ports::PortBits;
use portolan_model::{Protocol, services};

use crate::permutation::mix;
use crate::transport::Shape;

/// With no more ports than this, nobody is misled by their number.
const FEW_PORTS: usize = 32;

/// So many closed ports clear a host, unless there are four times as many open ones.
const CLOSED: u32 = 3;

/// So many open ports on a host that is not cleared are suspicious.
const SUSPICIOUS: u32 = 8;

/// Fewer are held back no longer than this.
const HOLD: Duration = Duration::from_secs(1);

/// Ports that are drawn by lot, and how many of them have to answer. A host with a third of all
/// its ports open passes for one that answers everything four times in a thousand, one
/// with a tenth never.
const LOTS: u32 = 12;
const ENOUGH: u32 = 9;

/// So many refusals of drawn ports clear a host: then it cannot come to enough any more.
const REFUSED: u32 = LOTS - ENOUGH + 1;

/// Ports that are drawn from those that are asked, and how many of them may be silent.
const NEAR: usize = 24;
const NEAR_SILENT: usize = 1;

/// With fewer ports to draw from, a host may have them all open.
const NEAR_BROAD: usize = 1_000;

/// Ports are drawn from here on: below, services are at home.
const DRAWN_FROM: u16 = 1024;

/// More ports than this that answer unlike the drawn ones are no exceptions.
const EXCEPTIONS: usize = 64;

/// A port that answered SYN/ACK, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) fact: PortFact,
    pub(crate) shape: Option<Shape>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Nothing,
    /// These ports are open.
    Release(Vec<Held>),
    /// Ask these ports.
    Ask(Vec<u16>),
    /// The host answers everything.
    Found(Evidence),
}

/// What shows that a host answers everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) asked: u32,
    pub(crate) answered: u32,
    pub(crate) windowless: u32,
}

/// What is known of a host's honesty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It answered so many closed ports, and no open one.
    Unknown(u8),
    Suspected,
    Cleared,
    Everything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is held back.
    Idle,
    /// A few open ports wait for their moment.
    Waiting(Duration),
    /// Drawn ports were asked, so many times.
    Asked(u32, Duration),
}

#[derive(Debug)]
struct Lot {
    port: u16,
    answer: LotAnswer,
}

/// What a drawn port answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LotAnswer {
    None,
    Refused,
    /// SYN/ACK, that looks so where packets are seen.
    Open(Option<Shape>),
}

#[derive(Debug)]
struct Suspect {
    stage: Stage,
    held: Vec<Held>,
    open: u32,
    closed: u32,
    lots: Vec<Lot>,
    /// The same of those that are asked.
    near: Vec<Lot>,
    /// Once it is known to answer everything: how its answers look.
    common: Option<Shape>,
    /// Once it is known to answer everything: ports that answered like those that were drawn.
    alike: PortBits,
    /// Too many answered unlike them.
    differs: bool,
}

/// The hosts of a block, as far as they have answered SYN/ACK.
#[derive(Debug)]
pub(crate) struct Suspects {
    seed: u64,
    /// Ports that are asked and for which no service is known.
    unlikely: Vec<u16>,
    /// Empty where nobody is suspected.
    standing: Vec<Standing>,
    known: HashMap<u32, Suspect>,
    /// Fewer open ports than are suspicious are held back no longer than this.
    hold: Duration,
    due: BinaryHeap<Reverse<(Duration, u32)>>,
}

impl Suspects {
    /// For so many hosts, each asked for so many ports.
    pub(crate) fn new(hosts: u32, ports: usize, seed: u64) -> Self {
        let watched = if ports > FEW_PORTS { hosts } else { 0 };
        Self {
            seed,
            unlikely: Vec::new(),
            standing: vec![Standing::Unknown(0); watched as usize],
            known: HashMap::new(),
            hold: HOLD,
            due: BinaryHeap::new(),
        }
    }

    /// The same, with open ports held back for so long.
    #[must_use]
    pub(crate) const fn holding(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// The same, with ports drawn from those that are asked too.
    #[must_use]
    pub(crate) fn drawing_from(mut self, asked: &[u16]) -> Self {
        let is_unlikely = |port: &u16| services::name(*port, Protocol::Tcp).is_none();
        if !self.standing.is_empty() {
            self.unlikely = asked.iter().copied().filter(is_unlikely).collect();
        }
        self
    }

    /// Nobody is suspected.
    pub(crate) fn none() -> Self {
        Self::new(0, 0, 0)
    }

    fn standing(&self, host: u32) -> Standing {
        let known = self.standing.get(host as usize);
        known.copied().unwrap_or(Standing::Cleared)
    }

    fn set(&mut self, host: u32, standing: Standing) {
        if let Some(known) = self.standing.get_mut(host as usize) {
            *known = standing;
        }
    }

    /// A port answered SYN/ACK.
    pub(crate) fn open(&mut self, host: u32, held: Held, now: Duration) -> Verdict {
        let standing = self.standing(host);
        if standing == Standing::Cleared {
            return Verdict::Release(vec![held]);
        }
        let closed = match standing {
            Standing::Unknown(closed) => {
                self.set(host, Standing::Suspected);
                u32::from(closed)
            }
            _ => 0,
        };
        let suspect = self.known.entry(host).or_insert_with(|| Suspect {
            stage: Stage::Idle,
            held: Vec::new(),
            open: 0,
            closed,
            lots: Vec::new(),
            near: Vec::new(),
            common: None,
            alike: PortBits::default(),
            differs: false,
        });
        suspect.open += 1;
        if standing == Standing::Everything {
            suspect.sort_in(held);
            return Verdict::Nothing;
        }
        suspect.held.push(held);
        if matches!(suspect.stage, Stage::Asked(..)) {
            return Verdict::Nothing;
        }
        if suspect.open >= SUSPICIOUS {
            if suspect.lots.is_empty() {
                let seed = mix(self.seed ^ u64::from(host));
                suspect.lots = lots(seed);
            }
            let ports = suspect.lots.iter().map(|lot| lot.port).collect();
            suspect.stage = Stage::Asked(0, now);
            return Verdict::Ask(ports);
        }
        if suspect.stage == Stage::Idle {
            suspect.stage = Stage::Waiting(now + self.hold);
            self.due.push(Reverse((now + self.hold, host)));
        }
        Verdict::Nothing
    }

    /// A port answered that it is closed, or is kept shut by something on the way.
    pub(crate) fn not_open(&mut self, host: u32) -> Verdict {
        match self.standing(host) {
            Standing::Unknown(closed) if u32::from(closed) + 1 >= CLOSED => {
                self.set(host, Standing::Cleared);
                Verdict::Nothing
            }
            Standing::Unknown(closed) => {
                self.set(host, Standing::Unknown(closed + 1));
                Verdict::Nothing
            }
            Standing::Suspected => {
                let Some(suspect) = self.known.get_mut(&host) else {
                    return Verdict::Nothing;
                };
                suspect.closed += 1;
                if suspect.closed >= CLOSED && suspect.closed * 4 >= suspect.open {
                    return self.clear(host);
                }
                Verdict::Nothing
            }
            Standing::Cleared | Standing::Everything => Verdict::Nothing,
        }
    }

    /// The drawn ports were asked, and are waited for until then.
    pub(crate) fn asked(&mut self, host: u32, until: Duration) {
        if let Some(suspect) = self.known.get_mut(&host)
            && let Stage::Asked(times, _) = suspect.stage
        {
            suspect.stage = Stage::Asked(times + 1, until);
            self.due.push(Reverse((until, host)));
        }
    }

    /// A port answered that may be a drawn one: whether it is open, and how its answer looks.
    pub(crate) fn heard(
        &mut self,
        host: u32,
        port: u16,
        is_open: bool,
        shape: Option<Shape>,
    ) -> Verdict {
        if self.standing(host) != Standing::Suspected {
            return Verdict::Nothing;
        }
        let Some(suspect) = self.known.get_mut(&host) else {
            return Verdict::Nothing;
        };
        let mut drawn = suspect.lots.iter_mut().chain(&mut suspect.near);
        let Some(lot) = drawn.find(|lot| lot.port == port) else {
            return Verdict::Nothing;
        };
        lot.answer = if is_open {
            LotAnswer::Open(shape)
        } else {
            LotAnswer::Refused
        };
        let (refused, answered) = (refusals(suspect.drawn()), answers(suspect.drawn()));
        let (enough, too_many) = if suspect.near.is_empty() {
            (LOTS as usize - 1, REFUSED as usize)
        } else {
            (NEAR, NEAR_SILENT + 1)
        };
        if answered >= enough {
            self.convict(host)
        } else if refused >= too_many {
            self.judge(host, true)
        } else {
            Verdict::Nothing
        }
    }

    /// Whether something of this host is held back until more is known of it.
    pub(crate) fn is_waiting(&self, host: u32) -> bool {
        self.standing(host) == Standing::Suspected
            && self
                .known
                .get(&host)
                .is_some_and(|suspect| suspect.stage != Stage::Idle)
    }

    /// When something is to be decided next.
    pub(crate) fn next_due(&mut self) -> Option<Duration> {
        loop {
            let Reverse((at, host)) = *self.due.peek()?;
            if self.is_due_at(host, at) {
                return Some(at);
            }
            self.due.pop();
        }
    }

    /// Whether a time that was set for a host still stands.
    fn is_due_at(&self, host: u32, at: Duration) -> bool {
        let stage = self.known.get(&host).map(|suspect| suspect.stage);
        self.standing(host) == Standing::Suspected
            && matches!(stage, Some(Stage::Waiting(until) | Stage::Asked(_, until)) if until == at)
    }

    /// The next host of which something is to be decided by now, and what.
    pub(crate) fn due(&mut self, now: Duration) -> Option<(u32, Verdict)> {
        loop {
            let Reverse((at, host)) = *self.due.peek()?;
            if at > now {
                return None;
            }
            self.due.pop();
            if !self.is_due_at(host, at) {
                continue;
            }
            let Some(suspect) = self.known.get_mut(&host) else {
                continue;
            };
            let verdict = match suspect.stage {
                Stage::Waiting(_) => {
                    suspect.stage = Stage::Idle;
                    Verdict::Release(std::mem::take(&mut suspect.held))
                }
                Stage::Asked(1, _) => {
                    let is_silent = |lot: &&Lot| lot.answer == LotAnswer::None;
                    let silent = suspect.drawn().iter().filter(is_silent);
                    Verdict::Ask(silent.map(|lot| lot.port).collect())
                }
                Stage::Asked(..) => self.judge(host, true),
                Stage::Idle => continue,
            };
            return Some((host, verdict));
        }
    }

    /// Decides on every host that is not decided on, by what is known.
    pub(crate) fn give_up(&mut self) -> Vec<(u32, Verdict)> {
        let mut waiting: Vec<u32> = self.known.keys().copied().collect();
        waiting.retain(|&host| self.is_waiting(host));
        waiting.sort_unstable();
        let mut judged = Vec::with_capacity(waiting.len());
        for host in waiting {
            judged.push((host, self.judge(host, false)));
        }
        judged
    }

    /// Decides on a host by what is known, or has more ports asked if it `may_ask`.
    fn judge(&mut self, host: u32, may_ask: bool) -> Verdict {
        let Some(suspect) = self.known.get_mut(&host) else {
            return self.clear(host);
        };
        if suspect.shows_all() || suspect.shows_range() {
            return self.convict(host);
        }
        let is_broad = self.unlikely.len() >= NEAR_BROAD && suspect.closed == 0;
        if may_ask && is_broad && suspect.near.is_empty() && suspect.open >= SUSPICIOUS {
            let seed = mix(self.seed ^ u64::from(host));
            suspect.near = near_lots(seed, &self.unlikely);
            suspect.stage = Stage::Asked(0, Duration::ZERO);
            return Verdict::Ask(suspect.near.iter().map(|lot| lot.port).collect());
        }
        self.clear(host)
    }

    fn clear(&mut self, host: u32) -> Verdict {
        self.set(host, Standing::Cleared);
        match self.known.remove(&host) {
            Some(suspect) => Verdict::Release(suspect.held),
            None => Verdict::Nothing,
        }
    }

    fn convict(&mut self, host: u32) -> Verdict {
        self.set(host, Standing::Everything);
        let Some(suspect) = self.known.get_mut(&host) else {
            return Verdict::Nothing;
        };
        let evidence = suspect.evidence();
        suspect.common = suspect.look();
        for held in std::mem::take(&mut suspect.held) {
            suspect.sort_in(held);
        }
        Verdict::Found(evidence)
    }

    /// The hosts that answer everything, of which something is still to be reported.
    pub(crate) fn convicts(&self) -> Vec<u32> {
        let mut hosts: Vec<u32> = self.known.keys().copied().collect();
        hosts.retain(|&host| self.standing(host) == Standing::Everything);
        hosts.sort_unstable();
        hosts
    }

    /// What is to be reported of a host that answers everything: the ports that are open, and
    /// those that may be.
    pub(crate) fn take(&mut self, host: u32) -> Option<(Vec<Held>, PortBits)> {
        if self.standing(host) != Standing::Everything {
            return None;
        }
        let suspect = self.known.remove(&host)?;
        Some((suspect.held, suspect.alike))
    }
}

impl Suspect {
    /// What convicts it: ports drawn from all, or from those that are asked, or all that answered.
    fn evidence(&self) -> Evidence {
        let drawn = Evidence::of(self.drawn());
        if self.shows_all() || !self.near.is_empty() {
            drawn
        } else {
            self.of_held()
        }
    }

    /// The ports that were drawn last.
    fn drawn(&self) -> &[Lot] {
        if self.near.is_empty() {
            &self.lots
        } else {
            &self.near
        }
    }

    /// Whether ports drawn from all show that it answers everything.
    fn shows_all(&self) -> bool {
        answers(&self.lots) >= ENOUGH as usize
    }

    /// Whether it answers a range of ports whatever is behind them: as no listener does, or on next
    /// to all that were drawn from those that are asked.
    fn shows_range(&self) -> bool {
        let held = self.of_held();
        let is_windowless = held.answered >= SUSPICIOUS && held.windowless == held.answered;
        let is_broad = !self.near.is_empty() && answers(&self.near) + NEAR_SILENT >= NEAR;
        is_windowless || is_broad
    }

    /// What the ports answered that are held back.
    fn of_held(&self) -> Evidence {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let shapes = self.held.iter().filter_map(|held| held.shape);
        Evidence {
            asked: count(self.held.len()),
            answered: count(self.held.len()),
            windowless: count(shapes.filter(|shape| shape.window == 0).count()),
        }
    }

    /// How the answers that convict it look, if they all look alike.
    fn look(&self) -> Option<Shape> {
        let mut shapes: Vec<Option<Shape>> = shapes(self.drawn()).collect();
        if !self.shows_all() && self.near.is_empty() {
            shapes = self.held.iter().map(|held| held.shape).collect();
        }
        let first = (*shapes.first()?)?;
        shapes
            .iter()
            .all(|shape| *shape == Some(first))
            .then_some(first)
    }

    /// Of a host that answers everything: keeps a port as open if its answer looks unlike those
    /// of the drawn ones, else as one that may be.
    fn sort_in(&mut self, held: Held) {
        let is_unlike = match (self.common, held.shape) {
            (Some(common), Some(shape)) => common != shape,
            _ => false,
        };
        if is_unlike && !self.differs && self.held.len() < EXCEPTIONS {
            self.held.push(held);
            return;
        }
        self.alike.insert(held.fact.endpoint.port);
        if is_unlike {
            // Answers differ from port to port, and that means nothing.
            self.differs = true;
            for exception in std::mem::take(&mut self.held) {
                self.alike.insert(exception.fact.endpoint.port);
            }
        }
    }
}

impl Evidence {
    /// What drawn ports answered.
    fn of(lots: &[Lot]) -> Self {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let windowless = shapes(lots).flatten().filter(|shape| shape.window == 0);
        Self {
            asked: count(lots.len()),
            answered: count(answers(lots)),
            windowless: count(windowless.count()),
        }
    }
}

fn shapes(lots: &[Lot]) -> impl Iterator<Item = Option<Shape>> + '_ {
    lots.iter().filter_map(|lot| match lot.answer {
        LotAnswer::Open(shape) => Some(shape),
        LotAnswer::None | LotAnswer::Refused => None,
    })
}

fn answers(lots: &[Lot]) -> usize {
    shapes(lots).count()
}

fn refusals(lots: &[Lot]) -> usize {
    let is_refused = |lot: &&Lot| lot.answer == LotAnswer::Refused;
    lots.iter().filter(is_refused).count()
}

/// Ports by lot of those that are `unlikely`.
fn near_lots(seed: u64, unlikely: &[u16]) -> Vec<Lot> {
    let mut lots: Vec<Lot> = Vec::new();
    let count = unlikely.len() as u64;
    // Where there are few, most are drawn again and again.
    for number in 0..4 * NEAR as u64 {
        let drawn = mix(seed.wrapping_sub(number + 1)).checked_rem(count);
        let place = drawn.and_then(|drawn| usize::try_from(drawn).ok());
        let Some(&port) = place.and_then(|place| unlikely.get(place)) else {
            break;
        };
        let is_new = lots.iter().all(|lot| lot.port != port);
        if is_new && lots.len() < NEAR {
            lots.push(Lot {
                port,
                answer: LotAnswer::None,
            });
        }
    }
    lots
}

/// Ports by lot, different ones, none of which a service is known for.
fn lots(seed: u64) -> Vec<Lot> {
    let mut lots: Vec<Lot> = Vec::new();
    let count = u64::from(u16::MAX - DRAWN_FROM) + 1;
    for number in 0_u64.. {
        let drawn = mix(seed.wrapping_add(number)) % count;
        let port = DRAWN_FROM + u16::try_from(drawn).unwrap_or(0);
        let is_new = lots.iter().all(|lot| lot.port != port);
        if is_new && services::name(port, Protocol::Tcp).is_none() {
            lots.push(Lot {
                port,
                answer: LotAnswer::None,
            });
        }
        if lots.len() == LOTS as usize {
            break;
        }
    }
    lots
}

#[cfg(test)]
mod tests;
