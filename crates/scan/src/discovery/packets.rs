//! The packets that look for a host, and the answers to them.

use std::net::IpAddr;

use portolan_model::{PortState, Reason};
use portolan_wire::tcp::{self, Flags};
use portolan_wire::{
    Addresses, Protocol, Quoted, SeqNumber, Verified, icmpv4, icmpv6, ipv4, ipv6, quoted, udp,
};

use super::Look;
use crate::device::Batch;
use crate::syn::{Heard, Secret};
use crate::transport::{Finding, unreachable_means};

/// Datagrams go to one of so many ports from this one on, which the hash chooses: services
/// rarely listen there.
const DATAGRAM_PORTS: (u16, u16) = (40_000, 1 << 14);

/// Who asks, and from which port or as which identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    /// The address that the packet leaves from.
    pub(crate) source: IpAddr,
    /// The port, or the identifier of ICMP.
    pub(crate) own: u16,
    /// What proves the answer.
    pub(crate) secret: Secret,
}

/// What each way hashes beside the address, so that an answer to one proves nothing of another.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Tag {
    Echo = 1,
    Timestamp = 2,
    Ack = 3,
    Datagram = 4,
}

impl Asker {
    fn token(&self, destination: IpAddr, tag: Tag) -> u64 {
        self.secret.token(self.own, destination, tag as u8)
    }
}

/// The lowest 16 bits of a hash.
const fn low(token: u64) -> u16 {
    (token & 0xffff) as u16
}

/// The highest 32 bits of a hash.
const fn high(token: u64) -> u32 {
    (token >> 32) as u32
}

fn datagram_port(token: u64) -> u16 {
    let (first, count) = DATAGRAM_PORTS;
    first + low(token) % count
}

/// Adds the packet that asks `destination` to the batch; nothing for a way that is no packet.
pub(crate) fn write(look: Look, asker: Asker, destination: IpAddr, batch: &mut Batch) {
    let addresses = match (asker.source, destination) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Addresses::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Addresses::V6 { src, dst },
        _ => return,
    };
    let written = match look {
        Look::Echo => echo(asker, destination, &addresses, batch),
        Look::Timestamp => timestamp(asker, destination, &addresses, batch),
        Look::Ack(port) => acknowledgment(asker, destination, port, &addresses, batch),
        Look::Datagram => datagram(asker, destination, &addresses, batch),
        Look::Neighbour | Look::Syn(_) => return,
    };
    if written.is_err() {
        batch.pop();
    }
}

/// Adds a packet of this much payload, writes its IP header, and has the rest written.
pub(crate) fn packet(
    addresses: &Addresses,
    protocol: Protocol,
    len: usize,
    batch: &mut Batch,
    payload: impl FnOnce(&mut [u8]) -> portolan_wire::Result<()>,
) -> portolan_wire::Result<()> {
    match *addresses {
        Addresses::V4 { src, dst } => {
            let header = ipv4::Repr::new(src, dst, protocol, len);
            let bytes = batch.push(ipv4::HEADER_LEN + len);
            header.emit(bytes)?;
            payload(&mut bytes[ipv4::HEADER_LEN..])
        }
        Addresses::V6 { src, dst } => {
            let header = ipv6::Repr::new(src, dst, protocol, len);
            let bytes = batch.push(ipv6::HEADER_LEN + len);
            header.emit(bytes)?;
            payload(&mut bytes[ipv6::HEADER_LEN..])
        }
    }
}

fn echo(
    asker: Asker,
    destination: IpAddr,
    addresses: &Addresses,
    batch: &mut Batch,
) -> portolan_wire::Result<()> {
    let token = asker.token(destination, Tag::Echo);
    let (identifier, sequence, data) = (asker.own, low(token), &token.to_be_bytes());
    if destination.is_ipv4() {
        let message = icmpv4::Repr::new(icmpv4::Message::Echo {
            identifier,
            sequence,
            data,
        });
        packet(addresses, Protocol::ICMP, message.len(), batch, |bytes| {
            message.emit(bytes)
        })
    } else {
        let message = icmpv6::Repr::new(icmpv6::Message::EchoRequest {
            identifier,
            sequence,
            data,
        });
        packet(addresses, Protocol::ICMPV6, message.len(), batch, |bytes| {
            message.emit(addresses, bytes)
        })
    }
}

