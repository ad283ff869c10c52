//! What is driven by packets and by time.

use std::time::Duration;

/// A machine that takes frames and the time, and gives frames. Times never go back.
pub trait Medium {
    /// Takes a frame that the scanner sends at `now`.
    fn inject(&mut self, now: Duration, frame: &[u8]);

    /// When something will happen next; `None` when nothing will without a new frame.
    fn next_event(&self) -> Option<Duration>;

    /// Lets everything happen that is due at `now`, and hands each frame that reaches the
    /// scanner to `out`, with the time at which it does, in the order of time.
    fn poll(&mut self, now: Duration, out: &mut dyn FnMut(Duration, &[u8]));
}
