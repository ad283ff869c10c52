//! Who is asked for on the local links, who answered, and the packets that wait for it.
//!
//! A state machine: time is passed in, and what is to be asked is handed out. Asking is what
//! [`solicit`](crate::solicit) writes and reads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use portolan_wire::MacAddress;

/// When a neighbour is asked, after the first time. The first gaps suit a network by wire; a
/// wireless station that sleeps needs the last.
const ASK_AFTER: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(150),
    Duration::from_millis(450),
    Duration::from_millis(900),
];

/// When a neighbour counts as silent, after it was asked first.
const GIVE_UP_AFTER: Duration = Duration::from_millis(1_500);

/// A silent neighbour is not asked again before.
const SILENT_FOR: Duration = Duration::from_secs(3);

/// Packets that wait for neighbours, at the most.
const MOST_HELD: usize = 4_096;

/// Neighbours that are remembered, at the most: two networks of 65,536.
const MOST_KNOWN: usize = 1 << 17;

/// A neighbour: the index of the interface, and its address.
pub(crate) type Neighbour = (u32, IpAddr);

/// What is known of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing, or nothing that is still worth something.
    Nothing,
    /// It is being asked for.
    Asking,
    /// Where it is.
    At(MacAddress),
    /// It did not answer.
    Silent,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask for it.
    Ask(Neighbour),
    /// It did not answer; so many packets that waited for it are gone.
    GiveUp(Neighbour, usize),
}

#[derive(Debug)]
enum Entry {
    Asking {
        since: Duration,
        /// Times that it was asked.
        asked: usize,
        held: Vec<Box<[u8]>>,
    },
    At(MacAddress),
    Silent {
        until: Duration,
    },
}

/// The neighbours of all links.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    table: HashMap<Neighbour, Entry>,
    /// When to look at which neighbour that is being asked for.
    timers: BinaryHeap<Reverse<(Duration, Neighbour)>>,
    held: usize,
}

impl Neighbours {
    /// What is known of it.
    pub(crate) fn look_up(&self, neighbour: Neighbour, now: Duration) -> Known {
        match self.table.get(&neighbour) {
            Some(Entry::Asking { .. }) => Known::Asking,
            Some(Entry::At(mac)) => Known::At(*mac),
            Some(Entry::Silent { until }) if now < *until => Known::Silent,
            Some(Entry::Silent { .. }) | None => Known::Nothing,
        }
    }

    /// Begins to ask for it, unless it is known or being asked for; false when there is no room.
    pub(crate) fn ask(&mut self, neighbour: Neighbour, now: Duration) -> bool {
        if matches!(self.look_up(neighbour, now), Known::Asking | Known::At(_)) {
            return true;
        }
        if !self.make_room() {
            return false;
        }
        let entry = Entry::Asking {
            since: now,
            asked: 0,
            held: Vec::new(),
        };
        self.table.insert(neighbour, entry);
        self.timers.push(Reverse((now, neighbour)));
        true
    }

    /// Keeps a packet until a neighbour that is being asked for answers; false when there is no
    /// room, or it is not being asked for.
    pub(crate) fn hold(&mut self, neighbour: Neighbour, packet: &[u8]) -> bool {
        if self.held >= MOST_HELD {
            return false;
        }
        let Some(Entry::Asking { held, .. }) = self.table.get_mut(&neighbour) else {
            return false;
        };
        held.push(packet.into());
        self.held += 1;
        true
    }

    /// Notes where a neighbour is that was asked for, and hands over the packets that waited.
    /// `None` for one that nobody asked for, or whose place is known: what comes unasked may be
    /// forged.
    pub(crate) fn answered(
        &mut self,
        neighbour: Neighbour,
        mac: MacAddress,
    ) -> Option<Vec<Box<[u8]>>> {
        let entry = self.table.get_mut(&neighbour)?;
        if matches!(entry, Entry::At(_)) || !mac.is_unicast() {
            return None;
        }
        let held = match std::mem::replace(entry, Entry::At(mac)) {
            Entry::Asking { held, .. } => held,
            Entry::At(_) | Entry::Silent { .. } => Vec::new(),
        };
        self.held -= held.len();
        Some(held)
    }

    /// Notes where a neighbour is, as the kernel knows it.
    pub(crate) fn learn(&mut self, neighbour: Neighbour, mac: MacAddress) {
        if self.table.contains_key(&neighbour) {
            self.answered(neighbour, mac);
        } else if self.make_room() {
            self.table.insert(neighbour, Entry::At(mac));
        }
    }

