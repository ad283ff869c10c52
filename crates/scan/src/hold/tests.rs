use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::rc::Rc;

use portolan_model::event::{Finished, Outcome};
use portolan_model::spec::{self, Discovery};
use portolan_model::{PortSpec, PortState, ScanEvent, Target, Technique};
use simnet::{Closed, Hosts, Path, Scenario, SimLink, Truth};

use super::*;
use crate::clock::Clock as _;
use crate::control::Control;
use crate::device::{
    Batch, Device, DeviceError, Drops, Hand, Received, Recovery, Route, RouteError,
};
use crate::request::{Request, Settled};
use crate::syn::tests::bed::SimDevice;

/// A simulated network on an interface that is down for a while.
struct Flapping {
    inner: SimDevice,
    clock: Hand,
    /// From when, and until when.
    down: (Duration, Duration),
    is_over: bool,
}

impl Flapping {
    fn check(&self) -> Result<(), DeviceError> {
        if !self.is_over && self.clock.now() >= self.down.0 {
            return Err(DeviceError::InterfaceDown {
                interface: "eth0".to_owned(),
            });
        }
        Ok(())
    }
}

impl Device for Flapping {
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError> {
        match self.check() {
            Ok(()) => self.inner.route(destination),
            // Its routes go with the interface.
            Err(_) => Err(RouteError::NoRoute { destination }),
        }
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
        self.check()?;
        self.inner.solicit(neighbour)
    }

    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError> {
        self.check()?;
        self.inner.send(batch)
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), DeviceError> {
        self.check()?;
        let until = if self.is_over {
            until
        } else {
            until.min(self.down.0)
        };
        self.inner.receive(until, each)
    }

    fn recover(&mut self, until: Duration) -> Recovery {
        if self.clock.now() < self.down.1 {
            let least = self.clock.now() + Duration::from_micros(1);
            self.clock.advance_to(until.max(least));
            return Recovery::NotYet;
        }
        // What came meanwhile is lost.
        let now = self.clock.now();
        self.inner.receive(now, &mut |_| {}).unwrap();
        self.is_over = true;
        Recovery::Back
    }

    fn drops(&mut self) -> Drops {
        self.inner.drops()
    }
}

/// What a run over an interface that was down found.
struct Run {
    found: BTreeSet<(IpAddr, u16)>,
    there: BTreeSet<(IpAddr, u16)>,
    said: Vec<(String, bool)>,
    finished: Finished,
}

fn run(target: &str, ports: &str, sweep: bool, down: (f64, f64)) -> Run {
    let open: Vec<u16> = (1..3_000).step_by(20).chain([443]).collect();
    let mut hosts = Hosts {
        addresses: vec!["198.18.0.0/20".parse().unwrap()],
        ..Hosts::default()
    };
    hosts.live = 0.1;
    let hosts = [hosts.open(&[443]), Hosts::at([198, 18, 64, 7]).open(&open)];
    let hosts = hosts.map(|hosts| hosts.closed(Closed::Silent)).to_vec();
    let scenario = Scenario::new(5, Path::rtt_ms(20.0), hosts);
    let targets: Target = target.parse().unwrap();
    let request = Request {
        addresses: targets.addresses().unwrap(),
        ports: ports.parse::<PortSpec>().unwrap(),
        techniques: vec![Technique::Syn],
        pace: spec::Pace {
            max_rate: NonZeroU64::new(2_000),
            ..spec::Pace::default()
        },
        discovery: Discovery::Skip,
        seed: 7,
        settled: Settled::new(),
        shard: None,
        zones: portolan_model::Zones::NONE,
        searches: Vec::new(),
        sweep: sweep.then(spec::Sweep::default),
        payloads: crate::udp::Payloads::default(),
        from: portolan_model::event::Reached::default(),
    };
    let clock = Hand::new();
    let link = Rc::new(RefCell::new(SimLink::new(&scenario)));
    let at = Duration::from_secs_f64;
    let device = Flapping {
        inner: SimDevice::new(link, clock.clone(), &scenario),
        clock: clock.clone(),
        down: (at(down.0), at(down.1)),
        is_over: false,
    };
    let (mut found, mut said) = (BTreeSet::new(), Vec::new());
    let mut sink = |event: ScanEvent| match event {
        ScanEvent::Port(fact) if fact.state == PortState::Open => {
            found.insert((fact.endpoint.address, fact.endpoint.port));
        }
        ScanEvent::Problem(problem) => said.push((problem.line().into_owned(), problem.left_out)),
        _ => {}
    };
    let control = Control::new();
    let finished = if sweep {
        crate::run_sweep(&request, device, clock, &control, &mut sink)
    } else {
        crate::run_syn(&request, device, clock, &control, &mut sink)
    };
    let is_asked = |&(address, port): &(IpAddr, u16)| {
        request.ports.tcp().contains(port) && request.addresses.contains(address)
    };
    Run {
        found,
        there: Truth::new(&scenario).open_tcp().filter(is_asked).collect(),
        said,
        finished: finished.unwrap(),
    }
}

