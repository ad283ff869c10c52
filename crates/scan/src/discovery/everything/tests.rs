use std::net::IpAddr;

use jiff::Timestamp;
use portolan_model::event::Endpoint;
use portolan_model::{PortState, Reason};

use super::*;

const PROXY: Shape = Shape {
    window: 0,
    options: [0; 8],
    ttl: 64,
};
const LISTENER: Shape = Shape {
    window: 64_240,
    options: [2, 4, 8, 1, 3, 0, 0, 0],
    ttl: 64,
};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn held(port: u16, shape: Shape) -> Held {
    Held {
        fact: PortFact {
            endpoint: Endpoint {
                address: IpAddr::from([192, 0, 2, 1]),
                protocol: Protocol::Tcp,
                port,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        },
        shape: Some(shape),
    }
}

fn ports(held: &[Held]) -> Vec<u16> {
    held.iter().map(|held| held.fact.endpoint.port).collect()
}

/// A host that has answered SYN/ACK so often that ports are drawn; these.
fn suspected(suspects: &mut Suspects) -> Vec<u16> {
    suspected_by(suspects, PROXY)
}

fn suspected_by(suspects: &mut Suspects, shape: Shape) -> Vec<u16> {
    for port in 1..8 {
        assert_eq!(suspects.open(0, held(port, shape), ms(1)), Verdict::Nothing);
    }
    let Verdict::Ask(drawn) = suspects.open(0, held(8, shape), ms(1)) else {
        panic!("eight open ports and none closed");
    };
    suspects.asked(0, ms(200));
    drawn
}

#[test]
fn drawn_ports_differ_and_no_service_is_known_for_them() {
    for seed in 0..200 {
        let lots = lots(seed);
        assert_eq!(lots.len(), LOTS as usize);
        for (place, lot) in lots.iter().enumerate() {
            assert!(lots[..place].iter().all(|other| other.port != lot.port));
            assert!(services::name(lot.port, Protocol::Tcp).is_none());
        }
    }
}

#[test]
fn a_host_with_closed_ports_is_cleared_and_what_was_held_is_open() {
    let mut suspects = Suspects::new(1, 1000, 1);
    assert_eq!(
        suspects.open(0, held(22, LISTENER), ms(0)),
        Verdict::Nothing
    );
    assert_eq!(suspects.not_open(0), Verdict::Nothing);
    assert_eq!(suspects.not_open(0), Verdict::Nothing);
    let Verdict::Release(open) = suspects.not_open(0) else {
        panic!("three closed ports clear it");
    };
    assert_eq!(ports(&open), [22]);
    let next = suspects.open(0, held(80, LISTENER), ms(0));
    assert_eq!(next, Verdict::Release(vec![held(80, LISTENER)]));
}

#[test]
fn a_few_open_ports_among_silent_ones_wait_for_a_moment_only() {
    let mut suspects = Suspects::new(1, 1000, 1);
    suspects.open(0, held(443, LISTENER), ms(5));
    assert_eq!(suspects.due(ms(900)), None);
    assert!(suspects.is_waiting(0));
    let Some((0, Verdict::Release(open))) = suspects.due(ms(1_005)) else {
        panic!("after a second it is reported");
    };
    assert_eq!(ports(&open), [443]);
    assert!(!suspects.is_waiting(0));
}

#[test]
fn a_host_whose_drawn_ports_answer_too_answers_everything() {
    let mut suspects = Suspects::new(1, 1000, 1);
    let drawn = suspected(&mut suspects);
    let mut found = Verdict::Nothing;
    for &port in &drawn {
        if let verdict @ Verdict::Found(_) = suspects.heard(0, port, true, Some(PROXY)) {
            found = verdict;
        }
    }
    let evidence = Evidence {
        asked: 12,
        answered: 11,
        windowless: 11,
    };
    assert_eq!(found, Verdict::Found(evidence));
    assert_eq!(suspects.open(0, held(9, PROXY), ms(2)), Verdict::Nothing);
    // A listener behind it answers in its own way.
    assert_eq!(
        suspects.open(0, held(10, LISTENER), ms(2)),
        Verdict::Nothing
    );
    let (open, alike) = suspects.take(0).unwrap();
    assert_eq!(ports(&open), [10]);
    assert_eq!(alike.to_set().to_string(), "1-9");
}

#[test]
fn a_path_that_loses_answers_is_asked_again_before_the_verdict() {
    let mut suspects = Suspects::new(1, 1000, 1);
    let drawn = suspected(&mut suspects);
    for &port in &drawn[..7] {
        assert_eq!(suspects.heard(0, port, true, Some(PROXY)), Verdict::Nothing);
    }
    let again = suspects.due(ms(200));
    assert_eq!(again, Some((0, Verdict::Ask(drawn[7..].to_vec()))));
    suspects.asked(0, ms(400));
    for &port in &drawn[7..9] {
        assert_eq!(suspects.heard(0, port, true, Some(PROXY)), Verdict::Nothing);
    }
    let Some((0, Verdict::Found(evidence))) = suspects.due(ms(400)) else {
        panic!("nine of twelve are enough");
    };
    assert_eq!(evidence.answered, 9);
}

#[test]
fn many_open_ports_with_closed_drawn_ones_are_open() {
    let mut suspects = Suspects::new(1, 1000, 1);
    let drawn = suspected_by(&mut suspects, LISTENER);
    let mut open = Vec::new();
    for &port in &drawn {
        if let Verdict::Release(held) = suspects.heard(0, port, false, None) {
            open = held;
        }
    }
    assert_eq!(ports(&open), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn many_open_ports_with_silent_drawn_ones_are_open() {
    let mut suspects = Suspects::new(1, 1000, 1);
    suspected_by(&mut suspects, LISTENER);
    assert!(matches!(suspects.due(ms(200)), Some((0, Verdict::Ask(_)))));
    suspects.asked(0, ms(400));
    let Some((0, Verdict::Release(open))) = suspects.due(ms(400)) else {
        panic!("nothing that was drawn answers");
    };
    assert_eq!(open.len(), 8);
}

#[test]
fn answers_that_all_differ_are_no_exceptions() {
    let mut suspects = Suspects::new(1, 1000, 1);
    let drawn = suspected(&mut suspects);
    for &port in &drawn {
        suspects.heard(0, port, true, Some(PROXY));
    }
    for port in 1_000..1_100 {
        let shape = Shape {
            window: port,
            ..LISTENER
        };
        suspects.open(0, held(port, shape), ms(3));
    }
    let (open, alike) = suspects.take(0).unwrap();
    assert_eq!((ports(&open), alike.len()), (vec![], 100 + 8));
}

#[test]
fn few_ports_are_reported_as_they_are() {
    let mut suspects = Suspects::new(1, 32, 1);
    for port in 1..=32 {
        let verdict = suspects.open(0, held(port, PROXY), ms(0));
        assert!(matches!(verdict, Verdict::Release(_)));
    }
}

/// A host of which eight ports have answered so, asked for these ports: others answer by `how`, `None`
/// for a port that refuses.
fn drawn_on(asked: &[u16], first: Shape, how: impl Fn(u16) -> Option<Shape>) -> Verdict {
    let mut suspects = Suspects::new(1, asked.len(), 1).drawing_from(asked);
    let mut verdict = Verdict::Nothing;
    for &port in asked.iter().take(8) {
        verdict = suspects.open(0, held(port, first), ms(1));
    }
    let mut now = 200;
    loop {
        now += 200;
        match verdict {
            Verdict::Ask(ports) => {
                suspects.asked(0, ms(now));
                verdict = Verdict::Nothing;
                for port in ports {
                    let answer = how(port);
                    let heard = suspects.heard(0, port, answer.is_some(), answer);
                    if heard != Verdict::Nothing {
                        verdict = heard;
                        break;
                    }
                }
            }
            Verdict::Nothing => match suspects.due(ms(now)) {
                Some((_, due)) => verdict = due,
                None => return Verdict::Nothing,
            },
            decided => return decided,
        }
    }
}

#[test]
fn a_proxy_before_the_range_that_is_asked_is_known_by_answers_that_no_listener_gives() {
    for (first, last) in [(1, 10_000), (1, 1_000), (1, 300), (8_000, 8_100)] {
        let asked: Vec<u16> = (first..=last).collect();
        let answer = |port| (port <= 20_000).then_some(PROXY);
        let Verdict::Found(evidence) = drawn_on(&asked, PROXY, answer) else {
            panic!("{first}-{last}");
        };
        assert_eq!(evidence.windowless, evidence.answered);
        assert!(evidence.answered >= 8, "{evidence:?}");
    }
}

#[test]
fn a_range_that_leads_to_one_listener_is_known_by_ports_drawn_from_it() {
    let asked: Vec<u16> = (1..=10_000).collect();
    let answer = |port| (port <= 20_000).then_some(LISTENER);
    let verdict = drawn_on(&asked, LISTENER, answer);
    let Verdict::Found(evidence) = verdict else {
        panic!("{verdict:?}");
    };
    assert!(
        evidence.asked == 24 && evidence.answered == 24,
        "{evidence:?}"
    );
}

#[test]
fn many_real_open_ports_are_no_proxy_before_a_range() {
    // All of a few hundred that are asked, and four of five of ten thousand.
    let few: Vec<u16> = (1..=900).collect();
    let all_open = drawn_on(&few, LISTENER, |port| (port <= 900).then_some(LISTENER));
    assert!(matches!(all_open, Verdict::Release(_)), "{all_open:?}");
    let many: Vec<u16> = (1..=10_000).collect();
    let most_open = drawn_on(&many, LISTENER, |port| {
        (port <= 10_000 && port % 5 != 0).then_some(LISTENER)
    });
    assert!(matches!(most_open, Verdict::Release(_)), "{most_open:?}");
}
