//! A scan, what it found of hosts, and what it left out.

use portolan_model::Zoned;

use jiff::Timestamp;
use portolan_model::event::{NameKind, Outcome};
use portolan_model::spec::Discovery;
use portolan_model::{Reason, ScanSpec, Technique};
use portolan_store as store;
use serde::Serialize;
use utoipa::ToSchema;

use super::tag::words;
use super::{millis, saturate};
use crate::fronts::for_api;
use crate::request::ScanRequest;

/// What a scan looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The ports of hosts.
    Scan,
    /// Hosts at which a few ports are open, in networks of any size.
    Sweep,
    /// Hosts alone.
    Hosts,
}

impl Kind {
    fn of(spec: &ScanSpec) -> Self {
        match spec {
            ScanSpec { sweep: Some(_), .. } => Self::Sweep,
            spec if spec.discovery == Discovery::Only => Self::Hosts,
            _ => Self::Scan,
        }
    }
}

/// A scan: what was asked, how far it is, what it found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Scan {
    /// Its number.
    pub id: i64,
    /// `queued`, `running`, `paused`, `done`, `incomplete`, `interrupted` or `cancelled`.
    pub state: String,
    /// What it looks for: `scan` for the ports of hosts, `sweep`, or `hosts` for hosts alone.
    pub kind: Kind,
    /// Its place in the queue, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_place: Option<usize>,
    /// Its targets in words.
    pub targets: String,
    /// What is left out of them.
    pub exclude: Vec<String>,
    /// Its ports, as they are written.
    pub ports: String,
    /// `auto`, `connect`, `syn` or `udp`.
    pub technique: String,
    /// What that came to: how ports are asked, once it began.
    #[schema(value_type = Vec<String>)]
    pub techniques: Vec<Technique>,
    /// The request that makes the same scan again.
    pub request: ScanRequest,
    /// The command line, as it was typed; empty for one made here.
    pub args: String,
    /// The command line that makes the same scan.
    pub command: String,
    /// The program's version.
    pub version: String,
    /// Who asked; empty where nobody logs in.
    pub who: String,
    /// Whether services are detected.
    pub detect: bool,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How long it has run, pauses left out; that of a scan that went on is of all its parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// Pairs of address and port that are done with: the settled ones, and of those that were
    /// silent so far the share of the times that they are asked.
    pub done: u64,
    /// Pairs that are settled: each is a result.
    pub settled: u64,
    /// Pairs in all.
    pub total: u64,
    /// What it found.
    pub counts: Counts,
    /// Addresses without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts_down: Option<u64>,
    /// Probes sent so far, by all its parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Whether `sent` is the least that was sent: a part of the scan was cut off before it told of
    /// all its probes.
    pub sent_at_least: bool,
    /// The share of probes or answers that the path lost, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// How many open ports are expected to be missing from the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_missed: Option<f64>,
    /// The latest scan of the same targets before it that asked all its ports, else the latest that
    /// asked some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<i64>,
    /// How many ports differ from that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// Whether it can go on where it stopped.
    pub can_resume: bool,
    /// What people call it, by alphabet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub tags: Vec<String>,
    /// What it is at, or was at when it was ended or cut off; missing once all of it is done.
    #[schema(value_type = Option<PhaseView>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// How far it is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Scan {
    /// Whether nothing more is to come unless it is resumed.
    pub fn is_over(&self) -> bool {
        self.state
            .parse::<store::ScanState>()
            .is_ok_and(store::ScanState::is_over)
    }
}

