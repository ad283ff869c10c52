//! What a scanner sees of the simulated network: each behaviour as a conversation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portolan_wire::quoted::Transport;
use portolan_wire::tcp::{Flags, Options};
use portolan_wire::{
    Addresses, Protocol, Quoted, SeqNumber, SynPath, SynTemplate, Verified, icmpv4, icmpv6, ipv4,
    ipv6, tcp, udp,
};
use simnet::scenario::{Firewall, Limit, Nat, Ping};
use simnet::{Closed, Hosts, Kind, Medium, Network, Path, Scenario, SimLink};

const SELF: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const SELF6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A SYN to a port of a host, with the port as sequence number.
fn syn_to(host: IpAddr, port: u16) -> Vec<u8> {
    let src = if host.is_ipv4() {
        IpAddr::V4(SELF)
    } else {
        SELF6.into()
    };
    let template = SynTemplate::new(&SynPath {
        options: Options::linux_syn(1460, 1),
        ..SynPath::new(src)
    })
    .expect("the path is plain");
    let mut bytes = vec![0; template.len()];
    template
        .fill(&mut bytes, host, port, 40_000, SeqNumber(port.into()))
        .expect("the buffer is long enough");
    bytes
}

fn syn(port: u16) -> Vec<u8> {
    syn_to(HOST.into(), port)
}

/// A packet with a segment of our own.
fn segment(repr: &tcp::Repr<'_>) -> Vec<u8> {
    let header = ipv4::Repr::new(SELF, HOST, Protocol::TCP, repr.len());
    let mut bytes = vec![0; header.len() + repr.len()];
    header.emit(&mut bytes).expect("the buffer is long enough");
    let addresses = Addresses::V4 {
        src: SELF,
        dst: HOST,
    };
    repr.emit(&addresses, &mut bytes[header.len()..])
        .expect("the buffer is long enough");
    bytes
}

fn packet(protocol: Protocol, body: &[u8]) -> Vec<u8> {
    let header = ipv4::Repr::new(SELF, HOST, protocol, body.len());
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes).expect("the buffer is long enough");
    bytes.extend_from_slice(body);
    bytes
}

/// What an answer's segment says.
#[derive(Debug, PartialEq)]
struct Seen {
    flags: Flags,
    src_port: u16,
    sequence: SeqNumber,
    acknowledgment: SeqNumber,
    window: u16,
    options: usize,
    payload: Vec<u8>,
}

fn read(answer: &[u8]) -> Option<Seen> {
    let packet = ipv4::Packet::new(answer).ok()?;
    let segment = tcp::Packet::new(packet.payload()).ok()?;
    (packet.protocol() == Protocol::TCP && segment.verify(&packet.addresses()) == Verified::Yes)
        .then(|| Seen {
            flags: segment.flags(),
            src_port: segment.source_port(),
            sequence: segment.sequence_number(),
            acknowledgment: segment.acknowledgment_number(),
            window: segment.window(),
            options: segment.options().count(),
            payload: segment.payload().to_vec(),
        })
}

fn link(path: Path, hosts: Hosts) -> SimLink {
    SimLink::new(&Scenario::new(1, path, vec![hosts]))
}

/// Everything that arrives until then.
fn drain(link: &mut SimLink, until: Duration) -> Vec<(Duration, Vec<u8>)> {
    std::iter::from_fn(|| link.recv(until)).collect()
}

#[test]
fn an_open_port_answers_and_a_closed_one_resets() {
    let mut link = link(Path::rtt_ms(40.0), Hosts::at(HOST).open(&[22]));
    link.send(ms(0), &syn(22));
    link.send(ms(1), &syn(23));
    let (at, answer) = link.recv(ms(100)).unwrap();
    let seen = read(&answer).unwrap();
    assert_eq!((at, seen.flags), (ms(40), Flags::SYN_ACK));
    assert_eq!(seen.acknowledgment, SeqNumber(23));
    assert_eq!(seen.options, 5);
    let (at, answer) = link.recv(ms(100)).unwrap();
    let seen = read(&answer).unwrap();
    assert_eq!((at, seen.flags), (ms(41), Flags::RST_ACK));
    assert_eq!(seen.acknowledgment, SeqNumber(24));
    assert_eq!(link.recv(ms(100)), None);
    assert_eq!(link.now(), ms(100));
}

