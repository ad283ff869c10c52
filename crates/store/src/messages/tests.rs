use jiff::Timestamp;
use portolan_model::event::{Finished, Outcome};
use portolan_model::{PortSpec, ScanEvent, ScanSpec};

use super::*;
use crate::{Mode, NewScan};

fn store(dir: &std::path::Path) -> Store {
    Store::open(dir, Mode::Write).unwrap()
}

fn scan(store: &Store) -> crate::ScanWriter {
    let spec = ScanSpec::new(vec!["192.0.2.1".parse().unwrap()], PortSpec::common());
    store
        .begin(NewScan::new(spec, Timestamp::UNIX_EPOCH))
        .unwrap()
}

fn said(log: u32, seq: u64, text: &str) -> Said {
    Said {
        log,
        seq,
        kept: Some(("update", text.to_owned())),
    }
}

fn counted(log: u32, seq: u64) -> Said {
    Said {
        log,
        seq,
        kept: None,
    }
}

fn heard(store: &Store, id: ScanId, log: u32, seq: u64) -> Option<Vec<String>> {
    let told = store.told_after(id, log, seq, 100).unwrap()?;
    Some(told.into_iter().map(|told| told.data).collect())
}

fn finished() -> ScanEvent {
    ScanEvent::Finished(Finished {
        at: Timestamp::UNIX_EPOCH,
        outcome: Outcome::Complete,
        elapsed: std::time::Duration::ZERO,
        hosts_up: 0,
        hosts_down: 0,
        sent: 0,
        loss: None,
        expected_missed: 0.0,
    })
}

#[test]
fn who_comes_back_after_a_new_start_hears_the_rest_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path());
    let writer = scan(&first);
    let id = writer.id();
    for (seq, text) in [(1, "a"), (2, "b"), (4, "c")] {
        first.say(id, said(7, seq, text)).unwrap();
    }
    // Progress that was told and is not worth keeping counts as well.
    first.say(id, counted(7, 5)).unwrap();
    writer.suspend().unwrap();
    drop(first);
    let second = store(dir.path());
    second.say(id, said(9, 1, "d")).unwrap();
    second.flush().unwrap();
    assert_eq!(heard(&second, id, 7, 0).unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(heard(&second, id, 7, 2).unwrap(), ["c", "d"]);
    assert_eq!(heard(&second, id, 7, 5).unwrap(), ["d"]);
    assert_eq!(heard(&second, id, 9, 1).unwrap(), [""; 0]);
    assert_eq!(second.first_telling(id).unwrap(), Some(7));
    let told = second.told_after(id, 7, 2, 1).unwrap().unwrap();
    assert_eq!((told.len(), told[0].log, told[0].seq), (1, 7, 4));
}

#[test]
fn a_place_that_was_never_told_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let id = scan(&store).id();
    store.say(id, said(7, 1, "a")).unwrap();
    store.flush().unwrap();
    // Another telling, and one who heard what was lost with a process that was cut off.
    assert_eq!(heard(&store, id, 8, 0), None);
    assert_eq!(heard(&store, id, 7, 2), None);
    assert!(matches!(
        store.told_after(ScanId(99), 7, 0, 1),
        Err(crate::Error::NoSuchScan { .. })
    ));
}

#[test]
fn what_no_longer_fits_is_dropped_and_who_missed_it_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let id = scan(&store).id();
    let large = "x".repeat(3 << 20);
    for seq in 1..=4 {
        store.say(id, said(7, seq, &large)).unwrap();
        store.flush().unwrap();
    }
    assert_eq!(heard(&store, id, 7, 0), None);
    assert_eq!(store.first_telling(id).unwrap(), None);
    assert_eq!(heard(&store, id, 7, 2).unwrap().len(), 2);
    // A later telling does not make up for it.
    store.say(id, said(8, 1, "d")).unwrap();
    store.flush().unwrap();
    assert_eq!(heard(&store, id, 7, 1), None);
    assert_eq!(heard(&store, id, 7, 3).unwrap().len(), 2);
}

#[test]
fn scans_that_ended_long_ago_keep_no_messages() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut ids = Vec::new();
    for _ in 0..=MOST_SCANS {
        let writer = scan(&store);
        store.say(writer.id(), said(7, 1, "a")).unwrap();
        writer.send(vec![finished()]).unwrap();
        writer.flush().unwrap();
        ids.push(writer.id());
    }
    assert_eq!(heard(&store, ids[0], 7, 0), None);
    for &id in &ids[1..] {
        assert_eq!(heard(&store, id, 7, 0).unwrap(), ["a"]);
    }
    store.delete_scan(ids[1]).unwrap();
    assert!(store.told_after(ids[1], 7, 0, 1).is_err());
}
