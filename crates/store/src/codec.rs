//! The bytes in the database: addresses that sort, one byte for state and reason, and the
//! compact picture of a host's 65,536 ports per protocol.
//!
//! A *shape* holds what does not change from day to day: runs of ports in one state, and the
//! services of the ports that stand alone. Equal shapes are stored once. What does change,
//! round-trip times and moments, stands beside it in *times*.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_model::{PortState, Protocol, Reason, Zone, Zoned};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{Error, Result};
use crate::scan::ScanId;

/// States by their number on disk; new ones are added at the end.
const STATES: [PortState; 4] = [
    PortState::Open,
    PortState::Closed,
    PortState::Filtered,
    PortState::OpenFiltered,
];

/// Reasons by their number on disk; new ones are added at the end.
const REASONS: [Reason; 16] = [
    Reason::SynAck,
    Reason::Reset,
    Reason::ConnRefused,
    Reason::NoResponse,
    Reason::PortUnreach,
    Reason::HostUnreach,
    Reason::NetUnreach,
    Reason::AdminProhibited,
    Reason::UdpResponse,
    Reason::EchoReply,
    Reason::TimestampReply,
    Reason::ArpResponse,
    Reason::NdpResponse,
    Reason::LocalhostResponse,
    Reason::UserSet,
    Reason::ProtoUnreach,
];

/// From this many runs on, a picture of all ports is cheaper than sorting.
const DENSE: usize = 4096;

/// A port's state and reason in one byte: `1 + 16 * state + reason`, where 0 is left for ports
/// that were not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u8);

impl Code {
    /// The byte for a state and its reason.
    pub fn new(state: PortState, reason: Reason) -> Self {
        let place = |found: Option<usize>| {
            let place = found.expect("every state and reason has a number, as a test shows");
            u8::try_from(place).expect("there are fewer than 16")
        };
        let state = place(STATES.iter().position(|&known| known == state));
        Self(1 + 16 * state + reason_number(reason))
    }

    /// The byte.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The state and reason of a byte; `None` for 0 and for bytes that are never written.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let number = usize::from(byte.checked_sub(1)?);
        (number / 16 < STATES.len() && number % 16 < REASONS.len()).then_some(Self(byte))
    }

    /// The state.
    pub fn state(self) -> PortState {
        STATES[usize::from((self.0 - 1) / 16)]
    }

    /// What it rests on.
    pub fn reason(self) -> Reason {
        REASONS[usize::from((self.0 - 1) % 16)]
    }

    /// Whether a port in this state stands alone in a record, with its time and service.
    pub(crate) fn is_notable(self) -> bool {
        match self.state() {
            PortState::Open => true,
            PortState::OpenFiltered => self.reason() != Reason::NoResponse,
            PortState::Closed | PortState::Filtered => false,
        }
    }

    pub(crate) fn read(number: i64) -> Result<Self> {
        u8::try_from(number)
            .ok()
            .and_then(Self::from_byte)
            .ok_or_else(|| Error::damaged("a port's state", format!("{number} is none")))
    }
}

/// The number of a reason on disk.
pub(crate) fn reason_number(reason: Reason) -> u8 {
    REASONS
        .iter()
        .position(|&known| known == reason)
        .and_then(|place| u8::try_from(place).ok())
        .expect("every reason has a number, as a test shows")
}

/// The reason with a number.
pub(crate) fn reason_of(number: i64) -> Result<Reason> {
    usize::try_from(number)
        .ok()
        .and_then(|number| REASONS.get(number).copied())
        .ok_or_else(|| Error::damaged("a reason", format!("{number} is none")))
}

/// The number of a state on disk.
pub(crate) fn state_number(state: PortState) -> u8 {
    (Code::new(state, Reason::SynAck).0 - 1) / 16
}

/// The number of a protocol on disk.
pub(crate) const fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
    }
}

/// The protocol with a number.
pub(crate) fn protocol_of(number: i64) -> Result<Protocol> {
    match number {
        0 => Ok(Protocol::Tcp),
        1 => Ok(Protocol::Udp),
        _ => Err(Error::damaged("a protocol", format!("{number} is none"))),
    }
}

/// An address as bytes that sort as addresses do; the interface of a link-local one follows.
pub(crate) fn address_bytes(address: impl Into<Zoned>) -> Vec<u8> {
    let Zoned { address, zone } = address.into();
    let zone = zone.as_ref().map_or("", Zone::as_str).as_bytes();
    match address {
        IpAddr::V4(v4) => [&[4][..], &v4.octets()].concat(),
        IpAddr::V6(v6) => [&[6][..], &v6.octets(), zone].concat(),
    }
}

