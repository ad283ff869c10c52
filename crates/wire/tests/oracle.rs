//! Another implementation reads what we write, and we read what it writes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice};
use portolan_wire::tcp::{Flags, Options, TcpOption};
use portolan_wire::{
    Addresses, Checksum, EtherType, MacAddress, Protocol, SeqNumber, Ttl, Verified, ethernet,
    icmpv4, icmpv6, ipv4, ipv6, tcp, udp,
};
use proptest::prelude::*;

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

/// The frame of a segment or datagram whose bytes are `body`.
fn frame(addresses: Addresses, protocol: Protocol, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    let is_v4 = matches!(addresses, Addresses::V4 { .. });
    ethernet::Repr {
        destination: MacAddress([2, 0, 0, 0, 0, 2]),
        source: MacAddress([2, 0, 0, 0, 0, 1]),
        vlan: None,
        ether_type: if is_v4 {
            EtherType::IPV4
        } else {
            EtherType::IPV6
        },
    }
    .emit(&mut bytes)
    .unwrap();
    let len = match addresses {
        Addresses::V4 { src, dst } => {
            let header = ipv4::Repr {
                ttl: Ttl(61),
                ..ipv4::Repr::new(src, dst, protocol, body.len())
            };
            header.emit(&mut bytes[14..]).unwrap();
            header.len()
        }
        Addresses::V6 { src, dst } => {
            let header = ipv6::Repr {
                hop_limit: Ttl(61),
                ..ipv6::Repr::new(src, dst, protocol, body.len())
            };
            header.emit(&mut bytes[14..]).unwrap();
            header.len()
        }
    };
    bytes.truncate(14 + len);
    bytes.extend_from_slice(body);
    bytes
}

fn ends(v4: (u32, u32), v6: (u128, u128), is_v4: bool) -> Addresses {
    if is_v4 {
        Addresses::V4 {
            src: Ipv4Addr::from_bits(v4.0),
            dst: Ipv4Addr::from_bits(v4.1),
        }
    } else {
        Addresses::V6 {
            src: Ipv6Addr::from_bits(v6.0),
            dst: Ipv6Addr::from_bits(v6.1),
        }
    }
}

/// The oracle's builder up to the network layer.
fn builder(addresses: Addresses) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let step = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    match addresses {
        Addresses::V4 { src, dst } => step.ipv4(src.octets(), dst.octets(), 61),
        Addresses::V6 { src, dst } => step.ipv6(src.octets(), dst.octets(), 61),
    }
}

/// Our view of a frame: its ends and its transport header's bytes.
fn open(frame: &[u8]) -> (Addresses, Protocol, Vec<u8>) {
    let frame = ethernet::Packet::new(frame).unwrap();
    if frame.ether_type() == EtherType::IPV4 {
        let packet = ipv4::Packet::new(frame.payload()).unwrap();
        assert_eq!(packet.verify(), Verified::Yes);
        assert_eq!(packet.ttl(), Ttl(61));
        (
            packet.addresses(),
            packet.protocol(),
            packet.payload().to_vec(),
        )
    } else {
        let packet = ipv6::Packet::new(frame.payload()).unwrap();
        assert_eq!(packet.hop_limit(), Ttl(61));
        let upper = packet.upper().unwrap();
        (packet.addresses(), upper.protocol, upper.payload.to_vec())
    }
}

