//! Packets that are lost by chance, alone or in bursts.

use crate::rng::Rng;
use crate::scenario::Burst;

/// Independent loss, and beside it the two states of Gilbert and Elliott (E. N. Gilbert,
/// "Capacity of a burst-noise channel", 1960; E. O. Elliott, 1963).
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    loss: f64,
    burst: Option<Burst>,
    is_bad: bool,
}

impl Losses {
    pub(crate) const fn new(loss: f64, burst: Option<Burst>) -> Self {
        Self {
            loss,
            burst,
            is_bad: false,
        }
    }

    /// Whether the next packet is lost.
    pub(crate) fn loses(&mut self, rng: &mut Rng) -> bool {
        if let Some(burst) = &self.burst {
            let leave = if self.is_bad {
                burst.leave
            } else {
                burst.enter
            };
            if rng.chance(leave) {
                self.is_bad = !self.is_bad;
            }
            if self.is_bad && rng.chance(burst.loss) {
                return true;
            }
        }
        rng.chance(self.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frequency_is_the_probability() {
        let mut rng = Rng::new(1, 1);
        let mut losses = Losses::new(0.05, None);
        let lost = (0..100_000).filter(|_| losses.loses(&mut rng)).count();
        // Five standard deviations of a binomial are 345.
        assert!((4655..=5345).contains(&lost), "{lost}");
    }

    #[test]
    fn bursts_have_their_length_and_their_share() {
        let mut rng = Rng::new(2, 1);
        let mut losses = Losses::new(
            0.0,
            Some(Burst {
                enter: 0.01,
                leave: 0.25,
                loss: 1.0,
            }),
        );
        let pattern: Vec<bool> = (0..200_000).map(|_| losses.loses(&mut rng)).collect();
        let lost = pattern.iter().filter(|&&lost| lost).count();
        let bursts = pattern
            .windows(2)
            .filter(|pair| !pair[0] && pair[1])
            .count();
        // The share of the bad state is enter / (enter + leave), 3.85 %; its length 1 / leave, 4.
        assert!((6900..=8500).contains(&lost), "{lost}");
        let per_burst = lost / bursts;
        assert!((3..=4).contains(&per_burst), "{per_burst}");
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let run = |seed| {
            let mut rng = Rng::new(seed, 1);
            let mut losses = Losses::new(0.3, None);
            (0..1000)
                .map(|_| losses.loses(&mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
