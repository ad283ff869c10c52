//! Whole scans on a network that means no good.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use jiff::Timestamp;
use portolan_model::event::Outcome;
use portolan_model::{Reason, ScanRecord, Target};
use portolan_wire::tcp::{self, Flags};
use portolan_wire::{Addresses, Protocol as Carried, SeqNumber, icmpv4, ipv4};

use super::*;
use crate::device::{Hand, MemoryDevice};
use crate::permutation::mix;

const US: [u8; 4] = [192, 0, 2, 1];

fn request(targets: &str, ports: &str, discovery: Discovery) -> Request {
    let target: Target = targets.parse().unwrap();
    Request {
        addresses: target.addresses().unwrap(),
        ports: ports.parse().unwrap(),
        techniques: vec![Technique::Syn],
        pace: portolan_model::spec::Pace::default(),
        discovery,
        seed: 1,
        settled: BTreeMap::new(),
        shard: None,
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: None,
        payloads: crate::udp::Payloads::default(),
        from: portolan_model::event::Reached::default(),
    }
}

/// An IPv4 packet that holds this segment.
fn segment(addresses: Addresses, segment: tcp::Repr<'_>) -> Vec<u8> {
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (addresses.src(), addresses.dst()) else {
        panic!("IPv4 alone");
    };
    let header = ipv4::Repr::new(src, dst, Carried::TCP, segment.len());
    let mut bytes = vec![0; ipv4::HEADER_LEN + segment.len()];
    header.emit(&mut bytes).unwrap();
    segment
        .emit(&addresses, &mut bytes[ipv4::HEADER_LEN..])
        .unwrap();
    bytes
}

/// What a host with these open ports answers.
fn honest(packet: &[u8], open: &BTreeSet<u16>) -> Option<Vec<u8>> {
    let packet = ipv4::Packet::new(packet).ok()?;
    let asked = tcp::Packet::new(packet.payload()).ok()?;
    if asked.flags() != Flags::SYN || packet.protocol() != Carried::TCP {
        return None;
    }
    let flags = if open.contains(&asked.destination_port()) {
        Flags::SYN_ACK
    } else {
        Flags::RST_ACK
    };
    let answer = tcp::Repr {
        sequence: SeqNumber(77),
        acknowledgment: SeqNumber(asked.sequence_number().0.wrapping_add(1)),
        ..tcp::Repr::new(asked.destination_port(), asked.source_port(), flags)
    };
    Some(segment(packet.addresses().reversed(), answer))
}

/// Forgeries that a packet provokes: answers with other numbers, of other ports and hosts, cut
/// short and with flipped bits, and errors that quote what was never sent.
fn forged(packet: &[u8], honest: &[u8], chance: &mut u64) -> Vec<Vec<u8>> {
    let mut next = || {
        *chance = mix(chance.wrapping_add(1));
        *chance
    };
    let Ok(asked) = ipv4::Packet::new(packet) else {
        return Vec::new();
    };
    let Ok(probe) = tcp::Packet::new(asked.payload()) else {
        return Vec::new();
    };
    let back = asked.addresses().reversed();
    let mut all = Vec::new();
    for flags in [Flags::SYN_ACK, Flags::RST_ACK, Flags::RST, Flags::ACK] {
        let mut number = || {
            let [first, second, third, fourth, ..] = next().to_be_bytes();
            u32::from_be_bytes([first, second, third, fourth])
        };
        let port = u16::try_from(number() >> 16).unwrap_or(0);
        let forgery = tcp::Repr {
            sequence: SeqNumber(number()),
            acknowledgment: SeqNumber(number()),
            ..tcp::Repr::new(port, probe.source_port(), flags)
        };
        all.push(segment(back, forgery));
    }
    let cut = usize::try_from(next()).unwrap_or(0) % honest.len();
    all.push(honest[..cut].to_vec());
    let mut flipped = honest.to_vec();
    let bit = usize::try_from(next() % (honest.len() as u64 * 8)).unwrap_or(0);
    flipped[bit / 8] ^= 1 << (bit % 8);
    // One in the addresses or numbers only: what the checksum does not hold is dropped anyway.
    all.push(flipped);
    let mut quoted = packet.to_vec();
    let last = quoted.len().min(28) - 1;
    quoted[last] ^= 0x55;
    let error = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
        code: 13,
        next_hop_mtu: 0,
        quoted: &quoted,
    });
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (back.src(), back.dst()) else {
        return all;
    };
    let header = ipv4::Repr::new(src, dst, Carried::ICMP, error.len());
    let mut bytes = vec![0; ipv4::HEADER_LEN + error.len()];
    header.emit(&mut bytes).unwrap();
    error.emit(&mut bytes[ipv4::HEADER_LEN..]).unwrap();
    all.push(bytes);
    all.push((0..next() % 60).map(|_| next().to_be_bytes()[0]).collect());
    all
}

fn run(request: &Request, device: MemoryDevice, clock: impl Clock + Clone) -> ScanRecord {
    let mut record = ScanRecord::new("", "");
    let mut sink = |event: ScanEvent| record.apply(&event);
    run_syn(request, device, clock, &Control::new(), &mut sink).unwrap();
    record
}

fn open_ports(record: &ScanRecord) -> BTreeSet<u16> {
    let ports = record.hosts.values().flat_map(|host| host.ports.keys());
    ports.map(|&(_, port)| port).collect()
}

