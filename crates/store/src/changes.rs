//! What has changed: between two scans of the same targets, and over all scans.

use std::collections::HashMap;

use jiff::Timestamp;
use portolan_model::{PortState, Protocol, Reason, Service, Zoned};
use rusqlite::{Connection, Row, params};

use crate::asked::Asked;
use crate::codec::{
    Code, Notable, Picture, address_bytes, address_of, protocol_number, protocol_of,
};
use crate::error::Result;
use crate::fold::{picture, same_service};
use crate::page::{Cursor, Page};
use crate::record::Services;
use crate::scan::{ScanId, ScanState};
use crate::scans::summary;
use crate::store::Store;
use crate::time::{micros, timestamp};

/// What a port was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortValue {
    /// Its state.
    pub state: PortState,
    /// What that rests on.
    pub reason: Reason,
    /// What runs there, by what it said.
    pub service: Option<Service>,
}

/// What happened to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is open, and was not.
    Opened,
    /// It was open, and is not.
    Closed,
    /// It is in another state, or something else runs there.
    Changed,
}

/// Something that happened to a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// The scan that found it.
    pub scan: ScanId,
    /// When.
    pub at: Timestamp,
    /// The host.
    pub address: Zoned,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// What the latest earlier scan that asked it found; `None` where none had asked it, or its host
    /// was not there.
    pub before: Option<PortValue>,
    /// What it is; `None` where its host is no longer there.
    pub after: Option<PortValue>,
}

/// A span of time in which a port was in one state with one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// The host.
    pub address: Zoned,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// What it was.
    pub value: PortValue,
    /// What the latest earlier scan that asked it had found, state and reason; `None` where none had
    /// asked it, or its host was not there.
    pub before: Option<(PortState, Reason)>,
    /// The first scan that found it so, and when.
    pub first: (ScanId, Timestamp),
    /// The last scan that found it so, and when.
    pub last: (ScanId, Timestamp),
    /// The first scan that found it otherwise, when, and how; `None` where it still is so, as far
    /// as is known.
    pub end: Option<(ScanId, Timestamp, PortState, Reason)>,
}

const INTERVAL: &str = "address, protocol, port, code, service, first_scan, first_at, last_scan,
    last_at, end_scan, end_at, end_code";

impl Store {
    /// What a scan found changed against the scan of the same targets before it, by host and
    /// port; nothing where there is none. Only ports that both asked are compared. A host that is
    /// gone counts when the scan is done, so that it was looked for.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`](crate::Error::NoSuchScan).
    pub fn changes(&self, id: ScanId) -> Result<Vec<Change>> {
        self.read(|connection| {
            let scan = summary(connection, id)?;
            let Some(previous) = scan.previous else {
                return Ok(Vec::new());
            };
            let comparison = Comparison {
                connection,
                before: previous,
                after: id,
                was_done: summary(connection, previous)?.state == ScanState::Done,
                is_done: scan.state == ScanState::Done,
                found: scan.ended.unwrap_or(scan.created),
                asked: [Asked::of(connection, previous)?, Asked::of(connection, id)?],
            };
            let mut changes = Vec::new();
            let mut services = Services::default();
            comparison.each(&mut |change| {
                changes.push(change.read(connection, id, &mut services)?);
                Ok(())
            })?;
            Ok(changes)
        })
    }

