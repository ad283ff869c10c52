//! The programs that read nmap's XML read ours: each the same hosts, ports, states, services,
//! reasons and times that were written.
//!
//! They are installed by the project's own test task: the Python ones in a virtual environment
//! (`PORTOLAN_READERS_PYTHON`, else `target/readers-venv/bin/python`), the others as packages of
//! the system.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails in a helper fails the test"
)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, NameKind, Outcome, Started};
use portolan_model::service::Method;
use portolan_model::{
    HostRecord, PortRecord, PortSet, PortSpec, PortState, Protocol, Reason, ScanRecord, Service,
    Technique,
};
use portolan_report::{Format, WriteOptions, escape, write};
use serde_json::{Value, json};

const START: i64 = 1_795_438_518;
const END: i64 = START + 7;
const HOSTILE: &str = "</service>\"'&<x>--\u{1b}[31m\u{202e}\0\r\n\t=1+1";

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn port(state: PortState, reason: Reason, service: Option<Service>) -> PortRecord {
    PortRecord {
        state,
        reason,
        rtt: Some(Duration::from_micros(120)),
        ttl: Some(64),
        at: time(START + 2),
        service,
    }
}

fn probed(name: &str, product: &str, tls: bool) -> Service {
    Service {
        name: name.to_owned(),
        product: Some(product.to_owned()),
        version: Some("1.2".to_owned()),
        extra: Some("protocol 2".to_owned()),
        cpe: vec!["cpe:/a:example:thing:1.2".to_owned()],
        tls,
        method: Method::Probed,
        confidence: 10,
        ..Service::default()
    }
}

/// A host with services, one of them behind TLS, a UDP port, and few or many closed ports.
fn host(closed: (u16, u16), names: &[(&str, NameKind)]) -> HostRecord {
    let mut host = HostRecord::new(Reason::SynAck, time(START + 1));
    host.last = time(START + 5);
    host.rtt = Some(Duration::from_micros(120));
    host.ttl = Some(64);
    host.names = names
        .iter()
        .map(|&(name, kind)| (name.to_owned(), kind))
        .collect();
    let open = |service| port(PortState::Open, Reason::SynAck, service);
    host.ports = BTreeMap::from([
        (
            (Protocol::Tcp, 22),
            open(Some(probed("ssh", "OpenSSH", false))),
        ),
        ((Protocol::Tcp, 80), open(None)),
        (
            (Protocol::Tcp, 8081),
            open(Some(probed("https", "nginx", true))),
        ),
        ((Protocol::Tcp, 48_999), open(None)),
        (
            (Protocol::Udp, 53),
            port(PortState::Open, Reason::UdpResponse, None),
        ),
    ]);
    let closed = PortSet::from_range(closed.0, closed.1);
    let key = (Protocol::Tcp, PortState::Closed, Reason::Reset);
    host.rest.entry(key).or_default().extend_set(&closed);
    let key = (Protocol::Tcp, PortState::Filtered, Reason::AdminProhibited);
    let filtered = PortSet::from_range(60_000, 60_001);
    host.rest.entry(key).or_default().extend_set(&filtered);
    host
}

fn record(hosts: Vec<(&str, HostRecord)>, outcome: Option<Outcome>) -> ScanRecord {
    let hosts: BTreeMap<IpAddr, HostRecord> = hosts
        .into_iter()
        .map(|(address, host)| (address.parse().unwrap(), host))
        .collect();
    ScanRecord {
        args: "portolan --syn -p- 192.0.2.0/30 --open".to_owned(),
        version: "0.1.0".to_owned(),
        started: Some(Started {
            at: time(START),
            techniques: vec![Technique::Syn, Technique::Udp],
            ports: PortSpec::new(PortSet::all(), PortSet::from_range(53, 53)),
            addresses: 4,
            probes: 4 * 65_536,
            seed: 7,
            zones: portolan_model::Zones::NONE,
        }),
        finished: outcome.map(|outcome| Finished {
            at: time(END),
            outcome,
            elapsed: Duration::from_millis(7_120),
            hosts_up: hosts.len() as u64,
            hosts_down: 3,
            sent: 262_144,
            loss: Some(0.0),
            expected_missed: 0.0,
        }),
        hosts,
        problems: Vec::new(),
    }
}

