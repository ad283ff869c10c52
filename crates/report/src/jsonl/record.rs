//! The lines of the format as types; the published schema is made from them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    AnswersAll, Finished, HostLink, HostName, HostUp, NameKind, Outcome, PortFact, Problem,
    ServiceFact, Started,
};
use portolan_model::service::{Evidence, Method};
use portolan_model::{PortSet, PortState, Protocol, Reason, Service, Technique, services};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// One line: a fact that a scan found. Readers ignore fields and types that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Record {
    /// The version of this format: 1. In the first line and in `scan.started`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "version_schema")]
    pub(crate) v: Option<u64>,
    #[serde(flatten)]
    pub(crate) fact: Fact,
    /// The interface over which the line's `address` is reached, where it is link-local: `eth0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
}

/// What a line says, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum Fact {
    /// A scan begins. Normally the first line.
    #[serde(rename = "scan.started")]
    ScanStarted {
        /// When.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// The command line, as it was typed.
        #[serde(default)]
        args: String,
        /// The program's version.
        #[serde(default)]
        version: String,
        /// How ports are asked.
        #[schemars(schema_with = "techniques_schema")]
        techniques: Vec<Technique>,
        /// The TCP ports that are asked: `22,80,8000-8100`; empty for none.
        #[serde(default)]
        tcp: String,
        /// The UDP ports that are asked.
        #[serde(default)]
        udp: String,
        /// How many addresses are to be asked.
        addresses: Count,
        /// How many pairs of address and port.
        probes: Count,
        /// What decides the order.
        seed: u64,
        /// Over which interfaces link-local addresses are asked: `fe80::1-fe80::9%eth0`, joined
        /// by commas.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        zones: String,
    },
    /// A host is there.
    #[serde(rename = "host.up")]
    HostUp {
        /// When it was first heard of.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// Its address.
        address: IpAddr,
        /// How it is known.
        #[schemars(schema_with = "reason_schema")]
        reason: Reason,
        /// How long its answer took, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<Milliseconds>,
        /// The TTL or hop limit of its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
    },
    /// A host goes by a name.
    #[serde(rename = "host.name")]
    HostName {
        /// Whose name.
        address: IpAddr,
        /// The name. It may come from the network.
        name: String,
        /// Where it comes from.
        kind: Kind,
    },
    /// A host is on a link of the scanning machine's, at this MAC address.
    #[serde(rename = "host.link")]
    HostLink {
        /// Whose.
        address: IpAddr,
        /// Its MAC address: `02:00:5E:10:00:01`.
        #[schemars(regex(pattern = "^([0-9A-F]{2}:){5}[0-9A-F]{2}$"))]
        mac: String,
    },
    /// A host answers on every port: those of its ports that answered like the ones drawn by
    /// lot are reported as `open|filtered`.
    #[serde(rename = "host.answers_all")]
    HostAnswersAll {
        /// When it was known.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// The host.
        address: IpAddr,
        /// On every port of which protocol: `tcp` where it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        protocol: Option<Protocol>,
        /// How many ports were drawn by lot and asked.
        asked: u32,
        /// How many of them answered, over TCP by SYN/ACK.
        answered: u32,
        /// How many of these answers had a window of 0.
        windowless: u32,
    },
    /// An open port, or one that may be open and answered.
    #[serde(rename = "port")]
    Port {
        /// When.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// Whose port.
        address: IpAddr,
        /// Of which protocol.
        #[schemars(schema_with = "protocol_schema")]
        protocol: Protocol,
        /// Its number.
        port: u16,
        /// What it is.
        #[schemars(schema_with = "state_schema")]
        state: PortState,
        /// What that rests on.
        #[schemars(schema_with = "reason_schema")]
        reason: Reason,
        /// How long the answer took, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<Milliseconds>,
        /// The TTL or hop limit of the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
        /// What usually runs on a port of this number: no finding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guess: Option<String>,
    },
    /// Many ports of one host that are all the same.
    #[serde(rename = "ports")]
    Ports {
        /// When the last of them was settled.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// Whose ports.
        address: IpAddr,
        /// Of which protocol.
        #[schemars(schema_with = "protocol_schema")]
        protocol: Protocol,
        /// What each of them is.
        #[schemars(schema_with = "state_schema")]
        state: PortState,
        /// What that rests on.
        #[schemars(schema_with = "reason_schema")]
        reason: Reason,
        /// How many they are.
        #[serde(default)]
        count: u32,
        /// Their numbers: `1-21,23-79`.
        ports: String,
    },
    /// What runs on an open port, by what it said.
    #[serde(rename = "service")]
    Service {
        /// Whose port.
        address: IpAddr,
        /// Of which protocol.
        #[schemars(schema_with = "protocol_schema")]
        protocol: Protocol,
        /// Its number.
        port: u16,
        #[serde(flatten)]
        service: ServiceFields,
    },
    /// Every port of this host has been reported.
    #[serde(rename = "host.done")]
    HostDone {
        /// When.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// The host.
        address: IpAddr,
    },
    /// Something is left out of the result, or must be known to read it right.
    #[serde(rename = "problem")]
    Problem {
        /// What it is about: a target as written, an address, a file.
        about: String,
        /// What happened.
        message: String,
        /// What the user can do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// Whether something is missing from the result.
        left_out: bool,
    },
    /// The scan is over. The last line; without it the scan was cut off.
    #[serde(rename = "scan.done")]
    ScanDone {
        /// When.
        #[schemars(schema_with = "time_schema")]
        at: Timestamp,
        /// How it ended.
        outcome: End,
        /// Time since the start, in milliseconds.
        elapsed_ms: Milliseconds,
        /// Hosts that were found up.
        hosts_up: u64,
        /// Addresses at which nothing answered.
        hosts_down: Count,
        /// Probes sent.
        sent: u64,
        /// The share of probes or answers that the path lost, 0 to 1; absent when nothing
        /// answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<f64>,
        /// How many open ports are expected to be missing from the result.
        expected_missed: f64,
    },
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServiceFields {
    /// The protocol's name: `ssh`, `http`.
    name: String,
    /// The program: `OpenSSH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// Its version, as it gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What else it said, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
    /// The system it runs on, as far as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os: Option<String>,
    /// The name it gives its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// CPE names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cpe: Vec<String>,
    /// Whether it was reached through TLS.
    #[serde(default)]
    tls: bool,
    /// What the name rests on: the port's number alone, or what it answered.
    #[schemars(schema_with = "method_schema")]
    method: Method,
    /// How sure it is, 0 to 10.
    confidence: u8,
    /// The kind of device it runs on, as far as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Whether the program hides its version by design.
    #[serde(default, skip_serializing_if = "is_false")]
    hidden: bool,
    /// Further facts by name: `http.title`, `tls.cert.subject`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
    /// What this rests on, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceFields>,
}