impl From<store::ScanSummary> for Scan {
    fn from(scan: store::ScanSummary) -> Self {
        let request = ScanRequest::from_spec(&scan.spec, scan.detect);
        let finished = scan.finished.as_ref();
        let is_over = scan.state.is_over();
        let kind = Kind::of(&scan.spec);
        let settled = scan.counts.ports();
        Self {
            id: scan.id.0,
            kind,
            queue_place: None,
            exclude: request.exclude.clone(),
            ports: request.ports.clone(),
            technique: request.technique.clone(),
            techniques: scan
                .started
                .as_ref()
                .map_or_else(Vec::new, |started| started.techniques.clone()),
            // A request of the API can say all of a scan, and not all of a sweep.
            command: if kind == Kind::Sweep && !scan.args.is_empty() {
                scan.args.clone()
            } else {
                request.command()
            },
            args: scan.args,
            version: scan.version,
            who: scan.who,
            detect: scan.detect,
            created: scan.created,
            started: scan.started.as_ref().map(|started| started.at),
            ended: scan.ended.filter(|_| is_over),
            elapsed_ms: scan.elapsed.map(millis),
            // What is settled is done with, also where that was told a moment later.
            done: saturate(scan.done).max(settled.min(saturate(scan.total))),
            settled,
            total: saturate(scan.total),
            counts: scan.counts.into(),
            hosts_down: finished.map(|finished| saturate(finished.hosts_down)),
            sent: scan.sent,
            sent_at_least: scan.was_cut_off,
            loss: finished.and_then(|finished| finished.loss),
            expected_missed: finished
                .filter(|finished| finished.outcome != Outcome::Interrupted)
                .map(|finished| finished.expected_missed),
            previous: scan.previous.map(|id| id.0),
            changes: scan.changes,
            // One that left no place is made again from the beginning, which `resume` also does.
            can_resume: is_over && scan.state != store::ScanState::Done
                || scan.state == store::ScanState::Paused,
            tags: words(&scan.tags),
            phase: scan.phase.map(Phase::from),
            progress: None,
            state: scan.state.to_string(),
            targets: request.targets.join(" "),
            request,
        }
    }
}

/// How many ports and hosts were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
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
    pub open_filtered: u64,
    /// Problems, advice among them.
    pub problems: u64,
}

impl From<store::Counts> for Counts {
    fn from(counts: store::Counts) -> Self {
        Self {
            hosts: counts.hosts,
            open: counts.open,
            closed: counts.closed,
            filtered: counts.filtered,
            open_filtered: counts.unsure,
            problems: counts.problems,
        }
    }
}

/// What a scan is at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(into = "PhaseView")]
pub struct Phase(portolan_model::Phase);

/// What a scan is at, in parts and in words.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Phase)]
pub(crate) struct PhaseView {
    /// `asking` while hosts are looked for and ports are asked; `settling` while silent UDP ports
    /// are asked on; `naming` while it is found out what runs on open ports.
    name: &'static str,
    /// The same for people: `naming services, 12 of 40`.
    words: String,
    /// Open ports of which it is known what runs there, or that they stay silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    named: Option<u64>,
    /// Open ports that are asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    /// How long UDP ports are settled yet, at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most_ms: Option<f64>,
}

impl From<portolan_model::Phase> for Phase {
    fn from(phase: portolan_model::Phase) -> Self {
        Self(phase)
    }
}

impl From<Phase> for PhaseView {
    fn from(Phase(phase): Phase) -> Self {
        use portolan_model::Phase as At;
        let (named, of) = match phase {
            At::Naming { named, of } => (Some(named), Some(of)),
            At::Asking | At::Settling { .. } => (None, None),
        };
        let at_most = match phase {
            At::Settling { at_most } => at_most,
            At::Asking | At::Naming { .. } => None,
        };
        Self {
            name: phase.as_str(),
            words: phase.to_string(),
            named,
            of,
            at_most_ms: at_most.map(millis),
        }
    }
}

impl Phase {
    /// In words: `naming services, 12 of 40`.
    pub(crate) fn words(self) -> String {
        self.0.to_string()
    }

    /// Whether ports are asked, and the share of what is done says how far it is.
    pub(crate) fn is_asking(self) -> bool {
        self.0 == portolan_model::Phase::Asking
    }

    /// Whether every port is settled, and only services are not all known.
    pub(crate) const fn is_naming(self) -> bool {
        matches!(self.0, portolan_model::Phase::Naming { .. })
    }
}

