//! What a scan found, port by port: filtered, sorted, in pages.
//!
//! Open ports of the latest scan of each target are rows with indexes. All else is read from
//! the pictures of hosts, one host after the other, and never held as a whole.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::NameKind;
use portolan_model::{PortState, Protocol, Reason, Service, Zoned};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::asked::Before;
use crate::changes;
use crate::codec::{
    Code, Picture, address_bytes, address_in, address_of, last_address_bytes, protocol_number,
    protocol_of,
};
use crate::error::{Error, Result};
use crate::fold;
use crate::ingest::read_names;
use crate::page::{Cursor, Page};
use crate::query::{Candidate, Filter, Query};
use crate::record::Services;
use crate::scan::ScanId;
use crate::store::Store;
use crate::tags::{self, Tag};
use crate::time::{span, timestamp};

/// How many results a page has when nothing else is said.
const PAGE: usize = 1000;

/// Which results of a scan, in which order, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultsRequest {
    /// Which.
    pub query: Query,
    /// In which order.
    pub sort: Sort,
    /// After which place; `None` from the beginning.
    pub after: Option<Cursor>,
    /// At most how many.
    pub limit: usize,
}

impl ResultsRequest {
    /// The first 1,000 results that fit, by host and port.
    pub fn new(query: Query) -> Self {
        Self {
            query,
            sort: Sort::default(),
            after: None,
            limit: PAGE,
        }
    }
}

/// An order of results; equal ones are ordered by host, protocol and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Which end first.
    pub order: Order,
}

/// What results are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortKey {
    /// The address, as a number, then protocol and port.
    #[default]
    Host,
    /// The port's number.
    Port,
    /// The protocol.
    Protocol,
    /// The state: open, closed, filtered, open or filtered.
    State,
    /// The reason's word.
    Reason,
    /// The service's name, guessed where it said none.
    Service,
    /// The program.
    Product,
    /// When it was found.
    Time,
    /// The round-trip time; unknown ones first.
    Rtt,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The lowest.
    #[default]
    Ascending,
    /// The highest.
    Descending,
}

/// One port that a scan reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The host.
    pub address: Zoned,
    /// The name to show beside it: the one typed, else the one looked up.
    pub name: Option<String>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// What it is.
    pub state: PortState,
    /// What that rests on.
    pub reason: Reason,
    /// How long the answer took, where that was kept.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of the answer, where that was kept.
    pub ttl: Option<u8>,
    /// When; for closed and filtered ports, when the host was first heard of: that stays while
    /// the scan runs, and so does the place of a row in the order of time.
    pub at: Timestamp,
    /// What runs there, by what it said.
    pub service: Option<Service>,
    /// Whether it is open, and an earlier scan asked it and did not find it so.
    pub is_new: bool,
}

impl ResultRow {
    /// What runs there: what it said, else the guess by its number.
    pub fn service_or_guess(&self) -> Option<Service> {
        self.service
            .clone()
            .or_else(|| Service::by_number(self.port, self.protocol))
    }

    fn service_name(&self) -> String {
        self.service_or_guess()
            .map(|service| service.name.to_ascii_lowercase())
            .unwrap_or_default()
    }

    fn value(&self, key: SortKey) -> SortValue {
        let number = |number: usize| SortValue::Number(i64::try_from(number).unwrap_or(i64::MAX));
        match key {
            SortKey::Host => SortValue::Number(0),
            SortKey::Port => SortValue::Number(self.port.into()),
            SortKey::Protocol => SortValue::Number(protocol_number(self.protocol).into()),
            SortKey::State => number(self.state as usize),
            SortKey::Reason => SortValue::Text(self.reason.as_str().to_owned()),
            SortKey::Service => SortValue::Text(self.service_name()),
            SortKey::Product => SortValue::Text(
                self.service
                    .as_ref()
                    .and_then(|service| service.product.as_deref())
                    .unwrap_or_default()
                    .to_ascii_lowercase(),
            ),
            SortKey::Time => SortValue::Number(self.at.as_microsecond()),
            SortKey::Rtt => SortValue::Number(self.rtt.map_or(-1, crate::time::span_micros)),
        }
    }

