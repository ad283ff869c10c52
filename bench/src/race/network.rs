//! A simulated network that runs while a scanner is measured on it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::course::{Ask, Course};
use super::runner::Runner;
use crate::stage::Stage;

/// The network; it ends when dropped.
pub(crate) struct Network {
    simnet: Child,
    output: BufReader<ChildStdout>,
    namespace: String,
    course: &'static Course,
}

/// What `simnet` saw, and what is really there.
pub(crate) struct Outcome {
    /// Frames that came out of the scanner's kernel.
    pub(crate) packets: u64,
    pub(crate) open: BTreeSet<(IpAddr, u16)>,
}

impl Network {
    /// Starts it, and waits until it can be scanned.
    pub(crate) fn start(
        simnet: &std::path::Path,
        course: &'static Course,
        stage: &Stage,
        limit: Duration,
    ) -> Result<Self, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("cannot {what}: {error}");
        let scenario = stage.directory().join("scenario.toml");
        std::fs::write(&scenario, course.scenario)
            .map_err(|error| failed("write the scenario", &error))?;
        let namespace = format!("race-{}", std::process::id());
        let mut child = Command::new(simnet)
            .arg("--scenario")
            .arg(&scenario)
            .args(["--netns", &namespace])
            .args(["--limit", &(limit.as_secs() + 30).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed("start simnet", &error))?;
        let output = child.stdout.take().ok_or("simnet has no output")?;
        let mut network = Self {
            simnet: child,
            output: BufReader::new(output),
            namespace,
            course,
        };
        let mut line = String::new();
        let read = network.output.read_line(&mut line);
        match read {
            Ok(_) if line.starts_with("ready") => Ok(network),
            _ => Err("simnet did not get ready: it needs the rights to make namespaces".to_owned()),
        }
    }

    /// The command that scans it.
    pub(crate) fn command(&self, runner: &Runner, arguments: &[String]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        command.arg(&runner.program);
        command.args(arguments);
        command
    }

    /// Ends it, and says what happened.
    pub(crate) fn end(mut self) -> Result<Outcome, String> {
        drop(self.simnet.stdin.take());
        let mut text = String::new();
        self.output
            .read_to_string(&mut text)
            .map_err(|error| format!("cannot read what simnet says: {error}"))?;
        let said: Value =
            serde_json::from_str(&text).map_err(|error| format!("simnet said no JSON: {error}"))?;
        let packets = said["device"]["read"].as_u64().unwrap_or(0);
        let list = match self.course.ask {
            Ask::UdpPorts(_) => "open_udp",
            Ask::Ports(_) | Ask::Sweep { .. } => "open_tcp",
        };
        let open = open_ports(&said["truth"][list], self.course);
        Ok(Outcome { packets, open })
    }
}

/// The open ports of the hosts of its family, as far as a course asks for them. A network may have
/// an open port 0 too, which no scanner here asks for.
fn open_ports(truth: &Value, course: &Course) -> BTreeSet<(IpAddr, u16)> {
    let mut open = BTreeSet::new();
    for (host, ports) in truth.as_object().into_iter().flatten() {
        let (Ok(address), Some(ports)) = (host.parse::<IpAddr>(), ports.as_str()) else {
            continue;
        };
        if address.is_ipv6() == course.is_v6() {
            let asked = numbers(ports).filter(|&port| course.asks(port));
            open.extend(asked.map(|port| (address, port)));
        }
    }
    open
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.simnet.stdin.take());
        // It removes its namespace before it ends.
        let _ = self.simnet.wait();
    }
}

/// The ports of a list such as `22,80-82`.
pub(crate) fn numbers(list: &str) -> impl Iterator<Item = u16> + '_ {
    list.split(',')
        .filter_map(|part| {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            Some(start.trim().parse().ok()?..=end.trim().parse().ok()?)
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::course::{Ask, COURSES};
    use super::*;

    #[test]
    fn a_port_that_no_scanner_is_asked_for_is_not_missed() {
        let truth = json!({"198.18.0.1": "0,22,99-102", "2001:db8::1": "0,24"});
        let ports = |targets, ask| -> Vec<u16> {
            let course = Course {
                targets,
                ask,
                ..COURSES[0]
            };
            let open = open_ports(&truth, &course);
            open.iter().map(|&(_, port)| port).collect()
        };
        assert_eq!(ports("198.18.0.1", Ask::Ports(100)), [22, 99, 100]);
        assert_eq!(ports("2001:db8::1", Ask::Ports(100)), [24]);
        let sweep = Ask::Sweep {
            port: 101,
            rate: 1_000,
        };
        assert_eq!(ports("198.18.0.0/24", sweep), [101]);
    }

    #[test]
    fn a_list_of_ports_holds_its_ranges() {
        assert_eq!(numbers("22,80-82,x").collect::<Vec<_>>(), [22, 80, 81, 82]);
    }
}
