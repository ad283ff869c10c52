//! The engine: what is asked, in which order, how fast, and what the answers mean.

mod control;
mod error;
mod request;

pub use control::Control;
pub use error::{Error, Result};
pub use request::Request;

use portolan_model::ScanEvent;
use portolan_model::event::Finished;

/// Runs a scan to its end on the threads that it needs, and hands every fact to `sink` in the
/// order of finding, on the calling thread. The first event is `Started`, the last `Finished`.
///
/// # Errors
/// When it cannot start at all. What goes wrong later is an event, and nothing is lost by it.
pub fn run(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Result<Finished> {
    let _ = (request, control, sink);
    Err(Error::NothingToScan)
}
