//! Hosts over all scans, and what happened to their ports.

use portolan_model::Zoned;

use jiff::Timestamp;
use portolan_model::{PortState, Protocol, Reason};
use portolan_store as store;
use serde::Serialize;
use utoipa::ToSchema;

use super::tag::words;
use super::{Scan, Service};

/// A host over all scans.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KnownHost {
    /// Its address.
    #[schema(value_type = String)]
    pub host: Zoned,
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
    /// The last MAC address it was found at, where it was on a link of the scanning machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its open ports, as far as is known.
    pub open: u64,
    /// What people call it, by alphabet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub tags: Vec<String>,
}

impl From<store::KnownHost> for KnownHost {
    fn from(host: store::KnownHost) -> Self {
        Self {
            host: host.address,
            name: host.name,
            first_seen: host.first_seen,
            last_seen: host.last_seen,
            last_scan: host.last_scan.0,
            mac: host.mac.map(|mac| mac.to_string()),
            open: host.open,
            tags: words(&host.tags),
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
    pub host: Zoned,
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
    /// What the latest earlier scan that asked it had found; missing where none had asked it, or its
    /// host was not there. Told in the history of a port.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PortState>,
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
            before: interval.before.map(|(state, _)| state),
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
    pub host: Zoned,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// What the latest earlier scan that asked it found; missing where none had asked it, or its host
    /// was not there.
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