#[test]
fn forged_and_broken_packets_around_each_answer_change_nothing() {
    let open: BTreeSet<u16> = (1..=3_000).step_by(97).collect();
    let (there, clock) = (open.clone(), Hand::new());
    let mut chance = 5;
    let sent = Rc::new(Cell::new(0_u64));
    let count = Rc::clone(&sent);
    let network = move |packet: &[u8]| {
        let Some(answer) = honest(packet, &there) else {
            return Vec::new();
        };
        let mut all = forged(packet, &answer, &mut chance);
        all.push(answer);
        count.set(count.get() + all.len() as u64);
        let later = all.into_iter().enumerate();
        later
            .map(|(place, packet)| (Duration::from_micros(20_000 + place as u64), packet))
            .collect()
    };
    let device = MemoryDevice::new(clock.clone(), [US.into()], network);
    let record = run(
        &request("192.0.2.9", "1-3000", Discovery::Skip),
        device,
        clock,
    );
    assert!(sent.get() > 8 * 3_000);
    assert_eq!(open_ports(&record), open);
    assert_eq!(record.hosts.len(), 1);
    assert_eq!(record.count(PortState::Closed), 3_000 - open.len());
    assert_eq!(record.outcome(), Outcome::Complete);
}

#[test]
fn forged_packets_alone_find_nobody() {
    let clock = Hand::new();
    let mut chance = 9;
    let network = move |packet: &[u8]| {
        let all = forged(packet, &[0x45; 40], &mut chance);
        let at = Duration::from_millis(10);
        all.into_iter().map(|packet| (at, packet)).collect()
    };
    let device = MemoryDevice::new(clock.clone(), [US.into()], network);
    let record = run(
        &request("192.0.2.0/27", "1-100", Discovery::Auto),
        device,
        clock,
    );
    assert!(record.hosts.is_empty(), "{:?}", record.hosts.keys());
    assert_eq!(record.finished.unwrap().hosts_down, 32);
}

/// A clock that jumps ahead by an hour, once, when it was asked for so often.
#[derive(Clone)]
struct Jumping {
    hand: Hand,
    asked: Rc<Cell<u64>>,
    at: u64,
}

impl Clock for Jumping {
    fn now(&self) -> Duration {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() == self.at {
            self.hand
                .advance_to(self.hand.now() + Duration::from_hours(1));
        }
        self.hand.now()
    }

    fn timestamp(&self, at: Duration) -> Timestamp {
        self.hand.timestamp(at)
    }
}

#[test]
fn a_clock_that_jumps_loses_no_port() {
    let open: BTreeSet<u16> = (1..=3_000).step_by(97).collect();
    for at in [3, 40, 400, 1_500] {
        let (there, hand) = (open.clone(), Hand::new());
        let clock = Jumping {
            hand: hand.clone(),
            asked: Rc::new(Cell::new(0)),
            at,
        };
        let network = move |packet: &[u8]| {
            let answer = honest(packet, &there);
            let later = Duration::from_millis(20);
            answer.into_iter().map(|answer| (later, answer)).collect()
        };
        let device = MemoryDevice::new(hand, [US.into()], network);
        let asked = Rc::clone(&clock.asked);
        let record = run(
            &request("192.0.2.9", "1-3000", Discovery::Auto),
            device,
            clock,
        );
        assert!(asked.get() > at, "the jump came");
        assert_eq!(open_ports(&record), open, "{at}");
        assert_eq!(record.count(PortState::Closed), 3_000 - open.len(), "{at}");
    }
}

#[test]
fn what_a_router_says_of_a_host_does_not_make_it_live() {
    let clock = Hand::new();
    let asked = Rc::new(RefCell::new(BTreeSet::new()));
    let seen = Rc::clone(&asked);
    let network = move |packet: &[u8]| {
        let Ok(sent) = ipv4::Packet::new(packet) else {
            return Vec::new();
        };
        seen.borrow_mut().insert(sent.destination());
        let error = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
            // Odd addresses are not there; a firewall shields the even ones.
            code: if sent.destination().octets()[3] % 2 == 1 {
                1
            } else {
                13
            },
            next_hop_mtu: 0,
            quoted: packet,
        });
        let header = ipv4::Repr::new(
            [198, 51, 100, 1].into(),
            US.into(),
            Carried::ICMP,
            error.len(),
        );
        let mut bytes = vec![0; ipv4::HEADER_LEN + error.len()];
        header.emit(&mut bytes).unwrap();
        error.emit(&mut bytes[ipv4::HEADER_LEN..]).unwrap();
        vec![(Duration::from_millis(15), bytes)]
    };
    let device = MemoryDevice::new(clock.clone(), [US.into()], network);
    let record = run(
        &request("192.0.2.16/28", "1-100", Discovery::Auto),
        device,
        clock,
    );
    assert_eq!(asked.borrow().len(), 16);
    assert!(record.hosts.is_empty(), "{:?}", record.hosts);
    assert_eq!(record.finished.unwrap().hosts_down, 16);
}

#[test]
fn a_host_that_answers_another_address_than_ours_is_not_heard() {
    // Its answers acknowledge what was sent, but go elsewhere: the numbers are of our address.
    let clock = Hand::new();
    let open: BTreeSet<u16> = [80].into();
    let network = move |packet: &[u8]| {
        let Some(mut answer) = honest(packet, &open) else {
            return Vec::new();
        };
        // From its neighbour, as if that had been asked.
        answer[15] ^= 3;
        vec![(Duration::from_millis(5), answer)]
    };
    let device = MemoryDevice::new(clock.clone(), [US.into()], network);
    let record = run(
        &request("192.0.2.8/30", "80", Discovery::Skip),
        device,
        clock,
    );
    assert!(open_ports(&record).is_empty());
    let silent = record
        .hosts
        .values()
        .filter(|host| host.reason == Reason::UserSet);
    assert_eq!(silent.count(), 4);
}
