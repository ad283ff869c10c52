//! The one thread that writes, and the handle through which a running scan feeds it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portolan_model::event::Reached;
use portolan_model::{ScanEvent, Service};
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::ingest::{self, Batch};
use crate::messages::Said;
use crate::scan::{ScanId, ScanState};
use crate::scans::position;
use crate::store::Store;
use crate::time::micros;

/// How many messages may wait for the writer; a full channel slows the sender.
const QUEUE: usize = 64;

/// What was sent is in the file after this time at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(150);

/// From this many facts on, a batch is written without waiting.
const FLUSH_AT: usize = 20_000;

/// How often a batch is tried, each time after waiting for the other process's lock.
const TRIES: u32 = 3;

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

enum Command {
    /// Facts of a scan, and what is told of them: both are written together.
    Events(ScanId, Vec<ScanEvent>, Option<Said>),
    Say(ScanId, Said),
    Checkpoint(ScanId, i64, Vec<u8>),
    Run(Job),
}

/// Results that could not be written, by scan, with the reason.
type Lost = Arc<Mutex<HashMap<ScanId, String>>>;

/// The other end of the writer's channel; dropping it writes what waits and ends the thread.
#[derive(Debug)]
pub(crate) struct Handle {
    /// `None` only while being dropped.
    sender: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
    lost: Lost,
}

