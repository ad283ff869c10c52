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
    for port in 1..8 {
        assert_eq!(suspects.open(0, held(port, PROXY), ms(1)), Verdict::Nothing);
    }
    let Verdict::Ask(drawn) = suspects.open(0, held(8, PROXY), ms(1)) else {
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
    let drawn = suspected(&mut suspects);
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
    suspected(&mut suspects);
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
