//! Asking by packets of our own, through a [`Device`]: TCP by a SYN and no more, UDP by
//! [datagrams](crate::udp).
//!
//! Nothing is remembered of a probe. Its sequence number is a keyed hash of where it goes and
//! comes from, so that an answer proves itself: it must acknowledge that number (RFC 9293,
//! 3.5). Its source port says which of the last few thousand moments it left in, and so how
//! long the answer took and which round of the [pace](crate::pace) it counts for. That of a
//! datagram says the same to who knows the key.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Protocol, Reason};
use portolan_wire::tcp::{self, Flags, Options, TcpOption};
use portolan_wire::{Addresses, MacAddress, SeqNumber, SynPath, SynTemplate, ipv4, ipv6};
use siphasher::sip::SipHasher13;

use crate::clock::Clock;
use crate::device::{
    self, Batch, Carries, Device, DeviceError, Reach, Recovery, Route, RouteError,
};
use crate::discovery::{self, Asker, Look};
use crate::pace::Kind;
use crate::transport::{Answer, Failure, Finding, Job, Seen, Transport};
use crate::udp::{self, ANSWERED_WITHIN, Payloads};

mod moments;
mod reading;

pub(crate) use reading::Heard;

use moments::{FINEST, MOMENTS, Moment, Moments};
use reading::{Segment, destination, read, understand};

/// The ports that probes are sent from, above those that Linux gives to connections by default.
pub const SOURCE_PORTS: RangeInclusive<u16> = 61_000..=65_095;

/// Where a port is asked from that is to see one flow, however often it is asked.
const KEPT_PORT: u16 = *SOURCE_PORTS.end();

/// Packets that are made before they are sent.
const WAITING: usize = 2048;

/// Destinations without a way that are remembered; with more, the device is asked again. The ways
/// of all others it finds quickly.
const REMEMBERED: usize = 1 << 12;

/// Sources whose packets are prepared, at the most: of a machine's own addresses each is its own.
const SOURCES: usize = 1 << 10;

/// The maximum segment size that a SYN offers (RFC 9293, 3.7.1): without one, some firewalls
/// take it for an attack.
const MSS: u16 = 1460;

/// The packets that leave from one address.
#[derive(Debug)]
struct Templates {
    syn: SynTemplate,
    reset: SynTemplate,
    len: usize,
    reset_len: usize,
}

/// The packets of each source.
#[derive(Debug, Default)]
struct Prepared {
    of: HashMap<IpAddr, Templates>,
    /// Those that were used last: one source serves for millions in a row.
    recent: Option<(IpAddr, Templates)>,
}

/// Sends SYNs through a device and reads what comes back.
#[derive(Debug)]
pub struct Syn<D, C> {
    device: D,
    clock: C,
    secret: Secret,
    /// What UDP ports are asked; `None` where TCP ports are.
    payloads: Option<Payloads>,
    moments: Moments,
    templates: Prepared,
    /// Destinations without a way, and why.
    unreached: HashMap<IpAddr, Finding>,
    /// Neighbours that are asked for, and the job of each.
    asking: HashMap<IpAddr, Job>,
    batch: Batch,
    /// What could not be sent.
    refused: Vec<Answer>,
    /// What is to be taken back: a port that answered, with the number it expects.
    resets: Vec<(IpAddr, IpAddr, u16, u16, SeqNumber)>,
    failure: Option<Failure>,
}

/// What proves an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secret(pub(crate) u64, pub(crate) u64);

impl Secret {
    /// The sequence number of a probe.
    fn number(self, own: u16, address: IpAddr, port: u16) -> SeqNumber {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.write_u32((u32::from(own) << 16) | u32::from(port));
        SeqNumber(u32::try_from(hasher.finish() >> 32).unwrap_or(0))
    }

    /// The hash that a packet carries which looks for a host in the way of `tag`.
    pub(crate) fn token(self, own: u16, address: IpAddr, tag: u8) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.write_u16(own);
        hasher.write_u8(tag);
        hasher.finish()
    }
}

