//! What queries ask beside ports and states: tags, changes, certificates, services by name.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

mod common;

use common::*;
use jiff::{SignedDuration, Timestamp};
use portolan_model::{PortState, Reason, ScanEvent, Zoned};
use portolan_store::{
    Error, HostFilter, ResultsRequest, ScanFilter, ScanId, Store, Tag, Tagged, tags,
};

fn ports(store: &Store, id: ScanId, query: &str) -> Vec<u16> {
    let request = ResultsRequest::new(query.parse().unwrap());
    let page = store.results(id, &request).unwrap();
    page.items.iter().map(|row| row.port).collect()
}

fn tag(word: &str) -> Tag {
    word.parse().unwrap()
}

/// A server whose certificate expires some days from now.
fn with_certificate(number: u16, days: i64) -> ScanEvent {
    let mut event = service(host(1), number, "http", "nginx");
    let expires = Timestamp::now() + SignedDuration::from_hours(24 * days);
    if let ScanEvent::Service(fact) = &mut event {
        let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        fact.service
            .facts
            .insert("tls.cert.not-after".to_owned(), expires);
    }
    event
}

#[test]
fn hosts_and_scans_are_found_by_their_tags() {
    let (_dir, store) = open_store();
    let one = keep(&store, 0, host(1), &[22]);
    let two = keep(&store, 10, host(2), &[80]);
    let place = Tagged::Host(host(1).into());
    store
        .put_tag(tag("prod"), vec![place, Tagged::Scan(two)])
        .unwrap();
    store.put_tag(tag("prod"), vec![place]).unwrap();
    store.put_tag(tag("db"), vec![place]).unwrap();

    assert_eq!(ports(&store, one, "tag:prod state:open"), [22]);
    assert_eq!(ports(&store, one, "tag:lab,db state:open"), [22]);
    assert_eq!(ports(&store, one, "tag:lab state:open"), [0; 0]);
    assert_eq!(ports(&store, one, "-tag:prod state:open"), [0; 0]);
    assert_eq!(
        ports(&store, two, "tag:prod state:open"),
        [80],
        "the scan has it"
    );
    assert_eq!(
        ports(&store, two, "tag:prod port:1-3").len(),
        3,
        "closed ones too"
    );
    assert_eq!(ports(&store, two, "-tag:db state:open"), [80]);

    let hosts = |text: &str| -> Vec<Zoned> {
        let (tags, _) = tags::split(text).unwrap();
        let filter = HostFilter {
            tags,
            ..HostFilter::default()
        };
        let page = store.hosts(&filter, None, 10).unwrap();
        page.items.iter().map(|host| host.address).collect()
    };
    assert_eq!(hosts("tag:db"), [host(1).into()]);
    assert_eq!(hosts("-tag:db"), [host(2).into()]);
    let scans = |text: &str| -> Vec<ScanId> {
        let (tags, _) = tags::split(text).unwrap();
        let filter = ScanFilter {
            tags,
            ..ScanFilter::default()
        };
        let page = store.scans(&filter, None, 10).unwrap();
        page.items.iter().map(|scan| scan.id).collect()
    };
    assert_eq!(scans("tag:prod,db"), [two]);
    assert_eq!(scans("-tag:prod"), [one]);
    assert_eq!(store.scan(two).unwrap().tags, [tag("prod")]);
    assert_eq!(
        store.host(host(1)).unwrap().unwrap().tags,
        [tag("db"), tag("prod")]
    );
    assert_eq!(
        store.scan_hosts(one, None, 9).unwrap().items[0].tags.len(),
        2
    );
    let all = store.all_tags().unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|one| (one.tag.as_str(), one.hosts, one.scans))
        .collect();
    assert_eq!(all, [("db", 1, 0), ("prod", 1, 1)]);

    assert_eq!(
        store
            .take_tag(tag("prod"), vec![place, Tagged::Scan(one)])
            .unwrap(),
        1
    );
    assert_eq!(ports(&store, one, "tag:prod state:open"), [0; 0]);
    store.delete_scan(two).unwrap();
    assert_eq!(
        store.all_tags().unwrap().len(),
        1,
        "those of a scan go with it"
    );
}

