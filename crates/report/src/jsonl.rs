//! JSON lines: one fact a line, as it is found; format version 1.
//!
//! What a scan says is written in the order of finding, so that the file is valid at any cut.
//! Ports that are closed or silent are gathered, and written together when their host is done.

mod read;
mod record;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, HostLink, HostName, HostUp, PortFact, PortsFact, ServiceFact,
};
use portolan_model::ports::PortBits;
use portolan_model::{HostRecord, PortState, Protocol, Reason, ScanEvent, ScanRecord, Zones};
use serde::Serialize as _;

pub(crate) use read::read;
pub(crate) use record::Record;

use crate::escape::is_hidden;
use crate::format::WriteOptions;

/// The version of the format. It changes only when a reader of an earlier one would go wrong.
pub const VERSION: u64 = 1;

type Gathered = BTreeMap<(Protocol, PortState, Reason), (PortBits, Timestamp)>;

/// Writes the events of a running scan.
#[derive(Debug)]
pub struct JsonLines<W: io::Write> {
    out: W,
    args: String,
    version: String,
    open_only: bool,
    begun: bool,
    zones: Zones,
    gathered: BTreeMap<IpAddr, Gathered>,
}

impl<W: io::Write> JsonLines<W> {
    /// A writer that has written nothing yet. `args` is the command line, `version` the
    /// program's; with `open_only`, ports that are not open are left out.
    pub fn new(
        out: W,
        args: impl Into<String>,
        version: impl Into<String>,
        open_only: bool,
    ) -> Self {
        Self {
            out,
            args: args.into(),
            version: version.into(),
            open_only,
            begun: false,
            zones: Zones::NONE,
            gathered: BTreeMap::new(),
        }
    }

