//! Asking by a SYN, and no more: packets of our own, through a [`Device`].
//!
//! Nothing is remembered of a probe. Its sequence number is a keyed hash of where it goes and
//! comes from, so that an answer proves itself: it must acknowledge that number (RFC 9293,
//! 3.5). Its source port says which of the last few thousand moments it left in, and so how
//! long the answer took and which round of the [pace](crate::pace) it counts for.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Protocol, Reason};
use portolan_wire::tcp::{self, Flags, Options, TcpOption};
use portolan_wire::{
    Addresses, MacAddress, Quoted, SeqNumber, SynPath, SynTemplate, Verified, icmpv4, icmpv6, ipv4,
    ipv6, quoted,
};
use siphasher::sip::SipHasher13;

use crate::clock::Clock;
use crate::device::{self, Batch, ChecksumStatus, Device, DeviceError, Reach, Route, RouteError};
use crate::discovery::{self, Asker, Look};
use crate::pace::Kind;
use crate::transport::{Answer, Finding, Job, Seen, Shape, Transport, unreachable_means};

/// The ports that probes are sent from, above those that Linux gives to connections by default.
pub const SOURCE_PORTS: RangeInclusive<u16> = 61_000..=65_095;

/// How many moments are told apart.
const MOMENTS: usize = 4095;

/// Where a port is asked from that is to see one flow, however often it is asked.
const KEPT_PORT: u16 = *SOURCE_PORTS.end();

/// Moments are at least so far apart, and at the most.
const FINEST: Duration = Duration::from_micros(250);
const COARSEST: Duration = Duration::from_millis(8);

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

/// When probes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    at: Duration,
    round: u32,
    kind: Kind,
}

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
    moments: Vec<Option<Moment>>,
    /// The moment that is filled now, of probes and of sentinels.
    current: [usize; 2],
    next: usize,
    quickest: Option<Duration>,
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
    failure: Option<String>,
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
        Self {
            device,
            clock,
            secret: Secret(secret[0], secret[1]),
            moments: vec![None; MOMENTS],
            current: [0; 2],
            next: 0,
            quickest: None,
            templates: Prepared::default(),
            unreached: HashMap::new(),
            asking: HashMap::new(),
            batch: Batch::new(),
            refused: Vec::new(),
            resets: Vec::new(),
            failure: None,
        }
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
        let slot = usize::from(job.kind == Kind::Sentinel);
        let apart = self
            .quickest
            .map_or(FINEST, |rtt| (rtt / 16).clamp(FINEST, COARSEST));
        let current = self.moments.get(self.current[slot]).copied().flatten();
        let fits = current.is_some_and(|moment| {
            moment.round == job.round && moment.kind == job.kind && job.at < moment.at + apart
        });
        if !fits {
            self.current[slot] = self.next;
            self.moments[self.next] = Some(Moment {
                at: job.at,
                round: job.round,
                kind: job.kind,
            });
            self.next = (self.next + 1) % MOMENTS;
        }
        SOURCE_PORTS.start() + u16::try_from(self.current[slot]).unwrap_or(0)
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
        self.failure = Some(match cause {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        });
    }

    /// Says of the first packet of the batch that it could not be sent.
    fn tell(&mut self, error: &DeviceError) {
        let Some(sent) = self.batch.get(0).and_then(read) else {
            return;
        };
        let Segment::Tcp {
            addresses,
            ports: (own, port),
            flags,
            ..
        } = sent
        else {
            return;
        };
        let round_and_kind = if own == KEPT_PORT {
            Some((u32::MAX, Kind::Kept))
        } else {
            moment(&self.moments, own).map(|moment| (moment.round, moment.kind))
        };
        if let (Some((round, kind)), Flags::SYN) = (round_and_kind, flags) {
            let finding = match error {
                DeviceError::Forbidden { .. } => {
                    Finding::Port(PortState::Filtered, Reason::AdminProhibited)
                }
                DeviceError::Route(error) => no_way(error.clone()),
                other => Finding::Failed(other.to_string()),
            };
            let endpoint = Endpoint {
                address: destination(&addresses),
                protocol: Protocol::Tcp,
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
            moments,
            quickest,
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
                    let heard = understand(bytes, checksum, *secret, resets);
                    heard.and_then(|heard| {
                        let is_kept = heard.own == KEPT_PORT;
                        let moment = if is_kept {
                            Moment {
                                at: received.at,
                                round: u32::MAX,
                                kind: Kind::Kept,
                            }
                        } else {
                            moment(moments, heard.own)?
                        };
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
                    *quickest = Some(quickest.map_or(rtt, |known| known.min(rtt)));
                }
                answers.push(answer);
            }
        });
        if let Err(error) = received
            && error.is_final()
        {
            self.fail(&error);
        }
        self.keep_own_macs(answers.get_mut(first..).unwrap_or_default());
        if !self.resets.is_empty() {
            self.flush();
        }
    }

    fn keeps_flows(&self) -> bool {
        true
    }

    fn looks(&mut self, address: IpAddr) -> &'static [Look] {
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

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
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