/// The last bytes that stand for an address, over whatever interface.
pub(crate) fn last_address_bytes(address: IpAddr) -> Vec<u8> {
    let mut bytes = address_bytes(address);
    bytes.push(u8::MAX);
    bytes
}

/// The address that [`address_bytes`] wrote.
pub(crate) fn address_of(bytes: &[u8]) -> Result<Zoned> {
    let bad = || Error::damaged("an address", format!("{} bytes are none", bytes.len()));
    let (address, zone) = match bytes {
        [4, rest @ ..] => {
            let octets = <[u8; 4]>::try_from(rest).map_err(|_| bad())?;
            return Ok(IpAddr::from(octets).into());
        }
        [6, rest @ ..] => rest.split_first_chunk::<16>().ok_or_else(bad)?,
        _ => return Err(bad()),
    };
    let zone = match zone {
        [] => None,
        zone => {
            let zone = str::from_utf8(zone).ok().and_then(|zone| zone.parse().ok());
            Some(zone.ok_or_else(bad)?)
        }
    };
    Ok(Zoned {
        address: IpAddr::from(*address),
        zone,
    })
}

/// The bytes by which a scan knows an address: where its interface is not told, that of the scan.
pub(crate) fn address_in(connection: &Connection, scan: ScanId, address: Zoned) -> Result<Vec<u8>> {
    let key = address_bytes(address);
    if address.zone.is_some() || !is_link_local(address.address) {
        return Ok(key);
    }
    let found = connection
        .prepare_cached(
            "SELECT address FROM scan_host WHERE scan = ?1 AND address BETWEEN ?2 AND ?3 LIMIT 1",
        )?
        .query_row(
            params![scan, key, last_address_bytes(address.address)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.unwrap_or(key))
}

const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Consecutive ports of one protocol in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) protocol: Protocol,
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) code: Code,
}

/// What is known of a port that stands alone, besides its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notable {
    /// Microseconds.
    pub(crate) rtt: Option<u64>,
    pub(crate) ttl: Option<u8>,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// The number of its service.
    pub(crate) service: Option<i64>,
}

/// Every port of a host that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Picture {
    /// In order of protocol and port; no two overlap or could be one.
    pub(crate) runs: Vec<Run>,
    /// Those that stand alone.
    pub(crate) notable: BTreeMap<(Protocol, u16), Notable>,
}

/// One fact about ports of a host, in the order of reporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Ports in one state.
    Run(Run),
    /// A port that stands alone.
    Alone(Protocol, u16, Code, Notable),
    /// What runs on a port.
    Service(Protocol, u16, i64),
}

impl Picture {
    /// The state of a port.
    pub(crate) fn code(&self, protocol: Protocol, port: u16) -> Option<Code> {
        let after = self
            .runs
            .partition_point(|run| (run.protocol, run.first) <= (protocol, port));
        let run = self.runs.get(after.checked_sub(1)?)?;
        (run.protocol == protocol && port <= run.last).then_some(run.code)
    }

