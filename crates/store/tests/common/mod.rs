//! Scans to try the history with.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, one all of it"
)]

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostLink, HostName, HostUp, NameKind, Outcome, PortFact, PortsFact,
    Problem, Progress, ServiceFact, Started,
};
use portolan_model::{
    Mac, PortSet, PortSpec, PortState, Protocol, Reason, ScanEvent, ScanSpec, Service, Technique,
};
use portolan_store::{Mode, NewScan, ScanId, Store};
use tempfile::TempDir;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) fn host(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

pub(crate) fn open_store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Mode::Write).unwrap();
    (dir, store)
}

pub(crate) fn new_scan(target: &str, seconds: i64) -> NewScan {
    let spec = ScanSpec::new(vec![target.parse().unwrap()], PortSpec::common());
    NewScan {
        args: format!("portolan {target}"),
        version: "1.2.3".to_owned(),
        ..NewScan::new(spec, at(seconds))
    }
}

pub(crate) fn started(seconds: i64) -> ScanEvent {
    ScanEvent::Started(Started {
        at: at(seconds),
        techniques: vec![Technique::Connect],
        ports: PortSpec::common(),
        addresses: 1,
        probes: u128::from(u64::MAX) + 7,
        seed: u64::MAX - 5,
        zones: portolan_model::Zones::NONE,
    })
}

pub(crate) fn finished(seconds: i64) -> ScanEvent {
    ScanEvent::Finished(Finished {
        at: at(seconds),
        outcome: Outcome::Complete,
        elapsed: Duration::from_millis(1500),
        hosts_up: 1,
        hosts_down: 3,
        sent: 4000,
        loss: Some(0.25),
        expected_missed: 0.001,
    })
}

pub(crate) fn up(address: IpAddr, seconds: i64) -> ScanEvent {
    ScanEvent::HostUp(HostUp {
        address,
        reason: Reason::EchoReply,
        rtt: Some(Duration::from_micros(321)),
        ttl: Some(64),
        at: at(seconds),
    })
}

pub(crate) fn port(
    address: IpAddr,
    port: u16,
    state: PortState,
    reason: Reason,
    seconds: i64,
) -> ScanEvent {
    ScanEvent::Port(PortFact {
        endpoint: Endpoint {
            address,
            protocol: Protocol::Tcp,
            port,
        },
        state,
        reason,
        rtt: Some(Duration::from_micros(u64::from(port))),
        ttl: Some(63),
        at: at(seconds),
    })
}

pub(crate) fn open(address: IpAddr, number: u16, seconds: i64) -> ScanEvent {
    port(address, number, PortState::Open, Reason::SynAck, seconds)
}

pub(crate) fn closed(address: IpAddr, first: u16, last: u16, seconds: i64) -> ScanEvent {
    ScanEvent::Ports(PortsFact {
        address,
        protocol: Protocol::Tcp,
        ports: PortSet::from_range(first, last),
        state: PortState::Closed,
        reason: Reason::Reset,
        at: at(seconds),
    })
}

pub(crate) fn service(address: IpAddr, port: u16, name: &str, product: &str) -> ScanEvent {
    ScanEvent::Service(ServiceFact {
        endpoint: Endpoint {
            address,
            protocol: Protocol::Tcp,
            port,
        },
        service: Service {
            name: name.to_owned(),
            product: Some(product.to_owned()),
            version: Some("9.2".to_owned()),
            ..Service::default()
        },
    })
}

pub(crate) fn named(address: IpAddr, name: &str) -> ScanEvent {
    ScanEvent::HostName(HostName {
        address,
        name: name.to_owned(),
        kind: NameKind::Ptr,
    })
}

pub(crate) fn linked(address: IpAddr, mac: [u8; 6]) -> ScanEvent {
    ScanEvent::HostLink(HostLink {
        address,
        mac: Mac(mac),
    })
}

pub(crate) fn done(address: IpAddr, seconds: i64) -> ScanEvent {
    ScanEvent::HostDone {
        address,
        at: at(seconds),
    }
}

pub(crate) fn problem(about: &str) -> ScanEvent {
    ScanEvent::Problem(Problem {
        about: about.to_owned(),
        message: "it does not resolve".to_owned(),
        hint: None,
        left_out: true,
    })
}

pub(crate) fn progress(done: u128) -> ScanEvent {
    ScanEvent::Progress(Progress {
        done,
        total: 1000,
        ..Progress::default()
    })
}

/// Keeps a whole scan of one host: these ports open, the rest up to 1000 closed.
pub(crate) fn keep(store: &Store, seconds: i64, address: IpAddr, ports: &[u16]) -> ScanId {
    let writer = store
        .begin(new_scan(&address.to_string(), seconds))
        .unwrap();
    let mut events = vec![started(seconds), up(address, seconds)];
    let mut next = 1;
    for &number in ports {
        events.push(closed(address, next, number - 1, seconds + 1));
        events.push(open(address, number, seconds + 1));
        next = number + 1;
    }
    events.push(closed(address, next, 1000, seconds + 1));
    events.push(done(address, seconds + 2));
    events.push(finished(seconds + 3));
    writer.send(events).unwrap();
    writer.flush().unwrap();
    writer.id()
}
