use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use portolan_model::spec::{Pace as PaceSpec, Template};
use portolan_model::{AddressSet, PortSet, PortSpec, PortState, ScanRecord, Target, Technique};

use super::simulated::{Others, Path, Seen, Sim};
use super::*;
use crate::request::Request;

/// A scan of a simulated network, and what came of it.
struct Run {
    record: ScanRecord,
    finished: Finished,
    seen: Seen,
    problems: Vec<String>,
    events: Vec<ScanEvent>,
}

impl Run {
    fn open(&self) -> BTreeSet<u16> {
        self.record
            .hosts
            .values()
            .flat_map(|host| host.ports.keys().map(|&(_, port)| port))
            .collect()
    }

    fn seconds(&self) -> f64 {
        self.finished.elapsed.as_secs_f64()
    }
}

fn request(target: &str, ports: &str) -> Request {
    let target: Target = target.parse().unwrap();
    Request {
        addresses: target.addresses().unwrap(),
        ports: ports.parse::<PortSpec>().unwrap(),
        techniques: vec![Technique::Connect],
        pace: PaceSpec::default(),
        discovery: Discovery::Auto,
        seed: 1,
        settled: BTreeMap::new(),
        shard: None,
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: None,
        payloads: crate::udp::Payloads::default(),
        from: Reached::default(),
    }
}

fn run(path: Path, request: &Request) -> Run {
    run_until(path, request, |_, _| {})
}

fn run_until(path: Path, request: &Request, mut each: impl FnMut(&ScanEvent, &Control)) -> Run {
    let plan = Plan::new(
        request.addresses.clone(),
        portolan_model::Protocol::Tcp,
        request.ports.tcp(),
        request.seed,
    )
    .unwrap();
    let sim = Sim::new(path, request.seed);
    let seen = sim.seen.clone();
    let clock = sim.clock.clone();
    let control = Control::new();
    let options = crate::run::options(request, 20_000);
    let mut record = ScanRecord::new("", "");
    let mut events = Vec::new();
    let mut sink = |event: ScanEvent| {
        each(&event, &control);
        record.apply(&event);
        events.push(event);
    };
    let settled = &request.settled;
    let mut engine = Engine::new(&plan, sim, clock, &control, &mut sink, options, settled);
    engine.from = request.from;
    let finished = engine.run();
    drop(engine);
    let problems = record
        .problems
        .iter()
        .map(|problem| problem.message.clone())
        .collect();
    let seen = seen.borrow().clone();
    Run {
        record,
        finished,
        seen,
        problems,
        events,
    }
}

/// `count` ports, spread over 1 to `last`.
fn spread(count: u16, last: u16) -> BTreeSet<u16> {
    (1..=count)
        .map(|number| {
            u16::try_from(u32::from(number) * u32::from(last) / u32::from(count)).unwrap()
        })
        .collect()
}

#[test]
fn every_port_of_an_answering_host_is_asked_about_once() {
    let open = spread(60, 65_535);
    let run = run(Path::new(1, open.clone()), &request("192.0.2.1", "all"));
    assert_eq!(run.open(), open);
    assert_eq!(run.record.count(PortState::Closed), 65_535 - 60);
    assert_eq!(run.finished.outcome, Outcome::Complete);
    assert_eq!(run.finished.loss, Some(0.0));
    assert!(run.seen.probes < 67_500, "{}", run.seen.probes);
    assert!(run.seconds() < 0.6, "{}", run.seconds());
}

#[test]
fn a_small_scan_asks_each_port_once_also_where_answers_take_their_time() {
    for (target, ports, probes) in [
        ("192.0.2.1", "22", 1),
        ("192.0.2.1", "22,80,443,8080,9999", 5),
        ("192.0.2.0/30", "22,80", 8),
        ("192.0.2.1", "1-200", 200),
    ] {
        let run = run(Path::new(80, [22, 80, 443]), &request(target, ports));
        assert_eq!(run.seen.probes, probes, "{target} -p {ports}");
    }
}

