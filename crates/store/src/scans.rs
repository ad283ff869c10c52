//! Making, listing and resuming scans.

use jiff::Timestamp;
use portolan_model::event::{Finished, Reached, Started};
use portolan_model::{PortSet, PortSpec, ScanSpec};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::asked;
use crate::error::{Error, Result};
use crate::ingest::{self, Running};
use crate::page::{Cursor, Page};
use crate::scan::{
    Counts, NewScan, ScanFilter, ScanId, ScanState, ScanSummary, outcome_of, targets_in_words,
};
use crate::store::{Store, must_exist};
use crate::tags;
use crate::time::{micros, span, timestamp};
use crate::writer::ScanWriter;

const COLUMNS: &str = "id, state, spec, targets, args, version, who, detect, created, started,
    techniques, ports, addresses, probes, seed, zones, done, total, hosts, open, closed, filtered, unsure,
    finished, outcome, elapsed, hosts_up, hosts_down, sent,
    cut_off IS 1 AS cut_off, phase, loss, missed, previous, changes,
    (SELECT count(*) FROM problem WHERE scan = id) AS problems,
    state NOT IN ('done', 'running') AND EXISTS (SELECT 1 FROM checkpoint WHERE scan = id) AS resumable,
    (SELECT group_concat(word, ' ') FROM scan_tag WHERE scan = id) AS tags";

/// What asking for a scan led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is new.
    New(ScanId),
    /// It was asked for before, with the same key.
    Known(ScanId),
}

/// Where a scan can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// When it was saved.
    pub at: Timestamp,
    /// As it was given: by [`ScanWriter::reached`], or in bytes of the caller's own.
    pub position: Vec<u8>,
}

/// The order that places are in. It changes when an earlier program's places would mean others.
const ORDER: u64 = 2;

/// A place in the order of a scan, and what decides the order, as it is kept. The large number is
/// text, which every reader of JSON keeps exact.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Position {
    seed: u64,
    #[serde(default)]
    order: u64,
    #[serde(default)]
    step: String,
    #[serde(default)]
    pass: u32,
    #[serde(default, rename = "position")]
    within: u64,
}

/// The bytes of a place.
pub(crate) fn position(seed: u64, place: &Reached) -> Vec<u8> {
    let position = Position {
        seed,
        order: ORDER,
        step: place.step.to_string(),
        pass: place.pass,
        within: place.position,
    };
    serde_json::to_vec(&position).expect("numbers and text are JSON")
}

impl Checkpoint {
    /// The place that [`ScanWriter::reached`] was told; the beginning for one that says nothing
    /// of it, or that is in another order.
    pub fn place(&self) -> Reached {
        let read = || {
            let position: Position = serde_json::from_slice(&self.position).ok()?;
            (position.order == ORDER).then_some(())?;
            Some(Reached {
                step: position.step.parse().ok()?,
                pass: position.pass,
                position: position.within,
            })
        };
        read().unwrap_or_default()
    }
}

