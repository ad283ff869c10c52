//! The loop between a device and a network.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tun_rs::SyncDevice;

use super::outcome::DeviceCounters;
use super::{Settings, Stdin};
use crate::{Error, Medium, Result};

/// Frames that are read before answers are looked after again.
const BATCH: usize = 64;
/// The longest wait, so that a signal or the limit is seen.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// The longest frame: the kernel's largest packet and an Ethernet header.
const FRAME: usize = 65_550;

/// The clock of the outside world: time since the first call.
struct RealTime {
    start: Instant,
}

impl RealTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "behind a device time is the real one, and this is its one source"
    )]
    fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Carries frames until it is to end, and says what the device did and how long it took.
pub(super) fn serve<M: Medium>(
    device: &SyncDevice,
    medium: &mut M,
    settings: &Settings,
    stop: &AtomicBool,
) -> Result<(DeviceCounters, Duration)> {
    // The default slack of 50 µs would make each delay longer by it. Where it cannot be set, delays
    // are a little late: no reason not to run.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let time = RealTime::start();
    let mut counters = DeviceCounters::default();
    let mut buffer = vec![0; FRAME];
    let stdin = io::stdin();
    let mut watches_stdin = settings.stdin == Stdin::Watched;
    while !stop.load(Ordering::Relaxed) && settings.limit.is_none_or(|limit| time.now() < limit) {
        let mut read = 0;
        while read < BATCH {
            match rustix::io::read(device, &mut buffer) {
                Ok(len) => {
                    medium.inject(time.now(), &buffer[..len]);
                    read += 1;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("read from the device", errno)),
            }
        }
        counters.read += read as u64;
        medium.poll(time.now(), &mut |_, frame| {
            match rustix::io::write(device, frame) {
                Ok(_) => counters.written += 1,
                // Garbage that the kernel takes for no packet at all, or a full queue.
                Err(_) => counters.refused += 1,
            }
        });
        if read == BATCH {
            continue;
        }
        let wait = medium.next_event().map_or(LONGEST_WAIT, |next| {
            next.saturating_sub(time.now()).min(LONGEST_WAIT)
        });
        let mut fds = vec![PollFd::new(device, PollFlags::IN)];
        if watches_stdin {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("wait for the device", errno)),
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            match rustix::io::read(&stdin, &mut buffer) {
                Ok(0) => break,
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                // A terminal that is gone is no reason to fail, and nothing to watch any more.
                Err(_) => watches_stdin = false,
            }
        }
    }
    Ok((counters, time.now()))
}

fn failed(what: &'static str, errno: Errno) -> Error {
    Error::System {
        what,
        source: errno.into(),
    }
}
