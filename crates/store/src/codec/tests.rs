use proptest::prelude::*;

use super::*;

fn code() -> impl Strategy<Value = Code> {
    (0usize..4, 0usize..15).prop_map(|(state, reason)| Code::new(STATES[state], REASONS[reason]))
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

fn fact() -> impl Strategy<Value = Fact> {
    // Few ports, so that facts meet.
    let port = prop_oneof![0u16..60, 65_500u16..=65_535];
    let notable = (
        proptest::option::of(0u64..1 << 40),
        proptest::option::of(any::<u8>()),
        any::<i32>(),
        proptest::option::of(1i64..1000),
    )
        .prop_map(|(rtt, ttl, at, service)| Notable {
            rtt,
            ttl,
            at: at.into(),
            service,
        });
    prop_oneof![
        (protocol(), port.clone(), 0u16..40, code()).prop_map(|(protocol, first, more, code)| {
            Fact::Run(Run {
                protocol,
                first,
                last: first.saturating_add(more),
                code,
            })
        }),
        (protocol(), port, code(), notable)
            .prop_map(|(protocol, port, code, notable)| Fact::Alone(protocol, port, code, notable)),
    ]
}

#[test]
fn every_state_and_reason_has_a_byte_that_reads_back() {
    for &state in PortState::ALL {
        for &reason in Reason::ALL {
            let code = Code::new(state, reason);
            assert_eq!(Code::from_byte(code.byte()), Some(code));
            assert_eq!((code.state(), code.reason()), (state, reason));
            assert_eq!(reason_of(reason_number(reason).into()).unwrap(), reason);
        }
    }
    assert_eq!(Code::from_byte(0), None);
    assert_eq!(Code::from_byte(65), None);
}

#[test]
fn address_bytes_sort_as_addresses_do() {
    let addresses: Vec<Zoned> = [
        "9.255.0.0",
        "10.0.0.1",
        "192.0.2.1",
        "::1",
        "2001:db8::",
        "fe80::1",
        "fe80::1%eth0",
        "fe80::1%eth1",
        "fe80::2%eth0",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec();
    let bytes: Vec<_> = addresses.iter().copied().map(address_bytes).collect();
    assert!(bytes.is_sorted());
    for (bytes, address) in bytes.iter().zip(addresses) {
        assert_eq!(address_of(bytes).unwrap(), address);
    }
    let last = last_address_bytes("fe80::1".parse().unwrap());
    assert!(
        last > bytes[7] && last < bytes[8],
        "over whatever interface"
    );
    assert!(address_of(&[4, 1]).is_err());
    assert!(address_of(&[&bytes[5][..], b"a/b"].concat()).is_err());
}

#[test]
fn a_host_with_all_ports_in_one_state_takes_a_few_bytes() {
    let mut picture = Picture::default();
    let closed = Code::new(PortState::Closed, Reason::Reset);
    picture.apply((1..=u16::MAX).rev().map(|port| {
        Fact::Run(Run {
            protocol: Protocol::Tcp,
            first: port,
            last: port,
            code: closed,
        })
    }));
    let (shape, times) = picture.encode();
    assert!(shape.len() < 10, "{} bytes", shape.len());
    assert!(times.is_empty());
    let bytes = Picture::decode(&shape, None).unwrap().bytes(Protocol::Tcp);
    assert_eq!(bytes[0], 0);
    assert!(bytes[1..].iter().all(|&byte| byte == closed.byte()));
}

#[test]
fn a_service_is_kept_when_its_port_is_told_again() {
    let known = Notable {
        rtt: None,
        ttl: None,
        at: 0,
        service: None,
    };
    let open = Code::new(PortState::Open, Reason::SynAck);
    let mut picture = Picture::default();
    picture.apply([
        Fact::Alone(Protocol::Tcp, 22, open, known),
        Fact::Service(Protocol::Tcp, 22, 7),
        Fact::Alone(Protocol::Tcp, 22, open, known),
    ]);
    assert_eq!(picture.notable[&(Protocol::Tcp, 22)].service, Some(7));
}

proptest! {
    #[test]
    fn a_picture_reads_back_as_it_was(facts in prop::collection::vec(fact(), 0..40)) {
        let mut picture = Picture::default();
        picture.apply(facts);
        let (shape, times) = picture.encode();
        prop_assert_eq!(Picture::decode(&shape, Some(&times)).unwrap(), picture);
    }

    #[test]
    fn runs_are_what_drawing_one_over_the_other_gives(facts in prop::collection::vec(fact(), 0..40)) {
        let mut drawn = BTreeMap::new();
        let mut picture = Picture::default();
        for fact in &facts {
            match *fact {
                Fact::Run(run) => for port in run.first..=run.last {
                    drawn.insert((run.protocol, port), run.code);
                },
                Fact::Alone(protocol, port, code, _) => { drawn.insert((protocol, port), code); }
                Fact::Service(..) => {}
            }
        }
        picture.apply(facts);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for port in (0..200).chain(65_400..=65_535) {
                prop_assert_eq!(picture.code(protocol, port), drawn.get(&(protocol, port)).copied());
            }
        }
        prop_assert_eq!(picture.counts().iter().sum::<u64>(), drawn.len() as u64);
    }

    #[test]
    fn facts_of_different_ports_read_back(ports in prop::collection::btree_set((protocol(), any::<u16>()), 0..30), codes in prop::collection::vec(code(), 30)) {
        let facts: Vec<Fact> = ports.iter().zip(codes).map(|(&(protocol, port), code)| {
            if code.is_notable() {
                Fact::Alone(protocol, port, code, Notable { rtt: Some(port.into()), ttl: None, at: -5, service: Some(3) })
            } else {
                Fact::Run(Run { protocol, first: port, last: port, code })
            }
        }).collect();
        let mut direct = Picture::default();
        direct.apply(facts.iter().copied());
        let mut stored = Picture::default();
        stored.apply(decode_facts(&encode_facts(&facts)).unwrap());
        prop_assert_eq!(stored, direct);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Picture::decode(&bytes, Some(&bytes));
        let _ = decode_facts(&bytes);
    }
}
