//! Reads JSON lines back.

use std::io::BufRead;
use std::net::IpAddr;

use portolan_model::event::{
    AnswersAll, Endpoint, Finished, HostLink, HostName, HostUp, NameKind, Outcome, PortFact,
    PortsFact, Problem, ServiceFact, Started,
};
use portolan_model::{PortSpec, Protocol, ScanEvent, ScanRecord};
use serde_json::Value;

use super::VERSION;
use super::record::{Count, End, Fact, Kind, Milliseconds, Record};
use crate::error::{ReadError, Result};
use crate::escape::{truncate, visible};
use crate::limits::{Budget, Limited, port_set};

/// Every type of line that is known; others come from later versions and are passed over.
const TYPES: [&str; 11] = [
    "scan.started",
    "host.up",
    "host.name",
    "host.link",
    "host.answers_all",
    "port",
    "ports",
    "service",
    "host.done",
    "problem",
    "scan.done",
];

/// Reads lines to the end. A last line without its end, cut off in writing, is passed over.
pub(crate) fn read<R: BufRead>(input: &mut Limited<R>) -> Result<ScanRecord> {
    let mut record = ScanRecord::default();
    let mut budget = Budget::default();
    let mut bytes = Vec::new();
    let mut is_first = true;
    loop {
        let line = input.line();
        input.next_piece();
        bytes.clear();
        if let Err(error) = input.read_until(b'\n', &mut bytes) {
            return Err(input.exceeded().unwrap_or(ReadError::Io(error)));
        }
        if bytes.is_empty() {
            break;
        }
        let is_whole = bytes.ends_with(b"\n");
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) if error.is_eof() && !is_whole && !is_first => break,
            Err(error) => {
                return Err(malformed(line, &error.to_string(), "one JSON object"));
            }
        };
        let version = value.get("v").and_then(Value::as_u64);
        if let Some(found) = version.filter(|&version| version != VERSION) {
            return Err(ReadError::Version { line, found });
        }
        let Some(kind) = value.get("type").and_then(Value::as_str) else {
            return Err(malformed(line, "no `type`", "a record of a scan"));
        };
        if is_first && version.is_none() {
            let found = format!("the type `{kind}` without `v`");
            return Err(malformed(line, &found, "`\"v\":1` in the first record"));
        }
        is_first = false;
        if TYPES.contains(&kind) {
            let read: Record = serde_json::from_value(value).map_err(|error| {
                malformed(
                    line,
                    &error.to_string(),
                    "the fields of the published schema",
                )
            })?;
            apply(&mut record, read.fact, line, &mut budget)?;
        }
    }
    crate::read::settle(&mut record);
    Ok(record)
}

fn malformed(line: u64, found: &str, expected: &str) -> ReadError {
    ReadError::Malformed {
        line,
        found: truncate(&visible(found), 160).into_owned(),
        expected: expected.to_owned(),
    }
}

