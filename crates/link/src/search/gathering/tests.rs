use proptest::prelude::*;

use portolan_wire::ndp;

use super::*;

const ME: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const TOKEN: u64 = 0x0123_4567_89ab_cdef;

/// A host of a link in memory.
#[derive(Debug, Clone)]
struct Node {
    mac: MacAddress,
    addresses: Vec<Ipv6Addr>,
    /// Whether it answers what goes to everyone.
    answers_echo: bool,
    answers_strange: bool,
    /// Whether it tells which groups it listens to.
    reports: bool,
}

impl Node {
    fn new(last: u8, addresses: &[&str]) -> Self {
        Self {
            mac: MacAddress([2, 0, 0, 0, 1, last]),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            answers_echo: true,
            answers_strange: true,
            reports: false,
        }
    }

    /// The address that it answers from: one of the asker's network.
    fn source(&self, to: Ipv6Addr) -> Option<Ipv6Addr> {
        let own = self.addresses.iter().copied();
        own.clone().find(|own| halves(*own).0 == halves(to).0)
    }

    fn answer(&self, asked: &[u8]) -> Option<Vec<u8>> {
        let packet = ipv6::Packet::new(asked).unwrap();
        let to = packet.source();
        let upper = packet.upper().unwrap();
        let message = icmpv6::Packet::new(upper.payload).unwrap();
        let is_strange = packet.next_header() == DESTINATION_OPTIONS;
        match message.message() {
            icmpv6::Message::EchoRequest { .. } if is_strange && self.answers_strange => {
                assert_eq!(message.verify(&packet.addresses()), Verified::Yes);
                let message = icmpv6::Message::Other {
                    message_type: PARAMETER_PROBLEM,
                    code: UNKNOWN_OPTION,
                    rest: 42,
                    data: asked,
                };
                Some(written(self.source(to)?, to, 64, message))
            }
            icmpv6::Message::EchoRequest {
                identifier,
                sequence,
                data,
            } if !is_strange && self.answers_echo => {
                let message = icmpv6::Message::EchoReply {
                    identifier,
                    sequence,
                    data,
                };
                Some(written(self.source(to)?, to, 64, message))
            }
            icmpv6::Message::Other {
                message_type: 130, ..
            } if self.reports => {
                assert_eq!(message.verify(&packet.addresses()), Verified::Yes);
                assert!(to.is_unicast_link_local() && packet.hop_limit().0 == 1);
                Some(report(self.source(to)?))
            }
            icmpv6::Message::Ndp(ndp::Message::NeighborSolicitation { target, .. })
                if self.addresses.contains(&target) =>
            {
                Some(advertised(target, to))
            }
            _ => None,
        }
    }
}

fn advertised(target: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let options = ndp::NdpOptions::new(&[]).unwrap();
    let message = icmpv6::Message::Ndp(ndp::Message::NeighborAdvertisement {
        flags: ndp::NeighborFlags(0x60),
        target,
        options,
    });
    written(target, to, 255, message)
}

/// A report of one group, after the header that has routers look at it (RFC 3810, 5.2).
fn report(src: Ipv6Addr) -> Vec<u8> {
    let dst = "ff02::16".parse().unwrap();
    let message = icmpv6::Message::Other {
        message_type: 143,
        code: 0,
        rest: 1,
        data: &[
            4, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 9,
        ],
    };
    let mut bytes = written(src, dst, 1, message);
    let options = [58, 0, 5, 2, 0, 0, 1, 0];
    bytes[6] = 0;
    let len = u16::try_from(bytes.len() - 40 + options.len()).unwrap();
    bytes[4..6].copy_from_slice(&len.to_be_bytes());
    bytes.splice(40..40, options);
    bytes
}

fn written(src: Ipv6Addr, dst: Ipv6Addr, hops: u8, message: icmpv6::Message<'_>) -> Vec<u8> {
    let message = icmpv6::Repr::new(message);
    let header = ipv6::Repr {
        hop_limit: portolan_wire::Ttl(hops),
        ..ipv6::Repr::new(src, dst, Protocol::ICMPV6, message.len())
    };
    let mut bytes = vec![0; ipv6::HEADER_LEN + message.len()];
    header.emit(&mut bytes).unwrap();
    message
        .emit(&Addresses::V6 { src, dst }, &mut bytes[ipv6::HEADER_LEN..])
        .unwrap();
    bytes
}

/// Runs a search over a link that loses every packet, either way, with the probability `loss` in
/// percent; returns who was found, how many packets went out, and how long it took.
fn search(
    nodes: &[Node],
    known: &[MacAddress],
    loss: u64,
    seed: u64,
) -> (Vec<Ipv6Addr>, usize, Duration) {
    let wanted = |address: Ipv6Addr| halves(address).0 == 0x2001_0db8_0001_0000;
    let own = Own {
        mac: ME,
        addresses: vec!["2001:db8:1::1".parse().unwrap(), "fe80::1".parse().unwrap()],
    };
    let networks = ["2001:db8:1::".parse().unwrap()];
    let mut gathering = Gathering::new(&wanted, own, &networks, TOKEN);
    let mut state = seed | 1;
    let mut drops = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 100 < loss
    };
    let (mut now, mut sent) = (Duration::ZERO, 0);
    for mac in known {
        gathering.has_mac(*mac, now);
    }
    while !gathering.is_over(now) {
        for out in gathering.due(now) {
            sent += 1;
            for node in nodes {
                if !drops()
                    && let Some(answer) = node.answer(&out.bytes)
                    && !drops()
                {
                    gathering.hear(&answer, Some(node.mac), now);
                }
            }
        }
        now = gathering.next_due().max(now + Duration::from_millis(1));
    }
    (gathering.found().collect(), sent, now)
}

