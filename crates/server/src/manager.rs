//! Every scan of this server: the queue, those that run, and what they say.
//!
//! ```text
//! submit ─> queue ─> scan thread ── runner ──> bounded channel ─> pump ─┬─> store, in batches
//!                        │                                              └─> log ─> listeners
//!   pause, resume, cancel└── control
//! ```

mod run;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use portolan_model::Scope;
use portolan_scan::Control;
use portolan_store::{NewScan, Queued, Said, ScanId, ScanState, ScanWriter, Store};
use serde_json::json;

use crate::api::views;
use crate::error::{Problem, Result};
use crate::live::{Log, Place, Worth};
use crate::runner::Runner;

/// How many ended scans keep what they said for who comes back.
const ENDED_LOGS: usize = 4;

/// How long the end waits for scans to lay down their work.
const LAST_WAIT: Duration = Duration::from_secs(20);

/// Bounds on scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// How many run at once.
    pub running: usize,
    /// How many may wait.
    pub queued: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            running: 2,
            queued: 100,
        }
    }
}

/// Where a scan in the queue begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Anew,
    WhereItStopped,
}

/// A scan that runs.
#[derive(Debug)]
struct Running {
    control: Control,
    paused: bool,
    /// Set when it is to go on after the next start of the server.
    suspended: Arc<AtomicBool>,
    /// Set once the store has been told of its start.
    writer: Option<ScanWriter>,
    progress: Option<views::Progress>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(ScanId, Begin)>,
    running: HashMap<ScanId, Running>,
    logs: HashMap<ScanId, Arc<Log>>,
    /// Scans whose logs are kept though they ended, oldest first.
    ended: VecDeque<ScanId>,
    closing: bool,
}

struct Inner {
    store: Store,
    runner: Arc<dyn Runner>,
    scope: Scope,
    limits: ScanLimits,
    state: Mutex<State>,
    idle: Condvar,
    scans: Log,
    next_log: AtomicU32,
}

/// Runs scans one after the other, some at once. Copies share it.
#[derive(Clone)]
pub struct Manager {
    inner: Arc<Inner>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// How many scans run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Those that run, paused ones among them.
    pub running: usize,
    /// Those that wait.
    pub queued: usize,
}

