//! Hosts: those of one scan, and those of all.

use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::NameKind;
use portolan_model::{Mac, Reason, Target, Zoned};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::changes::Interval;
use crate::codec::{address_bytes, address_of, last_address_bytes, reason_of};
use crate::error::Result;
use crate::fold::picture;
use crate::page::{Cursor, Page};
use crate::scan::{Counts, ScanId};
use crate::store::{Store, must_exist};
use crate::tags::{self, Tag, TagTerm};
use crate::time::{span, timestamp};

/// A port of a host as it is now: the interval that has not ended.
pub type KnownPort = Interval;

/// A host that a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanHost {
    /// Its address.
    pub address: Zoned,
    /// Its names, the one to show first.
    pub names: Vec<(String, NameKind)>,
    /// How it is known to be up.
    pub reason: Reason,
    /// How long its first answer took.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of its first answer.
    pub ttl: Option<u8>,
    /// When it was first heard of.
    pub first: Timestamp,
    /// When it was last heard of.
    pub last: Timestamp,
    /// Its MAC address, where it is on a link of the scanning machine's.
    pub mac: Option<Mac>,
    /// Its ports so far; `hosts` is 1.
    pub counts: Counts,
    /// What people call it, by alphabet.
    pub tags: Vec<Tag>,
}

/// A host over all scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHost {
    /// Its address.
    pub address: Zoned,
    /// The last name it was known by.
    pub name: Option<String>,
    /// When it was first found.
    pub first_seen: Timestamp,
    /// When it was last found.
    pub last_seen: Timestamp,
    /// By which scan.
    pub last_scan: ScanId,
    /// The last MAC address it was found at.
    pub mac: Option<Mac>,
    /// Its open ports, as far as is known.
    pub open: u64,
    /// What people call it, by alphabet.
    pub tags: Vec<Tag>,
}

/// Which hosts to list; everything that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFilter {
    /// Part of the name, in any case.
    pub name: Option<String>,
    /// Within this network, range or address.
    pub within: Option<Target>,
    /// Only hosts with open ports.
    pub with_open: Option<WithOpen>,
    /// What people call it: every term must fit.
    pub tags: Vec<TagTerm>,
}

/// Asks for hosts that have open ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithOpen;

impl Store {
    /// The hosts that a scan found so far, by address.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`](crate::Error::NoSuchScan), and
    /// [`Error::BadCursor`](crate::Error::BadCursor) for a cursor of another list.
    pub fn scan_hosts(
        &self,
        id: ScanId,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ScanHost>> {
        let after: Option<Zoned> = after.map(Cursor::read).transpose()?;
        let after = after.map(address_bytes).unwrap_or_default();
        self.read(|connection| {
            must_exist(connection, id)?;
            let mut hosts = connection.prepare_cached(
                "SELECT address, reason, rtt, ttl, first, last, names, mac FROM scan_host
                 WHERE scan = ?1 AND address > ?2 ORDER BY address LIMIT ?3",
            )?;
            let mut rows = hosts.query(params![id, after, more(limit)])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                let key: Vec<u8> = row.get(0)?;
                let [open, closed, filtered, unsure] = picture(connection, id, &key)?.counts();
                let names: Option<String> = row.get(6)?;
                items.push(ScanHost {
                    address: address_of(&key)?,
                    names: names
                        .as_deref()
                        .map_or(Ok(Vec::new()), crate::ingest::read_names)?,
                    reason: reason_of(row.get(1)?)?,
                    rtt: row.get::<_, Option<i64>>(2)?.map(span),
                    ttl: row.get(3)?,
                    first: timestamp(row.get(4)?)?,
                    last: timestamp(row.get(5)?)?,
                    mac: row.get::<_, Option<[u8; 6]>>(7)?.map(Mac),
                    tags: tags::of_host(connection, &key)?,
                    counts: Counts {
                        hosts: 1,
                        open,
                        closed,
                        filtered,
                        unsure,
                        problems: 0,
                    },
                });
            }
            Ok(Page::cut(items, limit, |host| host.address))
        })
    }