fn nodes() -> Vec<Node> {
    let by_mac = interface_identifier(MacAddress([2, 0, 0, 0, 1, 3]));
    let derived = Ipv6Addr::from_bits((0x2001_0db8_0001_0000 << 64) | u128::from(by_mac));
    vec![
        Node::new(1, &["2001:db8:1::a", "fe80::a"]),
        Node {
            answers_echo: false,
            ..Node::new(2, &["2001:db8:1::b", "fe80::b"])
        },
        Node {
            answers_echo: false,
            answers_strange: false,
            ..Node::new(3, &[&derived.to_string()])
        },
        // Its link-local address answers, and has the same second half as the other.
        Node::new(4, &["fe80::d", "2001:db8:1::d"]),
    ]
}

#[test]
fn all_of_a_link_are_found_in_two_seconds() {
    let nodes = nodes();
    let expected: Vec<Ipv6Addr> = {
        let all = nodes.iter().flat_map(|node| node.addresses.clone());
        let mut all: Vec<_> = all.filter(|one| !one.is_unicast_link_local()).collect();
        all.sort_unstable();
        all
    };
    let (found, sent, took) = search(&nodes, &[nodes[2].mac], 0, 1);
    assert_eq!(found, expected);
    assert!(sent < 64, "{sent}");
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[test]
fn who_answers_no_echo_request_is_found_by_the_groups_it_listens_to() {
    let behind_a_firewall = Node {
        answers_echo: false,
        answers_strange: false,
        reports: true,
        ..Node::new(5, &["fe80::77:1", "2001:db8:1::77:1"])
    };
    let (found, ..) = search(&[behind_a_firewall], &[], 0, 1);
    assert_eq!(found, ["2001:db8:1::77:1".parse::<Ipv6Addr>().unwrap()]);
}

#[test]
fn a_report_alone_shows_nobody() {
    let wanted = |_: Ipv6Addr| true;
    let own = Own {
        mac: ME,
        addresses: vec!["fe80::1".parse().unwrap()],
    };
    let mut gathering = Gathering::new(&wanted, own, &[], TOKEN);
    let heard = report("fe80::9".parse().unwrap());
    gathering.hear(&heard, None, Duration::ZERO);
    assert_eq!(gathering.found().count(), 0, "it is to be asked first");
    assert_eq!(gathering.asked.len(), 1);
    let mut from_afar = heard.clone();
    from_afar[7] = 64;
    from_afar[39] ^= 1;
    gathering.hear(&from_afar, None, Duration::ZERO);
    let from_no_link = report("2001:db8:9::9".parse().unwrap());
    gathering.hear(&from_no_link, None, Duration::ZERO);
    assert_eq!(gathering.asked.len(), 1);
}

#[test]
fn loss_hides_nobody() {
    for seed in 1..=50 {
        let (found, _, took) = search(&nodes(), &[nodes()[2].mac], 5, seed * 7919);
        assert_eq!(found.len(), 4, "seed {seed}: {found:?}");
        assert!(took <= LONGEST + Duration::from_millis(1), "{took:?}");
    }
}

#[test]
fn answers_that_bring_no_token_back_show_nobody() {
    let wanted = |_: Ipv6Addr| true;
    let own = Own {
        mac: ME,
        addresses: vec!["fe80::1".parse().unwrap()],
    };
    let mut gathering = Gathering::new(&wanted, own, &[], TOKEN);
    let me: Ipv6Addr = "fe80::1".parse().unwrap();
    let other = |token: u64| {
        let data = token.to_be_bytes();
        let message = icmpv6::Message::EchoReply {
            identifier: 1,
            sequence: 0,
            data: &data,
        };
        written("fe80::9".parse().unwrap(), me, 64, message)
    };
    gathering.hear(&other(TOKEN + 1), None, Duration::ZERO);
    // Nobody asked for this one.
    let unasked = advertised("fe80::8".parse().unwrap(), me);
    gathering.hear(&unasked, None, Duration::ZERO);
    assert_eq!(gathering.found().count(), 0);
    gathering.hear(&other(TOKEN), None, Duration::ZERO);
    assert_eq!(gathering.found().count(), 1);
}

#[test]
fn a_link_that_makes_up_hosts_is_bounded() {
    let wanted = |_: Ipv6Addr| true;
    let own = Own {
        mac: ME,
        addresses: vec!["fe80::1".parse().unwrap()],
    };
    let networks = ["fe80::".parse().unwrap()];
    let mut gathering = Gathering::new(&wanted, own, &networks, TOKEN);
    for number in 0..100_000_u128 {
        let address = Ipv6Addr::from_bits((0xfe80 << 112) | (number << 8) | 0xff);
        gathering.is_there(address, Duration::ZERO);
        gathering.may_be_there(Ipv6Addr::from_bits(address.to_bits() ^ 1), Duration::ZERO);
    }
    assert_eq!(gathering.found().count(), MOST_FOUND);
    assert_eq!(gathering.seeds.len(), MOST_SEEDS);
    assert!(gathering.asked.len() <= MOST_ASKED);
    let (mut now, mut sent) = (Duration::ZERO, 0);
    while !gathering.is_over(now) {
        sent += gathering.due(now).len();
        now += Duration::from_millis(5);
    }
    assert!(sent <= MOST_ASKED * ASK_ONE.len() + 16, "{sent}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let wanted = |_: Ipv6Addr| true;
        let own = Own { mac: ME, addresses: vec!["fe80::1".parse().unwrap()] };
        let mut gathering = Gathering::new(&wanted, own, &[], TOKEN);
        gathering.hear(&bytes, None, Duration::ZERO);
        if let [first, .., _] = &mut bytes[..] {
            *first = 0x60;
        }
        gathering.hear(&bytes, Some(ME), Duration::ZERO);
    }
}
