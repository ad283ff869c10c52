//! How events become rows: a batch gathers them by scan and host, and is written at once.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

#[cfg(doc)]
use portolan_model::HostRecord;
use portolan_model::event::{Finished, NameKind, Outcome, Problem, Progress, Started};
use portolan_model::{Mac, PortState, Protocol, Reason, ScanEvent, Service, Zones};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::{
    Code, Fact, Notable, Run, address_bytes, encode_facts, protocol_number, reason_number,
    state_number,
};
use crate::course::Course;
use crate::error::{Error, Result};
use crate::messages::Said;
use crate::scan::{ScanId, ScanState, outcome_word};
use crate::time::{micros, span_micros};
use crate::writer::Writer;
use crate::{fold, messages};

/// After this many batches, what they found of a host is put together, so that a reader never
/// has more to gather.
const PARTS_AT_MOST: u32 = 64;

/// What the writer remembers of a scan while it runs.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Over which interfaces link-local addresses are asked, once that was looked at.
    zones: Option<Zones>,
    /// The place of the next part.
    place: i64,
    /// How many parts each host has.
    parts: HashMap<IpAddr, u32>,
    /// Whether ports may have been told twice, so that counts are to be made anew at the end.
    resumed: bool,
    /// How it went so far; `None` until something is told of that.
    course: Option<Course>,
}

impl Running {
    pub(crate) fn resumed() -> Self {
        Self {
            resumed: true,
            ..Self::default()
        }
    }
}

/// Events that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    scans: BTreeMap<ScanId, PendingScan>,
    facts: usize,
    urgent: bool,
}

#[derive(Debug, Default)]
struct PendingScan {
    started: Option<Started>,
    finished: Option<Finished>,
    problems: Vec<Problem>,
    progress: Option<Progress>,
    said: Vec<Said>,
    checkpoint: Option<(i64, Vec<u8>)>,
    hosts: HashMap<IpAddr, PendingHost>,
    /// By the state's number.
    counts: [u64; 4],
}

#[derive(Debug, Default)]
struct PendingHost {
    up: bool,
    /// How it is known, and when it was first heard of; `None` while only a name was told.
    known: Option<(Reason, i64)>,
    rtt: Option<i64>,
    ttl: Option<u8>,
    last: Option<i64>,
    mac: Option<Mac>,
    names: Vec<(String, NameKind)>,
    facts: Vec<Fact>,
    services: Vec<(Protocol, u16, Service)>,
    done: bool,
}

impl PendingHost {
    fn heard(&mut self, reason: Reason, at: i64) {
        self.known.get_or_insert((reason, at));
        self.last = self.last.max(Some(at));
    }
}

impl Batch {
    pub(crate) const fn facts(&self) -> usize {
        self.facts
    }

    /// Whether somebody waits for what is in it: the beginning or the end of a scan.
    pub(crate) const fn is_urgent(&self) -> bool {
        self.urgent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.scans.is_empty()
    }

    pub(crate) fn scans(&self) -> impl Iterator<Item = ScanId> + '_ {
        self.scans.keys().copied()
    }

    pub(crate) fn checkpoint(&mut self, scan: ScanId, at: i64, position: Vec<u8>) {
        self.scans.entry(scan).or_default().checkpoint = Some((at, position));
    }

    pub(crate) fn say(&mut self, scan: ScanId, said: Said) {
        self.scans.entry(scan).or_default().said.push(said);
    }

    pub(crate) fn take(&mut self, scan: ScanId, events: Vec<ScanEvent>) {
        self.facts += events.len();
        let pending = self.scans.entry(scan).or_default();
        for event in events {
            match event {
                ScanEvent::Started(started) => {
                    pending.started = Some(started);
                    self.urgent = true;
                }
                ScanEvent::Finished(finished) => {
                    pending.finished = Some(finished);
                    self.urgent = true;
                }
                ScanEvent::Problem(problem) => pending.problems.push(problem),
                ScanEvent::Progress(progress) => pending.progress = Some(progress),
                event => pending.host_event(event),
            }
        }
    }
}