fn apply(record: &mut ScanRecord, fact: Fact, line: u64, budget: &mut Budget) -> Result<()> {
    if let Fact::ScanStarted { args, version, .. } = &fact {
        record.args.clone_from(args);
        record.version.clone_from(version);
    }
    let event = event(fact, line, budget)?;
    let address: Option<IpAddr> = match &event {
        ScanEvent::HostUp(up) => Some(up.address),
        ScanEvent::Port(fact) => Some(fact.endpoint.address),
        ScanEvent::Ports(fact) => Some(fact.address),
        _ => None,
    };
    if address.is_some_and(|address| !record.hosts.contains_key(&address)) {
        Budget::host(record.hosts.len(), line)?;
    }
    if let ScanEvent::HostName(found) = &event
        && let Some(host) = record.hosts.get(&found.address)
    {
        Budget::name(host.names.len(), line)?;
    }
    record.apply(&event);
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one arm for each type of line")]
fn event(fact: Fact, line: u64, budget: &mut Budget) -> Result<ScanEvent> {
    let count = |count: &Count| {
        let number = count.number();
        number.ok_or_else(|| malformed(line, &format!("the count {count:?}"), "a number"))
    };
    let time = |time: Milliseconds| {
        let found = || malformed(line, &format!("the time {time:?}"), "0 ms or more");
        time.duration().ok_or_else(found)
    };
    let set = |text: &str| {
        let found = format!("the ports `{text}`");
        port_set(text).ok_or_else(|| malformed(line, &found, "a list such as `1-21,80`"))
    };
    Ok(match fact {
        Fact::ScanStarted {
            at,
            techniques,
            tcp,
            udp,
            addresses,
            probes,
            seed,
            zones,
            ..
        } => ScanEvent::Started(Started {
            at,
            techniques,
            ports: PortSpec::new(set(&tcp)?, set(&udp)?),
            addresses: count(&addresses)?,
            probes: count(&probes)?,
            seed,
            zones: zones.parse().map_err(|_| {
                let found = format!("the zones `{zones}`");
                malformed(line, &found, "addresses as `fe80::1%eth0`")
            })?,
        }),
        Fact::HostUp {
            at,
            address,
            reason,
            rtt_ms,
            ttl,
        } => ScanEvent::HostUp(HostUp {
            address,
            reason,
            rtt: rtt_ms.map(time).transpose()?,
            ttl,
            at,
        }),
        Fact::HostLink { address, mac } => ScanEvent::HostLink(HostLink {
            address,
            mac: mac.parse().map_err(|_| {
                let found = format!("the MAC address `{mac}`");
                malformed(line, &found, "six pairs of hexadecimal digits")
            })?,
        }),
        Fact::HostAnswersAll {
            at,
            address,
            protocol,
            asked,
            answered,
            windowless,
        } => ScanEvent::AnswersAll(AnswersAll {
            address,
            protocol: protocol.unwrap_or(Protocol::Tcp),
            asked,
            answered,
            windowless,
            at,
        }),
        Fact::HostName {
            address,
            name,
            kind,
        } => ScanEvent::HostName(HostName {
            address,
            name,
            kind: match kind {
                Kind::User => NameKind::User,
                Kind::Ptr => NameKind::Ptr,
            },
        }),
        Fact::Port {
            at,
            address,
            protocol,
            port,
            state,
            reason,
            rtt_ms,
            ttl,
            guess: _,
        } => ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address,
                protocol,
                port,
            },
            state,
            reason,
            rtt: rtt_ms.map(time).transpose()?,
            ttl,
            at,
        }),
        Fact::Ports {
            at,
            address,
            protocol,
            state,
            reason,
            count: _,
            ports,
        } => {
            let ports = set(&ports)?;
            budget.take(&ports, line)?;
            ScanEvent::Ports(PortsFact {
                address,
                protocol,
                ports,
                state,
                reason,
                at,
            })
        }
        Fact::Service {
            address,
            protocol,
            port,
            service,
        } => ScanEvent::Service(ServiceFact {
            endpoint: Endpoint {
                address,
                protocol,
                port,
            },
            service: service.into(),
        }),
        Fact::HostDone { at, address } => ScanEvent::HostDone { address, at },
        Fact::Problem {
            about,
            message,
            hint,
            left_out,
        } => ScanEvent::Problem(Problem {
            about,
            message,
            hint,
            left_out,
        }),
        Fact::ScanDone {
            at,
            outcome,
            elapsed_ms,
            hosts_up,
            hosts_down,
            sent,
            loss,
            expected_missed,
        } => ScanEvent::Finished(Finished {
            at,
            outcome: match outcome {
                End::Complete => Outcome::Complete,
                End::Incomplete => Outcome::Incomplete,
                End::Interrupted => Outcome::Interrupted,
            },
            elapsed: time(elapsed_ms)?,
            hosts_up,
            hosts_down: count(&hosts_down)?,
            sent,
            loss,
            expected_missed,
        }),
    })
}