#[test]
fn ipv6_behaves_alike() {
    let mut link = link(Path::rtt_ms(10.0), Hosts::at(HOST6).open(&[22]));
    link.send(ms(0), &syn_to(HOST6.into(), 22));
    link.send(ms(0), &syn_to(HOST6.into(), 23));
    let flags: Vec<Flags> = drain(&mut link, ms(100))
        .iter()
        .map(|(_, bytes)| {
            let packet = ipv6::Packet::new(bytes).unwrap();
            let segment = tcp::Packet::new(packet.payload()).unwrap();
            assert_eq!(segment.verify(&packet.addresses()), Verified::Yes);
            segment.flags()
        })
        .collect();
    assert_eq!(flags, [Flags::SYN_ACK, Flags::RST_ACK]);
}

#[test]
fn a_handshake_a_banner_and_a_close() {
    let mut hosts = Hosts::at(HOST).open(&[22]);
    hosts.tcp.banner = "hello\r\n".to_owned();
    let mut link = link(Path::rtt_ms(2.0), hosts);
    link.send(ms(0), &syn(22));
    let syn_ack = read(&link.recv(ms(10)).unwrap().1).unwrap();
    let ours = |flags, sequence, acknowledgment| tcp::Repr {
        sequence: SeqNumber(sequence),
        acknowledgment,
        window: 1000,
        ..tcp::Repr::new(40_000, 22, flags)
    };
    let theirs = syn_ack.sequence + 1;
    link.send(ms(10), &segment(&ours(Flags::ACK, 23, theirs)));
    let banner = read(&link.recv(ms(20)).unwrap().1).unwrap();
    assert_eq!(banner.payload, b"hello\r\n");
    assert_eq!(banner.sequence, theirs);
    let request = tcp::Repr {
        payload: b"GET /",
        ..ours(Flags::PSH | Flags::ACK, 23, theirs + 7)
    };
    link.send(ms(20), &segment(&request));
    let ack = read(&link.recv(ms(30)).unwrap().1).unwrap();
    assert_eq!((ack.flags, ack.acknowledgment), (Flags::ACK, SeqNumber(28)));
    link.send(
        ms(30),
        &segment(&ours(Flags::FIN | Flags::ACK, 28, theirs + 7)),
    );
    let fin = read(&link.recv(ms(40)).unwrap().1).unwrap();
    assert_eq!(fin.flags, Flags::FIN | Flags::ACK);
    assert_eq!(
        (fin.sequence, fin.acknowledgment),
        (theirs + 7, SeqNumber(29))
    );
    assert_eq!(link.medium().connections(), 1);
    // Had that answer been lost, the same question would bring it again.
    link.send(
        ms(35),
        &segment(&ours(Flags::FIN | Flags::ACK, 28, theirs + 7)),
    );
    assert_eq!(read(&link.recv(ms(40)).unwrap().1).unwrap(), fin);
    link.send(ms(40), &segment(&ours(Flags::ACK, 29, theirs + 8)));
    assert_eq!(link.recv(ms(50)), None);
    assert_eq!(link.medium().connections(), 0);
    assert_eq!(link.medium().counters().established, 1);
}

#[test]
fn a_syn_ack_comes_again_until_it_is_reset() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST).open(&[22, 23]));
    link.send(ms(0), &syn(22));
    link.send(ms(0), &syn(23));
    let reset = tcp::Repr {
        sequence: SeqNumber(24),
        ..tcp::Repr::new(40_000, 23, Flags::RST)
    };
    link.send(ms(10), &segment(&reset));
    let answers = drain(&mut link, Duration::from_mins(10));
    let of = |port| {
        let own = answers
            .iter()
            .filter(|(_, bytes)| read(bytes).unwrap().src_port == port);
        own.map(|(at, _)| at.as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(of(22), [0, 1, 3, 7, 15, 31]);
    assert_eq!(of(23), [0]);
    assert_eq!(link.medium().connections(), 0);
}

#[test]
fn an_ack_out_of_nowhere_is_reset_with_its_own_number() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST));
    let ack = tcp::Repr {
        acknowledgment: SeqNumber(77),
        ..tcp::Repr::new(40_000, 80, Flags::ACK)
    };
    link.send(ms(0), &segment(&ack));
    let seen = read(&link.recv(ms(10)).unwrap().1).unwrap();
    assert_eq!((seen.flags, seen.sequence), (Flags::RST, SeqNumber(77)));
}

