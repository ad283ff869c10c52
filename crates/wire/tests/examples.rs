//! Packets written out byte by byte: what the standards' diagrams say.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_wire::quoted::{Quoted, Transport};
use portolan_wire::tcp::{Flags, Options, TcpOption};
use portolan_wire::{
    Addresses, Checksum, Error, EtherType, MacAddress, Protocol, SeqNumber, SynPath, SynTemplate,
    Ttl, Verified, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp,
};

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const MAC_A: MacAddress = MacAddress([0, 0, 0x5e, 0, 0x53, 1]);
const MAC_B: MacAddress = MacAddress([0, 0, 0x5e, 0, 0x53, 2]);

/// An IPv4 packet around a payload.
fn ipv4_packet(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Repr::new(A, B, protocol, payload.len());
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

fn syn(sequence: u32) -> Vec<u8> {
    let segment = tcp::Repr {
        sequence: SeqNumber(sequence),
        ..tcp::Repr::new(40_000, 443, Flags::SYN)
    };
    let mut bytes = vec![0; segment.len()];
    let addresses = Addresses::V4 { src: A, dst: B };
    segment.emit(&addresses, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_short_buffer_names_what_it_lacks() {
    let error = udp::Packet::new([0; 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "UDP header needs 8 bytes, the buffer holds 3"
    );
}

#[test]
fn an_ipv4_header_of_eight_bytes_is_refused() {
    let mut bytes = ipv4_packet(Protocol::UDP, &[0; 8]);
    bytes[0] = 0x42;
    assert_eq!(
        ipv4::Packet::new(&bytes).unwrap_err().to_string(),
        "IPv4 header length says 8, expected 20 to 60"
    );
}

#[test]
fn the_header_of_rfc_791_example_1_is_read() {
    // RFC 791, appendix A, example 1: 1 byte of data, protocol ICMP, TTL 123, total length 21.
    let mut bytes = [0; 21];
    bytes[0] = 0x45;
    bytes[3] = 21;
    bytes[5] = 111;
    bytes[8] = 123;
    bytes[9] = 1;
    let packet = ipv4::Packet::new(&bytes).unwrap();
    assert_eq!(packet.total_length(), 21);
    assert_eq!(packet.identification(), 111);
    assert_eq!(packet.ttl(), Ttl(123));
    assert_eq!(packet.protocol(), Protocol::ICMP);
    assert!(!packet.fragmentation().is_fragment());
    assert_eq!(packet.payload(), [0]);
}

#[test]
fn the_fragments_of_rfc_791_example_2_are_recognised() {
    // RFC 791, appendix A, example 2: more fragments at 0, then the last at 32 units of 8 bytes.
    let first = ipv4::Fragmentation(0x2000);
    assert!(first.is_fragment() && first.has_more_fragments());
    let last = ipv4::Fragmentation(32);
    assert!(last.is_fragment() && !last.has_more_fragments());
    assert_eq!(last.offset_bytes(), 256);
}

#[test]
fn a_known_ipv4_header_has_the_known_checksum() {
    // The worked header that textbooks use: checksum b861.
    let bytes = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    let header = ipv4::Repr::new(
        Ipv4Addr::new(192, 168, 0, 1),
        Ipv4Addr::new(192, 168, 0, 199),
        Protocol::UDP,
        0x73 - 20,
    );
    let mut out = [0; 20];
    header.emit(&mut out).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn padding_of_a_short_frame_is_not_payload() {
    let mut bytes = ipv4_packet(Protocol::TCP, &syn(1));
    bytes.resize(46, 0);
    let packet = ipv4::Packet::new(&bytes).unwrap();
    assert_eq!(packet.payload().len(), tcp::HEADER_LEN);
}

#[test]
fn vlan_tags_are_read_through() {
    let inner = ethernet::Repr {
        destination: MAC_B,
        source: MAC_A,
        vlan: Some(ethernet::VlanTag(0x6064)),
        ether_type: EtherType::IPV6,
    };
    let mut bytes = [0; 18];
    inner.emit(&mut bytes).unwrap();
    let frame = ethernet::Packet::new(&bytes).unwrap();
    assert_eq!(frame.vlan().map(ethernet::VlanTag::identifier), Some(100));
    assert_eq!(frame.vlan().map(ethernet::VlanTag::priority), Some(3));
    assert_eq!(frame.ether_type(), EtherType::IPV6);
    assert_eq!(ethernet::Repr::parse(&frame), inner);
    let mut double = bytes[..12].to_vec();
    double.extend_from_slice(&[0x88, 0xa8, 0, 7]);
    double.extend_from_slice(&bytes[12..]);
    let frame = ethernet::Packet::new(&double).unwrap();
    assert_eq!(frame.vlan().map(ethernet::VlanTag::identifier), Some(7));
    assert_eq!(frame.ether_type(), EtherType::IPV6);
    assert!(matches!(
        ethernet::Packet::new(&double[..17]),
        Err(Error::Truncated { needs: 18, .. })
    ));
}

#[test]
fn an_arp_request_stands_as_in_rfc_826() {
    let request = arp::Repr {
        operation: arp::Operation::REQUEST,
        sender_hardware: MAC_A,
        sender_protocol: A,
        target_hardware: MacAddress::default(),
        target_protocol: B,
    };
    let mut bytes = [0xff; arp::LEN];
    request.emit(&mut bytes).unwrap();
    assert_eq!(
        bytes,
        [
            0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0x5e, 0, 0x53, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0,
            2, 2
        ]
    );
    bytes[1] = 6;
    assert_eq!(
        arp::Packet::new(&bytes).unwrap_err().to_string(),
        "ARP hardware type is 0x6, expected 0x1"
    );
}

#[test]
fn a_syn_of_linux_has_its_options_in_order() {
    let options = Options::linux_syn(1460, 5);
    assert_eq!(
        options.padded_bytes(),
        [
            2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 3, 3, 7
        ]
    );
    let listed: Vec<_> = options.iter().collect();
    assert_eq!(listed[0], TcpOption::MaximumSegmentSize(1460));
    assert_eq!(listed[4], TcpOption::WindowScale(7));
}

#[test]
fn options_end_at_the_first_that_is_malformed() {
    for bytes in [&[1u8, 2, 1][..], &[1, 2], &[1, 5, 40], &[1, 2, 0, 1]] {
        let options = Options::from_bytes(bytes).unwrap();
        assert_eq!(options.iter().collect::<Vec<_>>(), [TcpOption::NoOperation]);
    }
}

#[test]
fn an_option_that_does_not_fit_leaves_the_others_alone() {
    let mut options = Options::from_bytes(&[1; 39]).unwrap();
    let before = options;
    assert!(options.push(TcpOption::SackPermitted).is_err());
    assert_eq!(options, before);
    let data = [0; 300];
    let long = TcpOption::Unknown {
        kind: 99,
        data: &data,
    };
    assert!(options.push(long).is_err());
    assert_eq!(options, before);
}

#[test]
fn flags_that_no_stack_sends_are_sent() {
    let christmas = Flags::from_bits(0xffff);
    assert_eq!(christmas.bits(), 0x0fff);
    assert_eq!(
        format!("{:?}", Flags::SYN | Flags::FIN | Flags::AE),
        "FIN|SYN|AE"
    );
    assert_eq!(format!("{:?}", Flags::NONE), "none");
}

#[test]
fn a_wrong_checksum_is_sent_and_found_wrong() {
    let addresses = Addresses::V4 { src: A, dst: B };
    let segment = tcp::Repr {
        checksum: Checksum::Literal(0xbad0),
        ..tcp::Repr::new(1, 2, Flags::SYN)
    };
    let mut bytes = [0; 20];
    segment.emit(&addresses, &mut bytes).unwrap();
    let packet = tcp::Packet::new(&bytes).unwrap();
    assert_eq!(packet.verify(&addresses), Verified::No);
    assert_eq!(tcp::Repr::parse(&packet, &addresses), segment);
}

#[test]
fn a_udp_checksum_that_sums_to_zero_is_sent_as_ones() {
    let addresses = Addresses::V4 { src: A, dst: B };
    // The one payload word that brings the sum to zero is what the checksum is without it.
    let mut datagram = udp::Repr {
        src_port: 1,
        dst_port: 2,
        checksum: Checksum::Correct,
        payload: &[0, 0],
    };
    let mut bytes = [0; 10];
    datagram.emit(&addresses, &mut bytes).unwrap();
    let word = [bytes[6], bytes[7]];
    datagram.payload = &word;
    datagram.emit(&addresses, &mut bytes).unwrap();
    assert_eq!(bytes[6..8], [0xff, 0xff]);
    let packet = udp::Packet::new(&bytes).unwrap();
    assert_eq!(packet.verify(&addresses), Verified::Yes);
}

#[test]
fn a_port_unreachable_quotes_eight_bytes_of_a_segment() {
    let packet = ipv4_packet(Protocol::TCP, &syn(0x0102_0304));
    let quote = &packet[..28];
    let message = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
        code: icmpv4::unreachable::PORT,
        next_hop_mtu: 0,
        quoted: quote,
    });
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    let view = icmpv4::Packet::new(&bytes).unwrap();
    assert_eq!(view.verify(), Verified::Yes);
    let icmpv4::Message::DestinationUnreachable { code, quoted, .. } = view.message() else {
        panic!("it was written as an unreachable");
    };
    assert_eq!(code, 3);
    // The strict view refuses it: it is shorter than it says.
    assert!(ipv4::Packet::new(quoted).is_err());
    assert_eq!(
        Quoted::parse(quoted).unwrap(),
        Quoted {
            addresses: Addresses::V4 { src: A, dst: B },
            protocol: Protocol::TCP,
            transport: Transport::Tcp {
                src_port: 40_000,
                dst_port: 443,
                sequence: SeqNumber(0x0102_0304),
            },
        }
    );
    assert_eq!(
        Quoted::parse(&quoted[..27]).unwrap_err().to_string(),
        "quoted transport header needs 8 bytes, the buffer holds 7"
    );
}

#[test]
fn a_quoted_ipv6_packet_is_read_through_its_extensions() {
    let mut payload = vec![17, 0, 1, 4, 0, 0, 0, 0];
    payload.extend_from_slice(&[0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    let header = ipv6::Repr::new(A6, B6, Protocol::DESTINATION_OPTIONS, 600);
    let mut bytes = vec![0; 40];
    header.emit(&mut bytes).unwrap();
    bytes.extend_from_slice(&payload);
    assert!(ipv6::Packet::new(&bytes).is_err());
    let quoted = Quoted::parse(&bytes).unwrap();
    assert_eq!(quoted.protocol, Protocol::UDP);
    assert_eq!(
        quoted.transport,
        Transport::Udp {
            src_port: 40_000,
            dst_port: 53
        }
    );
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut bytes = ipv4_packet(Protocol::TCP, &syn(1));
    bytes[7] = 3;
    assert_eq!(Quoted::parse(&bytes).unwrap().transport, Transport::Other);
    let mut v6 = vec![0; 40];
    ipv6::Repr::new(A6, B6, Protocol::FRAGMENT, 16)
        .emit(&mut v6)
        .unwrap();
    v6.extend_from_slice(&[6, 0, 0, 0x08, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
    let packet = ipv6::Packet::new(&v6).unwrap();
    let upper = packet.upper().unwrap();
    assert_eq!(upper.fragment.map(|part| part.offset_bytes), Some(8));
    assert_eq!(Quoted::parse(&v6).unwrap().transport, Transport::Other);
}

#[test]
fn a_chain_of_extension_headers_is_walked_to_its_bound() {
    let chain = |headers: usize| {
        let mut bytes = vec![0; 40];
        let len = headers * 8 + 8;
        ipv6::Repr::new(A6, B6, Protocol::DESTINATION_OPTIONS, len)
            .emit(&mut bytes)
            .unwrap();
        for header in 1..=headers {
            let next = if header == headers { 59 } else { 60 };
            bytes.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]);
        }
        bytes.extend_from_slice(&[0; 8]);
        bytes
    };
    let most = chain(ipv6::MAX_EXTENSIONS);
    let packet = ipv6::Packet::new(&most).unwrap();
    assert_eq!(packet.upper().unwrap().protocol, Protocol::NO_NEXT_HEADER);
    let over = chain(ipv6::MAX_EXTENSIONS + 1);
    let packet = ipv6::Packet::new(&over).unwrap();
    assert_eq!(
        packet.upper(),
        Err(Error::TooManyExtensions {
            most: ipv6::MAX_EXTENSIONS
        })
    );
}

#[test]
fn a_neighbour_is_asked_and_answers() {
    let mut option = [0; 8];
    ndp::NdpOption::SourceLinkLayerAddress(MAC_A)
        .emit(&mut option)
        .unwrap();
    let addresses = Addresses::V6 {
        src: A6,
        dst: ndp::solicited_node(B6),
    };
    let message = icmpv6::Repr::new(icmpv6::Message::Ndp(ndp::Message::NeighborSolicitation {
        target: B6,
        options: ndp::NdpOptions::new(&option).unwrap(),
    }));
    let mut bytes = vec![0; message.len()];
    message.emit(&addresses, &mut bytes).unwrap();
    assert_eq!(bytes.len(), 32);
    assert_eq!(bytes[24..], [1, 1, 0, 0, 0x5e, 0, 0x53, 1]);
    let view = icmpv6::Packet::new(&bytes).unwrap();
    assert_eq!(view.verify(&addresses), Verified::Yes);
    assert_eq!(icmpv6::Repr::parse(&view, &addresses), message);
    assert_eq!(
        ndp::solicited_node(B6),
        "ff02::1:ff00:2".parse::<Ipv6Addr>().unwrap()
    );
}

#[test]
fn a_neighbour_option_without_length_is_refused() {
    let mut bytes = vec![135, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&B6.octets());
    bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        icmpv6::Packet::new(&bytes).unwrap_err().to_string(),
        "neighbour discovery option length says 0, expected 8 to 2040"
    );
}

#[test]
fn a_template_takes_no_address_of_the_other_family() {
    let template = SynTemplate::new(&SynPath::new(IpAddr::V4(A))).unwrap();
    let filled = template.fill(&mut [0; 128], B6.into(), 1, 2, SeqNumber(3));
    assert_eq!(filled, Err(Error::MixedFamilies));
    let filled = template.fill(&mut [0; 39], B.into(), 1, 2, SeqNumber(3));
    assert_eq!(
        filled.unwrap_err().to_string(),
        "probe needs 40 bytes, the buffer holds 39"
    );
}
