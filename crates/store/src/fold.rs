//! The end of a host: what its parts say becomes one picture, and the picture is held against
//! what is known of the host from earlier scans.

use std::hash::Hasher as _;

use portolan_model::Protocol;
use rusqlite::{Connection, OptionalExtension as _, params};
use siphasher::sip::SipHasher13;

use crate::codec::{Code, Fact, Notable, Picture, decode_facts, protocol_number, protocol_of};
use crate::error::Result;
use crate::scan::ScanId;

/// Shape and times of a host, where they were put together.
type Stored = (Option<Vec<u8>>, Option<Vec<u8>>);

/// All that is known of a host's ports in a scan: its shape, and the parts since.
pub(crate) fn picture(connection: &Connection, scan: ScanId, key: &[u8]) -> Result<Picture> {
    let stored: Option<Stored> = connection
        .prepare_cached(
            "SELECT shape.data, times FROM scan_host LEFT JOIN shape ON shape.id = scan_host.shape
             WHERE scan = ?1 AND address = ?2",
        )?
        .query_row(params![scan, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let mut picture = match stored {
        Some((Some(shape), times)) => Picture::decode(&shape, times.as_deref())?,
        _ => Picture::default(),
    };
    let mut facts = Vec::new();
    let mut parts = connection
        .prepare_cached("SELECT data FROM part WHERE scan = ?1 AND address = ?2 ORDER BY place")?;
    let mut rows = parts.query(params![scan, key])?;
    while let Some(row) = rows.next()? {
        facts.extend(decode_facts(row.get_ref(0)?.as_blob().unwrap_or_default())?);
    }
    if !facts.is_empty() {
        picture.apply(facts);
    }
    Ok(picture)
}

/// Puts a host's parts and `facts` into its picture; returns that and the shape's number.
pub(crate) fn compact(
    connection: &Connection,
    scan: ScanId,
    key: &[u8],
    facts: Vec<Fact>,
) -> Result<(Picture, i64)> {
    let mut picture = picture(connection, scan, key)?;
    picture.apply(facts);
    let (shape, times) = picture.encode();
    let shape = intern_shape(connection, &shape)?;
    connection
        .prepare_cached(
            "UPDATE scan_host SET shape = ?3, times = ?4 WHERE scan = ?1 AND address = ?2",
        )?
        .execute(params![
            scan,
            key,
            shape,
            Some(times).filter(|times| !times.is_empty())
        ])?;
    connection
        .prepare_cached("DELETE FROM part WHERE scan = ?1 AND address = ?2")?
        .execute(params![scan, key])?;
    Ok((picture, shape))
}

fn intern_shape(connection: &Connection, data: &[u8]) -> Result<i64> {
    let mut hasher = SipHasher13::new();
    hasher.write(data);
    let hash = hasher.finish().cast_signed();
    let known = connection
        .prepare_cached("SELECT id FROM shape WHERE hash = ?1 AND data = ?2")?
        .query_row(params![hash, data], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    connection
        .prepare_cached("INSERT INTO shape (hash, data) VALUES (?1, ?2)")?
        .execute(params![hash, data])?;
    Ok(connection.last_insert_rowid())
}

/// Settles a host: its picture is complete as far as this scan goes.
pub(crate) fn settle(
    connection: &Connection,
    scan: ScanId,
    key: &[u8],
    facts: Vec<Fact>,
) -> Result<()> {
    let (picture, shape) = compact(connection, scan, key, facts)?;
    let (at, names): (i64, Option<String>) = connection
        .prepare_cached("SELECT last, names FROM scan_host WHERE scan = ?1 AND address = ?2")?
        .query_row(params![scan, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let name = match names {
        Some(json) => crate::ingest::read_names(&json)?.into_iter().next(),
        None => None,
    };
    let sighting = Sighting { scan, key, at };
    let known: Option<(Option<i64>, bool, i64)> = connection
        .prepare_cached("SELECT shape, whole, open FROM host WHERE address = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (whole, open) = match known {
        // Nothing new: one statement, however many ports there are.
        Some((Some(before), true, open)) if before == shape => {
            connection
                .prepare_cached(
                    "UPDATE port_state SET last_scan = ?2, last_at = ?3
                     WHERE address = ?1 AND end_scan IS NULL AND last_scan <= ?2",
                )?
                .execute(params![key, scan, at])?;
            (true, open)
        }
        _ => sighting.compare(connection, &picture)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO host
                 (address, name, first_seen, last_seen, last_scan, shape, whole, open, mac)
             SELECT ?1, ?2, first, ?3, ?4, ?5, ?6, ?7, mac
                 FROM scan_host WHERE scan = ?4 AND address = ?1
             ON CONFLICT (address) DO UPDATE SET name = coalesce(?2, name),
                 mac = coalesce(excluded.mac, mac),
                 first_seen = min(first_seen, excluded.first_seen),
                 last_seen = max(last_seen, ?3),
                 last_scan = max(last_scan, ?4), shape = ?5, whole = ?6, open = ?7",
        )?
        .execute(params![
            key,
            name.map(|(name, _)| name),
            at,
            scan,
            shape,
            whole,
            open
        ])?;
    connection
        .prepare_cached("UPDATE scan_host SET settled = 1 WHERE scan = ?1 AND address = ?2")?
        .execute(params![scan, key])?;
    Ok(())
}

/// Settles every host of a scan that is not yet.
pub(crate) fn settle_all(connection: &Connection, scan: ScanId) -> Result<()> {
    let mut hosts =
        connection.prepare("SELECT address FROM scan_host WHERE scan = ?1 AND settled = 0")?;
    let hosts: Vec<Vec<u8>> = hosts
        .query_map([scan], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in hosts {
        settle(connection, scan, &key, Vec::new())?;
    }
    Ok(())
}

/// Counts a scan's hosts and ports anew.
pub(crate) fn recount(connection: &Connection, scan: ScanId) -> Result<()> {
    let mut counts = [0u64; 4];
    let mut hosts = 0i64;
    let mut shapes = connection.prepare(&format!(
        "SELECT shape.data, count(*), sum({}) FROM scan_host
                 LEFT JOIN shape ON shape.id = scan_host.shape
             WHERE scan = ?1 GROUP BY shape.id",
        crate::ingest::IS_UP
    ))?;
    let mut rows = shapes.query([scan])?;
    while let Some(row) = rows.next()? {
        let times: i64 = row.get(1)?;
        hosts += row.get::<_, i64>(2)?;
        if let Some(shape) = row.get_ref(0)?.as_blob_or_null().unwrap_or_default() {
            for (sum, count) in counts
                .iter_mut()
                .zip(Picture::decode(shape, None)?.counts())
            {
                *sum += count * times.cast_unsigned();
            }
        }
    }
    let [open, closed, filtered, unsure] = counts.map(u64::cast_signed);
    connection.execute(
        "UPDATE scan SET hosts = ?2, open = ?3, closed = ?4, filtered = ?5, unsure = ?6
         WHERE id = ?1",
        params![scan, hosts, open, closed, filtered, unsure],
    )?;
    Ok(())
}

/// Open ports can be found by any property in the latest scan of each target; the older ones
/// keep their pictures, which are a fraction of the size.
pub(crate) fn drop_older_indexes(connection: &Connection, scan: ScanId) -> Result<()> {
    let older = "targets = (SELECT targets FROM scan WHERE id = ?1) AND id < ?1 AND indexed
         AND state IN ('done', 'incomplete')";
    connection.execute(
        &format!("DELETE FROM open_port WHERE scan IN (SELECT id FROM scan WHERE {older})"),
        [scan],
    )?;
    connection.execute(
        &format!("UPDATE scan SET indexed = 0 WHERE {older}"),
        [scan],
    )?;
    Ok(())
}

/// A host as a scan saw it.
struct Sighting<'a> {
    scan: ScanId,
    key: &'a [u8],
    at: i64,
}

/// An interval that has not ended.
struct OpenInterval {
    id: i64,
    protocol: Protocol,
    port: u16,
    code: Code,
    service: Option<i64>,
    last_scan: ScanId,
}

impl Sighting<'_> {
    /// Ends, extends and begins intervals. Returns whether the picture covers all that go on,
    /// and how many of them are open ports.
    fn compare(&self, connection: &Connection, picture: &Picture) -> Result<(bool, i64)> {
        let mut whole = true;
        let mut open = 0;
        let mut left = picture.notable.clone();
        for known in self.open_intervals(connection)? {
            let place = (known.protocol, known.port);
            let found = left.remove(&place);
            let code = picture.code(known.protocol, known.port);
            // What a later scan has said stands, when an earlier one comes to its end after it.
            let newer = known.last_scan > self.scan;
            match (code, found) {
                (None, _) => {
                    whole = false;
                    open += i64::from(is_open(known.code));
                }
                _ if newer => {
                    whole = false;
                    open += i64::from(is_open(known.code));
                }
                (Some(code), Some(found))
                    if code.state() == known.code.state()
                        && same_service(connection, known.service, found.service)? =>
                {
                    connection
                        .prepare_cached(
                            "UPDATE port_state SET last_scan = ?2, last_at = ?3,
                                 service = coalesce(?4, service) WHERE id = ?1",
                        )?
                        .execute(params![known.id, self.scan, self.at, found.service])?;
                    open += i64::from(is_open(code));
                }
                (Some(code), found) => {
                    connection
                        .prepare_cached(
                            "UPDATE port_state SET end_scan = ?2, end_at = ?3, end_code = ?4
                             WHERE id = ?1",
                        )?
                        .execute(params![known.id, self.scan, self.at, code.byte()])?;
                    if let Some(found) = found {
                        self.begin(connection, place, code, &found)?;
                        open += i64::from(is_open(code));
                    }
                }
            }
        }
        for (place, found) in left {
            if let Some(code) = picture.code(place.0, place.1) {
                self.begin(connection, place, code, &found)?;
                open += i64::from(is_open(code));
            }
        }
        Ok((whole, open))
    }

    fn open_intervals(&self, connection: &Connection) -> Result<Vec<OpenInterval>> {
        let mut intervals = connection.prepare_cached(
            "SELECT id, protocol, port, code, service, last_scan FROM port_state
             WHERE address = ?1 AND end_scan IS NULL",
        )?;
        let mut rows = intervals.query([self.key])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(OpenInterval {
                id: row.get(0)?,
                protocol: protocol_of(row.get(1)?)?,
                port: row.get(2)?,
                code: Code::read(row.get(3)?)?,
                service: row.get(4)?,
                last_scan: row.get(5)?,
            });
        }
        Ok(found)
    }

    fn begin(
        &self,
        connection: &Connection,
        (protocol, port): (Protocol, u16),
        code: Code,
        found: &Notable,
    ) -> Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO port_state (address, protocol, port, code, service,
                     first_scan, first_at, last_scan, last_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?8)",
            )?
            .execute(params![
                self.key,
                protocol_number(protocol),
                port,
                code.byte(),
                found.service,
                self.scan,
                found.at,
                self.at.max(found.at)
            ])?;
        Ok(())
    }
}

fn is_open(code: Code) -> bool {
    code.state() == portolan_model::PortState::Open
}

/// Whether two services are one for the purpose of history: name, product and version are
/// equal. What one scan did not look for has not changed.
pub(crate) fn same_service(
    connection: &Connection,
    before: Option<i64>,
    after: Option<i64>,
) -> Result<bool> {
    match (before, after) {
        (Some(before), Some(after)) if before != after => Ok(connection
            .prepare_cached(
                "SELECT a.name = b.name AND a.product = b.product AND a.version = b.version
                 FROM service a, service b WHERE a.id = ?1 AND b.id = ?2",
            )?
            .query_row([before, after], |row| row.get(0))
            .optional()?
            .unwrap_or(false)),
        _ => Ok(true),
    }
}
