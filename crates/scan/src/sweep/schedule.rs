//! When each position is asked, and when it is asked again.
//!
//! A sweep goes by *steps*. Up to some walkers go over the positions one behind the other, all by
//! one position a step, so that the probes to one port are far apart in time and no burst of
//! losses takes them all. Where the whole space fits the [window](super::window), a walker begins
//! when the one before has ended.

use std::ops::Range;

/// Steps and walkers of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Positions.
    len: u128,
    /// Steps that a walker is behind the one before it.
    lag: u128,
    /// The most walkers that there can be.
    most: u32,
}

impl Schedule {
    /// Walkers over `len` positions, `most` of them at the most, so near to each other that all
    /// stay within half of `window`.
    pub(super) fn new(len: u128, window: u128, most: u32) -> Self {
        let behind = u128::from(most.max(2) - 1);
        Self {
            len,
            lag: if len <= window {
                len
            } else {
                (window / 2 / behind).max(1)
            },
            most,
        }
    }

    /// How many steps `walkers` take.
    pub(super) fn end(&self, walkers: u32) -> u128 {
        let behind = u128::from(walkers.clamp(1, self.most) - 1);
        self.len.saturating_add(behind.saturating_mul(self.lag))
    }

    /// The walker's position at a step, if it is on its way then.
    pub(super) fn position(&self, step: u128, walker: u32) -> Option<u128> {
        let behind = u128::from(walker).checked_mul(self.lag)?;
        step.checked_sub(behind).filter(|&at| at < self.len)
    }

    /// The step at which a walker is at a position.
    pub(super) fn step(&self, position: u128, walker: u32) -> u128 {
        position.saturating_add(u128::from(walker).saturating_mul(self.lag))
    }

    /// The walkers that are on their way at a step, of so many.
    pub(super) fn walkers(&self, step: u128, walkers: u32) -> Range<u32> {
        let walkers = walkers.clamp(1, self.most);
        let begun = u32::try_from(step / self.lag).unwrap_or(u32::MAX);
        let ended = match (step + 1).checked_sub(self.len) {
            None => 0,
            Some(over) => u32::try_from(over.div_ceil(self.lag)).unwrap_or(u32::MAX),
        };
        ended.min(walkers)..begun.saturating_add(1).min(walkers)
    }

    /// The first position that no walker has come to before `step`.
    pub(super) fn head(&self, step: u128) -> u128 {
        step.min(self.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_walked_again_when_it_has_been_walked() {
        let schedule = Schedule::new(100, 128, 4);
        assert_eq!(schedule.end(1), 100);
        assert_eq!(schedule.end(3), 300);
        assert_eq!(schedule.walkers(99, 3), 0..1);
        assert_eq!(schedule.walkers(100, 3), 1..2);
        assert_eq!(schedule.position(100, 1), Some(0));
        assert_eq!(schedule.position(299, 2), Some(99));
    }

    #[test]
    fn walkers_stay_within_half_the_window() {
        let schedule = Schedule::new(1 << 40, 1 << 20, 4);
        let step = 1 << 30;
        let last = schedule.position(step, 3).unwrap();
        assert!(step - last <= 1 << 19, "{}", step - last);
    }

    proptest! {
        #[test]
        fn every_position_is_asked_as_often_as_there_are_walkers(
            len in 1u128..200, window in 1u128..300, walkers in 1u32..6,
        ) {
            let schedule = Schedule::new(len, window, 5);
            let walkers = walkers.min(5);
            let mut asked = vec![0; usize::try_from(len).unwrap()];
            let mut by_range = 0;
            for step in 0..schedule.end(walkers) {
                by_range += schedule.walkers(step, walkers).len();
                for walker in 0..walkers {
                    let position = schedule.position(step, walker);
                    prop_assert_eq!(
                        position.is_some(),
                        schedule.walkers(step, walkers).contains(&walker)
                    );
                    if let Some(position) = position {
                        prop_assert_eq!(schedule.step(position, walker), step);
                        asked[usize::try_from(position).unwrap()] += 1;
                    }
                }
            }
            prop_assert!(asked.iter().all(|&count| count == walkers));
            prop_assert_eq!(by_range, asked.len() * walkers as usize);
        }
    }
}
