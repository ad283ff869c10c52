//! How much the times of answers differ from each other, whatever the rate.
//!
//! What waits in a queue waits about as long as what left just before it. On a radio link, or
//! where packets take several ways, each answer takes a time of its own: the quickest of a few
//! may then be late without a queue. So the difference between one answer and the next is the
//! measure of what a wait says.

use std::time::Duration;

/// A queue must show in a wait so many times the usual difference: of three answers whose times
/// are drawn by lot, one in two hundred sets waits as long.
const CLEAR: f64 = 3.0;

/// About so many answers are remembered.
const REMEMBERED: f64 = 48.0;

/// The mean difference of the waits of one answer and the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Roughness {
    last: Option<f64>,
    mean: f64,
    seen: f64,
}

impl Roughness {
    /// An answer waited so long beyond the quickest of its host.
    pub(super) fn note(&mut self, waited: Duration) {
        let waited = waited.as_secs_f64();
        if let Some(last) = self.last.replace(waited) {
            self.seen = (self.seen + 1.0).min(REMEMBERED);
            self.mean += ((waited - last).abs() - self.mean) / self.seen;
        }
    }

    /// Less than this may be chance.
    pub(super) fn explains(&self) -> Duration {
        Duration::from_secs_f64(CLEAR * self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permutation::mix;

    #[test]
    fn a_queue_that_grows_is_smooth_and_times_by_lot_are_not() {
        let mut queue = Roughness::default();
        let mut lots = Roughness::default();
        for step in 0..1_000_u64 {
            queue.note(Duration::from_micros(250 * step));
            lots.note(Duration::from_micros(mix(step) % 60_000));
        }
        assert!(queue.explains() < Duration::from_millis(1));
        // A third of the range is the mean difference of two.
        let explained = lots.explains().as_millis();
        assert!((50..=70).contains(&explained), "{explained}");
    }
}