#[test]
fn a_tag_for_something_unknown_is_refused_and_tags_nothing() {
    let (_dir, store) = open_store();
    let id = keep(&store, 0, host(1), &[22]);
    let on = vec![Tagged::Scan(id), Tagged::Host(host(9).into())];
    let error = store.put_tag(tag("prod"), on).unwrap_err();
    assert!(matches!(error, Error::NoSuchHost { .. }), "{error}");
    assert!(store.all_tags().unwrap().is_empty());
    let error = store
        .put_tag(tag("prod"), vec![Tagged::Scan(ScanId(99))])
        .unwrap_err();
    assert!(matches!(error, Error::NoSuchScan { .. }), "{error}");
    for number in 0..50 {
        store
            .put_tag(tag(&format!("t{number}")), vec![Tagged::Scan(id)])
            .unwrap();
    }
    let error = store
        .put_tag(tag("more"), vec![Tagged::Scan(id)])
        .unwrap_err();
    assert!(matches!(error, Error::TooManyTags { .. }), "{error}");
}

#[test]
fn ports_are_found_by_the_time_at_which_they_changed() {
    let (_dir, store) = open_store();
    let now = Timestamp::now().as_second() - at(0).as_second();
    let (week, hour) = (now - 7 * 86_400, now - 3600);
    keep(&store, week, host(1), &[22, 80]);
    let id = keep(&store, hour, host(1), &[22, 443]);
    assert_eq!(
        ports(&store, id, "changed:1d"),
        [80, 443],
        "80 closed, 443 opened"
    );
    assert_eq!(ports(&store, id, "changed:1d state:open"), [443]);
    assert_eq!(ports(&store, id, "changed>1d state:open"), [22]);
    assert_eq!(ports(&store, id, "-changed<30d state:open"), [0; 0]);
    assert_eq!(ports(&store, id, "changed:1m"), [0; 0]);
    let later = keep(&store, now - 60, host(1), &[22]);
    assert_eq!(ports(&store, later, "changed:5m"), [443]);
    assert_eq!(
        ports(&store, id, "changed:5m"),
        [0; 0],
        "what came after it is not its own"
    );

    let writer = store.begin(new_scan("10.0.0.1", now - 5)).unwrap();
    let events = vec![
        started(now - 5),
        up(host(1), now - 5),
        open(host(1), 8080, now - 4),
    ];
    writer.send(events).unwrap();
    writer.flush().unwrap();
    assert_eq!(
        ports(&store, writer.id(), "changed:10m"),
        [8080],
        "while it runs too"
    );
}

#[test]
fn certificates_are_found_by_the_time_at_which_they_expire() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let mut events = vec![started(0), up(host(1), 0)];
    for (number, days) in [(443, 10), (8443, 400), (9443, -3)] {
        events.extend([open(host(1), number, 1), with_certificate(number, days)]);
    }
    events.extend([
        open(host(1), 80, 1),
        closed(host(1), 81, 90, 1),
        finished(3),
    ]);
    writer.send(events).unwrap();
    writer.flush().unwrap();
    let found = |query: &str| ports(&store, writer.id(), query);
    assert_eq!(found("tls.expires<30d"), [443, 9443]);
    assert_eq!(found("tls.expires:30d"), [443]);
    assert_eq!(found("tls.expires>30d"), [8443]);
    assert_eq!(found("-tls.expires<30d state:open"), [80, 8443]);
    assert_eq!(found("tls.expires<2020-01-01"), [0; 0]);
    assert_eq!(found("tls.expires>2020-01-01"), [443, 8443, 9443]);
}

#[test]
fn a_service_by_the_number_of_its_port_is_meant_where_something_may_listen() {
    let (_dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let events = vec![
        started(0),
        up(host(1), 0),
        open(host(1), 2222, 1),
        service(host(1), 2222, "ssh", "OpenSSH"),
        open(host(1), 22, 1),
        closed(host(1), 23, 1000, 1),
        port(host(1), 2022, PortState::Filtered, Reason::NoResponse, 1),
        finished(3),
    ];
    writer.send(events).unwrap();
    writer.flush().unwrap();
    let found = |query: &str| ports(&store, writer.id(), query);
    assert_eq!(found("service:ssh"), [22, 2222]);
    assert_eq!(found("service:netconf-ssh"), [0; 0], "830 is closed");
    assert_eq!(found("service:netconf-ssh state:closed"), [830]);
    assert_eq!(found("service:netconf-ssh -state:open"), [0; 0]);
    assert_eq!(found("-service:ssh state:open"), [0; 0]);
    assert!(found("-service:ssh").contains(&830));
}