#[test]
fn each_port_is_reported_exactly_once() {
    let mut path = Path::new(20, spread(30, 3_000));
    path.loss = 0.05;
    let run = run(path, &request("192.0.2.1", "1-3000"));
    let mut reported = vec![0; 3_001];
    for event in &run.events {
        match event {
            ScanEvent::Port(fact) => reported[usize::from(fact.endpoint.port)] += 1,
            ScanEvent::Ports(fact) => {
                for port in fact.ports.iter() {
                    reported[usize::from(port)] += 1;
                }
            }
            _ => {}
        }
    }
    assert!(reported[1..].iter().all(|&times| times == 1));
}

#[test]
fn a_scan_that_goes_on_asks_only_for_what_is_not_settled() {
    let open = spread(30, 3_000);
    let mut whole = request("192.0.2.1", "1-3000");
    let first = run_until(Path::new(20, open.clone()), &whole, |event, control| {
        if matches!(event, ScanEvent::Port(fact) if fact.endpoint.port == 1_700) {
            control.stop();
        }
    });
    assert_eq!(first.finished.outcome, Outcome::Interrupted);
    let settled: BTreeSet<u16> = first
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Port(fact) => Some(fact.endpoint.port),
            _ => None,
        })
        .collect();
    assert!(!settled.is_empty());
    let ports = PortSpec::new(settled.iter().copied().collect(), PortSet::EMPTY);
    whole.settled = [("192.0.2.1".parse().unwrap(), ports)].into();
    whole.seed = 2;
    let second = run(Path::new(20, open.clone()), &whole);
    assert_eq!(second.finished.outcome, Outcome::Complete);
    assert_eq!(second.finished.hosts_up, 1);
    let reported: BTreeSet<u16> = second
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Port(fact) => Some(fact.endpoint.port),
            _ => None,
        })
        .collect();
    assert!(settled.is_disjoint(&reported));
    assert_eq!(settled.len() + reported.len(), 3_000);
}

#[test]
fn a_scan_whose_every_port_is_settled_sends_nothing() {
    let mut request = request("192.0.2.1", "1-100");
    request.settled = [("192.0.2.1".parse().unwrap(), "1-100".parse().unwrap())].into();
    let run = run(Path::new(20, spread(3, 100)), &request);
    assert_eq!(run.finished.outcome, Outcome::Complete);
    assert_eq!((run.finished.sent, run.seen.probes), (0, 0));
}

#[test]
fn a_firewall_that_drops_the_rest_costs_two_passes_at_speed() {
    let open = spread(20, 10_000);
    let mut path = Path::new(60, open.clone());
    path.others = Others::Silent;
    let run = run(path, &request("192.0.2.1", "1-10000"));
    assert_eq!(run.open(), open);
    assert_eq!(run.record.count(PortState::Filtered), 10_000 - 20);
    assert!(run.seconds() < 6.0, "{}", run.seconds());
    assert!(run.seen.probes < 22_000, "{}", run.seen.probes);
}

#[test]
fn random_loss_neither_hides_a_port_nor_slows_the_scan() {
    for seed in 0..20 {
        let open = spread(100, 10_000);
        let mut path = Path::new(40, open.clone());
        path.jitter = Duration::from_millis(10);
        path.loss = 0.03;
        let mut request = request("192.0.2.1", "1-10000");
        request.seed = seed;
        let run = run(path, &request);
        assert_eq!(run.open(), open, "seed {seed}");
        assert!(run.seconds() < 4.0, "seed {seed}: {}", run.seconds());
        let loss = run.finished.loss.unwrap();
        assert!((0.03..0.09).contains(&loss), "seed {seed}: {loss}");
        assert!(run.finished.expected_missed < 0.01);
    }
}

#[test]
fn loss_behind_a_silent_firewall_is_measured_by_sentinels() {
    for seed in 0..20 {
        let open = spread(20, 10_000);
        let mut path = Path::new(60, open.clone());
        path.others = Others::Silent;
        path.loss = 0.01;
        let mut request = request("192.0.2.1", "1-10000");
        request.seed = seed;
        let run = run(path, &request);
        assert_eq!(run.open(), open, "seed {seed}");
        assert!(run.seconds() < 6.0, "seed {seed}: {}", run.seconds());
    }
}

#[test]
fn a_narrow_link_sets_the_pace() {
    let open = spread(60, 65_535);
    let mut path = Path::new(30, open.clone());
    path.bottleneck = Some((4_000.0, 60));
    let run = run(path, &request("192.0.2.1", "all"));
    assert_eq!(run.open(), open);
    assert_eq!(run.record.count(PortState::Closed), 65_535 - 60);
    // The link needs 16.4 s.
    assert!(run.seconds() < 20.0, "{}", run.seconds());
    assert!(
        run.seen.dropped_by_queue < 8_000,
        "{}",
        run.seen.dropped_by_queue
    );
}

