//! What changed, and what is known of hosts over all scans.

use std::net::IpAddr;

use portolan_model::{Mac, PortState, Protocol, ScanEvent, Zoned};
use portolan_store::{ChangeKind, Cursor, HostFilter, ResultsRequest};

use crate::common::*;

/// A web server as an asker hears it: its answer holds the time.
fn web(address: IpAddr, product: &str, heard: &str) -> ScanEvent {
    let mut event = service(address, 80, "http", product);
    if let ScanEvent::Service(fact) = &mut event {
        fact.service.evidence = Some(portolan_model::service::Evidence {
            rule: Some("http/nginx".to_owned()),
            probe: Some("http-get".to_owned()),
            bytes: heard.to_owned(),
        });
    }
    event
}

#[test]
fn an_answer_that_differs_by_its_time_alone_is_no_new_service() {
    let (_dir, store) = open_store();
    let scan = |seconds: i64, product: &str, heard: &str| {
        let writer = store.begin(new_scan("10.0.0.1", seconds)).unwrap();
        let events = vec![
            started(seconds),
            up(host(1), seconds),
            open(host(1), 80, seconds),
            web(host(1), product, heard),
            done(host(1), seconds),
            finished(seconds),
        ];
        writer.send(events).unwrap();
        writer.flush().unwrap();
        writer.id()
    };
    let heard = |id| {
        let record = store.record(id).unwrap();
        let port = record.hosts[&host(1)].ports[&(Protocol::Tcp, 80)].clone();
        port.service.unwrap().evidence.unwrap().bytes
    };
    let first = scan(0, "nginx", "HTTP/1.1 200 OK\\r\\nDate: Mon");
    let second = scan(100, "nginx", "HTTP/1.1 200 OK\\r\\nDate: Tue");
    assert_eq!(heard(second), heard(first));
    // Another program is another service, with what it said itself.
    let third = scan(200, "Caddy", "HTTP/1.1 200 OK\\r\\nDate: Wed");
    assert!(heard(third).ends_with("Wed"));
    let services: i64 = rusqlite::Connection::open(store.path())
        .unwrap()
        .query_row("SELECT count(*) FROM service", [], |row| row.get(0))
        .unwrap();
    assert_eq!(services, 2);
    let changes = |id| store.scan(id).unwrap().changes;
    assert_eq!((changes(second), changes(third)), (Some(0), Some(1)));
}

#[test]
fn the_mac_address_of_a_host_is_kept_with_the_scan_and_the_host() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    writer.send(vec![started(1), up(host(1), 2)]).unwrap();
    writer.flush().unwrap();
    writer
        .send(vec![linked(host(1), [2, 0, 0x5e, 0x10, 0, 1])])
        .unwrap();
    writer
        .send(vec![open(host(1), 22, 3), done(host(1), 3), finished(4)])
        .unwrap();
    writer.flush().unwrap();
    let mac = Some(Mac([2, 0, 0x5e, 0x10, 0, 1]));
    assert_eq!(store.record(writer.id()).unwrap().hosts[&host(1)].mac, mac);
    let hosts = store.scan_hosts(writer.id(), None, 10).unwrap();
    assert_eq!(hosts.items[0].mac, mac);
    // A later scan from elsewhere sees no MAC address: the last one that was seen stays.
    let later = keep(&store, 100, host(1), &[22]);
    assert_eq!(store.record(later).unwrap().hosts[&host(1)].mac, None);
    assert_eq!(store.host(host(1)).unwrap().unwrap().mac, mac);
}