/// What a packet is, as far as it matters here.
#[derive(Debug, Clone, Copy)]
enum Segment {
    Tcp {
        addresses: Addresses,
        /// From, to.
        ports: (u16, u16),
        flags: Flags,
        acknowledges: SeqNumber,
        shape: Shape,
        verified: bool,
    },
    Unreachable {
        v6: bool,
        kind: u8,
        code: u8,
        quoted: Quoted,
        from: IpAddr,
        ttl: u8,
    },
}

/// What a packet says that proves to be an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Of whom.
    pub(crate) address: IpAddr,
    /// Of which port; 0 where none was asked.
    pub(crate) port: u16,
    /// The port or identifier that the question left from.
    pub(crate) own: u16,
    pub(crate) ttl: u8,
    /// Whether `address` itself says it.
    pub(crate) by_host: bool,
    pub(crate) shape: Option<Shape>,
    pub(crate) finding: Finding,
}

impl Heard {
    /// What the host itself says, about no port.
    pub(crate) const fn of_host(address: IpAddr, own: u16, ttl: u8, finding: Finding) -> Self {
        Self {
            address,
            port: 0,
            own,
            ttl,
            by_host: true,
            shape: None,
            finding,
        }
    }

    fn answer(self, moment: Moment, mac: Option<MacAddress>, at: Duration) -> Answer {
        Answer {
            endpoint: Endpoint {
                address: self.address,
                protocol: Protocol::Tcp,
                port: self.port,
            },
            round: moment.round,
            kind: moment.kind,
            rtt: Some(at.saturating_sub(moment.at)),
            ttl: Some(self.ttl),
            seen: Seen {
                by_host: self.by_host,
                shape: self.shape,
                mac,
            },
            at,
            finding: self.finding,
        }
    }
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
    }
}

const fn destination(addresses: &Addresses) -> IpAddr {
    match addresses {
        Addresses::V4 { dst, .. } => IpAddr::V4(*dst),
        Addresses::V6 { dst, .. } => IpAddr::V6(*dst),
    }
}

const fn source(addresses: &Addresses) -> IpAddr {
    match addresses {
        Addresses::V4 { src, .. } => IpAddr::V4(*src),
        Addresses::V6 { src, .. } => IpAddr::V6(*src),
    }
}

