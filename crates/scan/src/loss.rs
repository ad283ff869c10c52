//! How much the path loses, and how often silence must be asked again for that.

/// The most open ports, as a share, that may be expected to be missing from a result.
pub const MISSED_SHARE: f64 = 1e-4;

/// The most open ports, in number, that may be expected to be missing from a result.
const MISSED_COUNT: f64 = 5e-3;

/// The most ports that answer, open or closed, that may be expected to be taken for silent.
const SILENCED: f64 = 0.02;

/// Of fewer probes, what was lost is chance and no share that could be told.
const TOLD: u64 = 20;

/// A silent port is asked at least twice: a loss that has not been seen yet is still possible.
const LEAST: u32 = 2;

/// More often than this, no loss that one can scan through asks for.
pub(crate) const MOST: u32 = 12;

/// Counts what became of probes to ports that are known to answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loss {
    answered: u64,
    lost: u64,
}

impl Loss {
    /// So many probes were answered, and so many lost.
    pub const fn of(answered: u64, lost: u64) -> Self {
        Self { answered, lost }
    }

    /// A probe was answered.
    pub const fn answered(&mut self) {
        self.answered += 1;
    }

    /// `count` probes were lost: the port is known to answer, and did not answer them.
    pub const fn lost(&mut self, count: u64) {
        self.lost += count;
    }

    /// What is known together with closed ports, unless these lost more than chance explains: a
    /// host that limits its resets loses nothing on the way.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
    pub fn with_closed(&self, closed: &Self) -> Self {
        // So many would be lost here if closed ports showed what the path loses.
        let wanted = (self.answered + self.lost) as f64 * closed.expected();
        if (self.lost as f64) < wanted - 3.0 * (wanted + 1.0).sqrt() {
            return *self;
        }
        Self {
            answered: self.answered + closed.answered,
            lost: self.lost + closed.lost,
        }
    }

    /// The share that was lost; `None` when nothing has answered.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
    pub fn measured(&self) -> Option<f64> {
        let all = self.answered + self.lost;
        (self.answered > 0).then(|| self.lost as f64 / all as f64)
    }

    /// The share that was lost, as it is told at the end; `None` where too little was measured for
    /// what was lost of it to mean anything.
    pub fn told(&self) -> Option<f64> {
        let is_enough = self.lost == 0 || self.answered + self.lost >= TOLD;
        self.measured().filter(|_| is_enough)
    }

    /// The share to reckon with: what was measured, with the doubt that few measurements leave.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
    pub fn expected(&self) -> f64 {
        // Half a loss in ten probes before anything is known; it hardly counts after hundreds.
        (self.lost as f64 + 0.5) / ((self.answered + self.lost) as f64 + 10.0)
    }

    /// How many ports that would answer are still silent after so many passes, as far as loss
    /// explains it.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
    fn silenced(&self, passes: u32) -> f64 {
        let passes = i32::try_from(passes).unwrap_or(i32::MAX);
        self.answered as f64 * self.expected().powi(passes)
    }

    /// How often a silent port is to be asked in all, for `open` open ports found so far.
    #[expect(clippy::cast_precision_loss, reason = "a count of ports")]
    pub fn passes(&self, open: u64) -> u32 {
        let share = MISSED_SHARE.min(MISSED_COUNT / (open as f64).max(1.0));
        let loss = self.expected().min(0.9);
        let passes = (share.ln() / loss.ln()).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to small positive numbers"
        )]
        let passes = passes.clamp(f64::from(LEAST), f64::from(MOST)) as u32;
        // Where much answers, closed ports too are not to be called filtered for a loss.
        (passes..MOST)
            .find(|&passes| self.silenced(passes) < SILENCED)
            .unwrap_or(MOST)
    }

    /// How many open ports are expected to be missing when `open` were found and silent ports
    /// were asked `passes` times. A port that was never asked is not missed: a scan that was cut
    /// off in its first pass counts that as done.
    #[expect(clippy::cast_precision_loss, reason = "a count of ports")]
    pub fn missed(&self, open: u64, passes: u32) -> f64 {
        let share = self
            .expected()
            .powi(i32::try_from(passes.max(1)).unwrap_or(i32::MAX));
        open as f64 * share / (1.0 - share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(answered: u64, lost: u64) -> Loss {
        Loss { answered, lost }
    }

    #[test]
    fn a_path_that_loses_nothing_is_asked_twice() {
        assert_eq!(loss(10_000, 0).passes(20), 2);
        assert_eq!(loss(10_000, 0).measured(), Some(0.0));
    }

    #[test]
    fn more_loss_asks_for_more_passes() {
        assert_eq!(loss(99, 1).passes(20), 3);
        assert_eq!(loss(9_900, 100).passes(20), 3);
        assert_eq!(loss(65_000, 650).passes(20), 4);
        assert_eq!(loss(9_400, 600).passes(100), 5);
        assert_eq!(loss(5, 5_000).passes(1), 12);
    }

    #[test]
    fn a_scan_that_was_cut_off_in_its_first_pass_misses_few() {
        assert!(loss(99, 1).missed(7, 0) < 0.2);
        assert!(loss(0, 0).missed(7, 0) < 1.0);
    }

    #[test]
    fn the_expected_misses_keep_the_bound() {
        for lost in [0, 10, 100, 600, 1_500] {
            let loss = loss(10_000 - lost, lost);
            for open in [0, 1, 100, 1_000] {
                assert!(
                    loss.missed(open, loss.passes(open)) <= 1.01 * MISSED_COUNT,
                    "{lost} {open}"
                );
            }
        }
    }

    #[test]
    fn closed_ports_that_are_held_back_do_not_count_as_loss() {
        let path = loss(400, 4);
        assert_eq!(path.with_closed(&loss(9_900, 100)).answered, 10_300);
        assert_eq!(path.with_closed(&loss(5_000, 5_000)).answered, 400);
    }

    #[test]
    fn a_share_of_a_few_probes_is_not_told() {
        assert_eq!(loss(4, 0).told(), Some(0.0));
        assert_eq!(loss(4, 2).told(), None);
        assert_eq!(loss(19, 1).told(), Some(0.05));
        assert_eq!(loss(0, 0).told(), None);
    }

    #[test]
    fn nothing_is_measured_where_nothing_answers() {
        assert_eq!(Loss::default().measured(), None);
        assert_eq!(Loss::default().passes(0), 4);
    }
}