    fn position(&self, key: SortKey) -> Position {
        Position {
            key,
            value: self.value(key),
            address: self.address,
            protocol: protocol_number(self.protocol),
            port: self.port,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum SortValue {
    Number(i64),
    Text(String),
}

/// Where a result stands in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    key: SortKey,
    value: SortValue,
    address: Zoned,
    protocol: u8,
    port: u16,
}

impl Position {
    fn compare(&self, other: &Self, order: Order) -> Ordering {
        let place = |position: &Self| (position.address, position.protocol, position.port);
        let ascending = self
            .value
            .cmp(&other.value)
            .then_with(|| place(self).cmp(&place(other)));
        match order {
            Order::Ascending => ascending,
            Order::Descending => ascending.reverse(),
        }
    }
}

/// Whether to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Enough,
}

impl Store {
    /// The results of a scan that fit a query.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`]; [`Error::BadCursor`] for a cursor of another order.
    pub fn results(&self, id: ScanId, request: &ResultsRequest) -> Result<Page<ResultRow>> {
        let Sort { key, order } = request.sort;
        let after: Option<Position> = request.after.as_ref().map(Cursor::read).transpose()?;
        if let (Some(position), Some(cursor)) = (&after, &request.after)
            && position.key != key
        {
            return Err(Error::BadCursor {
                text: cursor.to_string(),
            });
        }
        self.read(|connection| {
            let source = Source::new(connection, id, &request.query, request.sort, after.as_ref())?;
            let mut found: Vec<(Position, ResultRow)> = Vec::new();
            // One more than asked for shows whether there is a next page.
            let wanted = request.limit.saturating_add(1);
            let by_place = |a: &(Position, _), b: &(Position, _)| a.0.compare(&b.0, order);
            source.each(&mut |row| {
                let position = row.position(key);
                if after
                    .as_ref()
                    .is_some_and(|after| position.compare(after, order) != Ordering::Greater)
                {
                    return Ok(Next::More);
                }
                found.push((position, row));
                if source.is_sorted() {
                    return Ok(if found.len() < wanted {
                        Next::More
                    } else {
                        Next::Enough
                    });
                }
                // The best of all, without holding all.
                if found.len() >= wanted.saturating_mul(2).max(4096) {
                    found.sort_by(by_place);
                    found.truncate(wanted);
                }
                Ok(Next::More)
            })?;
            found.sort_by(by_place);
            let names = |row: &mut ResultRow| -> Result<()> {
                let names = source.names(row.address)?;
                row.name = names.into_iter().next().map(|(name, _)| name);
                Ok(())
            };
            let mut before = Before::new(connection, id);
            let mut page = Page::cut(found, request.limit, |(position, _)| position.clone());
            for (_, row) in &mut page.items {
                names(row)?;
                row.is_new = row.state == PortState::Open
                    && before.is_new(row.address, row.protocol, row.port)?;
            }
            Ok(Page {
                items: page.items.into_iter().map(|(_, row)| row).collect(),
                next: page.next,
            })
        })
    }

    /// Which of these ports, found open by a scan, were asked before it and not open then.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn new_ports(
        &self,
        id: ScanId,
        open: &[(Zoned, Protocol, u16)],
    ) -> Result<Vec<(Zoned, Protocol, u16)>> {
        self.read(|connection| {
            let mut new = Vec::new();
            let mut before = Before::new(connection, id);
            for &(address, protocol, port) in open {
                if before.is_new(address, protocol, port)? {
                    new.push((address, protocol, port));
                }
            }
            Ok(new)
        })
    }