#[test]
fn limited_resets_do_not_slow_the_search_for_open_ports() {
    let open = spread(20, 10_000);
    // In whatever order: the first open port may come late.
    let mut times = Vec::new();
    for seed in 0..20 {
        let mut path = Path::new(20, open.clone());
        path.resets = Some(200.0);
        let mut request = request("192.0.2.1", "1-10000");
        request.seed = seed;
        let run = run(path, &request);
        assert_eq!(run.open(), open);
        assert!(run.seen.probes < 60_000, "{}", run.seen.probes);
        times.push(run.seconds());
    }
    times.sort_by(f64::total_cmp);
    // Very late in one of them.
    assert!(times[18] < 3.0 && times[19] < 3.2, "{times:?}");
}

#[test]
fn a_host_that_never_answers_is_asked_twice_at_a_moderate_rate() {
    let mut path = Path::new(10, []);
    path.others = Others::Silent;
    let run = run(path, &request("192.0.2.1", "1-5000"));
    assert_eq!(run.record.count(PortState::Filtered), 5_000);
    assert_eq!(run.finished.hosts_up, 0);
    assert_eq!(run.finished.loss, None);
    assert!(
        (10_000..10_100).contains(&run.seen.probes),
        "{}",
        run.seen.probes
    );
    assert!(
        run.seen.most_in_a_tenth <= 110,
        "{}",
        run.seen.most_in_a_tenth
    );
    assert!(run.seconds() < 14.0, "{}", run.seconds());
}

#[test]
fn only_hosts_that_are_there_are_asked_all_ports() {
    let hosts: BTreeSet<IpAddr> = ["192.0.2.7", "192.0.2.99", "192.0.2.200"]
        .iter()
        .map(|host| host.parse().unwrap())
        .collect();
    let mut path = Path::new(5, [22, 80]);
    path.hosts = Some(hosts.clone());
    let run = run(path, &request("192.0.2.0/24", "1-1000"));
    assert_eq!(
        run.record.hosts.keys().copied().collect::<BTreeSet<_>>(),
        hosts
    );
    assert_eq!((run.finished.hosts_up, run.finished.hosts_down), (3, 253));
    for host in run.record.hosts.values() {
        assert_eq!(host.ports.len(), 2);
        assert_eq!(host.count(PortState::Closed), 998);
    }
    assert!(run.seen.probes < 10_000, "{}", run.seen.probes);
}

#[test]
fn without_discovery_every_address_is_asked() {
    let hosts: BTreeSet<IpAddr> = ["192.0.2.7".parse().unwrap()].into();
    let mut path = Path::new(5, [9_999]);
    path.hosts = Some(hosts);
    path.others = Others::Silent;
    let mut request = request("192.0.2.0/28", "9990-9999");
    request.discovery = Discovery::Skip;
    let run = run(path, &request);
    assert_eq!(run.finished.hosts_up, 1);
    assert_eq!(run.record.hosts.len(), 16);
    assert_eq!(run.open(), [9_999].into());
    assert_eq!(run.record.count(PortState::Filtered), 159);
}

#[test]
fn looking_for_hosts_only_asks_no_other_ports() {
    let mut path = Path::new(5, [22]);
    path.hosts = Some(["192.0.2.3".parse().unwrap()].into());
    let mut request = request("192.0.2.0/28", "1-1000");
    request.discovery = Discovery::Only;
    let run = run(path, &request);
    assert_eq!(run.finished.hosts_up, 1);
    assert_eq!(run.finished.hosts_down, 15);
    // Eight ports each, twice.
    assert!(run.seen.probes <= 16 * 16, "{}", run.seen.probes);
}

#[test]
fn an_address_without_a_route_is_one_problem_and_the_others_go_on() {
    let mut path = Path::new(5, [22]);
    path.no_route = ["192.0.2.1".parse().unwrap()].into();
    let run = run(path, &request("192.0.2.0/30", "1-20"));
    assert_eq!(run.problems, ["no route to 192.0.2.1"]);
    assert_eq!(run.finished.outcome, Outcome::Incomplete);
    assert_eq!(run.finished.hosts_up, 3);
    assert!(!run.record.hosts.contains_key(&"192.0.2.1".parse().unwrap()));
}

