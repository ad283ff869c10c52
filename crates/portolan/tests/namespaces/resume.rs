//! Scans that are killed again and again, and gone on with.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use portolan_model::{PortState, Protocol, ScanRecord};
use portolan_testnet::Listeners;

use crate::lab::{Lab, PORTOLAN, THERE, THERE_V6, bare, filter, set, spread};
use crate::udp::Services;

/// Ports of both protocols.
type Ports = BTreeSet<(Protocol, u16)>;

/// Kills of one scan.
const KILLS: u32 = 20;

/// Open ports of the other machine.
fn listeners(lab: &Lab) -> (Ports, Listeners) {
    let open = spread(300, 1_000, 20_000);
    let listeners = lab.listen(open.iter().copied());
    (of(Protocol::Tcp, open), listeners)
}

fn of(protocol: Protocol, ports: impl IntoIterator<Item = u16>) -> Ports {
    ports.into_iter().map(|port| (protocol, port)).collect()
}

/// The same numbers at each run: which line of output is the last before a kill.
fn moments() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 60).unwrap()
    })
}

/// How many ports a checkpoint holds.
fn known(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let of_ports = text.lines().filter(|line| is_port(line));
    of_ports.count()
}

fn is_port(line: &str) -> bool {
    line.contains("\"type\":\"port\"")
}

fn is_host(line: &str) -> bool {
    line.contains("\"type\":\"host.up\"")
}

