//! What changes under a scan, and what floods it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};

use portolan_model::PortState;
use portolan_model::event::Outcome;
use portolan_testnet::Namespace;

use crate::lab::{Lab, PORTOLAN, THERE, bare, filter, spread};
use crate::packets::{FLOOD, interface};

/// A network beyond the other machine, and an address in it.
const BEYOND: &str = "198.51.100.0/24";
const FAR: &str = "198.51.100.7";

fn ip(namespace: &Namespace, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    namespace.run("ip", &words).unwrap();
}

/// A lab whose other machine has an address beyond a route, where these ports are open and most of
/// the others silent.
fn beyond(open: &BTreeSet<u16>) -> Lab {
    let lab = Lab::new();
    ip(&lab.there, &format!("address add {FAR}/32 dev lo"));
    ip(&lab.here, &format!("route add {BEYOND} via {THERE}"));
    let ports: Vec<String> = open.iter().map(u16::to_string).collect();
    filter(
        &lab.there,
        "input",
        &format!(
            "tcp dport {{ {} }} accept\nmeta l4proto tcp drop",
            ports.join(", ")
        ),
    );
    lab
}

/// Starts a scan with a checkpoint, and returns it once some open ports were told.
fn begun(lab: &Lab, technique: &str, file: &str) -> (Child, impl std::io::Read + use<>) {
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args([
            technique,
            "-n",
            "-Pn",
            FAR,
            "-p1-6000",
            "--json",
            "--max-rate",
            "1500",
        ])
        .args(["--checkpoint", file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut told) = (String::new(), 0);
    while told < 5 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended by itself");
        told += u32::from(line.contains("\"type\":\"port\""));
    }
    (child, out)
}

/// What it said, and with which status it ended.
fn end(child: &mut Child, mut out: impl std::io::Read) -> (String, Option<i32>) {
    let (mut rest, mut said) = (String::new(), String::new());
    out.read_to_string(&mut rest).unwrap();
    let mut err = child.stderr.take().unwrap();
    err.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap().code();
    assert!(rest.contains("\"outcome\":\"incomplete\""), "{rest}{said}");
    (said, status)
}

/// Whether a checkpoint calls no port filtered.
fn claims_nothing(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let record = portolan_report::read(&mut text.as_bytes()).unwrap();
    assert_eq!(record.count(PortState::Filtered), 0);
}