/// What is tried: each a document of its own.
fn variants() -> Vec<(&'static str, ScanRecord)> {
    let names = [
        ("router.example", NameKind::User),
        ("gw.example", NameKind::Ptr),
    ];
    let mut hostile = host((1000, 1009), &[(HOSTILE, NameKind::Ptr)]);
    let service = Service {
        name: HOSTILE.to_owned(),
        product: Some(HOSTILE.to_owned()),
        version: Some(HOSTILE.to_owned()),
        extra: Some(HOSTILE.to_owned()),
        os: Some(HOSTILE.to_owned()),
        hostname: Some(HOSTILE.to_owned()),
        cpe: vec![HOSTILE.to_owned()],
        ..probed("", "", false)
    };
    let found = port(PortState::Open, Reason::SynAck, Some(service));
    hostile.ports.insert((Protocol::Tcp, 23), found);
    let mut hostile = record(vec![("192.0.2.9", hostile)], Some(Outcome::Complete));
    hostile.args = format!("portolan --script '{HOSTILE}' --- x");
    let done = Some(Outcome::Complete);
    vec![
        (
            "few",
            record(vec![("192.0.2.1", host((1000, 1009), &names))], done),
        ),
        (
            "many",
            record(vec![("192.0.2.1", host((1000, 9999), &[]))], done),
        ),
        (
            "two families",
            record(
                vec![
                    ("192.0.2.1", host((1000, 1009), &names)),
                    ("2001:db8::1", host((1000, 1999), &names)),
                ],
                done,
            ),
        ),
        (
            "interrupted",
            record(
                vec![("192.0.2.1", host((1000, 1009), &names))],
                Some(Outcome::Interrupted),
            ),
        ),
        (
            "cut off",
            record(vec![("192.0.2.1", host((1000, 1009), &[]))], None),
        ),
        ("hostile", hostile),
    ]
}

/// What a reader should find of a port.
#[derive(Debug, PartialEq)]
struct Expected {
    state: &'static str,
    reason: &'static str,
    service: String,
    product: String,
    version: String,
    tunnel: &'static str,
}

fn expected(host: &HostRecord) -> BTreeMap<String, Expected> {
    let mut ports = BTreeMap::new();
    for (&(protocol, number), found) in &host.ports {
        let service = found.service_or_guess(number, protocol).unwrap_or_default();
        let text = |text: Option<String>| escape::visible(&text.unwrap_or_default()).into_owned();
        let name = match service.name.as_str() {
            "" => "unknown".to_owned(),
            "https" if service.tls => "http".to_owned(),
            name => escape::visible(name).into_owned(),
        };
        ports.insert(
            format!("{number}/{protocol}"),
            Expected {
                state: found.state.as_str(),
                reason: found.reason.as_str(),
                service: name,
                product: text(service.product),
                version: text(service.version),
                tunnel: if service.tls { "ssl" } else { "" },
            },
        );
    }
    for (&(protocol, state, reason), set) in &host.rest {
        if host.count(state) > 25 {
            continue;
        }
        for number in set.to_set().iter() {
            let guess = Service::by_number(number, protocol);
            ports.insert(
                format!("{number}/{protocol}"),
                Expected {
                    state: state.as_str(),
                    reason: reason.as_str(),
                    service: guess.map_or_else(|| "unknown".to_owned(), |guess| guess.name),
                    product: String::new(),
                    version: String::new(),
                    tunnel: "",
                },
            );
        }
    }
    ports
}

