//! Two scans of which it is known what each was to ask: what one did not ask is no change.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, NameKind, Outcome, Started};
use portolan_model::{
    HostRecord, PortRecord, PortSpec, PortState, Protocol, Reach, Reason, ScanRecord, ScanSpec,
    Technique, Zones,
};
use portolan_report::Diff;
use portolan_report::diff::compare;

/// A scan of these targets that asked these ports.
struct Scan {
    reach: Reach,
    record: ScanRecord,
}

impl Scan {
    fn new(targets: &[&str], ports: &str, technique: Technique) -> Self {
        let ports: PortSpec = ports.parse().unwrap();
        let targets = targets.iter().map(|target| target.parse().unwrap());
        let spec = ScanSpec::new(targets.collect(), ports.clone());
        let at = Timestamp::UNIX_EPOCH;
        let record = ScanRecord {
            started: Some(Started {
                at,
                techniques: vec![technique],
                ports,
                addresses: 1,
                probes: 1,
                seed: 0,
                zones: Zones::NONE,
            }),
            finished: Some(Finished {
                at,
                outcome: Outcome::Complete,
                elapsed: Duration::ZERO,
                hosts_up: 0,
                hosts_down: 0,
                sent: 0,
                loss: None,
                expected_missed: 0.0,
            }),
            ..ScanRecord::default()
        };
        Self {
            reach: Reach::of(&spec),
            record,
        }
    }

    /// A host at which these ports are open.
    fn host(mut self, address: &str, name: &str, protocol: Protocol, open: &[u16]) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let mut host = HostRecord::new(Reason::EchoReply, at);
        if !name.is_empty() {
            host.names.push((name.to_owned(), NameKind::User));
        }
        let port = PortRecord {
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at,
            service: None,
        };
        let ports = open
            .iter()
            .map(|&number| ((protocol, number), port.clone()));
        host.ports = ports.collect::<BTreeMap<_, _>>();
        let address: IpAddr = address.parse().unwrap();
        self.record.hosts.insert(address, host);
        self
    }
}

fn between(old: &Scan, new: &Scan) -> Diff {
    compare(
        (&old.record, Some(&old.reach)),
        (&new.record, Some(&new.reach)),
    )
}

const TCP: Protocol = Protocol::Tcp;

#[test]
fn a_host_that_the_other_scan_was_not_to_ask_has_neither_come_nor_gone() {
    let old = Scan::new(&["192.0.2.0/30"], "22", Technique::Syn)
        .host("192.0.2.1", "", TCP, &[22])
        .host("192.0.2.2", "", TCP, &[22]);
    let new = Scan::new(&["192.0.2.1", "192.0.2.9"], "22", Technique::Syn).host(
        "192.0.2.9",
        "",
        TCP,
        &[],
    );
    let diff = between(&old, &new);
    let gone: Vec<_> = diff
        .gone
        .iter()
        .map(|host| host.address.to_string())
        .collect();
    assert_eq!(gone, ["192.0.2.1"]);
    assert_eq!(diff.come, []);
    assert_eq!(
        diff.not_compared,
        [
            "hosts that only the old scan was to ask: 1, with 1 open port",
            "hosts that only the new scan was to ask: 1",
        ]
    );
    assert_eq!((diff.hosts_not_compared, diff.ports_not_compared), (2, 1));
}

#[test]
fn a_host_that_is_silent_to_other_ports_is_not_gone() {
    let old =
        Scan::new(&["192.0.2.1"], "T:22,80", Technique::Syn).host("192.0.2.1", "", TCP, &[22, 80]);
    let new = Scan::new(&["192.0.2.1"], "U:53", Technique::Udp);
    let diff = between(&old, &new);
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(
        diff.not_compared.last().unwrap(),
        "hosts that only the old scan found: 1, with 2 open ports; \
         the new one asked none of the ports that answered"
    );

    // One of the ports that answered was asked, and is silent: of the others nothing is known.
    let new = Scan::new(&["192.0.2.1"], "T:22", Technique::Syn);
    let diff = between(&old, &new);
    assert_eq!(diff.gone[0].open.len(), 1);
    assert_eq!(
        diff.not_compared,
        [
            "tcp ports that only the old scan asked: 80",
            "open ports that only the old scan asked: 1, of 1 host"
        ]
    );
    assert_eq!((diff.hosts_not_compared, diff.ports_not_compared), (0, 1));
}

#[test]
fn a_name_that_leads_elsewhere_by_now_says_nothing_of_where_it_led() {
    let named = |address: &str| {
        Scan::new(&["www.example"], "22", Technique::Syn).host(address, "www.example", TCP, &[22])
    };
    let diff = between(&named("192.0.2.1"), &named("192.0.2.7"));
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(diff.hosts_not_compared, 2);
    // Where nobody answers to it any more, its host is gone.
    let nobody = Scan::new(&["www.example"], "22", Technique::Syn);
    assert_eq!(between(&named("192.0.2.1"), &nobody).gone.len(), 1);
}

#[test]
fn of_a_scan_that_did_not_finish_it_is_said_how_many_addresses_were_not_reached() {
    let whole = Scan::new(&["10.0.0.0/8"], "22", Technique::Syn)
        .host("10.0.0.1", "", TCP, &[22])
        .host("10.9.0.1", "", TCP, &[22]);
    let mut ended =
        Scan::new(&["10.0.0.0/8"], "22", Technique::Syn).host("10.0.0.1", "", TCP, &[22]);
    ended.record.started.as_mut().unwrap().addresses = 1 << 24;
    ended.record.finished.as_mut().unwrap().outcome = Outcome::Interrupted;
    let diff = between(&whole, &ended);
    assert_eq!((diff.hosts_not_compared, diff.gone.len()), (1, 0));
    assert_eq!(diff.addresses_not_reached, (1 << 24) - 1);
    let said = "what the new scan did not come to: it did not finish, and 16,777,215 of its \
                16,777,216 addresses were not reached, or silent until then";
    assert!(
        diff.not_compared.iter().any(|line| line == said),
        "{:?}",
        diff.not_compared
    );
}