/// What a scan says was reached, and whether it calls a port filtered.
fn places_and_claims(run: &Run) -> (usize, usize) {
    let places = run.events.iter();
    let places = places.filter(|event| matches!(event, ScanEvent::Reached(_)));
    (places.count(), run.record.count(PortState::Filtered))
}

#[test]
fn a_host_that_is_known_and_has_no_route_stays_open_for_another_time() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let mut path = Path::new(5, [22]);
    path.no_route = [address].into();
    let mut request = request("192.0.2.1", "1-2000");
    let known = PortSpec::new(PortSet::from_range(1, 500), PortSet::EMPTY);
    request.settled = [(address, known)].into();
    let run = run(path, &request);
    assert_eq!(run.problems, ["no route to 192.0.2.1"]);
    assert_eq!(run.finished.outcome, Outcome::Incomplete);
    assert_eq!(places_and_claims(&run), (0, 0));
}

#[test]
fn a_route_that_goes_away_leaves_what_was_not_asked_open() {
    let mut path = Path::new(5, spread(40, 4_000));
    path.routes_until = Some(1_500);
    let mut request = request("192.0.2.1-192.0.2.2", "1-4000");
    request.discovery = Discovery::Skip;
    let run = run(path, &request);
    assert_eq!(run.problems, ["no route to 192.0.2.1-192.0.2.2"]);
    assert_eq!(run.finished.outcome, Outcome::Incomplete);
    assert_eq!(run.finished.hosts_up, 2);
    assert_eq!(places_and_claims(&run).1, 0);
    let last = run.events.iter().filter_map(|event| match event {
        ScanEvent::Reached(place) => Some(place.step),
        _ => None,
    });
    assert_eq!(last.max().unwrap_or(0), 0, "no block is behind it");
    assert!(run.record.count(PortState::Closed) > 100);
}

#[test]
fn a_firewall_that_shuts_us_out_ends_the_scan_with_what_was_found() {
    let open = spread(50, 10_000);
    let mut path = Path::new(20, open.clone());
    path.shut_after = Some(3_000);
    let run = run(path, &request("192.0.2.1", "1-10000"));
    assert!(run.open().len() > 5);
    assert!(run.open().is_subset(&open));
    assert_eq!(run.finished.outcome, Outcome::Incomplete);
    assert_eq!(
        run.problems,
        ["nothing answers any more since 45 seconds, not even ports that did"]
    );
    // What was not proven silent is not claimed to be.
    assert_eq!(run.record.count(PortState::Filtered), 0);
}

#[test]
fn a_transport_without_room_makes_the_scan_wait_and_loses_nothing() {
    let open = spread(20, 5_000);
    let mut path = Path::new(10, open.clone());
    path.room = 7;
    let run = run(path, &request("192.0.2.1", "1-5000"));
    assert_eq!(run.open(), open);
    assert_eq!(run.record.count(PortState::Closed), 4_980);
    assert!(run.seen.most_waiting <= 7);
}

#[test]
fn a_rate_and_a_window_that_were_set_are_kept() {
    let mut with_rate = request("192.0.2.1", "1-3000");
    with_rate.pace.max_rate = NonZeroU64::new(2_000);
    let result = run(Path::new(2, [22]), &with_rate);
    assert!(
        result.seen.most_in_a_tenth <= 210,
        "{}",
        result.seen.most_in_a_tenth
    );
    assert!(result.seconds() > 1.4, "{}", result.seconds());

    let mut with_window = request("192.0.2.1", "1-3000");
    with_window.pace.concurrency = NonZeroU32::new(10);
    let result = run(Path::new(20, [22]), &with_window);
    assert!(
        result.seen.most_waiting <= 10,
        "{}",
        result.seen.most_waiting
    );
    assert_eq!(result.record.count(PortState::Closed), 2_999);
}

#[test]
fn a_least_rate_is_kept_though_the_path_drops() {
    let mut path = Path::new(20, [22]);
    path.bottleneck = Some((500.0, 10));
    let mut request = request("192.0.2.1", "1-4000");
    request.pace.min_rate = NonZeroU64::new(4_000);
    request.pace.retries = Some(0);
    let run = run(path, &request);
    assert!(run.seconds() < 5.0, "{}", run.seconds());
}

