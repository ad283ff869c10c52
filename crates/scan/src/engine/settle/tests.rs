//! Whole UDP scans over simulated networks, in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use portolan_model::event::Outcome as Ended;
use portolan_model::spec::{self, Discovery};
use portolan_model::{AddressSet, PortState, Protocol, Reason, ScanEvent, ScanRecord, Technique};
use simnet::scenario::Limit;
use simnet::{Closed, Hosts, Path, Ports, Scenario, SimLink, Truth};

use crate::clock::Clock;
use crate::control::Control;
use crate::device::Hand;
use crate::request::Request;
use crate::run::run_udp;
use crate::syn::tests::bed::SimDevice;
use crate::udp::Payloads;

/// What came of a scan.
struct Outcome {
    record: ScanRecord,
    seconds: f64,
    /// When the last port that answers was told.
    all_open: f64,
    /// Ports that answer and were not found, and that were found and do not answer.
    missed: usize,
    wrong: usize,
    /// Ports that are called closed and are not.
    lies: usize,
    /// Closed ports that are called open|filtered.
    unsettled: usize,
    sent: u64,
    ended: Ended,
}

fn request(addresses: AddressSet, ports: &str) -> Request {
    Request {
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        addresses,
        ports: format!("U:{ports}").parse().unwrap(),
        techniques: vec![Technique::Udp],
        pace: spec::Pace::default(),
        discovery: Discovery::Auto,
        seed: 7,
        settled: BTreeMap::new(),
        shard: None,
        sweep: None,
        payloads: Payloads::default(),
        from: portolan_model::event::Reached::default(),
    }
}

fn scan(scenario: &Scenario, request: &Request) -> Outcome {
    scan_watched(scenario, request, &Control::new(), &mut |_, _| {})
}

/// The same, with every event shown to `watch` together with the time.
fn scan_watched(
    scenario: &Scenario,
    request: &Request,
    control: &Control,
    watch: &mut dyn FnMut(&ScanEvent, Duration),
) -> Outcome {
    let truth = Truth::new(scenario);
    let link = Rc::new(RefCell::new(SimLink::new(scenario)));
    let clock = Hand::new();
    let device = SimDevice::new(link, clock.clone(), scenario);
    let mut record = ScanRecord::new("", "");
    let mut all_open = 0.0;
    let ticking = clock.clone();
    let mut sink = |event: ScanEvent| {
        let now = ticking.now();
        watch(&event, now);
        if let ScanEvent::Port(fact) = &event
            && fact.state == PortState::Open
        {
            all_open = now.as_secs_f64();
        }
        record.apply(&event);
    };
    let finished = run_udp(request, device, clock, control, &mut sink).unwrap();
    let asked = request.ports.udp();
    let open: BTreeSet<(IpAddr, u16)> = truth
        .hosts()
        .filter(|&address| request.addresses.contains(address))
        .flat_map(|address| {
            let open = truth.open_ports(address, portolan_wire::Protocol::UDP);
            // What never answers cannot be told from what a firewall drops.
            let silent = |port| {
                scenario
                    .hosts
                    .iter()
                    .any(|of| of.udp.open_silent.contains(port))
            };
            let open: Vec<u16> = open.iter().filter(|&port| !silent(port)).collect();
            open.into_iter().map(move |port| (address, port))
        })
        .filter(|(_, port)| asked.contains(*port))
        .collect();
    let of = |state: PortState| -> BTreeSet<(IpAddr, u16)> {
        let hosts = record.hosts.iter();
        hosts
            .flat_map(|(&address, host)| {
                let alone = host.ports.iter();
                let alone = alone.filter(move |((_, _), port)| port.state == state);
                let alone = alone.map(|((_, port), _)| *port);
                let rest = host.rest_of(Protocol::Udp, state);
                let all: Vec<u16> = alone.chain(rest.iter()).collect();
                all.into_iter().map(move |port| (address, port))
            })
            .collect()
    };
    let is_closed = |&(address, port): &(IpAddr, u16)| {
        let port = truth.port(address, portolan_wire::Protocol::UDP, port);
        port == simnet::PortTruth::Closed
    };
    let found = of(PortState::Open);
    Outcome {
        seconds: finished.elapsed.as_secs_f64(),
        all_open,
        missed: open.difference(&found).count(),
        wrong: found.difference(&open).count(),
        lies: of(PortState::Closed)
            .iter()
            .filter(|port| !is_closed(port))
            .count(),
        unsettled: of(PortState::OpenFiltered)
            .iter()
            .filter(|port| is_closed(port))
            .count(),
        sent: finished.sent,
        ended: finished.outcome,
        record,
    }
}