impl Handle {
    pub(crate) fn spawn(connection: Connection, owner: String) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Lost::default();
        let connection_path = connection.path().unwrap_or_default().to_owned();
        let mut writer = Writer {
            connection,
            owner,
            services: HashMap::new(),
            running: HashMap::new(),
            said: HashMap::new(),
            data_version: 0,
            lost: Arc::clone(&lost),
        };
        let thread = std::thread::Builder::new()
            .name("portolan-store".to_owned())
            .spawn(move || writer.serve(&receiver))
            .map_err(|source| Error::File {
                action: "start the thread that writes",
                path: connection_path.into(),
                source,
            })?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            lost,
        })
    }

    fn send(&self, command: Command) -> Result<()> {
        self.sender
            .as_ref()
            .and_then(|sender| sender.send(command).ok())
            .ok_or(Error::WriterStopped)
    }

    /// Takes a message about a scan.
    pub(crate) fn say(&self, id: ScanId, said: Said) -> Result<()> {
        self.send(Command::Say(id, said))
    }

    /// Runs `work` in a transaction, after everything that was sent before, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_plain(|writer| writer.in_transaction(work))
    }

    /// The same without a transaction.
    pub(crate) fn run_plain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Run(Box::new(move |writer| {
            // Whoever asked may have gone; the work is done all the same.
            let _ = reply.send(work(writer));
        })))?;
        answer.recv().map_err(|_| Error::WriterStopped)?
    }

    /// The error of a scan whose results were lost.
    fn check(&self, id: ScanId) -> Result<()> {
        match lock(&self.lost).get(&id) {
            None => Ok(()),
            Some(why) => Err(Error::Lost {
                id,
                why: why.clone(),
            }),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there; here is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    /// The name of this process's lock file.
    pub(crate) owner: String,
    /// The numbers of services that were met.
    services: HashMap<Service, i64>,
    pub(crate) running: HashMap<ScanId, ingest::Running>,
    /// Bytes of messages that are kept, by scan.
    pub(crate) said: HashMap<ScanId, i64>,
    /// Changes when another process has written.
    data_version: i64,
    lost: Lost,
}

impl Writer {
    fn serve(&mut self, receiver: &Receiver<Command>) {
        let mut batch = Batch::default();
        let mut since = None;
        loop {
            let left = since.map(|since: Instant| FLUSH_AFTER.saturating_sub(since.elapsed()));
            let next = match left {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => receiver.recv_timeout(left),
            };
            match next {
                Ok(Command::Events(scan, events, said)) => {
                    batch.take(scan, events);
                    if let Some(said) = said {
                        batch.say(scan, said);
                    }
                }
                Ok(Command::Say(scan, said)) => batch.say(scan, said),
                Ok(Command::Checkpoint(scan, at, position)) => {
                    batch.checkpoint(scan, at, position);
                }
                Ok(Command::Run(job)) => {
                    self.write(&mut batch);
                    since = None;
                    job(self);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.write(&mut batch);
                    since = None;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.write(&mut batch);
                    return;
                }
            }
            if batch.facts() >= FLUSH_AT || batch.is_urgent() {
                self.write(&mut batch);
                since = None;
            } else if since.is_none() {
                since = Some(now());
            }
        }
    }

    /// Writes a batch and empties it. What cannot be written after all is lost, and its scans
    /// hear of it when they next send or flush.
    fn write(&mut self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let mut failure = None;
        for _ in 0..TRIES {
            match self.in_transaction(|writer| ingest::write(writer, batch)) {
                Ok(()) => {
                    *batch = Batch::default();
                    return;
                }
                Err(error) => failure = Some(error),
            }
        }
        let why = failure.map_or_else(String::new, |error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        });
        let mut lost = lock(&self.lost);
        for scan in batch.scans() {
            lost.insert(scan, why.clone());
        }
        *batch = Batch::default();
    }

    pub(crate) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = self.forget_what_others_changed().and_then(|()| work(self));
        let result = result.and_then(|value| {
            self.connection.execute_batch("COMMIT")?;
            Ok(value)
        });
        if result.is_err() {
            // Some errors have rolled back already; what was remembered may be undone either way.
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            self.services.clear();
            self.said.clear();
        }
        result
    }

    fn forget_what_others_changed(&mut self) -> Result<()> {
        let version: i64 = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.data_version = version;
            self.services.clear();
        }
        Ok(())
    }

    /// The number of a service, which is stored where it is new.
    pub(crate) fn service_number(&mut self, service: &Service) -> Result<i64> {
        if let Some(&number) = self.services.get(service) {
            return Ok(number);
        }
        let number = ingest::intern_service(&self.connection, service)?;
        // Services are few; hostile ones may be many.
        if self.services.len() >= 1 << 14 {
            self.services.clear();
        }
        self.services.insert(service.clone(), number);
        Ok(number)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a batch waits is no result: nothing stored depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Feeds a running scan's events into the history.
///
/// What was sent is in the file within 200 ms, or when [`flush`](Self::flush) returns; from
/// then on it survives the end of this process.
#[derive(Debug, Clone)]
pub struct ScanWriter {
    store: Store,
    id: ScanId,
}

impl ScanWriter {
    pub(crate) const fn new(store: Store, id: ScanId) -> Self {
        Self { store, id }
    }

    /// The scan's number.
    pub const fn id(&self) -> ScanId {
        self.id
    }

    /// Takes events, in the order of finding; waits while too many are unwritten. `Finished`
    /// ends the scan and brings the changes since earlier scans up to date.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn send(&self, events: Vec<ScanEvent>) -> Result<()> {
        self.send_all(events, None)
    }

    /// The same together with what is told of these events: both are kept, or neither.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn send_and_say(&self, events: Vec<ScanEvent>, said: Said) -> Result<()> {
        self.send_all(events, Some(said))
    }

    fn send_all(&self, events: Vec<ScanEvent>, said: Option<Said>) -> Result<()> {
        let writer = self.store.writer()?;
        writer.check(self.id)?;
        writer.send(Command::Events(self.id, events, said))
    }

    /// Takes the place from which the scan can go on, in the engine's own bytes. It is written
    /// together with the events that were sent before, or not at all.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn checkpoint(&self, at: Timestamp, position: Vec<u8>) -> Result<()> {
        let writer = self.store.writer()?;
        writer.check(self.id)?;
        writer.send(Command::Checkpoint(self.id, micros(at), position))
    }

    /// Takes how far the engine has come, with the seed of its order, as
    /// [`checkpoint`](Self::checkpoint) does.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn reached(&self, at: Timestamp, seed: u64, place: &Reached) -> Result<()> {
        self.checkpoint(at, position(seed, place))
    }

    /// Waits until everything that was sent is in the file.
    ///
    /// # Errors
    /// [`Error::Lost`] when something could not be written.
    pub fn flush(&self) -> Result<()> {
        let writer = self.store.writer()?;
        writer.run_plain(|_| Ok(()))?;
        writer.check(self.id)
    }

    /// Marks the scan as paused by the user; it stays this process's.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless it runs.
    pub fn pause(&self) -> Result<()> {
        self.change(ScanState::Running, ScanState::Paused, "be paused")
    }

    /// Marks a paused scan as running again.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless it is paused.
    pub fn unpause(&self) -> Result<()> {
        self.change(ScanState::Paused, ScanState::Running, "go on")
    }

    fn change(&self, from: ScanState, to: ScanState, action: &'static str) -> Result<()> {
        let id = self.id;
        self.store.write(move |writer| {
            let state = crate::scans::state(&writer.connection, id)?;
            if state != from {
                return Err(Error::WrongState { id, state, action });
            }
            ingest::set_state(writer, id, to)
        })
    }

    /// Lets go of a scan that is to go on later, perhaps in another process: it stays paused.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn suspend(self) -> Result<()> {
        self.flush()?;
        let id = self.id;
        self.store.write(move |writer| ingest::suspend(writer, id))
    }

    /// Ends the scan at the user's wish where the engine can no longer say so itself.
    ///
    /// # Errors
    /// [`Error::Lost`] when something that was sent before could not be written.
    pub fn cancel(self, at: Timestamp) -> Result<()> {
        self.flush()?;
        self.store.cancel(self.id, at)
    }
}
