//! What is asked of a link to find the hosts of its networks of IPv6, and what the answers show.
//!
//! A state machine: time and packets are passed in, packets are handed out. Everyone is asked at
//! once, by echo requests to all nodes (RFC 4291, 2.7.1) and by such with an option that nobody
//! knows: those who ignore the first must tell of the second (RFC 8200, 4.2). Who answers neither
//! may still report what groups it listens to (`reports.rs`). Who answers shows a
//! MAC address and the second half of its addresses; those and what else is known of MAC addresses
//! make addresses that are asked for one by one (RFC 4291, appendix A).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use portolan_wire::{Addresses, MacAddress, Protocol, Verified, icmpv6, ipv6};

use super::reports::{query, reporter};
use crate::solicit::{Asker, question, read_advertisement};

/// Where all nodes of a link listen (RFC 4291, 2.7.1).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// When everyone is asked: several times, since whoever is asked at once answers at once, and a
/// wireless link does not repeat what is lost.
const ASK_ALL: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(550),
    Duration::from_secs(1),
];

/// Of these questions to everyone, how many ask for the groups that hosts listen to as well.
const QUERIES: usize = 3;

/// When a single address is asked for: so long after it was thought of, or asked for last.
const ASK_ONE: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(350),
];

/// How long the last question is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// It is over then, whatever may still come.
const LONGEST: Duration = Duration::from_millis(2_500);

/// Hosts that are found, halves of addresses that are remembered, and addresses that are asked
/// for, at the most: a hostile link makes up as many as it likes.
const MOST_FOUND: usize = 1 << 14;
const MOST_SEEDS: usize = 1 << 10;
const MOST_ASKED: usize = 1 << 12;

/// Packets that are handed out at once.
const BATCH: usize = 64;

/// An option that nobody knows and that is not to be passed over: whoever meets it tells of it,
/// also where the packet went to many (RFC 8200, 4.2: the highest bits are 10).
const STRANGE_OPTION: u8 = 0x9e;

/// Destination options (RFC 8200, 4.6).
const DESTINATION_OPTIONS: Protocol = Protocol(60);

/// Parameter problem, and its code for an unknown option (RFC 4443, 3.4).
const PARAMETER_PROBLEM: u8 = 4;
const UNKNOWN_OPTION: u8 = 2;

/// Bytes of the header with the option.
const OPTIONS_LEN: usize = 8;

/// A packet without link header, and whom it goes to on the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) to: MacAddress,
    pub(crate) bytes: Vec<u8>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) mac: MacAddress,
    /// The addresses that are asked from, each for the networks that it is in.
    pub(crate) addresses: Vec<Ipv6Addr>,
}

/// Looks for hosts of which `wanted` says yes.
pub(crate) struct Gathering<'a> {
    wanted: &'a dyn Fn(Ipv6Addr) -> bool,
    own: Own,
    /// The first halves of addresses that are wanted.
    networks: Vec<u64>,
    /// What proves an answer to everyone's question.
    token: u64,
    rounds: usize,
    found: BTreeSet<Ipv6Addr>,
    seeds: BTreeSet<u64>,
    /// Addresses that are asked for, with how often they were.
    asked: HashMap<Ipv6Addr, usize>,
    /// When each is asked next, the soonest first within each number of times.
    due: [VecDeque<(Duration, Ipv6Addr)>; ASK_ONE.len()],
    last: Duration,
}

impl<'a> Gathering<'a> {
    pub(crate) fn new(
        wanted: &'a dyn Fn(Ipv6Addr) -> bool,
        own: Own,
        networks: &[Ipv6Addr],
        token: u64,
    ) -> Self {
        let mut gathering = Self {
            wanted,
            networks: networks.iter().map(|network| halves(*network).0).collect(),
            token,
            rounds: 0,
            found: BTreeSet::new(),
            seeds: BTreeSet::new(),
            asked: HashMap::new(),
            due: Default::default(),
            last: Duration::ZERO,
            own,
        };
        gathering.networks.sort_unstable();
        gathering.networks.dedup();
        gathering
    }

    /// The hosts that are there.
    pub(crate) fn found(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.found.iter().copied()
    }

