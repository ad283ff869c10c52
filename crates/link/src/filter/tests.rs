use proptest::prelude::*;

use super::*;

/// Runs a program over a packet, as the kernel would (bpf(4)).
fn run(program: &[Instruction], kind: u32, mark: u32, packet: &[u8]) -> u32 {
    let (mut accumulator, mut index, mut at) = (0_u32, 0_u32, 0_usize);
    let byte = |offset: u32| packet.get(offset as usize).copied().map(u32::from);
    let half = |offset: u32| Some(byte(offset)? << 8 | byte(offset + 1)?);
    loop {
        let Instruction {
            code,
            jump_true,
            jump_false,
            k,
        } = program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
        let loaded = match code {
            code::LOAD_WORD => Some(match k {
                FACT_KIND => kind,
                FACT_MARK => mark,
                _ => panic!("no such fact"),
            }),
            code::LOAD_HALF => half(k),
            code::LOAD_BYTE => byte(k),
            code::LOAD_HALF_INDEXED => half(index + k),
            code::LOAD_BYTE_INDEXED => byte(index + k),
            code::LOAD_HEADER_LEN => {
                let Some(first) = byte(k) else { return 0 };
                index = (first & 15) * 4;
                Some(accumulator)
            }
            code::RETURN => return k,
            code::JUMP_EQUAL => {
                jump(accumulator == k);
                continue;
            }
            code::JUMP_ABOVE => {
                jump(accumulator > k);
                continue;
            }
            code::JUMP_FROM => {
                jump(accumulator >= k);
                continue;
            }
            code::JUMP_ANY_BIT => {
                jump(accumulator & k != 0);
                continue;
            }
            _ => panic!("no such operation: {code:#x}"),
        };
        match loaded {
            Some(value) => accumulator = value,
            // A load outside the packet ends the program.
            None => return 0,
        }
    }
}

fn accepts(program: &[Instruction], packet: &[u8]) -> bool {
    run(program, libc::PACKET_HOST.into(), 0, packet) != 0
}

const PORTS: RangeInclusive<u16> = 40_000..=41_000;

/// An IPv4 packet with options of so many words and a payload.
fn v4(protocol: Protocol, option_words: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20 + usize::from(option_words) * 4];
    bytes[0] = 0x45 + option_words;
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    bytes[9] = protocol.0;
    bytes.extend(payload);
    bytes
}

fn v6(next_header: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 40];
    bytes[0] = 0x60;
    bytes[6] = next_header;
    bytes[7] = hop_limit;
    bytes.extend(payload);
    bytes
}

fn segment(port: u16, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[13] = flags;
    bytes
}

const SYN: u8 = 2;
const RST: u8 = 4;
const SYN_ACK: u8 = 0x12;

#[test]
fn answers_to_our_ports_pass_whatever_options_the_header_has() {
    for words in 0..=10 {
        for (port, flags, passes) in [
            (40_000, SYN_ACK, true),
            (41_000, RST, true),
            (39_999, SYN_ACK, false),
            (41_001, SYN_ACK, false),
            (40_500, SYN, false),
        ] {
            let tcp = segment(port, flags);
            let found = accepts(&ipv4(&PORTS), &v4(Protocol::TCP, words, 0, &tcp));
            assert_eq!(found, passes, "{words} {port} {flags}");
            let found = accepts(&ipv6(&PORTS), &v6(Protocol::TCP.0, 64, &tcp));
            assert_eq!(found, passes, "{port} {flags}");
        }
    }
}

#[test]
fn datagrams_pass_by_their_port() {
    for (port, passes) in [(40_000, true), (41_001, false)] {
        let udp = segment(port, 0);
        assert_eq!(
            accepts(&ipv4(&PORTS), &v4(Protocol::UDP, 0, 0, &udp)),
            passes
        );
        assert_eq!(
            accepts(&ipv6(&PORTS), &v6(Protocol::UDP.0, 64, &udp)),
            passes
        );
    }
}

