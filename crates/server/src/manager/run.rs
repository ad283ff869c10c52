//! One scan from its turn to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, Outcome, Problem, Progress, Reached};
use portolan_model::{PortState, ScanEvent, Zones};
use portolan_scan::Control;
use portolan_scan::clock::{Clock as _, SystemClock};
use portolan_store::{Counts, ScanId, ScanWriter};
use serde_json::json;

use super::{Begin, Manager, said};
use crate::api::views;
use crate::live::{Log, Worth};
use crate::runner::{CannotStart, Earlier, Job};
use crate::update::{Update, open_in};

/// How many events wait between the engine and the pump; a full channel slows the engine.
const ROOM: usize = 8192;

/// Time between two messages: ten a second at the most, and the first at once.
const PERIOD: Duration = Duration::from_millis(100);

/// A message gathers no more events than this.
const MOST_EVENTS: usize = 65_536;

/// How often all who watch the list of scans are told how far a running one is.
const LIST_PERIOD: Duration = Duration::from_secs(1);

impl Manager {
    /// Runs a scan to its end, on a thread of its own.
    pub(super) fn run(
        &self,
        id: ScanId,
        begin: Begin,
        control: &Control,
        suspended: &Arc<AtomicBool>,
    ) {
        if let Err(error) = self.try_run(id, begin, control, suspended) {
            // The store could not be told of its start: it stays as it was.
            let data = json!({"topic": format!("scan:{id}"), "detail": error.to_string()});
            self.say(id, "problem", &data.to_string());
        }
        self.left(id);
    }

    fn try_run(
        &self,
        id: ScanId,
        begin: Begin,
        control: &Control,
        suspended: &Arc<AtomicBool>,
    ) -> portolan_store::Result<()> {
        let store = &self.inner.store;
        let scan = store.scan(id)?;
        let (writer, earlier) = match begin {
            Begin::Anew => (store.start(id)?, Earlier::default()),
            Begin::WhereItStopped => {
                let (writer, kept) = store.resume(id)?;
                let place = kept.map_or_else(Reached::default, |kept| kept.place());
                (writer, Earlier::of(&store.record(id)?, place))
            }
        };
        let was_paused = {
            let mut state = self.state();
            let running = state.running.get_mut(&id);
            running.is_some_and(|running| {
                running.writer = Some(writer.clone());
                running.paused
            })
        };
        if was_paused {
            writer.pause()?;
        }
        let job = Job {
            seed: scan
                .started
                .as_ref()
                .map_or_else(random_seed, |started| started.seed),
            spec: scan.spec,
            detect: scan.detect,
            scope: self.inner.scope.clone(),
            earlier,
        };
        let (seed, place) = (job.seed, job.earlier.place);
        let (sender, receiver) = sync_channel(ROOM);
        let runner = Arc::clone(&self.inner.runner);
        let log = self.log_of(id);
        self.tell(id);
        let mut pump = Pump {
            manager: self,
            id,
            log: &log,
            writer: &writer,
            suspended,
            told: Told {
                counts: scan.counts,
                elapsed_ms: views::millis(scan.elapsed.unwrap_or_default()),
                sent: scan.sent.unwrap_or_default(),
            },
            seed,
            place,
            lost: false,
            zones: Zones::NONE,
            last: Progress::default(),
        };
        std::thread::scope(|scope| {
            let engine = std::thread::Builder::new()
                .name(format!("engine-{id}"))
                .spawn_scoped(scope, move || {
                    let mut sink = |event| {
                        // A pump that has gone has stopped the scan as well.
                        let _ = sender.send(event);
                    };
                    let run = AssertUnwindSafe(|| runner.run(&job, control, &mut sink));
                    let failed = match catch_unwind(run) {
                        Ok(Ok(())) => None,
                        Ok(Err(cannot)) => Some(cannot),
                        Err(_) => Some(CannotStart {
                            message: "the engine failed".to_owned(),
                            hint: Some("resume the scan: what it found is kept".to_owned()),
                        }),
                    };
                    for event in failed.into_iter().flat_map(ended_early) {
                        sink(event);
                    }
                });
            if engine.is_err() {
                let cannot = CannotStart {
                    message: "the system gives no thread".to_owned(),
                    hint: None,
                };
                pump.flush(ended_early(cannot).to_vec(), control);
            }
            pump.follow(&receiver, control);
        });
        if suspended.load(Ordering::Relaxed) && !store.scan(id)?.state.is_over() {
            writer.suspend()?;
        } else {
            writer.flush()?;
        }
        Ok(())
    }
}

