//! Ctrl-C and SIGTERM: the first ends the scan in order, the second leaves at once. So does the
//! first SIGHUP, of a terminal that is closed.

use std::io;
use std::thread;
use std::time::Duration;

use portolan_scan::Control;
use portolan_scan::clock::{Clock as _, SystemClock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell calls the end by SIGINT: 128 and its number.
const INTERRUPTED: i32 = 130;

/// What comes within this is the first signal once more: `timeout` sends it to the process and
/// to its group.
const SAME: Duration = Duration::from_millis(200);

/// Ties the signals to `control` from here on; `at_second` is called before leaving at once, which
/// SIGQUIT asks for as well.
///
/// # Errors
/// When the system does not let them be caught.
pub(crate) fn watch(control: Control, at_second: fn()) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT])?;
    // Who starts it by `nohup` wants it to go on.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !is_ignored(&status, SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // It needs no right at all; where they cannot be given up, they are kept.
            let _ = portolan_link::drop_capabilities();
            let clock = SystemClock::start();
            // Kept here: a scan can have been stopped by other means before the first.
            let mut first = None;
            for signal in signals.forever() {
                if signal == SIGQUIT {
                    // It ends the program as ever, but not before the terminal is as before.
                    at_second();
                    let _ = signal_hook::low_level::emulate_default_handler(SIGQUIT);
                }
                let now = clock.now();
                match first {
                    None => {
                        first = Some(now);
                        control.stop();
                    }
                    Some(at) if now < at + SAME => {}
                    // The system and the shell both say that the terminal is gone.
                    Some(_) if signal == SIGHUP => {}
                    Some(_) => {
                        at_second();
                        #[expect(
                            clippy::exit,
                            reason = "the user asked twice; what waits may never end by itself"
                        )]
                        std::process::exit(INTERRUPTED);
                    }
                }
            }
        })?;
    Ok(())
}

/// Whether a process whose `/proc/PID/status` this is ignores a signal (proc(5), `SigIgn`).
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_known() {
        let status = "Name:\tportolan\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(!is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGHUP));
    }
}
