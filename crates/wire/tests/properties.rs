//! `parse(emit(x)) == x` for every format, and no bytes make anything panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_wire::tcp::{Flags, Options, TcpOption};
use portolan_wire::{
    Addresses, Checksum, EtherType, MacAddress, Protocol, SeqNumber, SynPath, SynTemplate, Ttl,
    Verified, arp, ethernet, fuzz, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp,
};
use proptest::prelude::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn mac() -> impl Strategy<Value = MacAddress> {
    any::<[u8; 6]>().prop_map(MacAddress)
}

fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![
        (v4(), v4()).prop_map(|(src, dst)| Addresses::V4 { src, dst }),
        (v6(), v6()).prop_map(|(src, dst)| Addresses::V6 { src, dst }),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let option = prop_oneof![
        Just((0u8, 0u32, vec![])),
        (1u8..=4, any::<u32>(), bytes(0)),
        (5u8..=5, any::<u32>(), bytes(12)),
    ];
    prop::collection::vec(option, 0..8).prop_map(|list| {
        let mut options = Options::new();
        for (which, number, data) in list {
            let option = match which {
                0 => TcpOption::NoOperation,
                1 => TcpOption::MaximumSegmentSize((number & 0xffff) as u16),
                2 => TcpOption::WindowScale((number & 0xff) as u8),
                3 => TcpOption::SackPermitted,
                4 => TcpOption::Timestamps {
                    value: number,
                    echo_reply: !number,
                },
                _ => TcpOption::Unknown {
                    kind: 30 + (number % 200) as u8,
                    data: &data,
                },
            };
            // What does not fit any more is left out.
            let _ = options.push(option);
        }
        options
    })
}

prop_compose! {
    fn segment()(
        ports in any::<(u16, u16)>(),
        numbers in any::<(u32, u32)>(),
        flags in any::<u16>(),
        window in any::<u16>(),
        urgent in any::<u16>(),
        options in options(),
    ) -> tcp::Repr<'static> {
        tcp::Repr {
            sequence: SeqNumber(numbers.0),
            acknowledgment: SeqNumber(numbers.1),
            window,
            urgent_pointer: urgent,
            options,
            ..tcp::Repr::new(ports.0, ports.1, Flags::from_bits(flags))
        }
    }
}

/// Flips a checksum that was found right, so that it is wrong for sure.
fn wrong(found: u16) -> Checksum {
    // 0x0000 and 0xffff are the two forms of zero; a difference in one low bit is neither.
    Checksum::Literal(found ^ 1)
}

