//! Which positions have answered, of the last few million: an exact filter of repetitions.
//!
//! A bit a position, in a ring that moves on with the sweep. What has left the ring can no longer
//! be told from a repetition, and is dropped: nothing is ever reported twice, and nothing in the
//! ring is ever taken for a repetition that is none.

/// The most positions that are remembered: 8 MB of bits, or over a minute at a million probes a
/// second.
pub(super) const LARGEST: u128 = 1 << 26;

/// What is known of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It has not answered before.
    Silent,
    /// It has.
    Answered,
    /// It is too long ago, or still to come.
    Outside,
}

/// The bits of the positions from some before [`head`](Self::head) up to it.
#[derive(Debug)]
pub(super) struct Window {
    words: Vec<u64>,
    /// Positions less one: a power of two less one.
    mask: u128,
    head: u128,
}

impl Window {
    /// A window on a space of `len` positions that holds `largest` of them at the most, rounded
    /// up to a power of two; its head is at `head`.
    pub(super) fn new(len: u128, largest: u128, head: u128) -> Self {
        let size = len.min(largest).max(64).next_power_of_two();
        Self {
            words: vec![0; usize::try_from(size / 64).unwrap_or(1)],
            mask: size - 1,
            head,
        }
    }

    /// How many positions it holds.
    pub(super) const fn size(&self) -> u128 {
        self.mask + 1
    }

    /// The first position that it has not come to.
    pub(super) const fn head(&self) -> u128 {
        self.head
    }

    /// Moves on until `head` is the first position that it has not come to.
    pub(super) fn advance(&mut self, head: u128) {
        while self.head < head {
            let (word, bit) = self.place(self.head);
            self.words[word] &= !bit;
            self.head += 1;
        }
    }

    fn place(&self, position: u128) -> (usize, u64) {
        let place = position & self.mask;
        let word = usize::try_from(place / 64).unwrap_or(0);
        (word, 1 << (place % 64))
    }

    fn holds(&self, position: u128) -> bool {
        position < self.head && self.head - position <= self.size()
    }

    /// What is known of a position.
    pub(super) fn look(&self, position: u128) -> Known {
        if !self.holds(position) {
            return Known::Outside;
        }
        let (word, bit) = self.place(position);
        if self.words[word] & bit == 0 {
            Known::Silent
        } else {
            Known::Answered
        }
    }

    /// Notes that a position has answered; returns what was known of it until now.
    pub(super) fn answered(&mut self, position: u128) -> Known {
        let known = self.look(position);
        if known == Known::Silent {
            let (word, bit) = self.place(position);
            self.words[word] |= bit;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_that_comes_again_at_any_later_time_is_never_new() {
        // Filters that put a new entry in the place of a wrong one report such as this.
        let mut window = Window::new(1_000_000, 1024, 0);
        let mut reported = BTreeSet::new();
        for position in 0..50_000_u128 {
            window.advance(position + 1);
            for late in [0, 1, 63, 64, 700, 1023, 1024, 1025, 5_000] {
                let Some(of) = u128::checked_sub(position, late) else {
                    continue;
                };
                if window.answered(of) == Known::Silent {
                    assert!(reported.insert(of), "{of} was reported twice");
                }
            }
        }
        assert_eq!(reported.len(), 50_000);
    }

    #[test]
    fn a_space_that_fits_is_held_whole() {
        let mut window = Window::new(1_000, LARGEST, 0);
        window.advance(1_000);
        assert_eq!(window.answered(0), Known::Silent);
        assert_eq!(window.answered(0), Known::Answered);
        assert_eq!(window.answered(1_000), Known::Outside);
    }

    #[test]
    fn the_largest_window_takes_8_megabytes_whatever_the_space() {
        let window = Window::new(u128::MAX, LARGEST, 0);
        assert_eq!(window.words.len() * 8, 8 << 20);
    }

    proptest! {
        #[test]
        fn it_knows_exactly_what_a_list_of_the_last_answers_would(
            steps in prop::collection::vec((0u128..40, prop::option::of(0u128..400)), 0..300),
            first: u64,
        ) {
            let first = u128::from(first);
            let mut window = Window::new(u128::MAX, 128, first);
            let mut model: VecDeque<(u128, bool)> = VecDeque::new();
            for (moved, back) in steps {
                for _ in 0..moved {
                    model.push_back((window.head(), false));
                    window.advance(window.head() + 1);
                    if model.len() > 128 {
                        model.pop_front();
                    }
                }
                let Some(position) = back.and_then(|back| window.head().checked_sub(back)) else {
                    continue;
                };
                // What was before the window was made is of no interest here.
                if position < first {
                    continue;
                }
                let expected = match model.iter_mut().find(|(of, _)| *of == position) {
                    None => Known::Outside,
                    Some((_, true)) => Known::Answered,
                    Some((_, answered)) => {
                        *answered = true;
                        Known::Silent
                    }
                };
                prop_assert_eq!(window.answered(position), expected);
            }
        }
    }
}
