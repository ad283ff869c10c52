//! The history, as the shell opens it.

use portolan_model::event::{AnswersAll, Problem, Progress, Reached};
use portolan_model::{ScanEvent, Scope};
use portolan_store::{Mode, ScanWriter, Store};

use crate::failure::{Failure, Result, visible};
use crate::server_args::{DataArgs, ScopeArgs};

/// So many events are handed over at once; progress, several times a second, sends fewer.
const BATCH: usize = 512;

/// Opens the history.
///
/// # Errors
/// With what helps, where something does.
pub(crate) fn open(args: &DataArgs, mode: Mode) -> Result<Store> {
    let dir = match &args.data {
        Some(dir) => dir.clone(),
        None => Store::default_dir().map_err(failure)?,
    };
    Store::open(&dir, mode).map_err(failure)
}

/// An error of the history as the user sees it.
#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
pub(crate) fn failure(error: portolan_store::Error) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let said = cause.to_string();
        // The number that SQLite has for what was just said in words.
        if !said.starts_with("Error code ") {
            message = format!("{message}: {said}");
        }
        source = cause.source();
    }
    Failure {
        message: visible(&message),
        hint: error.hint(),
    }
}

/// Where scans may go, by the options and the configuration file.
///
/// # Errors
/// For a word that names no network.
pub(crate) fn scope(args: &ScopeArgs, config: &crate::config::Config) -> Result<Scope> {
    Scope::new(config.scope.iter().chain(&args.scope)).map_err(|error| {
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message = format!("{message}: {source}");
        }
        Failure::new(visible(&message)).hint("write networks as `192.0.2.0/24,-192.0.2.7`")
    })
}

/// Keeps a scan as it runs.
#[derive(Debug)]
pub(crate) struct Keeper {
    writer: ScanWriter,
    waiting: Vec<ScanEvent>,
    seed: u64,
    /// Where this part of the scan begins.
    place: Reached,
    failed: Option<portolan_store::Error>,
}

impl Keeper {
    pub(crate) const fn new(writer: ScanWriter, place: Reached) -> Self {
        Self {
            place,
            writer,
            waiting: Vec::new(),
            seed: 0,
            failed: None,
        }
    }

    /// The scan's number.
    pub(crate) const fn id(&self) -> portolan_store::ScanId {
        self.writer.id()
    }

    /// Takes an event.
    pub(crate) fn event(&mut self, event: &ScanEvent) {
        if self.failed.is_some() {
            return;
        }
        if let ScanEvent::Reached(place) = event {
            self.failed = self.reached(place).err();
            return;
        }
        if let ScanEvent::Preparing(_) = event {
            return;
        }
        self.waiting.push(event.clone());
        if let ScanEvent::AnswersAll(found) = event {
            self.waiting.push(ScanEvent::Problem(as_problem(found)));
        }
        let is_due = matches!(
            event,
            ScanEvent::Started(_) | ScanEvent::Progress(Progress { .. }) | ScanEvent::Finished(_)
        );
        if is_due || self.waiting.len() >= BATCH {
            let sent = self.writer.send(std::mem::take(&mut self.waiting));
            let sent = sent.and_then(|()| match event {
                ScanEvent::Started(started) => {
                    self.seed = started.seed;
                    self.writer.reached(started.at, started.seed, &self.place)
                }
                _ => Ok(()),
            });
            self.failed = sent.err();
        }
    }

    /// Keeps a place after what was found before it.
    fn reached(&mut self, place: &Reached) -> std::result::Result<(), portolan_store::Error> {
        self.writer.send(std::mem::take(&mut self.waiting))?;
        self.writer
            .reached(jiff::Timestamp::now(), self.seed, place)
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// When something could not be written.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let last = std::mem::take(&mut self.waiting);
        let written = match self.failed.take() {
            Some(error) => Err(error),
            None => self.writer.send(last).and_then(|()| self.writer.flush()),
        };
        written.map_err(failure)
    }

    /// Ends a scan that could not start.
    pub(crate) fn give_up(self) {
        // The failure that led here is the one to tell.
        let _ = self.writer.cancel(jiff::Timestamp::now());
    }
}

/// What the history and the page show of a host that answers everything: advice.
pub(crate) fn as_problem(found: &AnswersAll) -> Problem {
    Problem {
        about: found.address.to_string(),
        message: found.words(),
        hint: None,
        left_out: false,
    }
}