impl Store {
    /// Keeps a scan that is to run later.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn queue(&self, new: NewScan) -> Result<Queued> {
        self.write(move |writer| insert(&writer.connection, &new))
    }

    /// Keeps a scan that begins now.
    ///
    /// # Errors
    /// When it cannot be written, and [`Error::WrongState`] when its key names a scan that was
    /// begun before.
    pub fn begin(&self, new: NewScan) -> Result<ScanWriter> {
        match self.queue(new)? {
            Queued::New(id) | Queued::Known(id) => self.start(id),
        }
    }

    /// Begins a queued scan.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`]; [`Error::WrongState`] unless it is queued.
    pub fn start(&self, id: ScanId) -> Result<ScanWriter> {
        self.write(move |writer| {
            let state = state(&writer.connection, id)?;
            if state != ScanState::Queued {
                return Err(Error::WrongState {
                    id,
                    state,
                    action: "be started",
                });
            }
            run(writer, id, Running::default())
        })?;
        Ok(ScanWriter::new(self.clone(), id))
    }

    /// Takes up a scan that was cut off, cancelled or suspended; with the place to go on from,
    /// where it left one. Without one it begins anew, and what it found is kept until then.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`]; [`Error::WrongState`] for one that is done, or that runs.
    pub fn resume(&self, id: ScanId) -> Result<(ScanWriter, Option<Checkpoint>)> {
        let checkpoint = self.write(move |writer| {
            let state = state(&writer.connection, id)?;
            let owned: bool = writer.connection.query_row(
                "SELECT owner IS NOT NULL FROM scan WHERE id = ?1",
                [id],
                |row| row.get(0),
            )?;
            if owned || matches!(state, ScanState::Done | ScanState::Running) {
                return Err(Error::WrongState {
                    id,
                    state,
                    action: "go on",
                });
            }
            run(writer, id, Running::resumed())?;
            checkpoint(&writer.connection, id)
        })?;
        Ok((ScanWriter::new(self.clone(), id), checkpoint))
    }

    /// Where a scan can go on from; `None` where it left nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn checkpoint(&self, id: ScanId) -> Result<Option<Checkpoint>> {
        self.read(|connection| {
            must_exist(connection, id)?;
            checkpoint(connection, id)
        })
    }

    /// Ends a scan that waits, or whose engine can no longer say so itself.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`]; [`Error::WrongState`] for one that is over.
    pub fn cancel(&self, id: ScanId, at: Timestamp) -> Result<()> {
        let at = micros(at);
        self.write(move |writer| {
            let state = state(&writer.connection, id)?;
            if state.is_over() {
                return Err(Error::WrongState {
                    id,
                    state,
                    action: "be cancelled",
                });
            }
            ingest::end(writer, id, ScanState::Cancelled, Some(at))
        })
    }

    /// A scan as it stands in a list.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn scan(&self, id: ScanId) -> Result<ScanSummary> {
        self.read(|connection| summary(connection, id))
    }

    /// Scans, the latest first.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a cursor of another list.
    pub fn scans(
        &self,
        filter: &ScanFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ScanSummary>> {
        let before: i64 = after.map_or(Ok(i64::MAX), Cursor::read)?;
        let (condition, mut values) = condition(filter);
        values.push(before.into());
        values.push(
            i64::try_from(limit)
                .unwrap_or(i64::MAX)
                .saturating_add(1)
                .into(),
        );
        self.read(|connection| {
            let mut scans = connection.prepare(&format!(
                "SELECT {COLUMNS} FROM scan WHERE {condition} AND id < ? ORDER BY id DESC LIMIT ?"
            ))?;
            let mut rows = scans.query(params_from_iter(values))?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(read(row)?);
            }
            Ok(Page::cut(items, limit, |scan| scan.id.0))
        })
    }

    /// How many scans a filter lets through.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn count_scans(&self, filter: &ScanFilter) -> Result<u64> {
        let (condition, values) = condition(filter);
        self.read(|connection| {
            let count: i64 = connection.query_row(
                &format!("SELECT count(*) FROM scan WHERE {condition}"),
                params_from_iter(values),
                |row| row.get(0),
            )?;
            Ok(count.cast_unsigned())
        })
    }
}

fn run(writer: &mut crate::writer::Writer, id: ScanId, running: Running) -> Result<()> {
    writer.connection.execute(
        "UPDATE scan SET state = 'running', owner = ?2, finished = NULL, outcome = NULL,
             elapsed_before = coalesce(elapsed, 0), sent_before = coalesce(sent, 0),
             hosts_up = NULL, hosts_down = NULL, loss = NULL, missed = NULL, changes = NULL, phase = NULL
         WHERE id = ?1",
        params![id, writer.owner],
    )?;
    writer.running.insert(id, running);
    Ok(())
}