/// Starts a command and kills it after so many lines beyond those of ports that are `known`, or
/// lets it end; returns whether it ended.
fn run(lab: &Lab, args: &[&str], mut known: usize, lines: usize) -> bool {
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args(args)
        .args(["--json", "-q"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut left = lines;
    while known > 0 || left > 0 {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            break;
        }
        if known == 0 {
            left -= 1;
        }
        known -= usize::from(known > 0 && is_port(&line));
    }
    // `ip` and `timeout` become the program: its process is the child.
    child.kill().unwrap();
    child.wait().unwrap().success()
}

/// Kills a scan at twenty moments, goes on each time, and holds what came of it against what is
/// there: the open ports of each address.
fn killed_and_gone_on_with(lab: &Lab, args: &[&str], there: &[&str], open: &Ports) -> ScanRecord {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let name = file.to_str().unwrap();
    let mut moments = moments();
    let first: Vec<&str> = args.iter().copied().chain(["--checkpoint", name]).collect();
    let mut kills = 0;
    let mut is_over = run(lab, &first, 0, moments.next().unwrap());
    while kills < KILLS && !is_over {
        kills += 1;
        is_over = if file.exists() {
            run(
                lab,
                &["resume", name],
                known(&file),
                moments.next().unwrap(),
            )
        } else {
            // It was killed before it had begun.
            run(lab, &first, 0, moments.next().unwrap())
        };
    }
    assert!(kills >= 10, "it ended after {kills} kills");
    let csv = directory.path().join("whole.csv");
    if !is_over {
        let mut command = lab.here.command(PORTOLAN);
        bare(&mut command).args(["resume", name, "--csv", csv.to_str().unwrap()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let rows = std::fs::read_to_string(&csv).unwrap();
        let rows = rows.lines().filter(|row| row.contains(",open,")).count();
        assert_eq!(
            rows,
            open.len() * there.len(),
            "of the result of the last part"
        );
    }
    is_exact(&file, there, open)
}

/// The result in a file, which holds each open port, each once, and no other.
fn is_exact(file: &Path, there: &[&str], open: &Ports) -> ScanRecord {
    let text = std::fs::read_to_string(file).unwrap();
    let told = text
        .lines()
        .filter(|line| line.contains("\"type\":\"port\""));
    assert_eq!(
        told.count(),
        open.len() * there.len(),
        "a port was told twice or not at all"
    );
    let record = portolan_report::read(&mut text.as_bytes()).unwrap();
    assert_eq!(record.hosts.len(), there.len());
    for address in there {
        let host = &record.hosts[&address.parse().unwrap()];
        let ports = host.ports.iter();
        let found: Ports = ports
            .filter(|(_, port)| port.state == PortState::Open)
            .map(|(&port, _)| port)
            .collect();
        assert_eq!(&found, open, "{address}");
    }
    record
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_by_connections_that_is_killed_at_twenty_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    let (open, _listeners) = listeners(&lab);
    let args = [
        "-sT",
        THERE,
        "-p1000-20000",
        "-Pn",
        "-n",
        "--max-rate",
        "4000",
    ];
    killed_and_gone_on_with(&lab, &args, &[THERE], &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_of_silent_ports_that_is_killed_at_twenty_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    let (open, _listeners) = listeners(&lab);
    let ports: Vec<String> = open.iter().map(|(_, port)| port.to_string()).collect();
    filter(
        &lab.there,
        "input",
        &format!(
            "tcp dport {{ {} }} accept\ntcp dport 1000-20000 drop",
            ports.join(", ")
        ),
    );
    let args = [
        "-sS",
        THERE,
        "-p1000-20000",
        "-Pn",
        "-n",
        "--max-rate",
        "8000",
    ];
    killed_and_gone_on_with(&lab, &args, &[THERE], &open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_sweep_that_is_killed_at_twenty_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    let (open, _listeners) = listeners(&lab);
    let args = [
        "sweep",
        THERE,
        THERE_V6,
        "-p1000-20000",
        "-n",
        "--max-rate",
        "8000",
    ];
    killed_and_gone_on_with(&lab, &args, &[THERE, THERE_V6], &open);
}

/// UDP services, and how many ICMP errors a second their machine sends.
fn services(lab: &Lab) -> (Ports, Services) {
    let open: Vec<u16> = spread(240, 5_000, 5_399).into_iter().collect();
    set(&lab.there, "ipv4.icmp_ratelimit", "10");
    let services = Services::start(&lab.there, open.iter().copied());
    (of(Protocol::Udp, open), services)
}

/// How many UDP ports of the one host are closed.
fn closed(record: &ScanRecord) -> usize {
    let host = &record.hosts[&THERE.parse().unwrap()];
    host.rest_of(Protocol::Udp, PortState::Closed).len()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_udp_scan_that_is_killed_at_twenty_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    let (open, _services) = services(&lab);
    let args = [
        THERE,
        "-pU:5000-5399",
        "-n",
        "--max-rate",
        "300",
        "--udp-certain",
    ];
    let record = killed_and_gone_on_with(&lab, &args, &[THERE], &open);
    assert_eq!(closed(&record), 400 - open.len());
    assert_eq!(record.finished.unwrap().hosts_up, 1);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_of_both_protocols_that_is_killed_at_twenty_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    let (mut open, _services) = services(&lab);
    let tcp = spread(60, 5_000, 5_399);
    let _listeners = lab.listen(tcp.iter().copied());
    open.extend(of(Protocol::Tcp, tcp));
    let args = [
        THERE,
        "-pT:5000-5399,U:5000-5399",
        "-n",
        "--max-rate",
        "300",
        "--udp-certain",
    ];
    let record = killed_and_gone_on_with(&lab, &args, &[THERE], &open);
    assert_eq!(closed(&record), 400 - 240);
    assert_eq!(record.finished.unwrap().hosts_up, 1);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_search_for_hosts_that_is_killed_at_random_moments_is_exact_in_the_end() {
    let lab = Lab::new();
    // Of 512 addresses behind the other machine, 96 answer and nobody is at the rest.
    lab.there
        .run("ip", &["route", "add", "blackhole", "198.51.100.0/23"])
        .unwrap();
    for of in ["198.51.100.32/27", "198.51.101.128/26"] {
        lab.there
            .run("ip", &["route", "add", "local", of, "dev", "lo"])
            .unwrap();
    }
    lab.here
        .run("ip", &["route", "add", "198.51.100.0/23", "via", THERE])
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts.jsonl");
    let name = file.to_str().unwrap();
    let args = ["-sn", "198.51.100.0/23", "-n", "--max-rate", "400"];
    let first: Vec<&str> = args.iter().copied().chain(["--checkpoint", name]).collect();
    let mut moments = moments().map(|moment| 1 + moment % 12);
    let (mut kills, mut is_over) = (0, false);
    while kills < KILLS && !is_over {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let known = text.lines().filter(|line| is_host(line)).count();
        let args = if text.is_empty() {
            &first[..]
        } else {
            &["resume", name]
        };
        // What is told again of the parts before, and some of what follows.
        is_over = run(&lab, args, 0, known + moments.next().unwrap());
        kills += u32::from(!is_over);
    }
    assert!(kills >= 8, "it ended after {kills} kills");
    if !is_over {
        let mut command = lab.here.command(PORTOLAN);
        let output = bare(&mut command).args(["resume", name]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let told = text.lines().filter(|line| is_host(line)).count();
    assert_eq!(told, 96, "a host was told twice or not at all");
    let record = portolan_report::read(&mut text.as_bytes()).unwrap();
    assert_eq!(record.hosts.len(), 96);
    assert_eq!(record.finished.unwrap().hosts_up, 96);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_scan_of_which_a_part_has_no_route_keeps_its_place() {
    let lab = Lab::new();
    let (open, _listeners) = listeners(&lab);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let name = file.to_str().unwrap();
    let ports = ["-p1000-20000", "-Pn", "-n", "--max-rate", "4000"];
    let args = [
        &["-sS", THERE, "203.0.113.7", "--checkpoint", name],
        &ports[..],
    ]
    .concat();
    assert!(!run(&lab, &args, 0, 150), "it ended by itself");
    let text = std::fs::read_to_string(&file).unwrap();
    let last = text
        .lines()
        .rfind(|line| line.contains("\"reached\""))
        .unwrap();
    let mark: serde_json::Value = serde_json::from_str(last).unwrap();
    assert!(mark["position"].as_u64().unwrap() > 1_000, "{last}");
    let mut command = lab.here.command(PORTOLAN);
    let output = bare(&mut command)
        .args(["resume", name, "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("error: no route to 203.0.113.7"), "{told}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text.lines().filter(|line| is_port(line)).count(),
        open.len()
    );
    let whole = portolan_report::read(&mut text.as_bytes()).unwrap();
    let sent = whole.finished.unwrap().sent;
    assert!(
        sent < 30_000,
        "{sent} probes: not all ports are asked again"
    );
}
