//! The history as its users see it, on real files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails as they do"
)]

mod common;

use std::net::IpAddr;

use common::*;
use jiff::Timestamp;
use portolan_model::{Mac, PortState, Protocol, Reason, ScanEvent, ScanRecord, Zoned};
use portolan_store::{
    ChangeKind, Cursor, Error, HostFilter, Mode, Order, Query, ResultsRequest, Retention,
    ScanFilter, ScanState, Sort, SortKey, Store,
};

fn all_rows(
    store: &Store,
    id: portolan_store::ScanId,
    query: &str,
    sort: Sort,
    limit: usize,
) -> Vec<portolan_store::ResultRow> {
    let mut request = ResultsRequest {
        sort,
        limit,
        ..ResultsRequest::new(query.parse::<Query>().unwrap())
    };
    let mut rows = Vec::new();
    for _ in 0..10_000 {
        let page = store.results(id, &request).unwrap();
        assert!(page.items.len() <= limit);
        rows.extend(page.items);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return rows,
        }
    }
    panic!("the pages do not end");
}

#[test]
fn a_scan_reads_back_as_its_events_tell_it() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let mut events = vec![started(1), up(host(1), 2), named(host(1), "box.example")];
    // More batches than parts are kept, so that they are put together on the way.
    for number in 1..=200 {
        events.push(match number % 3 {
            0 => open(host(1), number, 3),
            1 => port(host(1), number, PortState::Closed, Reason::Reset, 3),
            _ => port(host(1), number, PortState::Filtered, Reason::NoResponse, 4),
        });
    }
    events.push(service(host(1), 3, "ssh", "OpenSSH"));
    events.push(open(host(2), 443, 5));
    events.push(done(host(1), 6));
    events.push(problem("nowhere.example"));
    events.push(finished(7));
    let mut expected = ScanRecord::new("portolan 10.0.0.1", "1.2.3");
    for event in events {
        expected.apply(&event);
        let is_last = matches!(event, ScanEvent::Finished(_));
        writer.send(vec![event]).unwrap();
        writer.flush().unwrap();
        if !is_last {
            assert_eq!(store.record(writer.id()).unwrap(), expected);
        }
    }
    assert_eq!(store.record(writer.id()).unwrap(), expected);
    let scan = store.scan(writer.id()).unwrap();
    assert_eq!(scan.state, ScanState::Incomplete);
    assert_eq!(scan.counts.hosts, 2);
    assert_eq!(scan.counts.open, 67);
    assert_eq!(scan.counts.closed, 67);
    assert_eq!(scan.counts.filtered, 67);
    assert_eq!(scan.counts.problems, 1);
}

#[test]
fn a_second_server_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Store::open(dir.path(), Mode::Serve).unwrap();
    let error = Store::open(dir.path(), Mode::Serve).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    let id = keep(&server, 0, host(1), &[22]);
    let shell = Store::open(dir.path(), Mode::Read).unwrap();
    assert_eq!(shell.scan(id).unwrap().counts.open, 1);
    assert!(matches!(shell.delete_scan(id), Err(Error::ReadOnly)));
    let beside = Store::open(dir.path(), Mode::Write).unwrap();
    keep(&beside, 10, host(2), &[80]);
    assert_eq!(server.count_scans(&ScanFilter::default()).unwrap(), 2);
    drop(server);
    Store::open(dir.path(), Mode::Serve).unwrap();
}

