//! One host of the document: its elements, and the events that would have made it.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    AnswersAll, Endpoint, HostLink, HostName, HostUp, NameKind, PortFact, PortsFact, ServiceFact,
};
use portolan_model::ports::PortBits;
use portolan_model::service::Method;
use portolan_model::{
    AddressSet, Mac, PortSet, PortState, Protocol, Reason, ScanEvent, Service, Zone,
};

use super::{Attributes, Document};
use crate::error::Result;
use crate::limits::{Budget, number, port_set};

/// The most CPE names of one service.
const MAX_CPE: usize = 64;

/// The host that is being read.
#[derive(Default)]
pub(super) struct Host {
    is_down: bool,
    reason: Option<Reason>,
    ttl: Option<u8>,
    rtt: Option<Duration>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    address: Option<IpAddr>,
    mac: Option<Mac>,
    zone: Option<Zone>,
    answers_all: Option<Protocol>,
    /// What our own script of a host says: asked, answered, windowless.
    evidence: [Option<u32>; 3],
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

impl Document {
    fn last_port(&mut self) -> Option<&mut Port> {
        self.host.as_mut()?.ports.last_mut()
    }

    pub(super) fn host_begins(&mut self, attributes: &Attributes) -> Result<()> {
        Budget::host(self.record.hosts.len(), self.line)?;
        self.host = Some(Host {
            first: self.time(attributes, "starttime")?,
            last: self.time(attributes, "endtime")?,
            ..Host::default()
        });
        Ok(())
    }

    pub(super) fn status(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn address(&mut self, attributes: &Attributes) -> Result<()> {
        let text = attributes.find("addr").unwrap_or_default();
        if attributes.find("addrtype") == Some("mac") {
            // One that cannot be read says nothing of the host's ports, which count.
            if let (Some(host), Ok(mac)) = (&mut self.host, text.parse()) {
                host.mac = Some(mac);
            }
            return Ok(());
        }
        let address = text
            .parse()
            .map_err(|_| self.wrong(&format!("the address `{text}`"), "IPv4 or IPv6"))?;
        if let Some(host) = &mut self.host {
            host.address.get_or_insert(address);
        }
        Ok(())
    }

    pub(super) fn hostname(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn times(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn extraports(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn extrareasons(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn port(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn state(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn service(&mut self, attributes: &Attributes) -> Result<()> {
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

    pub(super) fn cpe(&mut self) -> Result<()> {
        let error = self.too_large("the number of CPE names of one service", MAX_CPE);
        if let Some(service) = self.last_port().and_then(|port| port.service.as_mut()) {
            if service.cpe.len() >= MAX_CPE {
                return Err(error);
            }
            service.cpe.push(String::new());
        }
        Ok(())
    }

    /// More of the name that stands in a `cpe`.
    pub(super) fn cpe_text(&mut self, text: &str) {
        if let Some(service) = self.last_port().and_then(|port| port.service.as_mut())
            && let Some(cpe) = service.cpe.last_mut()
        {
            cpe.push_str(text);
        }
    }

    /// A script that tells of the host: of all, our own of its interface and of one that answers
    /// everything.
    pub(super) fn script(&mut self, attributes: &Attributes) {
        if let Some(host) = &mut self.host {
            match attributes.find("id") {
                Some("answers-all") => host.answers_all = Some(Protocol::Tcp),
                Some("answers-all-udp") => host.answers_all = Some(Protocol::Udp),
                Some("zone") => {
                    host.zone = attributes.find("output").and_then(|zone| zone.parse().ok());
                }
                _ => {}
            }
        }
    }

    /// A figure of that script.
    pub(super) fn evidence(&mut self, place: u8, text: &str) {
        if let Some(host) = self.host.as_mut().filter(|host| host.answers_all.is_some())
            && let Some(place) = usize::from(place).checked_sub(1)
            && let Some(figure) = host.evidence.get_mut(place)
        {
            *figure = text.trim().parse().ok();
        }
    }

    /// Puts the host that ends here into the record, as the events that would have made it.
    pub(super) fn host_ends(&mut self) -> Result<()> {
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
        if let Some(zone) = host.zone.take().filter(|_| is_link_local(address)) {
            self.zones
                .push((zone, AddressSet::from_range(address, address)));
        }
        if let Some(mac) = host.mac {
            let link = HostLink { address, mac };
            self.record.apply(&ScanEvent::HostLink(link));
        }
        if let Some(protocol) = host.answers_all
            && let [Some(asked), Some(answered), Some(windowless)] = host.evidence
        {
            self.record.apply(&ScanEvent::AnswersAll(AnswersAll {
                address,
                protocol,
                asked,
                answered,
                windowless,
                at: last,
            }));
        }
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
        | "net-prohibiteds" | "source-quench" => Reason::AdminProhibited,
        "proto-unreaches" => Reason::ProtoUnreach,
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

/// Whether an address may have a zone.
const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
