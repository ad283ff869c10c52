//! What a sweep tells beside what it finds: progress, and what is left out.

use std::time::Duration;

use portolan_model::event::{Problem, Progress, ScanEvent};

use super::Running;
use crate::clock::Clock;
use crate::transport::Transport;
use crate::words::grouped;

impl<T: Transport, C: Clock> Running<'_, T, C> {
    pub(super) fn report_progress(&mut self, now: Duration) {
        if self.given.control.is_paused() {
            self.idle += now.saturating_sub(self.reported);
        }
        self.reported = now;
        let total = self.space.len();
        let end = self.schedule.end(self.walkers);
        let step = self.step.min(end);
        // Scaled so that the product fits whatever the space.
        let scale = (total >> 64).max(1);
        let done = (step / scale) * (total / scale) / (end / scale).max(1) * scale;
        // In steps: ports that have answered are passed over.
        let elapsed = self.ran(now);
        self.recent.note(elapsed, self.counts.sent, step);
        let left = self.recent.left(end, self.given.control.is_paused());
        let pass = self.schedule.walkers(step.min(end - 1), self.walkers).end;
        let loss = self.loss().measured().unwrap_or(0.0);
        (self.given.sink)(ScanEvent::Progress(Progress {
            done: done.min(total),
            total,
            open: self.counts.open,
            hosts_up: self.counts.up,
            sent: self.counts.sent,
            rate: self.recent.rate(self.given.control.is_paused()),
            in_flight: self.pace.in_flight(),
            pass,
            rtt: self.pace.rtt().srtt(),
            loss,
            elapsed,
            left,
            phase: portolan_model::Phase::Asking,
        }));
    }

    /// How long this part of the sweep has run, without the time that it was told to wait.
    pub(super) fn ran(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started).saturating_sub(self.idle)
    }

    pub(super) fn tell_what_is_left_out(&mut self) {
        if let Some(address) = self.no_route {
            let others = others(self.counts.no_route);
            self.tell(
                format!("no route to {address}{others}"),
                Some("the routing table has no way there: see `ip route get ADDRESS`"),
                true,
            );
        }
        if let Some((endpoint, why)) = self.failed.take() {
            let others = others(self.counts.failed);
            let about = format!("{} port {}", endpoint.address, endpoint.port);
            self.tell(format!("cannot ask {about}{others}: {why}"), None, true);
        }
        if self.counts.open >= self.given.most {
            let found = self.counts.open;
            self.tell(
                format!(
                    "ended after {} open ports, as `--max-results` asks",
                    grouped(found)
                ),
                None,
                false,
            );
        }
    }

    fn tell(&mut self, message: String, hint: Option<&str>, left_out: bool) {
        (self.given.sink)(ScanEvent::Problem(Problem {
            about: "the sweep".to_owned(),
            message,
            hint: hint.map(str::to_owned),
            left_out,
        }));
    }
}

/// ` and 7 more probes`.
fn others(count: u64) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " and 1 more probe".to_owned(),
        _ => format!(" and {} more probes", grouped(count - 1)),
    }
}