#[test]
fn retries_that_were_set_are_neither_more_nor_fewer() {
    let mut path = Path::new(5, [22]);
    path.others = Others::Silent;
    let mut request = request("192.0.2.1", "1-1000");
    request.pace.retries = Some(0);
    let run = run(path, &request);
    // The likeliest ports are asked first, and once more in their turn.
    assert!(run.seen.probes < 1_200, "{}", run.seen.probes);
}

#[test]
fn the_polite_template_asks_one_at_a_time() {
    let mut request = request("192.0.2.1", "20-25");
    request.pace.template = Template::Polite;
    let run = run(Path::new(5, [22]), &request);
    assert_eq!(run.seen.most_waiting, 1);
    assert!(run.seconds() > 2.0, "{}", run.seconds());
}

#[test]
fn a_scan_that_is_stopped_says_what_it_found_and_claims_nothing_more() {
    let run = run_until(
        Path::new(20, spread(50, 10_000)),
        &request("192.0.2.1", "1-10000"),
        |event, control| {
            if matches!(event, ScanEvent::Port(fact) if fact.state == PortState::Open) {
                control.stop();
            }
        },
    );
    assert_eq!(run.finished.outcome, Outcome::Interrupted);
    assert!(!run.open().is_empty());
    assert_eq!(run.record.count(PortState::Filtered), 0);
    // What answered was all asked early, and is no limit for that.
    assert_eq!(run.record.problems, []);
}

#[test]
fn progress_never_goes_back_and_ends_at_the_whole() {
    let mut path = Path::new(20, spread(20, 5_000));
    path.loss = 0.02;
    let run = run(path, &request("192.0.2.1", "1-5000"));
    let done: Vec<u128> = run
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Progress(progress) => Some(progress.done),
            _ => None,
        })
        .collect();
    assert!(done.is_sorted());
    assert_eq!(done.last(), Some(&5_000));
}

#[test]
fn the_same_seed_gives_the_same_scan() {
    let scan = |seed| {
        let mut path = Path::new(20, spread(20, 2_000));
        path.loss = 0.02;
        let mut request = request("192.0.2.1", "1-2000");
        request.seed = seed;
        run(path, &request).events
    };
    assert_eq!(scan(5), scan(5));
    assert_ne!(scan(5), scan(6));
}

#[test]
fn a_service_that_accepts_nothing_does_not_hold_the_scan() {
    for (others, max_rate) in [
        (Others::Reset, None),
        (Others::Reset, NonZeroU64::new(400)),
        (Others::Silent, None),
    ] {
        let mut path = Path::new(1, [80]);
        path.others = others;
        path.backlog = Some(5);
        let mut request = request("192.0.2.1", "1-4000");
        request.pace.max_rate = max_rate;
        let run = run(path, &request);
        assert_eq!(run.open(), [80].into());
        if others == Others::Reset {
            assert_eq!(run.record.count(PortState::Closed), 3_999);
            assert_eq!(run.finished.outcome, Outcome::Complete);
            assert!(run.seen.probes < 6_000, "{}", run.seen.probes);
        }
        assert!(run.seconds() < 60.0, "{others:?} {}", run.seconds());
    }
}

#[test]
fn a_slow_host_beside_fast_ones_is_waited_for() {
    let far: IpAddr = "192.0.2.2".parse().unwrap();
    for (ports, discovery) in [
        ("22,80,81", Discovery::Auto),
        ("1-3000", Discovery::Auto),
        ("1-3000", Discovery::Skip),
    ] {
        for millis in [120, 200, 400, 700] {
            let mut path = Path::new(1, [22]);
            path.far = [(far, Duration::from_millis(millis))].into();
            let mut request = request("192.0.2.0/29", ports);
            request.discovery = discovery;
            let run = run(path, &request);
            assert_eq!(run.record.count(PortState::Open), 8, "{ports} {millis}");
            assert_eq!(run.record.count(PortState::Filtered), 0, "{ports} {millis}");
        }
    }
}