fn scenario(name: &str) -> Scenario {
    let path = format!(
        "{}/../simnet/scenarios/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    Scenario::read(std::path::Path::new(&path)).unwrap()
}

fn one(address: &str) -> AddressSet {
    let address: IpAddr = address.parse().unwrap();
    AddressSet::from_range(address, address)
}

const HOST: &str = "198.18.0.10";

/// A host with these open ports and this limit.
fn host(open: &[u16], limit: Option<(u32, u32)>) -> Hosts {
    let mut host = Hosts::at(HOST.parse::<IpAddr>().unwrap());
    host.udp.open = Ports::of(open);
    host.icmp_limit = limit.map(|(rate, burst)| Limit { rate, burst });
    host
}

fn network(rtt_ms: f64, hosts: Vec<Hosts>) -> Scenario {
    Scenario::new(11, Path::rtt_ms(rtt_ms), hosts)
}

#[test]
fn at_50_errors_a_second_what_answers_is_told_within_two_seconds_and_all_within_25() {
    for address in [HOST, "2001:db8::10"] {
        let outcome = scan(&scenario("udp-limited"), &request(one(address), "1-1000"));
        assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
        assert!(outcome.all_open < 2.0, "{}", outcome.all_open);
        assert!(outcome.seconds < 25.0, "{}", outcome.seconds);
        assert_eq!(outcome.unsettled, 0);
        assert!(outcome.sent < 8_000, "{}", outcome.sent);
    }
}

#[test]
fn at_one_error_a_second_what_answers_is_told_within_two_seconds() {
    let outcome = scan(&scenario("udp-one-a-second"), &request(one(HOST), "1-1000"));
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    // What the host was slow to say was not lost.
    let finished = outcome.record.finished.as_ref().unwrap();
    assert!(finished.loss.is_none_or(|loss| loss < 0.02), "{finished:?}");
    assert!(outcome.all_open < 2.0, "{}", outcome.all_open);
    // What the host had no time to tell of is not guessed at.
    assert!(outcome.unsettled > 900, "{}", outcome.unsettled);
    assert!(outcome.seconds < 40.0, "{}", outcome.seconds);
    let notes: Vec<_> = outcome
        .record
        .problems
        .iter()
        .map(|problem| &problem.message)
        .collect();
    assert!(
        notes[0].contains("limits how many ICMP errors"),
        "{notes:?}"
    );
}

/// A host that sends ICMP errors as Linux does by itself.
fn linux(open: &[u16]) -> Hosts {
    let mut hosts = host(open, Some((1, 6)));
    hosts.icmp_limit_all = Some(Limit {
        rate: 1_000,
        burst: 50,
    });
    hosts
}

#[test]
fn within_its_time_a_linux_host_tells_of_as_many_ports_as_it_may() {
    let network = scenario("udp-linux");
    let outcome = scan(&network, &request(one(HOST), "1-40"));
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!(outcome.seconds < 34.0, "{}", outcome.seconds);
    let told = outcome.record.count(PortState::Closed);
    assert!((35..=38).contains(&told), "{told}");
    let left = 39 - told;
    let [note] = &outcome.record.problems[..] else {
        panic!("{:?}", outcome.record.problems);
    };
    let ports = match left {
        1 => "its open|filtered port is likely closed".to_owned(),
        _ => format!("most of its {left} open|filtered ports are likely closed"),
    };
    let rate = "198.18.0.10 limits how many ICMP errors it sends, to about 1.0 a second";
    assert_eq!(note.message, format!("{rate}: {ports}"));
    let hint = note.hint.as_deref().unwrap();
    assert!(
        hint.contains("`--udp-certain` (about") && hint.contains("`--udp-budget 40s`"),
        "{hint}"
    );
}

#[test]
fn what_a_linux_host_does_not_tell_of_when_it_may_is_proved_to_be_silent() {
    for (silent, ports) in [
        (&[3][..], "1-8"),
        (&[3, 4, 5, 6, 7, 8], "1-9"),
        (&[20, 30], "1-40"),
    ] {
        for seed in 0..20 {
            let mut hosts = linux(&[7]);
            hosts.udp.open = Ports::default();
            hosts.udp.open_silent = Ports::of(silent);
            let mut request = request(one(HOST), ports);
            request.pace.udp_certain = true;
            request.seed = seed;
            let outcome = scan(&network(1.0, vec![hosts]), &request);
            let found = (outcome.lies, outcome.unsettled);
            assert_eq!(found, (0, 0), "{ports}, seed {seed}");
            assert!(outcome.seconds < 50.0, "{}", outcome.seconds);
            assert_eq!(outcome.record.problems, [], "{ports}");
        }
    }
}

#[test]
fn whatever_a_host_limits_nothing_of_it_is_left_unsettled_by_who_waits() {
    for (rate, burst) in [
        (1, 1),
        (2, 1),
        (2, 2),
        (3, 10),
        (5, 5),
        (10, 50),
        (50, 1),
        (200, 200),
    ] {
        for rtt in [0.2, 20.0, 300.0] {
            let mut hosts = host(&[9], Some((rate, burst)));
            hosts.udp.open_silent = Ports::of(&[2, 25]);
            let mut request = request(one(HOST), "1-30");
            request.pace.udp_certain = true;
            let outcome = scan(&network(rtt, vec![hosts]), &request);
            let found = (outcome.missed, outcome.lies, outcome.unsettled);
            assert_eq!(found, (0, 0, 0), "{rate}/s, {burst} at once, {rtt} ms");
            let least = f64::from(28_u32.saturating_sub(burst)) / f64::from(rate);
            assert!(
                outcome.seconds < 1.5 * least + 12.0,
                "{} s at {rate}/s, {burst} at once, {rtt} ms",
                outcome.seconds
            );
        }
    }
}

#[test]
fn a_hundred_hosts_are_asked_side_by_side() {
    let addresses = "198.18.0.0-198.18.0.99"
        .parse::<portolan_model::Target>()
        .unwrap();
    let request = request(addresses.addresses().unwrap(), "1-50");
    let outcome = scan(&scenario("udp-hosts"), &request);
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!(outcome.seconds < 10.0, "{}", outcome.seconds);
    assert!(outcome.unsettled < 10, "{}", outcome.unsettled);
}

#[test]
fn whoever_wants_to_be_certain_waits_for_all() {
    let mut request = request(one(HOST), "1-200");
    request.pace.udp_budget = Some(Duration::from_secs(1));
    let mut hosts = host(&[53], Some((5, 5)));
    hosts.udp.open_silent = Ports::of(&[100]);
    let network = network(20.0, vec![hosts]);
    let hurried = scan(&network, &request);
    assert!(
        hurried.unsettled > 150 && hurried.seconds < 6.0,
        "{}",
        hurried.seconds
    );
    request.pace.udp_certain = true;
    let certain = scan(&network, &request);
    assert_eq!((certain.missed, certain.lies, certain.unsettled), (0, 0, 0));
    assert!(
        (35.0..60.0).contains(&certain.seconds),
        "{}",
        certain.seconds
    );
    let record = &certain.record.hosts[&HOST.parse::<IpAddr>().unwrap()];
    let silent = record.rest_of(Protocol::Udp, PortState::OpenFiltered);
    assert_eq!(silent.iter().collect::<Vec<_>>(), [100]);
}

#[test]
fn a_silent_port_among_closed_ones_does_not_take_the_whole_time() {
    let mut hosts = host(&[53], None);
    hosts.udp.open_silent = Ports::of(&[514, 518]);
    let outcome = scan(&network(20.0, vec![hosts]), &request(one(HOST), "1-1000"));
    assert_eq!((outcome.missed, outcome.lies, outcome.unsettled), (0, 0, 0));
    assert!(outcome.seconds < 5.0, "{}", outcome.seconds);
}

#[test]
fn a_host_whose_firewall_drops_all_is_done_once_it_was_asked() {
    let mut hosts = host(&[53], None);
    hosts.udp.closed = Closed::Silent;
    let outcome = scan(&network(20.0, vec![hosts]), &request(one(HOST), "1-1000"));
    assert_eq!((outcome.missed, outcome.wrong), (0, 0));
    assert!(outcome.seconds < 6.0, "{}", outcome.seconds);
    let record = &outcome.record.hosts[&HOST.parse::<IpAddr>().unwrap()];
    assert_eq!(
        record.rest_of(Protocol::Udp, PortState::OpenFiltered).len(),
        999
    );
}

#[test]
fn a_port_that_a_firewall_forbids_is_filtered_and_says_so() {
    let mut hosts = host(&[53], None);
    hosts.udp.closed = Closed::AdminProhibited;
    let outcome = scan(&network(20.0, vec![hosts]), &request(one(HOST), "53,80"));
    let record = &outcome.record.hosts[&HOST.parse::<IpAddr>().unwrap()];
    let forbidden = &record
        .ports
        .get(&(Protocol::Udp, 80))
        .map(|port| (port.state, port.reason));
    let rest = record.rest_of(Protocol::Udp, PortState::Filtered);
    assert!(
        *forbidden == Some((PortState::Filtered, Reason::AdminProhibited)) || rest.contains(80),
        "{record:?}"
    );
}

#[test]
fn a_network_of_nobody_is_told_as_such() {
    let elsewhere = network(20.0, vec![host(&[53], None)]);
    let outcome = scan(&elsewhere, &request(one("198.18.0.99"), "1-100"));
    assert_eq!((outcome.wrong, outcome.lies), (0, 0));
    assert_eq!(outcome.ended, Ended::Complete);
    assert!(outcome.seconds < 8.0, "{}", outcome.seconds);
}

#[test]
fn a_scan_that_is_stopped_keeps_what_was_found_and_is_gone_on_with() {
    let network = scenario("udp-limited");
    let mut whole = request(one(HOST), "1-1000");
    let control = Control::new();
    let mut place = portolan_model::event::Reached::default();
    let cut = scan_watched(&network, &whole, &control, &mut |event, now| {
        if let ScanEvent::Reached(reached) = event {
            place = *reached;
        }
        if now > Duration::from_secs(6) {
            control.stop();
        }
    });
    assert_eq!(cut.ended, Ended::Interrupted);
    assert_eq!((cut.missed, cut.wrong, cut.lies), (0, 0, 0));
    let known = cut.record.count(PortState::Closed);
    assert!((200..800).contains(&known), "{known}");
    whole.settled = crate::request::settled_in(&cut.record);
    whole.from = place;
    let rest = scan(&network, &whole);
    assert_eq!((rest.wrong, rest.lies, rest.unsettled), (0, 0, 0));
    assert_eq!(
        rest.record.count(PortState::Open),
        0,
        "what is known is not told again"
    );
    assert_eq!(known + rest.record.count(PortState::Closed), 996);
}

#[test]
fn a_host_that_answers_on_every_port_is_named_as_such_and_holds_nobody_up() {
    let every: Vec<u16> = (1..=u16::MAX).collect();
    let mut hosts = vec![host(&every, None)];
    let mut honest = host(&[53], None);
    honest.addresses = vec!["198.18.0.11".parse().unwrap()];
    hosts.push(honest);
    let addresses = "198.18.0.10-198.18.0.11"
        .parse::<portolan_model::Target>()
        .unwrap();
    let request = request(addresses.addresses().unwrap(), "1-1000");
    let mut named = None;
    let outcome = scan_watched(
        &network(20.0, hosts),
        &request,
        &Control::new(),
        &mut |event, now| {
            if let ScanEvent::AnswersAll(found) = event {
                named = Some((found.address.to_string(), found.words(), now));
            }
        },
    );
    let (address, words, at) = named.unwrap();
    assert_eq!(address, HOST);
    assert!(words.starts_with("answers on every UDP port ("), "{words}");
    assert!(at < Duration::from_secs(4), "{at:?}");
    assert!(outcome.seconds < 8.0, "{}", outcome.seconds);
    let liar = &outcome.record.hosts[&HOST.parse::<IpAddr>().unwrap()];
    assert!(
        liar.rest_of(Protocol::Udp, PortState::OpenFiltered).len() > 900,
        "{liar:?}"
    );
    let honest = &outcome.record.hosts[&"198.18.0.11".parse::<IpAddr>().unwrap()];
    assert_eq!(
        honest.ports.keys().collect::<Vec<_>>(),
        [&(Protocol::Udp, 53)]
    );
}

#[test]
fn loss_hides_no_port_that_answers() {
    let open: Vec<u16> = (1..=40).map(|number| number * 20).collect();
    let mut lossy = network(40.0, vec![host(&open, None)]);
    lossy.path = lossy.path.clone().loss(0.05);
    let outcome = scan(&lossy, &request(one(HOST), "1-800"));
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!(outcome.unsettled < 8, "{}", outcome.unsettled);
    assert!(outcome.seconds < 10.0, "{}", outcome.seconds);
}

/// What a liar sends for each question: nothing of it proves to be an answer.
fn lies(packet: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    use portolan_wire::{Addresses, Checksum, Protocol as Carried, icmpv4, ipv4, udp};
    let Ok(view) = ipv4::Packet::new(packet) else {
        return Vec::new();
    };
    let Ok(asked) = udp::Packet::new(&packet[ipv4::HEADER_LEN..]) else {
        return Vec::new();
    };
    let addresses = view.addresses();
    let Addresses::V4 { src, dst } = addresses else {
        return Vec::new();
    };
    let (own, port) = (asked.source_port(), asked.destination_port());
    let datagram = |from: u16, to: u16, checksum| {
        let answer = udp::Repr {
            src_port: from,
            dst_port: to,
            checksum,
            payload: &[0x41; 1_400],
        };
        let header = ipv4::Repr::new(dst, src, Carried::UDP, answer.len());
        let mut bytes = vec![0; ipv4::HEADER_LEN + answer.len()];
        header.emit(&mut bytes).unwrap();
        answer
            .emit(&addresses.reversed(), &mut bytes[ipv4::HEADER_LEN..])
            .unwrap();
        bytes
    };
    // An error about a question to another port, from the port that none was asked from.
    let mut quoted = packet[..28].to_vec();
    quoted[20..22].copy_from_slice(&7_u16.to_be_bytes());
    let message = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
        code: 3,
        next_hop_mtu: 0,
        quoted: &quoted,
    });
    let header = ipv4::Repr::new(dst, src, Carried::ICMP, message.len());
    let mut error = vec![0; ipv4::HEADER_LEN + message.len()];
    header.emit(&mut error).unwrap();
    message.emit(&mut error[ipv4::HEADER_LEN..]).unwrap();
    let all = [
        datagram(port ^ 0x4000, own ^ 0x1000, Checksum::Correct),
        datagram(port, own, Checksum::Literal(0x1234)),
        datagram(port, 60_999, Checksum::Correct),
        error,
        packet[..21].to_vec(),
        vec![0x45; 9],
    ];
    all.into_iter()
        .map(|bytes| (Duration::from_millis(20), bytes))
        .collect()
}