    /// A host is there: it said so itself.
    pub(crate) fn is_there(&mut self, address: Ipv6Addr, now: Duration) {
        if (self.wanted)(address) && self.found.len() < MOST_FOUND {
            self.found.insert(address);
        }
        self.seed(halves(address).1, now);
    }

    /// A host may be there: it is asked.
    pub(crate) fn may_be_there(&mut self, address: Ipv6Addr, now: Duration) {
        self.think_of(address, now);
        self.seed(halves(address).1, now);
    }

    /// Something with this MAC address is on the link.
    pub(crate) fn has_mac(&mut self, mac: MacAddress, now: Duration) {
        if mac.is_unicast() && mac != self.own.mac {
            self.seed(interface_identifier(mac), now);
        }
    }

    /// The second half of an address of this link.
    fn seed(&mut self, identifier: u64, now: Duration) {
        if identifier == 0 || self.seeds.len() >= MOST_SEEDS || !self.seeds.insert(identifier) {
            return;
        }
        for network in self.networks.clone() {
            let bits = (u128::from(network) << 64) | u128::from(identifier);
            self.think_of(Ipv6Addr::from_bits(bits), now);
        }
    }

    fn think_of(&mut self, address: Ipv6Addr, now: Duration) {
        let is_new = !self.found.contains(&address) && !self.asked.contains_key(&address);
        let is_own = self.own.addresses.contains(&address);
        if is_new && !is_own && (self.wanted)(address) && self.asked.len() < MOST_ASKED {
            self.asked.insert(address, 0);
            self.due[0].push_back((now, address));
        }
    }

    /// What is to be sent now, some of it.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if ASK_ALL.get(self.rounds).is_some_and(|at| now >= *at) {
            self.rounds += 1;
            self.last = now;
            for source in self.own.addresses.clone() {
                out.extend(echo(source, self.token, false));
                out.extend(echo(source, self.token, true));
                if self.rounds <= QUERIES {
                    out.extend(query(source));
                }
            }
        }
        for times in 0..self.due.len() {
            while out.len() < BATCH
                && let Some(&(at, address)) = self.due[times].front()
                && now >= at
            {
                self.due[times].pop_front();
                if self.found.contains(&address) {
                    continue;
                }
                let source = self.source_for(address);
                let asker = source.map(|source| Asker {
                    mac: self.own.mac,
                    address: source.into(),
                });
                if let Some(Ok(question)) = asker.map(|asker| question(asker, address.into())) {
                    out.push(Outgoing {
                        to: question.to,
                        bytes: question.bytes,
                    });
                }
                self.last = now;
                if let (Some(gap), Some(due)) =
                    (ASK_ONE.get(times + 1), self.due.get_mut(times + 1))
                {
                    due.push_back((now + *gap, address));
                }
            }
        }
        out
    }

    /// Addresses to be asked for now, where the system asks: each is handed out once.
    pub(crate) fn thought_of(&mut self, now: Duration) -> Vec<Ipv6Addr> {
        let mut out = Vec::new();
        while out.len() < BATCH
            && let Some(&(at, address)) = self.due[0].front()
            && now >= at
        {
            self.due[0].pop_front();
            out.push(address);
        }
        out
    }

    /// The address to ask another from: one of the same network, else of the same scope.
    fn source_for(&self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        let mut own = self.own.addresses.iter().copied();
        let same_network = own.clone().find(|own| halves(*own).0 == halves(address).0);
        let is_alike =
            |own: &Ipv6Addr| own.is_unicast_link_local() == address.is_unicast_link_local();
        same_network.or_else(|| own.find(is_alike))
    }

    /// When there is something to send, or the end.
    pub(crate) fn next_due(&self) -> Duration {
        let one = self.due.iter().filter_map(|due| due.front());
        let one = one.map(|(at, _)| *at);
        let all = ASK_ALL.get(self.rounds).copied();
        one.chain(all).min().unwrap_or(self.last + PATIENCE)
    }

    /// Whether nothing more is to be expected.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        let is_asked = self.rounds == ASK_ALL.len() && self.due.iter().all(VecDeque::is_empty);
        now >= LONGEST || (is_asked && now >= self.last + PATIENCE)
    }

    /// Takes an IP packet that came over the link, from `mac`.
    pub(crate) fn hear(&mut self, bytes: &[u8], mac: Option<MacAddress>, now: Duration) {
        if let Some((IpAddr::V6(address), told)) = read_advertisement(bytes, mac) {
            // Only what was asked for: others say what they like.
            if self.asked.contains_key(&address) {
                self.is_there(address, now);
                self.has_mac(told, now);
            }
            return;
        }
        if let Some(address) = reporter(bytes) {
            self.may_be_there(address, now);
            if let Some(mac) = mac {
                self.has_mac(mac, now);
            }
            return;
        }
        if let Some(address) = self.answers_all(bytes) {
            self.is_there(address, now);
            if let Some(mac) = mac {
                self.has_mac(mac, now);
            }
        }
    }

    /// Who sent this answer to everyone's question, if it is one.
    fn answers_all(&self, bytes: &[u8]) -> Option<Ipv6Addr> {
        let packet = ipv6::Packet::new(bytes).ok()?;
        let upper = packet.upper().ok()?;
        (upper.protocol == Protocol::ICMPV6 && upper.fragment.is_none()).then_some(())?;
        let message = icmpv6::Packet::new(upper.payload).ok()?;
        (message.verify(&packet.addresses()) == Verified::Yes).then_some(())?;
        let token = self.token.to_be_bytes();
        let proves = match message.message() {
            icmpv6::Message::EchoReply { data, .. } => data == token,
            icmpv6::Message::Other {
                message_type: PARAMETER_PROBLEM,
                code: UNKNOWN_OPTION,
                data,
                ..
            } => {
                let at = ipv6::HEADER_LEN + OPTIONS_LEN + icmpv6::HEADER_LEN;
                data.get(at..at + token.len()) == Some(&token[..])
            }
            _ => false,
        };
        let from = packet.source();
        let is_host = !from.is_multicast() && !from.is_unspecified();
        (proves && is_host).then_some(from)
    }
}

