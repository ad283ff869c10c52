//! Letting go of old scans, and giving their space back.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::scan::ScanId;
use crate::store::Store;
use crate::time::{micros, span_micros};
use crate::writer::Writer;

/// How long and how much is kept. Hosts and their spans of time are always kept: they are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Scans that ended longer ago than this go.
    pub keep: Option<Duration>,
    /// Above this many bytes, the oldest scans go until it fits.
    pub max_size: Option<u64>,
}

/// What retention let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many scans.
    pub scans: u64,
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk after.
    pub after: u64,
}

impl Store {
    /// Deletes a scan, and what only this scan knew of hosts and ports.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`]; [`Error::WrongState`] while it runs.
    pub fn delete_scan(&self, id: ScanId) -> Result<()> {
        self.write(move |writer| {
            let state = crate::scans::state(&writer.connection, id)?;
            let owned: bool = writer.connection.query_row(
                "SELECT owner IS NOT NULL FROM scan WHERE id = ?1",
                [id],
                |row| row.get(0),
            )?;
            if owned {
                return Err(Error::WrongState {
                    id,
                    state,
                    action: "be deleted",
                });
            }
            remove(writer, id)?;
            forget(&writer.connection, id)?;
            sweep(writer)
        })?;
        self.give_back()
    }

    /// Lets go of scans by age and size; never of one that waits or runs, and never of the latest.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned> {
        self.give_back()?;
        let mut pruned = Pruned {
            before: self.size_bytes(),
            ..Pruned::default()
        };
        if let Some(keep) = retention.keep {
            let limit = micros(now).saturating_sub(span_micros(keep));
            pruned.scans += self.write(move |writer| {
                let old = ended(&writer.connection, Some(limit), i64::MAX)?;
                remove_all(writer, &old)
            })?;
            self.give_back()?;
        }
        if let Some(max_size) = retention.max_size {
            while self.size_bytes() > max_size {
                // A tenth at a time: few rounds, and little more than needed.
                let removed = self.write(|writer| {
                    let all = ended(&writer.connection, None, i64::MAX)?;
                    let some = all.len().div_ceil(10);
                    remove_all(writer, all.get(..some).unwrap_or_default())
                })?;
                if removed == 0 {
                    break;
                }
                pruned.scans += removed;
                self.give_back()?;
            }
        }
        pruned.after = self.size_bytes();
        Ok(pruned)
    }

    /// Gives unused pages of the file back to the system.
    fn give_back(&self) -> Result<()> {
        self.writer()?.run_plain(|writer| {
            let connection = &writer.connection;
            let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
            let mut rows = vacuum.query([])?;
            // Each step frees one page.
            while rows.next()?.is_some() {}
            drop(rows);
            // A reader in the middle of something keeps the log from being cut; the next one will.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        })
    }
}

/// Scans that are over, the oldest first, without the latest: those that ended before a moment.
fn ended(connection: &Connection, before: Option<i64>, limit: i64) -> Result<Vec<ScanId>> {
    let mut scans = connection.prepare(
        "SELECT id FROM scan
         WHERE state IN ('done', 'incomplete', 'interrupted', 'cancelled')
             AND id < (SELECT max(id) FROM scan) AND (?1 IS NULL OR finished < ?1)
         ORDER BY id LIMIT ?2",
    )?;
    let scans = scans.query_map((before, limit), |row| row.get(0))?;
    Ok(scans.collect::<rusqlite::Result<_>>()?)
}

fn remove_all(writer: &mut Writer, scans: &[ScanId]) -> Result<u64> {
    for &id in scans {
        remove(writer, id)?;
    }
    if !scans.is_empty() {
        sweep(writer)?;
    }
    Ok(scans.len() as u64)
}

/// Deletes a scan with all rows that belong to it.
fn remove(writer: &mut Writer, id: ScanId) -> Result<()> {
    writer.running.remove(&id);
    let connection = &writer.connection;
    // By hand: a table emptied by one statement is faster than rows that follow one by one.
    for table in ["open_port", "part", "scan_host", "problem", "checkpoint"] {
        connection.execute(&format!("DELETE FROM {table} WHERE scan = ?1"), [id])?;
    }
    connection.execute(
        "UPDATE scan SET previous = (SELECT previous FROM scan WHERE id = ?1) WHERE previous = ?1",
        [id],
    )?;
    connection.execute("DELETE FROM scan WHERE id = ?1", [id])?;
    Ok(())
}

/// Forgets what no scan but this one found.
fn forget(connection: &Connection, id: ScanId) -> Result<()> {
    connection.execute(
        "DELETE FROM port_state WHERE first_scan = ?1 AND last_scan = ?1",
        [id],
    )?;
    connection.execute(
        "DELETE FROM host WHERE last_scan = ?1
             AND NOT EXISTS (SELECT 1 FROM scan_host WHERE scan_host.address = host.address)
             AND NOT EXISTS (SELECT 1 FROM port_state WHERE port_state.address = host.address)",
        [id],
    )?;
    connection.execute(
        "UPDATE host SET shape = NULL, open = (SELECT count(*) FROM port_state
             WHERE port_state.address = host.address AND end_scan IS NULL AND (code - 1) / 16 = 0)
         WHERE last_scan = ?1",
        [id],
    )?;
    Ok(())
}

/// Deletes shapes that nothing refers to any more. Services stay: shapes and spans of time name
/// them, and they are few.
fn sweep(writer: &Writer) -> Result<()> {
    let connection = &writer.connection;
    // A shape without a scan says nothing; its number must not come again as another one's.
    connection.execute(
        "UPDATE host SET shape = NULL WHERE shape IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM scan_host WHERE scan_host.shape = host.shape)",
        [],
    )?;
    connection.execute(
        "DELETE FROM shape
         WHERE NOT EXISTS (SELECT 1 FROM scan_host WHERE scan_host.shape = shape.id)",
        [],
    )?;
    Ok(())
}
