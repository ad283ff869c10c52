//! Ctrl-C and SIGTERM: the first ends the scan in order, the second leaves at once.

use std::io;
use std::thread;
use std::time::Duration;

use portolan_scan::Control;
use portolan_scan::clock::{Clock as _, SystemClock};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
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