#[test]
fn what_does_not_prove_to_be_an_answer_makes_no_port_open_or_closed() {
    use crate::device::MemoryDevice;
    let clock = Hand::new();
    let device = MemoryDevice::new(clock.clone(), ["192.0.2.1".parse().unwrap()], lies);
    let mut record = ScanRecord::new("", "");
    let request = request(one(HOST), "1-300");
    run_udp(&request, device, clock, &Control::new(), &mut |event| {
        record.apply(&event);
    })
    .unwrap();
    assert_eq!(record.count(PortState::Open), 0);
    assert_eq!(record.count(PortState::Closed), 0);
}

#[test]
fn a_host_whose_time_is_over_keeps_what_was_found_of_it() {
    let mut request = request(one(HOST), "1-1000");
    request.pace.host_timeout = Some(Duration::from_secs(5));
    let outcome = scan(&scenario("udp-one-a-second"), &request);
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!((5.0..7.0).contains(&outcome.seconds), "{}", outcome.seconds);
    assert_eq!(outcome.ended, Ended::Incomplete);
    let told: Vec<_> = outcome.record.problems.iter().collect();
    assert!(
        told[0].message.contains("it took longer than 5s"),
        "{told:?}"
    );
}

#[test]
fn a_host_that_is_skipped_holds_the_others_up_no_longer() {
    let mut slow = host(&[53], Some((1, 6)));
    let mut quick = slow.clone();
    slow.addresses = vec!["198.18.0.11".parse().unwrap()];
    quick.icmp_limit = None;
    let addresses = "198.18.0.10-198.18.0.11".parse::<portolan_model::Target>();
    let request = request(addresses.unwrap().addresses().unwrap(), "1-200");
    let control = Control::new();
    let mut is_skipped = false;
    let network = network(20.0, vec![slow, quick]);
    let outcome = scan_watched(&network, &request, &control, &mut |_, now| {
        if now > Duration::from_secs(4) && !std::mem::replace(&mut is_skipped, true) {
            control.skip_host();
        }
    });
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!(outcome.seconds < 6.0, "{}", outcome.seconds);
    let told: Vec<_> = outcome.record.problems.iter().collect();
    assert!(
        told[0]
            .message
            .starts_with("198.18.0.11 is not asked any further: it was skipped"),
        "{told:?}"
    );
}

