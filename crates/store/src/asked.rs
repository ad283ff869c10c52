//! Which ports scans ask: what one of two did not ask says nothing of a change.

use std::collections::HashMap;

use portolan_model::spec::Discovery;
use portolan_model::{PortSet, Protocol, ScanSpec, Shard, Technique, Zoned};
use rusqlite::{Connection, params};

use crate::codec::{address_in, protocol_number};
use crate::error::{Error, Result};
use crate::scan::{ScanId, ScanSummary};
use crate::scans::summary;

/// How many earlier scans are looked at, at the most: of the same targets, and of the same host.
const LOOKED_AT: i64 = 50;

/// The ports that a scan asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Those of TCP and of UDP.
    ports: [PortSet; 2],
    /// The part of its hosts or ports.
    shard: Option<Shard>,
}

impl Asked {
    /// What a request is to ask.
    pub(crate) fn by(spec: &ScanSpec) -> Self {
        let mut ports = [PortSet::EMPTY, PortSet::EMPTY];
        if spec.discovery != Discovery::Only {
            for protocol in spec.protocols() {
                ports[protocol as usize] = spec.ports.of(protocol).clone();
            }
        }
        Self {
            ports,
            shard: spec.shard,
        }
    }

    /// What a scan asks, as it said when it began.
    fn by_scan(scan: &ScanSummary) -> Self {
        let Some(started) = &scan.started else {
            return Self::by(&scan.spec);
        };
        let mut ports = [PortSet::EMPTY, PortSet::EMPTY];
        for protocol in started.techniques.iter().copied().map(Technique::protocol) {
            ports[protocol as usize] = started.ports.of(protocol).clone();
        }
        Self {
            ports,
            shard: scan.spec.shard,
        }
    }

    /// What a stored scan asks.
    pub(crate) fn of(connection: &Connection, id: ScanId) -> Result<Self> {
        Ok(Self::by_scan(&summary(connection, id)?))
    }

    pub(crate) fn has(&self, protocol: Protocol, port: u16) -> bool {
        self.ports[protocol as usize].contains(port)
    }

    /// Whether no port is asked: hosts alone are looked for.
    fn is_empty(&self) -> bool {
        self.ports.iter().all(PortSet::is_empty)
    }

    /// Whether it asks every port that `other` asks.
    fn covers(&self, other: &Self) -> bool {
        let mut pairs = self.ports.iter().zip(&other.ports);
        self.is_empty() == other.is_empty()
            && self.shard == other.shard
            && pairs.all(|(mine, others)| others.without(mine).is_empty())
    }

    /// Whether it asks any port that `other` asks too.
    fn meets(&self, other: &Self) -> bool {
        let mut pairs = self.ports.iter().zip(&other.ports);
        self.shard == other.shard
            && pairs.any(|(mine, others)| mine.len() != mine.without(others).len())
    }
}

/// The scan that one of these targets is to be compared with: the latest that asked all its ports,
/// else the latest that asked some of them.
pub(crate) fn previous(
    connection: &Connection,
    targets: &str,
    spec: &ScanSpec,
) -> Result<Option<ScanId>> {
    let asked = Asked::by(spec);
    let mut some = None;
    for id in of_targets(connection, targets, i64::MAX)? {
        let other = Asked::of(connection, id)?;
        if other.covers(&asked) {
            return Ok(Some(id));
        }
        if some.is_none() && other.meets(&asked) {
            some = Some(id);
        }
    }
    Ok(some)
}

/// Whole scans of exactly these targets before another, the latest first.
fn of_targets(connection: &Connection, targets: &str, before: i64) -> Result<Vec<ScanId>> {
    let mut scans = connection.prepare_cached(
        "SELECT id FROM scan WHERE targets = ?1 AND id < ?2 AND state IN ('done', 'incomplete')
         ORDER BY id DESC LIMIT ?3",
    )?;
    let scans = scans.query_map(params![targets, before, LOOKED_AT], |row| row.get(0))?;
    Ok(scans.collect::<rusqlite::Result<_>>()?)
}

/// Whether ports of a scan were known before it: a port that no earlier scan asked is not new,
/// it is only seen for the first time.
pub(crate) struct Before<'a> {
    connection: &'a Connection,
    id: ScanId,
    /// What earlier scans asked, as they are met.
    known: HashMap<ScanId, Asked>,
    /// Scans of the same targets, once they are looked for.
    of_targets: Option<Vec<ScanId>>,
    /// Scans that found the host that was looked at last.
    of_host: Option<(Zoned, Vec<ScanId>)>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(connection: &'a Connection, id: ScanId) -> Self {
        Self {
            connection,
            id,
            known: HashMap::new(),
            of_targets: None,
            of_host: None,
        }
    }

    /// Whether an open port was asked by an earlier scan and was not open when it was last asked.
    pub(crate) fn is_new(&mut self, address: Zoned, protocol: Protocol, port: u16) -> Result<bool> {
        // Both while the scan runs and once its own finds are in these intervals.
        let is_open: bool = self
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM port_state
                     WHERE address = ?2 AND protocol = ?3 AND port = ?4 AND first_scan < ?1
                         AND (end_scan IS NULL OR end_scan >= ?1) AND (code - 1) / 16 = 0)",
            )?
            .query_row(
                params![
                    self.id,
                    address_in(self.connection, self.id, address)?,
                    protocol_number(protocol),
                    port
                ],
                |row| row.get(0),
            )?;
        Ok(!is_open && self.was_asked(address, protocol, port)?)
    }

    fn was_asked(&mut self, address: Zoned, protocol: Protocol, port: u16) -> Result<bool> {
        if self.of_targets.is_none() {
            let targets = summary(self.connection, self.id)?.targets;
            self.of_targets = Some(of_targets(self.connection, &targets, self.id.0)?);
        }
        if self
            .of_host
            .as_ref()
            .is_none_or(|(known, _)| *known != address)
        {
            self.of_host = Some((address, self.of_host(address)?));
        }
        let of_targets = self.of_targets.iter().flatten();
        let of_host = self.of_host.iter().flat_map(|(_, scans)| scans);
        let scans: Vec<ScanId> = of_targets.chain(of_host).copied().collect();
        for scan in scans {
            let asked = match self.known.entry(scan) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(Asked::of(self.connection, scan)?)
                }
            };
            if asked.has(protocol, port) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn of_host(&self, address: Zoned) -> Result<Vec<ScanId>> {
        let mut scans = self.connection.prepare_cached(
            "SELECT scan FROM scan_host JOIN scan ON scan.id = scan_host.scan
             WHERE address = ?1 AND scan < ?2 AND state IN ('done', 'incomplete')
             ORDER BY scan DESC LIMIT ?3",
        )?;
        let key = address_in(self.connection, self.id, address)?;
        let scans = scans.query_map(params![key, self.id, LOOKED_AT], |row| row.get(0))?;
        scans.collect::<rusqlite::Result<_>>().map_err(Error::from)
    }
}
