//! A scan of several parts: cut off, cancelled, taken up again.

use std::time::Duration;

use portolan_model::event::{Finished, Outcome, Progress};
use portolan_model::{Phase, ScanEvent};
use portolan_store::{Mode, ScanState, Store};

use crate::common::{at, closed, finished, host, new_scan, open, open_store, started};

fn progress(seconds: u64, sent: u64) -> ScanEvent {
    ScanEvent::Progress(Progress {
        done: 1,
        total: 1000,
        sent,
        elapsed: Duration::from_secs(seconds),
        ..Progress::default()
    })
}

#[test]
fn time_and_probes_are_those_of_all_parts() {
    let (dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let id = writer.id();
    writer
        .send(vec![started(0), progress(1, 60), progress(2, 100)])
        .unwrap();
    writer.flush().unwrap();
    drop((writer, store));

    // Cut off: what was told last is what is known.
    let store = Store::open(dir.path(), Mode::Write).unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!(scan.state, ScanState::Interrupted);
    assert_eq!(scan.elapsed, Some(Duration::from_secs(2)));
    assert_eq!(scan.sent, Some(100));

    let (writer, _) = store.resume(id).unwrap();
    let stopped = ScanEvent::Finished(Finished {
        at: at(10),
        outcome: Outcome::Interrupted,
        elapsed: Duration::from_secs(3),
        hosts_up: 0,
        hosts_down: 0,
        sent: 50,
        loss: None,
        expected_missed: 0.0,
    });
    writer.send(vec![progress(1, 20), stopped]).unwrap();
    writer.flush().unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!(scan.state, ScanState::Cancelled);
    assert_eq!(scan.elapsed, Some(Duration::from_secs(5)));
    assert_eq!(scan.sent, Some(150));

    let (writer, _) = store.resume(id).unwrap();
    assert_eq!(store.scan(id).unwrap().sent, Some(150));
    writer.send(vec![finished(20)]).unwrap();
    writer.flush().unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!(scan.elapsed, Some(Duration::from_millis(6500)));
    assert_eq!(scan.sent, Some(4150));
    // Reports say the same.
    let record = store.record(id).unwrap();
    let told = record.finished.unwrap();
    assert_eq!(told.elapsed, Duration::from_millis(6500));
    assert_eq!(told.sent, 4150);
}

#[test]
fn a_scan_that_is_cut_off_sent_at_least_what_was_answered() {
    let (dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let id = writer.id();
    let found = [open(host(1), 22, 1), closed(host(1), 100, 299, 1)];
    writer.send(vec![started(0), progress(1, 60)]).unwrap();
    writer.send(found.to_vec()).unwrap();
    writer.flush().unwrap();
    assert!(!store.scan(id).unwrap().was_cut_off);
    drop((writer, store));

    let store = Store::open(dir.path(), Mode::Write).unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!((scan.sent, scan.was_cut_off), (Some(201), true));

    // What was lost once stays lost.
    let (writer, _) = store.resume(id).unwrap();
    writer.send(vec![finished(20)]).unwrap();
    writer.flush().unwrap();
    let scan = store.scan(id).unwrap();
    assert_eq!((scan.sent, scan.was_cut_off), (Some(4201), true));
}

#[test]
fn what_a_scan_was_at_is_known_until_all_of_it_is_done() {
    let (dir, store) = open_store();
    let writer = store.begin(new_scan("10.0.0.1", 0)).unwrap();
    let id = writer.id();
    let phase = Phase::Naming { named: 12, of: 40 };
    let naming = ScanEvent::Progress(Progress {
        phase,
        ..Progress::default()
    });
    writer.send(vec![started(0), progress(1, 60)]).unwrap();
    writer.flush().unwrap();
    assert_eq!(store.scan(id).unwrap().phase, Some(Phase::Asking));
    writer.send(vec![naming]).unwrap();
    writer.flush().unwrap();
    drop((writer, store));
    let store = Store::open(dir.path(), Mode::Write).unwrap();
    assert_eq!(store.scan(id).unwrap().phase, Some(phase));
    let (writer, _) = store.resume(id).unwrap();
    assert_eq!(store.scan(id).unwrap().phase, None);
    writer.send(vec![progress(1, 6), finished(20)]).unwrap();
    writer.flush().unwrap();
    assert_eq!(store.scan(id).unwrap().phase, None);
}
