//! What two scans did not both ask is no change: other protocols, other ports.

use portolan_model::event::{Endpoint, Finished, Outcome, PortFact, PortsFact, Started};
use portolan_model::{PortSet, PortSpec, PortState, Reason, ScanEvent, ScanSpec, Technique, Zones};
use portolan_store::{NewScan, ResultsRequest, ScanId, Store};

use crate::common::{at, done, finished, host, open_store, up};

/// Keeps a scan of 10.0.0.1 that asked these ports; with the host where any is open.
fn keep(store: &Store, seconds: i64, ports: &str, technique: Technique, open: &[u16]) -> ScanId {
    let protocol = technique.protocol();
    let ports: PortSpec = ports.parse().unwrap();
    let mut spec = ScanSpec::new(vec!["10.0.0.1".parse().unwrap()], ports.clone());
    spec.techniques = vec![technique];
    let writer = store.begin(NewScan::new(spec, at(seconds))).unwrap();
    let mut events = vec![ScanEvent::Started(Started {
        at: at(seconds),
        techniques: vec![technique],
        ports: ports.clone(),
        addresses: 1,
        probes: 1,
        seed: 1,
        zones: Zones::NONE,
    })];
    if !open.is_empty() {
        events.push(up(host(1), seconds));
    }
    for &port in open {
        events.push(ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: host(1),
                protocol,
                port,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at: at(seconds),
        }));
    }
    if !open.is_empty() {
        let open: PortSet = open.iter().copied().collect();
        events.push(ScanEvent::Ports(PortsFact {
            address: host(1),
            protocol,
            ports: ports.of(protocol).without(&open),
            state: PortState::Closed,
            reason: Reason::Reset,
            at: at(seconds),
        }));
        events.push(done(host(1), seconds));
    }
    events.push(finished(seconds + 1));
    writer.send(events).unwrap();
    writer.flush().unwrap();
    writer.id()
}

fn new_ports(store: &Store, id: ScanId) -> Vec<u16> {
    let request = ResultsRequest::new("new:true".parse().unwrap());
    let rows = store.results(id, &request).unwrap().items;
    rows.iter().map(|row| row.port).collect()
}

#[test]
fn a_scan_of_udp_ports_is_not_compared_with_one_of_tcp_ports() {
    let (_dir, store) = open_store();
    let tcp = keep(&store, 0, "T:22,80", Technique::Syn, &[22]);
    // Nothing answered: that says nothing of the TCP ports.
    let silent = keep(&store, 100, "U:53", Technique::Udp, &[]);
    let scan = store.scan(silent).unwrap();
    assert_eq!((scan.previous, scan.changes), (None, None));
    let udp = keep(&store, 200, "U:53", Technique::Udp, &[53]);
    let scan = store.scan(udp).unwrap();
    assert_eq!((scan.previous, scan.changes), (Some(silent), Some(1)));
    assert_eq!(new_ports(&store, udp), [53]);
    let again = keep(&store, 300, "T:22,80", Technique::Syn, &[22, 80]);
    let scan = store.scan(again).unwrap();
    assert_eq!((scan.previous, scan.changes), (Some(tcp), Some(1)));
    assert_eq!(new_ports(&store, again), [80]);
}

#[test]
fn ports_that_were_not_asked_before_are_neither_new_nor_changed() {
    let (_dir, store) = open_store();
    let few = keep(&store, 0, "22,80", Technique::Syn, &[80]);
    let many = keep(&store, 100, "1-1000", Technique::Syn, &[22, 443]);
    let scan = store.scan(many).unwrap();
    // 22 opened and 80 closed; 443 was not asked.
    assert_eq!((scan.previous, scan.changes), (Some(few), Some(2)));
    assert_eq!(store.changes(many).unwrap().len(), 2);
    assert_eq!(new_ports(&store, many), [22]);
    // One that asked all of its ports is compared with, before one that asked some.
    keep(&store, 200, "22", Technique::Syn, &[22]);
    let again = keep(&store, 300, "1-1000", Technique::Syn, &[22, 443]);
    let scan = store.scan(again).unwrap();
    assert_eq!((scan.previous, scan.changes), (Some(many), Some(0)));
    // Nobody is there: that says something of the ports that both asked alone.
    let gone = keep(&store, 400, "22", Technique::Syn, &[]);
    assert_eq!(store.scan(gone).unwrap().changes, Some(1));
}

#[test]
fn a_scan_that_was_cut_off_is_not_compared_with() {
    let (_dir, store) = open_store();
    let spec = ScanSpec::new(vec!["10.0.0.1".parse().unwrap()], "80".parse().unwrap());
    let writer = store.begin(NewScan::new(spec, at(0))).unwrap();
    let stopped = ScanEvent::Finished(Finished {
        at: at(1),
        outcome: Outcome::Interrupted,
        elapsed: std::time::Duration::ZERO,
        hosts_up: 0,
        hosts_down: 0,
        sent: 0,
        loss: None,
        expected_missed: 0.0,
    });
    writer.send(vec![stopped]).unwrap();
    writer.flush().unwrap();
    let whole = keep(&store, 100, "80", Technique::Syn, &[80]);
    assert_eq!(store.scan(whole).unwrap().previous, None);
    assert_eq!(new_ports(&store, whole), [0; 0]);
}