#[test]
fn icmp_passes_by_its_type() {
    for kind in 0..=255_u8 {
        let message = [kind, 0, 0, 0];
        let found = accepts(&ipv4(&PORTS), &v4(Protocol::ICMP, 1, 0, &message));
        assert_eq!(found, ICMP_V4.contains(&kind.into()), "{kind}");
        let found = accepts(&ipv6(&PORTS), &v6(Protocol::ICMPV6.0, 64, &message));
        assert_eq!(found, ICMP_V6.contains(&kind.into()), "{kind}");
    }
}

#[test]
fn a_later_fragment_does_not_pass_and_a_first_one_does() {
    let tcp = segment(40_000, SYN_ACK);
    assert!(!accepts(&ipv4(&PORTS), &v4(Protocol::TCP, 0, 1, &tcp)));
    assert!(accepts(&ipv4(&PORTS), &v4(Protocol::TCP, 0, 0x6000, &tcp)));
}

#[test]
fn our_own_packets_and_those_of_others_do_not_pass() {
    let packet = v4(Protocol::TCP, 0, 0, &segment(40_000, SYN_ACK));
    let program = ipv4(&PORTS);
    assert_ne!(run(&program, libc::PACKET_HOST.into(), 0, &packet), 0);
    assert_eq!(run(&program, libc::PACKET_HOST.into(), MARK, &packet), 0);
    for kind in [
        libc::PACKET_OUTGOING,
        libc::PACKET_OTHERHOST,
        libc::PACKET_BROADCAST,
    ] {
        assert_eq!(run(&program, kind.into(), 0, &packet), 0);
    }
}

#[test]
fn replies_of_neighbours_pass_and_their_questions_do_not() {
    for (operation, passes) in [(1, false), (2, true)] {
        let mut bytes = [0; 28];
        bytes[7] = operation;
        assert_eq!(accepts(&arp(), &bytes), passes);
    }
    let program = advertisements();
    assert!(accepts(&program, &v6(Protocol::ICMPV6.0, 255, &[136])));
    assert!(!accepts(&program, &v6(Protocol::ICMPV6.0, 254, &[136])));
    assert!(!accepts(&program, &v6(Protocol::ICMPV6.0, 255, &[135])));
    assert!(!accepts(&program, &v6(Protocol::TCP.0, 255, &[136])));
}

#[test]
fn extension_headers_pass() {
    for header in EXTENSIONS {
        assert!(accepts(&ipv6(&PORTS), &v6(header, 64, &[])));
    }
    assert!(!accepts(&ipv6(&PORTS), &v6(59, 64, &[])));
}

#[test]
fn a_socket_that_only_sends_hears_nothing() {
    assert!(!accepts(&nothing(), &[0; 64]));
}

proptest! {
    #[test]
    fn every_packet_ends_the_programs(
        packet in proptest::collection::vec(any::<u8>(), 0..100),
        kind in 0_u32..5,
        first: u16,
        last: u16,
    ) {
        let ports = first..=last;
        for program in [ipv4(&ports), ipv6(&ports), arp(), advertisements(), nothing()] {
            let returned = run(&program, kind, 0, &packet);
            prop_assert!(returned == WHOLE || returned == NOTHING);
        }
    }
}

#[test]
fn reports_of_groups_are_heard_from_the_link_and_nothing_else_sent_to_many() {
    let report = |next: u8, hops: u8, kind: u8| {
        let mut payload = vec![next, 0, 5, 2, 0, 0, 1, 0];
        payload.extend([kind, 0, 0, 0, 0, 0, 0, 1]);
        v6(0, hops, &payload)
    };
    let many = |packet: &[u8]| run(&reports(), libc::PACKET_MULTICAST.into(), 0, packet) != 0;
    assert!(many(&report(58, 1, 131)) && many(&report(58, 1, 143)));
    assert!(!many(&report(58, 1, 130)), "a query");
    assert!(!many(&report(58, 64, 143)), "from afar");
    assert!(!many(&report(17, 1, 143)), "a datagram");
    assert!(!many(&v6(58, 1, &[143, 0, 0, 0, 0, 0, 0, 1])));
    assert!(!accepts(&reports(), &report(58, 1, 143)), "to one alone");
}