/// Goes on with what was cut off; all that is open is told in the end, each port once.
fn goes_on(lab: &Lab, file: &Path, open: &BTreeSet<u16>) {
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command).args(["resume", file.to_str().unwrap(), "-q"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(file).unwrap();
    let told = text
        .lines()
        .filter(|line| line.contains("\"state\":\"open\""));
    assert_eq!(told.count(), open.len());
    let record = portolan_report::read(&mut text.as_bytes()).unwrap();
    assert_eq!(record.outcome(), Outcome::Complete);
    let host = &record.hosts[&FAR.parse().unwrap()];
    let found: BTreeSet<u16> = host.ports.keys().map(|&(_, port)| port).collect();
    assert_eq!(&found, open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_route_that_changes_ends_the_scan_with_what_was_found_and_it_goes_on_later() {
    let open = spread(30, 1, 6_000);
    let lab = beyond(&open);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let (mut child, out) = begun(&lab, "-sS", file.to_str().unwrap());
    ip(&lab.here, &format!("route replace {BEYOND} via 192.0.2.99"));
    let (said, status) = end(&mut child, out);
    assert_eq!(status, Some(1), "{said}");
    let name = interface(&lab.here);
    let expected = format!(
        "the scan cannot go on: the route to {FAR} changed: it was via {THERE} on `{name}`, and is \
         via 192.0.2.99 on `{name}`"
    );
    assert!(said.contains(&expected), "{said}");
    ip(&lab.here, &format!("route replace {BEYOND} via {THERE}"));
    goes_on(&lab, &file, &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_source_address_that_comes_back_lets_the_scan_go_on() {
    let open = spread(30, 1, 6_000);
    let lab = beyond(&open);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let (mut child, out) = begun(&lab, "-sS", file.to_str().unwrap());
    let name = interface(&lab.here);
    ip(&lab.here, &format!("address del 192.0.2.1/24 dev {name}"));
    let (said, status) = end(&mut child, out);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the scan cannot go on: "), "{said}");
    ip(&lab.here, &format!("address add 192.0.2.1/24 dev {name}"));
    // The kernel took the route away with the address.
    ip(&lab.here, &format!("route add {BEYOND} via {THERE}"));
    goes_on(&lab, &file, &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_carrier_that_comes_back_interrupts_a_scan_and_hides_nothing() {
    let open = spread(30, 1, 6_000);
    let lab = beyond(&open);
    let _listeners = lab.listen(open.iter().copied());
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args(["-n", "-Pn", FAR, "-p1-6000", "--json", "--max-rate", "1500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let (mut text, mut told) = (String::new(), 0);
    while told < 5 {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended by itself");
        told += u32::from(line.contains("\"type\":\"port\""));
        text += &line;
    }
    let name = interface(&lab.there);
    ip(&lab.there, &format!("link set {name} down"));
    let (mut said, down) = (String::new(), "went down: waiting up to 15 s");
    while !said.contains(down) {
        assert!(err.read_line(&mut said).unwrap() > 0, "{said}");
    }
    ip(&lab.there, &format!("link set {name} up"));
    out.read_to_string(&mut text).unwrap();
    err.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("the way is back after"), "{said}");
    assert!(text.contains("\"outcome\":\"complete\""), "{said}");
    let record = portolan_report::read(&mut text.as_bytes()).unwrap();
    let ports = record.hosts[&FAR.parse().unwrap()].ports.keys();
    assert_eq!(ports.map(|&(_, port)| port).collect::<BTreeSet<_>>(), open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_route_that_goes_away_under_connections_leaves_their_ports_open() {
    let open = spread(30, 1, 6_000);
    let lab = beyond(&open);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let (mut child, out) = begun(&lab, "-sT", file.to_str().unwrap());
    ip(&lab.here, &format!("route del {BEYOND}"));
    let (said, status) = end(&mut child, out);
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.matches("no route to").count(), 1, "{said}");
    claims_nothing(&file);
    ip(&lab.here, &format!("route add {BEYOND} via {THERE}"));
    goes_on(&lab, &file, &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_that_has_no_way_when_it_is_gone_on_with_stays_open() {
    let open = spread(30, 1, 6_000);
    let lab = beyond(&open);
    let _listeners = lab.listen(open.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    for technique in ["-sS", "-sT"] {
        let file = directory.path().join(technique);
        let name = file.to_str().unwrap();
        let (mut child, _out) = begun(&lab, technique, name);
        child.kill().unwrap();
        child.wait().unwrap();
        ip(&lab.here, &format!("route del {BEYOND}"));
        let mut command = lab.here.command(PORTOLAN);
        let output = bare(&mut command).args(["resume", name]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let told = said.matches(&format!("no route to {FAR}")).count();
        assert_eq!(told, 1, "{said}");
        claims_nothing(&file);
        ip(&lab.here, &format!("route add {BEYOND} via {THERE}"));
        goes_on(&lab, &file, &open);
    }
}

/// The most memory that a scan had at once, in kilobytes, as seen at each of its lines.
fn peak_of_a_scan(lab: &Lab) -> u64 {
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args(["-n", "-Pn", THERE, "-p1-30000", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut peak = 0;
    for line in out.lines() {
        line.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn packets_that_are_forged_at_line_rate_cost_no_memory() {
    let lab = Lab::new();
    let open = spread(60, 1, 30_000);
    let _listeners = lab.listen(open.iter().copied());
    let quiet = peak_of_a_scan(&lab);
    let mut flood = lab.there.command("python3");
    let mut flood = bare(&mut flood)
        .args(["-c", FLOOD, THERE, "192.0.2.1"])
        .spawn()
        .unwrap();
    let flooded = peak_of_a_scan(&lab);
    flood.kill().unwrap();
    flood.wait().unwrap();
    assert!(
        quiet > 0 && flooded < quiet + 8_192,
        "{flooded} kB, {quiet} kB in quiet"
    );
}