impl<D: Device, C: Clock> Syn<D, C> {
    /// Asks through `device`, with a secret that nobody else knows.
    pub fn new(device: D, clock: C) -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self::with_secret(device, clock, [random(), random()])
    }

    /// The same with a secret that is given, so that a test can repeat it.
    pub fn with_secret(device: D, clock: C, secret: [u64; 2]) -> Self {
        let moments = match device.carries() {
            Carries::Everything => MOMENTS,
            Carries::Datagrams { ports } => ports.into(),
        };
        Self {
            device,
            clock,
            secret: Secret(secret[0], secret[1]),
            payloads: None,
            moments: Moments::new(moments),
            templates: Prepared::default(),
            unreached: HashMap::new(),
            asking: HashMap::new(),
            batch: Batch::new(),
            refused: Vec::new(),
            resets: Vec::new(),
            failure: None,
        }
    }

    /// The same, for UDP ports, which are asked by these.
    #[must_use]
    pub fn asking(mut self, payloads: Payloads) -> Self {
        self.payloads = Some(payloads);
        self
    }

    /// The device.
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// The source port that says when and for what a probe leaves.
    fn source_port(&mut self, job: &Job) -> u16 {
        if job.kind == Kind::Kept {
            return KEPT_PORT;
        }
        SOURCE_PORTS.start() + u16::try_from(self.moments.place(job)).unwrap_or(0)
    }

    /// How probes to `destination` leave.
    fn route(&mut self, destination: IpAddr) -> Result<Route, Finding> {
        if !self.unreached.is_empty()
            && let Some(why) = self.unreached.get(&destination)
        {
            return Err(why.clone());
        }
        self.device.route(destination).map_err(|error| {
            let why = no_way(error);
            if self.unreached.len() >= REMEMBERED {
                self.unreached.clear();
            }
            self.unreached.insert(destination, why.clone());
            why
        })
    }

    fn ask(&mut self, job: &Job) {
        let Endpoint { address, port, .. } = job.endpoint;
        let source = match self.route(address) {
            Ok(route) => route.source,
            Err(finding) => {
                self.refuse(job.endpoint, job.round, job.kind, finding);
                return;
            }
        };
        if let Some(look) = job.look {
            self.look(job, look, source);
            return;
        }
        if job.endpoint.protocol == Protocol::Udp {
            self.ask_by_datagram(job, source);
            return;
        }
        let own = self.source_port(job);
        let number = self.secret.number(own, address, port);
        let Some(templates) = self.templates.of(source) else {
            return;
        };
        let packet = self.batch.push(templates.len);
        if templates
            .syn
            .fill(packet, address, port, own, number)
            .is_err()
        {
            self.batch.pop();
        }
    }

    /// Asks a UDP port.
    fn ask_by_datagram(&mut self, job: &Job, source: IpAddr) {
        let Endpoint { address, port, .. } = job.endpoint;
        let Ok(addresses) = Addresses::new(source, address) else {
            return;
        };
        let place = (self.moments.place(job), self.moments.count());
        let own = udp::source_port(self.secret, place, address, port);
        if let Some(payloads) = &self.payloads {
            for message in payloads.of(port, job.questions) {
                udp::write(&addresses, (own, port), message, &mut self.batch);
            }
        }
    }

    /// Asks whether a host is there.
    fn look(&mut self, job: &Job, look: Look, source: IpAddr) {
        let address = job.endpoint.address;
        if look != Look::Neighbour {
            let own = self.source_port(job);
            let asker = Asker {
                source,
                own,
                secret: self.secret,
            };
            discovery::write(look, asker, address, &mut self.batch);
            return;
        }
        match self.device.solicit(address) {
            Ok(()) => {
                self.asking.insert(address, *job);
            }
            Err(error) if error.is_final() => self.fail(&error),
            Err(error) => {
                let finding = match error {
                    DeviceError::Route(error) => no_way(error),
                    other => Finding::Failed(other.to_string()),
                };
                self.refuse(job.endpoint, job.round, job.kind, finding);
            }
        }
    }

    fn refuse(&mut self, endpoint: Endpoint, round: u32, kind: Kind, finding: Finding) {
        self.refused.push(Answer {
            endpoint,
            round,
            kind,
            rtt: None,
            ttl: None,
            seen: Seen::by(false),
            at: self.clock.now(),
            finding,
            said: Vec::new(),
        });
    }

    /// Sends what is made, as far as the device takes it.
    fn flush(&mut self) {
        for (source, address, own, port, number) in std::mem::take(&mut self.resets) {
            if let Some(templates) = self.templates.of(source) {
                let packet = self.batch.push(templates.reset_len);
                let filled = templates.reset.fill(packet, address, port, own, number);
                if filled.is_err() {
                    self.batch.pop();
                }
            }
        }
        while !self.batch.is_empty() && self.failure.is_none() {
            match self.device.send(&self.batch) {
                Ok(0) => return,
                Ok(taken) => self.batch.drop_front(taken),
                Err(error) if error.is_final() => self.fail(&error),
                Err(error) => {
                    self.tell(&error);
                    self.batch.drop_front(1);
                }
            }
        }
    }

    /// Of an answer from beyond the local link, the MAC address is a gateway's: it is taken off.
    fn keep_own_macs(&mut self, answers: &mut [Answer]) {
        for answer in answers {
            // What a neighbour said of itself has no port and no time to live.
            if answer.seen.mac.is_some() && answer.ttl.is_some() {
                let route = self.route(answer.endpoint.address);
                let is_near = route.is_ok_and(|route| route.reach == Reach::Link);
                answer.seen.mac = answer.seen.mac.filter(|_| is_near);
            }
        }
    }

    fn fail(&mut self, error: &DeviceError) {
        let cause = std::error::Error::source(error);
        self.failure = Some(Failure {
            why: match cause {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
            may_pass: true,
        });
    }

    /// Looks whether what failed is over, and waits until `until` for it at the most.
    fn recover(&mut self, until: Duration) {
        match (self.device.recover(until), &mut self.failure) {
            (Recovery::Back, _) => {
                // What had no way then may have one now.
                self.unreached.clear();
                self.refused.retain(|answer| !is_of_the_way(answer));
                self.failure = None;
            }
            (Recovery::Never, Some(failure)) => failure.may_pass = false,
            _ => {}
        }
    }

    /// Says of the first packet of the batch that it could not be sent.
    fn tell(&mut self, error: &DeviceError) {
        let Some(sent) = self.batch.get(0).and_then(read) else {
            return;
        };
        let (address, protocol, port, sent_in) = match sent {
            Segment::Tcp {
                addresses,
                ports: (own, port),
                flags: Flags::SYN,
                ..
            } => {
                let address = destination(&addresses);
                let moment = (own != KEPT_PORT).then(|| moment_of(&self.moments, own));
                (address, Protocol::Tcp, port, moment)
            }
            Segment::Datagram {
                addresses,
                ports: (own, port),
                ..
            } => {
                let address = destination(&addresses);
                let of = self.moments.count();
                let place = udp::place(self.secret, of, own, (address, port));
                let moment = place.and_then(|place| self.moments.get(place));
                (address, Protocol::Udp, port, Some(moment))
            }
            _ => return,
        };
        let round_and_kind = match sent_in {
            None => Some((u32::MAX, Kind::Kept)),
            Some(moment) => moment.map(|moment| (moment.round, moment.kind)),
        };
        if let Some((round, kind)) = round_and_kind {
            let finding = match error {
                DeviceError::Forbidden { .. } => {
                    Finding::Port(PortState::Filtered, Reason::AdminProhibited)
                }
                DeviceError::Route(error) => no_way(error.clone()),
                other => Finding::Failed(other.to_string()),
            };
            let endpoint = Endpoint {
                address,
                protocol,
                port,
            };
            self.refuse(endpoint, round, kind, finding);
        }
    }
}

