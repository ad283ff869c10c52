//! Ctrl-C and SIGTERM: the first ends the scan in order, the second leaves at once.

use std::io;
use std::thread;

use portolan_scan::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell calls the end by SIGINT: 128 and its number.
const INTERRUPTED: i32 = 130;

/// Ties the signals to `control` from here on; `at_second` is called before leaving at once.
///
/// # Errors
/// When the system does not let them be caught.
pub(crate) fn watch(control: Control, at_second: fn()) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // Counted here: a scan can have been stopped by other means before the first.
            for (before, _) in signals.forever().enumerate() {
                if before > 0 {
                    at_second();
                    #[expect(
                        clippy::exit,
                        reason = "the user asked twice; what waits may never end by itself"
                    )]
                    std::process::exit(INTERRUPTED);
                }
                control.stop();
            }
        })?;
    Ok(())
}