#[test]
fn silence_is_silent_and_a_prohibition_quotes_the_probe() {
    let mut silent = link(
        Path::rtt_ms(2.0),
        Hosts::at(HOST).open(&[22]).closed(Closed::Silent),
    );
    silent.send(ms(0), &syn(23));
    assert_eq!(silent.recv(ms(100)), None);
    silent.send(ms(100), &syn(22));
    assert!(silent.recv(ms(200)).is_some());
    let mut forbidding = link(
        Path::rtt_ms(2.0),
        Hosts::at(HOST).closed(Closed::AdminProhibited),
    );
    forbidding.send(ms(0), &syn(23));
    let (_, answer) = forbidding.recv(ms(100)).unwrap();
    let packet = ipv4::Packet::new(&answer).unwrap();
    let message = icmpv4::Packet::new(packet.payload()).unwrap();
    let icmpv4::Message::DestinationUnreachable { code, quoted, .. } = message.message() else {
        panic!("no unreachable came");
    };
    assert_eq!((code, quoted.len()), (13, 28));
    assert_eq!(
        Quoted::parse(quoted).unwrap().transport,
        Transport::Tcp {
            src_port: 40_000,
            dst_port: 23,
            sequence: SeqNumber(23)
        }
    );
}

#[test]
fn ping_and_timestamp_are_answered_where_they_are() {
    let ask = |ping, message: icmpv4::Message<'_>| {
        let mut link = link(
            Path::rtt_ms(2.0),
            Hosts {
                ping,
                ..Hosts::at(HOST)
            },
        );
        let repr = icmpv4::Repr::new(message);
        let mut body = vec![0; repr.len()];
        repr.emit(&mut body).unwrap();
        link.send(ms(0), &packet(Protocol::ICMP, &body));
        link.recv(ms(10)).is_some()
    };
    let echo = icmpv4::Message::Echo {
        identifier: 1,
        sequence: 2,
        data: b"abc",
    };
    let time = icmpv4::Message::Timestamp {
        identifier: 1,
        sequence: 2,
        originate: 3,
    };
    assert!(ask(Ping::Answered, echo) && ask(Ping::Answered, time));
    assert!(ask(Ping::EchoOnly, echo) && !ask(Ping::EchoOnly, time));
    assert!(!ask(Ping::Silent, echo) && !ask(Ping::Silent, time));
}

#[test]
fn udp_answers_where_open_and_is_unreachable_where_closed() {
    let mut hosts = Hosts::at(HOST);
    hosts.udp.open = "53".parse().unwrap();
    hosts.udp.open_silent = "161".parse().unwrap();
    hosts.icmp_limit = Some(Limit { rate: 1, burst: 6 });
    let mut link = link(Path::rtt_ms(2.0), hosts);
    let mut ask = |at, port| {
        let datagram = udp::Repr {
            src_port: 40_000,
            dst_port: port,
            checksum: portolan_wire::Checksum::Correct,
            payload: b"?",
        };
        let mut body = vec![0; datagram.len()];
        let addresses = Addresses::V4 {
            src: SELF,
            dst: HOST,
        };
        datagram.emit(&addresses, &mut body).unwrap();
        link.send(ms(at), &packet(Protocol::UDP, &body));
        let (_, answer) = link.recv(ms(at + 10))?;
        Some(ipv4::Packet::new(&answer).unwrap().protocol())
    };
    assert_eq!(ask(0, 53), Some(Protocol::UDP));
    assert_eq!(ask(20, 161), None);
    let closed: Vec<_> = (0..10).map(|n| ask(40 + 20 * n, 1000)).collect();
    let answered = closed
        .iter()
        .filter(|answer| **answer == Some(Protocol::ICMP))
        .count();
    assert_eq!(answered, 6);
    assert_eq!(link.medium().counters().icmp_errors_limited, 4);
}

#[test]
fn resets_are_limited_and_syn_acks_are_not() {
    let mut hosts = Hosts::at(HOST).open(&[100]);
    hosts.tcp.syn_ack_retries = 0;
    hosts.rst_limit = Some(Limit {
        rate: 200,
        burst: 50,
    });
    let mut link = link(Path::rtt_ms(20.0), hosts);
    for port in 1..=2000u16 {
        link.send(Duration::from_micros(u64::from(port) * 500), &syn(port));
    }
    let answers = drain(&mut link, ms(1100));
    let resets = answers
        .iter()
        .filter(|(_, a)| read(a).unwrap().flags == Flags::RST_ACK)
        .count();
    // A second at 200 a second, and the burst.
    assert!((248..=250).contains(&resets), "{resets}");
    assert_eq!(answers.len(), resets + 1);
}