/// What was told of a scan: ports so far, time and probes up to this part of it.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    counts: Counts,
    elapsed_ms: f64,
    sent: u64,
}

impl Told {
    fn count(&mut self, batch: &[ScanEvent]) {
        for event in batch {
            let (state, ports) = match event {
                ScanEvent::Port(fact) => (fact.state, 1),
                ScanEvent::Ports(fact) => (fact.state, fact.ports.len() as u64),
                _ => continue,
            };
            let counts = &mut self.counts;
            *match state {
                PortState::Open => &mut counts.open,
                PortState::Closed => &mut counts.closed,
                PortState::Filtered => &mut counts.filtered,
                PortState::OpenFiltered => &mut counts.unsure,
            } += ports;
        }
    }

    /// The progress of the scan as a whole: what it calls settled and open has been told.
    fn whole(&self, part: &Progress) -> views::Progress {
        let progress = views::Progress::from(part);
        let settled = self.counts.ports();
        views::Progress {
            done: progress.done.max(settled.min(progress.total)),
            elapsed_ms: self.elapsed_ms + progress.elapsed_ms,
            sent: self.sent + progress.sent,
            ..progress.counting(&self.counts)
        }
    }
}

/// Takes events from the engine to the store and to the log.
struct Pump<'a> {
    manager: &'a Manager,
    id: ScanId,
    log: &'a Log,
    writer: &'a ScanWriter,
    suspended: &'a AtomicBool,
    /// What this part and those before it have told.
    told: Told,
    /// What decides the order, until the engine has said so itself.
    seed: u64,
    /// Where this part of the scan begins.
    place: Reached,
    /// Whether something could not be written.
    lost: bool,
    /// Over which interfaces link-local addresses are asked.
    zones: Zones,
    /// What the engine told last of its progress.
    last: Progress,
}