    /// How many ports are in each state, by the state's number.
    pub(crate) fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        for run in &self.runs {
            counts[usize::from(state_number(run.code.state()))] +=
                u64::from(run.last - run.first) + 1;
        }
        counts
    }

    /// One byte for each of the 65,536 ports of a protocol.
    pub(crate) fn bytes(&self, protocol: Protocol) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        for run in self.runs.iter().filter(|run| run.protocol == protocol) {
            bytes[usize::from(run.first)..=usize::from(run.last)].fill(run.code.0);
        }
        bytes
    }

    /// Lays the bytes of a protocol over those of other hosts: the most open of both stays.
    pub(crate) fn lay_over(&self, protocol: Protocol, bytes: &mut [u8]) {
        // Open, open or filtered, filtered, closed, nothing known.
        let rank = |byte: u8| match byte {
            0 => 0,
            byte => [4, 1, 2, 3][usize::from((byte - 1) >> 4 & 3)],
        };
        for run in self.runs.iter().filter(|run| run.protocol == protocol) {
            for known in &mut bytes[usize::from(run.first)..=usize::from(run.last)] {
                if rank(run.code.0) > rank(*known) {
                    *known = run.code.0;
                }
            }
        }
    }

    /// Takes in facts; a later one about the same port takes the place of an earlier one.
    pub(crate) fn apply(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let mut runs = std::mem::take(&mut self.runs);
        for fact in facts {
            match fact {
                Fact::Run(run) => {
                    if !self.notable.is_empty() {
                        let covered: Vec<_> = self
                            .notable
                            .range((run.protocol, run.first)..=(run.protocol, run.last))
                            .map(|(&key, _)| key)
                            .collect();
                        for key in covered {
                            self.notable.remove(&key);
                        }
                    }
                    runs.push(run);
                }
                Fact::Alone(protocol, port, code, mut notable) => {
                    let before = self.notable.get(&(protocol, port));
                    notable.service = notable.service.or(before.and_then(|known| known.service));
                    self.notable.insert((protocol, port), notable);
                    runs.push(Run {
                        protocol,
                        first: port,
                        last: port,
                        code,
                    });
                }
                Fact::Service(protocol, port, service) => {
                    if let Some(known) = self.notable.get_mut(&(protocol, port)) {
                        known.service = Some(service);
                    }
                }
            }
        }
        self.runs = normalize(runs);
    }

    /// The shape, and the times of the notable ports.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut shape = Vec::with_capacity(16 + 3 * self.runs.len());
        put(&mut shape, self.runs.len() as u64);
        put_runs(&mut shape, &self.runs);
        let mut times = Vec::with_capacity(8 + 6 * self.notable.len());
        // Moments are counted from the first, which is written once.
        let base = self.notable.values().map(|known| known.at).min();
        let base = base.unwrap_or_default();
        if !self.notable.is_empty() {
            put(&mut times, zigzag(base));
        }
        let mut next = (Protocol::Tcp, 0u16);
        for (&(protocol, port), known) in &self.notable {
            if protocol != next.0 {
                next = (protocol, 0);
            }
            // The service's number and whether another protocol begins share one number.
            put_key(&mut shape, protocol, port - next.1);
            put(&mut shape, known.service.map_or(0, i64::cast_unsigned));
            next.1 = port;
            put(&mut times, known.rtt.map_or(0, |rtt| rtt.saturating_add(1)));
            put(&mut times, known.ttl.map_or(0, |ttl| u64::from(ttl) + 1));
            put(&mut times, zigzag(known.at.wrapping_sub(base)));
        }
        (shape, times)
    }

    /// What [`encode`](Self::encode) wrote; without times, the notable ports have none.
    pub(crate) fn decode(shape: &[u8], times: Option<&[u8]>) -> Result<Self> {
        let mut bytes = Reader(shape);
        let count = bytes.number()?;
        let runs = bytes.runs(count)?;
        let mut notable = BTreeMap::new();
        let mut times = times.map(Reader);
        let base = match &mut times {
            Some(times) if !times.0.is_empty() => unzigzag(times.number()?),
            _ => 0,
        };
        let mut next = (Protocol::Tcp, 0u16);
        while !bytes.0.is_empty() {
            let (protocol, gap) = bytes.key()?;
            if protocol != next.0 {
                next = (protocol, 0);
            }
            next.1 = next.1.checked_add(gap).ok_or_else(broken)?;
            let service = Some(bytes.number()?.cast_signed()).filter(|&service| service != 0);
            let mut known = Notable {
                rtt: None,
                ttl: None,
                at: base,
                service,
            };
            if let Some(times) = &mut times {
                known.rtt = times.number()?.checked_sub(1);
                known.ttl = times
                    .number()?
                    .checked_sub(1)
                    .map(|ttl| u8::try_from(ttl).map_err(|_| broken()))
                    .transpose()?;
                known.at = base.wrapping_add(unzigzag(times.number()?));
            }
            notable.insert(next, known);
        }
        Ok(Self { runs, notable })
    }
}

/// The facts of one batch about one host.
pub(crate) fn encode_facts(facts: &[Fact]) -> Vec<u8> {
    let mut plain: Vec<Run> = Vec::with_capacity(facts.len());
    let mut bytes = Vec::new();
    // Each port is reported once, so order counts only between a port and its service: plain
    // ones may come first, where they are cheapest.
    for fact in facts {
        if let Fact::Run(run) = fact {
            plain.push(*run);
        }
    }
    let plain = normalize(plain);
    put(&mut bytes, plain.len() as u64);
    put_runs(&mut bytes, &plain);
    for fact in facts {
        match *fact {
            Fact::Run(_) => {}
            Fact::Alone(protocol, port, code, known) => {
                bytes.push(code.0);
                put_key(&mut bytes, protocol, port);
                put(&mut bytes, known.rtt.map_or(0, |rtt| rtt.saturating_add(1)));
                put(&mut bytes, known.ttl.map_or(0, |ttl| u64::from(ttl) + 1));
                put(&mut bytes, zigzag(known.at));
                put(&mut bytes, known.service.map_or(0, i64::cast_unsigned));
            }
            Fact::Service(protocol, port, service) => {
                bytes.push(0);
                put_key(&mut bytes, protocol, port);
                put(&mut bytes, service.cast_unsigned());
            }
        }
    }
    bytes
}