#[test]
fn a_link_that_flaps_interrupts_a_sweep_and_hides_nothing() {
    let run = run("198.18.0.0/20", "443", true, (1.0, 2.3));
    assert_eq!(run.found, run.there);
    assert!(run.there.len() > 300, "{}", run.there.len());
    assert_eq!(run.finished.outcome, Outcome::Complete);
    assert_eq!(run.said.len(), 2, "{:?}", run.said);
    assert_eq!(
        run.said[0],
        (
            "the interface `eth0` went down: waiting up to 15 s for it to come back".to_owned(),
            false
        )
    );
    let back = "the way is back after 1.3";
    assert!(run.said[1].0.starts_with(back), "{:?}", run.said);
}

#[test]
fn a_link_that_flaps_interrupts_a_scan_and_hides_nothing() {
    for from in [0.3, 1.0, 2.0] {
        let run = run("198.18.64.7", "1-3000", false, (from, from + 1.3));
        assert_eq!(run.found, run.there);
        assert!(run.there.len() > 100, "{}", run.there.len());
        assert_eq!(run.finished.outcome, Outcome::Complete);
        assert_eq!(run.said.len(), 2, "{:?}", run.said);
    }
}

#[test]
fn a_link_that_stays_down_ends_both_with_what_was_found() {
    for (target, ports, is_sweep, what) in [
        ("198.18.0.0/20", "443", true, "sweep"),
        ("198.18.64.7", "1-3000", false, "scan"),
    ] {
        let run = run(target, ports, is_sweep, (1.0, 60.0));
        assert!(run.found.is_subset(&run.there) && !run.found.is_empty());
        assert_eq!(run.finished.outcome, Outcome::Incomplete);
        let elapsed = run.finished.elapsed.as_secs_f64();
        assert!((15.5..17.0).contains(&elapsed), "{elapsed}");
        let last = format!(
            "the {what} cannot go on: the interface `eth0` went down, and was not as before \
             after 15 s"
        );
        assert_eq!(run.said.last().unwrap(), &(last, true));
    }
}

#[test]
fn what_does_not_come_back_is_waited_for_and_then_given_up() {
    let mut hold = Hold::default();
    let failure = Failure {
        why: "the interface `eth0` went down".to_owned(),
        may_pass: true,
    };
    let at = Duration::from_secs;
    assert_eq!(hold.look(None, at(0)), Change::None);
    assert!(matches!(
        hold.look(Some(&failure), at(1)),
        Change::Down(Some(_))
    ));
    assert_eq!(hold.look(Some(&failure), at(15)), Change::None);
    assert_eq!(
        hold.look(Some(&failure), at(16)),
        Change::Over("the interface `eth0` went down, and was not as before after 15 s".to_owned())
    );
}

#[test]
fn what_comes_back_is_told_of_with_how_long_it_was_away() {
    let mut hold = Hold::default();
    let failure = Failure {
        why: "the interface `eth0` went down".to_owned(),
        may_pass: true,
    };
    hold.look(Some(&failure), Duration::from_secs(1));
    assert!(hold.is_down());
    let Change::Up(Some(note)) = hold.look(None, Duration::from_millis(2_300)) else {
        panic!("it is back");
    };
    assert!(note.message.starts_with("the way is back after 1.3 s"));
    assert!(!hold.is_down());
}

#[test]
fn what_cannot_pass_ends_at_once() {
    let failure = Failure {
        why: "cannot receive packets".to_owned(),
        may_pass: false,
    };
    let change = Hold::default().look(Some(&failure), Duration::ZERO);
    assert_eq!(change, Change::Over("cannot receive packets".to_owned()));
}