/// What the naming of a service rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EvidenceFields {
    /// The rule that took the answer; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// What the answer was to: a probe's name, or `banner` for what was said unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probe: Option<String>,
    /// The beginning of the answer, all but printable ASCII escaped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    bytes: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a host's name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The user typed it.
    User,
    /// Reverse DNS.
    Ptr,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// Everything that was asked for is answered.
    Complete,
    /// It ended by itself, with something left out.
    Incomplete,
    /// The user stopped it.
    Interrupted,
}

/// A count that may not fit a number of JSON: then it is its digits, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Count {
    /// Up to 2^64 - 1.
    Number(u64),
    /// Beyond.
    Digits(#[schemars(regex(pattern = "^[0-9]{20,39}$"))] String),
}

impl From<u128> for Count {
    fn from(count: u128) -> Self {
        u64::try_from(count).map_or_else(|_| Self::Digits(count.to_string()), Self::Number)
    }
}

impl Count {
    /// The number; `None` for text that is none.
    pub(super) fn number(&self) -> Option<u128> {
        match self {
            Self::Number(number) => Some(u128::from(*number)),
            Self::Digits(digits) => digits.parse().ok(),
        }
    }
}

/// Milliseconds, exact to the nanosecond for the first hundred days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Milliseconds(f64);