#[test]
fn a_narrow_link_carries_its_rate_and_drops_the_rest() {
    let path = Path::rtt_ms(30.0).bottleneck(4000, 60);
    let mut link = link(path, Hosts::at(HOST));
    for n in 0..10_000u64 {
        link.send(Duration::from_micros(n * 100), &syn((n % 60_000) as u16));
    }
    let answers = drain(&mut link, ms(2000));
    // 10,000 packets a second for a second: 4,000 pass, and the queue's 61.
    assert!((4000..=4061).contains(&answers.len()), "{}", answers.len());
    let counters = link.medium().counters();
    assert_eq!(counters.forward.queue_full + answers.len() as u64, 10_000);
    let gaps = answers
        .windows(2)
        .map(|pair| pair[1].0.saturating_sub(pair[0].0));
    assert!(gaps.clone().all(|gap| gap >= Duration::from_micros(249)));
}

#[test]
fn loss_strikes_each_way() {
    let path = Path::rtt_ms(30.0).loss(0.05);
    let mut link = link(path, Hosts::at(HOST));
    for port in 0..10_000u16 {
        link.send(Duration::from_micros(u64::from(port) * 10), &syn(port));
    }
    let answered = drain(&mut link, ms(1000)).len();
    // 0.95 squared of 10,000 is 9,025; five standard deviations are 148.
    assert!((8877..=9173).contains(&answered), "{answered}");
}

#[test]
fn a_full_nat_table_drops_new_flows_until_entries_end() {
    let mut scenario = Scenario::new(1, Path::rtt_ms(30.0), vec![Hosts::at(HOST)]);
    scenario.nat = Some(Nat {
        entries: 100,
        lifetime_ms: 5000,
    });
    let mut link = SimLink::new(&scenario);
    for port in 0..300 {
        link.send(ms(0), &syn(port));
    }
    assert_eq!(drain(&mut link, ms(4000)).len(), 100);
    link.send(ms(4999), &syn(250));
    assert_eq!(drain(&mut link, ms(4999)).len(), 0);
    link.send(ms(5000), &syn(250));
    assert_eq!(drain(&mut link, ms(6000)).len(), 1);
    assert_eq!(link.medium().counters().nat_dropped, 201);
}

#[test]
fn an_icmp_error_finds_its_way_back_through_nat() {
    let hosts = Hosts::at(HOST).closed(Closed::AdminProhibited);
    let mut scenario = Scenario::new(1, Path::rtt_ms(30.0), vec![hosts]);
    scenario.nat = Some(Nat {
        entries: 1,
        lifetime_ms: 5000,
    });
    let mut link = SimLink::new(&scenario);
    link.send(ms(0), &syn(1));
    assert!(link.recv(ms(100)).is_some());
}

#[test]
fn a_firewall_closes_after_a_burst_and_opens_again() {
    let mut scenario = Scenario::new(1, Path::rtt_ms(10.0), vec![Hosts::at(HOST)]);
    scenario.firewall = Some(Firewall {
        packets: 100,
        window_ms: 1000,
        blocked_ms: 3000,
    });
    let mut link = SimLink::new(&scenario);
    for port in 0..300 {
        link.send(ms(u64::from(port)), &syn(port));
    }
    assert_eq!(drain(&mut link, ms(3000)).len(), 100);
    link.send(ms(3200), &syn(1));
    assert_eq!(drain(&mut link, ms(4000)).len(), 1);
    assert_eq!(link.medium().counters().firewall_dropped, 200);
}

#[test]
fn a_proxy_answers_every_port_with_nothing_in_it() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST).kind(Kind::Proxy));
    for port in [1, 80, 65_535] {
        link.send(ms(0), &syn(port));
        let seen = read(&link.recv(ms(10)).unwrap().1).unwrap();
        assert_eq!(
            (seen.flags, seen.window, seen.options),
            (Flags::SYN_ACK, 0, 0)
        );
        assert_eq!(seen.acknowledgment, SeqNumber(port.into()) + 1);
    }
}