fn insert(connection: &Connection, new: &NewScan) -> Result<Queued> {
    if let Some(key) = &new.request_key {
        let known = connection
            .prepare_cached("SELECT id FROM scan WHERE request_key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        if let Some(known) = known {
            return Ok(Queued::Known(known));
        }
    }
    let spec =
        serde_json::to_string(&new.spec).map_err(|error| Error::damaged("a request", error))?;
    let targets = targets_in_words(&new.spec);
    let previous = asked::previous(connection, &targets, &new.spec)?;
    connection
        .prepare_cached(
            "INSERT INTO scan (state, spec, targets, args, version, who, detect, request_key,
                 created, previous)
             VALUES ('queued', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            spec,
            targets,
            new.args,
            new.version,
            new.who,
            new.detect,
            new.request_key,
            micros(new.created),
            previous,
        ])?;
    Ok(Queued::New(ScanId(connection.last_insert_rowid())))
}

fn checkpoint(connection: &Connection, id: ScanId) -> Result<Option<Checkpoint>> {
    let found: Option<(i64, Vec<u8>)> = connection
        .query_row(
            "SELECT at, position FROM checkpoint WHERE scan = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    found
        .map(|(at, position)| {
            Ok(Checkpoint {
                at: timestamp(at)?,
                position,
            })
        })
        .transpose()
}

/// The state of a scan.
pub(crate) fn state(connection: &Connection, id: ScanId) -> Result<ScanState> {
    connection
        .prepare_cached("SELECT state FROM scan WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .ok_or(Error::NoSuchScan { id })
}

fn condition(filter: &ScanFilter) -> (String, Vec<Value>) {
    let mut text = "1".to_owned();
    let mut values: Vec<Value> = Vec::new();
    if let Some(words) = &filter.text {
        for word in words.split_whitespace() {
            text.push_str(" AND instr(lower(targets || ' ' || args || ' ' || who), ?)");
            values.push(word.to_ascii_lowercase().into());
        }
    }
    if let Some(targets) = &filter.targets {
        text.push_str(" AND targets = ?");
        values.push(targets.clone().into());
    }
    if !filter.states.is_empty() {
        let marks = vec!["?"; filter.states.len()].join(", ");
        text.push_str(" AND state IN (");
        text.push_str(&marks);
        text.push(')');
        values.extend(
            filter
                .states
                .iter()
                .map(|state| state.as_str().to_owned().into()),
        );
    }
    for (moment, comparison) in [(filter.since, ">="), (filter.until, "<")] {
        if let Some(moment) = moment {
            text.push_str(" AND created ");
            text.push_str(comparison);
            text.push_str(" ?");
            values.push(micros(moment).into());
        }
    }
    for term in &filter.tags {
        let marks = vec!["?"; term.any.len()].join(", ");
        text.push_str(if term.has { " AND" } else { " AND NOT" });
        text.push_str(" EXISTS (SELECT 1 FROM scan_tag WHERE scan = id AND word IN (");
        text.push_str(&marks);
        text.push_str("))");
        let words = term.any.iter().map(|tag| tag.as_str().to_owned().into());
        values.extend(words);
    }
    (text, values)
}

/// A scan as it stands in a list.
pub(crate) fn summary(connection: &Connection, id: ScanId) -> Result<ScanSummary> {
    let mut scan =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM scan WHERE id = ?1"))?;
    let mut rows = scan.query([id])?;
    match rows.next()? {
        Some(row) => read(row),
        None => Err(Error::NoSuchScan { id }),
    }
}

fn read(row: &Row<'_>) -> Result<ScanSummary> {
    let spec: String = row.get("spec")?;
    let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let finished: Option<i64> = row.get("finished")?;
    let spec: ScanSpec =
        serde_json::from_str(&spec).map_err(|error| Error::damaged("a request", error))?;
    let started = started(row, &spec)?;
    Ok(ScanSummary {
        id: row.get("id")?,
        state: row.get("state")?,
        spec,
        targets: row.get("targets")?,
        args: row.get("args")?,
        version: row.get("version")?,
        who: row.get("who")?,
        detect: row.get("detect")?,
        created: timestamp(row.get("created")?)?,
        started,
        done: wide(&row.get::<_, String>("done")?)?,
        total: wide(&row.get::<_, String>("total")?)?,
        counts: Counts {
            hosts: count("hosts")?,
            open: count("open")?,
            closed: count("closed")?,
            filtered: count("filtered")?,
            unsure: count("unsure")?,
            problems: count("problems")?,
        },
        elapsed: row.get::<_, Option<i64>>("elapsed")?.map(span),
        sent: row.get::<_, Option<i64>>("sent")?.map(i64::cast_unsigned),
        was_cut_off: row.get("cut_off")?,
        phase: row
            .get::<_, Option<String>>("phase")?
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|error| Error::damaged("the phase of a scan", error))?,
        ended: finished.map(timestamp).transpose()?,
        finished: finish(row)?,
        previous: row.get("previous")?,
        changes: row
            .get::<_, Option<i64>>("changes")?
            .map(i64::cast_unsigned),
        can_resume: row.get("resumable")?,
        tags: tags::joined(row.get("tags")?),
    })
}

fn wide(text: &str) -> Result<u128> {
    text.parse()
        .map_err(|error| Error::damaged("a count", error))
}

fn started(row: &Row<'_>, spec: &ScanSpec) -> Result<Option<Started>> {
    let Some(at) = row.get::<_, Option<i64>>("started")? else {
        return Ok(None);
    };
    let bad = |error| Error::damaged("a request", error);
    Ok(Some(Started {
        at: timestamp(at)?,
        techniques: serde_json::from_str(&row.get::<_, String>("techniques")?).map_err(bad)?,
        ports: match row.get::<_, Option<String>>("ports")? {
            None => spec.ports.clone(),
            // Only hosts were looked for.
            Some(ports) if ports.is_empty() => PortSpec::new(PortSet::EMPTY, PortSet::EMPTY),
            Some(ports) => ports
                .parse()
                .map_err(|error| Error::damaged("a list of ports", error))?,
        },
        addresses: wide(&row.get::<_, String>("addresses")?)?,
        probes: wide(&row.get::<_, String>("probes")?)?,
        seed: row.get::<_, i64>("seed")?.cast_unsigned(),
        zones: row
            .get::<_, Option<String>>("zones")?
            .unwrap_or_default()
            .parse()
            .map_err(|error| Error::damaged("the zones of a scan", error))?,
    }))
}

fn finish(row: &Row<'_>) -> Result<Option<Finished>> {
    let Some(outcome) = row.get::<_, Option<String>>("outcome")? else {
        return Ok(None);
    };
    Ok(Some(Finished {
        at: timestamp(row.get("finished")?)?,
        outcome: outcome_of(&outcome).ok_or_else(|| Error::damaged("an outcome", &outcome))?,
        elapsed: span(row.get("elapsed")?),
        hosts_up: row.get::<_, i64>("hosts_up")?.cast_unsigned(),
        hosts_down: wide(&row.get::<_, String>("hosts_down")?)?,
        sent: row.get::<_, i64>("sent")?.cast_unsigned(),
        loss: row.get("loss")?,
        expected_missed: row.get("missed")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(position: impl Into<Vec<u8>>) -> Reached {
        let checkpoint = Checkpoint {
            at: Timestamp::UNIX_EPOCH,
            position: position.into(),
        };
        checkpoint.place()
    }

    #[test]
    fn a_place_is_read_as_it_was_kept_however_large() {
        let place = Reached {
            step: u128::MAX,
            pass: 3,
            position: u64::MAX,
        };
        assert_eq!(kept(position(u64::MAX, &place)), place);
    }

    #[test]
    fn what_says_nothing_of_a_place_is_the_beginning() {
        for text in ["", "{\"seed\": 7}", "{\"seed\": 7, \"step\": \"-1\"}"] {
            assert_eq!(kept(text), Reached::default(), "{text}");
        }
    }
}