#[test]
fn reading_makes_no_history() {
    let dir = tempfile::tempdir().unwrap();
    let error = Store::open(dir.path(), Mode::Read).unwrap_err();
    assert!(matches!(error, Error::NoHistory { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_a_live_process_runs_is_not_taken_for_interrupted() {
    let (dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    writer.send(vec![started(0), open(host(1), 22, 1)]).unwrap();
    writer.flush().unwrap();
    let other = Store::open(dir.path(), Mode::Write).unwrap();
    assert_eq!(other.scan(writer.id()).unwrap().state, ScanState::Running);
    assert!(matches!(
        other.resume(writer.id()),
        Err(Error::WrongState { .. })
    ));
    assert!(matches!(
        other.delete_scan(writer.id()),
        Err(Error::WrongState { .. })
    ));
    drop((other, store));
    drop(writer);
    // Its process is gone, as far as the lock tells.
    let next = Store::open(dir.path(), Mode::Write).unwrap();
    let id = next.scans(&ScanFilter::default(), None, 1).unwrap().items[0].id;
    assert_eq!(next.scan(id).unwrap().state, ScanState::Interrupted);
    assert_eq!(next.record(id).unwrap().count(PortState::Open), 1);
}

#[test]
fn a_suspended_scan_goes_on_from_its_checkpoint_and_counts_each_port_once() {
    let (dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let id = writer.id();
    writer
        .send(vec![
            started(0),
            open(host(1), 22, 1),
            closed(host(1), 1, 10, 1),
        ])
        .unwrap();
    writer.checkpoint(at(2), vec![1, 2, 3]).unwrap();
    writer.suspend().unwrap();
    drop(store);
    let store = Store::open(dir.path(), Mode::Serve).unwrap();
    assert_eq!(store.scan(id).unwrap().state, ScanState::Paused);
    assert!(store.scan(id).unwrap().can_resume);
    let (writer, checkpoint) = store.resume(id).unwrap();
    assert_eq!(checkpoint.unwrap().position, [1, 2, 3]);
    writer
        .send(vec![
            started(50),
            open(host(1), 22, 51),
            closed(host(1), 5, 12, 52),
            finished(60),
        ])
        .unwrap();
    writer.flush().unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!(
        (scan.state, scan.counts.open, scan.counts.closed),
        (ScanState::Done, 1, 12)
    );
    assert_eq!(scan.started.unwrap().at, at(0));
    assert!(!scan.can_resume);
}

#[test]
fn a_scan_that_asked_no_ports_reads_back() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let ScanEvent::Started(mut began) = started(0) else {
        panic!("it is another event");
    };
    let none = portolan_model::PortSet::EMPTY;
    began.ports = portolan_model::PortSpec::new(none.clone(), none);
    let hosts_alone = vec![ScanEvent::Started(began.clone()), finished(5)];
    writer.send(hosts_alone).unwrap();
    writer.flush().unwrap();
    let scan = store.scan(writer.id()).unwrap();
    assert_eq!(scan.started, Some(began.clone()));
    assert_eq!(store.record(writer.id()).unwrap().started, Some(began));
}

#[test]
fn asking_twice_with_the_same_key_scans_once() {
    let (_dir, store) = open_store();
    let ask = || {
        store
            .queue(portolan_store::NewScan {
                request_key: Some("k".to_owned()),
                ..new_scan("10.0.0.1", 0)
            })
            .unwrap()
    };
    let portolan_store::Queued::New(id) = ask() else {
        panic!("it is new")
    };
    assert_eq!(ask(), portolan_store::Queued::Known(id));
    store.cancel(id, at(1)).unwrap();
    assert_eq!(store.scan(id).unwrap().state, ScanState::Cancelled);
}

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
fn results_come_in_pages_that_lose_and_repeat_nothing() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.0/24", 0)).unwrap();
    let mut events = vec![started(0)];
    for number in 1..=9 {
        events.extend([
            up(host(number), 0),
            named(host(number), &format!("h{number}.example")),
        ]);
        for number_of_port in [22, 80, 443, 8080] {
            events.push(open(host(number), number_of_port, i64::from(number)));
        }
        events.push(service(
            host(number),
            22,
            "ssh",
            if number % 2 == 0 {
                "OpenSSH"
            } else {
                "Dropbear"
            },
        ));
        events.push(closed(host(number), 100, 130, 2));
    }
    events.push(finished(20));
    writer.send(events).unwrap();
    writer.flush().unwrap();
    let id = writer.id();
    for query in [
        "",
        "state:open",
        "state:closed",
        "port:22,8000-8100 -product:openssh",
        "product:openssh",
        "host:10.0.0.3-10.0.0.5 state:open",
        "host:h4",
        "dropbear state:open",
        "service:http state:open",
        "-state:open",
        "reason:reset port:110",
    ] {
        for key in [
            SortKey::Host,
            SortKey::Port,
            SortKey::Protocol,
            SortKey::State,
            SortKey::Reason,
            SortKey::Service,
            SortKey::Product,
            SortKey::Time,
            SortKey::Rtt,
        ] {
            let ascending = all_rows(
                &store,
                id,
                query,
                Sort {
                    key,
                    order: Order::Ascending,
                },
                10_000,
            );
            let mut descending = all_rows(
                &store,
                id,
                query,
                Sort {
                    key,
                    order: Order::Descending,
                },
                7,
            );
            descending.reverse();
            assert_eq!(ascending, descending, "{query} {key:?}");
            assert_eq!(
                ascending.len() as u64,
                store.count_results(id, &query.parse().unwrap()).unwrap()
            );
            assert!(!ascending.is_empty(), "{query}");
        }
    }
    let sort = Sort::default();
    assert_eq!(all_rows(&store, id, "", sort, 100).len(), 9 * 35);
    assert_eq!(all_rows(&store, id, "product:openssh", sort, 3).len(), 4);
    assert_eq!(all_rows(&store, id, "host:h4", sort, 100).len(), 35);
    assert_eq!(
        all_rows(&store, id, "service:https state:open", sort, 3).len(),
        9
    );
    assert_eq!(
        all_rows(&store, id, "state:open", sort, 5)[0]
            .name
            .as_deref(),
        Some("h1.example")
    );
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let (_dir, store) = open_store();
    let id = keep(&store, 0, host(1), &[22]);
    let mut request = ResultsRequest {
        limit: 1,
        ..ResultsRequest::new(Query::default())
    };
    request.after = store.results(id, &request).unwrap().next;
    request.sort.key = SortKey::Port;
    assert!(matches!(
        store.results(id, &request),
        Err(Error::BadCursor { .. })
    ));
    request.after = Some("zz".parse().unwrap());
    assert!(matches!(
        store.results(id, &request),
        Err(Error::BadCursor { .. })
    ));
}

#[test]
fn the_port_map_has_a_byte_for_each_port() {
    let (_dir, store) = open_store();
    let id = keep(&store, 0, host(1), &[22]);
    let map = store.port_map(id, host(1), Protocol::Tcp).unwrap().unwrap();
    assert_eq!(map.len(), 65_536);
    let state =
        |port: usize| portolan_store::Code::from_byte(map[port]).map(portolan_store::Code::state);
    assert_eq!(state(22), Some(PortState::Open));
    assert_eq!(state(23), Some(PortState::Closed));
    assert_eq!(state(1001), None);
    assert_eq!(store.port_map(id, host(9), Protocol::Tcp).unwrap(), None);
}

#[test]
fn scans_are_listed_latest_first_and_found_by_what_is_known_of_them() {
    let (_dir, store) = open_store();
    let ids: Vec<_> = (1..=5)
        .map(|number| keep(&store, i64::from(number) * 100, host(number), &[22]))
        .collect();
    let first = store.scans(&ScanFilter::default(), None, 2).unwrap();
    assert_eq!(
        first.items.iter().map(|scan| scan.id).collect::<Vec<_>>(),
        [ids[4], ids[3]]
    );
    let rest = store
        .scans(&ScanFilter::default(), first.next.as_ref(), 9)
        .unwrap();
    assert_eq!(rest.items.len(), 3);
    assert!(rest.next.is_none());
    let found = |filter: ScanFilter| store.count_scans(&filter).unwrap();
    assert_eq!(
        found(ScanFilter {
            text: Some("PORTOLAN 0.0.3".to_owned()),
            ..ScanFilter::default()
        }),
        1
    );
    assert_eq!(
        found(ScanFilter {
            targets: Some("10.0.0.2".to_owned()),
            ..ScanFilter::default()
        }),
        1
    );
    assert_eq!(
        found(ScanFilter {
            states: vec![ScanState::Done, ScanState::Queued],
            ..ScanFilter::default()
        }),
        5
    );
    assert_eq!(
        found(ScanFilter {
            states: vec![ScanState::Queued],
            ..ScanFilter::default()
        }),
        0
    );
    assert_eq!(
        found(ScanFilter {
            since: Some(at(200)),
            until: Some(at(400)),
            ..ScanFilter::default()
        }),
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

#[test]
fn progress_is_seen_while_a_scan_runs() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    writer.send(vec![started(0), progress(40)]).unwrap();
    writer.flush().unwrap();
    let scan = store.scan(writer.id()).unwrap();
    assert_eq!(
        (scan.state, scan.done, scan.total),
        (ScanState::Running, 40, 1000)
    );
    writer.pause().unwrap();
    assert_eq!(store.scan(writer.id()).unwrap().state, ScanState::Paused);
    writer.unpause().unwrap();
    assert!(matches!(writer.unpause(), Err(Error::WrongState { .. })));
}

#[test]
fn an_older_scan_answers_as_it_did_when_it_had_an_index() {
    let (_dir, store) = open_store();
    let id = keep(&store, 0, host(1), &[22, 80, 443]);
    let sort = Sort::default();
    let ask = || {
        ["state:open", "port:80", "service:https"].map(|query| all_rows(&store, id, query, sort, 2))
    };
    let with_index = ask();
    keep(&store, 100, host(1), &[22]);
    assert_eq!(with_index, ask());
    assert_eq!(with_index[0].len(), 3);
}

#[test]
fn new_ports_are_those_that_were_not_open_when_last_looked_at() {
    let (_dir, store) = open_store();
    let first = keep(&store, 0, host(1), &[22, 80]);
    let second = keep(&store, 100, host(1), &[22, 443]);
    let third = keep(&store, 200, host(1), &[22, 80, 443]);
    let ports = |id, query: &str| -> Vec<u16> {
        let request = ResultsRequest::new(query.parse().unwrap());
        let page = store.results(id, &request).unwrap();
        page.items.iter().map(|row| row.port).collect()
    };
    // Of a host that nothing was known of, none are; a port that opens again is new again.
    assert_eq!(ports(first, "new:true"), [0; 0]);
    assert_eq!(ports(second, "new:true"), [443]);
    assert_eq!(ports(third, "new:true"), [80]);
    assert_eq!(ports(third, "state:open new:false"), [22, 443]);
    assert_eq!(ports(third, "state:open -new:true,false"), [0; 0]);
    let marked: Vec<_> = store
        .results(third, &ResultsRequest::new("state:open".parse().unwrap()))
        .unwrap()
        .items
        .iter()
        .map(|row| (row.port, row.is_new))
        .collect();
    assert_eq!(marked, [(22, false), (80, true), (443, false)]);

    // While a scan runs, its own finds do not make a port known.
    let writer = store.begin(new_scan("10.0.0.1", 300)).unwrap();
    writer
        .send(vec![
            started(300),
            up(host(1), 300),
            open(host(1), 22, 301),
            open(host(1), 8080, 301),
        ])
        .unwrap();
    writer.flush().unwrap();
    assert_eq!(ports(writer.id(), "new:true"), [8080]);
    let told = [22, 8080].map(|port| (host(1).into(), Protocol::Tcp, port));
    assert_eq!(
        store.new_ports(writer.id(), &told).unwrap(),
        [(host(1).into(), Protocol::Tcp, 8080)]
    );
}

#[test]
fn results_are_found_by_the_time_of_their_finding() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let now = Timestamp::now().as_second();
    writer
        .send(vec![
            started(0),
            up(host(1), 0),
            open(host(1), 22, 0),
            open(host(1), 80, now - at(0).as_second() - 60),
            finished(100),
        ])
        .unwrap();
    writer.flush().unwrap();
    let ports = |query: &str| -> Vec<u16> {
        let request = ResultsRequest::new(query.parse().unwrap());
        let page = store.results(writer.id(), &request).unwrap();
        page.items.iter().map(|row| row.port).collect()
    };
    assert_eq!(ports("seen:1h"), [80]);
    assert_eq!(ports("seen:30w,1h"), [80]);
    assert_eq!(ports("state:open -seen:1h"), [22]);
    let day = at(0).strftime("%Y-%m-%d").to_string();
    assert_eq!(ports(&format!("seen:{day}")), [22]);
    assert_eq!(ports(&format!("seen:<{day}")), [0; 0]);
    assert_eq!(ports(&format!("seen:>{day}")), [22, 80]);
}
