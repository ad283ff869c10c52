//! Scripted techniques that are told as one scan.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{HostUp, Problem};
use portolan_model::spec::{self, Discovery};
use portolan_model::{Reason, Target};

use super::*;
use crate::error::Error;

fn request(from: Reached) -> Request {
    let target: Target = "192.0.2.1-192.0.2.2".parse().unwrap();
    Request {
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        addresses: target.addresses().unwrap(),
        ports: "T:80,443,U:53".parse().unwrap(),
        techniques: vec![Technique::Syn, Technique::Udp],
        pace: spec::Pace::default(),
        discovery: Discovery::Auto,
        seed: 1,
        settled: BTreeMap::new(),
        shard: None,
        sweep: None,
        payloads: crate::udp::Payloads::default(),
        from,
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn up(last: u8) -> ScanEvent {
    ScanEvent::HostUp(HostUp {
        address: address(last),
        reason: Reason::EchoReply,
        rtt: None,
        ttl: None,
        at: Timestamp::UNIX_EPOCH,
    })
}

fn done(last: u8) -> ScanEvent {
    ScanEvent::HostDone {
        address: address(last),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn finished(outcome: Outcome, sent: u64) -> ScanEvent {
    ScanEvent::Finished(Finished {
        at: Timestamp::UNIX_EPOCH,
        outcome,
        elapsed: Duration::from_secs(2),
        hosts_up: 1,
        hosts_down: 1,
        sent,
        loss: None,
        expected_missed: 0.0,
    })
}

/// Runs each technique by the same script.
fn told(request: &Request, script: &dyn Fn(Technique) -> Vec<ScanEvent>) -> Vec<ScanEvent> {
    let mut events = Vec::new();
    let mut run = |part: &Request, sink: &mut dyn FnMut(ScanEvent)| {
        sink(ScanEvent::Started(Started {
            zones: portolan_model::Zones::NONE,
            at: Timestamp::UNIX_EPOCH,
            techniques: part.techniques.clone(),
            ports: part.ports.clone(),
            addresses: 2,
            probes: 4,
            seed: 1,
        }));
        for event in script(part.techniques[0]) {
            sink(event);
        }
        Ok(())
    };
    run_several(
        request,
        &Control::new(),
        &mut |event| events.push(event),
        &mut run,
    )
    .unwrap();
    events
}

#[test]
fn a_host_is_up_once_and_done_once_and_the_numbers_are_of_all() {
    let script = |technique| match technique {
        Technique::Syn => vec![up(1), done(1), finished(Outcome::Complete, 10)],
        _ => vec![up(1), up(2), done(2), finished(Outcome::Incomplete, 5)],
    };
    let events = told(&request(Reached::default()), &script);
    let [
        ScanEvent::Started(started),
        rest @ ..,
        ScanEvent::Finished(finished),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(started.techniques, [Technique::Syn, Technique::Udp]);
    assert_eq!(started.probes, 6);
    assert_eq!(rest, [up(1), up(2), done(2), done(1)]);
    assert_eq!(finished.sent, 15);
    assert_eq!(finished.hosts_up, 2);
    assert_eq!(finished.elapsed, Duration::from_secs(4));
    assert_eq!(finished.outcome, Outcome::Incomplete);
}

#[test]
fn a_technique_that_left_something_out_is_where_the_scan_goes_on() {
    let reached = |step| {
        ScanEvent::Reached(Reached {
            step,
            ..Reached::default()
        })
    };
    let places = |outcome| {
        let script = move |technique| match technique {
            Technique::Syn => vec![reached(3), finished(outcome, 10)],
            _ => vec![reached(1), finished(Outcome::Complete, 5)],
        };
        let events = told(&request(Reached::default()), &script);
        let places = events.into_iter().filter_map(|event| match event {
            ScanEvent::Reached(place) => Some(place.step),
            _ => None,
        });
        places.collect::<Vec<_>>()
    };
    assert_eq!(places(Outcome::Complete), [3, (1 << PART) + 1]);
    assert_eq!(places(Outcome::Incomplete), [3]);
}

#[test]
fn a_scan_goes_on_with_the_technique_that_it_was_cut_off_in() {
    let place = Reached {
        step: 3,
        pass: 2,
        position: 9,
    };
    let script = |technique| match technique {
        Technique::Syn => vec![finished(Outcome::Complete, 1)],
        _ => vec![ScanEvent::Reached(place), finished(Outcome::Complete, 1)],
    };
    let events = told(&request(Reached::default()), &script);
    let reached = events.iter().find_map(|event| match event {
        ScanEvent::Reached(reached) => Some(*reached),
        _ => None,
    });
    let reached = reached.unwrap();
    let mut parts = Vec::new();
    let mut run = |part: &Request, _: &mut dyn FnMut(ScanEvent)| {
        parts.push((part.techniques.clone(), part.from));
        Ok(())
    };
    run_several(&request(reached), &Control::new(), &mut |_| {}, &mut run).unwrap();
    assert_eq!(parts, [(vec![Technique::Udp], place)]);
}

#[test]
fn what_was_found_stands_where_a_later_technique_cannot_start() {
    let mut events = Vec::new();
    let mut run = |part: &Request, sink: &mut dyn FnMut(ScanEvent)| {
        if part.techniques[0] == Technique::Udp {
            return Err(Error::UnknownTechnique);
        }
        sink(ScanEvent::Started(Started {
            zones: portolan_model::Zones::NONE,
            at: Timestamp::UNIX_EPOCH,
            techniques: part.techniques.clone(),
            ports: part.ports.clone(),
            addresses: 2,
            probes: 4,
            seed: 1,
        }));
        sink(finished(Outcome::Complete, 1));
        Ok(())
    };
    let request = request(Reached::default());
    run_several(
        &request,
        &Control::new(),
        &mut |event| events.push(event),
        &mut run,
    )
    .unwrap();
    let is_told = |event: &ScanEvent| {
        matches!(event, ScanEvent::Problem(Problem { message, left_out: true, .. })
            if message.starts_with("udp ports are not asked"))
    };
    assert!(events.iter().any(is_told), "{events:?}");
    assert!(matches!(
        events.last(),
        Some(ScanEvent::Finished(finished)) if finished.outcome == Outcome::Incomplete
    ));
}

/// What each technique was asked, and what was told of it all.
fn parts(
    request: &Request,
    script: &dyn Fn(Technique) -> Vec<ScanEvent>,
) -> (Vec<Request>, Vec<ScanEvent>) {
    let (mut parts, mut events) = (Vec::new(), Vec::new());
    let mut run = |part: &Request, sink: &mut dyn FnMut(ScanEvent)| {
        parts.push(part.clone());
        for event in script(part.techniques[0]) {
            sink(event);
        }
        Ok(())
    };
    let mut sink = |event| events.push(event);
    run_several(request, &Control::new(), &mut sink, &mut run).unwrap();
    (parts, events)
}

fn finished_of(events: &[ScanEvent]) -> &Finished {
    let Some(ScanEvent::Finished(finished)) = events.last() else {
        panic!("{events:?}");
    };
    finished
}

#[test]
fn hosts_are_looked_for_once_and_only_those_that_are_there_are_asked_further() {
    let mut request = request(Reached::default());
    request.ports = "T:1-20,U:1-20".parse().unwrap();
    let script = |technique| match technique {
        Technique::Syn => vec![up(1), done(1), finished(Outcome::Complete, 10)],
        _ => vec![
            done(1),
            ScanEvent::Finished(Finished {
                hosts_down: 0,
                ..finished_of(&[finished(Outcome::Complete, 5)]).clone()
            }),
        ],
    };
    let (parts, events) = parts(&request, &script);
    assert_eq!(parts[0].addresses, request.addresses);
    assert_eq!(parts[1].addresses.iter().collect::<Vec<_>>(), [address(1)]);
    assert!(parts[1].settled[&address(1)].udp().is_empty());
    let finished = finished_of(&events);
    assert_eq!((finished.hosts_up, finished.hosts_down), (1, 1));
}

#[test]
fn a_host_that_is_not_there_is_asked_by_no_other_technique() {
    let mut request = request(Reached::default());
    request.addresses = set_of([address(1)].into_iter());
    let absent = |protocol| PortsFact {
        address: address(1),
        protocol,
        ports: request.ports.of(protocol).clone(),
        state: PortState::Filtered,
        reason: Reason::HostUnreach,
        at: Timestamp::UNIX_EPOCH,
    };
    let tcp = ScanEvent::Ports(absent(portolan_model::Protocol::Tcp));
    let script = |technique| match technique {
        Technique::Syn => vec![tcp.clone(), done(1), finished(Outcome::Complete, 3)],
        _ => vec![finished(Outcome::Complete, 0)],
    };
    let (parts, events) = parts(&request, &script);
    assert_eq!(parts[1].settled[&address(1)].udp(), request.ports.udp());
    let udp = ScanEvent::Ports(absent(portolan_model::Protocol::Udp));
    assert_eq!(events[..3], [tcp, udp, done(1)]);
    assert_eq!(finished_of(&events).hosts_down, 1);
}

#[test]
fn a_scan_that_goes_on_with_a_later_technique_counts_the_hosts_that_were_found() {
    let mut request = request(Reached {
        step: 1 << PART,
        ..Reached::default()
    });
    request.settled.insert(address(1), "T:80".parse().unwrap());
    let script = |_| vec![done(1), finished(Outcome::Complete, 3)];
    let (parts, events) = parts(&request, &script);
    assert_eq!(parts.len(), 1);
    assert_eq!(finished_of(&events).hosts_up, 1);
}

#[test]
fn what_two_techniques_meet_is_told_once() {
    let problem = ScanEvent::Problem(Problem {
        about: "192.0.2.1".to_owned(),
        message: "192.0.2.1 is not there".to_owned(),
        hint: None,
        left_out: false,
    });
    let script = |_| vec![problem.clone(), finished(Outcome::Complete, 3)];
    let (_, events) = parts(&request(Reached::default()), &script);
    assert_eq!(events.iter().filter(|&of| *of == problem).count(), 1);
}

#[test]
fn what_an_earlier_part_is_done_with_counts_as_done_and_its_hosts_as_found() {
    let mut request = request(Reached {
        step: 1 << PART,
        ..Reached::default()
    });
    request
        .settled
        .insert(address(1), "T:80,443".parse().unwrap());
    let script = |technique| {
        assert_eq!(technique, Technique::Udp);
        let progress = ScanEvent::Progress(Progress {
            done: 1,
            total: 2,
            ..Progress::default()
        });
        vec![progress, finished(Outcome::Complete, 2)]
    };
    let told = told(&request, &script);
    let progress = told.iter().find_map(|event| match event {
        ScanEvent::Progress(progress) => Some(progress),
        _ => None,
    });
    let progress = progress.unwrap();
    assert_eq!((progress.done, progress.total), (5, 6));
    let hosts = told.iter().find_map(|event| match event {
        ScanEvent::Finished(finished) => Some(finished.hosts_up),
        _ => None,
    });
    assert_eq!(hosts, Some(1));
}
