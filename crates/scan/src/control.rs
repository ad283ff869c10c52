//! What a user may do to a scan that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handle on a running scan, for another thread or a signal handler.
#[derive(Debug, Clone, Default)]
pub struct Control {
    inner: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    stop: AtomicBool,
    pause: AtomicBool,
    skip: AtomicBool,
}

impl Control {
    /// A handle on a scan that runs freely.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the scan in order: nothing more is sent, what was found is reported.
    pub fn stop(&self) {
        self.inner.stop.store(true, Ordering::Relaxed);
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.inner.stop.load(Ordering::Relaxed)
    }

    /// Sends nothing more until [`resume`](Self::resume); answers are still taken.
    pub fn pause(&self) {
        self.inner.pause.store(true, Ordering::Relaxed);
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.inner.pause.store(false, Ordering::Relaxed);
    }

    /// Gives up the host that has the most ports left to ask: what it answered is kept.
    pub fn skip_host(&self) {
        self.inner.skip.store(true, Ordering::Relaxed);
    }

    /// Whether [`skip_host`](Self::skip_host) was called since the last time.
    pub(crate) fn take_skip(&self) -> bool {
        self.inner.skip.swap(false, Ordering::Relaxed)
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.inner.pause.load(Ordering::Relaxed)
    }
}
