//! Reads nmap's XML, as this program, nmap and others write it.

use std::io::BufRead;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostName, HostUp, NameKind, Outcome, PortFact, PortsFact, Problem,
    ServiceFact, Started,
};
use portolan_model::ports::PortBits;
use portolan_model::service::Method;
use portolan_model::{
    PortSet, PortSpec, PortState, Protocol, Reason, ScanEvent, ScanRecord, Service, Technique,
};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::PROGRAM;
use crate::error::{ReadError, Result};
use crate::escape::{truncate, visible};
use crate::limits::{Budget, Limited, number, port_set};

/// The deepest nesting of elements; nmap's own scripts reach a dozen.
const MAX_DEPTH: usize = 64;

/// The most attributes of one element; nmap's have up to 15.
const MAX_ATTRIBUTES: usize = 64;

/// The most CPE names of one service.
const MAX_CPE: usize = 64;

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
    RunStats,
    Other,
}

/// The host that is being read.
#[derive(Default)]
struct Host {
    is_down: bool,
    reason: Option<Reason>,
    ttl: Option<u8>,
    rtt: Option<Duration>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    address: Option<IpAddr>,
    names: Vec<(String, NameKind)>,
    ports: Vec<Port>,
    rest: Vec<(Protocol, PortState, Reason, PortSet)>,
    /// States and counts of `extraports`, with what their reasons have said.
    extra: Vec<Extra>,
}

struct Extra {
    state: Option<PortState>,
    count: u64,
    listed: bool,
    reason: Option<Reason>,
}

