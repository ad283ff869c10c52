//! What the API shows: plain data, the same for JSON and for pages.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use portolan_model::event::{NameKind, Outcome};
use portolan_model::{PortState, Protocol, Reason, Technique};
use portolan_store as store;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::request::ScanRequest;

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `null` on the last.
    pub next: Option<String>,
    /// How many there are in all, where that was asked for or costs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T> List<T> {
    /// A page of the store, its items shown as the API does.
    pub fn from_page<S>(page: store::Page<S>, show: impl FnMut(S) -> T) -> Self {
        Self {
            next: page.next.map(|cursor| cursor.to_string()),
            items: page.items.into_iter().map(show).collect(),
            total: None,
        }
    }

    /// A list that is whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            total: Some(items.len() as u64),
            items,
            next: None,
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
    /// How long it took, as the engine counted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// Pairs of address and port that are settled.
    pub done: u64,
    /// Pairs in all.
    pub total: u64,
    /// What it found.
    pub counts: Counts,
    /// Addresses without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts_down: Option<u64>,
    /// Probes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// The share of probes or answers that the path lost, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// How many open ports are expected to be missing from the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_missed: Option<f64>,
    /// The scan of the same targets before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<i64>,
    /// How many ports differ from that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// Whether it can go on where it stopped.
    pub can_resume: bool,
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
        Self {
            id: scan.id.0,
            queue_place: None,
            exclude: request.exclude.clone(),
            ports: request.ports.clone(),
            technique: request.technique.clone(),
            command: request.command(),
            args: scan.args,
            version: scan.version,
            who: scan.who,
            detect: scan.detect,
            created: scan.created,
            started: scan.started.as_ref().map(|started| started.at),
            ended: scan.ended.filter(|_| is_over),
            elapsed_ms: finished.map(|finished| millis(finished.elapsed)),
            done: saturate(scan.done),
            total: saturate(scan.total),
            counts: scan.counts.into(),
            hosts_down: finished.map(|finished| saturate(finished.hosts_down)),
            sent: finished.map(|finished| finished.sent),
            loss: finished.and_then(|finished| finished.loss),
            expected_missed: finished
                .filter(|finished| finished.outcome != Outcome::Interrupted)
                .map(|finished| finished.expected_missed),
            previous: scan.previous.map(|id| id.0),
            changes: scan.changes,
            // One that left no place is made again from the beginning, which `resume` also does.
            can_resume: is_over && scan.state != store::ScanState::Done
                || scan.state == store::ScanState::Paused,
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
    /// Hosts.
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

/// How far a scan is, and what its controller sees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// Pairs of address and port that are settled.
    pub done: u64,
    /// Pairs in all, as far as is known.
    pub total: u64,
    /// Open ports so far.
    pub open: u64,
    /// Hosts up so far.
    pub hosts_up: u64,
    /// Probes sent so far.
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
    /// Time since the start.
    pub elapsed_ms: f64,
    /// Estimated time left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<f64>,
}

impl From<&portolan_model::event::Progress> for Progress {
    fn from(progress: &portolan_model::event::Progress) -> Self {
        Self {
            done: saturate(progress.done),
            total: saturate(progress.total),
            open: progress.open,
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

/// What one port is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResultItem {
    /// The host's address.
    #[schema(value_type = String)]
    pub host: IpAddr,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// `open`, `closed`, `filtered` or `open|filtered`.
    #[schema(value_type = String)]
    pub state: PortState,
    /// What the state rests on.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// How long the answer took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The TTL or hop limit of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// When it was found.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What runs there, by what it said or by the port's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

impl From<store::ResultRow> for ResultItem {
    fn from(row: store::ResultRow) -> Self {
        let service = match row.state {
            PortState::Open | PortState::OpenFiltered => row.service_or_guess(),
            _ => row.service.clone(),
        };
        Self {
            host: row.address,
            name: row.name,
            protocol: row.protocol,
            port: row.port,
            state: row.state,
            reason: row.reason,
            rtt_ms: row.rtt.map(millis),
            ttl: row.ttl,
            at: row.at,
            service: service.map(Service::from),
        }
    }
}

/// What runs on a port. All of it may come from the network: hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Service {
    /// The protocol's name.
    pub name: String,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What else it said, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
    /// The system it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The name it gives its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// CPE names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpe: Vec<String>,
    /// Whether it was reached through TLS.
    pub tls: bool,
    /// `table` for a guess by number, `probed` for what it answered.
    pub method: String,
    /// How sure it is, 0 to 10.
    pub confidence: u8,
    /// The kind of device it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the program hides its version by design.
    pub hidden: bool,
    /// Further facts by name: `http.title`, `tls.cert.subject`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What this rests on, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the naming of a service rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// The rule that took the answer; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the answer was to: a probe's name, or `banner` for what was said unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The beginning of the answer, all but printable ASCII escaped.
    pub bytes: String,
}

impl From<portolan_model::Service> for Service {
    fn from(service: portolan_model::Service) -> Self {
        use portolan_model::service::Method;
        Self {
            name: service.name,
            product: service.product,
            version: service.version,
            extra: service.extra,
            os: service.os,
            hostname: service.hostname,
            cpe: service.cpe,
            tls: service.tls,
            method: match service.method {
                Method::Table => "table".to_owned(),
                Method::Probed => "probed".to_owned(),
            },
            confidence: service.confidence,
            device: service.device,
            hidden: service.hidden,
            facts: service.facts,
            evidence: service.evidence.map(|evidence| Evidence {
                rule: evidence.rule,
                probe: evidence.probe,
                bytes: evidence.bytes,
            }),
        }
    }
}

/// A host that a scan found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScanHost {
    /// Its address.
    #[schema(value_type = String)]
    pub host: IpAddr,
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
    /// Its ports.
    pub counts: Counts,
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
            counts: host.counts.into(),
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
            message: problem.message,
            hint: problem.hint,
            left_out: problem.left_out,
        }
    }
}

