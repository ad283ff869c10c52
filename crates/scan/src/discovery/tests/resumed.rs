//! Scans that look for hosts, cut off at any moment and gone on with.

use portolan_model::event::Reached;

use super::*;
use crate::request::settled_in;

/// A part of a scan: what was told until its last place, and that place.
struct Part {
    told: ScanRecord,
    from: Reached,
    sent: u64,
    outcome: Outcome,
}

/// Scans until `enough` says so of the time that has passed.
fn part(scenario: &Scenario, request: &Request, enough: impl Fn(Duration) -> bool) -> Part {
    let clock = Hand::new();
    let device = SimDevice {
        link: Rc::new(RefCell::new(SimLink::new(scenario))),
        truth: Truth::new(scenario),
        clock: clock.clone(),
        source: scenario.link.address.into(),
        reach: Reach::Beyond,
        loss: 0.0,
        chance: 1,
        news: VecDeque::new(),
    };
    let control = Control::new();
    let (mut told, mut from) = (ScanRecord::new("", ""), request.from);
    let mut since = Vec::new();
    let mut sink = |event: ScanEvent| {
        if let ScanEvent::Progress(progress) = &event
            && enough(progress.elapsed)
        {
            control.stop();
        }
        if let ScanEvent::Reached(place) = event {
            from = place;
            for event in since.drain(..) {
                told.apply(&event);
            }
        } else if !control.is_stopped() || matches!(event, ScanEvent::Finished(_)) {
            since.push(event);
        }
    };
    let finished = run_syn(request, device, clock.clone(), &control, &mut sink).unwrap();
    if finished.outcome != Outcome::Interrupted {
        for event in &since {
            told.apply(event);
        }
    }
    Part {
        told,
        from,
        sent: finished.sent,
        outcome: finished.outcome,
    }
}

fn open(record: &ScanRecord) -> BTreeSet<(IpAddr, u16)> {
    let ports = record.hosts.iter().flat_map(|(&address, host)| {
        let open = host
            .ports
            .iter()
            .filter(|(_, port)| port.state == PortState::Open);
        open.map(move |(&(_, port), _)| (address, port))
    });
    ports.collect()
}

/// A network of 1,024 addresses of which one in twenty is a host behind a firewall.
fn walled() -> Scenario {
    let mut hosts = at("198.18.4.0/22", 0.05).closed(Closed::Silent);
    hosts.tcp.open_share = 0.02;
    Scenario::new(11, Path::rtt_ms(20.0), vec![hosts])
}

#[test]
fn a_scan_that_looks_for_hosts_does_no_more_than_five_seconds_of_work_twice() {
    const RATE: u64 = 2_000;
    let scenario = walled();
    let truth = Truth::new(&scenario);
    let mut request = request("198.18.4.0/22", "1-500", Discovery::Auto, 3);
    request.pace.max_rate = std::num::NonZeroU64::new(RATE);
    let there: BTreeSet<(IpAddr, u16)> = truth
        .open_tcp()
        .filter(|&(_, port)| (1..=500).contains(&port))
        .collect();
    let whole = part(&scenario, &request, |_| false);
    assert_eq!(open(&whole.told), there);
    // While hosts are looked for, at the end of that, and in each of the passes over ports.
    for stop in [1, 2, 3, 4, 6, 8, 11, 15, 19, 24] {
        let stop = Duration::from_secs(stop);
        let first = part(&scenario, &request, |elapsed| elapsed >= stop);
        assert_eq!(first.outcome, Outcome::Interrupted, "after {stop:?}");
        let mut rest = request.clone();
        rest.settled = settled_in(&first.told);
        rest.from = first.from;
        let second = part(&scenario, &rest, |_| false);
        let (before, after) = (open(&first.told), open(&second.told));
        assert!(before.is_disjoint(&after), "told twice after {stop:?}");
        let found: BTreeSet<_> = before.union(&after).copied().collect();
        assert_eq!(found, there, "after {stop:?}, from {:?}", first.from);
        let sent = first.sent + second.sent;
        assert!(
            sent < whole.sent + 5 * RATE,
            "after {stop:?}, from {:?}: {} and {} of {}",
            first.from,
            first.sent,
            second.sent,
            whole.sent
        );
    }
}

#[test]
fn a_search_for_hosts_that_is_gone_on_with_asks_little_twice_and_finds_nobody_twice() {
    const RATE: u64 = 500;
    let hosts = at("198.18.4.0/22", 0.05).closed(Closed::Silent);
    let scenario = Scenario::new(12, Path::rtt_ms(20.0), vec![hosts]);
    let mut request = request("198.18.4.0/22", "443", Discovery::Only, 4);
    request.pace.max_rate = std::num::NonZeroU64::new(RATE);
    let whole = part(&scenario, &request, |_| false);
    let there: BTreeSet<IpAddr> = whole.told.hosts.keys().copied().collect();
    assert!(there.len() > 30, "{}", there.len());
    let mut most = 0;
    for stop in (700..12_000).step_by(700).map(Duration::from_millis) {
        let first = part(&scenario, &request, |elapsed| elapsed >= stop);
        if first.outcome != Outcome::Interrupted {
            break;
        }
        let mut rest = request.clone();
        rest.settled = settled_in(&first.told);
        rest.from = first.from;
        let second = part(&scenario, &rest, |_| false);
        let found = |part: &Part| -> BTreeSet<IpAddr> { part.told.hosts.keys().copied().collect() };
        let (before, after) = (found(&first), found(&second));
        assert!(before.is_disjoint(&after), "told twice after {stop:?}");
        let union: BTreeSet<_> = before.union(&after).copied().collect();
        assert_eq!(union, there, "after {stop:?}, from {:?}", first.from);
        most = most.max((first.sent + second.sent).saturating_sub(whole.sent));
    }
    assert!(most < 2 * RATE, "{most} packets were sent twice");
}
