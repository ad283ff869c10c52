//! Scans from their asking to their end, and who may do what to them.

use portolan_model::{PortState, Reason, ScanEvent, ScanRecord};
use portolan_store::{Error, Mode, ScanFilter, ScanState, Store};

use crate::common::*;

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