struct Port {
    /// `None` for one that is not scanned here.
    protocol: Option<Protocol>,
    number: u16,
    state: Option<PortState>,
    reason: Option<Reason>,
    ttl: Option<u8>,
    service: Option<Service>,
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
        if self.path.last() == Some(&Element::Cpe)
            && let Some(service) = self.last_port().and_then(|port| port.service.as_mut())
            && let Some(cpe) = service.cpe.last_mut()
        {
            cpe.push_str(text);
        }
    }

    fn last_port(&mut self) -> Option<&mut Port> {
        self.host.as_mut()?.ports.last_mut()
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

    fn host_begins(&mut self, attributes: &Attributes) -> Result<()> {
        Budget::host(self.record.hosts.len(), self.line)?;
        self.host = Some(Host {
            first: self.time(attributes, "starttime")?,
            last: self.time(attributes, "endtime")?,
            ..Host::default()
        });
        Ok(())
    }

    fn status(&mut self, attributes: &Attributes) -> Result<()> {
        let ttl = self.ttl(attributes)?;
        let is_down = attributes.find("state") == Some("down");
        let reason = attributes.find("reason").and_then(reason);
        if let Some(host) = &mut self.host {
            host.is_down = is_down;
            host.reason = reason;
            host.ttl = ttl;
        }
        Ok(())
    }

    fn address(&mut self, attributes: &Attributes) -> Result<()> {
        if attributes.find("addrtype") == Some("mac") {
            return Ok(());
        }
        let text = attributes.find("addr").unwrap_or_default();
        let address = text
            .parse()
            .map_err(|_| self.wrong(&format!("the address `{text}`"), "IPv4 or IPv6"))?;
        if let Some(host) = &mut self.host {
            host.address.get_or_insert(address);
        }
        Ok(())
    }

    fn hostname(&mut self, attributes: &Attributes) -> Result<()> {
        let kind = match attributes.find("type") {
            Some("user") => NameKind::User,
            _ => NameKind::Ptr,
        };
        if let Some(host) = &mut self.host
            && let Some(name) = attributes.owned("name")
        {
            Budget::name(host.names.len(), self.line)?;
            host.names.push((name, kind));
        }
        Ok(())
    }

    fn times(&mut self, attributes: &Attributes) -> Result<()> {
        // nmap writes a negative time where it has measured none.
        let srtt = self.number::<i64>(attributes, "srtt")?;
        if let Some(host) = &mut self.host {
            host.rtt = srtt
                .and_then(|srtt| u64::try_from(srtt).ok())
                .map(Duration::from_micros);
        }
        Ok(())
    }

    fn port_state(&self, attributes: &Attributes) -> Result<Option<PortState>> {
        let word = attributes.find("state").unwrap_or_default();
        match word.parse() {
            Ok(state) => Ok(Some(state)),
            // Of kinds of scan that we do not make: an ACK scan, an idle scan.
            Err(_) if word == "unfiltered" => Ok(None),
            Err(_) if word == "closed|filtered" => Ok(Some(PortState::Filtered)),
            Err(_) => Err(self.wrong(
                &format!("the port state `{word}`"),
                "open, closed, filtered or open|filtered",
            )),
        }
    }

    fn extraports(&mut self, attributes: &Attributes) -> Result<()> {
        let state = self.port_state(attributes)?;
        let count = self.number(attributes, "count")?.unwrap_or(0);
        if let Some(host) = &mut self.host {
            if host.extra.len() >= 16 {
                return Err(self.too_large("the number of `extraports` of one host", 16));
            }
            host.extra.push(Extra {
                state,
                count,
                listed: false,
                reason: None,
            });
        }
        Ok(())
    }

    fn extrareasons(&mut self, attributes: &Attributes) -> Result<()> {
        let why = attributes.find("reason").and_then(reason);
        let ports = match attributes.find("ports") {
            Some(list) => Some(port_set(list).ok_or_else(|| {
                self.wrong(&format!("the ports `{list}`"), "a list such as `1-21,80`")
            })?),
            None => None,
        };
        let protocol = match attributes.find("proto") {
            Some(_) => self.protocol(attributes, "proto")?,
            None => None,
        };
        let line = self.line;
        let Some(host) = &mut self.host else {
            return Ok(());
        };
        let Some(extra) = host.extra.last_mut() else {
            return Ok(());
        };
        extra.reason = extra.reason.or(why);
        if let (Some(state), Some(protocol), Some(ports)) = (extra.state, protocol, ports) {
            if host.rest.len() >= 256 {
                return Err(self.too_large("the number of `extrareasons` of one host", 256));
            }
            self.budget.take(&ports, line)?;
            extra.listed = true;
            let why = why.unwrap_or_else(|| usual(protocol, state));
            host.rest.push((protocol, state, why, ports));
        }
        Ok(())
    }

    fn port(&mut self, attributes: &Attributes) -> Result<()> {
        let text = attributes.find("portid").unwrap_or_default();
        let found =
            number(text).ok_or_else(|| self.wrong(&format!("the port `{text}`"), "0 to 65535"))?;
        let protocol = self.protocol(attributes, "protocol")?;
        if let Some(host) = &mut self.host {
            if host.ports.len() >= 2 * 65_536 {
                return Err(self.too_large("the number of ports of one host", 2 * 65_536));
            }
            host.ports.push(Port {
                protocol,
                number: found,
                state: None,
                reason: None,
                ttl: None,
                service: None,
            });
            self.unfiltered += u64::from(protocol.is_none());
        }
        Ok(())
    }

    fn state(&mut self, attributes: &Attributes) -> Result<()> {
        let state = self.port_state(attributes)?;
        let ttl = self.ttl(attributes)?;
        let why = attributes.find("reason").and_then(reason);
        self.unfiltered += u64::from(state.is_none());
        if let Some(port) = self.last_port() {
            port.state = state;
            port.reason = why;
            port.ttl = ttl;
        }
        Ok(())
    }

    fn service(&mut self, attributes: &Attributes) -> Result<()> {
        let service = Service {
            name: attributes.owned("name").unwrap_or_default(),
            product: attributes.owned("product"),
            version: attributes.owned("version"),
            extra: attributes.owned("extrainfo"),
            os: attributes.owned("ostype"),
            hostname: attributes.owned("hostname"),
            cpe: Vec::new(),
            tls: attributes.find("tunnel") == Some("ssl"),
            method: match attributes.find("method") {
                Some("probed") => Method::Probed,
                _ => Method::Table,
            },
            confidence: self.number(attributes, "conf")?.unwrap_or(0),
            device: attributes.owned("devicetype"),
            ..Service::default()
        };
        if let Some(port) = self.last_port() {
            port.service = Some(service);
        }
        Ok(())
    }

    fn cpe(&mut self) -> Result<()> {
        let error = self.too_large("the number of CPE names of one service", MAX_CPE);
        if let Some(service) = self.last_port().and_then(|port| port.service.as_mut()) {
            if service.cpe.len() >= MAX_CPE {
                return Err(error);
            }
            service.cpe.push(String::new());
        }
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

    /// Puts the host that ends here into the record, as the events that would have made it.
    fn host_ends(&mut self) -> Result<()> {
        let Some(mut host) = self.host.take() else {
            return Ok(());
        };
        // Some list every address that did not answer. One with ports was asked for them.
        if host.is_down && host.ports.is_empty() && host.extra.is_empty() {
            return Ok(());
        }
        let Some(address) = host.address else {
            return Err(self.wrong("a host without an address", "`address` with `addr`"));
        };
        self.fill_extra(&mut host);
        let at = host.first.or(host.last).or(self.start).unwrap_or_default();
        let last = host.last.unwrap_or(at).max(at);
        let heard = host.ports.iter().find_map(|port| port.reason);
        self.record.apply(&ScanEvent::HostUp(HostUp {
            address,
            reason: host.reason.or(heard).unwrap_or(Reason::UserSet),
            rtt: host.rtt,
            ttl: host.ttl,
            at,
        }));
        for (name, kind) in host.names {
            self.record.apply(&ScanEvent::HostName(HostName {
                address,
                name,
                kind,
            }));
        }
        for port in host.ports {
            let (Some(state), Some(protocol)) = (port.state, port.protocol) else {
                continue;
            };
            let endpoint = Endpoint {
                address,
                protocol,
                port: port.number,
            };
            self.record.apply(&ScanEvent::Port(PortFact {
                endpoint,
                state,
                reason: port.reason.unwrap_or_else(|| usual(protocol, state)),
                rtt: None,
                ttl: port.ttl,
                at: last,
            }));
            if let Some(service) = port.service.and_then(|service| said(service, endpoint)) {
                self.record
                    .apply(&ScanEvent::Service(ServiceFact { endpoint, service }));
            }
        }
        for (protocol, state, reason, ports) in host.rest {
            self.record.apply(&ScanEvent::Ports(PortsFact {
                address,
                protocol,
                ports,
                state,
                reason,
                at: last,
            }));
        }
        self.record
            .apply(&ScanEvent::HostDone { address, at: last });
        Ok(())
    }

    /// Older programs count ports without listing them. Where only one state is counted so, and
    /// one protocol was asked, it is all that were asked and not listed.
    fn fill_extra(&mut self, host: &mut Host) {
        let mut vague = host
            .extra
            .iter()
            .filter(|extra| !extra.listed && extra.count > 0);
        let Some(extra) = vague.next() else {
            return;
        };
        let Some(state) = extra.state else {
            self.unfiltered += extra.count;
            return;
        };
        let mut protocols: Vec<Protocol> = self.asked.iter().map(|(_, of, _)| *of).collect();
        protocols.dedup();
        if let (None, &[protocol]) = (vague.next(), protocols.as_slice()) {
            let listed: PortBits = host
                .ports
                .iter()
                .filter(|port| port.protocol == Some(protocol))
                .map(|port| port.number)
                .collect();
            let listed = host
                .rest
                .iter()
                .filter(|(of, _, _, _)| *of == protocol)
                .fold(listed.to_set(), |all, (_, _, _, ports)| all.union(ports));
            let asked = self
                .asked
                .iter()
                .fold(PortSet::EMPTY, |all, (_, _, ports)| all.union(ports));
            let rest = asked.without(&listed);
            if rest.len() as u64 == extra.count && self.budget.take(&rest, self.line).is_ok() {
                let reason = extra.reason.unwrap_or_else(|| usual(protocol, state));
                host.rest.push((protocol, state, reason, rest));
                return;
            }
        }
        self.vague += 1;
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

/// A reason by the word for it, of nmap's words those that mean the same as one of ours; in
/// counts, some versions write the plural.
fn reason(word: &str) -> Option<Reason> {
    if let Ok(reason) = word.parse() {
        return Some(reason);
    }
    Some(match word {
        "resets" => Reason::Reset,
        "no-responses" | "no-ipid-change" => Reason::NoResponse,
        "port-unreaches" => Reason::PortUnreach,
        "host-unreaches" | "addr-unreach" => Reason::HostUnreach,
        "net-unreaches" | "unreach" => Reason::NetUnreach,
        "admin-prohibiteds" | "host-prohibited" | "host-prohibiteds" | "net-prohibited"
        | "net-prohibiteds" | "proto-unreach" | "source-quench" => Reason::AdminProhibited,
        "syn-acks" => Reason::SynAck,
        "udp-responses" | "proto-response" => Reason::UdpResponse,
        _ => return None,
    })
}

/// What a state usually rests on, for documents that do not say.
const fn usual(protocol: Protocol, state: PortState) -> Reason {
    match (protocol, state) {
        (Protocol::Tcp, PortState::Open) => Reason::SynAck,
        (Protocol::Udp, PortState::Open) => Reason::UdpResponse,
        (Protocol::Tcp, PortState::Closed) => Reason::Reset,
        (Protocol::Udp, PortState::Closed) => Reason::PortUnreach,
        (_, PortState::Filtered | PortState::OpenFiltered) => Reason::NoResponse,
    }
}

/// What a port said; `None` where its name is only what its number suggests.
fn said(service: Service, endpoint: Endpoint) -> Option<Service> {
    let is_plain = Service {
        name: service.name.clone(),
        confidence: service.confidence,
        ..Service::default()
    } == service;
    (!is_plain || service.confidence > 3)
        .then_some(service)
        .filter(|service| {
            // A guess of ours stands for no finding, however it came to be written.
            Service::by_number(endpoint.port, endpoint.protocol).as_ref() != Some(service)
        })
}