impl<D: Device, C: Clock> Transport for Syn<D, C> {
    fn room(&mut self) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        WAITING.saturating_sub(self.batch.len())
    }

    fn submit(&mut self, jobs: &[Job]) {
        for job in jobs {
            self.ask(job);
        }
        self.flush();
    }

    fn poll(&mut self, until: Duration, answers: &mut Vec<Answer>) {
        if self.failure.is_some() {
            self.recover(until);
            return;
        }
        self.flush();
        answers.append(&mut self.refused);
        let until = if answers.is_empty() {
            until
        } else {
            self.clock.now()
        };
        // What could not be sent is tried again soon.
        let until = if self.batch.is_empty() {
            until
        } else {
            until.min(self.clock.now() + FINEST)
        };
        let Self {
            device,
            secret,
            payloads,
            moments,
            resets,
            asking,
            ..
        } = self;
        let first = answers.len();
        let received = device.receive(until, &mut |received| {
            let answer = match received.heard {
                device::Heard::Packet {
                    bytes,
                    checksum,
                    link,
                } => {
                    let asks_udp = payloads.as_ref().map(|_| moments.count());
                    let heard = understand(bytes, checksum, *secret, asks_udp, resets);
                    heard.and_then(|heard| {
                        let is_kept = heard.own == KEPT_PORT;
                        let moment = if is_kept {
                            Moment {
                                at: received.at,
                                round: u32::MAX,
                                kind: Kind::Kept,
                            }
                        } else {
                            moment_of(moments, heard.own)?
                        };
                        if heard.protocol == Protocol::Udp
                            && received.at > moment.at + ANSWERED_WITHIN
                        {
                            return None;
                        }
                        let mac = link.filter(|_| heard.by_host);
                        let mut answer = heard.answer(moment, mac, received.at);
                        // It may be to any of the questions of its flow.
                        answer.rtt = answer.rtt.filter(|_| !is_kept);
                        Some(answer)
                    })
                }
                device::Heard::NoNeighbour { address } => {
                    let job = asking.remove(&address);
                    Some(of_neighbour(address, job, received.at, None))
                }
                device::Heard::Neighbour { address, link } => {
                    let job = asking.remove(&address);
                    Some(of_neighbour(address, job, received.at, Some(link)))
                }
            };
            if let Some(answer) = answer {
                if let Some(rtt) = answer.rtt {
                    moments.note(rtt);
                }
                answers.push(answer);
            }
        });
        if let Err(error) = received
            && error.is_final()
        {
            self.fail(&error);
            // While an interface is down its routes are gone: that is no answer.
            answers.retain(|answer| !is_of_the_way(answer));
        }
        self.keep_own_macs(answers.get_mut(first..).unwrap_or_default());
        if !self.resets.is_empty() {
            self.flush();
        }
    }

    fn keeps_flows(&self) -> bool {
        // All from one port, answers to datagrams would prove nothing.
        self.payloads.is_none()
    }

    fn looks_for_hosts(&self) -> bool {
        self.device.carries() == Carries::Everything
    }

    fn looks(&mut self, address: IpAddr) -> &'static [Look] {
        if !self.looks_for_hosts() {
            return &[];
        }
        match self.route(address).map(|route| route.reach) {
            Ok(Reach::Host) => discovery::OWN,
            Ok(Reach::Beyond) if address.is_ipv4() => discovery::BEYOND_V4,
            Ok(Reach::Beyond) => discovery::BEYOND_V6,
            // Where there is no way, to ask once is to hear why.
            Ok(Reach::Link) | Err(_) => discovery::ON_LINK,
        }
    }

    fn lost(&mut self) -> u64 {
        self.device.drops().incoming
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// Whether it says that a packet found no way out of this machine.
const fn is_of_the_way(answer: &Answer) -> bool {
    matches!(answer.finding, Finding::NoRoute | Finding::Failed(_))
}

/// What it means for a port that no packet can leave for it: the same as where this machine
/// connects.
fn no_way(error: RouteError) -> Finding {
    match error {
        RouteError::NoRoute { .. } => Finding::NoRoute,
        RouteError::NotAHost { .. } => Finding::NoHost,
        RouteError::Unreachable { .. } => Finding::Port(PortState::Filtered, Reason::HostUnreach),
        RouteError::Prohibited { .. } => {
            Finding::Port(PortState::Filtered, Reason::AdminProhibited)
        }
        other => Finding::Failed(other.to_string()),
    }
}

impl Prepared {
    /// The packets of a source.
    fn of(&mut self, source: IpAddr) -> Option<&Templates> {
        let is_recent = self.recent.as_ref().is_some_and(|(of, _)| *of == source);
        if !is_recent {
            let next = match self.of.remove(&source) {
                Some(known) => known,
                None => Templates::new(source)?,
            };
            if self.of.len() >= SOURCES {
                self.of.clear();
            }
            self.of.extend(self.recent.replace((source, next)));
        }
        self.recent.as_ref().map(|(_, templates)| templates)
    }
}

impl Templates {
    fn new(source: IpAddr) -> Option<Self> {
        let mut options = Options::new();
        options.push(TcpOption::MaximumSegmentSize(MSS)).ok()?;
        let syn = SynPath {
            options,
            window: 1024,
            ..SynPath::new(source)
        };
        let reset = SynPath {
            flags: Flags::RST,
            window: 0,
            ..SynPath::new(source)
        };
        let header = if source.is_ipv4() {
            ipv4::HEADER_LEN
        } else {
            ipv6::HEADER_LEN
        };
        Some(Self {
            syn: SynTemplate::new(&syn).ok()?,
            reset: SynTemplate::new(&reset).ok()?,
            len: header + tcp::HEADER_LEN + options.padded_len(),
            reset_len: header + tcp::HEADER_LEN,
        })
    }
}

/// The moment that a source port stands for.
fn moment_of(moments: &Moments, port: u16) -> Option<Moment> {
    let place = port.checked_sub(*SOURCE_PORTS.start())?;
    moments.get(usize::from(place))
}

/// What a neighbour's answer or silence means; `job` is the one that asked for it.
fn of_neighbour(
    address: IpAddr,
    job: Option<Job>,
    at: Duration,
    mac: Option<MacAddress>,
) -> Answer {
    let reason = if address.is_ipv4() {
        Reason::ArpResponse
    } else {
        Reason::NdpResponse
    };
    Answer {
        endpoint: Endpoint {
            address,
            protocol: Protocol::Tcp,
            port: 0,
        },
        // Without a job it was asked for so that a probe could leave: that counts for no round.
        round: job.map_or(u32::MAX, |job| job.round),
        kind: job.map_or(Kind::Probe, |job| job.kind),
        rtt: job.map(|job| at.saturating_sub(job.at)),
        ttl: None,
        seen: Seen {
            by_host: mac.is_some(),
            shape: None,
            mac,
        },
        at,
        finding: match mac {
            Some(_) => Finding::Host(reason),
            None => Finding::NoNeighbour,
        },
        said: Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