    /// How many results of a scan fit a query.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn count_results(&self, id: ScanId, query: &Query) -> Result<u64> {
        self.read(|connection| {
            let source = Source::new(connection, id, query, Sort::default(), None)?;
            let mut count = 0;
            if !source.indexed && query.is_of_codes() {
                source.each_host(&mut |host| {
                    let picture = fold::picture(connection, id, &host.key)?;
                    for run in picture.runs.iter().filter(|run| query.allows(run.code)) {
                        count += u64::from(run.last - run.first) + 1;
                    }
                    Ok(Next::More)
                })?;
                return Ok(count);
            }
            source.each(&mut |_| {
                count += 1;
                Ok(Next::More)
            })?;
            Ok(count)
        })
    }

    /// One byte for each of the 65,536 ports of a host: 0 where nothing is known, else
    /// [`Code`]. `None` for a host that the scan did not find.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn port_map(
        &self,
        id: ScanId,
        address: impl Into<Zoned>,
        protocol: Protocol,
    ) -> Result<Option<Vec<u8>>> {
        self.read(|connection| {
            crate::store::must_exist(connection, id)?;
            let key = address_in(connection, id, address.into())?;
            let found = connection
                .prepare_cached("SELECT 1 FROM scan_host WHERE scan = ?1 AND address = ?2")?
                .query_row(params![id, key], |_| Ok(()))
                .optional()?;
            if found.is_none() {
                return Ok(None);
            }
            Ok(Some(fold::picture(connection, id, &key)?.bytes(protocol)))
        })
    }

    /// One byte for each of the 65,536 ports, as [`port_map`](Self::port_map) has them, of all hosts
    /// of a scan laid over each other: where they differ, the most open of their states.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn port_map_of_all(&self, id: ScanId, protocol: Protocol) -> Result<Vec<u8>> {
        self.read(|connection| {
            crate::store::must_exist(connection, id)?;
            let mut bytes = vec![0; 1 << 16];
            // Hosts that look the same, which may be most, are read once.
            let mut shapes = connection.prepare_cached(
                "SELECT data FROM shape WHERE id IN
                     (SELECT shape FROM scan_host WHERE scan = ?1 AND settled = 1)",
            )?;
            let mut rows = shapes.query([id])?;
            while let Some(row) = rows.next()? {
                let shape = row.get_ref(0)?.as_blob().unwrap_or_default();
                Picture::decode(shape, None)?.lay_over(protocol, &mut bytes);
            }
            let mut hosts = connection
                .prepare_cached("SELECT address FROM scan_host WHERE scan = ?1 AND settled = 0")?;
            let mut rows = hosts.query([id])?;
            while let Some(row) = rows.next()? {
                let key: Vec<u8> = row.get(0)?;
                fold::picture(connection, id, &key)?.lay_over(protocol, &mut bytes);
            }
            Ok(bytes)
        })
    }
}

/// Where the results of a query come from.
struct Source<'a> {
    connection: &'a Connection,
    id: ScanId,
    query: &'a Query,
    sort: Sort,
    after: Option<&'a Position>,
    /// Whether the rows of `open_port` are all there is to look at.
    indexed: bool,
    /// Whether the query asks for names of hosts.
    asks_names: bool,
    /// What was known before, where the query asks for that.
    before: Option<RefCell<Before<'a>>>,
    /// Whether the query asks for tags, and those of the scan.
    tags: Option<Vec<Tag>>,
    /// When it was asked.
    now: i64,
}

/// What is known of a host beside its ports, as far as a query asks for it.
#[derive(Debug, Default)]
struct Beside {
    address: Option<Zoned>,
    names: Vec<(String, NameKind)>,
    tags: Vec<Tag>,
    changes: HashMap<(Protocol, u16), i64>,
}

impl Beside {
    /// When a port came to be as it is. What a running scan has just found new is in no span of
    /// time yet.
    fn changed(&self, protocol: Protocol, port: u16, is_new: bool, at: Timestamp) -> Option<i64> {
        let known = self.changes.get(&(protocol, port)).copied();
        if is_new {
            known.max(Some(crate::time::micros(at)))
        } else {
            known
        }
    }
}