#[test]
fn a_pause_is_not_counted_against_the_time() {
    let mut request = request(one(HOST), "1-1000");
    request.pace.udp_budget = Some(Duration::from_secs(10));
    let control = Control::new();
    let (mut at_pause, mut at_end) = (0, 0);
    let pause = Duration::from_secs(5)..Duration::from_secs(65);
    let network = scenario("udp-one-a-second");
    let outcome = scan_watched(&network, &request, &control, &mut |event, now| {
        if pause.contains(&now) {
            control.pause();
        } else {
            control.resume();
        }
        if let ScanEvent::Progress(progress) = event {
            if now < pause.start + Duration::from_secs(1) {
                at_pause = progress.sent;
            } else if now < pause.end {
                at_end = progress.sent;
            }
        }
    });
    assert_eq!((outcome.missed, outcome.wrong, outcome.lies), (0, 0, 0));
    assert!(at_end > 0, "it was paused");
    assert_eq!(at_pause, at_end, "nothing is asked meanwhile");
    assert!(
        (10.0..15.0).contains(&outcome.seconds),
        "{}",
        outcome.seconds
    );
}

#[test]
fn what_a_host_is_slow_to_tell_is_at_no_time_taken_for_loss() {
    for name in ["udp-limited", "udp-one-a-second", "udp-linux"] {
        let (mut most, mut passes) = (0.0_f64, 0);
        let request = request(one(HOST), "1-400");
        let mut watch = |event: &ScanEvent, _| match event {
            ScanEvent::Progress(progress) => most = most.max(progress.loss),
            ScanEvent::Path(path) => passes = path.passes,
            _ => {}
        };
        let outcome = scan_watched(&scenario(name), &request, &Control::new(), &mut watch);
        let finished = outcome.record.finished.unwrap();
        assert!(most < 0.01 && passes < 8, "{name}: {most}, {passes} passes");
        assert!(finished.loss.is_none_or(|loss| loss <= 0.0), "{finished:?}");
        assert!(finished.expected_missed < 0.01, "{finished:?}");
    }
}
