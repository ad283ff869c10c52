//! Reads nmap's XML, as this program, nmap and others write it: the document and what it says of
//! the scan. What it says of a host is read in [`host`].

mod host;

use std::io::BufRead;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, Outcome, Problem, Started};
use portolan_model::{AddressSet, PortSet, PortSpec, Protocol, ScanRecord, Technique, Zone};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use host::Host;

use super::PROGRAM;
use crate::error::{ReadError, Result};
use crate::escape::{truncate, visible};
use crate::limits::{Budget, Limited, port_set};

/// The deepest nesting of elements; nmap's own scripts reach a dozen.
const MAX_DEPTH: usize = 64;

/// The most attributes of one element; nmap's have up to 15.
const MAX_ATTRIBUTES: usize = 64;

/// Reads the document to its end.
pub(crate) fn read<R: BufRead>(input: Limited<R>) -> Result<ScanRecord> {
    let mut reader = Reader::from_reader(input);
    let mut document = Document::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().next_piece();
        let event = reader.read_event_into(&mut buffer);
        let line = reader.get_ref().line();
        document.line = line;
        let event = match event {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) => {
                return Err(reader.get_ref().exceeded().unwrap_or_else(|| {
                    ReadError::Io(std::io::Error::new(error.kind(), error.to_string()))
                }));
            }
            Err(error) => return Err(document.wrong(&error.to_string(), "well-formed XML")),
        };
        match event {
            Event::Start(element) => {
                document.open(&element)?;
            }
            Event::Empty(element) => {
                document.open(&element)?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(text) => document.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character.to_string()),
                    Ok(None) => {
                        quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
                            .map(str::to_owned)
                    }
                    Err(_) => None,
                };
                let Some(text) = text else {
                    let found = format!("the entity `{}`", &*reference.xml10_content());
                    return Err(document.wrong(&found, "one of XML's own five, or a character"));
                };
                document.text(&text);
            }
            Event::DocType(declared) => {
                if declared.xml10_content().contains('[') {
                    return Err(document.wrong(
                        "a document type with declarations of its own",
                        "`<!DOCTYPE nmaprun>`: entities are not expanded",
                    ));
                }
            }
            Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return document.finish(),
        }
    }
}

/// What has been read so far, and where in the document the reader is.
#[derive(Default)]
struct Document {
    line: u64,
    /// The names of the open elements, the outermost first.
    path: Vec<Element>,
    record: ScanRecord,
    budget: Budget,
    begun: bool,
    ended: bool,
    start: Option<Timestamp>,
    /// Of each `scaninfo` how, of which protocol, and which ports were asked.
    asked: Vec<(Technique, Protocol, PortSet)>,
    hosts_total: Option<u128>,
    hosts_down: u128,
    hosts_up: Option<u64>,
    finished: Option<Finished>,
    host: Option<Host>,
    /// Over which interfaces hosts were reached.
    zones: Vec<(Zone, AddressSet)>,
    /// States that are counted without a word on which ports are meant.
    vague: u64,
    unfiltered: u64,
}

/// The elements that mean something to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Run,
    Host,
    Hostnames,
    Ports,
    ExtraPorts,
    Port,
    Service,
    Cpe,
    HostScript,
    Script,
    /// Which of the three figures of our own script it holds, from 1; 0 for none.
    Elem(u8),
    RunStats,
    Other,
}

/// The attributes of one element, unescaped.
struct Attributes {
    values: Vec<(String, String)>,
}

impl Attributes {
    fn find(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.find(key).map(str::to_owned)
    }
}

impl Document {
    fn wrong(&self, found: &str, expected: &str) -> ReadError {
        ReadError::Malformed {
            line: self.line,
            found: truncate(&visible(found), 160).into_owned(),
            expected: expected.to_owned(),
        }
    }

    fn too_large(&self, what: &'static str, limit: usize) -> ReadError {
        ReadError::TooLarge {
            line: self.line,
            what,
            limit: limit.to_string(),
        }
    }