    /// Takes in one more event, and writes and flushes the lines that it makes: none or more.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn event(&mut self, event: &ScanEvent) -> io::Result<()> {
        match event {
            ScanEvent::Started(started) => {
                let record = Record::started(started, &self.args, &self.version);
                self.zones = started.zones.clone();
                self.line(record)?;
            }
            ScanEvent::HostUp(up) => self.line(Record::host_up(up))?,
            ScanEvent::HostName(name) => self.line(Record::host_name(name))?,
            ScanEvent::HostLink(link) => self.line(Record::host_link(link))?,
            ScanEvent::AnswersAll(found) => self.line(Record::answers_all(found))?,
            ScanEvent::Port(fact) if is_notable(fact) => self.line(Record::port(fact))?,
            ScanEvent::Port(fact) => {
                let endpoint = fact.endpoint;
                let key = (endpoint.protocol, fact.state, fact.reason);
                if let Some((ports, at)) = self.gather(endpoint.address, key, fact.at) {
                    ports.insert(endpoint.port);
                    *at = (*at).max(fact.at);
                }
            }
            ScanEvent::Ports(fact) => {
                let key = (fact.protocol, fact.state, fact.reason);
                if let Some((ports, at)) = self.gather(fact.address, key, fact.at) {
                    ports.extend_set(&fact.ports);
                    *at = (*at).max(fact.at);
                }
            }
            ScanEvent::Service(fact) => self.line(Record::service(fact))?,
            ScanEvent::HostDone { address, at } => {
                if let Some(gathered) = self.gathered.remove(address) {
                    self.ports(*address, gathered)?;
                }
                self.line(Record::host_done(*address, *at))?;
            }
            ScanEvent::Problem(problem) => self.line(Record::problem(problem))?,
            ScanEvent::Finished(finished) => {
                for (address, gathered) in std::mem::take(&mut self.gathered) {
                    self.ports(address, gathered)?;
                }
                self.line(Record::finished(finished))?;
            }
            // How far a scan is says nothing of what it found; and what later versions of the
            // engine may say is no part of version 1.
            _ => return Ok(()),
        }
        self.out.flush()
    }

    /// Writes what is gathered by now, of hosts that are not done: a reader then has all that was
    /// taken in.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_gathered(&mut self) -> io::Result<()> {
        for (address, gathered) in std::mem::take(&mut self.gathered) {
            self.ports(address, gathered)?;
        }
        Ok(())
    }

    /// Writes what is still gathered, of hosts that will not be done, and gives the writer
    /// back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn into_inner(mut self) -> io::Result<W> {
        for (address, gathered) in std::mem::take(&mut self.gathered) {
            self.ports(address, gathered)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn gather(
        &mut self,
        address: IpAddr,
        key: (Protocol, PortState, Reason),
        at: Timestamp,
    ) -> Option<&mut (PortBits, Timestamp)> {
        if self.open_only {
            return None;
        }
        let of_host = self.gathered.entry(address).or_default();
        Some(
            of_host
                .entry(key)
                .or_insert_with(|| (PortBits::default(), at)),
        )
    }

    fn ports(&mut self, address: IpAddr, gathered: Gathered) -> io::Result<()> {
        for (key, (ports, at)) in gathered {
            if !ports.is_empty() {
                self.line(Record::ports(address, key, &ports.to_set(), at))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, mut record: Record) -> io::Result<()> {
        if !self.begun {
            record.v = Some(VERSION);
            self.begun = true;
        }
        if !self.zones.is_empty() {
            let zone = record.address().and_then(|address| self.zones.of(address));
            record.zone = zone.map(ToString::to_string);
        }
        // One call a line, so that a reader of a growing file sees whole lines.
        let mut line = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, Visible);
        record.serialize(&mut serializer)?;
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

/// Whether a port stands alone, as it does in a [`ScanRecord`].
fn is_notable(fact: &PortFact) -> bool {
    fact.state == PortState::Open
        || (fact.state == PortState::OpenFiltered && fact.reason != Reason::NoResponse)
}

/// Writes a whole result, as its events would have been written.
pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut lines = JsonLines::new(out, &record.args, &record.version, options.open_only);
    if let Some(started) = &record.started {
        lines.event(&ScanEvent::Started(started.clone()))?;
    }
    for (&address, host) in &record.hosts {
        for event in facts_of(address, host) {
            lines.event(&event)?;
        }
        lines.event(&ScanEvent::HostDone {
            address,
            at: host.last,
        })?;
    }
    for problem in &record.problems {
        lines.event(&ScanEvent::Problem(problem.clone()))?;
    }
    if let Some(finished) = &record.finished {
        lines.event(&ScanEvent::Finished(finished.clone()))?;
    }
    Ok(())
}

/// All that a record holds of its hosts, as the events that would have said so, host by host; that
/// they are done is not said.
pub fn facts(record: &ScanRecord) -> impl Iterator<Item = ScanEvent> + '_ {
    let hosts = record.hosts.iter();
    hosts.flat_map(|(&address, host)| facts_of(address, host))
}

fn facts_of(address: IpAddr, host: &HostRecord) -> Vec<ScanEvent> {
    let mut events = vec![ScanEvent::HostUp(HostUp {
        address,
        reason: host.reason,
        rtt: host.rtt,
        ttl: host.ttl,
        at: host.first,
    })];
    events.extend(
        host.mac
            .map(|mac| ScanEvent::HostLink(HostLink { address, mac })),
    );
    events.extend(host.answers_all.map(ScanEvent::AnswersAll));
    for (name, kind) in &host.names {
        events.push(ScanEvent::HostName(HostName {
            address,
            name: name.clone(),
            kind: *kind,
        }));
    }
    for (&(protocol, port), found) in &host.ports {
        let endpoint = Endpoint {
            address,
            protocol,
            port,
        };
        events.push(ScanEvent::Port(PortFact {
            endpoint,
            state: found.state,
            reason: found.reason,
            rtt: found.rtt,
            ttl: found.ttl,
            at: found.at,
        }));
        let service = found.service.clone();
        events.extend(service.map(|service| ScanEvent::Service(ServiceFact { endpoint, service })));
    }
    for (&(protocol, state, reason), ports) in &host.rest {
        events.push(ScanEvent::Ports(PortsFact {
            address,
            protocol,
            ports: ports.to_set(),
            state,
            reason,
            at: host.last,
        }));
    }
    events
}

/// Writes strings with nothing hidden in them: JSON lets DEL, C1 controls and marks of writing
/// direction stand as they are (RFC 8259, 7), a terminal acts on them.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !fragment.contains(is_hidden) {
            return writer.write_all(fragment.as_bytes());
        }
        writer.write_all(escape_hidden(fragment).as_bytes())
    }
}

/// Text inside JSON's strings, with everything hidden as `\uHHHH`; line feeds, which only
/// stand between values, are left.
pub(crate) fn escape_hidden(text: &str) -> String {
    use std::fmt::Write as _;

    let mut escaped = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for character in text.chars() {
        if character != '\n' && is_hidden(character) {
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}
