//! What a server told of a scan, kept for who comes back after the server itself has forgotten.
//!
//! A message is written together with the facts that it tells, or not at all. So who has heard
//! more than the head of a telling has heard of what nobody keeps, and must read anew; all others
//! go on where they were, without a gap and without hearing anything twice.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::Result;
use crate::scan::ScanId;
use crate::store::{Store, must_exist};
use crate::writer::Writer;

/// Bytes of messages that are kept of a scan: 20 hosts with all their ports.
const MOST_BYTES: i64 = 8 << 20;

/// How many ended scans keep their messages.
const MOST_SCANS: i64 = 16;

/// A message that is told of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number of its telling; one that was begun later has another.
    pub log: u32,
    /// Its number there: it grows from message to message.
    pub seq: u64,
    /// Its kind and its JSON, where it is worth keeping; `None` for one that only counts.
    pub kept: Option<(&'static str, String)>,
}

/// A message that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The number of its telling.
    pub log: u32,
    /// Its number there.
    pub seq: u64,
    /// Its kind.
    pub event: String,
    /// Its JSON.
    pub data: String,
}

impl Store {
    /// Keeps a message about a scan; it is written with the next batch.
    ///
    /// # Errors
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), and when the writer has ended.
    pub fn say(&self, id: ScanId, said: Said) -> Result<()> {
        self.writer()?.say(id, said)
    }

    /// Waits until everything that was sent and said is in the file.
    ///
    /// # Errors
    /// When the writer has ended.
    pub fn flush(&self) -> Result<()> {
        self.writer()?.run_plain(|_| Ok(()))
    }

    /// At most `most` messages about a scan that were told after message `seq` of a telling, in
    /// order; none for who has heard all. `None` where that place is not known, or some of what
    /// came after it is no longer kept.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`](crate::Error::NoSuchScan).
    pub fn told_after(
        &self,
        id: ScanId,
        log: u32,
        seq: u64,
        most: usize,
    ) -> Result<Option<Vec<Told>>> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.read(|connection| {
            must_exist(connection, id)?;
            let telling: Option<(i64, i64)> = connection
                .prepare_cached("SELECT place, head FROM telling WHERE scan = ?1 AND log = ?2")?
                .query_row(params![id, log], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((place, head)) = telling else {
                return Ok(None);
            };
            let missed: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM telling WHERE scan = ?1 AND dropped > 0
                         AND (place, dropped) > (?2, ?3))",
                )?
                .query_row(params![id, place, seq], |row| row.get(0))?;
            if missed || seq > head {
                return Ok(None);
            }
            let mut messages = connection.prepare_cached(
                "SELECT telling.log, message.seq, event, data FROM message
                 JOIN telling USING (scan, place)
                 WHERE message.scan = ?1 AND (message.place, message.seq) > (?2, ?3)
                 ORDER BY message.place, message.seq LIMIT ?4",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let messages = messages.query_map(params![id, place, seq, most], |row| {
                Ok(Told {
                    log: row.get(0)?,
                    seq: row.get::<_, i64>(1)?.cast_unsigned(),
                    event: row.get(2)?,
                    data: row.get(3)?,
                })
            })?;
            Ok(Some(messages.collect::<rusqlite::Result<_>>()?))
        })
    }

    /// The first telling of a scan, where all that was ever told of it is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`](crate::Error::NoSuchScan).
    pub fn first_telling(&self, id: ScanId) -> Result<Option<u32>> {
        self.read(|connection| {
            must_exist(connection, id)?;
            Ok(connection
                .prepare_cached(
                    "SELECT log FROM telling WHERE scan = ?1 AND place = 1 AND NOT EXISTS
                         (SELECT 1 FROM telling WHERE scan = ?1 AND dropped > 0)",
                )?
                .query_row([id], |row| row.get(0))
                .optional()?)
        })
    }
}

/// Writes messages in the order in which they were told.
pub(crate) fn write(writer: &mut Writer, scan: ScanId, said: &[Said]) -> Result<()> {
    if said.is_empty() {
        return Ok(());
    }
    let mut bytes = match writer.said.get(&scan) {
        Some(&bytes) => bytes,
        None => writer
            .connection
            .prepare_cached("SELECT coalesce(sum(length(data)), 0) FROM message WHERE scan = ?1")?
            .query_row([scan], |row| row.get(0))?,
    };
    let mut current: Option<(u32, i64)> = None;
    for message in said {
        let place = match current {
            Some((log, place)) if log == message.log => place,
            _ => telling(&writer.connection, scan, message.log)?,
        };
        current = Some((message.log, place));
        let seq = message.seq.cast_signed();
        writer
            .connection
            .prepare_cached(
                "UPDATE telling SET head = max(head, ?3) WHERE scan = ?1 AND place = ?2",
            )?
            .execute(params![scan, place, seq])?;
        if let Some((event, data)) = &message.kept {
            writer
                .connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO message (scan, place, seq, event, data)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![scan, place, seq, event, data])?;
            bytes += i64::try_from(data.len()).unwrap_or(i64::MAX);
        }
    }
    if bytes > MOST_BYTES {
        bytes = drop_oldest(&writer.connection, scan, bytes)?;
    }
    // What is known by heart is little, and can be counted again.
    if writer.said.len() > 256 {
        writer.said.clear();
    }
    writer.said.insert(scan, bytes);
    Ok(())
}

/// The place of a telling, which is made where it is new.
fn telling(connection: &Connection, scan: ScanId, log: u32) -> Result<i64> {
    let known = connection
        .prepare_cached("SELECT place FROM telling WHERE scan = ?1 AND log = ?2")?
        .query_row(params![scan, log], |row| row.get(0))
        .optional()?;
    if let Some(place) = known {
        return Ok(place);
    }
    Ok(connection
        .prepare_cached(
            "INSERT INTO telling (scan, place, log, head)
             SELECT ?1, coalesce(max(place), 0) + 1, ?2, 0 FROM telling WHERE scan = ?1
             RETURNING place",
        )?
        .query_row(params![scan, log], |row| row.get(0))?)
}

/// Drops the oldest messages of a scan until there is room again; returns the bytes left.
fn drop_oldest(connection: &Connection, scan: ScanId, mut bytes: i64) -> Result<i64> {
    while bytes > MOST_BYTES - MOST_BYTES / 8 {
        let oldest: Option<(i64, i64, i64)> = connection
            .prepare_cached(
                "SELECT place, seq, length(data) FROM message WHERE scan = ?1
                 ORDER BY place, seq LIMIT 1",
            )?
            .query_row([scan], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((place, seq, length)) = oldest else {
            return Ok(0);
        };
        connection
            .prepare_cached("DELETE FROM message WHERE scan = ?1 AND place = ?2 AND seq = ?3")?
            .execute(params![scan, place, seq])?;
        connection
            .prepare_cached("UPDATE telling SET dropped = ?3 WHERE scan = ?1 AND place = ?2")?
            .execute(params![scan, place, seq])?;
        bytes -= length;
    }
    Ok(bytes)
}

/// Forgets what was told of scans that ended long ago.
pub(crate) fn forget_old(connection: &Connection) -> Result<()> {
    let mut old = connection.prepare_cached(
        "SELECT DISTINCT telling.scan FROM telling JOIN scan ON scan.id = telling.scan
         WHERE scan.finished IS NOT NULL ORDER BY telling.scan DESC LIMIT -1 OFFSET ?1",
    )?;
    let old: Vec<ScanId> = old
        .query_map([MOST_SCANS], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for scan in old {
        for table in ["message", "telling"] {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE scan = ?1"))?
                .execute([scan])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