fn timestamp(
    asker: Asker,
    destination: IpAddr,
    addresses: &Addresses,
    batch: &mut Batch,
) -> portolan_wire::Result<()> {
    let token = asker.token(destination, Tag::Timestamp);
    let message = icmpv4::Repr::new(icmpv4::Message::Timestamp {
        identifier: asker.own,
        sequence: low(token),
        // Sent back as it is, whatever time it claims.
        originate: high(token),
    });
    packet(addresses, Protocol::ICMP, message.len(), batch, |bytes| {
        message.emit(bytes)
    })
}

fn acknowledgment(
    asker: Asker,
    destination: IpAddr,
    port: u16,
    addresses: &Addresses,
    batch: &mut Batch,
) -> portolan_wire::Result<()> {
    let token = asker.token(destination, Tag::Ack);
    let segment = tcp::Repr {
        sequence: SeqNumber(high(!token)),
        // The RST that answers has this as its own number (RFC 9293, 3.5.2).
        acknowledgment: SeqNumber(high(token)),
        window: 1024,
        ..tcp::Repr::new(asker.own, port, Flags::ACK)
    };
    packet(addresses, Protocol::TCP, segment.len(), batch, |bytes| {
        segment.emit(addresses, bytes)
    })
}

fn datagram(
    asker: Asker,
    destination: IpAddr,
    addresses: &Addresses,
    batch: &mut Batch,
) -> portolan_wire::Result<()> {
    let token = asker.token(destination, Tag::Datagram);
    let datagram = udp::Repr {
        src_port: asker.own,
        dst_port: datagram_port(token),
        checksum: portolan_wire::Checksum::Correct,
        payload: &[],
    };
    packet(addresses, Protocol::UDP, datagram.len(), batch, |bytes| {
        datagram.emit(addresses, bytes)
    })
}

/// What a packet says of a host that was looked for, if it proves to be an answer.
pub(crate) fn hear(bytes: &[u8], secret: Secret) -> Option<Heard> {
    match bytes.first()? >> 4 {
        4 => {
            let packet = ipv4::Packet::new(bytes).ok()?;
            if packet.fragmentation().is_fragment() {
                return None;
            }
            let from = IpAddr::V4(packet.source());
            let ttl = packet.ttl().0;
            match packet.protocol() {
                Protocol::ICMP => {
                    let icmp = icmpv4::Packet::new(packet.payload()).ok()?;
                    (icmp.verify() == Verified::Yes).then_some(())?;
                    hear_v4(icmp.message(), from, ttl, secret)
                }
                Protocol::TCP => hear_reset(packet.payload(), packet.addresses(), ttl, secret),
                _ => None,
            }
        }
        6 => {
            let packet = ipv6::Packet::new(bytes).ok()?;
            let upper = packet.upper().ok()?;
            upper.fragment.is_none().then_some(())?;
            let from = IpAddr::V6(packet.source());
            let ttl = packet.hop_limit().0;
            match upper.protocol {
                Protocol::ICMPV6 => {
                    let icmp = icmpv6::Packet::new(upper.payload).ok()?;
                    (icmp.verify(&packet.addresses()) == Verified::Yes).then_some(())?;
                    hear_v6(icmp.message(), from, ttl, secret)
                }
                Protocol::TCP => hear_reset(upper.payload, packet.addresses(), ttl, secret),
                _ => None,
            }
        }
        _ => None,
    }
}

fn hear_v4(message: icmpv4::Message<'_>, from: IpAddr, ttl: u8, secret: Secret) -> Option<Heard> {
    match message {
        icmpv4::Message::EchoReply {
            identifier,
            sequence,
            data,
        } => echo_reply(from, identifier, sequence, data, ttl, secret),
        icmpv4::Message::TimestampReply {
            identifier,
            sequence,
            originate,
            ..
        } => {
            let token = secret.token(identifier, from, Tag::Timestamp as u8);
            let proves = sequence == low(token) && originate == high(token);
            let finding = Finding::Host(Reason::TimestampReply);
            proves.then(|| Heard::of_host(from, identifier, ttl, finding))
        }
        icmpv4::Message::DestinationUnreachable { code, quoted, .. } => {
            unreachable(false, 3, code, quoted, from, ttl, secret)
        }
        _ => None,
    }
}