impl Pump<'_> {
    fn follow(&mut self, events: &Receiver<ScanEvent>, control: &Control) {
        let clock = SystemClock::start();
        let mut batch = Vec::new();
        let mut due = Duration::ZERO;
        let mut list_due = LIST_PERIOD;
        loop {
            let now = clock.now();
            let wait = if batch.is_empty() {
                LIST_PERIOD
            } else {
                due.saturating_sub(now)
            };
            let is_open = match events.recv_timeout(wait) {
                Ok(event) => {
                    batch.push(event);
                    // What has come already, without asking the clock for each.
                    while batch.len() < MOST_EVENTS
                        && let Ok(event) = events.try_recv()
                    {
                        batch.push(event);
                    }
                    true
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            let now = clock.now();
            let is_due = now >= due || batch.len() >= MOST_EVENTS || !is_open;
            if is_due && !batch.is_empty() {
                self.flush(std::mem::take(&mut batch), control);
                due = now + PERIOD;
            }
            if now >= list_due {
                list_due = now + LIST_PERIOD;
                self.list();
            }
            if !is_open {
                return;
            }
        }
    }

    /// Hands a batch to the store first, so that who hears of it can read it there.
    fn flush(&mut self, mut batch: Vec<ScanEvent>, control: &Control) {
        if self.suspended.load(Ordering::Relaxed) {
            // Stopped to go on later: that is not its end, but the last word on what it did.
            batch.retain_mut(|event| {
                let ScanEvent::Finished(end) = event else {
                    return true;
                };
                if end.outcome != Outcome::Interrupted {
                    return true;
                }
                *event = ScanEvent::Progress(Progress {
                    elapsed: end.elapsed,
                    sent: end.sent,
                    ..self.last
                });
                // Before anything was told of it, there is nothing to say.
                self.last.total > 0
            });
        }
        let place = self.place_of(&mut batch);
        let written = if batch.is_empty() {
            Ok(())
        } else {
            self.tell(batch)
        };
        // What was found before a place is kept with it, or neither is.
        let written = written.and_then(|()| match place {
            Some(place) => self.writer.reached(Timestamp::now(), self.seed, &place),
            None => Ok(()),
        });
        if let Err(error) = written
            && !std::mem::replace(&mut self.lost, true)
        {
            // Going on would find what nobody can keep.
            control.stop();
            let data = json!({"topic": format!("scan:{}", self.id), "detail": error.to_string()});
            self.log.push("problem", &data.to_string(), Worth::Fact);
        }
    }

    /// Takes from a batch how far the engine has come.
    fn place_of(&mut self, batch: &mut Vec<ScanEvent>) -> Option<Reached> {
        let mut place = None;
        batch.retain_mut(|event| {
            match event {
                ScanEvent::Started(started) => {
                    self.seed = started.seed;
                    self.zones = started.zones.clone();
                    // A scan can go on from its first moment on.
                    place.get_or_insert(self.place);
                }
                ScanEvent::Reached(reached) => {
                    place = Some(*reached);
                    return false;
                }
                _ => {}
            }
            true
        });
        place
    }

    /// Hands a batch to the store and to who listens.
    fn tell(&mut self, batch: Vec<ScanEvent>) -> portolan_store::Result<()> {
        self.told.count(&batch);
        let progress = batch.iter().rev().find_map(|event| match event {
            ScanEvent::Progress(progress) => Some(*progress),
            _ => None,
        });
        self.last = progress.unwrap_or(self.last);
        let progress = progress.map(|progress| self.told.whole(&progress));
        let state = self.note_progress(progress);
        // Where the history cannot say, nothing is called new; the results say it later.
        let new = self
            .manager
            .inner
            .store
            .new_ports(self.id, &open_in(&batch, &self.zones));
        let new = new.unwrap_or_default().into_iter().collect();
        let update = Update {
            progress,
            ..Update::gather(
                format!("scan:{}", self.id),
                state,
                &batch,
                &self.zones,
                &new,
            )
        };
        let data = update.to_json();
        let worth = if update.is_moment() {
            Worth::Moment
        } else {
            Worth::Fact
        };
        self.log.push_kept("update", &data, worth, |place| {
            let words = (worth == Worth::Fact).then_some(("update", data.as_str()));
            self.writer.send_and_say(batch, said(place, words))
        })
    }

    /// Keeps the last progress for who asks; returns the scan's state.
    fn note_progress(&self, progress: Option<views::Progress>) -> String {
        let mut state = self.manager.state();
        let Some(running) = state.running.get_mut(&self.id) else {
            return "running".to_owned();
        };
        running.progress = progress.or(running.progress);
        if running.paused { "paused" } else { "running" }.to_owned()
    }

    fn list(&self) {
        if self.manager.inner.scans.listeners() > 0
            && let Ok(scan) = self.manager.view(self.id)
        {
            let data = json!({"topic": "scans", "scan": scan}).to_string();
            self.manager.inner.scans.push("scan", &data, Worth::Moment);
        }
    }
}

/// The events of a scan that could not start, or whose engine gave up.
fn ended_early(cannot: CannotStart) -> [ScanEvent; 2] {
    [
        ScanEvent::Problem(Problem {
            about: "the scan".to_owned(),
            message: cannot.message,
            hint: cannot.hint,
            left_out: true,
        }),
        ScanEvent::Finished(Finished {
            at: Timestamp::now(),
            outcome: Outcome::Incomplete,
            elapsed: Duration::ZERO,
            hosts_up: 0,
            hosts_down: 0,
            sent: 0,
            loss: None,
            expected_missed: 0.0,
        }),
    ]
}

/// An order that nobody can foresee.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's hasher is keyed by the system's random numbers.
    std::hash::RandomState::new().build_hasher().finish()
}
