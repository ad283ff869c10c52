//! The numbers of a scan at whose address nobody is.

use std::time::Duration;

use portolan_model::event::{PortsFact, Progress};
use portolan_model::{PortSet, PortState, Protocol, Reason, ScanEvent};
use portolan_store::ScanState;

use crate::common::{at, done, finished, host, new_scan, open_store, started, up};

fn silent(address: std::net::IpAddr) -> ScanEvent {
    ScanEvent::Ports(PortsFact {
        address,
        protocol: Protocol::Tcp,
        ports: PortSet::from_range(1, 300),
        state: PortState::Filtered,
        reason: Reason::HostUnreach,
        at: at(1),
    })
}

#[test]
fn a_host_that_is_not_there_is_none_that_is_up() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let id = writer.id();
    writer
        .send(vec![started(0), silent(host(1)), silent(host(2))])
        .unwrap();
    writer.flush().unwrap();
    assert_eq!(store.scan(id).unwrap().counts.hosts, 0);
    // One of them answers after all.
    writer.send(vec![up(host(2), 2), done(host(2), 2)]).unwrap();
    writer.flush().unwrap();
    assert_eq!(store.scan(id).unwrap().counts.hosts, 1);
    writer.suspend().unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!((scan.state, scan.counts.hosts), (ScanState::Paused, 1));
    assert_eq!(scan.counts.filtered, 600);
}

#[test]
fn what_is_done_is_drawn_as_done_also_where_nothing_was_to_be_asked() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let progress = |millis, total| {
        ScanEvent::Progress(Progress {
            total,
            elapsed: Duration::from_millis(millis),
            ..Progress::default()
        })
    };
    writer
        .send(vec![started(0), progress(0, 300), progress(900, 0)])
        .unwrap();
    writer.flush().unwrap();
    let share = || store.course(writer.id()).unwrap().last().unwrap().share;
    assert!(share() < 0.01);
    writer.send(vec![finished(1)]).unwrap();
    writer.flush().unwrap();
    assert!(share() > 0.99);
}