fn hear_v6(message: icmpv6::Message<'_>, from: IpAddr, ttl: u8, secret: Secret) -> Option<Heard> {
    match message {
        icmpv6::Message::EchoReply {
            identifier,
            sequence,
            data,
        } => echo_reply(from, identifier, sequence, data, ttl, secret),
        icmpv6::Message::DestinationUnreachable { code, quoted } => {
            unreachable(true, 1, code, quoted, from, ttl, secret)
        }
        _ => None,
    }
}

fn echo_reply(
    from: IpAddr,
    identifier: u16,
    sequence: u16,
    data: &[u8],
    ttl: u8,
    secret: Secret,
) -> Option<Heard> {
    let token = secret.token(identifier, from, Tag::Echo as u8);
    let proves = sequence == low(token) && data == token.to_be_bytes();
    proves.then(|| Heard::of_host(from, identifier, ttl, Finding::Host(Reason::EchoReply)))
}

/// A RST that answers an ACK: it has the number that was acknowledged.
fn hear_reset(payload: &[u8], addresses: Addresses, ttl: u8, secret: Secret) -> Option<Heard> {
    let segment = tcp::Packet::new(payload).ok()?;
    let (from, own) = (addresses.src(), segment.destination_port());
    let expected = SeqNumber(high(secret.token(own, from, Tag::Ack as u8)));
    let is_reset = segment.flags().contains(Flags::RST);
    let proves = is_reset && segment.sequence_number() == expected;
    proves.then(|| Heard::of_host(from, own, ttl, Finding::Host(Reason::Reset)))
}