impl<'a> Source<'a> {
    fn new(
        connection: &'a Connection,
        id: ScanId,
        query: &'a Query,
        sort: Sort,
        after: Option<&'a Position>,
    ) -> Result<Self> {
        let indexed: bool = connection
            .prepare_cached("SELECT indexed FROM scan WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?
            .ok_or(Error::NoSuchScan { id })?;
        let asks_names = query
            .terms
            .iter()
            .any(|term| matches!(term.filter, Filter::Host(_) | Filter::Text(_)));
        Ok(Self {
            connection,
            id,
            query,
            sort,
            after,
            indexed: indexed && query.is_notable_only(),
            asks_names,
            before: (query.asks_new() || query.asks_changes())
                .then(|| RefCell::new(Before::new(connection, id))),
            tags: query
                .asks_tags()
                .then(|| tags::of_scan(connection, id))
                .transpose()?,
            now: crate::time::micros(Timestamp::now()),
        })
    }

    /// Whether rows come in the order that is asked for.
    const fn is_sorted(&self) -> bool {
        match self.sort.key {
            SortKey::Host => true,
            SortKey::Port => self.indexed,
            _ => false,
        }
    }

    fn names(&self, address: Zoned) -> Result<Vec<(String, NameKind)>> {
        let json: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT names FROM scan_host WHERE scan = ?1 AND address = ?2")?
            .query_row(
                params![self.id, address_in(self.connection, self.id, address)?],
                |row| row.get(0),
            )
            .optional()?;
        json.flatten().as_deref().map_or(Ok(Vec::new()), read_names)
    }

    fn each(&self, take: &mut dyn FnMut(ResultRow) -> Result<Next>) -> Result<()> {
        if self.indexed {
            self.each_row(take)
        } else {
            self.each_picture(take)
        }
    }

    fn each_row(&self, take: &mut dyn FnMut(ResultRow) -> Result<Next>) -> Result<()> {
        let condition = self.query.to_sql();
        let mut values: Vec<Value> = vec![self.id.0.into()];
        values.extend(condition.values);
        let (comparison, direction) = match self.sort.order {
            Order::Ascending => (">", "ASC"),
            Order::Descending => ("<", "DESC"),
        };
        let columns: &[&str] = match self.sort.key {
            SortKey::Host => &["address", "protocol", "port"],
            SortKey::Port => &["port", "address", "protocol"],
            _ => &[],
        };
        let mut rest = String::new();
        if !columns.is_empty() {
            if let Some(after) = self.after {
                rest = format!(" AND ({}) {comparison} (?, ?, ?)", columns.join(", "));
                for &column in columns {
                    values.push(match column {
                        "address" => address_bytes(after.address).into(),
                        "protocol" => i64::from(after.protocol).into(),
                        _ => i64::from(after.port).into(),
                    });
                }
            }
            let order: Vec<_> = columns
                .iter()
                .map(|column| format!("{column} {direction}"))
                .collect();
            rest.push_str(" ORDER BY ");
            rest.push_str(&order.join(", "));
        }
        let mut rows = self.connection.prepare_cached(&format!(
            "SELECT address, protocol, port, code, rtt, ttl, at, open_port.service
             FROM open_port LEFT JOIN service ON service.id = open_port.service
             WHERE scan = ? AND {}{rest}",
            condition.text
        ))?;
        let mut rows = rows.query(params_from_iter(values))?;
        let mut services = Services::default();
        let mut beside = Beside::default();
        while let Some(raw) = rows.next()? {
            let (row, code) = self.read_row(raw, &mut services)?;
            if beside.address != Some(row.address) {
                let key = raw.get_ref(0)?.as_blob().unwrap_or_default();
                beside = self.beside(row.address, key)?;
                if self.asks_names {
                    beside.names = self.names(row.address)?;
                }
            }
            let is_new = self.is_new(row.address, row.protocol, row.port, code)?;
            let candidate = Candidate {
                address: row.address,
                names: &beside.names,
                protocol: row.protocol,
                port: row.port,
                code,
                service: row.service.as_ref(),
                at: crate::time::micros(row.at),
                now: self.now,
                is_new,
                changed: beside.changed(row.protocol, row.port, is_new, row.at),
                tags: &beside.tags,
            };
            if self.query.matches(&candidate) && take(row)? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn read_row(&self, row: &Row<'_>, services: &mut Services) -> Result<(ResultRow, Code)> {
        let code = Code::read(row.get(3)?)?;
        let row = ResultRow {
            address: address_of(row.get_ref(0)?.as_blob().unwrap_or_default())?,
            name: None,
            protocol: protocol_of(row.get(1)?)?,
            port: row.get(2)?,
            state: code.state(),
            reason: code.reason(),
            rtt: row.get::<_, Option<i64>>(4)?.map(span),
            ttl: row.get(5)?,
            at: timestamp(row.get(6)?)?,
            service: services.find(self.connection, row.get(7)?)?,
            is_new: false,
        };
        Ok((row, code))
    }

    /// What is known of a host, as far as the query asks for it.
    fn beside(&self, address: Zoned, key: &[u8]) -> Result<Beside> {
        let mut beside = Beside {
            address: Some(address),
            ..Beside::default()
        };
        if let Some(of_scan) = &self.tags {
            beside.tags = tags::of_host(self.connection, key)?;
            beside.tags.extend_from_slice(of_scan);
        }
        if self.query.asks_changes() {
            beside.changes = changes::latest(self.connection, self.id, key)?;
        }
        Ok(beside)
    }

    /// Whether a port is new, where the query asks for that.
    fn is_new(&self, address: Zoned, protocol: Protocol, port: u16, code: Code) -> Result<bool> {
        match &self.before {
            Some(before) if code.state() == PortState::Open => {
                before.borrow_mut().is_new(address, protocol, port)
            }
            _ => Ok(false),
        }
    }

    fn each_picture(&self, take: &mut dyn FnMut(ResultRow) -> Result<Next>) -> Result<()> {
        let mut services = Services::default();
        self.each_host(&mut |host| self.each_port(host, &mut services, take))
    }

    /// The hosts that may have results, in order.
    fn each_host(&self, take: &mut dyn FnMut(&HostOf) -> Result<Next>) -> Result<()> {
        let (mut low, mut high) = (Vec::new(), vec![u8::MAX; 33]);
        if let Some(addresses) = self.query.addresses() {
            let mut ranges = addresses.ranges();
            let Some((first, mut last)) = ranges.next() else {
                return Ok(());
            };
            if let Some((_, end)) = ranges.last() {
                last = end;
            }
            low = address_bytes(first);
            high = last_address_bytes(last);
        }
        if let (SortKey::Host, Some(after)) = (self.sort.key, self.after) {
            match self.sort.order {
                Order::Ascending => low = low.max(address_bytes(after.address)),
                Order::Descending => high = high.min(address_bytes(after.address)),
            }
        }
        let direction = match self.sort.order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let mut hosts = self.connection.prepare_cached(&format!(
            "SELECT address, first, names FROM scan_host
             WHERE scan = ?1 AND address BETWEEN ?2 AND ?3 ORDER BY address {direction}"
        ))?;
        let mut rows = hosts.query(params![self.id, low, high])?;
        while let Some(row) = rows.next()? {
            let host = HostOf {
                key: row.get(0)?,
                address: address_of(row.get_ref(0)?.as_blob().unwrap_or_default())?,
                first: timestamp(row.get(1)?)?,
                names: row
                    .get::<_, Option<String>>(2)?
                    .as_deref()
                    .map_or(Ok(Vec::new()), read_names)?,
            };
            if take(&host)? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn each_port(
        &self,
        host: &HostOf,
        services: &mut Services,
        take: &mut dyn FnMut(ResultRow) -> Result<Next>,
    ) -> Result<Next> {
        let picture = fold::picture(self.connection, self.id, &host.key)?;
        let beside = self.beside(host.address, &host.key)?;
        let mut one = |protocol, port, code: Code| -> Result<Next> {
            let known = picture.notable.get(&(protocol, port));
            let service = match known {
                Some(known) => services.find(self.connection, known.service)?,
                None => None,
            };
            let is_new = self.is_new(host.address, protocol, port, code)?;
            let at = known.map_or(Ok(host.first), |known| timestamp(known.at))?;
            let candidate = Candidate {
                address: host.address,
                names: &host.names,
                protocol,
                port,
                code,
                service: service.as_ref(),
                at: crate::time::micros(at),
                now: self.now,
                is_new,
                changed: beside.changed(protocol, port, is_new, at),
                tags: &beside.tags,
            };
            if !self.query.matches(&candidate) {
                return Ok(Next::More);
            }
            take(ResultRow {
                address: host.address,
                name: None,
                protocol,
                port,
                state: code.state(),
                reason: code.reason(),
                rtt: known
                    .and_then(|known| known.rtt)
                    .map(|rtt| span(rtt.cast_signed())),
                ttl: known.and_then(|known| known.ttl),
                at,
                service,
                is_new: false,
            })
        };
        let runs = picture
            .runs
            .iter()
            .filter(|run| self.query.allows(run.code));
        match self.sort.order {
            Order::Ascending => {
                for run in runs {
                    for port in run.first..=run.last {
                        if one(run.protocol, port, run.code)? == Next::Enough {
                            return Ok(Next::Enough);
                        }
                    }
                }
            }
            Order::Descending => {
                for run in runs.rev() {
                    for port in (run.first..=run.last).rev() {
                        if one(run.protocol, port, run.code)? == Next::Enough {
                            return Ok(Next::Enough);
                        }
                    }
                }
            }
        }
        Ok(Next::More)
    }
}

/// A host whose ports are looked at.
struct HostOf {
    key: Vec<u8>,
    address: Zoned,
    first: Timestamp,
    names: Vec<(String, NameKind)>,
}
