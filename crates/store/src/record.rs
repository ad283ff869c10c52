//! A scan as a whole, for reports and comparisons.

use std::collections::HashMap;

use portolan_model::event::Problem;
use portolan_model::{HostRecord, Mac, PortRecord, Reach, ScanRecord, Service};
use rusqlite::{Connection, OptionalExtension as _};

use crate::codec::{Picture, address_of, reason_of};
use crate::error::{Error, Result};
use crate::fold;
use crate::scan::ScanId;
use crate::scans::summary;
use crate::store::Store;
use crate::time::{span, timestamp};

/// Services by their number, read as they are met.
#[derive(Debug, Default)]
pub(crate) struct Services(HashMap<i64, Service>);

impl Services {
    pub(crate) fn find(
        &mut self,
        connection: &Connection,
        number: Option<i64>,
    ) -> Result<Option<Service>> {
        let Some(number) = number else {
            return Ok(None);
        };
        if let Some(known) = self.0.get(&number) {
            return Ok(Some(known.clone()));
        }
        let json: Option<String> = connection
            .prepare_cached("SELECT json FROM service WHERE id = ?1")?
            .query_row([number], |row| row.get(0))
            .optional()?;
        let json = json.ok_or_else(|| Error::damaged("a service", format!("no {number}")))?;
        let service: Service =
            serde_json::from_str(&json).map_err(|error| Error::damaged("a service", error))?;
        self.0.insert(number, service.clone());
        Ok(Some(service))
    }
}

impl Store {
    /// A scan and everything it found so far, with times to the microsecond. Open ports stand
    /// alone in it, also where they were told with others.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn record(&self, id: ScanId) -> Result<ScanRecord> {
        self.read(|connection| record(connection, id))
    }

    /// The same with the hosts that the scan was to ask, to be compared with another.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn asked_and_found(&self, id: ScanId) -> Result<(Reach, ScanRecord)> {
        self.read(|connection| asked_and_found(connection, id))
    }

    /// Two scans as wholes, of one moment, to be compared.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn compare(
        &self,
        from: ScanId,
        to: ScanId,
    ) -> Result<((Reach, ScanRecord), (Reach, ScanRecord))> {
        self.read(|connection| {
            Ok((
                asked_and_found(connection, from)?,
                asked_and_found(connection, to)?,
            ))
        })
    }

    /// What a scan left out, and what one must know to read it right.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn problems(&self, id: ScanId) -> Result<Vec<Problem>> {
        self.read(|connection| {
            crate::store::must_exist(connection, id)?;
            problems(connection, id)
        })
    }
}

fn asked_and_found(connection: &Connection, id: ScanId) -> Result<(Reach, ScanRecord)> {
    let reach = Reach::of(&summary(connection, id)?.spec);
    Ok((reach, record(connection, id)?))
}

fn record(connection: &Connection, id: ScanId) -> Result<ScanRecord> {
    let scan = summary(connection, id)?;
    let mut record = ScanRecord {
        args: scan.args,
        version: scan.version,
        started: scan.started,
        problems: problems(connection, id)?,
        finished: scan.finished,
        ..ScanRecord::default()
    };
    let mut services = Services::default();
    let mut hosts = connection.prepare(
        "SELECT address, reason, rtt, ttl, first, last, names, mac FROM scan_host
         WHERE scan = ?1 ORDER BY address",
    )?;
    let mut rows = hosts.query([id])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_blob().unwrap_or_default();
        let mut host = HostRecord::new(reason_of(row.get(1)?)?, timestamp(row.get(4)?)?);
        host.rtt = row.get::<_, Option<i64>>(2)?.map(span);
        host.ttl = row.get(3)?;
        host.last = timestamp(row.get(5)?)?;
        if let Some(names) = row.get::<_, Option<String>>(6)? {
            host.names = crate::ingest::read_names(&names)?;
        }
        host.mac = row.get::<_, Option<[u8; 6]>>(7)?.map(Mac);
        let picture = fold::picture(connection, id, key)?;
        fill(connection, &mut host, &picture, &mut services)?;
        record.hosts.insert(address_of(key)?.address, host);
    }
    Ok(record)
}

fn fill(
    connection: &Connection,
    host: &mut HostRecord,
    picture: &Picture,
    services: &mut Services,
) -> Result<()> {
    for run in &picture.runs {
        for port in run.first..=run.last {
            let place = (run.protocol, port);
            let (state, reason) = (run.code.state(), run.code.reason());
            if let Some(known) = picture.notable.get(&place) {
                host.ports.insert(
                    place,
                    PortRecord {
                        state,
                        reason,
                        rtt: known.rtt.map(|rtt| span(rtt.cast_signed())),
                        ttl: known.ttl,
                        at: timestamp(known.at)?,
                        service: services.find(connection, known.service)?,
                    },
                );
            } else {
                host.rest
                    .entry((run.protocol, state, reason))
                    .or_default()
                    .insert(port);
            }
        }
    }
    Ok(())
}

fn problems(connection: &Connection, id: ScanId) -> Result<Vec<Problem>> {
    let mut problems = connection.prepare_cached(
        "SELECT about, message, hint, left_out FROM problem WHERE scan = ?1 ORDER BY place",
    )?;
    let problems = problems.query_map([id], |row| {
        Ok(Problem {
            about: row.get(0)?,
            message: row.get(1)?,
            hint: row.get(2)?,
            left_out: row.get(3)?,
        })
    })?;
    Ok(problems.collect::<rusqlite::Result<_>>()?)
}