/// An ICMP error about a packet that looked for a host.
///
/// What the host itself sends shows that it is there. What another sends shows at most that it
/// is not.
fn unreachable(
    v6: bool,
    kind: u8,
    code: u8,
    quoted: &[u8],
    from: IpAddr,
    ttl: u8,
    secret: Secret,
) -> Option<Heard> {
    let quoted = Quoted::parse(quoted).ok()?;
    let address = quoted.addresses.dst();
    let (own, is_proven) = match quoted.transport {
        quoted::Transport::Udp { src_port, dst_port } => {
            let token = secret.token(src_port, address, Tag::Datagram as u8);
            (src_port, dst_port == datagram_port(token))
        }
        quoted::Transport::Icmp {
            identifier,
            sequence,
            ..
        } => {
            let of = |tag: Tag| low(secret.token(identifier, address, tag as u8));
            let is_one = sequence == of(Tag::Echo) || sequence == of(Tag::Timestamp);
            (identifier, is_one)
        }
        quoted::Transport::Tcp {
            src_port, sequence, ..
        } => {
            let token = secret.token(src_port, address, Tag::Ack as u8);
            (src_port, sequence == SeqNumber(high(!token)))
        }
        quoted::Transport::Other => return None,
    };
    is_proven.then_some(())?;
    let Finding::Port(_, reason) = unreachable_means(v6, kind, code)? else {
        return None;
    };
    let by_host = from == address;
    Some(Heard {
        by_host,
        finding: if by_host {
            Finding::Host(reason)
        } else {
            Finding::Port(PortState::Filtered, reason)
        },
        ..Heard::of_host(address, own, ttl, Finding::Host(reason))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = Secret(7, 11);

    fn asker(v6: bool) -> (Asker, IpAddr) {
        let (source, destination): (&str, &str) = if v6 {
            ("2001:db8::1", "2001:db8::2")
        } else {
            ("192.0.2.1", "192.0.2.2")
        };
        let asker = Asker {
            source: source.parse().unwrap(),
            own: 61_234,
            secret: SECRET,
        };
        (asker, destination.parse().unwrap())
    }

    fn written(look: Look, v6: bool) -> Vec<u8> {
        let (asker, destination) = asker(v6);
        let mut batch = Batch::new();
        write(look, asker, destination, &mut batch);
        assert_eq!(batch.len(), 1, "{look:?}");
        batch.get(0).unwrap().to_vec()
    }

    /// What the host answers to a request of ICMP over IPv4.
    fn answered(look: Look) -> Vec<u8> {
        let asked = written(look, false);
        let asked = ipv4::Packet::new(&asked[..]).unwrap();
        let icmp = icmpv4::Packet::new(asked.payload()).unwrap();
        let message = match icmp.message() {
            icmpv4::Message::Echo {
                identifier,
                sequence,
                data,
            } => icmpv4::Message::EchoReply {
                identifier,
                sequence,
                data,
            },
            icmpv4::Message::Timestamp {
                identifier,
                sequence,
                originate,
            } => icmpv4::Message::TimestampReply {
                identifier,
                sequence,
                originate,
                receive: 1,
                transmit: 2,
            },
            other => panic!("{other:?}"),
        };
        let message = icmpv4::Repr::new(message);
        let addresses = Addresses::V4 {
            src: asked.destination(),
            dst: asked.source(),
        };
        let mut batch = Batch::new();
        packet(
            &addresses,
            Protocol::ICMP,
            message.len(),
            &mut batch,
            |bytes| message.emit(bytes),
        )
        .unwrap();
        batch.get(0).unwrap().to_vec()
    }

    #[test]
    fn the_answers_to_echo_and_timestamp_prove_themselves() {
        for (look, reason) in [
            (Look::Echo, Reason::EchoReply),
            (Look::Timestamp, Reason::TimestampReply),
        ] {
            let heard = hear(&answered(look), SECRET).unwrap();
            assert_eq!(heard.finding, Finding::Host(reason));
            assert_eq!((heard.own, heard.by_host), (61_234, true));
            assert!(hear(&answered(look), Secret(7, 12)).is_none());
        }
    }

    #[test]
    fn the_answer_of_another_address_proves_nothing() {
        let mut answer = answered(Look::Echo);
        // The last octet of its source, and the header's sum along with it.
        answer[15] ^= 1;
        assert!(hear(&answer, SECRET).is_none());
    }

    #[test]
    fn a_reset_that_answers_an_ack_has_its_number() {
        for v6 in [false, true] {
            let (asker, destination) = asker(v6);
            let number = high(asker.token(destination, Tag::Ack));
            let addresses = match (destination, asker.source) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => Addresses::V4 { src, dst },
                (IpAddr::V6(src), IpAddr::V6(dst)) => Addresses::V6 { src, dst },
                other => panic!("{other:?}"),
            };
            let reset = |number: u32| {
                let segment = tcp::Repr {
                    sequence: SeqNumber(number),
                    ..tcp::Repr::new(80, 61_234, Flags::RST)
                };
                let mut batch = Batch::new();
                packet(
                    &addresses,
                    Protocol::TCP,
                    segment.len(),
                    &mut batch,
                    |bytes| segment.emit(&addresses, bytes),
                )
                .unwrap();
                batch.get(0).unwrap().to_vec()
            };
            let heard = hear(&reset(number), SECRET).unwrap();
            assert_eq!(heard.finding, Finding::Host(Reason::Reset));
            assert!(hear(&reset(number ^ 1), SECRET).is_none());
        }
    }

    #[test]
    fn an_unreachable_port_is_a_host_if_the_host_says_so_itself() {
        let asked = written(Look::Datagram, false);
        let (asks, destination) = asker(false);
        for (from, by_host) in [(destination, true), ("192.0.2.9".parse().unwrap(), false)] {
            let (IpAddr::V4(src), IpAddr::V4(dst)) = (from, asks.source) else {
                panic!("IPv4 was asked");
            };
            let message = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
                code: 3,
                next_hop_mtu: 0,
                quoted: &asked,
            });
            let mut batch = Batch::new();
            let addresses = Addresses::V4 { src, dst };
            packet(
                &addresses,
                Protocol::ICMP,
                message.len(),
                &mut batch,
                |bytes| message.emit(bytes),
            )
            .unwrap();
            let heard = hear(batch.get(0).unwrap(), SECRET).unwrap();
            assert_eq!((heard.address, heard.by_host), (destination, by_host));
            let is_host = matches!(heard.finding, Finding::Host(Reason::PortUnreach));
            assert_eq!(is_host, by_host);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_find_a_host(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(hear(&bytes, SECRET).is_none());
        }

        #[test]
        fn a_flipped_bit_of_an_answer_finds_no_other_host(bit in 0_usize..36 * 8) {
            let mut answer = answered(Look::Echo);
            answer[bit / 8] ^= 1 << (bit % 8);
            if let Some(heard) = hear(&answer, SECRET) {
                prop_assert_eq!(heard.address, asker(false).1);
            }
        }
    }
}