impl PendingScan {
    fn host_event(&mut self, event: ScanEvent) {
        match event {
            ScanEvent::HostUp(up) => {
                let at = micros(up.at);
                let host = self.hosts.entry(up.address).or_default();
                let first = host.known.map_or(at, |(_, first)| first.min(at));
                host.known = Some((up.reason, first));
                host.up = true;
                host.rtt = host.rtt.or(up.rtt.map(span_micros));
                host.ttl = host.ttl.or(up.ttl);
            }
            ScanEvent::HostName(found) => {
                let host = self.hosts.entry(found.address).or_default();
                host.names.push((found.name, found.kind));
            }
            ScanEvent::HostLink(link) => {
                self.hosts.entry(link.address).or_default().mac = Some(link.mac);
            }
            ScanEvent::Port(fact) => {
                let at = micros(fact.at);
                let code = Code::new(fact.state, fact.reason);
                self.counts[usize::from(state_number(fact.state))] += 1;
                let host = self.hosts.entry(fact.endpoint.address).or_default();
                host.heard(fact.reason, at);
                let (protocol, port) = (fact.endpoint.protocol, fact.endpoint.port);
                host.facts.push(if code.is_notable() {
                    Fact::Alone(
                        protocol,
                        port,
                        code,
                        Notable {
                            rtt: fact.rtt.map(|rtt| span_micros(rtt).cast_unsigned()),
                            ttl: fact.ttl,
                            at,
                            service: None,
                        },
                    )
                } else {
                    Fact::Run(Run {
                        protocol,
                        first: port,
                        last: port,
                        code,
                    })
                });
            }
            ScanEvent::Ports(fact) => {
                let at = micros(fact.at);
                let code = Code::new(fact.state, fact.reason);
                self.counts[usize::from(state_number(fact.state))] += fact.ports.len() as u64;
                let host = self.hosts.entry(fact.address).or_default();
                host.heard(fact.reason, at);
                for &(first, last) in fact.ports.ranges() {
                    // An open port stands alone, however it was told, so that it can be found.
                    if fact.state == PortState::Open {
                        let known = Notable {
                            rtt: None,
                            ttl: None,
                            at,
                            service: None,
                        };
                        let alone = |port| Fact::Alone(fact.protocol, port, code, known);
                        host.facts.extend((first..=last).map(alone));
                    } else {
                        host.facts.push(Fact::Run(Run {
                            protocol: fact.protocol,
                            first,
                            last,
                            code,
                        }));
                    }
                }
            }
            ScanEvent::Service(fact) => {
                let host = self.hosts.entry(fact.endpoint.address).or_default();
                let (protocol, port) = (fact.endpoint.protocol, fact.endpoint.port);
                host.services.push((protocol, port, fact.service));
            }
            ScanEvent::HostDone { address, at } => {
                let host = self.hosts.entry(address).or_default();
                host.last = host.last.max(Some(micros(at)));
                host.done = true;
            }
            // Handled before, or of a kind that has no rows.
            _ => {}
        }
    }
}

/// Writes a batch; the caller holds the transaction. It may be called again after a failure.
pub(crate) fn write(writer: &mut Writer, batch: &Batch) -> Result<()> {
    for (&scan, pending) in &batch.scans {
        let exists = writer
            .connection
            .prepare_cached("SELECT 1 FROM scan WHERE id = ?1")?
            .query_row([scan], |_| Ok(()))
            .optional()?;
        // Deleted while its last events were under way: nobody is left to want them.
        if exists.is_none() {
            continue;
        }
        write_scan(writer, scan, pending)?;
    }
    Ok(())
}