    /// What happened to ports over all scans, the latest first: of one host, or of all.
    ///
    /// # Errors
    /// [`Error::BadCursor`](crate::Error::BadCursor) for a cursor of another list.
    pub fn timeline(
        &self,
        address: Option<Zoned>,
        since: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Change>> {
        let before: Option<(i64, i64, i64)> = after.map(Cursor::read).transpose()?;
        let (at, interval, what) = before.unwrap_or((i64::MAX, i64::MAX, i64::MAX));
        let key = address.map(address_bytes);
        let where_address = if key.is_some() {
            "address = ?1"
        } else {
            "?1 IS NULL"
        };
        let kept = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.read(|connection| {
            // What follows within the same scan is one change, not an end and a beginning.
            let mut events = connection.prepare_cached(&format!(
                "SELECT first_at AS moment, id, 1 AS what, address, protocol, port,
                     (SELECT b.code FROM port_state b WHERE b.address = a.address
                         AND b.protocol = a.protocol AND b.port = a.port AND b.end_scan = a.first_scan),
                     (SELECT b.service FROM port_state b WHERE b.address = a.address
                         AND b.protocol = a.protocol AND b.port = a.port AND b.end_scan = a.first_scan),
                     code, service, first_scan
                 FROM port_state a
                 WHERE {where_address} AND first_at >= ?2
                     AND (first_at, id, 1) < (?3, ?4, ?5)
                 UNION ALL
                 SELECT end_at, id, 0, address, protocol, port, code, service, end_code, NULL, end_scan
                 FROM port_state a
                 WHERE {where_address} AND end_at IS NOT NULL AND end_at >= ?2
                     AND (end_at, id, 0) < (?3, ?4, ?5)
                     AND NOT EXISTS (SELECT 1 FROM port_state b WHERE b.address = a.address
                         AND b.protocol = a.protocol AND b.port = a.port AND b.first_scan = a.end_scan)
                 ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT ?6"
            ))?;
            let since = since.map_or(i64::MIN, micros);
            let mut rows = events.query(params![key, since, at, interval, what, kept])?;
            let mut items = Vec::new();
            let mut services = Services::default();
            let mut earlier = EarlierScans::new(connection);
            while let Some(row) = rows.next()? {
                let position: (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let mut raw = RawChange {
                    key: row.get(3)?,
                    at: timestamp(position.0)?,
                    protocol: protocol_of(row.get(4)?)?,
                    port: row.get(5)?,
                    before: value_of(row.get(6)?, row.get(7)?)?,
                    after: value_of(row.get(8)?, row.get(9)?)?,
                };
                let scan = row.get(10)?;
                if raw.before.is_none() {
                    // No span of time tells of ports that were plainly closed.
                    raw.before = earlier.find(scan, &raw.key, (raw.protocol, raw.port))?;
                }
                items.push((position, raw.read(connection, scan, &mut services)?));
            }
            let page = Page::cut(items, limit, |(position, _)| *position);
            Ok(Page {
                items: page.items.into_iter().map(|(_, change)| change).collect(),
                next: page.next,
            })
        })
    }

    /// What a port was over all scans, the latest first; plainly closed spans are the gaps.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn port_history(
        &self,
        address: impl Into<Zoned>,
        protocol: Protocol,
        port: u16,
    ) -> Result<Vec<Interval>> {
        let address = address.into();
        self.read(|connection| {
            let mut intervals = connection.prepare_cached(&format!(
                "SELECT {INTERVAL} FROM port_state WHERE address = ?1 AND protocol = ?2
                     AND port = ?3 ORDER BY first_at DESC, id DESC"
            ))?;
            let mut rows = intervals.query(params![
                address_bytes(address),
                protocol_number(protocol),
                port
            ])?;
            let mut found = Vec::new();
            let mut services = Services::default();
            let mut earlier = EarlierScans::new(connection);
            let key = address_bytes(address);
            while let Some(row) = rows.next()? {
                let mut interval = interval(connection, row, &mut services)?;
                let before = earlier.find(interval.first.0, &key, (protocol, port))?;
                interval.before = before.map(|(code, _)| (code.state(), code.reason()));
                found.push(interval);
            }
            Ok(found)
        })
    }

    /// What the ports of a host are now, as far as is known, over all scans: those that are open
    /// or answered.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn ports_now(&self, address: impl Into<Zoned>) -> Result<Vec<Interval>> {
        self.read(|connection| {
            let mut intervals = connection.prepare_cached(&format!(
                "SELECT {INTERVAL} FROM port_state WHERE address = ?1 AND end_scan IS NULL
                 ORDER BY protocol, port"
            ))?;
            let mut rows = intervals.query([address_bytes(address)])?;
            let mut found = Vec::new();
            let mut services = Services::default();
            while let Some(row) = rows.next()? {
                found.push(interval(connection, row, &mut services)?);
            }
            Ok(found)
        })
    }
}