/// How far a scan is, and what its controller sees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// What it is at.
    #[schema(value_type = PhaseView)]
    pub phase: Phase,

    /// Pairs of address and port that are done with: the settled ones, and of those that were
    /// silent so far the share of the times that they are asked.
    pub done: u64,
    /// Pairs that are settled: each is a result.
    pub settled: u64,
    /// Pairs in all, as far as is known.
    pub total: u64,
    /// Open ports so far.
    pub open: u64,
    /// Closed ports so far.
    pub closed: u64,
    /// Filtered ports so far.
    pub filtered: u64,
    /// Ports so far that are open or filtered.
    pub open_filtered: u64,
    /// Hosts up so far.
    pub hosts_up: u64,
    /// Probes sent so far, by all parts of the scan.
    pub sent: u64,
    /// Probes sent a second, over the last moments.
    pub rate: f64,
    /// Probes that wait for an answer.
    pub in_flight: u32,
    /// Which pass over the silent ports this is, from 1.
    pub pass: u32,
    /// Smoothed round-trip time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The share of probes or answers that the path loses, 0 to 1.
    pub loss: f64,
    /// How long the scan has run, all its parts together and pauses left out.
    pub elapsed_ms: f64,
    /// Estimated time left, if it goes on as fast as since it began or went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<f64>,
}

/// A host that a scan found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScanHost {
    /// Its address.
    #[schema(value_type = String)]
    pub host: Zoned,
    /// Its names, the one to show first.
    pub names: Vec<Name>,
    /// How it is known to be up.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// How long its first answer took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The TTL or hop limit of its first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// When it was first heard of.
    #[schema(value_type = String, format = DateTime)]
    pub first: Timestamp,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
    /// Its MAC address, where it is on a link of the scanning machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its ports.
    pub counts: Counts,
    /// What people call it, by alphabet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub tags: Vec<String>,
}

impl From<store::ScanHost> for ScanHost {
    fn from(host: store::ScanHost) -> Self {
        Self {
            host: host.address,
            names: host.names.into_iter().map(Name::from).collect(),
            reason: host.reason,
            rtt_ms: host.rtt.map(millis),
            ttl: host.ttl,
            first: host.first,
            last: host.last,
            mac: host.mac.map(|mac| mac.to_string()),
            counts: host.counts.into(),
            tags: words(&host.tags),
        }
    }
}

/// A name of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Name {
    /// The name. It may come from the network: hostile.
    pub name: String,
    /// `user` where it was typed, `ptr` from reverse DNS.
    pub kind: String,
}

/// Something that a scan left out, or that one must know to read it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScanProblem {
    /// What it is about.
    pub about: String,
    /// What happened.
    pub message: String,
    /// What can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether something is missing from the result.
    pub left_out: bool,
}

impl From<portolan_model::event::Problem> for ScanProblem {
    fn from(problem: portolan_model::event::Problem) -> Self {
        Self {
            about: problem.about,
            message: for_api(problem.message),
            hint: problem.hint.map(for_api),
            left_out: problem.left_out,
        }
    }
}

impl From<&portolan_model::event::Progress> for Progress {
    fn from(progress: &portolan_model::event::Progress) -> Self {
        Self {
            phase: progress.phase.into(),
            done: saturate(progress.done),
            settled: 0,
            total: saturate(progress.total),
            open: progress.open,
            closed: 0,
            filtered: 0,
            open_filtered: 0,
            hosts_up: progress.hosts_up,
            sent: progress.sent,
            rate: progress.rate,
            in_flight: progress.in_flight,
            pass: progress.pass,
            rtt_ms: progress.rtt.map(millis),
            loss: progress.loss,
            elapsed_ms: millis(progress.elapsed),
            left_ms: progress.left.map(millis),
        }
    }
}

impl Progress {
    /// The same with what the scan as a whole has found.
    pub(crate) const fn counting(self, counts: &store::Counts) -> Self {
        Self {
            settled: counts.ports(),
            open: counts.open,
            closed: counts.closed,
            filtered: counts.filtered,
            open_filtered: counts.unsure,
            ..self
        }
    }
}

impl From<(String, NameKind)> for Name {
    fn from((name, kind): (String, NameKind)) -> Self {
        Self {
            name,
            kind: match kind {
                NameKind::User => "user".to_owned(),
                NameKind::Ptr => "ptr".to_owned(),
            },
        }
    }
}

/// How far a scan was at some time, and how fast it went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CoursePoint {
    /// Time since the start, while it ran.
    pub elapsed_ms: f64,
    /// The share of pairs that were settled, 0 to 1.
    pub share: f64,
    /// Probes sent a second.
    pub rate: f64,
}

impl From<store::Moment> for CoursePoint {
    fn from(moment: store::Moment) -> Self {
        Self {
            elapsed_ms: millis(moment.elapsed),
            share: moment.share,
            rate: moment.rate,
        }
    }
}