/// What [`encode_facts`] wrote.
pub(crate) fn decode_facts(bytes: &[u8]) -> Result<Vec<Fact>> {
    let mut bytes = Reader(bytes);
    let count = bytes.number()?;
    let mut facts: Vec<Fact> = bytes.runs(count)?.into_iter().map(Fact::Run).collect();
    while !bytes.0.is_empty() {
        let code = bytes.byte()?;
        let (protocol, port) = bytes.key()?;
        if code == 0 {
            facts.push(Fact::Service(protocol, port, bytes.number()?.cast_signed()));
            continue;
        }
        let code = Code::from_byte(code).ok_or_else(broken)?;
        let rtt = bytes.number()?.checked_sub(1);
        let ttl = bytes
            .number()?
            .checked_sub(1)
            .map(|ttl| u8::try_from(ttl).map_err(|_| broken()))
            .transpose()?;
        let at = unzigzag(bytes.number()?);
        let service = Some(bytes.number()?.cast_signed()).filter(|&service| service != 0);
        facts.push(Fact::Alone(
            protocol,
            port,
            code,
            Notable {
                rtt,
                ttl,
                at,
                service,
            },
        ));
    }
    Ok(facts)
}

/// Sorts runs and joins those that touch; where they overlap, the later one counts.
pub(crate) fn normalize(mut runs: Vec<Run>) -> Vec<Run> {
    let key = |run: &Run| (run.protocol, run.first);
    let apart = |pair: &[Run]| {
        let [before, after] = pair else { return true };
        before.protocol < after.protocol
            || (before.protocol == after.protocol && before.last < after.first)
    };
    if runs.len() < DENSE {
        if !runs.windows(2).all(apart) {
            let mut sorted = runs.clone();
            sorted.sort_by_key(key);
            if !sorted.windows(2).all(apart) {
                return paint(&runs);
            }
            runs = sorted;
        }
        return join(runs);
    }
    paint(&runs)
}

/// Joins sorted runs that touch and are alike.
fn join(runs: Vec<Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last)
                if last.protocol == run.protocol
                    && last.code == run.code
                    && last.last.checked_add(1) == Some(run.first) =>
            {
                last.last = run.last;
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Draws the runs over one another, in order, and reads off what is to be seen.
fn paint(runs: &[Run]) -> Vec<Run> {
    let mut found = Vec::new();
    for &protocol in Protocol::ALL {
        let mut ports = vec![0u8; 1 << 16];
        for run in runs.iter().filter(|run| run.protocol == protocol) {
            ports[usize::from(run.first)..=usize::from(run.last)].fill(run.code.0);
        }
        let mut first = 0u16;
        for alike in ports.chunk_by(|a, b| a == b) {
            let last = first.wrapping_add(u16::try_from(alike.len() - 1).unwrap_or(u16::MAX));
            if let Some(code) = alike.first().copied().and_then(Code::from_byte) {
                found.push(Run {
                    protocol,
                    first,
                    last,
                    code,
                });
            }
            first = last.wrapping_add(1);
        }
    }
    found
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

/// A port and its protocol in one number.
fn put_key(bytes: &mut Vec<u8>, protocol: Protocol, port: u16) {
    put(
        bytes,
        u64::from(port) << 1 | u64::from(protocol_number(protocol)),
    );
}

fn put_runs(bytes: &mut Vec<u8>, runs: &[Run]) {
    let mut next = (Protocol::Tcp, 0u16);
    for run in runs {
        if run.protocol != next.0 {
            next = (run.protocol, 0);
        }
        bytes.push(run.code.0);
        put_key(bytes, run.protocol, run.first - next.1);
        put(bytes, u64::from(run.last - run.first));
        next.1 = run.last;
    }
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn broken() -> Error {
    Error::damaged("a host's ports", "the bytes end early or are out of range")
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or_else(broken)?;
        self.0 = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(broken())
    }

    fn key(&mut self) -> Result<(Protocol, u16)> {
        let number = self.number()?;
        let port = u16::try_from(number >> 1).map_err(|_| broken())?;
        Ok((protocol_of((number & 1).cast_signed())?, port))
    }

    fn runs(&mut self, count: u64) -> Result<Vec<Run>> {
        let mut runs = Vec::with_capacity(usize::try_from(count.min(1 << 17)).unwrap_or_default());
        let mut next = (Protocol::Tcp, 0u16);
        for _ in 0..count {
            let code = Code::from_byte(self.byte()?).ok_or_else(broken)?;
            let (protocol, gap) = self.key()?;
            if protocol != next.0 {
                next = (protocol, 0);
            }
            let first = next.1.checked_add(gap).ok_or_else(broken)?;
            let more = u16::try_from(self.number()?).map_err(|_| broken())?;
            let last = first.checked_add(more).ok_or_else(broken)?;
            runs.push(Run {
                protocol,
                first,
                last,
                code,
            });
            next.1 = last;
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests;