fn interval(connection: &Connection, row: &Row<'_>, services: &mut Services) -> Result<Interval> {
    let code = Code::read(row.get(3)?)?;
    let end = match (row.get(9)?, row.get(10)?, row.get(11)?) {
        (Some(scan), Some(at), Some(code)) => {
            let code = Code::read(code)?;
            Some((scan, timestamp(at)?, code.state(), code.reason()))
        }
        _ => None,
    };
    Ok(Interval {
        address: address_of(row.get_ref(0)?.as_blob().unwrap_or_default())?,
        protocol: protocol_of(row.get(1)?)?,
        port: row.get(2)?,
        value: PortValue {
            state: code.state(),
            reason: code.reason(),
            service: services.find(connection, row.get(4)?)?,
        },
        before: None,
        first: (row.get(5)?, timestamp(row.get(6)?)?),
        last: (row.get(7)?, timestamp(row.get(8)?)?),
        end,
    })
}

/// When each port of a host came to be what a scan found, as the spans of time have it: when it
/// opened, closed, or had another service; ports that never did are missing.
pub(crate) fn latest(
    connection: &Connection,
    id: ScanId,
    key: &[u8],
) -> Result<HashMap<(Protocol, u16), i64>> {
    let mut moments = connection.prepare_cached(
        "SELECT protocol, port, max(CASE WHEN end_scan <= ?2 THEN end_at ELSE first_at END)
         FROM port_state WHERE address = ?1 AND first_scan <= ?2 GROUP BY protocol, port",
    )?;
    let mut rows = moments.query(params![key, id])?;
    let mut latest = HashMap::new();
    while let Some(row) = rows.next()? {
        latest.insert((protocol_of(row.get(0)?)?, row.get(1)?), row.get(2)?);
    }
    Ok(latest)
}

/// How many ports a scan found changed against the one before; `None` where there is none.
pub(crate) fn count(connection: &Connection, id: ScanId) -> Result<Option<i64>> {
    let scan = summary(connection, id)?;
    let Some(previous) = scan.previous else {
        return Ok(None);
    };
    let mut count = 0;
    Comparison {
        connection,
        before: previous,
        after: id,
        was_done: summary(connection, previous)?.state == ScanState::Done,
        is_done: scan.state == ScanState::Done,
        found: scan.created,
        asked: [Asked::of(connection, previous)?, Asked::of(connection, id)?],
    }
    .each(&mut |_| {
        count += 1;
        Ok(())
    })?;
    Ok(Some(count))
}

/// What earlier scans of a host found a port to be.
struct EarlierScans<'a> {
    connection: &'a Connection,
    /// By scan and host, as they are met: each may have many ports that are asked for.
    pictures: HashMap<(ScanId, Vec<u8>), Picture>,
}

/// How many earlier scans of a host are looked at, at the most.
const LOOKED_AT: i64 = 50;

impl<'a> EarlierScans<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            pictures: HashMap::new(),
        }
    }

    /// By the latest scan of the host before this one that asked the port.
    fn find(
        &mut self,
        scan: ScanId,
        key: &[u8],
        (protocol, port): (Protocol, u16),
    ) -> Result<Option<(Code, Option<i64>)>> {
        let mut scans = self.connection.prepare_cached(
            "SELECT scan FROM scan_host WHERE address = ?1 AND scan < ?2
             ORDER BY scan DESC LIMIT ?3",
        )?;
        let scans: Vec<ScanId> = scans
            .query_map(params![key, scan, LOOKED_AT], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for earlier in scans {
            let picture = match self.pictures.entry((earlier, key.to_owned())) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(picture(self.connection, earlier, key)?)
                }
            };
            if let Some(code) = picture.code(protocol, port) {
                let known = picture.notable.get(&(protocol, port));
                return Ok(Some((code, known.and_then(|known| known.service))));
            }
        }
        Ok(None)
    }
}

/// A change before its service is read.
struct RawChange {
    key: Vec<u8>,
    at: Timestamp,
    protocol: Protocol,
    port: u16,
    before: Option<(Code, Option<i64>)>,
    after: Option<(Code, Option<i64>)>,
}

impl RawChange {
    fn read(
        self,
        connection: &Connection,
        scan: ScanId,
        services: &mut Services,
    ) -> Result<Change> {
        let mut value = |raw: Option<(Code, Option<i64>)>| {
            raw.map(|(code, service)| {
                Ok::<_, crate::Error>(PortValue {
                    state: code.state(),
                    reason: code.reason(),
                    service: services.find(connection, service)?,
                })
            })
            .transpose()
        };
        let (before, after) = (value(self.before)?, value(self.after)?);
        let is_open = |value: &Option<PortValue>| matches!(value, Some(value) if value.state == PortState::Open);
        let kind = match (is_open(&before), is_open(&after)) {
            (false, true) => ChangeKind::Opened,
            (true, false) => ChangeKind::Closed,
            _ => ChangeKind::Changed,
        };
        Ok(Change {
            kind,
            scan,
            at: self.at,
            address: address_of(&self.key)?,
            protocol: self.protocol,
            port: self.port,
            before,
            after,
        })
    }
}