#[test]
fn garbage_never_proves_an_answer() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST).kind(Kind::Garbage));
    for port in 0..5000 {
        link.send(Duration::from_micros(port.into()), &syn(port));
    }
    let answers = drain(&mut link, ms(1000));
    assert_eq!(answers.len(), 5000);
    let mut forged = 0;
    for (_, answer) in &answers {
        if let Some(seen) = read(answer) {
            forged += 1;
            let is_proof = seen.acknowledgment == SeqNumber(seen.src_port.into()) + 1;
            assert!(!is_proof, "{seen:?}");
        }
    }
    assert!(forged > 1000, "{forged}");
}

#[test]
fn nobody_and_the_silent_say_nothing() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST).kind(Kind::Silent));
    link.send(ms(0), &syn(80));
    link.send(ms(0), &syn_to(Ipv4Addr::new(198, 18, 0, 9).into(), 80));
    assert_eq!(link.recv(ms(100)), None);
    assert_eq!(link.medium().counters().to_nobody, 1);
}

#[test]
fn fragments_and_noise_are_counted_and_dropped() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST));
    let mut fragment = syn(80);
    fragment[6] = 0x20;
    link.send(ms(0), &fragment);
    link.send(ms(0), &[0x45; 30]);
    link.send(ms(0), &[]);
    assert_eq!(link.recv(ms(100)), None);
    let counters = link.medium().counters();
    assert_eq!((counters.fragments, counters.malformed), (1, 2));
}

#[test]
fn the_same_scenario_gives_the_same_answers() {
    let run = |seed| {
        let mut path = Path::rtt_ms(30.0).loss(0.05).bottleneck(20_000, 20);
        path.jitter_ms = 10.0;
        path.back.duplicate = 0.02;
        let mut hosts = Hosts::at(HOST);
        hosts.tcp.open_share = 0.1;
        let mut link = SimLink::new(&Scenario::new(seed, path, vec![hosts]));
        for port in 0..5000u16 {
            link.send(Duration::from_micros(u64::from(port) * 40), &syn(port));
        }
        drain(&mut link, ms(2000))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn every_answer_is_what_the_truth_says() {
    let mut hosts = Hosts {
        addresses: vec!["198.18.0.0/24".parse().unwrap()],
        live: 0.3,
        ..Hosts::default()
    };
    hosts.tcp.open_share = 0.05;
    let scenario = Scenario::new(9, Path::rtt_ms(1.0), vec![hosts]);
    let mut network = Network::new(&scenario);
    let truth = network.truth().clone();
    let mut found = Vec::new();
    for last in 0..=255 {
        for port in 0..200 {
            let host = IpAddr::from([198, 18, 0, last]);
            network.inject(Duration::ZERO, &syn_to(host, port));
        }
    }
    network.poll(ms(500), &mut |_, answer| {
        let seen = read(answer).unwrap();
        if seen.flags == Flags::SYN_ACK {
            let src = ipv4::Packet::new(answer).unwrap().source();
            found.push((IpAddr::from(src), seen.src_port));
        }
    });
    found.sort_unstable();
    let mut expected: Vec<_> = truth.open_tcp().filter(|&(_, port)| port < 200).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(found.len() > 400, "{}", found.len());
}

#[test]
fn an_icmpv6_echo_is_answered() {
    let mut link = link(Path::rtt_ms(2.0), Hosts::at(HOST6));
    let addresses = Addresses::V6 {
        src: SELF6,
        dst: HOST6,
    };
    let echo = icmpv6::Repr::new(icmpv6::Message::EchoRequest {
        identifier: 1,
        sequence: 2,
        data: b"abc",
    });
    let header = ipv6::Repr::new(SELF6, HOST6, Protocol::ICMPV6, echo.len());
    let mut bytes = vec![0; header.len() + echo.len()];
    header.emit(&mut bytes).unwrap();
    echo.emit(&addresses, &mut bytes[header.len()..]).unwrap();
    link.send(ms(0), &bytes);
    let (_, answer) = link.recv(ms(10)).unwrap();
    let packet = ipv6::Packet::new(&answer).unwrap();
    let message = icmpv6::Packet::new(packet.payload()).unwrap();
    assert!(matches!(
        message.message(),
        icmpv6::Message::EchoReply {
            identifier: 1,
            sequence: 2,
            data: b"abc"
        }
    ));
}
