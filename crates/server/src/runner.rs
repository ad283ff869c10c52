//! What runs a scan, as this crate needs it: the binary hands it in.

use std::fmt;

use portolan_model::event::{PortFact, Reached};
use portolan_model::{ScanEvent, ScanRecord, ScanSpec, Scope, Technique};
use portolan_scan::{Control, Settled, settled_in};

/// Runs scans.
pub trait Runner: Send + Sync + fmt::Debug {
    /// What this process can do and has the rights to.
    fn abilities(&self) -> Abilities;

    /// What is said of the targets of a request that no scan can ask, whatever answers: addresses
    /// that mean no host, and link-local ones of which the interface is not known. Names are not
    /// looked up for it.
    fn refuses(&self, spec: &ScanSpec) -> Vec<CannotStart> {
        let _ = spec;
        Vec::new()
    }

    /// Runs a scan to its end on the calling thread, and hands each event to `sink` in the
    /// order of finding. Nothing outside `job.scope` is asked, also where a name leads there.
    ///
    /// # Errors
    /// When the scan cannot start; then there was no event.
    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart>;
}

/// A scan to be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to scan and how.
    pub spec: ScanSpec,
    /// Whether services are detected.
    pub detect: bool,
    /// Where it may go.
    pub scope: Scope,
    /// What an earlier part of the same scan did.
    pub earlier: Earlier,
    /// Decides the order, where the request does not.
    pub seed: u64,
}

/// How far an earlier part of a scan came; nothing for one that begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What it settled, and is neither asked nor reported again.
    pub settled: Settled,
    /// The place in the order of the engine before which everything was asked.
    pub place: Reached,
    /// Open ports that it found, and of which it is not known what runs there.
    pub unnamed: Vec<PortFact>,
}

impl Earlier {
    /// What `record` holds, and the place that was kept with it.
    pub fn of(record: &ScanRecord, place: Reached) -> Self {
        Self {
            settled: settled_in(record),
            place,
            unnamed: record.unnamed().collect(),
        }
    }
}

/// What a process can do.
#[derive(Debug, Clone)]
pub struct Abilities {
    /// The techniques there are; with the reason where one cannot be used.
    pub techniques: Vec<(Technique, Option<String>)>,
    /// Why services cannot be detected; `None` where they can.
    pub detect: Option<String>,
}

/// Why a scan cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CannotStart {
    /// What happened.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}
