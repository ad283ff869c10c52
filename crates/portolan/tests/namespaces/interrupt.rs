//! Ctrl-C in the middle of a scan.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use portolan_model::event::Outcome;
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, PORTOLAN, TECHNIQUE, THERE, bare, filter};

fn interrupt(child: &Child) {
    send(child, Signal::INT);
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A scan that has found the open port and will be busy with the silent ones for hours.
fn started(lab: &Lab, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    filter(&lab.there, "input", "tcp dport != 80 drop");
    // `ip` and `timeout` become the program: its process is the child.
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args([
            TECHNIQUE,
            THERE,
            "-p1-65535",
            "-n",
            "--json",
            "--max-rate",
            "200",
        ])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        if line.contains("\"type\":\"host.up\"") || line.contains("\"type\":\"port\"") {
            return (child, out);
        }
        line.clear();
    }
    panic!("it ended by itself: {:?}", child.wait());
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn ctrl_c_in_the_middle_of_a_scan_writes_what_was_found() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.xml");
    let (mut child, mut out) = started(&lab, &["-oX", file.to_str().unwrap()]);
    interrupt(&child);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let record = portolan_report::read(&mut &std::fs::read(&file).unwrap()[..]).unwrap();
    assert_eq!(record.outcome(), Outcome::Interrupted);
    assert_eq!(record.hosts.len(), 1);
    let last = rest.lines().last().unwrap();
    assert!(last.contains("\"type\":\"scan.done\""), "{last}");
    let valid = std::process::Command::new("xmllint")
        .args(["--noout", "--dtdvalid", "/usr/share/nmap/nmap.dtd"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(valid.status.success(), "{valid:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_terminal_that_is_closed_ends_the_scan_in_order() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let directory = tempfile::tempdir().unwrap();
    let file = |name| directory.path().join(name).to_str().unwrap().to_owned();
    let (xml, kept) = (file("scan.xml"), file("scan.jsonl"));
    let (mut child, mut out) = started(&lab, &["-oX", &xml, "--checkpoint", &kept]);
    // The system says so, and the shell as well, however much later.
    send(&child, Signal::HUP);
    let mut rest = String::new();
    while out.read_line(&mut rest).unwrap() > 0 && !rest.contains("scan.done") {}
    send(&child, Signal::HUP);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for file in [xml, kept] {
        let record = portolan_report::read(&mut &std::fs::read(&file).unwrap()[..]).unwrap();
        assert!(record.finished.is_some(), "{file}");
        assert_eq!(record.outcome(), Outcome::Interrupted);
        assert_eq!(record.hosts.len(), 1);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_second_ctrl_c_leaves_at_once() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    // A pipe that nobody opens holds up the writing of the file for ever.
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("scan.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (mut child, mut out) = started(&lab, &["--csv", pipe.to_str().unwrap()]);
    interrupt(&child);
    let mut rest = String::new();
    // The stream ends in order before the file is written.
    while out.read_line(&mut rest).unwrap() > 0 && !rest.contains("scan.done") {}
    assert!(
        child.try_wait().unwrap().is_none(),
        "it should wait for a reader"
    );
    // What follows the first within moments is the first once more, so that it is said again
    // until it is heard; a minute of it is enough.
    let mut said = 0;
    let status = loop {
        interrupt(&child);
        said += 1;
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(said < 1_000_000, "it should leave");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(130));
}