#[test]
fn the_same_address_over_two_interfaces_is_two_hosts_over_time() {
    let (_dir, store) = open_store();
    let address: IpAddr = "fe80::1".parse().unwrap();
    let scan = |zone: &str, seconds: i64, port: u16| {
        let target = format!("fe80::1%{zone}");
        let writer = store.begin(new_scan(&target, seconds)).unwrap();
        let ScanEvent::Started(mut begins) = started(seconds) else {
            panic!("a scan has started");
        };
        begins.zones = target.parse().unwrap();
        writer
            .send(vec![ScanEvent::Started(begins), up(address, seconds + 1)])
            .unwrap();
        // What comes later is of the same host, though its interface is not told again.
        writer.flush().unwrap();
        writer
            .send(vec![
                open(address, port, seconds + 2),
                done(address, seconds + 3),
                finished(seconds + 4),
            ])
            .unwrap();
        writer.flush().unwrap();
        writer.id()
    };
    let (left, right) = (scan("left", 0, 22), scan("right", 100, 80));
    let again = scan("left", 200, 22);
    let zoned = |zone: &str| format!("fe80::1%{zone}").parse::<Zoned>().unwrap();
    let open_now = |zone: &str| -> Vec<u16> {
        let ports = store.ports_now(zoned(zone)).unwrap();
        ports.iter().map(|port| port.port).collect()
    };
    assert_eq!((open_now("left"), open_now("right")), (vec![22], vec![80]));
    assert_eq!(
        store.scans_of_host(zoned("left"), 10).unwrap(),
        [again, left]
    );
    assert_eq!(store.scans_of_host(zoned("right"), 10).unwrap(), [right]);
    assert_eq!(store.host(address).unwrap(), None);
    let record = store.record(right).unwrap();
    assert_eq!(record.zoned(address), zoned("right"));
    assert!(record.hosts.contains_key(&address));
    // A page at a time, each is shown once.
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .hosts(&HostFilter::default(), after.as_ref(), 1)
            .unwrap();
        seen.extend(page.items.iter().map(|host| host.address.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["fe80::1%left", "fe80::1%right"]);
    let within = HostFilter {
        within: Some("fe80::%right/64".parse().unwrap()),
        ..HostFilter::default()
    };
    assert_eq!(store.hosts(&within, None, 9).unwrap().items.len(), 1);
    let rows = |query: &str| {
        let request = ResultsRequest {
            limit: 10,
            ..ResultsRequest::new(query.parse().unwrap())
        };
        store.results(right, &request).unwrap().items.len()
    };
    assert_eq!(rows("host:fe80::1%right"), 1);
    assert_eq!(rows("host:fe80::1"), 1);
    assert_eq!(rows("host:fe80::1%left"), 0);
    assert_eq!(rows("-host:fe80::1%left"), 1);
    let map = store.port_map(right, address, Protocol::Tcp).unwrap();
    assert_ne!(map.unwrap()[80], 0);
}

#[test]
fn what_changed_is_told_against_the_scan_before_and_over_time() {
    let (_dir, store) = open_store();
    let first = keep(&store, 0, host(1), &[22, 80]);
    let second = keep(&store, 100, host(1), &[22, 443]);
    assert!(store.changes(first).unwrap().is_empty());
    assert_eq!(store.scan(first).unwrap().changes, None);
    let kinds: Vec<_> = store
        .changes(second)
        .unwrap()
        .iter()
        .map(|change| (change.kind, change.port))
        .collect();
    assert_eq!(kinds, [(ChangeKind::Closed, 80), (ChangeKind::Opened, 443)]);
    let scan = store.scan(second).unwrap();
    assert_eq!((scan.previous, scan.changes), (Some(first), Some(2)));
    let mut timeline = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store
            .timeline(Some(host(1).into()), None, after.as_ref(), 1)
            .unwrap();
        timeline.extend(page.items.iter().map(|change| (change.kind, change.port)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    timeline.sort_by_key(|(_, port)| *port);
    let expected = [
        (ChangeKind::Opened, 22),
        (ChangeKind::Opened, 80),
        (ChangeKind::Closed, 80),
        (ChangeKind::Opened, 443),
    ];
    assert_eq!(timeline.len(), 4);
    for change in expected {
        assert!(timeline.contains(&change), "{change:?}");
    }
    let gone = store.port_history(host(1), Protocol::Tcp, 80).unwrap();
    assert_eq!(gone[0].end.unwrap().0, second);
    assert_eq!(gone[0].end.unwrap().2, PortState::Closed);
}

#[test]
fn a_port_that_was_not_asked_has_not_changed() {
    let (_dir, store) = open_store();
    keep(&store, 0, host(1), &[22, 80]);
    let writer = store.begin(new_scan("10.0.0.1", 100)).unwrap();
    writer
        .send(vec![started(100), open(host(1), 22, 101), finished(102)])
        .unwrap();
    writer.flush().unwrap();
    assert!(store.changes(writer.id()).unwrap().is_empty());
    assert_eq!(store.ports_now(host(1)).unwrap().len(), 2);
    // The same picture again must not touch what it does not cover.
    let writer = store.begin(new_scan("10.0.0.1", 200)).unwrap();
    writer
        .send(vec![started(200), open(host(1), 22, 201), finished(202)])
        .unwrap();
    writer.flush().unwrap();
    assert_eq!(
        store.port_history(host(1), Protocol::Tcp, 80).unwrap()[0]
            .last
            .1,
        at(2)
    );
    assert_eq!(
        store.port_history(host(1), Protocol::Tcp, 22).unwrap()[0]
            .last
            .1,
        at(201)
    );
}

#[test]
fn another_product_on_a_port_is_a_change_and_a_scan_without_detection_is_none() {
    let (_dir, store) = open_store();
    let scan = |seconds, product: Option<&str>| {
        let writer = store.begin(new_scan("10.0.0.1", seconds)).unwrap();
        let mut events = vec![started(seconds), open(host(1), 22, seconds)];
        events.extend(product.map(|product| service(host(1), 22, "ssh", product)));
        events.extend([done(host(1), seconds), finished(seconds)]);
        writer.send(events).unwrap();
        writer.flush().unwrap();
        store.changes(writer.id()).unwrap().len()
    };
    assert_eq!(scan(0, Some("OpenSSH")), 0);
    assert_eq!(scan(10, None), 0);
    assert_eq!(scan(20, Some("OpenSSH")), 0);
    assert_eq!(
        store
            .port_history(host(1), Protocol::Tcp, 22)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(scan(30, Some("Dropbear")), 1);
    assert_eq!(
        store
            .port_history(host(1), Protocol::Tcp, 22)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn hosts_are_known_over_all_scans() {
    let (_dir, store) = open_store();
    for number in 1..=5 {
        keep(
            &store,
            i64::from(number) * 100,
            host(number),
            if number == 3 { &[] } else { &[22] },
        );
    }
    keep(&store, 900, host(1), &[22, 80]);
    let known = store.host(host(1)).unwrap().unwrap();
    assert_eq!(
        (known.open, known.first_seen, known.last_seen),
        (2, at(100), at(902))
    );
    assert_eq!(store.scans_of_host(host(1), 10).unwrap().len(), 2);
    let filter = HostFilter {
        within: Some("10.0.0.2-4".parse().unwrap()),
        ..HostFilter::default()
    };
    assert_eq!(store.hosts(&filter, None, 10).unwrap().items.len(), 3);
    let filter = HostFilter {
        with_open: Some(portolan_store::hosts::WithOpen),
        ..HostFilter::default()
    };
    let page = store.hosts(&filter, None, 3).unwrap();
    assert_eq!(page.items.len(), 3);
    assert_eq!(
        store
            .hosts(&filter, page.next.as_ref(), 3)
            .unwrap()
            .items
            .len(),
        1
    );
}

#[test]
fn a_port_that_opens_is_told_with_what_it_was_before() {
    let (_dir, store) = open_store();
    keep(&store, 0, host(1), &[22]);
    let second = keep(&store, 100, host(1), &[22, 80]);
    let timeline = store
        .timeline(Some(host(1).into()), None, None, 10)
        .unwrap();
    let of = |port| {
        let found = timeline.items.iter().find(|change| change.port == port);
        let change = found.unwrap();
        (change.kind, change.before.as_ref().map(|value| value.state))
    };
    // That no scan had asked the one before is not that it was closed.
    assert_eq!(of(80), (ChangeKind::Opened, Some(PortState::Closed)));
    assert_eq!(of(22), (ChangeKind::Opened, None));
    let history = store.port_history(host(1), Protocol::Tcp, 80).unwrap();
    assert_eq!(history[0].first.0, second);
    assert_eq!(
        history[0].before.map(|(state, _)| state),
        Some(PortState::Closed)
    );
    // What is new, what changed and what the timeline tells are one.
    let new = store
        .results(second, &ResultsRequest::new("new:true".parse().unwrap()))
        .unwrap();
    let new: Vec<_> = new.items.iter().map(|row| row.port).collect();
    assert_eq!(new, [80]);
    let changes = store.changes(second).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].port, 80);
}

#[test]
fn what_a_scan_that_was_left_incomplete_does_not_tell_has_not_changed() {
    let (_dir, store) = open_store();
    let scan = |seconds: i64, events: Vec<ScanEvent>| {
        let writer = store.begin(new_scan("10.0.0.0/30", seconds)).unwrap();
        let mut all = vec![started(seconds), up(host(1), seconds)];
        all.extend(events);
        all.push(finished(seconds + 5));
        writer.send(all).unwrap();
        writer.flush().unwrap();
        writer.id()
    };
    // It gave up a host, and did not come to a port of the other.
    scan(0, vec![open(host(1), 22, 1), problem("10.0.0.2")]);
    let second = scan(
        100,
        vec![
            open(host(1), 22, 101),
            open(host(1), 443, 101),
            up(host(2), 101),
            open(host(2), 80, 101),
        ],
    );
    assert_eq!(store.changes(second).unwrap(), []);
    assert_eq!(store.scan(second).unwrap().changes, Some(0));
}