impl Manager {
    /// A manager that takes up the scans that still wait in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Store,
        runner: Arc<dyn Runner>,
        scope: Scope,
        limits: ScanLimits,
        first_log: u32,
    ) -> portolan_store::Result<Self> {
        let manager = Self {
            inner: Arc::new(Inner {
                store,
                runner,
                scope,
                limits,
                state: Mutex::default(),
                idle: Condvar::new(),
                scans: Log::new(first_log),
                next_log: AtomicU32::new(first_log.wrapping_add(1)),
            }),
        };
        let filter = portolan_store::ScanFilter {
            states: vec![ScanState::Queued],
            ..Default::default()
        };
        let waiting = manager.inner.store.scans(&filter, None, limits.queued)?;
        let mut state = manager.state();
        for scan in waiting.items.into_iter().rev() {
            state.queue.push_back((scan.id, Begin::Anew));
        }
        drop(state);
        manager.fill();
        Ok(manager)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a push or a removal.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many scans run and wait.
    pub fn load(&self) -> Load {
        let state = self.state();
        Load {
            running: state.running.len(),
            queued: state.queue.len(),
        }
    }

    /// What all scans say together: made, changed, deleted.
    pub fn scans(&self) -> &Log {
        &self.inner.scans
    }

    /// What one scan says; `None` for one that ended long ago, or never ran here.
    pub fn log(&self, id: ScanId) -> Option<Arc<Log>> {
        self.state().logs.get(&id).cloned()
    }

    /// How many listen to single scans.
    pub fn listeners(&self) -> usize {
        self.state().logs.values().map(|log| log.listeners()).sum()
    }

    /// Keeps a scan and lets it run when its turn comes.
    ///
    /// # Errors
    /// 429 when too many wait, 503 while the server ends, and those of the store.
    pub fn submit(&self, new: NewScan) -> Result<Queued> {
        self.room()?;
        let queued = self.inner.store.queue(new)?;
        if let Queued::New(id) = queued {
            self.state().queue.push_back((id, Begin::Anew));
            self.tell(id);
            self.fill();
        }
        Ok(queued)
    }

    fn room(&self) -> Result<()> {
        let state = self.state();
        if state.closing {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is about to end",
            ));
        }
        if state.queue.len() >= self.inner.limits.queued {
            let queued = self.inner.limits.queued;
            return Err(Problem::too_many(
                format!("{queued} scans wait already: no more are taken"),
                30,
            ));
        }
        Ok(())
    }

    /// Tells a running scan to wait.
    ///
    /// # Errors
    /// 409 unless it runs.
    pub fn pause(&self, id: ScanId) -> Result<()> {
        let writer = {
            let mut state = self.state();
            let running = state.running.get_mut(&id).filter(|running| !running.paused);
            let Some(running) = running else {
                drop(state);
                return Err(self.wrong_state(id, "be paused"));
            };
            running.paused = true;
            running.control.pause();
            running.writer.clone()
        };
        if let Some(writer) = writer {
            writer.pause()?;
        }
        self.tell(id);
        self.fill();
        Ok(())
    }

    /// Tells a running scan to leave out what is left of the host that has the most left.
    ///
    /// # Errors
    /// 409 unless it runs.
    pub fn skip_host(&self, id: ScanId) -> Result<()> {
        let state = self.state();
        if let Some(running) = state.running.get(&id).filter(|running| !running.paused) {
            running.control.skip_host();
            return Ok(());
        }
        drop(state);
        Err(self.wrong_state(id, "skip a host"))
    }

    /// Lets a scan go on: one that was paused at once, one that was cut off when its turn comes.
    ///
    /// # Errors
    /// 409 for one that is done, waits or runs.
    pub fn resume(&self, id: ScanId) -> Result<()> {
        let writer = {
            let mut state = self.state();
            match state.running.get_mut(&id) {
                Some(running) if running.paused => {
                    running.paused = false;
                    running.control.resume();
                    Some(running.writer.clone())
                }
                Some(_) => {
                    drop(state);
                    return Err(self.wrong_state(id, "go on"));
                }
                None => None,
            }
        };
        if let Some(writer) = writer {
            if let Some(writer) = writer {
                writer.unpause()?;
            }
            self.tell(id);
            return Ok(());
        }
        let scan = self.inner.store.scan(id)?;
        let can = matches!(
            scan.state,
            ScanState::Paused
                | ScanState::Interrupted
                | ScanState::Incomplete
                | ScanState::Cancelled
        );
        if !can {
            return Err(self.wrong_state(id, "go on"));
        }
        self.room()?;
        let mut state = self.state();
        if state.queue.iter().any(|(queued, _)| *queued == id) {
            drop(state);
            return Err(self.wrong_state(id, "go on"));
        }
        state.queue.push_back((id, Begin::WhereItStopped));
        // What it said before is told by the store; its new part has a log of its own.
        state.logs.remove(&id);
        state.ended.retain(|ended| *ended != id);
        drop(state);
        self.tell(id);
        self.fill();
        Ok(())
    }

    /// Ends a scan; what it found is kept.
    ///
    /// # Errors
    /// 409 for one that is over.
    pub fn cancel(&self, id: ScanId, at: Timestamp) -> Result<()> {
        let queued = {
            let mut state = self.state();
            if let Some(running) = state.running.get(&id) {
                running.control.stop();
                return Ok(());
            }
            let place = state.queue.iter().position(|(queued, _)| *queued == id);
            place.and_then(|place| state.queue.remove(place))
        };
        // One that waited to go on is again what it was.
        if !matches!(queued, Some((_, Begin::WhereItStopped))) {
            self.inner.store.cancel(id, at)?;
        }
        self.tell(id);
        self.retire(id);
        self.tell_queue();
        Ok(())
    }

    /// Deletes a scan and what it found.
    ///
    /// # Errors
    /// 409 for one that runs or waits.
    pub fn delete(&self, id: ScanId) -> Result<()> {
        {
            // A scan that has just begun is still a queued one to the store.
            let state = self.state();
            let queued = state.queue.iter().any(|(queued, _)| *queued == id);
            if queued || state.running.contains_key(&id) {
                drop(state);
                return Err(self
                    .wrong_state(id, "be deleted")
                    .with_hint("cancel it first"));
            }
        }
        self.inner.store.delete_scan(id)?;
        let mut state = self.state();
        state.logs.remove(&id);
        state.ended.retain(|ended| *ended != id);
        drop(state);
        let data = json!({"topic": "scans", "id": id.0}).to_string();
        self.inner.scans.push("deleted", &data, Worth::Fact);
        Ok(())
    }

    /// Waits until everything that a scan has said is in the history.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn flush(&self, id: ScanId) -> Result<()> {
        let running = self
            .state()
            .running
            .get(&id)
            .and_then(|running| running.writer.clone());
        Ok(running.map_or(Ok(()), |writer| writer.flush())?)
    }

    fn wrong_state(&self, id: ScanId, action: &str) -> Problem {
        match self.view(id) {
            Ok(scan) => Problem::new(
                StatusCode::CONFLICT,
                format!("scan {id} is {}: it cannot {action}", scan.state),
            ),
            Err(problem) => problem,
        }
    }

    /// A scan as it is now.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn view(&self, id: ScanId) -> Result<views::Scan> {
        let mut scan = views::Scan::from(self.inner.store.scan(id)?);
        self.complete(&mut scan);
        Ok(scan)
    }

    /// Adds to a scan of the store what only this process knows.
    pub fn complete(&self, scan: &mut views::Scan) {
        let id = ScanId(scan.id);
        let state = self.state();
        if let Some(running) = state.running.get(&id) {
            // What is counted is as it is in the history, where the results are.
            scan.progress = running.progress.map(|progress| views::Progress {
                done: scan.done,
                settled: scan.settled,
                total: scan.total,
                open: scan.counts.open,
                closed: scan.counts.closed,
                filtered: scan.counts.filtered,
                open_filtered: scan.counts.open_filtered,
                ..progress
            });
            let word = if running.paused {
                ScanState::Paused
            } else {
                ScanState::Running
            };
            word.as_str().clone_into(&mut scan.state);
            scan.phase = running
                .progress
                .map(|progress| progress.phase)
                .or(scan.phase);
            scan.can_resume = running.paused;
        } else if let Some(place) = state.queue.iter().position(|(queued, _)| *queued == id) {
            scan.queue_place = Some(place + 1);
            ScanState::Queued.as_str().clone_into(&mut scan.state);
            scan.can_resume = false;
        }
    }

    /// Tells listeners of all scans, and of this one, what it is now.
    fn tell(&self, id: ScanId) {
        let Ok(scan) = self.view(id) else {
            return;
        };
        let all = json!({"topic": "scans", "scan": &scan}).to_string();
        self.inner.scans.push("scan", &all, Worth::Fact);
        let update = crate::update::Update {
            topic: format!("scan:{id}"),
            state: scan.state.clone(),
            scan: Some(scan),
            ..Default::default()
        };
        self.say(id, "update", &update.to_json());
    }

    /// Tells listeners of a scan something, and keeps it for who comes back.
    fn say(&self, id: ScanId, event: &'static str, data: &str) {
        // What cannot be kept is told all the same: who comes back too late reads anew.
        let _ = self
            .log_of(id)
            .push_kept(event, data, Worth::Fact, |place| {
                let said = said(place, Some((event, data)));
                self.inner.store.say(id, said)
            });
    }

    /// Tells those that wait of their new places.
    fn tell_queue(&self) {
        let waiting: Vec<ScanId> = self.state().queue.iter().map(|(id, _)| *id).collect();
        for id in waiting {
            self.tell(id);
        }
    }

    /// The log of a scan, made where there is none.
    fn log_of(&self, id: ScanId) -> Arc<Log> {
        let mut state = self.state();
        let log = state.logs.entry(id).or_insert_with(|| {
            let number = self.inner.next_log.fetch_add(1, Ordering::Relaxed);
            Arc::new(Log::new(number))
        });
        Arc::clone(log)
    }

    /// Starts what waits, as far as there is room. A paused scan takes none.
    fn fill(&self) {
        let mut started = false;
        loop {
            let mut state = self.state();
            let busy = state.running.values().filter(|scan| !scan.paused).count();
            if state.closing || busy >= self.inner.limits.running {
                break;
            }
            let Some((id, begin)) = state.queue.pop_front() else {
                break;
            };
            let control = Control::new();
            let suspended = Arc::new(AtomicBool::new(false));
            state.running.insert(
                id,
                Running {
                    control: control.clone(),
                    paused: false,
                    suspended: Arc::clone(&suspended),
                    writer: None,
                    progress: None,
                },
            );
            drop(state);
            started = true;
            let manager = self.clone();
            let spawned = std::thread::Builder::new()
                .name(format!("scan-{id}"))
                .spawn(move || manager.run(id, begin, &control, &suspended));
            if spawned.is_err() {
                // No thread to be had: it is first in the queue again, and the next scan that
                // ends or comes tries once more.
                let mut state = self.state();
                state.running.remove(&id);
                state.queue.push_front((id, begin));
                break;
            }
        }
        if started {
            self.tell_queue();
        }
    }

    /// Takes a scan off the list of those that run, and starts the next.
    fn left(&self, id: ScanId) {
        self.state().running.remove(&id);
        self.tell(id);
        self.retire(id);
        self.inner.idle.notify_all();
        self.fill();
    }

    /// Ends what a scan says; the history keeps it when the log is gone.
    fn retire(&self, id: ScanId) {
        let mut state = self.state();
        let log = state.logs.get(&id).cloned();
        state.ended.retain(|ended| *ended != id);
        state.ended.push_back(id);
        if state.ended.len() > ENDED_LOGS
            && let Some(oldest) = state.ended.pop_front()
        {
            state.logs.remove(&oldest);
        }
        drop(state);
        if let Some(log) = log {
            log.end();
        }
    }

    /// Ends in order: what runs is paused and goes on after the next start. Waits until all have
    /// laid down their work; returns whether all have.
    pub fn close(&self) -> bool {
        let mut state = self.state();
        state.closing = true;
        for running in state.running.values() {
            running.suspended.store(true, Ordering::Relaxed);
            running.control.stop();
        }
        let waited = self
            .inner
            .idle
            .wait_timeout_while(state, LAST_WAIT, |state| !state.running.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }
}

/// A message as the store keeps it; one without words only counts.
fn said(place: Place, words: Option<(&'static str, &str)>) -> Said {
    Said {
        log: place.log,
        seq: place.seq,
        kept: words.map(|(event, data)| (event, data.to_owned())),
    }
}