/// An echo request to everyone; `strange` with an option that nobody knows before it.
fn echo(source: Ipv6Addr, token: u64, strange: bool) -> Option<Outgoing> {
    let data = token.to_be_bytes();
    let message = icmpv6::Repr::new(icmpv6::Message::EchoRequest {
        identifier: u16::from_be_bytes([data[0], data[1]]),
        sequence: u16::from(strange),
        data: &data,
    });
    let before = if strange { OPTIONS_LEN } else { 0 };
    let next = if strange {
        DESTINATION_OPTIONS
    } else {
        Protocol::ICMPV6
    };
    let header = ipv6::Repr::new(source, ALL_NODES, next, before + message.len());
    let mut bytes = vec![0; ipv6::HEADER_LEN + before + message.len()];
    header.emit(&mut bytes).ok()?;
    let addresses = Addresses::V6 {
        src: source,
        dst: ALL_NODES,
    };
    let (options, echo) = bytes.get_mut(ipv6::HEADER_LEN..)?.split_at_mut(before);
    if strange {
        // What follows, 8 bytes in all, the option, and its 4 bytes of nothing.
        options[..4].copy_from_slice(&[Protocol::ICMPV6.0, 0, STRANGE_OPTION, 4]);
    }
    message.emit(&addresses, echo).ok()?;
    Some(Outgoing {
        to: MacAddress::ipv6_multicast(ALL_NODES),
        bytes,
    })
}

/// The identifier that an interface with this MAC address makes of it (RFC 4291, appendix A).
pub(crate) fn interface_identifier(mac: MacAddress) -> u64 {
    // The bit that says who gave it is turned; the two in the middle say what it was made of.
    let mut identifier = [0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    identifier[..3].copy_from_slice(&mac.0[..3]);
    identifier[5..].copy_from_slice(&mac.0[3..]);
    identifier[0] ^= 2;
    u64::from_be_bytes(identifier)
}

/// The network and the identifier of an address.
fn halves(address: Ipv6Addr) -> (u64, u64) {
    let [network, identifier] = [address.to_bits() >> 64, address.to_bits()];
    #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
    let halves = (network as u64, identifier as u64);
    halves
}

#[cfg(test)]
mod tests;
