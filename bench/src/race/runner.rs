//! The scanners that race: how each is asked, with what it makes of a path by itself, and how its
//! answer is read.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::course::{Ask, Course};
use super::network::numbers;
use crate::stage::on_path;

/// The MAC address of the router that `simnet` is.
const ROUTER: &str = "00:00:5e:00:53:01";

/// Makes the words that ask for a course; `None` for one that it cannot be asked.
type Arguments = fn(&Course) -> Option<Vec<String>>;

/// Reads the open ports in what a scanner prints.
type Parse = fn(&str) -> BTreeSet<(IpAddr, u16)>;

/// A scanner that is there.
pub(crate) struct Runner {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Arguments,
    /// The open ports in what it prints.
    pub(crate) parse: Parse,
}

/// Every scanner that is installed and takes part, Portolan first.
///
/// masscan (1.3.2) is left out: it waits for ever at the end of a scan on such a device, and tells
/// nothing when it is stopped.
pub(crate) fn all(portolan: &Path) -> Vec<Runner> {
    let mut runners = vec![Runner {
        name: "portolan",
        program: portolan.to_owned(),
        arguments: |Course { targets, ask, .. }| {
            Some(words(&match ask {
                Ask::Ports(last) => {
                    format!("{targets} --syn -Pn -n --no-config -p 1-{last} --json")
                }
                Ask::UdpPorts(last) => {
                    format!("{targets} --udp -Pn -n --no-config -p 1-{last} --json")
                }
                Ask::Sweep { port, rate } => {
                    format!("sweep {targets} -n --no-config -p {port} --max-rate {rate} --json")
                }
            }))
        },
        parse: json_lines,
    }];
    let peers: [(&'static str, &'static str, Arguments, Parse); 4] = [
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
            |Course { targets, ask, .. }| match ask {
                Ask::Ports(last) => Some(words(&format!(
                    "--no-config --no-banner -g -r 1-{last} -a {targets}"
                ))),
                Ask::UdpPorts(_) | Ask::Sweep { .. } => None,
            },
            arrow,
        ),
        ("zmap", "zmap", zmap, rows),
    ];
    for (name, program, arguments, parse) in peers {
        if let Some(program) = on_path(program) {
            runners.push(Runner {
                name,
                program,
                arguments,
                parse,
            });
        }
    }
    runners
}

impl Runner {
    /// Name and version, as it says itself.
    pub(crate) fn version(&self) -> Option<String> {
        let output = Command::new(&self.program).arg("--version").output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        let first = output.lines().find(|line| !line.trim().is_empty())?;
        Some(format!("{}: {first}", self.name))
    }
}

fn nmap(course: &Course, pace: &str) -> Option<Vec<String>> {
    let Course { targets, ask, .. } = course;
    let (how, last) = match ask {
        Ask::Ports(last) => ("-sS", last),
        Ask::UdpPorts(last) => ("-sU", last),
        Ask::Sweep { .. } => return None,
    };
    let family = if course.is_v6() { "-6" } else { "" };
    Some(words(&format!(
        "{how} -Pn -n {family} {pace} -p1-{last} -oG - {targets}"
    )))
}

/// zmap asks one port a run, and of a network that it knows the router of. It is told to wait for
/// the last answers for 2 s; without a word it waits 8 s.
fn zmap(course: &Course) -> Option<Vec<String>> {
    let Course { targets, ask, .. } = course;
    let Ask::Sweep { port, rate } = ask else {
        return None;
    };
    Some(words(&format!(
        "-p {port} -r {rate} -G {ROUTER} -c 2 -q -b /dev/null -O csv -f saddr,sport -o - {targets}"
    )))
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

/// zmap's rows: `192.0.2.1,22`.
fn rows(output: &str) -> BTreeSet<(IpAddr, u16)> {
    let rows = output
        .lines()
        .filter_map(|line| line.trim().split_once(','));
    rows.filter_map(|(address, port)| Some((address.parse().ok()?, port.parse().ok()?)))
        .collect()
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
        assert_eq!(rows("saddr,sport\n192.0.2.1,22\n"), wanted);
    }
}