impl JsonSchema for Milliseconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl From<Duration> for Milliseconds {
    fn from(duration: Duration) -> Self {
        // From whole nanoseconds, so that the shortest digits are the right ones: 0.12.
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact for the first hundred days"
        )]
        Self(duration.as_nanos() as f64 / 1e6)
    }
}

impl Milliseconds {
    /// The time; `None` for one that is negative or not to be held.
    pub(super) fn duration(self) -> Option<Duration> {
        let nanos = (self.0 * 1e6).round();
        // `as` would saturate silently; the bound is that of a `u64` of nanoseconds.
        if !(0.0..1.8e19).contains(&nanos) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within bounds, as was just tested"
        )]
        Some(Duration::from_nanos(nanos as u64))
    }
}

impl Record {
    const fn new(fact: Fact) -> Self {
        Self {
            v: None,
            fact,
            zone: None,
        }
    }

    /// The address that it is about.
    pub(super) const fn address(&self) -> Option<IpAddr> {
        match &self.fact {
            Fact::HostUp { address, .. }
            | Fact::HostName { address, .. }
            | Fact::HostLink { address, .. }
            | Fact::HostAnswersAll { address, .. }
            | Fact::Port { address, .. }
            | Fact::Ports { address, .. }
            | Fact::Service { address, .. }
            | Fact::HostDone { address, .. } => Some(*address),
            _ => None,
        }
    }

    pub(super) fn started(started: &Started, args: &str, version: &str) -> Self {
        Self {
            v: Some(super::VERSION),
            fact: Fact::ScanStarted {
                at: started.at,
                args: args.to_owned(),
                version: version.to_owned(),
                techniques: started.techniques.clone(),
                tcp: started.ports.tcp().to_string(),
                udp: started.ports.udp().to_string(),
                addresses: started.addresses.into(),
                probes: started.probes.into(),
                seed: started.seed,
                zones: started.zones.to_string(),
            },
            zone: None,
        }
    }

    pub(super) fn host_up(up: &HostUp) -> Self {
        Self::new(Fact::HostUp {
            at: up.at,
            address: up.address,
            reason: up.reason,
            rtt_ms: up.rtt.map(Into::into),
            ttl: up.ttl,
        })
    }

    pub(super) fn host_name(name: &HostName) -> Self {
        Self::new(Fact::HostName {
            address: name.address,
            name: name.name.clone(),
            kind: match name.kind {
                NameKind::User => Kind::User,
                NameKind::Ptr => Kind::Ptr,
            },
        })
    }

    pub(super) fn host_link(link: &HostLink) -> Self {
        Self::new(Fact::HostLink {
            address: link.address,
            mac: link.mac.to_string(),
        })
    }

    pub(super) const fn answers_all(found: &AnswersAll) -> Self {
        Self::new(Fact::HostAnswersAll {
            at: found.at,
            address: found.address,
            protocol: match found.protocol {
                Protocol::Tcp => None,
                Protocol::Udp => Some(Protocol::Udp),
            },
            asked: found.asked,
            answered: found.answered,
            windowless: found.windowless,
        })
    }

    pub(super) fn port(fact: &PortFact) -> Self {
        let endpoint = fact.endpoint;
        Self::new(Fact::Port {
            at: fact.at,
            address: endpoint.address,
            protocol: endpoint.protocol,
            port: endpoint.port,
            state: fact.state,
            reason: fact.reason,
            rtt_ms: fact.rtt.map(Into::into),
            ttl: fact.ttl,
            guess: services::name(endpoint.port, endpoint.protocol).map(str::to_owned),
        })
    }