proptest! {
    #[test]
    fn an_ethernet_header_comes_back(
        destination in mac(), source in mac(), tag in any::<Option<u16>>(), kind in 0x0900u16..0x8000,
    ) {
        let repr = ethernet::Repr {
            destination,
            source,
            vlan: tag.map(ethernet::VlanTag),
            ether_type: EtherType(kind),
        };
        let mut out = vec![0; repr.len()];
        repr.emit(&mut out).unwrap();
        prop_assert_eq!(ethernet::Repr::parse(&ethernet::Packet::new(&out).unwrap()), repr);
    }

    #[test]
    fn an_arp_packet_comes_back(
        operation in any::<u16>(), macs in (mac(), mac()), ips in (v4(), v4()),
    ) {
        let repr = arp::Repr {
            operation: arp::Operation(operation),
            sender_hardware: macs.0,
            sender_protocol: ips.0,
            target_hardware: macs.1,
            target_protocol: ips.1,
        };
        let mut out = vec![0; repr.len()];
        repr.emit(&mut out).unwrap();
        prop_assert_eq!(arp::Repr::parse(&arp::Packet::new(&out).unwrap()), repr);
    }

    #[test]
    fn an_ipv4_header_comes_back(
        src in v4(), dst in v4(), fields in any::<(u8, u16, u16, u8, u8)>(),
        words in 0usize..=10, payload in 0usize..100, is_wrong in any::<bool>(),
    ) {
        let options = vec![1; words * 4];
        let mut repr = ipv4::Repr {
            type_of_service: fields.0,
            identification: fields.1,
            fragmentation: ipv4::Fragmentation(fields.2),
            ttl: Ttl(fields.3),
            options: &options,
            ..ipv4::Repr::new(src, dst, Protocol(fields.4), payload)
        };
        let mut out = vec![0; repr.len() + payload];
        repr.emit(&mut out).unwrap();
        if is_wrong {
            let correct = ipv4::Packet::new(&out).unwrap().header_checksum();
            repr.checksum = wrong(correct);
            repr.emit(&mut out).unwrap();
        }
        let packet = ipv4::Packet::new(&out).unwrap();
        prop_assert_eq!(ipv4::Repr::parse(&packet), repr);
    }

    #[test]
    fn an_ipv6_header_comes_back(
        src in v6(), dst in v6(), class in any::<u8>(), label in 0u32..1 << 20,
        next in any::<u8>(), hops in any::<u8>(), payload in 0usize..100,
    ) {
        let repr = ipv6::Repr {
            traffic_class: class,
            flow_label: label,
            hop_limit: Ttl(hops),
            ..ipv6::Repr::new(src, dst, Protocol(next), payload)
        };
        let mut out = vec![0; repr.len() + payload];
        repr.emit(&mut out).unwrap();
        prop_assert_eq!(ipv6::Repr::parse(&ipv6::Packet::new(&out).unwrap()), repr);
    }

    #[test]
    fn a_segment_comes_back(
        segment in segment(), addresses in addresses(), payload in bytes(64), is_wrong in any::<bool>(),
    ) {
        let mut repr = tcp::Repr { payload: &payload, ..segment };
        let mut out = vec![0; repr.len()];
        repr.emit(&addresses, &mut out).unwrap();
        if is_wrong {
            repr.checksum = wrong(tcp::Packet::new(&out).unwrap().checksum());
            repr.emit(&addresses, &mut out).unwrap();
        }
        let packet = tcp::Packet::new(&out).unwrap();
        prop_assert_eq!(tcp::Repr::parse(&packet, &addresses), repr);
    }

    #[test]
    fn a_datagram_comes_back(
        ports in any::<(u16, u16)>(), addresses in addresses(), payload in bytes(64),
        kind in 0u8..3,
    ) {
        let mut repr = udp::Repr {
            src_port: ports.0,
            dst_port: ports.1,
            checksum: Checksum::Correct,
            payload: &payload,
        };
        let mut out = vec![0; repr.len()];
        repr.emit(&addresses, &mut out).unwrap();
        repr.checksum = match kind {
            0 => Checksum::Correct,
            1 => Checksum::Literal(0),
            _ => wrong(udp::Packet::new(&out).unwrap().checksum()),
        };
        repr.emit(&addresses, &mut out).unwrap();
        let packet = udp::Packet::new(&out).unwrap();
        prop_assert_eq!(udp::Repr::parse(&packet, &addresses), repr);
    }

    #[test]
    fn an_icmp_message_comes_back(
        which in 0u8..7, a in any::<u16>(), b in any::<u16>(), times in any::<[u32; 3]>(),
        code in any::<u8>(), data in bytes(64),
    ) {
        let data = &data[..];
        let message = match which {
            0 => icmpv4::Message::Echo { identifier: a, sequence: b, data },
            1 => icmpv4::Message::EchoReply { identifier: a, sequence: b, data },
            2 => icmpv4::Message::Timestamp { identifier: a, sequence: b, originate: times[0] },
            3 => icmpv4::Message::TimestampReply {
                identifier: a,
                sequence: b,
                originate: times[0],
                receive: times[1],
                transmit: times[2],
            },
            4 => icmpv4::Message::DestinationUnreachable { code, next_hop_mtu: a, quoted: data },
            5 => icmpv4::Message::TimeExceeded { code, quoted: data },
            _ => icmpv4::Message::Other { message_type: 42, code, rest: times[0], data },
        };
        let repr = icmpv4::Repr::new(message);
        let mut out = vec![0xaa; repr.len()];
        repr.emit(&mut out).unwrap();
        let packet = icmpv4::Packet::new(&out).unwrap();
        prop_assert_eq!(icmpv4::Repr::parse(&packet), repr);
    }

    #[test]
    fn an_icmpv6_message_comes_back(
        which in 0u8..10, a in any::<u16>(), b in any::<u16>(), number in any::<u32>(),
        code in any::<u8>(), data in bytes(64), target in v6(), addresses in addresses(),
        link in mac(),
    ) {
        let quoted = &data[..];
        let list = [
            ndp::NdpOption::SourceLinkLayerAddress(link),
            ndp::NdpOption::Mtu(number),
            ndp::NdpOption::PrefixInformation(ndp::Prefix {
                prefix_length: code,
                flags: 0xc0,
                valid_lifetime_seconds: number,
                preferred_lifetime_seconds: !number,
                prefix: target,
            }),
            ndp::NdpOption::Unknown { kind: 200, data: &[7; 14] },
            ndp::NdpOption::TargetLinkLayerAddress(link),
        ];
        let mut bytes = vec![0; list.iter().map(ndp::NdpOption::len).sum()];
        let mut at = 0;
        for option in &list {
            option.emit(&mut bytes[at..]).unwrap();
            at += option.len();
        }
        let options = ndp::NdpOptions::new(&bytes).unwrap();
        prop_assert!(options.iter().eq(list));
        let message = match which {
            0 => icmpv6::Message::EchoRequest { identifier: a, sequence: b, data: quoted },
            1 => icmpv6::Message::EchoReply { identifier: a, sequence: b, data: quoted },
            2 => icmpv6::Message::DestinationUnreachable { code, quoted },
            3 => icmpv6::Message::PacketTooBig { mtu: number, quoted },
            4 => icmpv6::Message::TimeExceeded { code, quoted },
            5 => icmpv6::Message::Ndp(ndp::Message::RouterSolicitation { options }),
            6 => icmpv6::Message::Ndp(ndp::Message::RouterAdvertisement {
                router: ndp::Router {
                    cur_hop_limit: Ttl(code),
                    flags: 0x80,
                    router_lifetime_seconds: a,
                    reachable_time_millis: number,
                    retrans_timer_millis: !number,
                },
                options,
            }),
            7 => icmpv6::Message::Ndp(ndp::Message::NeighborSolicitation { target, options }),
            8 => icmpv6::Message::Ndp(ndp::Message::NeighborAdvertisement {
                flags: ndp::NeighborFlags(code),
                target,
                options,
            }),
            _ => icmpv6::Message::Other { message_type: 200, code, rest: number, data: quoted },
        };
        let repr = icmpv6::Repr::new(message);
        let mut out = vec![0xaa; repr.len()];
        repr.emit(&addresses, &mut out).unwrap();
        let packet = icmpv6::Packet::new(&out).unwrap();
        prop_assert_eq!(icmpv6::Repr::parse(&packet, &addresses), repr);
    }

    #[test]
    fn a_template_fills_in_what_emission_would_write(
        src4 in v4(), dst4 in v4(), src6 in v6(), dst6 in v6(), is_v4 in any::<bool>(),
        segment in segment(), tagged in any::<Option<Option<u16>>>(), ttl in any::<u8>(),
    ) {
        let (src, dst): (IpAddr, IpAddr) =
            if is_v4 { (src4.into(), dst4.into()) } else { (src6.into(), dst6.into()) };
        let ethernet = tagged.map(|tag| ethernet::Repr {
            destination: MacAddress::BROADCAST,
            source: MacAddress([2; 6]),
            vlan: tag.map(ethernet::VlanTag),
            ether_type: if is_v4 { EtherType::IPV4 } else { EtherType::IPV6 },
        });
        let template = SynTemplate::new(&SynPath {
            ethernet,
            src,
            ttl: Ttl(ttl),
            identification: 77,
            flags: segment.flags,
            window: segment.window,
            options: segment.options,
        }).unwrap();
        let mut filled = vec![0; template.len()];
        template
            .fill(&mut filled, dst, segment.dst_port, segment.src_port, segment.sequence)
            .unwrap();

        let mut written = vec![0; template.len()];
        let mut at = 0;
        if let Some(header) = ethernet {
            header.emit(&mut written).unwrap();
            at = header.len();
        }
        let segment = tcp::Repr { acknowledgment: SeqNumber(0), urgent_pointer: 0, ..segment };
        let addresses = Addresses::new(src, dst).unwrap();
        if is_v4 {
            let header = ipv4::Repr {
                ttl: Ttl(ttl),
                identification: 77,
                ..ipv4::Repr::new(src4, dst4, Protocol::TCP, segment.len())
            };
            header.emit(&mut written[at..]).unwrap();
            at += header.len();
        } else {
            let header = ipv6::Repr {
                hop_limit: Ttl(ttl),
                ..ipv6::Repr::new(src6, dst6, Protocol::TCP, segment.len())
            };
            header.emit(&mut written[at..]).unwrap();
            at += header.len();
        }
        segment.emit(&addresses, &mut written[at..]).unwrap();
        prop_assert_eq!(at + segment.len(), template.len());
        prop_assert_eq!(filled, written);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(200)) {
        fuzz::ethernet(&bytes);
        fuzz::arp(&bytes);
        fuzz::ip(&bytes);
        fuzz::tcp(&bytes);
        fuzz::udp(&bytes);
        fuzz::icmpv4(&bytes);
        fuzz::icmpv6(&bytes);
        fuzz::quoted(&bytes);
    }

    #[test]
    fn mutated_packets_never_panic(
        segment in segment(), payload in bytes(40), is_v4 in any::<bool>(), kind in 0u8..4,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let addresses = if is_v4 {
            Addresses::V4 { src: Ipv4Addr::LOCALHOST, dst: Ipv4Addr::LOCALHOST }
        } else {
            Addresses::V6 { src: Ipv6Addr::LOCALHOST, dst: Ipv6Addr::LOCALHOST }
        };
        let (protocol, body) = match kind {
            0 => {
                let repr = tcp::Repr { payload: &payload, ..segment };
                let mut out = vec![0; repr.len()];
                repr.emit(&addresses, &mut out).unwrap();
                (Protocol::TCP, out)
            }
            1 => {
                let repr = udp::Repr {
                    src_port: 1, dst_port: 2, checksum: Checksum::Correct, payload: &payload,
                };
                let mut out = vec![0; repr.len()];
                repr.emit(&addresses, &mut out).unwrap();
                (Protocol::UDP, out)
            }
            2 => {
                let repr = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
                    code: 3, next_hop_mtu: 0, quoted: &payload,
                });
                let mut out = vec![0; repr.len()];
                repr.emit(&mut out).unwrap();
                (Protocol::ICMP, out)
            }
            _ => {
                let repr = icmpv6::Repr::new(icmpv6::Message::Ndp(
                    ndp::Message::NeighborSolicitation {
                        target: Ipv6Addr::LOCALHOST,
                        options: ndp::NdpOptions::default(),
                    },
                ));
                let mut out = vec![0; repr.len()];
                repr.emit(&addresses, &mut out).unwrap();
                (Protocol::ICMPV6, out)
            }
        };
        let frame = ethernet::Repr {
            destination: MacAddress::BROADCAST,
            source: MacAddress([2; 6]),
            vlan: None,
            ether_type: if is_v4 { EtherType::IPV4 } else { EtherType::IPV6 },
        };
        let mut bytes = vec![0; 54];
        frame.emit(&mut bytes).unwrap();
        let ip_len = match addresses {
            Addresses::V4 { src, dst } => {
                let header = ipv4::Repr::new(src, dst, protocol, body.len());
                header.emit(&mut bytes[14..]).unwrap();
                header.len()
            }
            Addresses::V6 { src, dst } => {
                let header = ipv6::Repr::new(src, dst, protocol, body.len());
                header.emit(&mut bytes[14..]).unwrap();
                header.len()
            }
        };
        bytes.truncate(14 + ip_len);
        bytes.extend_from_slice(&body);
        for (place, value) in flips {
            *place.get_mut(&mut bytes) = value;
        }
        fuzz::ethernet(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        fuzz::ethernet(&bytes);
        fuzz::quoted(bytes.get(14..).unwrap_or(&[]));
    }

    #[test]
    fn a_changed_byte_breaks_the_checksum(
        segment in segment(), addresses in addresses(), payload in bytes(30),
        place in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let repr = tcp::Repr { payload: &payload, ..segment };
        let mut out = vec![0; repr.len()];
        repr.emit(&addresses, &mut out).unwrap();
        let place = place.index(out.len());
        out[place] ^= 1 << bit;
        if let Ok(packet) = tcp::Packet::new(&out) {
            prop_assert_eq!(packet.verify(&addresses), Verified::No);
        }
    }
}
