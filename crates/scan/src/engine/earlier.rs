//! What an earlier part of the scan did: it counts as done, and not as done by this part.

use std::time::Duration;

use super::Engine;
use crate::clock::Clock;
use crate::transport::Transport;

/// Pairs that an earlier part of the scan has behind it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pairs: u128,
    /// Of the block that was begun: what is known to be settled, until the first look at it also
    /// says for how many passes its silent pairs were asked.
    begun: Option<u128>,
}

impl Taken {
    /// So many pairs are done without this part's doing.
    pub(super) const fn pairs(self) -> u128 {
        self.pairs
    }

    /// A block begins of which so many pairs are settled, and perhaps others were asked.
    pub(super) fn begin(&mut self, settled: u128, is_begun: bool) {
        self.begun = (settled > 0 || is_begun).then_some(settled);
    }

    /// A block is done with, also where it was never looked at.
    pub(super) fn end(&mut self) {
        self.pairs += self.begun.take().unwrap_or(0);
    }
}

impl<T: Transport, C: Clock> Engine<'_, T, C> {
    /// Counts the blocks before `first`: an earlier part of the scan is done with them.
    pub(super) fn pass_over(&mut self, first: u64) {
        let first = first.min(self.plan.blocks());
        if first == 0 {
            return;
        }
        let hosts: u64 = (0..first)
            .map(|number| u64::from(self.plan.block(number).hosts()))
            .sum();
        let found = self.settled.keys().filter(|&&address| {
            let block = self.plan.block_of(address);
            block.is_some_and(|block| block < first)
        });
        let found = found.count() as u64;
        let absent = u128::from(hosts.saturating_sub(found));
        let ports = self.plan.ports().len() as u128;
        self.counts.up += found;
        self.counts.down += absent;
        let mut done = u128::from(hosts) * ports;
        if self.discovers() {
            self.counts.skipped += absent * ports;
            done -= absent * ports;
        }
        self.counts.done += done;
        self.done_shown = done;
        self.taken.pairs += done;
    }

    /// Shows so many pairs as done, where that is more than before.
    pub(super) fn come_to(&mut self, done: u128) {
        let gained = done.saturating_sub(self.done_shown);
        if self.taken.begun.take().is_some() {
            // The first look at a block that was begun shows what is behind it.
            self.taken.pairs += gained;
        }
        self.done_shown += gained;
    }

    /// How long this part of the scan has run, without the time that it was told to wait.
    pub(super) fn ran(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started).saturating_sub(self.idle)
    }
}