    pub(super) fn ports(
        address: IpAddr,
        (protocol, state, reason): (Protocol, PortState, Reason),
        ports: &PortSet,
        at: Timestamp,
    ) -> Self {
        Self::new(Fact::Ports {
            at,
            address,
            protocol,
            state,
            reason,
            count: u32::try_from(ports.len()).unwrap_or(u32::MAX),
            ports: ports.to_string(),
        })
    }

    pub(super) fn service(fact: &ServiceFact) -> Self {
        let service = fact.service.clone();
        Self::new(Fact::Service {
            address: fact.endpoint.address,
            protocol: fact.endpoint.protocol,
            port: fact.endpoint.port,
            service: ServiceFields {
                name: service.name,
                product: service.product,
                version: service.version,
                extra: service.extra,
                os: service.os,
                hostname: service.hostname,
                cpe: service.cpe,
                tls: service.tls,
                method: service.method,
                confidence: service.confidence,
                device: service.device,
                hidden: service.hidden,
                facts: service.facts,
                evidence: service.evidence.map(|evidence| EvidenceFields {
                    rule: evidence.rule,
                    probe: evidence.probe,
                    bytes: evidence.bytes,
                }),
            },
        })
    }

    pub(super) const fn host_done(address: IpAddr, at: Timestamp) -> Self {
        Self::new(Fact::HostDone { at, address })
    }

    pub(super) fn problem(problem: &Problem) -> Self {
        Self::new(Fact::Problem {
            about: problem.about.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            left_out: problem.left_out,
        })
    }

    pub(super) fn finished(finished: &Finished) -> Self {
        // JSON has no infinity (RFC 8259, 6): the largest number stands for "cannot be told".
        let finite = |number: f64| {
            if number.is_nan() {
                f64::MAX
            } else {
                number.min(f64::MAX)
            }
        };
        Self::new(Fact::ScanDone {
            at: finished.at,
            outcome: match finished.outcome {
                Outcome::Complete => End::Complete,
                Outcome::Incomplete => End::Incomplete,
                Outcome::Interrupted => End::Interrupted,
            },
            elapsed_ms: finished.elapsed.into(),
            hosts_up: finished.hosts_up,
            hosts_down: finished.hosts_down.into(),
            sent: finished.sent,
            loss: finished.loss.filter(|loss| loss.is_finite()),
            expected_missed: finite(finished.expected_missed),
        })
    }
}

impl From<ServiceFields> for Service {
    fn from(fields: ServiceFields) -> Self {
        Self {
            name: fields.name,
            product: fields.product,
            version: fields.version,
            extra: fields.extra,
            os: fields.os,
            hostname: fields.hostname,
            cpe: fields.cpe,
            tls: fields.tls,
            method: fields.method,
            confidence: fields.confidence,
            device: fields.device,
            hidden: fields.hidden,
            facts: fields.facts,
            evidence: fields.evidence.map(|evidence| Evidence {
                rule: evidence.rule,
                probe: evidence.probe,
                bytes: evidence.bytes,
            }),
        }
    }
}

fn words(words: impl IntoIterator<Item = &'static str>) -> Schema {
    let words: Vec<_> = words.into_iter().collect();
    json_schema!({ "type": "string", "enum": words })
}

fn version_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": super::VERSION })
}

fn time_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

fn protocol_schema(_: &mut SchemaGenerator) -> Schema {
    words(Protocol::ALL.iter().map(|word| word.as_str()))
}

fn state_schema(_: &mut SchemaGenerator) -> Schema {
    words(PortState::ALL.iter().map(|word| word.as_str()))
}

fn reason_schema(_: &mut SchemaGenerator) -> Schema {
    words(Reason::ALL.iter().map(|word| word.as_str()))
}

fn method_schema(_: &mut SchemaGenerator) -> Schema {
    words(["table", "probed"])
}

fn techniques_schema(_: &mut SchemaGenerator) -> Schema {
    let known = words(Technique::ALL.iter().map(|word| word.as_str()));
    json_schema!({ "type": "array", "items": known })
}