fn value_of(code: Option<i64>, service: Option<i64>) -> Result<Option<(Code, Option<i64>)>> {
    code.map(|code| Ok((Code::read(code)?, service)))
        .transpose()
}

/// Two scans, host by host.
struct Comparison<'a> {
    connection: &'a Connection,
    before: ScanId,
    after: ScanId,
    /// Whether the earlier one has asked all that it was to ask.
    was_done: bool,
    /// Whether the later one has.
    is_done: bool,
    /// When the later one ended, for hosts that it did not find.
    found: Timestamp,
    /// What each of them asked.
    asked: [Asked; 2],
}

impl Comparison<'_> {
    fn each(&self, take: &mut dyn FnMut(RawChange) -> Result<()>) -> Result<()> {
        // Hosts that look the same, which are most, are passed over without reading their ports.
        let mut hosts = self.connection.prepare_cached(
            "SELECT coalesce(a.address, b.address) AS host, b.address IS NOT NULL,
                 a.address IS NOT NULL, b.last
             FROM (SELECT * FROM scan_host WHERE scan = ?1) a
             FULL JOIN (SELECT * FROM scan_host WHERE scan = ?2) b ON a.address = b.address
             WHERE a.shape IS NOT b.shape OR a.shape IS NULL OR b.settled = 0
             ORDER BY host",
        )?;
        let mut rows = hosts.query(params![self.before, self.after])?;
        while let Some(row) = rows.next()? {
            let key: Vec<u8> = row.get(0)?;
            let (is_now, was_before): (bool, bool) = (row.get(1)?, row.get(2)?);
            if !is_now && !self.is_done {
                continue;
            }
            let at = row
                .get::<_, Option<i64>>(3)?
                .map_or(Ok(self.found), timestamp)?;
            let before = self.picture(self.before, &key, was_before)?;
            let after = self.picture(self.after, &key, is_now)?;
            self.host(&key, at, before.as_ref(), after.as_ref(), take)?;
        }
        Ok(())
    }

    fn picture(&self, scan: ScanId, key: &[u8], is_there: bool) -> Result<Option<Picture>> {
        is_there
            .then(|| picture(self.connection, scan, key))
            .transpose()
    }

    fn host(
        &self,
        key: &[u8],
        at: Timestamp,
        before: Option<&Picture>,
        after: Option<&Picture>,
        take: &mut dyn FnMut(RawChange) -> Result<()>,
    ) -> Result<()> {
        let notable = |picture: Option<&Picture>| {
            picture
                .map(|picture| picture.notable.clone())
                .unwrap_or_default()
        };
        let (was, is) = (notable(before), notable(after));
        let mut places: Vec<_> = was.keys().chain(is.keys()).copied().collect();
        places.sort_unstable();
        places.dedup();
        // What one of the two did not ask has not changed, as far as is known.
        places.retain(|&(protocol, port)| self.asked.iter().all(|one| one.has(protocol, port)));
        for place in places {
            let value = |picture: Option<&Picture>, known: Option<&Notable>| {
                let code = picture?.code(place.0, place.1)?;
                Some((code, known.and_then(|known| known.service)))
            };
            let old = value(before, was.get(&place));
            let new = value(after, is.get(&place));
            let differs = match (old, new) {
                (Some((old, old_service)), Some((new, new_service))) => {
                    old.state() != new.state()
                        || !same_service(self.connection, old_service, new_service)?
                }
                // A host that came or went, where the scan that lacks it has looked for all; else
                // one of the two did not come to this port.
                (None, Some(_)) => before.is_none() && self.was_done,
                (Some(_), None) => after.is_none(),
                (None, None) => false,
            };
            if differs {
                take(RawChange {
                    key: key.to_owned(),
                    at,
                    protocol: place.0,
                    port: place.1,
                    before: old,
                    after: new,
                })?;
            }
        }
        Ok(())
    }
}