    /// The next thing that is to be done by now.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Due> {
        loop {
            let Reverse((at, neighbour)) = *self.timers.peek()?;
            if at > now {
                return None;
            }
            self.timers.pop();
            // One that has answered since has no entry of this kind any more.
            let Some(entry) = self.table.get_mut(&neighbour) else {
                continue;
            };
            let Entry::Asking { since, asked, held } = entry else {
                continue;
            };
            if *asked == ASK_AFTER.len() {
                let gone = held.len();
                self.held -= gone;
                *entry = Entry::Silent {
                    until: now + SILENT_FOR,
                };
                return Some(Due::GiveUp(neighbour, gone));
            }
            *asked += 1;
            let after = ASK_AFTER.get(*asked).copied().unwrap_or(GIVE_UP_AFTER);
            // Counted from now where we are late: else all the rest would be due at once.
            let gap = after.saturating_sub(ASK_AFTER[*asked - 1]);
            let next = (*since + after).max(now + gap / 2);
            self.timers.push(Reverse((next, neighbour)));
            return Some(Due::Ask(neighbour));
        }
    }

    /// When something is to be done next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Makes room for one more by forgetting who is not being asked for.
    fn make_room(&mut self) -> bool {
        if self.table.len() >= MOST_KNOWN {
            self.table
                .retain(|_, entry| matches!(entry, Entry::Asking { .. }));
        }
        self.table.len() < MOST_KNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn neighbour(last: u8) -> Neighbour {
        (2, IpAddr::from([192, 0, 2, last]))
    }

    /// All that is due by `now`.
    fn due(neighbours: &mut Neighbours, now: Duration) -> Vec<Due> {
        std::iter::from_fn(|| neighbours.due(now)).collect()
    }

    #[test]
    fn a_silent_neighbour_is_asked_four_times_and_given_up() {
        let mut neighbours = Neighbours::default();
        let who = neighbour(1);
        assert!(neighbours.ask(who, ms(10)));
        assert!(neighbours.hold(who, &[1]));
        for at in [10, 160, 460, 910] {
            assert_eq!(neighbours.next_due(), Some(ms(at)));
            assert_eq!(due(&mut neighbours, ms(at)), [Due::Ask(who)]);
        }
        assert_eq!(due(&mut neighbours, ms(1_509)), []);
        assert_eq!(due(&mut neighbours, ms(1_510)), [Due::GiveUp(who, 1)]);
        assert_eq!(neighbours.next_due(), None);
        assert_eq!(neighbours.look_up(who, ms(1_511)), Known::Silent);
        assert_eq!(neighbours.look_up(who, ms(4_510)), Known::Nothing);
    }

    #[test]
    fn an_answer_frees_the_packets_that_waited_in_order() {
        let mut neighbours = Neighbours::default();
        let who = neighbour(1);
        neighbours.ask(who, ms(0));
        neighbours.hold(who, &[1]);
        neighbours.hold(who, &[2]);
        let freed = neighbours.answered(who, MAC).unwrap();
        assert_eq!(freed, [Box::from([1]), Box::from([2])]);
        assert_eq!(neighbours.look_up(who, ms(1)), Known::At(MAC));
        assert_eq!(due(&mut neighbours, ms(9_000)), []);
    }

    #[test]
    fn a_late_answer_counts() {
        let mut neighbours = Neighbours::default();
        let who = neighbour(1);
        neighbours.ask(who, ms(0));
        for at in [0, 150, 450, 900, 1_500] {
            due(&mut neighbours, ms(at));
        }
        assert_eq!(neighbours.answered(who, MAC), Some(Vec::new()));
        assert_eq!(neighbours.look_up(who, ms(1_600)), Known::At(MAC));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_teaches_nothing() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.answered(neighbour(1), MAC), None);
        neighbours.ask(neighbour(2), ms(0));
        neighbours.answered(neighbour(2), MAC);
        let other = MacAddress([2, 0, 0, 0, 0, 9]);
        assert_eq!(neighbours.answered(neighbour(2), other), None);
        assert_eq!(neighbours.look_up(neighbour(2), ms(0)), Known::At(MAC));
        neighbours.ask(neighbour(3), ms(0));
        assert_eq!(
            neighbours.answered(neighbour(3), MacAddress::BROADCAST),
            None
        );
    }

    #[test]
    fn only_so_many_packets_wait() {
        let mut neighbours = Neighbours::default();
        neighbours.ask(neighbour(1), ms(0));
        let taken = (0..MOST_HELD + 10).filter(|_| neighbours.hold(neighbour(1), &[0]));
        assert_eq!(taken.count(), MOST_HELD);
        neighbours.answered(neighbour(1), MAC);
        neighbours.ask(neighbour(2), ms(0));
        assert!(neighbours.hold(neighbour(2), &[0]));
    }

    #[test]
    fn a_table_that_is_full_forgets_who_is_not_asked_for() {
        let mut neighbours = Neighbours::default();
        neighbours.ask(neighbour(1), ms(0));
        for number in 0..u32::try_from(MOST_KNOWN).unwrap() {
            neighbours.learn((3, IpAddr::from(number.to_be_bytes())), MAC);
        }
        assert!(neighbours.table.len() <= MOST_KNOWN);
        assert_eq!(neighbours.look_up(neighbour(1), ms(0)), Known::Asking);
    }

    #[test]
    fn who_looks_late_does_not_ask_all_at_once() {
        let mut neighbours = Neighbours::default();
        neighbours.ask(neighbour(1), ms(0));
        assert_eq!(due(&mut neighbours, ms(5_000)), [Due::Ask(neighbour(1))]);
        assert!(neighbours.next_due() > Some(ms(5_000)));
    }
}