/// Reads a packet; `None` for one that is malformed or of no interest.
fn read(bytes: &[u8]) -> Option<Segment> {
    match bytes.first()? >> 4 {
        4 => {
            let packet = ipv4::Packet::new(bytes).ok()?;
            if packet.fragmentation().offset_bytes() != 0 {
                return None;
            }
            let ttl = packet.ttl().0;
            match packet.protocol() {
                portolan_wire::Protocol::TCP => segment(packet.payload(), packet.addresses(), ttl),
                portolan_wire::Protocol::ICMP => {
                    let icmp = icmpv4::Packet::new(packet.payload()).ok()?;
                    let icmpv4::Message::DestinationUnreachable { code, quoted, .. } =
                        icmp.message()
                    else {
                        return None;
                    };
                    (icmp.verify() == Verified::Yes).then_some(())?;
                    Some(Segment::Unreachable {
                        v6: false,
                        kind: icmp.message_type(),
                        code,
                        quoted: Quoted::parse(quoted).ok()?,
                        from: packet.source().into(),
                        ttl,
                    })
                }
                _ => None,
            }
        }
        6 => {
            let packet = ipv6::Packet::new(bytes).ok()?;
            let upper = packet.upper().ok()?;
            if upper.fragment.is_some_and(|part| part.offset_bytes != 0) {
                return None;
            }
            let ttl = packet.hop_limit().0;
            match upper.protocol {
                portolan_wire::Protocol::TCP => segment(upper.payload, packet.addresses(), ttl),
                portolan_wire::Protocol::ICMPV6 => {
                    let icmp = icmpv6::Packet::new(upper.payload).ok()?;
                    let icmpv6::Message::DestinationUnreachable { code, quoted } = icmp.message()
                    else {
                        return None;
                    };
                    (icmp.verify(&packet.addresses()) == Verified::Yes).then_some(())?;
                    Some(Segment::Unreachable {
                        v6: true,
                        kind: icmp.message_type(),
                        code,
                        quoted: Quoted::parse(quoted).ok()?,
                        from: packet.source().into(),
                        ttl,
                    })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn segment(payload: &[u8], addresses: Addresses, ttl: u8) -> Option<Segment> {
    let packet = tcp::Packet::new(payload).ok()?;
    let mut options = [0; 8];
    // Of the answers alone that are held against each other.
    if packet.flags().contains(Flags::SYN) {
        for (kind, option) in options.iter_mut().zip(packet.options()) {
            *kind = option_kind(&option);
        }
    }
    Some(Segment::Tcp {
        ports: (packet.source_port(), packet.destination_port()),
        flags: packet.flags(),
        acknowledges: packet.acknowledgment_number(),
        shape: Shape {
            window: packet.window(),
            options,
            ttl,
        },
        verified: packet.verify(&addresses) == Verified::Yes,
        addresses,
    })
}

/// The kind of an option, as it stands in the header.
const fn option_kind(option: &TcpOption<'_>) -> u8 {
    match option {
        TcpOption::NoOperation => 1,
        TcpOption::MaximumSegmentSize(_) => 2,
        TcpOption::WindowScale(_) => 3,
        TcpOption::SackPermitted => 4,
        TcpOption::Timestamps { .. } => 8,
        TcpOption::Unknown { kind, .. } => *kind,
    }
}

fn moment(moments: &[Option<Moment>], port: u16) -> Option<Moment> {
    let place = port.checked_sub(*SOURCE_PORTS.start())?;
    moments.get(usize::from(place)).copied().flatten()
}

/// What a packet answers, if it proves to be an answer.
fn understand(
    bytes: &[u8],
    checksum: ChecksumStatus,
    secret: Secret,
    resets: &mut Vec<(IpAddr, IpAddr, u16, u16, SeqNumber)>,
) -> Option<Heard> {
    let Some(segment) = read(bytes) else {
        return discovery::hear(bytes, secret);
    };
    match segment {
        Segment::Tcp {
            addresses,
            ports: (port, own),
            flags,
            acknowledges,
            shape,
            verified,
        } => {
            if checksum == ChecksumStatus::Unchecked && !verified {
                return None;
            }
            let address = source(&addresses);
            let number = secret.number(own, address, port);
            if !flags.contains(Flags::ACK) || acknowledges != SeqNumber(number.0.wrapping_add(1)) {
                return discovery::hear(bytes, secret);
            }
            let ttl = shape.ttl;
            let (finding, shape) = if flags.contains(Flags::RST) {
                (Finding::Port(PortState::Closed, Reason::Reset), None)
            } else if flags.contains(Flags::SYN) {
                // Taken back at once, so that the other side does not wait for the rest.
                resets.push((destination(&addresses), address, own, port, acknowledges));
                let finding = Finding::Port(PortState::Open, Reason::SynAck);
                (finding, Some(shape))
            } else {
                return None;
            };
            Some(Heard {
                address,
                port,
                own,
                ttl,
                by_host: true,
                shape,
                finding,
            })
        }
        Segment::Unreachable {
            v6,
            kind,
            code,
            quoted,
            from,
            ttl,
        } => {
            let address = destination(&quoted.addresses);
            let proven = match quoted.transport {
                quoted::Transport::Tcp {
                    src_port: own,
                    dst_port: port,
                    sequence,
                } if sequence == secret.number(own, address, port) => Some((own, port)),
                _ => None,
            };
            let Some((own, port)) = proven else {
                return discovery::hear(bytes, secret);
            };
            Some(Heard {
                address,
                port,
                own,
                ttl,
                by_host: from == address,
                shape: None,
                finding: unreachable_means(v6, kind, code)?,
            })
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