fn names(host: &HostRecord) -> Vec<String> {
    let names = host
        .names
        .iter()
        .map(|(name, _)| escape::visible(name).into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn document(directory: &Path, record: &ScanRecord) -> PathBuf {
    let path = directory.join("scan.xml");
    let mut out = Vec::new();
    write(Format::Xml, record, &WriteOptions::default(), &mut out).unwrap();
    std::fs::write(&path, out).unwrap();
    path
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn readers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers")
}

fn python(script: &str, document: &Path) -> Value {
    let python = std::env::var_os("PORTOLAN_READERS_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/readers-venv/bin/python"),
        PathBuf::from,
    );
    // Some of them keep settings under the home directory; theirs is the test's own.
    let home = document.parent().unwrap();
    let mut command = Command::new(python);
    command
        .arg(readers().join(script))
        .arg(document)
        .env("HOME", home);
    serde_json::from_str(&run(&mut command)).unwrap()
}

/// Holds what a reader found of every port against what was written, in the fields it gives.
fn check(reader: &str, variant: &str, record: &ScanRecord, read: &Value) {
    assert_eq!(
        read["hosts"].as_object().unwrap().len(),
        record.hosts.len(),
        "{reader}, {variant}: number of hosts"
    );
    for (address, host) in &record.hosts {
        let found = &read["hosts"][address.to_string()];
        assert_eq!(
            found["names"],
            json!(names(host)),
            "{reader}, {variant}: names"
        );
        let wanted = expected(host);
        let ports = found["ports"].as_object().unwrap();
        assert_eq!(
            ports.keys().collect::<Vec<_>>(),
            wanted.keys().collect::<Vec<_>>(),
            "{reader}, {variant}: ports"
        );
        for (name, wanted) in &wanted {
            let found = &ports[name];
            let over_tls = if wanted.tunnel == "ssl" {
                "https"
            } else {
                &wanted.service
            };
            // One reader puts product and version together, and knows two states.
            let state = if wanted.state == "open" {
                "open"
            } else {
                "closed"
            };
            let both = format!("{} {}", wanted.product, wanted.version);
            for (field, wanted) in [
                ("state", wanted.state),
                ("reason", wanted.reason),
                ("service", wanted.service.as_str()),
                ("product", wanted.product.as_str()),
                ("version", wanted.version.as_str()),
                ("open_or_closed", state),
                ("service_over_tls", over_tls),
                ("both", both.trim()),
                ("tunnel", wanted.tunnel),
            ] {
                if let Some(found) = found.get(field) {
                    assert_eq!(found, wanted, "{reader}, {variant}: {field} of {name}");
                }
            }
        }
    }
}

fn each(mut test: impl FnMut(&str, &ScanRecord, &Path)) {
    for (name, record) in variants() {
        let directory = tempfile::tempdir().unwrap();
        let path = document(directory.path(), &record);
        test(name, &record, &path);
    }
}

fn end(record: &ScanRecord) -> i64 {
    record.finished.as_ref().map_or(START + 5, |_| END)
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn the_document_is_valid_by_its_type() {
    each(|_, record, path| {
        let options = WriteOptions {
            open_only: true,
            ..WriteOptions::default()
        };
        let mut out = Vec::new();
        write(Format::Xml, record, &options, &mut out).unwrap();
        let open_only = path.with_file_name("open.xml");
        std::fs::write(&open_only, out).unwrap();
        let mut command = Command::new("xmllint");
        command.args(["--nonet", "--noout", "--dtdvalid"]);
        command.args(["/usr/share/nmap/nmap.dtd"]);
        run(command.arg(path).arg(open_only));
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn ndiff_finds_no_change_in_the_same_and_the_port_that_opened() {
    each(|name, record, path| {
        let same = run(Command::new("ndiff").arg(path).arg(path));
        assert!(!same.contains("open"), "{name}: {same}");
        let mut later = record.clone();
        let host = later.hosts.values_mut().next().unwrap();
        let found = port(PortState::Open, Reason::SynAck, None);
        host.ports.insert((Protocol::Tcp, 9100), found);
        for ports in host.rest.values_mut() {
            ports.remove(9100);
        }
        let directory = tempfile::tempdir().unwrap();
        let second = document(directory.path(), &later);
        let output = Command::new("ndiff")
            .arg(path)
            .arg(&second)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("+9100/tcp"), "{name}: {text}");
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn python_libnmap_reads_what_was_written() {
    each(|name, record, path| {
        let read = python("libnmap_reader.py", path);
        check("python-libnmap", name, record, &read);
        assert_eq!(read["start"], START);
        assert_eq!(read["end"], end(record));
        for host in read["hosts"].as_object().unwrap().values() {
            assert_eq!(host["status"], "up");
            assert_eq!(host["start"], START + 1);
        }
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn python_nmap_reads_what_was_written() {
    each(|name, record, path| {
        let read = python("python_nmap_reader.py", path);
        check("python-nmap", name, record, &read);
        assert_eq!(read["up"], record.hosts.len());
        let down = if record.finished.is_some() { 3 } else { 0 };
        assert_eq!(read["total"], record.hosts.len() + down);
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn faraday_takes_the_document_and_reads_what_was_written() {
    each(|name, record, path| {
        let read = python("faraday_reader.py", path);
        assert_eq!(read["plugin"], "Nmap", "{name}");
        check("faraday", name, record, &read);
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn ivre_reads_what_was_written_and_what_was_only_counted() {
    each(|name, record, path| {
        let read = python("ivre_reader.py", path);
        check("IVRE", name, record, &read);
        for (address, host) in &record.hosts {
            let read = &read["hosts"][address.to_string()];
            let closed = host.count(PortState::Closed);
            if closed > 25 {
                assert_eq!(read["extra"]["closed"], closed, "{name}");
            }
        }
    });
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn perl_nmap_parser_reads_what_was_written() {
    each(|name, record, path| {
        let mut command = Command::new("perl");
        let text = run(command.arg(readers().join("nmap_parser.pl")).arg(path));
        let mut hosts = serde_json::Map::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields[..] {
                ["session", start, finish] => {
                    assert_eq!(start, START.to_string(), "{name}");
                    assert_eq!(finish, end(record).to_string(), "{name}");
                }
                ["host", address, status, names] => {
                    assert_eq!(status, "up");
                    let names: Vec<&str> =
                        names.split(',').filter(|name| !name.is_empty()).collect();
                    hosts.insert(address.to_owned(), json!({ "names": names, "ports": {} }));
                }
                [
                    "port",
                    address,
                    port,
                    state,
                    service,
                    product,
                    version,
                    tunnel,
                ] => {
                    hosts[address]["ports"][port] = json!({
                        "state": state, "service": service, "product": product,
                        "version": version, "tunnel": tunnel,
                    });
                }
                _ => panic!("{name}: an unexpected line `{line}`"),
            }
        }
        check("Nmap::Parser", name, record, &json!({ "hosts": hosts }));
    });
}
