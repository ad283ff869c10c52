//! What is known of a scan as a whole.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, Outcome, Started};
use portolan_model::{Phase, ScanSpec, Target};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use crate::tags::{Tag, TagTerm};

/// The number of a scan: later scans have higher ones, and none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScanId(pub i64);

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ScanId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl ToSql for ScanId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for ScanId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// How far a scan is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanState {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It was told to wait, and can go on.
    Paused,
    /// Everything that was asked for is answered.
    Done,
    /// It ended by itself, with something left out.
    Incomplete,
    /// It was cut off; what it had found is kept.
    Interrupted,
    /// The user ended it; what it had found is kept.
    Cancelled,
}

impl ScanState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Done,
        Self::Incomplete,
        Self::Interrupted,
        Self::Cancelled,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more is to come, unless it is resumed.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Paused)
    }
}

impl fmt::Display for ScanState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ScanState {
    type Err = String;

    /// The error is the hint: the states there are.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|state| state.as_str()).collect();
                format!(
                    "unknown scan state `{text}`: there are {}",
                    known.join(", ")
                )
            })
    }
}

impl FromSql for ScanState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|error: String| rusqlite::types::FromSqlError::Other(error.into()))
    }
}

impl ToSql for ScanState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

/// A scan to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScan {
    /// What to scan and how.
    pub spec: ScanSpec,
    /// The command line, as it was typed.
    pub args: String,
    /// The program's version.
    pub version: String,
    /// Who asks: a user, or empty.
    pub who: String,
    /// Whether services are to be detected.
    pub detect: bool,
    /// The asker's own key: a second scan with the same key is not made.
    pub request_key: Option<String>,
    /// When it is asked for.
    pub created: Timestamp,
}

impl NewScan {
    /// A scan without words about who asked and how.
    pub const fn new(spec: ScanSpec, created: Timestamp) -> Self {
        Self {
            spec,
            args: String::new(),
            version: String::new(),
            who: String::new(),
            detect: false,
            request_key: None,
            created,
        }
    }
}

/// The targets of a request in words, sorted: equal for scans of the same targets.
pub(crate) fn targets_in_words(spec: &ScanSpec) -> String {
    let words = |targets: &[Target]| {
        let mut words: Vec<_> = targets.iter().map(Target::to_string).collect();
        words.sort();
        words.dedup();
        words.join(" ")
    };
    let mut text = words(&spec.targets);
    if !spec.exclude.is_empty() {
        text.push_str(" without ");
        text.push_str(&words(&spec.exclude));
    }
    text
}

/// How many ports and hosts a scan has found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Hosts that are up.
    pub hosts: u64,
    /// Open ports.
    pub open: u64,
    /// Closed ports.
    pub closed: u64,
    /// Filtered ports.
    pub filtered: u64,
    /// Ports that are open or filtered.
    pub unsure: u64,
    /// Problems, advice among them.
    pub problems: u64,
}

impl Counts {
    /// Ports in any state.
    pub const fn ports(&self) -> u64 {
        self.open + self.closed + self.filtered + self.unsure
    }
}

/// A scan in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanSummary {
    /// Its number.
    pub id: ScanId,
    /// How far it is, or how it ended.
    pub state: ScanState,
    /// What was asked.
    pub spec: ScanSpec,
    /// Its targets in words, sorted: equal for scans of the same targets.
    pub targets: String,
    /// The command line, as it was typed.
    pub args: String,
    /// The program's version.
    pub version: String,
    /// Who asked: a user, or empty.
    pub who: String,
    /// Whether services were to be detected.
    pub detect: bool,
    /// When it was asked for.
    pub created: Timestamp,
    /// What it began with, once it has.
    pub started: Option<Started>,
    /// Pairs of address and port that are settled, as last told.
    pub done: u128,
    /// Pairs in all, as last told.
    pub total: u128,
    /// What it found so far.
    pub counts: Counts,
    /// How long it has run so far, all its parts together and pauses left out, as last told.
    pub elapsed: Option<Duration>,
    /// Probes that all its parts have sent so far, as last told.
    pub sent: Option<u64>,
    /// Whether a part of it was cut off before it told of all its probes: `sent` is then the least
    /// that was sent, by what was told and by the ports that answered.
    pub was_cut_off: bool,
    /// What it is at, or was at when it was ended or cut off, as last told; `None` before it begins
    /// and once all of it is done.
    pub phase: Option<Phase>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How the engine ended it, with the time and the probes of all its parts; `None` for one that
    /// runs or was cut off.
    pub finished: Option<Finished>,
    /// The latest scan of the same targets before it that asked all its ports, else the latest that
    /// asked some of them.
    pub previous: Option<ScanId>,
    /// How many ports differ from that one, once ended; `None` where there is none.
    pub changes: Option<u64>,
    /// Whether it left a position to go on from.
    pub can_resume: bool,
    /// What people call it, by alphabet.
    pub tags: Vec<Tag>,
}

/// Which scans to list; everything that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanFilter {
    /// Words in targets, command line or asker, in any case.
    pub text: Option<String>,
    /// Only scans of exactly these targets, in the words of [`ScanSummary::targets`].
    pub targets: Option<String>,
    /// Only these states; empty for all.
    pub states: Vec<ScanState>,
    /// Asked for at this moment or later.
    pub since: Option<Timestamp>,
    /// Asked for before this moment.
    pub until: Option<Timestamp>,
    /// What people call it: every term must fit.
    pub tags: Vec<TagTerm>,
}

pub(crate) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Incomplete => "incomplete",
        Outcome::Interrupted => "interrupted",
    }
}

pub(crate) fn outcome_of(word: &str) -> Option<Outcome> {
    [Outcome::Complete, Outcome::Incomplete, Outcome::Interrupted]
        .into_iter()
        .find(|&outcome| outcome_word(outcome) == word)
}
