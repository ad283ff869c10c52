//! A way that is down for a moment: a cable that was moved, a Wi-Fi that roams, a router that
//! starts anew. An hours-long scan does not end for that: it waits, and goes on.

use std::time::Duration;

use portolan_model::event::Problem;

use crate::transport::Failure;

/// A way that is not back after this is down.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What is left of a scan whose way does not come back.
pub(crate) const ENDED: &str = "what was found until then stands";

/// So many interruptions are told of; a link that flaps for hours is not to fill the terminal.
const TOLD: u32 = 5;

/// Whether the way is down, and since when.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    since: Option<Duration>,
    interruptions: u32,
}

/// What changed since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// It is down since now.
    Down(Option<Problem>),
    /// It is up again.
    Up(Option<Problem>),
    /// It does not come back; why.
    Over(String),
}

impl Hold {
    /// Takes what the transport says of itself.
    pub(crate) fn look(&mut self, failure: Option<&Failure>, now: Duration) -> Change {
        match (failure, self.since) {
            (None, Some(since)) => {
                self.since = None;
                let away = now.saturating_sub(since).as_secs_f64();
                Change::Up(self.note(format!(
                    "the way is back after {away:.1} s: what was on its way is asked again"
                )))
            }
            (Some(failure), _) if !failure.may_pass => Change::Over(failure.why.clone()),
            (Some(failure), None) => {
                self.since = Some(now);
                self.interruptions += 1;
                Change::Down(self.note(format!(
                    "{}: waiting up to {} s for it to come back",
                    failure.why,
                    PATIENCE.as_secs()
                )))
            }
            (Some(failure), Some(since)) if now >= since + PATIENCE => Change::Over(format!(
                "{}, and was not as before after {} s",
                failure.why,
                PATIENCE.as_secs()
            )),
            (None, None) | (Some(_), Some(_)) => Change::None,
        }
    }

    /// Whether nothing can be sent now.
    pub(crate) const fn is_down(&self) -> bool {
        self.since.is_some()
    }

    fn note(&self, message: String) -> Option<Problem> {
        (self.interruptions <= TOLD).then(|| Problem {
            about: String::new(),
            message,
            hint: None,
            left_out: false,
        })
    }
}

#[cfg(test)]
mod tests;
