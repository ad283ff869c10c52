//! Positions that were asked as often as they need within one pass.

use std::collections::VecDeque;
use std::ops::Range;

use crate::bits::Bits;

/// So many sentinels must have been heard of after a position was asked: if the path had dropped
/// it for being full, they would show it.
const PROOF: u64 = 64;

/// The positions that need no asking in later passes.
///
/// On a path that keeps a table of flows all questions to a port are asked while its flow lives.
/// They do not count if the table turns out to have been full meanwhile.
#[derive(Debug, Default)]
pub(super) struct AskedOut {
    proven: Bits,
    /// Those that are not proven yet, with the number of sentinels heard of until then.
    recent: VecDeque<(u64, Range<u64>)>,
    /// How often the path had been doubted.
    doubts: u32,
}

impl AskedOut {
    /// Sentinels were heard of, so many in all, and the path was doubted so often:
    /// what went out before that may be lost.
    pub(super) fn learn(&mut self, sentinels: u64, doubts: u32, len: u64) {
        if self.doubts != doubts {
            self.doubts = doubts;
            self.recent.clear();
        }
        while let Some((then, range)) = self.recent.front()
            && then + PROOF <= sentinels
        {
            prove(&mut self.proven, range.clone(), len);
            self.recent.pop_front();
        }
    }

    /// A position was asked as often as it needs.
    pub(super) fn add(&mut self, position: u64, sentinels: u64) {
        match self.recent.back_mut() {
            Some((then, range)) if *then == sentinels && range.end == position => range.end += 1,
            _ => self.recent.push_back((sentinels, position..position + 1)),
        }
    }

    /// The pass is over, and the path was not found to be overrun at its end.
    pub(super) fn end_pass(&mut self, len: u64) {
        for (_, range) in self.recent.drain(..) {
            prove(&mut self.proven, range, len);
        }
    }

    /// Whether a position needs no asking.
    pub(super) fn holds(&self, position: u64) -> bool {
        self.proven.is_set(position)
    }
}

fn prove(proven: &mut Bits, range: Range<u64>, len: u64) {
    if proven.is_empty() {
        *proven = Bits::new(len);
    }
    for position in range {
        proven.set(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_once_sentinels_have_been_heard_of() {
        let mut asked = AskedOut::default();
        asked.add(3, 10);
        asked.learn(10 + PROOF - 1, 0, 8);
        assert!(!asked.holds(3));
        asked.learn(10 + PROOF, 0, 8);
        assert!(asked.holds(3) && !asked.holds(4));
    }

    #[test]
    fn what_went_out_before_a_doubt_is_asked_again() {
        let mut asked = AskedOut::default();
        asked.add(3, 10);
        asked.learn(20, 1, 8);
        asked.add(4, 20);
        asked.end_pass(8);
        assert!(!asked.holds(3) && asked.holds(4));
    }
}