/// A host over all scans.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KnownHost {
    /// Its address.
    #[schema(value_type = String)]
    pub host: IpAddr,
    /// The last name it was known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was first found.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    /// When it was last found.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// By which scan.
    pub last_scan: i64,
    /// Its open ports, as far as is known.
    pub open: u64,
}

impl From<store::KnownHost> for KnownHost {
    fn from(host: store::KnownHost) -> Self {
        Self {
            host: host.address,
            name: host.name,
            first_seen: host.first_seen,
            last_seen: host.last_seen,
            last_scan: host.last_scan.0,
            open: host.open,
        }
    }
}

/// A host over all scans, with its ports now and the scans that found it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HostDetail {
    /// The host.
    #[serde(flatten)]
    pub host: KnownHost,
    /// Its ports that are open or answered, as far as is known.
    pub ports: Vec<KnownPort>,
    /// The last scans that found it, the latest first.
    pub scans: Vec<Scan>,
}

/// A span of time in which a port was in one state with one service.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KnownPort {
    /// The host's address.
    #[schema(value_type = String)]
    pub host: IpAddr,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// What it was.
    #[schema(value_type = String)]
    pub state: PortState,
    /// What that rests on.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// What runs there, by what it said or by the port's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The first scan that found it so.
    pub first: Seen,
    /// The last scan that found it so.
    pub last: Seen,
    /// The first scan that found it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Ended>,
}

/// A scan and a moment.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Seen {
    /// The scan.
    pub scan: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What a port became.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Ended {
    /// The scan that found it.
    pub scan: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it is since.
    #[schema(value_type = String)]
    pub state: PortState,
    /// What that rests on.
    #[schema(value_type = String)]
    pub reason: Reason,
}

impl From<store::Interval> for KnownPort {
    fn from(interval: store::Interval) -> Self {
        let service = interval
            .value
            .service
            .or_else(|| portolan_model::Service::by_number(interval.port, interval.protocol));
        let seen = |(scan, at): (store::ScanId, Timestamp)| Seen { scan: scan.0, at };
        Self {
            host: interval.address,
            protocol: interval.protocol,
            port: interval.port,
            state: interval.value.state,
            reason: interval.value.reason,
            service: service.map(Service::from),
            first: seen(interval.first),
            last: seen(interval.last),
            end: interval.end.map(|(scan, at, state, reason)| Ended {
                scan: scan.0,
                at,
                state,
                reason,
            }),
        }
    }
}

/// Something that happened to a port.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Change {
    /// `opened`, `closed` or `changed`.
    pub kind: String,
    /// The scan that found it.
    pub scan: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The host's address.
    #[schema(value_type = String)]
    pub host: IpAddr,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// What it was; missing where nothing was known, or its host was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PortValue>,
    /// What it is; missing where its host is no longer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<PortValue>,
}

/// What a port was found to be.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PortValue {
    /// Its state.
    #[schema(value_type = String)]
    pub state: PortState,
    /// What that rests on.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// What runs there, by what it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

