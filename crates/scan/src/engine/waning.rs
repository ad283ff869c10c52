//! Answers that wane: a host that sends so many a second and no more answers what it is asked
//! first, and little of the rest. What a firewall lets through is spread over all that is asked,
//! since the order is drawn by lot.

/// Of answers that are spread evenly, about one host in four thousand seems to wane.
const CLEAR: f64 = 3.5;

/// The mean place of answers that wane, at the most: where more is lost towards the end, it is
/// earlier than the middle too, but not by so much.
const EARLY: f64 = 0.4;

/// Of fewer answers nothing can be told.
const FEW: f64 = 4.0;

/// Where in the order of asking a port stands, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// Among the likely ports, which are asked before all others.
    Likely(f64),
    /// Among the others.
    Other(f64),
}

/// With a chance below this, all answers came from the beginning for a reason.
const BEGINNING: f64 = 5e-3;

/// How many answers came, the sum of their places and the last of these.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: f64,
    sum: f64,
    last: f64,
}

impl Tally {
    fn wanes(self) -> bool {
        let mean = self.sum / self.count.max(1.0);
        // The variance of a place that is drawn by lot is a twelfth.
        let chance = 0.5 - CLEAR / (12.0 * self.count).sqrt();
        let is_beginning = self.last < EARLY && self.last.powf(self.count) < BEGINNING;
        self.count >= FEW && (mean < chance.min(EARLY) || is_beginning)
    }
}

/// The places of a host's answers of one sort.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waning {
    likely: Tally,
    others: Tally,
}

impl Waning {
    /// An answer came to what stands at this place.
    pub(super) fn note(&mut self, place: Place) {
        let (tally, at) = match place {
            Place::Likely(at) => (&mut self.likely, at),
            Place::Other(at) => (&mut self.others, at),
        };
        tally.count += 1.0;
        tally.sum += at;
        tally.last = tally.last.max(at);
    }

    /// Whether fewer and fewer came, by more than chance explains.
    pub(super) fn shows(self) -> bool {
        // A limit that left none for the others has met the likely ones already.
        self.others.wanes() || self.others.count < FEW && self.likely.wanes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permutation::mix;

    fn of(places: impl Iterator<Item = f64>) -> Waning {
        let mut waning = Waning::default();
        for at in places {
            waning.note(Place::Other(at));
        }
        waning
    }

    #[test]
    fn a_burst_at_the_beginning_wanes_and_what_is_spread_does_not() {
        assert!(of((0..6).map(|at| f64::from(at) / 3_000.0)).shows());
        assert!(!of((0..3).map(|at| f64::from(at) / 3_000.0)).shows());
        for seed in 0..200_u32 {
            let lots = (0..40_u32).map(|at| mix((u64::from(seed) << 32) | u64::from(at)) >> 32);
            let spread = lots.map(|lot| f64::from(u32::try_from(lot).unwrap()) / 4_294_967_296.0);
            assert!(!of(spread).shows(), "{seed}");
        }
    }

    #[test]
    fn six_of_the_likely_ports_and_nothing_else_wane() {
        let mut waning = Waning::default();
        // Those before are open.
        for at in 3..9 {
            waning.note(Place::Likely(f64::from(at) / 32.0));
        }
        assert!(waning.shows());
        for at in 0..100 {
            waning.note(Place::Other(f64::from(at) / 100.0));
        }
        assert!(!waning.shows());
    }
}