fn write_scan(writer: &mut Writer, scan: ScanId, pending: &PendingScan) -> Result<()> {
    if let Some(started) = &pending.started {
        write_start(&writer.connection, scan, started)?;
        let running = writer.running.entry(scan).or_default();
        running.zones = Some(started.zones.clone());
    }
    let mut new_hosts = 0;
    // In order of address, so that neighbours in the file are written together.
    let mut hosts: Vec<_> = pending.hosts.iter().collect();
    hosts.sort_unstable_by_key(|(address, _)| **address);
    for (&address, host) in hosts {
        new_hosts += write_host(writer, scan, address, host)?;
    }
    let connection = &writer.connection;
    let [open, closed, filtered, unsure] = pending.counts.map(u64::cast_signed);
    let phase = pending
        .progress
        .map(|progress| serde_json::to_string(&progress.phase))
        .transpose()
        .map_err(|error| Error::damaged("the phase of a scan", error))?;
    connection
        .prepare_cached(
            "UPDATE scan SET hosts = hosts + ?2, open = open + ?3, closed = closed + ?4,
                 filtered = filtered + ?5, unsure = unsure + ?6,
                 done = coalesce(?7, done), total = coalesce(?8, total),
                 elapsed = coalesce(coalesce(elapsed_before, 0) + ?9, elapsed),
                 sent = coalesce(coalesce(sent_before, 0) + ?10, sent),
                 phase = coalesce(?11, phase)
             WHERE id = ?1",
        )?
        .execute(params![
            scan,
            new_hosts,
            open,
            closed,
            filtered,
            unsure,
            pending.progress.map(|progress| progress.done.to_string()),
            pending.progress.map(|progress| progress.total.to_string()),
            pending
                .progress
                .map(|progress| span_micros(progress.elapsed)),
            pending.progress.map(|progress| progress.sent.cast_signed()),
            phase,
        ])?;
    for problem in &pending.problems {
        connection
            .prepare_cached(
                "INSERT INTO problem (scan, place, about, message, hint, left_out)
                 SELECT ?1, coalesce(max(place), 0) + 1, ?2, ?3, ?4, ?5
                 FROM problem WHERE scan = ?1",
            )?
            .execute(params![
                scan,
                problem.about,
                problem.message,
                problem.hint,
                problem.left_out
            ])?;
    }
    messages::write(writer, scan, &pending.said)?;
    if let Some(progress) = &pending.progress {
        write_course(writer, scan, progress)?;
    }
    let connection = &writer.connection;
    if let Some((at, position)) = &pending.checkpoint {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO checkpoint (scan, at, position) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![scan, at, position])?;
    }
    if let Some(finished) = &pending.finished {
        finish(writer, scan, finished)?;
    }
    Ok(())
}

fn write_course(writer: &mut Writer, scan: ScanId, progress: &Progress) -> Result<()> {
    let running = writer.running.entry(scan).or_default();
    // A batch may be tried again: what was taken before is taken over by itself.
    let course = match &mut running.course {
        Some(course) => course,
        empty => empty.insert(Course::load(&writer.connection, scan)?),
    };
    course.take(progress);
    course.save(&writer.connection, scan)
}

fn write_start(connection: &Connection, scan: ScanId, started: &Started) -> Result<()> {
    let json = |value: serde_json::Result<String>| {
        value.map_err(|error| Error::damaged("a request", error))
    };
    // A scan that goes on keeps the moment in which it first began. Its ports are mostly those
    // of its request, which may be a long list.
    connection
        .prepare_cached(
            "UPDATE scan SET started = coalesce(started, ?2), techniques = ?3,
                 ports = nullif(?4, json_extract(spec, '$.ports')),
                 addresses = ?5, probes = ?6, seed = ?7, total = ?6,
                 zones = nullif(?8, '') WHERE id = ?1",
        )?
        .execute(params![
            scan,
            micros(started.at),
            json(serde_json::to_string(&started.techniques))?,
            started.ports.to_string(),
            started.addresses.to_string(),
            started.probes.to_string(),
            started.seed.cast_signed(),
            started.zones.to_string(),
        ])?;
    Ok(())
}

/// Over which interfaces a scan asks link-local addresses.
fn zones_of(writer: &mut Writer, scan: ScanId) -> Result<&Zones> {
    let running = writer.running.entry(scan).or_default();
    if running.zones.is_none() {
        let text: Option<String> = writer
            .connection
            .prepare_cached("SELECT zones FROM scan WHERE id = ?1")?
            .query_row([scan], |row| row.get(0))?;
        let zones = text.unwrap_or_default().parse();
        running.zones = Some(zones.map_err(|error| Error::damaged("the zones of a scan", error))?);
    }
    Ok(running.zones.get_or_insert_default())
}

