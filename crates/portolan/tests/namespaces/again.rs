//! What is shown of a scan of several parts: all of it, and nothing twice.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use portolan_model::PortState;

use crate::lab::{Lab, PORTOLAN, Scan, THERE, THERE_V6, bare, spread};

/// So many ports are told before a scan is killed: by then a place has been kept.
const TOLD: usize = 15;

fn is_port(line: &str) -> bool {
    line.contains("\"type\":\"port\"")
}

/// Starts a scan and kills it once it has told of some ports; its end is not waited for.
fn killed(lab: &Lab, args: &[&str]) -> std::process::Child {
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args(args)
        .args(["--json", "-n", "-p1000-9000", "--max-rate", "2000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut told) = (String::new(), 0);
    while told < TOLD {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended by itself");
        told += usize::from(is_port(&line));
    }
    child.kill().unwrap();
    child
}

fn portolan(lab: &Lab, args: &[&str]) -> Scan {
    let mut command = lab.here.command(PORTOLAN);
    let scan = Scan::of(&bare(&mut command).args(args).output().unwrap());
    assert_eq!(scan.status, 0, "{}", scan.err);
    scan
}

/// Whether JSON lines hold each open port and each host, each once, and no other.
fn is_exact(scan: &Scan, there: &[&str], open: &BTreeSet<u16>) {
    let told = scan.out.lines().filter(|line| is_port(line)).count();
    assert_eq!(told, open.len() * there.len(), "{}", scan.out);
    let hosts = scan.out.matches("\"type\":\"host.up\"").count();
    assert_eq!(hosts, there.len(), "{}", scan.out);
    for address in there {
        assert_eq!(&scan.open(address), open, "{address}");
    }
    let finished = scan.record().finished.unwrap();
    assert_eq!(finished.hosts_up, there.len() as u64);
}

/// Goes on with what was cut off in a file, and holds what is shown then and later against what is
/// there.
fn goes_on(lab: &Lab, file: &Path, there: &[&str], open: &BTreeSet<u16>) {
    let name = file.to_str().unwrap();
    let rest = portolan(lab, &["resume", name, "--json"]);
    is_exact(&rest, there, open);
    let figures = "gone on with: time, probes, loss and misses are those of this part";
    assert!(
        rest.err.contains(&format!("note: {figures}\n")),
        "{}",
        rest.err
    );
    let told = rest.record().problems;
    assert!(told.iter().any(|one| one.message == figures), "{told:?}");
    let whole = std::fs::read_to_string(file).unwrap();
    let again = portolan(lab, &["resume", name, "--json"]);
    is_exact(&again, there, open);
    let note = "note: the scan is complete: nothing is left to ask\n";
    assert!(again.err.starts_with(note), "{}", again.err);
    let shown = portolan(lab, &["resume", name]);
    let rows = shown.out.lines().filter(|line| line.contains("/tcp "));
    assert_eq!(rows.count(), open.len() * there.len(), "{}", shown.out);
    assert_eq!(std::fs::read_to_string(file).unwrap(), whole);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn all_parts_of_a_scan_are_in_every_result() {
    let lab = Lab::new();
    let open = spread(60, 1_000, 9_000);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    for technique in ["-sS", "-sT"] {
        let file = directory.path().join(technique);
        let name = file.to_str().unwrap();
        let mut child = killed(&lab, &[technique, THERE, "--checkpoint", name]);
        child.wait().unwrap();
        goes_on(&lab, &file, &[THERE], &open);
        let result = std::fs::read(&file).unwrap();
        let record = portolan_report::read(&mut &result[..]).unwrap();
        assert_eq!(record.count(PortState::Closed), 8_001 - open.len());
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn all_parts_of_a_sweep_are_in_its_rows_and_lines() {
    let lab = Lab::new();
    let open = spread(60, 1_000, 9_000);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sweep.jsonl");
    let there = [THERE, THERE_V6];
    let args = ["sweep", THERE, THERE_V6, "--checkpoint"];
    let name = file.to_str().unwrap();
    let mut child = killed(&lab, &[&args[..], &[name]].concat());
    child.wait().unwrap();
    goes_on(&lab, &file, &there, &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_of_the_history_goes_on_at_once_after_its_process_was_killed() {
    let lab = Lab::new();
    let open = spread(60, 1_000, 9_000);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    // Nobody waits for its end: it may still hold what it writes.
    let mut child = killed(&lab, &["-sT", THERE, "--save", "--data", data]);
    let resumed = portolan(&lab, &["resume", "1", "--json", "--data", data]);
    child.wait().unwrap();
    is_exact(&resumed, &[THERE], &open);
}
