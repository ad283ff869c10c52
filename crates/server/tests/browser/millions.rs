//! A scan of more ports than a page can hold: what is open is shown, what is not shown is counted
//! and can be reached.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostUp, Outcome, PortFact, PortsFact, Progress, Started,
};
use portolan_model::{PortSet, PortState, Protocol, Reason, ScanEvent, Technique};
use portolan_scan::Control;
use portolan_server::{Abilities, CannotStart, Job, Runner};

use crate::driver::{Browser, Scheme};
use crate::no_complaints;
use crate::server::{Server, pictures};

/// Open on every host; all others are closed.
const OPEN: [u16; 3] = [22, 8080, 60_000];

/// Ports that are told at once, of a host.
const STRIPE: u32 = 4096;

/// Tells of every port of each address in stripes over all of them, as fast as it can; before the
/// last stripe it waits.
#[derive(Debug, Default)]
struct Flood {
    may_end: Arc<AtomicBool>,
}

fn port(address: IpAddr, port: u16) -> ScanEvent {
    ScanEvent::Port(PortFact {
        endpoint: Endpoint {
            address,
            protocol: Protocol::Tcp,
            port,
        },
        state: PortState::Open,
        reason: Reason::SynAck,
        rtt: None,
        ttl: None,
        at: Timestamp::now(),
    })
}

impl Runner for Flood {
    fn abilities(&self) -> Abilities {
        Abilities {
            techniques: vec![(Technique::Connect, None)],
            detect: None,
        }
    }

    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart> {
        let targets = job
            .spec
            .targets
            .iter()
            .filter_map(portolan_model::Target::addresses);
        let addresses: Vec<IpAddr> = targets
            .flat_map(|set| set.iter().collect::<Vec<_>>())
            .collect();
        let total = addresses.len() as u64 * 65_535;
        sink(ScanEvent::Started(Started {
            at: Timestamp::now(),
            techniques: vec![Technique::Connect],
            ports: job.spec.ports.clone(),
            addresses: addresses.len() as u128,
            probes: total.into(),
            seed: job.seed,
            zones: portolan_model::Zones::NONE,
        }));
        for &address in &addresses {
            sink(ScanEvent::HostUp(HostUp {
                address,
                reason: Reason::SynAck,
                rtt: None,
                ttl: None,
                at: Timestamp::now(),
            }));
        }
        let mut progress = Progress {
            total: total.into(),
            hosts_up: addresses.len() as u64,
            ..Progress::default()
        };
        for first in (0..65_536).step_by(STRIPE as usize) {
            let last = first + STRIPE - 1;
            while last == 65_535 && !self.may_end.load(Ordering::Relaxed) && !control.is_stopped() {
                sleep(Duration::from_millis(5));
            }
            for &address in &addresses {
                let within = |port: u16| (first..=last).contains(&u32::from(port));
                let open: Vec<_> = OPEN.into_iter().filter(|&port| within(port)).collect();
                let edge = |port: u32| u16::try_from(port.max(1)).expect("a port");
                let closed = PortSet::from_ranges([(edge(first), edge(last))])
                    .without(&PortSet::from_ranges(open.iter().map(|&port| (port, port))));
                progress.done += (closed.len() + open.len()) as u128;
                progress.open += open.len() as u64;
                for number in open {
                    sink(port(address, number));
                }
                sink(ScanEvent::Ports(PortsFact {
                    address,
                    protocol: Protocol::Tcp,
                    ports: closed,
                    state: PortState::Closed,
                    reason: Reason::ConnRefused,
                    at: Timestamp::now(),
                }));
            }
            sink(ScanEvent::Progress(progress));
        }
        let at = Timestamp::now();
        for &address in &addresses {
            sink(ScanEvent::HostDone { address, at });
        }
        sink(ScanEvent::Finished(Finished {
            at,
            outcome: Outcome::Complete,
            elapsed: Duration::from_secs(4),
            hosts_up: addresses.len() as u64,
            hosts_down: 0,
            sent: total,
            loss: Some(0.0),
            expected_missed: 0.0,
        }));
        Ok(())
    }
}

/// What the chip of a state counts.
fn chip(browser: &Browser, state: &str) -> String {
    browser.text(&format!("a.chip[data-value='{state}'] b"))
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn of_millions_of_ports_the_open_ones_are_shown_and_the_rest_can_be_reached() {
    let flood = Arc::new(Flood::default());
    let may_end = Arc::clone(&flood.may_end);
    let server = Server::with(flood, None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    crate::scan(&browser, &server, "127.0.1.1-20", "all", "");

    // While it runs, with most of it told: 20 hosts of which each has 61,437 closed ports by now.
    browser.until(
        "document.querySelector('[data-figure=probes]').textContent.startsWith('1,228,780')",
    );
    browser
        .until("document.querySelector('a.chip[data-value=closed] b').textContent === '1,228,720'");
    browser
        .until("document.querySelector('#shown').textContent.includes('60 of 1,228,780 results')");
    assert_eq!(chip(&browser, "open"), "60");
    browser.until("document.querySelector('td.c-port').textContent === '22'");
    browser.picture(&pictures().join("millions-live.png"));

    may_end.store(true, Ordering::Relaxed);
    browser.until("document.querySelector('live-scan').dataset.state === 'done'");
    browser
        .until("document.querySelector('#shown').textContent.includes('60 of 1,310,700 results')");

    // The same when the page is opened later.
    browser.run("location.reload()");
    browser.until("document.querySelector('live-scan.ready')");
    browser
        .until("document.querySelector('#shown').textContent.includes('60 of 1,310,700 results')");
    assert_eq!(chip(&browser, "closed"), "1,310,640");
    assert!(
        browser.text("#nothing").is_empty()
            || browser.run("return document.querySelector('#nothing').hidden") == true
    );

    // What is not in the page is asked of the server: by state, by port, host by host.
    browser.click("a.chip[data-value=open]");
    browser.click("a.chip[data-value=closed]");
    browser.fill("#query", "state:closed port:60001");
    browser.until("document.querySelectorAll('result-table tbody tr[role=row]').length === 19");
    browser
        .until("document.querySelector('#shown').textContent.includes('20 of 1,310,700 results')");
    browser.fill("#query", "host:127.0.1.7");
    browser.until(
        "document.querySelector('#shown').textContent.startsWith('10,002 of 65,535 that fit')",
    );
    browser.run("const map = document.querySelector('#map-host'); map.value = '127.0.1.7'; map.dispatchEvent(new Event('change'))");
    browser.until("document.querySelector('port-map canvas').ariaLabel.includes('65,532 closed')");
    browser.picture(&pictures().join("millions.png"));
    no_complaints(&browser);
}