proptest! {
    #[test]
    fn it_reads_our_segments(
        v4 in any::<(u32, u32)>(), v6 in any::<(u128, u128)>(), is_v4 in any::<bool>(),
        ports in any::<(u16, u16)>(), numbers in any::<(u32, u32)>(), bits in 0u16..0x200,
        window in any::<u16>(), mss in any::<u16>(), payload in payload(),
    ) {
        let addresses = ends(v4, v6, is_v4);
        let ours = tcp::Repr {
            sequence: SeqNumber(numbers.0),
            acknowledgment: SeqNumber(numbers.1),
            window,
            options: Options::linux_syn(mss, numbers.0),
            payload: &payload,
            ..tcp::Repr::new(ports.0, ports.1, Flags::from_bits(bits))
        };
        let mut body = vec![0; ours.len()];
        ours.emit(&addresses, &mut body).unwrap();
        let bytes = frame(addresses, Protocol::TCP, &body);
        let theirs = SlicedPacket::from_ethernet(&bytes).unwrap();
        let Some(TransportSlice::Tcp(segment)) = &theirs.transport else {
            panic!("the oracle sees no TCP");
        };
        prop_assert_eq!(segment.source_port(), ports.0);
        prop_assert_eq!(segment.destination_port(), ports.1);
        prop_assert_eq!(segment.sequence_number(), numbers.0);
        prop_assert_eq!(segment.acknowledgment_number(), numbers.1);
        prop_assert_eq!(segment.window_size(), window);
        let flags = ours.flags;
        prop_assert_eq!(segment.syn(), flags.contains(Flags::SYN));
        prop_assert_eq!(segment.ack(), flags.contains(Flags::ACK));
        prop_assert_eq!(segment.rst(), flags.contains(Flags::RST));
        prop_assert_eq!(segment.fin(), flags.contains(Flags::FIN));
        prop_assert_eq!(segment.psh(), flags.contains(Flags::PSH));
        prop_assert_eq!(segment.urg(), flags.contains(Flags::URG));
        prop_assert_eq!(segment.ece(), flags.contains(Flags::ECE));
        prop_assert_eq!(segment.cwr(), flags.contains(Flags::CWR));
        prop_assert_eq!(segment.payload(), &payload[..]);
        let listed: Vec<_> = segment.options_iterator().map(Result::unwrap).collect();
        prop_assert_eq!(listed, vec![
            TcpOptionElement::MaximumSegmentSize(mss),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Timestamp(numbers.0, 0),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ]);
        let header = segment.to_header();
        let expected = match addresses {
            Addresses::V4 { src, dst } => {
                header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), &payload)
            }
            Addresses::V6 { src, dst } => {
                header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), &payload)
            }
        };
        prop_assert_eq!(segment.checksum(), expected.unwrap());
    }

    #[test]
    fn we_read_its_segments(
        v4 in any::<(u32, u32)>(), v6 in any::<(u128, u128)>(), is_v4 in any::<bool>(),
        ports in any::<(u16, u16)>(), numbers in any::<(u32, u32)>(), window in any::<u16>(),
        payload in payload(),
    ) {
        let addresses = ends(v4, v6, is_v4);
        let step = builder(addresses)
            .tcp(ports.0, ports.1, numbers.0, window)
            .syn()
            .ack(numbers.1)
            .options(&[
                TcpOptionElement::MaximumSegmentSize(1400),
                TcpOptionElement::WindowScale(9),
                TcpOptionElement::Timestamp(1, 2),
            ])
            .unwrap();
        let mut bytes = Vec::new();
        step.write(&mut bytes, &payload).unwrap();
        let (found, protocol, body) = open(&bytes);
        prop_assert_eq!(found, addresses);
        prop_assert_eq!(protocol, Protocol::TCP);
        let segment = tcp::Packet::new(&body).unwrap();
        prop_assert_eq!(segment.verify(&addresses), Verified::Yes);
        prop_assert_eq!(segment.flags(), Flags::SYN_ACK);
        prop_assert_eq!(segment.source_port(), ports.0);
        prop_assert_eq!(segment.destination_port(), ports.1);
        prop_assert_eq!(segment.sequence_number(), SeqNumber(numbers.0));
        prop_assert_eq!(segment.acknowledgment_number(), SeqNumber(numbers.1));
        prop_assert_eq!(segment.window(), window);
        prop_assert_eq!(segment.payload(), &payload[..]);
        let listed: Vec<_> = segment.options().take(3).collect();
        prop_assert_eq!(listed, vec![
            TcpOption::MaximumSegmentSize(1400),
            TcpOption::WindowScale(9),
            TcpOption::Timestamps { value: 1, echo_reply: 2 },
        ]);
    }

    #[test]
    fn datagrams_agree_both_ways(
        v4 in any::<(u32, u32)>(), v6 in any::<(u128, u128)>(), is_v4 in any::<bool>(),
        ports in any::<(u16, u16)>(), payload in payload(),
    ) {
        let addresses = ends(v4, v6, is_v4);
        let ours = udp::Repr {
            src_port: ports.0,
            dst_port: ports.1,
            checksum: Checksum::Correct,
            payload: &payload,
        };
        let mut body = vec![0; ours.len()];
        ours.emit(&addresses, &mut body).unwrap();
        let mut bytes = Vec::new();
        builder(addresses).udp(ports.0, ports.1).write(&mut bytes, &payload).unwrap();
        let (found, protocol, theirs) = open(&bytes);
        prop_assert_eq!((found, protocol), (addresses, Protocol::UDP));
        prop_assert_eq!(theirs, body);
    }

    #[test]
    fn echoes_agree_both_ways(
        v4 in any::<(u32, u32)>(), v6 in any::<(u128, u128)>(), is_v4 in any::<bool>(),
        identifier in any::<u16>(), sequence in any::<u16>(), payload in payload(),
    ) {
        let addresses = ends(v4, v6, is_v4);
        let data = &payload[..];
        let mut bytes = Vec::new();
        let body = if is_v4 {
            builder(addresses)
                .icmpv4_echo_request(identifier, sequence)
                .write(&mut bytes, data)
                .unwrap();
            let ours = icmpv4::Repr::new(icmpv4::Message::Echo { identifier, sequence, data });
            let mut body = vec![0; ours.len()];
            ours.emit(&mut body).unwrap();
            body
        } else {
            builder(addresses)
                .icmpv6_echo_request(identifier, sequence)
                .write(&mut bytes, data)
                .unwrap();
            let ours = icmpv6::Repr::new(icmpv6::Message::EchoRequest { identifier, sequence, data });
            let mut body = vec![0; ours.len()];
            ours.emit(&addresses, &mut body).unwrap();
            body
        };
        prop_assert_eq!(open(&bytes).2, body);
    }

    #[test]
    fn what_we_take_as_ip_the_oracle_takes_too(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut bytes = bytes;
        if bytes.len() > 4 {
            // Most arbitrary bytes fail at the first field; these get further.
            bytes[0] = 0x45;
            bytes[2] = 0;
            bytes[3] %= 121;
        }
        let ours = ipv4::Packet::new(&bytes);
        let theirs = etherparse::Ipv4HeaderSlice::from_slice(&bytes);
        if let Ok(packet) = ours {
            let header = theirs.unwrap();
            prop_assert_eq!(header.source_addr(), packet.source());
            prop_assert_eq!(header.destination_addr(), packet.destination());
            prop_assert_eq!(header.total_len(), packet.total_length());
            prop_assert_eq!(header.ttl(), packet.ttl().0);
            prop_assert_eq!(header.options(), packet.options());
            prop_assert_eq!(
                header.fragments_offset().byte_offset(),
                packet.fragmentation().offset_bytes()
            );
            prop_assert_eq!(header.more_fragments(), packet.fragmentation().has_more_fragments());
        }
    }
}
