//! What the history costs on disk, and how space is given back.

use portolan_model::{PortState, Protocol};
use portolan_store::{Error, Retention, ScanFilter};

use crate::common::*;

#[test]
fn a_scan_without_changes_costs_next_to_nothing() {
    let (_dir, store) = open_store();
    let ports: Vec<u16> = (1..=10).map(|number| number * 50).collect();
    keep(&store, 0, host(1), &ports);
    // Fill the first pages, then count what a year adds.
    for day in 1..=35 {
        keep(&store, day * 86_400, host(1), &ports);
    }
    let shape = Retention::default();
    let before = store.prune(&shape, at(0)).unwrap().after;
    for day in 36..=400 {
        keep(&store, day * 86_400, host(1), &ports);
    }
    let after = store.prune(&shape, at(0)).unwrap().after;
    let each = (after - before) / 365;
    println!("{each} bytes for each unchanged scan of 10 open and 990 closed ports");
    // Most of it is the request itself, whose lists of ports, of TCP and of UDP, are long.
    assert!(each < 1700, "{each} bytes");
    let now = store.ports_now(host(1)).unwrap();
    assert_eq!(now.len(), 10);
    assert_eq!(now[0].first.1, at(1));
    assert_eq!(now[0].last.1, at(400 * 86_400 + 2));
    assert_eq!(
        store
            .port_history(host(1), Protocol::Tcp, 50)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_host_without_changes_costs_some_bytes_a_scan() {
    // Enough for the figure, and few enough for a test without optimization.
    const HOSTS: u32 = 100;
    let (_dir, store) = open_store();
    let scan = |day: i64| {
        let writer = store.begin(new_scan("10.0.0.0/24", day * 86_400)).unwrap();
        let mut events = vec![started(day)];
        for number in 0..HOSTS {
            events.extend([up(host(number), day), closed(host(number), 100, 1000, day)]);
            events.extend([22, 80, 443].map(|port| open(host(number), port, day)));
            events.push(done(host(number), day));
        }
        events.push(finished(day));
        writer.send(events).unwrap();
        writer.flush().unwrap();
    };
    (0..10).for_each(scan);
    let before = store.prune(&Retention::default(), at(0)).unwrap().after;
    (10..30).for_each(scan);
    let after = store.prune(&Retention::default(), at(0)).unwrap().after;
    let each = (after - before) / (20 * u64::from(HOSTS));
    println!("{each} bytes for each unchanged host of a scan");
    assert!(each < 150, "{each} bytes");
}

#[test]
fn a_deleted_scan_leaves_nothing_of_its_own() {
    let (_dir, store) = open_store();
    let keeps = keep(&store, 0, host(1), &[22]);
    let goes = keep(&store, 100, host(1), &[22, 80]);
    let alone = keep(&store, 200, host(2), &[443]);
    store.delete_scan(goes).unwrap();
    store.delete_scan(alone).unwrap();
    assert!(matches!(store.scan(goes), Err(Error::NoSuchScan { .. })));
    assert!(store.host(host(2)).unwrap().is_none());
    assert_eq!(store.ports_now(host(1)).unwrap().len(), 1);
    assert_eq!(store.host(host(1)).unwrap().unwrap().open, 1);
    assert_eq!(store.record(keeps).unwrap().count(PortState::Open), 1);
}

#[test]
fn retention_keeps_what_is_young_and_gives_space_back() {
    let (_dir, store) = open_store();
    // Each scan differs, so that there is something to give back.
    for day in 0..60 {
        let ports: Vec<u16> = (1..500)
            .filter(|port| (port * 7 + day) % 3 == 0)
            .map(|port| port * 2)
            .collect();
        keep(&store, i64::from(day) * 86_400, host(1), &ports);
    }
    let month = std::time::Duration::from_hours(30 * 24);
    let retention = Retention {
        keep: Some(month),
        max_size: None,
    };
    let pruned = store.prune(&retention, at(60 * 86_400)).unwrap();
    assert_eq!(pruned.scans, 30);
    assert!(pruned.after < pruned.before, "{pruned:?}");
    assert_eq!(store.host(host(1)).unwrap().unwrap().first_seen, at(0));
    let retention = Retention {
        keep: None,
        max_size: Some(1),
    };
    assert_eq!(store.prune(&retention, at(60 * 86_400)).unwrap().scans, 29);
    assert_eq!(store.count_scans(&ScanFilter::default()).unwrap(), 1);
}
