//! Bodies of fuzz targets: each takes any bytes, must not panic, and asserts that what was read
//! can be written and read again to the same values. Property tests run them on stable.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::quoted::Quoted;
use crate::{Addresses, EtherType, Protocol, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

const V4: Addresses = Addresses::V4 {
    src: Ipv4Addr::new(192, 0, 2, 1),
    dst: Ipv4Addr::new(192, 0, 2, 2),
};
const V6: Addresses = Addresses::V6 {
    src: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
};

/// A frame, and all that is in it.
pub fn ethernet(bytes: &[u8]) {
    let Ok(frame) = ethernet::Packet::new(bytes) else {
        return;
    };
    let repr = ethernet::Repr::parse(&frame);
    let mut out = vec![0; repr.len()];
    repr.emit(&mut out).expect("the buffer is as long as asked");
    match frame.ether_type() {
        EtherType::IPV4 | EtherType::IPV6 => ip(frame.payload()),
        EtherType::ARP => arp(frame.payload()),
        _ => {}
    }
    // Of two tags the outer is kept, so only frames with fewer come back as they were.
    if frame.header_len() == repr.len() {
        let again = ethernet::Packet::new(&out).expect("it was just written");
        assert_eq!(ethernet::Repr::parse(&again), repr);
    }
}

/// An ARP packet.
pub fn arp(bytes: &[u8]) {
    let Ok(packet) = arp::Packet::new(bytes) else {
        return;
    };
    let repr = arp::Repr::parse(&packet);
    let mut out = vec![0; repr.len()];
    repr.emit(&mut out).expect("the buffer is as long as asked");
    assert_eq!(out, bytes[..arp::LEN]);
}

/// An IP packet of either version, and what it carries.
pub fn ip(bytes: &[u8]) {
    if let Ok(packet) = ipv4::Packet::new(bytes) {
        ipv4_packet(&packet);
    }
    if let Ok(packet) = ipv6::Packet::new(bytes) {
        ipv6_packet(&packet);
    }
}

fn ipv4_packet(packet: &ipv4::Packet<&[u8]>) {
    let repr = ipv4::Repr::parse(packet);
    let mut out = vec![0; repr.len() + repr.payload_len];
    repr.emit(&mut out).expect("the buffer is as long as asked");
    out[repr.len()..].copy_from_slice(packet.payload());
    let again = ipv4::Packet::new(&out).expect("it was just written");
    assert_eq!(ipv4::Repr::parse(&again), repr);
    assert_eq!(again.payload(), packet.payload());
    transport(packet.protocol(), packet.payload(), &packet.addresses());
}

fn ipv6_packet(packet: &ipv6::Packet<&[u8]>) {
    let repr = ipv6::Repr::parse(packet);
    let mut out = vec![0; repr.len() + repr.payload_len];
    repr.emit(&mut out).expect("the buffer is as long as asked");
    out[repr.len()..].copy_from_slice(packet.payload());
    let again = ipv6::Packet::new(&out).expect("it was just written");
    assert_eq!(ipv6::Repr::parse(&again), repr);
    if let Ok(upper) = packet.upper() {
        assert!(upper.extensions <= ipv6::MAX_EXTENSIONS);
        transport(upper.protocol, upper.payload, &packet.addresses());
    }
}

fn transport(protocol: Protocol, bytes: &[u8], addresses: &Addresses) {
    match protocol {
        Protocol::TCP => tcp_over(bytes, addresses),
        Protocol::UDP => udp_over(bytes, addresses),
        Protocol::ICMP => icmpv4(bytes),
        Protocol::ICMPV6 => icmpv6_over(bytes, addresses),
        _ => {}
    }
}

/// A TCP segment.
pub fn tcp(bytes: &[u8]) {
    tcp_over(bytes, &V4);
    tcp_over(bytes, &V6);
}

fn tcp_over(bytes: &[u8], addresses: &Addresses) {
    let Ok(segment) = tcp::Packet::new(bytes) else {
        return;
    };
    let _ = segment.sequence_len();
    assert!(segment.options().count() <= tcp::MAX_OPTIONS_LEN);
    let repr = tcp::Repr::parse(&segment, addresses);
    assert!(repr.options.iter().eq(segment.options()));
    let mut out = vec![0; repr.len()];
    repr.emit(addresses, &mut out)
        .expect("the buffer is as long as asked");
    let again = tcp::Packet::new(&out).expect("it was just written");
    assert_eq!(tcp::Repr::parse(&again, addresses), repr);
}

/// A UDP datagram.
pub fn udp(bytes: &[u8]) {
    udp_over(bytes, &V4);
    udp_over(bytes, &V6);
}

fn udp_over(bytes: &[u8], addresses: &Addresses) {
    let Ok(datagram) = udp::Packet::new(bytes) else {
        return;
    };
    let repr = udp::Repr::parse(&datagram, addresses);
    let mut out = vec![0; repr.len()];
    repr.emit(addresses, &mut out)
        .expect("the buffer is as long as asked");
    let again = udp::Packet::new(&out).expect("it was just written");
    assert_eq!(udp::Repr::parse(&again, addresses), repr);
}

/// An ICMP message, and what it quotes.
pub fn icmpv4(bytes: &[u8]) {
    let Ok(packet) = icmpv4::Packet::new(bytes) else {
        return;
    };
    let repr = icmpv4::Repr::parse(&packet);
    if let icmpv4::Message::DestinationUnreachable { quoted, .. }
    | icmpv4::Message::TimeExceeded { quoted, .. } = repr.message
    {
        self::quoted(quoted);
    }
    // Fields that a message does not use may hold anything, and are written as zero: so it is
    // what is written that comes back, its checksum apart.
    let repr = icmpv4::Repr::new(repr.message);
    let mut out = vec![0; repr.len()];
    repr.emit(&mut out).expect("the buffer is as long as asked");
    let again = icmpv4::Packet::new(&out).expect("it was just written");
    assert_eq!(icmpv4::Repr::parse(&again), repr);
}

/// An `ICMPv6` message, and what it quotes.
pub fn icmpv6(bytes: &[u8]) {
    icmpv6_over(bytes, &V6);
}

fn icmpv6_over(bytes: &[u8], addresses: &Addresses) {
    let Ok(packet) = icmpv6::Packet::new(bytes) else {
        return;
    };
    let repr = icmpv6::Repr::parse(&packet, addresses);
    match repr.message {
        icmpv6::Message::DestinationUnreachable { quoted, .. }
        | icmpv6::Message::PacketTooBig { quoted, .. }
        | icmpv6::Message::TimeExceeded { quoted, .. } => self::quoted(quoted),
        icmpv6::Message::Ndp(message) => {
            let options = message.options();
            let len: usize = options.iter().map(|option| option.len()).sum();
            assert_eq!(len, options.as_bytes().len());
        }
        _ => {}
    }
    let repr = icmpv6::Repr::new(repr.message);
    let mut out = vec![0; repr.len()];
    repr.emit(addresses, &mut out)
        .expect("the buffer is as long as asked");
    let again = icmpv6::Packet::new(&out).expect("it was just written");
    assert_eq!(icmpv6::Repr::parse(&again, addresses), repr);
}

/// The beginning of a packet, as an ICMP error quotes it. A packet that the strict reader takes
/// must be taken by the lenient one, with the same ends.
pub fn quoted(bytes: &[u8]) {
    let quoted = Quoted::parse(bytes);
    if let Ok(packet) = ipv4::Packet::new(bytes)
        && packet.payload().len() >= crate::quoted::TRANSPORT_LEN
    {
        let quoted = quoted.expect("a whole packet can be quoted");
        assert_eq!(quoted.addresses, packet.addresses());
        assert_eq!(quoted.protocol, packet.protocol());
    }
}