    fn attributes(&self, element: &BytesStart<'_>) -> Result<Attributes> {
        let mut values = Vec::new();
        // The check for repeated names takes quadratic time; the first of them counts.
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute
                .map_err(|error| self.wrong(&error.to_string(), "well-formed attributes"))?;
            if values.len() == MAX_ATTRIBUTES {
                return Err(self.too_large("the number of attributes", MAX_ATTRIBUTES));
            }
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|error| self.wrong(&error.to_string(), "an attribute of plain text"))?;
            let key: &str = attribute.key.as_ref();
            values.push((key.to_owned(), value.into_owned()));
        }
        Ok(Attributes { values })
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<()> {
        if self.path.len() == MAX_DEPTH {
            return Err(self.too_large("the depth of elements", MAX_DEPTH));
        }
        let name = element.name();
        let name: &str = name.as_ref();
        if self.path.is_empty() {
            if name != "nmaprun" || self.ended {
                let found = format!("the element `{name}`");
                return Err(self.wrong(&found, "one `nmaprun` and nothing beside it"));
            }
            self.begun = true;
        }
        let opened = match (self.path.last(), name) {
            (None, "nmaprun") => Element::Run,
            (Some(Element::Run), "host") => Element::Host,
            (Some(Element::Run), "runstats") => Element::RunStats,
            (Some(Element::Host), "hostnames") => Element::Hostnames,
            (Some(Element::Host), "ports") => Element::Ports,
            (Some(Element::Ports), "extraports") => Element::ExtraPorts,
            (Some(Element::Ports), "port") => Element::Port,
            (Some(Element::Port), "service") => Element::Service,
            (Some(Element::Service), "cpe") => Element::Cpe,
            (Some(Element::Host), "hostscript") => Element::HostScript,
            (Some(Element::HostScript), "script") => Element::Script,
            (Some(Element::Script), "elem") => Element::Elem(0),
            _ => Element::Other,
        };
        let parent = self.path.last().copied();
        self.path.push(opened);
        if opened == Element::Other
            && !matches!(
                name,
                "scaninfo"
                    | "status"
                    | "address"
                    | "hostname"
                    | "times"
                    | "extrareasons"
                    | "state"
                    | "finished"
                    | "hosts"
            )
        {
            return Ok(());
        }
        let attributes = self.attributes(element)?;
        match (parent, name) {
            (None, _) => self.run(&attributes),
            (Some(Element::Run), "scaninfo") => self.scaninfo(&attributes),
            (Some(Element::Run), "host") => self.host_begins(&attributes),
            (Some(Element::RunStats), "finished") => self.finished(&attributes),
            (Some(Element::RunStats), "hosts") => self.hosts(&attributes),
            (Some(Element::Host), "status") => self.status(&attributes),
            (Some(Element::Host), "address") => self.address(&attributes),
            (Some(Element::Host), "times") => self.times(&attributes),
            (Some(Element::Hostnames), "hostname") => self.hostname(&attributes),
            (Some(Element::Ports), "extraports") => self.extraports(&attributes),
            (Some(Element::ExtraPorts), "extrareasons") => self.extrareasons(&attributes),
            (Some(Element::Ports), "port") => self.port(&attributes),
            (Some(Element::Port), "state") => self.state(&attributes),
            (Some(Element::Port), "service") => self.service(&attributes),
            (Some(Element::Service), "cpe") => self.cpe(),
            (Some(Element::HostScript), "script") => {
                self.script(&attributes);
                Ok(())
            }
            (Some(Element::Script), "elem") => {
                let keys = ["asked", "answered", "windowless"];
                let place = keys
                    .iter()
                    .position(|key| attributes.find("key") == Some(key));
                if let (Some(place), Some(last)) = (place, self.path.last_mut()) {
                    *last = Element::Elem(u8::try_from(place + 1).unwrap_or(0));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        match self.path.pop() {
            Some(Element::Host) => self.host_ends(),
            Some(Element::Run) => {
                self.ended = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(&Element::Elem(place)) = self.path.last() {
            self.evidence(place, text);
        }
        if self.path.last() == Some(&Element::Cpe) {
            self.cpe_text(text);
        }
    }

    fn number<T: std::str::FromStr>(
        &self,
        attributes: &Attributes,
        key: &'static str,
    ) -> Result<Option<T>> {
        let Some(text) = attributes.find(key) else {
            return Ok(None);
        };
        let expected = "a whole number in its bounds";
        let parsed = text.trim().parse();
        parsed
            .map(Some)
            .map_err(|_| self.wrong(&format!("`{key}` of `{text}`"), expected))
    }

    fn time(&self, attributes: &Attributes, key: &'static str) -> Result<Option<Timestamp>> {
        let Some(seconds) = self.number::<i64>(attributes, key)? else {
            return Ok(None);
        };
        let time = Timestamp::from_second(seconds);
        time.map(Some)
            .map_err(|_| self.wrong(&format!("`{key}` of `{seconds}`"), "seconds since 1970"))
    }

    /// `0` stands for "not known": nothing arrives with it.
    fn ttl(&self, attributes: &Attributes) -> Result<Option<u8>> {
        Ok(self
            .number::<u8>(attributes, "reason_ttl")?
            .filter(|&ttl| ttl > 0))
    }

    fn protocol(&self, attributes: &Attributes, key: &'static str) -> Result<Option<Protocol>> {
        match attributes.find(key) {
            Some(word) => match word.parse() {
                Ok(protocol) => Ok(Some(protocol)),
                // SCTP and IP protocols are written by nmap, and are not scanned here.
                Err(_) if matches!(word, "sctp" | "ip") => Ok(None),
                Err(_) => Err(self.wrong(&format!("the protocol `{word}`"), "tcp or udp")),
            },
            None => Err(self.wrong(&format!("no `{key}`"), "tcp or udp")),
        }
    }

    fn run(&mut self, attributes: &Attributes) -> Result<()> {
        self.record.args = attributes.owned("args").unwrap_or_default();
        let version = attributes.find("version").unwrap_or_default();
        let own = version.strip_prefix(PROGRAM);
        let own = own.and_then(|rest| rest.strip_prefix(' '));
        own.unwrap_or(version).clone_into(&mut self.record.version);
        self.start = self.time(attributes, "start")?;
        Ok(())
    }

    fn scaninfo(&mut self, attributes: &Attributes) -> Result<()> {
        let Some(protocol) = self.protocol(attributes, "protocol")? else {
            return Ok(());
        };
        let services = attributes.find("services").unwrap_or_default();
        let ports = port_set(services).ok_or_else(|| {
            self.wrong(
                &format!("the ports `{services}`"),
                "a list such as `1-21,80`",
            )
        })?;
        let technique = match (protocol, attributes.find("type")) {
            (Protocol::Udp, _) => Technique::Udp,
            (Protocol::Tcp, Some("connect")) => Technique::Connect,
            (Protocol::Tcp, _) => Technique::Syn,
        };
        if self.asked.len() >= 16 {
            return Err(self.too_large("the number of `scaninfo`", 16));
        }
        self.asked.push((technique, protocol, ports));
        Ok(())
    }

    fn finished(&mut self, attributes: &Attributes) -> Result<()> {
        let at = self.time(attributes, "time")?;
        let elapsed = attributes.find("elapsed").map(|text| {
            let seconds: Option<f64> = text.trim().parse().ok();
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| self.wrong(&format!("`elapsed` of `{text}`"), "seconds"))
        });
        let message = attributes.find("errormsg");
        let outcome = match (attributes.find("exit"), message) {
            (Some("error"), _) => Outcome::Interrupted,
            (_, Some(_)) => Outcome::Incomplete,
            _ => Outcome::Complete,
        };
        if let (Outcome::Incomplete, Some(message)) = (outcome, message) {
            self.record.problems.push(Problem {
                about: String::new(),
                message: message.to_owned(),
                hint: None,
                left_out: true,
            });
        }
        self.finished = Some(Finished {
            at: at.or(self.start).unwrap_or_default(),
            outcome,
            elapsed: elapsed.transpose()?.unwrap_or_default(),
            hosts_up: 0,
            hosts_down: 0,
            sent: 0,
            loss: None,
            expected_missed: 0.0,
        });
        Ok(())
    }

    fn hosts(&mut self, attributes: &Attributes) -> Result<()> {
        self.hosts_up = self.number(attributes, "up")?;
        self.hosts_down = self.number(attributes, "down")?.unwrap_or(0);
        self.hosts_total = self.number(attributes, "total")?;
        Ok(())
    }

    fn finish(self) -> Result<ScanRecord> {
        if !self.begun {
            return Err(self.wrong("no element at all", "`nmaprun`"));
        }
        if !self.ended {
            return Err(self.wrong("the end of the document", "`</nmaprun>`: it was cut off"));
        }
        let up = self.hosts_up.unwrap_or(self.record.hosts.len() as u64);
        let total = self.hosts_total.unwrap_or(u128::from(up));
        let mut record = self.record;
        if let Some(at) = self.start {
            let ports_of = |protocol| {
                let mut of = self.asked.iter().filter(|(_, of, _)| *of == protocol);
                let first = of.next().map(|(_, _, ports)| ports.clone());
                of.fold(first.unwrap_or_default(), |all, (_, _, ports)| {
                    all.union(ports)
                })
            };
            let mut techniques: Vec<Technique> = Vec::new();
            for &(technique, _, _) in &self.asked {
                if !techniques.contains(&technique) {
                    techniques.push(technique);
                }
            }
            let ports = PortSpec::new(ports_of(Protocol::Tcp), ports_of(Protocol::Udp));
            let each = (ports.tcp().len() + ports.udp().len()) as u128;
            record.started = Some(Started {
                at,
                techniques,
                ports,
                addresses: total,
                probes: total.saturating_mul(each),
                seed: 0,
                zones: self.zones.into_iter().collect(),
            });
        }
        record.finished = self.finished.map(|finished| Finished {
            hosts_up: up,
            hosts_down: self.hosts_down,
            ..finished
        });
        if self.vague > 0 {
            record.problems.push(advice(format!(
                "of {} hosts the document counts ports without saying which",
                self.vague
            )));
        }
        if self.unfiltered > 0 {
            record.problems.push(advice(format!(
                "{} ports are in a state or of a protocol that is not compared",
                self.unfiltered
            )));
        }
        crate::read::settle(&mut record);
        Ok(record)
    }
}

fn advice(message: String) -> Problem {
    Problem {
        about: "what was read".to_owned(),
        message,
        hint: None,
        left_out: false,
    }
}
