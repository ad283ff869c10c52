//! Plain text for people, laid out as nmap's `-oN`.

use std::io::{self, Write};

use portolan_model::{Protocol, ScanRecord};

use crate::escape::{thousands, visible, width};
use crate::format::WriteOptions;
use crate::view::{self, Counted};

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", view::initiated(record, options))?;
    for (&address, host) in &record.hosts {
        let title = view::title(record, address, host);
        writeln!(out, "Portolan scan report for {}", visible(&title))?;
        let is = if host.is_up() { "is up" } else { "seems down" };
        match host.rtt {
            Some(rtt) => writeln!(
                out,
                "Host {is}, received {} ({:.5}s latency).",
                host.reason,
                rtt.as_secs_f64()
            )?,
            None => writeln!(out, "Host {is}, received {}.", host.reason)?,
        }
        if let Some(mac) = host.mac {
            writeln!(out, "MAC Address: {mac}")?;
        }
        if let Some(found) = &host.answers_all {
            writeln!(out, "Host {}.", found.words())?;
        }
        let (rows, counted) = view::split(host, options.open_only);
        for line in not_shown(&counted) {
            writeln!(out, "Not shown: {line}")?;
        }
        let lines: Vec<[String; 5]> = rows
            .iter()
            .map(|row| {
                [
                    format!("{}/{}", row.port, row.protocol),
                    row.state.to_string(),
                    visible(&row.service_name()).into_owned(),
                    row.reason.to_string(),
                    visible(&row.version()).into_owned(),
                ]
            })
            .collect();
        if !lines.is_empty() {
            let head = ["PORT", "STATE", "SERVICE", "REASON", "VERSION"].map(str::to_owned);
            let mut widths = [0; 5];
            for line in lines.iter().chain([&head]) {
                for (widest, cell) in widths.iter_mut().zip(line) {
                    *widest = width(cell).max(*widest);
                }
            }
            for line in [&head].into_iter().chain(&lines) {
                let mut text = String::new();
                for (cell, wide) in line.iter().zip(widths) {
                    text.push_str(cell);
                    text.extend(std::iter::repeat_n(' ', wide - width(cell) + 1));
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        writeln!(out)?;
    }
    for problem in &record.problems {
        writeln!(out, "# {}", visible(&problem.line()))?;
    }
    writeln!(
        out,
        "# Portolan done at {} -- {}",
        view::ctime(view::end(record), &options.time_zone),
        view::summary(record),
    )
}

/// `997 closed tcp ports (conn-refused)`, one for each state, protocol and reason.
fn not_shown(counted: &Counted) -> Vec<String> {
    let groups = counted
        .iter()
        .flat_map(|(state, groups)| groups.iter().map(move |group| (state, group)));
    groups
        .map(|(state, (protocol, reason, ports))| {
            let ports_word = if ports.len() == 1 { "port" } else { "ports" };
            let protocol: Protocol = *protocol;
            format!(
                "{} {state} {protocol} {ports_word} ({reason})",
                thousands(ports.len() as u128)
            )
        })
        .collect()
}