#[test]
fn a_slow_path_is_waited_for() {
    let open = spread(20, 2_000);
    let mut path = Path::new(700, open.clone());
    path.others = Others::Silent;
    path.jitter = Duration::from_millis(200);
    let run = run(path, &request("192.0.2.1", "1-2000"));
    assert_eq!(run.open(), open);
    assert!(run.seconds() < 30.0, "{}", run.seconds());
}

#[test]
fn addresses_of_a_set_are_all_reported() {
    let set: AddressSet = ["192.0.2.1", "2001:db8::1"]
        .iter()
        .map(|address| address.parse::<IpAddr>().unwrap())
        .collect();
    let mut request = request("192.0.2.1", "1-100");
    request.addresses = set;
    let run = run(Path::new(5, [22]), &request);
    assert_eq!(run.record.hosts.len(), 2);
    assert_eq!(run.record.count(PortState::Open), 2);
}

/// 10,000 closed ports of a host, a thousand a second.
fn slow_request() -> Request {
    let mut request = request("192.0.2.1", "1-10000");
    request.pace.max_rate = NonZeroU64::new(1_000);
    request
}

fn progress_of(run: &Run) -> Vec<portolan_model::event::Progress> {
    let progress = |event: &ScanEvent| match event {
        ScanEvent::Progress(progress) => Some(*progress),
        _ => None,
    };
    run.events.iter().filter_map(progress).collect()
}

/// Holds that from the first second on, the time left was about what it then took.
fn assert_time_left_was_right(run: &Run) {
    let all = run.seconds();
    let mut seen = 0;
    for progress in progress_of(run) {
        let elapsed = progress.elapsed.as_secs_f64();
        if let Some(left) = progress.left.filter(|_| elapsed > 1.0) {
            let said = elapsed + left.as_secs_f64();
            assert!((said - all).abs() < all / 4.0, "{progress:?}: {all} in all");
            seen += 1;
        }
    }
    assert!(seen > 5, "the time left was told {seen} times only");
}

#[test]
fn the_time_left_of_a_scan_that_goes_on_is_by_what_this_part_does() {
    let mut request = slow_request();
    request
        .settled
        .insert("192.0.2.1".parse().unwrap(), "1-7000".parse().unwrap());
    let run = run(Path::new(10, []), &request);
    assert!(run.seconds() < 4.0, "{}", run.seconds());
    assert_time_left_was_right(&run);
    assert_eq!(progress_of(&run).last().unwrap().done, 10_000);
}

#[test]
fn a_pause_is_no_time_that_a_scan_took() {
    let plain = run(Path::new(10, []), &slow_request());
    let mut told = 0;
    let paused = run_until(Path::new(10, []), &slow_request(), |event, control| {
        if let ScanEvent::Progress(_) = event {
            told += 1;
            match told {
                30 => control.pause(),
                300 => control.resume(),
                _ => {}
            }
        }
    });
    assert!(told > 300, "it was over before the pause was");
    assert!(
        (paused.seconds() - plain.seconds()).abs() < 1.0,
        "{} and {}",
        paused.seconds(),
        plain.seconds()
    );
    assert_time_left_was_right(&paused);
}

#[test]
fn blocks_that_an_earlier_part_is_done_with_count_as_done() {
    let mut request = request("192.0.2.0-65", "1-65535");
    let plan = Plan::new(
        request.addresses.clone(),
        portolan_model::Protocol::Tcp,
        request.ports.tcp(),
        request.seed,
    );
    let plan = plan.unwrap();
    assert_eq!(plan.blocks(), 2);
    let first = plan.block(0);
    for host in 0..first.hosts() {
        let ports = request.ports.clone();
        request.settled.insert(first.address(host).unwrap(), ports);
    }
    request.from.step = 1;
    let run = run(Path::new(1, [80]), &request);
    let last = *progress_of(&run).last().unwrap();
    assert_eq!(last.total, 66 * 65_535);
    assert_eq!(last.done, last.total);
    assert_eq!(run.finished.hosts_up, 66);
    assert!(progress_of(&run)[0].done >= 64 * 65_535);
}

#[test]
fn ports_that_were_not_asked_are_not_called_done() {
    let run = run(Path::new(10, []), &slow_request());
    let told = progress_of(&run);
    assert!(told.len() > 50);
    for progress in told {
        let asked = u128::from(progress.sent);
        assert!(progress.done <= asked, "{progress:?}");
    }
}
