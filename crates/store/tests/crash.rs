//! A process that is killed loses nothing that was acknowledged.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use portolan_model::{PortState, Protocol};
use portolan_store::{Mode, ScanFilter, ScanState, Store};

/// The program that is killed; `cargo test` builds it beside the tests.
fn writer() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/crash_writer")
}

#[test]
fn what_was_acknowledged_survives_being_killed_at_any_moment() {
    for round in 0u32..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(writer())
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Far apart and odd, so that the moments differ; what the child does between its line
        // and its death is chance.
        let lines = 3 + round.wrapping_mul(2_654_435_761) % 400;
        let mut acknowledged = 0u16;
        // Kept open until the child is dead: it must not end by itself.
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in output.by_ref().take(lines as usize) {
            acknowledged = line.unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(acknowledged > 0);

        let store = Store::open(dir.path(), Mode::Serve).unwrap();
        let scans = store.scans(&ScanFilter::default(), None, 2).unwrap().items;
        assert_eq!(scans.len(), 1);
        assert_eq!(scans[0].state, ScanState::Interrupted);
        let record = store.record(scans[0].id).unwrap();
        let host = record.hosts.values().next().unwrap();
        let kept = (1..=u16::MAX)
            .take_while(|&port| host.state_of(Protocol::Tcp, port).is_some())
            .count();
        let kept = u16::try_from(kept).unwrap();
        assert!(kept >= acknowledged, "{kept} of {acknowledged} ports");
        // No port without its checkpoint, no checkpoint without its ports.
        let place = store.checkpoint(scans[0].id).unwrap().unwrap().position;
        let place = u16::from_be_bytes(place.try_into().unwrap());
        assert!(place == kept || place + 1 == kept, "{place} and {kept}");
        assert_eq!(scans[0].counts.open, u64::from(kept / 5));
        assert_eq!(record.count(PortState::Open), usize::from(kept / 5));
        assert_eq!(
            store.ports_now(IpAddr::from([192, 0, 2, 1])).unwrap().len(),
            usize::from(kept / 5)
        );
    }
}
