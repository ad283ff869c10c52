//! Asking by datagrams: what is sent to a UDP port, and what proves an answer.
//!
//! A datagram has no sequence number to prove its answer by. So the port that it leaves from is
//! turned by a keyed hash of where it goes: an answer has to come from the port that was asked to
//! the one port of ours that this question left from, and within seconds. An ICMP error has to
//! quote both.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portolan_model::{PortSet, Protocol, services};
use portolan_wire::{Addresses, Checksum, udp};

use crate::device::Batch;
use crate::discovery;
use crate::syn::{SOURCE_PORTS, Secret};
use crate::transport::Questions;

/// An answer that comes later is none.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// More of an answer is not kept: what a service is shows at its beginning.
pub(crate) const KEPT_BYTES: usize = 1472;

/// So many questions are asked of one port at the most: each costs a closed port an ICMP error,
/// of which its host sends few.
const MOST: usize = 6;

/// What a port is asked of which nothing is known. Services that take lines answer to it, and no
/// server takes it for the end of a stream, as some do an empty datagram.
const ANY: &[u8] = b"\r\n\r\n";

/// Ports whose first question is asked of others too where nothing else fits, and then their second:
/// of services that are often moved, the likeliest first.
const ELSEWHERE: [u16; 8] = [53, 123, 161, 3_478, 5_060, 443, 500, 1_194];

/// With no more ports than this, several of these questions are asked at once: where a host tells
/// of one closed port a second, most ports would be asked none of them else. With more it would be
/// that many packets more on the way.
const FEW_PORTS: usize = 4_096;

/// Sets the datagrams' keyed hash apart from those of packets that look for hosts.
const TAG: u8 = 0x75;

/// A question, and the ports where it is likely to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The ports.
    pub ports: PortSet,
    /// What is sent; `${host}` and `${port}` stand for the target's.
    pub message: Vec<u8>,
}

/// What each UDP port is asked. Copies share it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payloads {
    inner: Arc<BTreeMap<u16, Vec<Arc<[u8]>>>>,
    /// What a port that has no question of its own is asked when it stays silent.
    elsewhere: Arc<[Arc<[u8]>]>,
    /// So many of these, and one more, at once.
    more: usize,
}

impl Payloads {
    /// These, each at its ports in the order in which they are given; a port is asked no message
    /// twice, and no more than six.
    pub fn new(payloads: impl IntoIterator<Item = Payload>) -> Self {
        let mut by_port: BTreeMap<u16, Vec<Arc<[u8]>>> = BTreeMap::new();
        for Payload { ports, message } in payloads {
            let message: Arc<[u8]> = message.into();
            for port in ports.iter() {
                let known = by_port.entry(port).or_default();
                if known.len() < MOST && !known.contains(&message) {
                    known.push(Arc::clone(&message));
                }
            }
        }
        let mut elsewhere: Vec<Arc<[u8]>> = Vec::new();
        for place in 0..2 {
            let of = |port| by_port.get(port).and_then(|known| known.get(place));
            for message in ELSEWHERE.iter().filter_map(of) {
                if !elsewhere.contains(message) {
                    elsewhere.push(Arc::clone(message));
                }
            }
        }
        Self {
            elsewhere: elsewhere.into(),
            inner: Arc::new(by_port),
            more: 0,
        }
    }

    /// The same where so many ports are asked.
    #[must_use]
    pub(crate) fn for_ports(mut self, ports: usize) -> Self {
        self.more = if ports <= FEW_PORTS { MOST - 1 } else { 0 };
        self
    }

    /// The ports that have a question of their own, those that are found open most often first.
    pub fn ports(&self) -> Vec<u16> {
        let ranked = services::ranked(Protocol::Udp);
        let first = ranked.iter().filter(|port| self.inner.contains_key(port));
        let rest = self.inner.keys().filter(|port| !ranked.contains(port));
        first.chain(rest).copied().collect()
    }