    /// Hosts over all scans, by address.
    ///
    /// # Errors
    /// [`Error::BadCursor`](crate::Error::BadCursor) for a cursor of another list.
    pub fn hosts(
        &self,
        filter: &HostFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<KnownHost>> {
        let after: Option<Zoned> = after.map(Cursor::read).transpose()?;
        let after = after.map(address_bytes).unwrap_or_default();
        let within = filter.within.as_ref().and_then(Target::addresses);
        let zone = filter.within.as_ref().and_then(Target::zone).copied();
        let (mut low, mut high) = (Vec::new(), vec![u8::MAX; 33]);
        if let Some(within) = &within {
            let mut ranges = within.ranges();
            if let Some((first, last)) = ranges.next() {
                low = address_bytes(first);
                high = last_address_bytes(ranges.last().map_or(last, |(_, last)| last));
            }
        }
        let mut name = filter.name.clone();
        if let Some(Target::Name(exact)) = &filter.within {
            name.get_or_insert_with(|| exact.to_string());
        }
        let name = name.map(|name| name.to_ascii_lowercase());
        self.read(|connection| {
            let mut hosts = connection.prepare_cached(
                "SELECT address, name, first_seen, last_seen, last_scan, open, mac,
                     (SELECT group_concat(word, ' ') FROM host_tag
                      WHERE host_tag.address = host.address)
                 FROM host WHERE address > ?1 AND address BETWEEN ?2 AND ?3
                     AND (?4 IS NULL OR instr(lower(name), ?4)) AND open >= ?5
                 ORDER BY address",
            )?;
            let least = i64::from(filter.with_open.is_some());
            let mut rows = hosts.query(params![after, low, high, name, least])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                let host = known_host(row)?;
                if within
                    .as_ref()
                    .is_some_and(|within| !within.contains(host.address.address))
                    || zone.is_some_and(|zone| host.address.zone != Some(zone))
                    || !filter.tags.iter().all(|term| term.fits(&host.tags))
                {
                    continue;
                }
                items.push(host);
                if items.len() > limit {
                    break;
                }
            }
            Ok(Page::cut(items, limit, |host| host.address))
        })
    }

    /// A host over all scans; `None` where none found it.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn host(&self, address: impl Into<Zoned>) -> Result<Option<KnownHost>> {
        self.read(|connection| {
            let mut host = connection.prepare_cached(
                "SELECT address, name, first_seen, last_seen, last_scan, open, mac,
                     (SELECT group_concat(word, ' ') FROM host_tag
                      WHERE host_tag.address = host.address)
                 FROM host WHERE address = ?1",
            )?;
            host.query_row([address_bytes(address)], |row| Ok(known_host(row)))
                .optional()?
                .transpose()
        })
    }

    /// The scans that found a host, the latest first, at most `limit`.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn scans_of_host(&self, address: impl Into<Zoned>, limit: usize) -> Result<Vec<ScanId>> {
        self.read(|connection| {
            let mut scans = connection.prepare_cached(
                "SELECT scan FROM scan_host WHERE address = ?1 ORDER BY scan DESC LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let scans =
                scans.query_map(params![address_bytes(address), limit], |row| row.get(0))?;
            Ok(scans.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// One more than the page holds, to see whether there is a next one.
fn more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn known_host(row: &Row<'_>) -> Result<KnownHost> {
    Ok(KnownHost {
        address: address_of(row.get_ref(0)?.as_blob().unwrap_or_default())?,
        name: row.get(1)?,
        first_seen: timestamp(row.get(2)?)?,
        last_seen: timestamp(row.get(3)?)?,
        last_scan: row.get(4)?,
        open: row.get::<_, i64>(5)?.cast_unsigned(),
        mac: row.get::<_, Option<[u8; 6]>>(6)?.map(Mac),
        tags: tags::joined(row.get(7)?),
    })
}
