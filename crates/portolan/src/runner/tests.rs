//! The runner with a script in the engine's place.

use jiff::Timestamp;
use portolan_model::event::{Finished, HostUp, Outcome, Progress, Started};
use portolan_model::{PortSpec, Reason};

use super::*;

fn settings() -> names::Settings {
    names::Settings {
        waiting: |_| {},
        // Nobody answers there; no test here asks.
        servers: vec!["127.0.0.1:1".parse().unwrap()],
        hosts_file: "/nonexistent/hosts".into(),
        timeout: Duration::from_millis(100),
        attempts: 1,
        front: Front::Shell,
    }
}

fn spec(targets: &[&str]) -> ScanSpec {
    let targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    let mut spec = ScanSpec::new(targets, "80".parse::<PortSpec>().unwrap());
    spec.names.reverse = true;
    spec
}

fn prepared(spec: &ScanSpec) -> Result<Prepared, Error> {
    prepare(spec, &settings(), &Scope::default(), 7, &Control::new())
}

/// A request as another test needs it.
pub(crate) fn request() -> Request {
    prepared(&spec(&["192.0.2.0/24"])).unwrap().request
}

#[test]
fn a_name_leads_nowhere_that_its_address_may_not() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hosts.path(), "192.0.2.9 inside.test\n").unwrap();
    let settings = names::Settings {
        hosts_file: hosts.path().to_owned(),
        ..settings()
    };
    let scope = Scope::new(["192.0.2.0/24", "-192.0.2.9"]).unwrap();
    let refused = prepare(
        &spec(&["inside.test"]),
        &settings,
        &scope,
        7,
        &Control::new(),
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "192.0.2.9 is outside the scope"
    );
}

fn finished(outcome: Outcome) -> Finished {
    Finished {
        at: Timestamp::UNIX_EPOCH,
        outcome,
        elapsed: Duration::from_secs(1),
        hosts_up: 1,
        hosts_down: 0,
        sent: 1,
        loss: None,
        expected_missed: 0.0,
    }
}