impl From<store::PortValue> for PortValue {
    fn from(value: store::PortValue) -> Self {
        Self {
            state: value.state,
            reason: value.reason,
            service: value.service.map(Service::from),
        }
    }
}

impl From<store::Change> for Change {
    fn from(change: store::Change) -> Self {
        Self {
            kind: match change.kind {
                store::ChangeKind::Opened => "opened",
                store::ChangeKind::Closed => "closed",
                store::ChangeKind::Changed => "changed",
            }
            .to_owned(),
            scan: change.scan.0,
            at: change.at,
            host: change.address,
            protocol: change.protocol,
            port: change.port,
            before: change.before.map(PortValue::from),
            after: change.after.map(PortValue::from),
        }
    }
}

/// What is about to be scanned, or what is wrong with the request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// What is wrong; a scan can start when there is nothing.
    pub errors: Vec<FieldError>,
    /// What one should know before starting.
    pub warnings: Vec<String>,
    /// How many addresses, names not counted.
    pub addresses: u64,
    /// Names that are looked up when the scan starts.
    pub names: Vec<String>,
    /// How many ports of each.
    pub ports: u64,
    /// How many pairs of address and port, each name counted as one address.
    pub probes: u64,
    /// About how long it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Span>,
    /// The same in the shell.
    pub command: String,
    /// The same by the API, with `$TOKEN` where one is needed.
    pub curl: String,
}

/// A span of time that is not known exactly, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Span {
    /// At the least.
    pub low: f64,
    /// At the most.
    pub high: f64,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the text, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
}

/// What this server can do, and for whom.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Capabilities {
    /// The program's version.
    pub version: String,
    /// The techniques and whether this process may use them.
    pub techniques: Vec<TechniqueInfo>,
    /// Whether services can be detected.
    pub detect: Ability,
    /// Networks that scans are bound to (`-` before those that are forbidden); empty for none.
    pub scope: Vec<String>,
    /// Bounds.
    pub limits: LimitsInfo,
    /// Whether one must log in.
    pub auth_required: bool,
}

/// A technique and whether this process may use it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TechniqueInfo {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Technique,
    /// Whether it can be used.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether something can be done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ability {
    /// Whether it can.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Bounds of this server.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct LimitsInfo {
    /// Scans that run at once; more wait in a queue.
    pub running_scans: usize,
    /// Scans that may wait.
    pub queued_scans: usize,
    /// Event streams at once.
    pub event_streams: usize,
    /// Results in a page at the most.
    pub page: usize,
}

/// Who asks, and what they may do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionInfo {
    /// The user's or token's name; `null` where nobody logs in.
    pub user: Option<String>,
    /// `read`, `scan` or `admin`.
    pub role: String,
    /// `open` where nobody logs in, `session` or `token`.
    pub via: String,
}

/// A browser that is logged in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// A handle by which it can be ended; not its secret.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last used.
    #[schema(value_type = String, format = DateTime)]
    pub used: Timestamp,
    /// From when on it counts no more.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
    /// Where it came from.
    pub address: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A key for programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenView {
    /// Its public part.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
    /// From when on it counts no more.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl From<store::Token> for TokenView {
    fn from(token: store::Token) -> Self {
        Self {
            id: token.token.id,
            name: token.token.name,
            scopes: token.token.scopes.iter().map(ToString::to_string).collect(),
            created: token.token.created,
            used: token.used,
            expires: token.token.expires,
            revoked: token.revoked,
        }
    }
}

/// A token that was just made: the one time that its secret is shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewTokenView {
    /// What is sent as `Authorization: Bearer …`.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub kept: TokenView,
}

/// Without the secret, which is nothing for logs.
impl std::fmt::Debug for NewTokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTokenView")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// A token to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do: `read`, `scan`, `admin`; `read` when nothing is said.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// For how many days it counts; for ever when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 36500)]
    pub days: Option<u16>,
}

/// A name and a password.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// Without the password, which is nothing for logs.
impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Something that was done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number.
    pub id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The user or token.
    pub who: String,
    /// Where it came from.
    pub address: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The scan it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<i64>,
    /// More of it.
    pub detail: String,
}

impl From<store::AuditEntry> for AuditView {
    fn from(entry: store::AuditEntry) -> Self {
        let store::AuditEntry { id, entry } = entry;
        Self {
            id,
            at: entry.at,
            who: entry.who,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            scan: entry.scan.map(|scan| scan.0),
            detail: entry.detail,
        }
    }
}

/// A span as milliseconds.
pub fn millis(span: std::time::Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// A count as JSON numbers hold it.
pub fn saturate(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
