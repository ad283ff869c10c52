//! The scanners that race: how each is asked, with what it makes of a path by itself, and how its
//! answer is read.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::course::{Asks, Course};
use super::network::numbers;
use crate::stage::on_path;

/// Makes the words that ask for a course.
type Arguments = fn(&Course) -> Vec<String>;

/// Reads the open ports in what a scanner prints.
type Parse = fn(&str) -> BTreeSet<(IpAddr, u16)>;

/// A scanner that is there.
pub(crate) struct Runner {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Arguments,
    /// The open ports in what it prints.
    pub(crate) parse: Parse,
    /// Whether it asks UDP ports too.
    asks_udp: bool,
}

/// Every scanner that is installed and takes part, Portolan first.
///
/// masscan (1.3.2) is left out: it waits for ever at the end of a scan on such a device, and tells
/// nothing when it is stopped. zmap (2.1) is, since it asks one port a run.
pub(crate) fn all(portolan: &Path) -> Vec<Runner> {
    let mut runners = vec![Runner {
        name: "portolan",
        program: portolan.to_owned(),
        arguments: |course| {
            let Course {
                targets, last_port, ..
            } = course;
            let how = match course.asks {
                Asks::Tcp => "--syn",
                Asks::Udp => "--udp",
            };
            words(&format!(
                "{targets} {how} -Pn -n --no-config -p 1-{last_port} --json"
            ))
        },
        parse: json_lines,
        asks_udp: true,
    }];
    let peers: [(&'static str, &'static str, Arguments, Parse); 3] = [
        ("nmap -T4", "nmap", |course| nmap(course, "-T4"), grepable),
        (
            "nmap --min-rate 10000",
            "nmap",
            |course| nmap(course, "-T4 --min-rate 10000"),
            grepable,
        ),
        (
            "rustscan",
            "rustscan",
            |course| {
                let Course {
                    targets, last_port, ..
                } = course;
                words(&format!(
                    "--no-config --no-banner -g -r 1-{last_port} -a {targets}"
                ))
            },
            arrow,
        ),
    ];
    for (name, program_name, arguments, parse) in peers {
        if let Some(program) = on_path(program_name) {
            runners.push(Runner {
                name,
                program,
                arguments,
                parse,
                asks_udp: program_name == "nmap",
            });
        }
    }
    runners
}

impl Runner {
    /// Whether it takes part in a course.
    pub(crate) fn takes_part(&self, course: &Course) -> bool {
        self.asks_udp || course.asks == Asks::Tcp
    }

    /// Name and version, as it says itself.
    pub(crate) fn version(&self) -> Option<String> {
        let output = Command::new(&self.program).arg("--version").output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        let first = output.lines().find(|line| !line.trim().is_empty())?;
        Some(format!("{}: {first}", self.name))
    }
}

fn nmap(course: &Course, pace: &str) -> Vec<String> {
    let Course {
        targets, last_port, ..
    } = course;
    let how = match course.asks {
        Asks::Tcp => "-sS",
        Asks::Udp => "-sU",
    };
    words(&format!(
        "{how} -Pn -n {pace} -p1-{last_port} -oG - {targets}"
    ))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Portolan's JSON lines.
fn json_lines(output: &str) -> BTreeSet<(IpAddr, u16)> {
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["type"] == "port" && event["state"] == "open")
        .filter_map(|event| {
            let address = event["address"].as_str()?.parse().ok()?;
            Some((address, event["port"].as_u64()?.try_into().ok()?))
        })
        .collect()
}

/// nmap's grepable lines.
fn grepable(output: &str) -> BTreeSet<(IpAddr, u16)> {
    let mut found = BTreeSet::new();
    for line in output.lines() {
        let host = line.strip_prefix("Host: ").and_then(|rest| {
            let address = rest.split_whitespace().next()?.parse::<IpAddr>().ok()?;
            let ports = line.split_once("Ports: ")?.1.split('\t').next()?;
            Some((address, ports))
        });
        if let Some((address, ports)) = host {
            let open = ports
                .split(',')
                .filter_map(|port| port.trim().split_once("/open/"))
                .filter_map(|(number, _)| number.parse().ok());
            found.extend(open.map(|port| (address, port)));
        }
    }
    found
}

/// `RustScan`'s greppable lines: `192.0.2.1 -> [22,80]`.
fn arrow(output: &str) -> BTreeSet<(IpAddr, u16)> {
    let mut found = BTreeSet::new();
    for line in output.lines() {
        if let Some((address, ports)) = line.split_once(" -> [")
            && let Ok(address) = address.trim().parse::<IpAddr>()
        {
            let ports = ports.trim_end().trim_end_matches(']');
            found.extend(numbers(ports).map(|port| (address, port)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scanner_says_the_same_in_its_own_way() {
        let wanted: BTreeSet<(IpAddr, u16)> = [("192.0.2.1".parse().unwrap(), 22)].into();
        let json = r#"{"type":"port","address":"192.0.2.1","port":22,"state":"open"}
{"type":"port","address":"192.0.2.1","port":23,"state":"closed"}"#;
        assert_eq!(json_lines(json), wanted);
        let nmap = "Host: 192.0.2.1 ()\tPorts: 22/open/tcp//ssh///, 23/closed/tcp//x///\tIgnored";
        assert_eq!(grepable(nmap), wanted);
        assert_eq!(arrow("noise\n192.0.2.1 -> [22]\n"), wanted);
    }
}