/// Finds every address up.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for the engine")]
fn all_up(
    request: &Request,
    _: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> portolan_scan::Result<()> {
    sink(ScanEvent::Started(Started {
        at: Timestamp::UNIX_EPOCH,
        techniques: request.techniques.clone(),
        ports: request.ports.clone(),
        addresses: request.addresses.len(),
        probes: request.addresses.len(),
        seed: request.seed,
        zones: portolan_model::Zones::NONE,
    }));
    for address in request.addresses.iter() {
        sink(ScanEvent::HostUp(HostUp {
            address,
            reason: Reason::ConnRefused,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        }));
    }
    sink(ScanEvent::Finished(finished(Outcome::Complete)));
    Ok(())
}

/// Says how far it is until it is stopped, for a while at the most.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for the engine")]
fn until_stopped(
    _: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> portolan_scan::Result<()> {
    for done in 0..10_000_000 {
        if control.is_stopped() {
            sink(ScanEvent::Finished(finished(Outcome::Interrupted)));
            return Ok(());
        }
        sink(ScanEvent::Progress(Progress {
            done,
            ..Progress::default()
        }));
    }
    Ok(())
}

fn no_start(_: &Request, _: &Control, _: &mut dyn FnMut(ScanEvent)) -> portolan_scan::Result<()> {
    Err(portolan_scan::Error::NothingToScan)
}

/// Names alone.
fn beside(names: &names::Settings) -> Beside<'_> {
    Beside {
        names,
        detector: None,
    }
}

/// Each event in a word.
fn events(engine: Engine, prepared: &Prepared) -> Vec<String> {
    let mut words = Vec::new();
    run(
        engine,
        prepared,
        beside(&settings()),
        &Control::new(),
        &mut |event| {
            words.push(match event {
                ScanEvent::Started(_) => "started".to_owned(),
                ScanEvent::HostUp(up) => format!("up {}", up.address),
                ScanEvent::HostName(name) => {
                    format!("{:?} {} {}", name.kind, name.address, name.name)
                }
                ScanEvent::Problem(problem) => format!("problem {}", problem.about),
                ScanEvent::Finished(finished) => format!("{:?}", finished.outcome),
                other => format!("{other:?}"),
            });
        },
    )
    .unwrap();
    words
}

#[test]
fn typed_and_looked_up_names_follow_their_host_and_the_end_comes_last() {
    let prepared = prepared(&spec(&["localhost", "127.0.0.2"])).unwrap();
    assert_eq!(
        events(all_up, &prepared),
        [
            "started",
            "up 127.0.0.1",
            "User 127.0.0.1 localhost",
            "Ptr 127.0.0.1 localhost",
            "up 127.0.0.2",
            "Ptr 127.0.0.2 localhost",
            "Complete",
        ]
    );
}

#[test]
fn without_reverse_names_only_typed_ones_are_told() {
    let mut spec = spec(&["localhost"]);
    spec.names.reverse = false;
    assert_eq!(
        events(all_up, &prepared(&spec).unwrap()),
        [
            "started",
            "up 127.0.0.1",
            "User 127.0.0.1 localhost",
            "Complete"
        ]
    );
}

#[test]
fn a_name_that_leads_nowhere_is_a_problem_and_the_rest_goes_on() {
    let prepared = prepared(&spec(&["127.0.0.1", "a.invalid"])).unwrap();
    assert_eq!(
        events(all_up, &prepared),
        [
            "started",
            "problem a.invalid",
            "up 127.0.0.1",
            "Ptr 127.0.0.1 localhost",
            "Complete"
        ]
    );
    assert!(prepared.problems[0].left_out);
}

#[test]
fn the_anycast_address_of_an_ipv6_network_is_asked_where_it_is_named_alone() {
    let asked = |targets: &[&str]| prepared(&spec(targets)).unwrap().request.addresses;
    let whole = asked(&["2001:db8::/120"]);
    let anycast = "2001:db8::".parse().unwrap();
    assert!(!whole.contains(anycast));
    assert_eq!(whole.len(), 255);
    assert!(asked(&["2001:db8::/120", "2001:db8::"]).contains(anycast));
    // It has a host's bits, and may be one.
    assert_eq!(asked(&["2001:db8::100/120"]).len(), 256);
    assert_eq!(asked(&["2001:db8::/127"]).len(), 2);
}

#[test]
fn exclusions_take_addresses_away_by_name_too() {
    let mut spec = spec(&["127.0.0.0/30"]);
    spec.exclude = vec!["localhost".parse().unwrap(), "127.0.0.3".parse().unwrap()];
    let prepared = prepared(&spec).unwrap();
    assert_eq!(
        prepared.request.addresses.to_string(),
        "127.0.0.0,127.0.0.2"
    );
}

#[test]
fn an_exclusion_that_leads_nowhere_keeps_the_scan_from_starting() {
    let mut spec = spec(&["127.0.0.1"]);
    spec.exclude = vec!["a.invalid".parse().unwrap()];
    assert_eq!(
        prepared(&spec).unwrap_err().to_string(),
        "cannot leave out `a.invalid`: `a.invalid` has no address: no such host is known"
    );
}

#[test]
fn nothing_left_is_said_with_its_cause() {
    let refused = |spec: &ScanSpec| prepared(spec).unwrap_err().to_string();
    assert_eq!(
        refused(&spec(&["a.invalid"])),
        "there is nothing to scan: no target has the address of a host"
    );
    let mut excluded = spec(&["127.0.0.1"]);
    excluded.exclude = vec!["127.0.0.0/8".parse().unwrap()];
    assert_eq!(
        refused(&excluded),
        "there is nothing to scan: every target is excluded"
    );
}

#[test]
fn every_address_of_a_name_counts_when_asked_for() {
    let mut spec = spec(&["localhost"]);
    let addresses = |spec: &ScanSpec| prepared(spec).unwrap().request.addresses.to_string();
    assert_eq!(addresses(&spec), "127.0.0.1");
    spec.names.all = true;
    assert_eq!(addresses(&spec), "127.0.0.1,::1");
    spec.names.family = Some(portolan_model::spec::Family::Ipv6);
    assert_eq!(addresses(&spec), "::1");
}

#[test]
fn the_seed_of_the_user_wins() {
    let mut spec = spec(&["127.0.0.1"]);
    assert_eq!(prepared(&spec).unwrap().request.seed, 7);
    spec.seed = Some(3);
    assert_eq!(prepared(&spec).unwrap().request.seed, 3);
}

#[test]
fn a_stop_from_a_reader_ends_the_scan_in_order() {
    let prepared = prepared(&spec(&["127.0.0.1"])).unwrap();
    let control = Control::new();
    let mut last = None;
    run(
        until_stopped,
        &prepared,
        beside(&settings()),
        &control,
        &mut |event| {
            if let ScanEvent::Finished(finished) = event {
                last = Some(finished.outcome);
            }
            control.stop();
        },
    )
    .unwrap();
    assert_eq!(last, Some(Outcome::Interrupted));
}

#[test]
fn an_engine_that_cannot_start_is_an_error() {
    let prepared = prepared(&spec(&["127.0.0.1"])).unwrap();
    let started = run(
        no_start,
        &prepared,
        beside(&settings()),
        &Control::new(),
        &mut |_| (),
    );
    assert_eq!(started.unwrap_err().to_string(), "there is nothing to scan");
}

/// An engine that has found all there is at once: the port of a listener that says nothing.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands in for an engine that can fail"
)]
fn engine_of_one_port(
    request: &Request,
    _: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> portolan_scan::Result<()> {
    let address = IpAddr::from([127, 0, 0, 1]);
    let port = request.ports.tcp().iter().next().unwrap();
    sink(ScanEvent::Progress(Progress {
        done: 1,
        total: 1,
        open: 1,
        rate: 900.0,
        ..Progress::default()
    }));
    sink(ScanEvent::Port(PortFact {
        endpoint: Endpoint {
            address,
            protocol: Protocol::Tcp,
            port,
        },
        state: portolan_model::PortState::Open,
        reason: Reason::SynAck,
        rtt: None,
        ttl: None,
        at: Timestamp::now(),
    }));
    sink(ScanEvent::Finished(Finished {
        at: Timestamp::now(),
        ..finished(Outcome::Complete)
    }));
    Ok(())
}

#[test]
fn while_services_are_named_it_is_said_how_far_that_is_and_time_goes_on() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = spec(&["127.0.0.1"]);
    spec.names.reverse = false;
    let port = listener.local_addr().unwrap().port();
    spec.ports = port.to_string().parse().unwrap();
    let detector = detect::detector(&crate::args::DetectionArgs::default()).unwrap();
    let control = Control::new();
    let mut told = Vec::new();
    let names = settings();
    let beside = Beside {
        names: &names,
        detector: Some(&detector),
    };
    let prepared = prepared(&spec).unwrap();
    run(
        engine_of_one_port,
        &prepared,
        beside,
        &control,
        &mut |event| {
            if let ScanEvent::Progress(progress) = event {
                told.push(*progress);
                if told.len() == 3 {
                    control.stop();
                }
            }
        },
    )
    .unwrap();
    let naming = portolan_model::Phase::Naming { named: 0, of: 1 };
    assert_eq!(told[0].phase, portolan_model::Phase::Asking);
    assert_eq!((told[1].phase, told[2].phase), (naming, naming));
    assert!(told[2].elapsed > told[1].elapsed && told[1].elapsed >= Duration::from_secs(1));
    assert_eq!((told[1].open, told[1].done), (1, 1));
    assert!(told[1].rate.abs() < f64::EPSILON);
}
