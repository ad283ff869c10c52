//! A simulated network that runs while a scanner is measured on it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::course::{Asks, Course};
use super::runner::Runner;
use crate::stage::Stage;

/// The network; it ends when dropped.
pub(crate) struct Network {
    simnet: Child,
    output: BufReader<ChildStdout>,
    namespace: String,
    last_port: u16,
    asks: Asks,
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
        course: &Course,
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
            last_port: course.last_port,
            asks: course.asks,
        };
        let mut line = String::new();
        let read = network.output.read_line(&mut line);
        match read {
            Ok(_) if line.starts_with("ready") => Ok(network),
            _ => Err("simnet did not get ready: it needs the rights to make namespaces".to_owned()),
        }
    }

    /// The command that scans it.
    pub(crate) fn command(&self, runner: &Runner, course: &Course) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        command.arg(&runner.program);
        command.args((runner.arguments)(course));
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
        let list = match self.asks {
            Asks::Tcp => "open_tcp",
            Asks::Udp => "open_udp",
        };
        let open = open_ports(&said["truth"][list], self.last_port);
        Ok(Outcome { packets, open })
    }
}

/// The open ports of IPv4 hosts, as far as a course asks for them: from 1 on. A network may have
/// an open port 0 too, which no scanner here asks for.
fn open_ports(truth: &Value, last_port: u16) -> BTreeSet<(IpAddr, u16)> {
    let mut open = BTreeSet::new();
    for (host, ports) in truth.as_object().into_iter().flatten() {
        let (Ok(address), Some(ports)) = (host.parse::<IpAddr>(), ports.as_str()) else {
            continue;
        };
        if address.is_ipv4() {
            let asked = numbers(ports).filter(|port| (1..=last_port).contains(port));
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

    use super::*;

    #[test]
    fn a_port_that_no_scanner_is_asked_for_is_not_missed() {
        let truth = json!({"198.18.0.1": "0,22,99-102", "2001:db8::1": "22"});
        let open = open_ports(&truth, 100);
        let ports: Vec<u16> = open.iter().map(|&(_, port)| port).collect();
        assert_eq!(ports, [22, 99, 100]);
    }

    #[test]
    fn a_list_of_ports_holds_its_ranges() {
        assert_eq!(numbers("22,80-82,x").collect::<Vec<_>>(), [22, 80, 81, 82]);
    }
}