/// Whether a row of `scan_host` is a host that is up, as [`HostRecord::is_up`] has it: others stayed
/// silent, or only others spoke of them.
pub(crate) const IS_UP: &str = "(rtt IS NOT NULL OR reason NOT IN (3, 5, 6, 7))";

/// Writes what is new of a host; returns 1 when it was not known to be up before, else 0.
fn write_host(
    writer: &mut Writer,
    scan: ScanId,
    address: IpAddr,
    host: &PendingHost,
) -> Result<i64> {
    let key = address_bytes(zones_of(writer, scan)?.zoned(address));
    let before: Option<(Option<String>, bool)> = writer
        .connection
        .prepare_cached(&format!(
            "SELECT names, {IS_UP} FROM scan_host WHERE scan = ?1 AND address = ?2"
        ))?
        .query_row(params![scan, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let was_up = before.as_ref().is_some_and(|(_, is_up)| *is_up);
    let before = before.map(|(names, _)| names);
    let Some((reason, first)) = host
        .known
        // A name, a service or an end of a host that was never heard of says nothing of it.
        .or_else(|| before.is_some().then_some((Reason::UserSet, 0)))
    else {
        return Ok(0);
    };
    let mut facts = host.facts.clone();
    for (protocol, port, service) in &host.services {
        let number = match known_service(&writer.connection, &key, *protocol, *port, service)? {
            Some(number) => number,
            None => writer.service_number(service)?,
        };
        facts.push(Fact::Service(*protocol, *port, number));
    }
    let names = merge_names(before.as_ref().and_then(Option::as_deref), &host.names)?;
    let is_up: bool = writer
        .connection
        .prepare_cached(&format!(
            "INSERT INTO scan_host
                 (scan, address, reason, rtt, ttl, first, last, names, mac, settled)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?7, ?6), ?8, ?10, 0)
             ON CONFLICT (scan, address) DO UPDATE SET
                 reason = iif(?9, excluded.reason, reason),
                 rtt = coalesce(rtt, excluded.rtt), ttl = coalesce(ttl, excluded.ttl),
                 first = iif(?9, min(first, excluded.first), first),
                 last = max(last, coalesce(?7, last)),
                 names = coalesce(excluded.names, names),
                 mac = coalesce(excluded.mac, mac), settled = 0
             RETURNING {IS_UP}",
        ))?
        .query_row(
            params![
                scan,
                key,
                reason_number(reason),
                host.rtt,
                host.ttl,
                first,
                host.last,
                names,
                host.up,
                host.mac.map(|mac| mac.0),
            ],
            |row| row.get(0),
        )?;
    write_open(&writer.connection, scan, &key, &facts)?;
    let running = writer.running.entry(scan).or_default();
    if host.done {
        running.parts.remove(&address);
        fold::settle(&writer.connection, scan, &key, facts)?;
    } else if !facts.is_empty() {
        let parts = running.parts.entry(address).or_default();
        *parts += 1;
        if *parts >= PARTS_AT_MOST {
            *parts = 0;
            fold::compact(&writer.connection, scan, &key, facts)?;
        } else {
            running.place += 1;
            writer
                .connection
                .prepare_cached(
                    "INSERT INTO part (scan, address, place, data) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![scan, key, running.place, encode_facts(&facts)])?;
        }
    }
    Ok(i64::from(is_up && !was_up))
}

fn write_open(connection: &Connection, scan: ScanId, key: &[u8], facts: &[Fact]) -> Result<()> {
    for fact in facts {
        match *fact {
            Fact::Run(_) => {}
            Fact::Alone(protocol, port, code, known) => {
                connection
                    .prepare_cached(
                        "INSERT INTO open_port (scan, address, protocol, port, code, rtt, ttl, at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                         ON CONFLICT DO UPDATE SET code = ?5, rtt = ?6, ttl = ?7, at = ?8",
                    )?
                    .execute(params![
                        scan,
                        key,
                        protocol_number(protocol),
                        port,
                        code.byte(),
                        known.rtt.map(u64::cast_signed),
                        known.ttl,
                        known.at
                    ])?;
            }
            Fact::Service(protocol, port, service) => {
                connection
                    .prepare_cached(
                        "UPDATE open_port SET service = ?5
                         WHERE scan = ?1 AND address = ?2 AND protocol = ?3 AND port = ?4",
                    )?
                    .execute(params![scan, key, protocol_number(protocol), port, service])?;
            }
        }
    }
    Ok(())
}

/// The names of a host as JSON: those that are stored and those that are new, typed ones first.
fn merge_names(stored: Option<&str>, new: &[(String, NameKind)]) -> Result<Option<String>> {
    if new.is_empty() {
        return Ok(None);
    }
    let mut names = stored.map_or_else(|| Ok(Vec::new()), read_names)?;
    for name in new {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.sort_by_key(|(_, kind)| *kind);
    let plain: Vec<_> = names
        .iter()
        .map(|(name, kind)| (name, *kind == NameKind::User))
        .collect();
    serde_json::to_string(&plain)
        .map(Some)
        .map_err(|error| Error::damaged("a host's names", error))
}

pub(crate) fn read_names(json: &str) -> Result<Vec<(String, NameKind)>> {
    let plain: Vec<(String, bool)> =
        serde_json::from_str(json).map_err(|error| Error::damaged("a host's names", error))?;
    let kind = |typed| {
        if typed { NameKind::User } else { NameKind::Ptr }
    };
    Ok(plain
        .into_iter()
        .map(|(name, typed)| (name, kind(typed)))
        .collect())
}

/// The service that the port is known by already, if it says the same now but for the bytes of
/// its evidence: they hold the time, a salt or a cookie, and differ at each asking. What the
/// port said first stays as the evidence.
fn known_service(
    connection: &Connection,
    key: &[u8],
    protocol: Protocol,
    port: u16,
    service: &Service,
) -> Result<Option<i64>> {
    if service.evidence.is_none() {
        return Ok(None);
    }
    let known: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT service.id, service.json FROM port_state
                 JOIN service ON service.id = port_state.service
             WHERE address = ?1 AND protocol = ?2 AND port = ?3 AND end_scan IS NULL",
        )?
        .query_row(params![key, protocol_number(protocol), port], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((number, json)) = known else {
        return Ok(None);
    };
    let mut before: Service =
        serde_json::from_str(&json).map_err(|error| Error::damaged("a service", error))?;
    if let (Some(before), Some(now)) = (&mut before.evidence, &service.evidence) {
        before.bytes.clone_from(&now.bytes);
    }
    Ok((before == *service).then_some(number))
}

/// The number of a service, which is stored where it is new.
pub(crate) fn intern_service(connection: &Connection, service: &Service) -> Result<i64> {
    let json =
        serde_json::to_string(service).map_err(|error| Error::damaged("a service", error))?;
    let known = connection
        .prepare_cached("SELECT id FROM service WHERE json = ?1")?
        .query_row([&json], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let lower = |text: Option<&str>| text.unwrap_or_default().to_ascii_lowercase();
    connection
        .prepare_cached(
            "INSERT INTO service (json, name, product, version, words) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            json,
            lower(Some(&service.name)),
            lower(service.product.as_deref()),
            lower(service.version.as_deref()),
            crate::query::service_words(service),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Ends a scan as its engine said.
fn finish(writer: &mut Writer, scan: ScanId, finished: &Finished) -> Result<()> {
    let connection = &writer.connection;
    let left_out: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM problem WHERE scan = ?1 AND left_out)",
        [scan],
        |row| row.get(0),
    )?;
    let state = match finished.outcome {
        Outcome::Complete if left_out => ScanState::Incomplete,
        Outcome::Complete => ScanState::Done,
        Outcome::Incomplete => ScanState::Incomplete,
        Outcome::Interrupted => ScanState::Cancelled,
    };
    connection.execute(
        // An engine that gave up no longer knows what it did: then what was told last counts.
        "UPDATE scan SET outcome = ?2, hosts_up = ?4, hosts_down = ?5,
             elapsed = max(coalesce(elapsed, 0), coalesce(elapsed_before, 0) + ?3),
             sent = max(coalesce(sent, 0), coalesce(sent_before, 0) + ?6), loss = ?7, missed = ?8, done = iif(?9, total, done),
             phase = iif(?9, NULL, phase)
         WHERE id = ?1",
        params![
            scan,
            outcome_word(finished.outcome),
            span_micros(finished.elapsed),
            finished.hosts_up.cast_signed(),
            finished.hosts_down.to_string(),
            finished.sent.cast_signed(),
            finished.loss,
            finished.expected_missed,
            finished.outcome == Outcome::Complete,
        ],
    )?;
    if finished.outcome == Outcome::Complete {
        Course::complete(connection, scan)?;
    }
    end(writer, scan, state, Some(micros(finished.at)))
}

/// Ends a scan: every host is settled, the changes are counted, the index of the scan before
/// makes room.
pub(crate) fn end(
    writer: &mut Writer,
    scan: ScanId,
    state: ScanState,
    at: Option<i64>,
) -> Result<()> {
    let recount = writer
        .running
        .remove(&scan)
        .is_none_or(|running| running.resumed);
    let connection = &writer.connection;
    fold::settle_all(connection, scan)?;
    if recount {
        fold::recount(connection, scan)?;
    }
    connection.execute(
        "UPDATE scan SET state = ?2, owner = NULL,
             finished = coalesce(?3, (SELECT max(last) FROM scan_host WHERE scan = ?1), started, created)
         WHERE id = ?1",
        params![scan, state, at],
    )?;
    let changes = crate::changes::count(connection, scan)?;
    connection.execute(
        "UPDATE scan SET changes = ?2 WHERE id = ?1",
        params![scan, changes],
    )?;
    if state == ScanState::Done {
        connection.execute("DELETE FROM checkpoint WHERE scan = ?1", [scan])?;
    }
    if matches!(state, ScanState::Done | ScanState::Incomplete) {
        fold::drop_older_indexes(connection, scan)?;
    }
    messages::forget_old(connection)
}

/// Marks a scan whose process was cut off.
pub(crate) fn interrupt(writer: &mut Writer, scan: ScanId) -> Result<()> {
    // Another process may have opened the history in the same moment, and been faster.
    let state = crate::scans::state(&writer.connection, scan)?;
    if matches!(state, ScanState::Running | ScanState::Paused) {
        end(writer, scan, ScanState::Interrupted, None)?;
        // What was sent since progress was last told is known of what answered alone: each port
        // that is open or closed was asked.
        writer.connection.execute(
            "UPDATE scan SET cut_off = 1, sent = max(coalesce(sent, 0), open + closed)
             WHERE id = ?1 AND started IS NOT NULL",
            [scan],
        )?;
    }
    Ok(())
}

pub(crate) fn suspend(writer: &mut Writer, scan: ScanId) -> Result<()> {
    let state = crate::scans::state(&writer.connection, scan)?;
    if state.is_over() {
        return Ok(());
    }
    writer.running.remove(&scan);
    fold::settle_all(&writer.connection, scan)?;
    fold::recount(&writer.connection, scan)?;
    writer.connection.execute(
        "UPDATE scan SET state = 'paused', owner = NULL WHERE id = ?1",
        [scan],
    )?;
    Ok(())
}

pub(crate) fn set_state(writer: &Writer, scan: ScanId, state: ScanState) -> Result<()> {
    writer.connection.execute(
        "UPDATE scan SET state = ?2 WHERE id = ?1",
        params![scan, state],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portolan_model::HostRecord;

    use super::*;

    #[test]
    fn a_host_is_up_in_the_tables_as_it_is_in_a_record() {
        let connection = Connection::open_in_memory().unwrap();
        for &reason in Reason::ALL {
            for rtt in [None, Some(7)] {
                let mut host = HostRecord::new(reason, Timestamp::UNIX_EPOCH);
                host.rtt = rtt.map(std::time::Duration::from_micros);
                let is_up: bool = connection
                    .query_row(
                        &format!("SELECT {IS_UP} FROM (SELECT ?1 AS rtt, ?2 AS reason)"),
                        params![rtt.map(u64::cast_signed), reason_number(reason)],
                        |row| row.get(0),
                    )
                    .unwrap();
                assert_eq!(is_up, host.is_up(), "{reason} {rtt:?}");
            }
        }
    }
}
