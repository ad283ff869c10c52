//! The results of a scan: filtered, sorted, in pages.

use jiff::Timestamp;
use portolan_model::{PortState, Protocol, Reason};
use portolan_store::{Error, Order, Query, ResultsRequest, Sort, SortKey, Store};

use crate::common::*;

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

#[test]
fn the_map_of_all_hosts_shows_the_most_open_state_of_a_port_while_a_scan_runs_and_after() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.0/30", 0)).unwrap();
    let code = |state: u8, reason: u8| 1 + 16 * state + reason;
    let wanted = [code(0, 0), code(2, 3), code(1, 1), 0];
    let seen = |id| {
        let bytes = store.port_map_of_all(id, Protocol::Tcp).unwrap();
        assert_eq!(bytes.len(), 65_536);
        bytes[20..24].to_vec()
    };
    let filtered = |number| port(host(2), number, PortState::Filtered, Reason::NoResponse, 1);
    writer
        .send(vec![
            started(0),
            up(host(1), 0),
            up(host(2), 0),
            closed(host(1), 20, 22, 1),
            open(host(2), 20, 1),
            filtered(21),
            done(host(1), 2),
        ])
        .unwrap();
    writer.flush().unwrap();
    assert_eq!(seen(writer.id()), wanted);
    writer.send(vec![done(host(2), 2), finished(3)]).unwrap();
    writer.flush().unwrap();
    assert_eq!(seen(writer.id()), wanted);
    assert!(matches!(
        store.port_map_of_all(portolan_store::ScanId(99), Protocol::Tcp),
        Err(Error::NoSuchScan { .. })
    ));
}