    /// What a port is asked.
    pub(crate) fn of(&self, port: u16, which: Questions) -> impl Iterator<Item = &[u8]> {
        let own = self.inner.get(&port).map_or(&[][..], Vec::as_slice);
        let chosen = match which {
            Questions::All | Questions::Again(_) => 0..own.len(),
            Questions::One(turn) => {
                let at = turn as usize % own.len().max(1);
                at..(at + 1).min(own.len())
            }
        };
        let turns = match which {
            _ if !own.is_empty() => 0..0,
            Questions::All => 0..1,
            Questions::Again(turn) => {
                let first = turn as usize * (self.more + 1);
                first..first + (self.more + 1).min(self.elsewhere.len().max(1))
            }
            // Behind those that were asked at once.
            Questions::One(turn) => {
                let at = turn as usize + self.more;
                at..at + 1
            }
        };
        let any = turns.map(move |turn| {
            let at = turn % (self.elsewhere.len() + 1);
            let other = self.elsewhere.get(at).filter(|_| which != Questions::All);
            other.map_or(ANY, |message| message)
        });
        own[chosen].iter().map(|message| &**message).chain(any)
    }
}

/// A message with the target in its places.
fn filled(message: &[u8], address: IpAddr, port: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut rest = message;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"${host}") {
            out.extend_from_slice(address.to_string().as_bytes());
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"${port}") {
            out.extend_from_slice(port.to_string().as_bytes());
            rest = after;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// How far the source port of a question is turned.
fn turned(secret: Secret, of: usize, address: IpAddr, port: u16) -> usize {
    let hash = secret.token(port, address, TAG);
    usize::try_from(hash % of.max(1) as u64).unwrap_or(0)
}

/// The port that a question leaves from in the moment at `place` of so many.
pub(crate) fn source_port(
    secret: Secret,
    (place, of): (usize, usize),
    address: IpAddr,
    port: u16,
) -> u16 {
    let turned = (place + turned(secret, of, address, port)) % of.max(1);
    SOURCE_PORTS.start() + u16::try_from(turned).unwrap_or(0)
}

/// The place of the moment, of so many, that a question to `address` and `port` left in, by the
/// port that it left from: the inverse of [`source_port`].
pub(crate) fn place(
    secret: Secret,
    of: usize,
    own: u16,
    (address, port): (IpAddr, u16),
) -> Option<usize> {
    let at = usize::from(own.checked_sub(*SOURCE_PORTS.start())?);
    (at < of).then(|| (at + of - turned(secret, of, address, port)) % of)
}

/// Adds the datagram that carries `message` to the batch.
pub(crate) fn write(addresses: &Addresses, ports: (u16, u16), message: &[u8], batch: &mut Batch) {
    let payload = filled(message, addresses.dst(), ports.1);
    let datagram = udp::Repr {
        src_port: ports.0,
        dst_port: ports.1,
        checksum: Checksum::Correct,
        payload: &payload,
    };
    let protocol = portolan_wire::Protocol::UDP;
    let written = discovery::packet(addresses, protocol, datagram.len(), batch, |bytes| {
        datagram.emit(addresses, bytes)
    });
    if written.is_err() {
        batch.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(ports: &str, message: &[u8]) -> Payload {
        Payload {
            ports: ports.parse().unwrap(),
            message: message.to_vec(),
        }
    }

    fn asked(payloads: &Payloads, port: u16, which: Questions) -> Vec<Vec<u8>> {
        payloads.of(port, which).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn a_port_is_asked_each_of_its_questions_and_another_port_one_that_any_may_answer() {
        let payloads = Payloads::new([payload("53,161", b"a"), payload("161", b"b")]);
        assert_eq!(asked(&payloads, 161, Questions::All), [b"a", b"b"]);
        assert_eq!(asked(&payloads, 161, Questions::One(3)), [b"b"]);
        assert_eq!(asked(&payloads, 53, Questions::One(3)), [b"a"]);
        assert_eq!(asked(&payloads, 54, Questions::All), [ANY]);
        assert_eq!(asked(&payloads, 54, Questions::One(8)), [ANY]);
    }

    #[test]
    fn a_port_that_stays_silent_is_asked_in_turn_what_moved_services_answer_to() {
        let payloads = Payloads::new([
            payload("123", b"time"),
            payload("53", b"name"),
            payload("53", b"other"),
            payload("9999", b"rare"),
        ]);
        let odd = |which| asked(&payloads, 54, which);
        assert_eq!(odd(Questions::All), [ANY]);
        assert_eq!(odd(Questions::Again(0)), [b"name"]);
        assert_eq!(odd(Questions::Again(1)), [b"time"]);
        assert_eq!(odd(Questions::One(2)), [b"other".to_vec()]);
        assert_eq!(odd(Questions::One(3)), [ANY]);
        assert_eq!(odd(Questions::One(4)), [b"name"]);
        let own = asked(&payloads, 53, Questions::Again(1));
        assert_eq!(own, [b"name".to_vec(), b"other".to_vec()]);
    }

    #[test]
    fn of_few_ports_each_is_asked_at_once_what_services_that_are_often_moved_answer_to() {
        let ports = ["53", "123", "161", "3478", "5060", "443", "500"];
        let each = ports.iter().map(|port| payload(port, port.as_bytes()));
        let second = payload("53", b"second");
        let payloads = Payloads::new(each.chain([second]));
        let few = payloads.clone().for_ports(1_000);
        let again = asked(&few, 20_000, Questions::Again(0));
        let wanted = ["53", "123", "161", "3478", "5060", "443"];
        assert_eq!(again, wanted.map(|port| port.as_bytes().to_vec()));
        let next = asked(&few, 20_000, Questions::Again(1));
        assert_eq!(next[..2], [b"500".to_vec(), b"second".to_vec()]);
        assert_eq!(asked(&few, 20_000, Questions::All), [ANY]);
        assert_eq!(asked(&few, 53, Questions::Again(0)).len(), 2);
        let many = payloads.for_ports(65_535);
        assert_eq!(asked(&many, 20_000, Questions::Again(0)).len(), 1);
    }

    #[test]
    fn no_port_is_asked_a_question_twice_or_more_than_six() {
        let many = (0..9).map(|number| payload("500", &[number]));
        let twice = Payloads::new(many.chain([payload("53", b"a"), payload("53", b"a")]));
        assert_eq!(asked(&twice, 500, Questions::All).len(), MOST);
        assert_eq!(asked(&twice, 53, Questions::All), [b"a"]);
    }

    #[test]
    fn ports_that_are_found_open_more_often_come_first() {
        let payloads = Payloads::new([payload("1,53,9999,161", b"a")]);
        assert_eq!(payloads.ports(), [161, 53, 1, 9999]);
    }

    #[test]
    fn the_target_stands_in_its_places() {
        let address = "192.0.2.7".parse().unwrap();
        assert_eq!(
            filled(b"sip:${host}:${port} $", address, 5060),
            b"sip:192.0.2.7:5060 $"
        );
    }

    proptest! {
        #[test]
        fn a_source_port_leads_back_to_its_moment(
            key: (u64, u64), of in 2..4096_usize, chance: usize, address: IpAddr, port: u16,
        ) {
            let secret = Secret(key.0, key.1);
            let at = chance % of;
            let own = source_port(secret, (at, of), address, port);
            prop_assert!(SOURCE_PORTS.contains(&own));
            prop_assert_eq!(place(secret, of, own, (address, port)), Some(at));
        }

        #[test]
        fn a_port_that_no_question_leaves_from_leads_nowhere(
            own: u16, address: IpAddr, port: u16,
        ) {
            let found = place(Secret(1, 2), 100, own, (address, port));
            prop_assert_eq!(found.is_some(), (61_000..61_100).contains(&own));
        }
    }
}
