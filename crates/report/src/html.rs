//! A page for a browser: one file, read offline, sorted and filtered by a small script and
//! complete without it.

use std::io::{self, Write};
use std::net::IpAddr;

use portolan_model::{HostRecord, PortState, ScanRecord};

use crate::escape::{markup, thousands};
use crate::format::WriteOptions;
use crate::view::{self, Row};

const STYLE: &str = include_str!("html/report.css");
const SCRIPT: &str = include_str!("html/report.js");

/// A host with more rows than this is folded, so that the page is at hand at once.
const FOLDED: usize = 1_000;

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let started = view::local(view::start(record), &options.time_zone);
    // The policy forbids everything that the page does not bring itself.
    writeln!(
        out,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Port scan of {started}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>Port scan</h1>"#
    )?;
    summary(record, &started, out)?;
    writeln!(
        out,
        r#"<p class="filter" hidden><label>Filter <input type="search" placeholder="port, state, service, host"></label> <span role="status"></span></p>
</header>
<main>"#
    )?;
    if record.hosts.is_empty() {
        writeln!(out, "<p>No host was found up.</p>")?;
    }
    for (&address, found) in &record.hosts {
        host(record, address, found, options, out)?;
    }
    writeln!(
        out,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>"
    )
}

fn summary(record: &ScanRecord, started: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<dl>\n<dt>Command</dt><dd><code>{}</code></dd>",
        markup(&record.args)
    )?;
    writeln!(out, "<dt>Started</dt><dd>{started}</dd>")?;
    writeln!(out, "<dt>Result</dt><dd>{}</dd>", view::summary(record))?;
    let counts: Vec<String> = PortState::ALL
        .iter()
        .map(|&state| (state, record.count(state)))
        .filter(|&(_, count)| count > 0)
        .map(|(state, count)| format!("{} {state}", thousands(count as u128)))
        .collect();
    if !counts.is_empty() {
        writeln!(out, "<dt>Ports</dt><dd>{}</dd>", counts.join(", "))?;
    }
    writeln!(out, "</dl>")?;
    if !record.problems.is_empty() {
        writeln!(out, r#"<ul class="problems">"#)?;
        for problem in &record.problems {
            writeln!(
                out,
                "<li><strong>{}</strong>: {}</li>",
                markup(&problem.about),
                markup(&problem.message)
            )?;
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

fn host(
    record: &ScanRecord,
    address: IpAddr,
    host: &HostRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let title = markup(&view::title(record, address, host));
    let rtt = host.rtt.map_or_else(String::new, |rtt| {
        format!(", answers in {}", view::round_trip(rtt))
    });
    writeln!(
        out,
        "<section>\n<h2>{title}</h2>\n<p>Up ({}){rtt}</p>",
        host.reason
    )?;
    if let Some(mac) = host.mac {
        writeln!(out, "<p>MAC address <code>{mac}</code></p>")?;
    }
    if let Some(found) = &host.answers_all {
        writeln!(
            out,
            "<p><strong>It {}.</strong></p>",
            markup(&found.words())
        )?;
    }
    let (rows, counted) = view::split(host, options.open_only);
    let is_folded = rows.len() > FOLDED;
    if is_folded {
        let count = thousands(rows.len() as u128);
        writeln!(out, "<details><summary>{count} ports</summary>")?;
    }
    if !rows.is_empty() {
        writeln!(
            out,
            r#"<table>
<thead><tr><th scope="col" class="n">Port</th><th scope="col">Protocol</th><th scope="col">State</th><th scope="col">Reason</th><th scope="col">Service</th><th scope="col">Version</th></tr></thead>
<tbody>"#
        )?;
        for row in &rows {
            port(row, out)?;
        }
        writeln!(out, "</tbody>\n</table>")?;
    }
    if is_folded {
        writeln!(out, "</details>")?;
    }
    for (state, groups) in &counted {
        for (protocol, reason, ports) in groups {
            let list = ports.to_string().replace(',', ", ");
            writeln!(
                out,
                "<details><summary>Not shown: {} {state} {protocol} ({reason})</summary><p class=\"ranges\">{list}</p></details>",
                thousands(ports.len() as u128),
            )?;
        }
    }
    writeln!(out, "</section>")
}

fn port(row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
    let class = match row.state {
        PortState::Open => "open",
        PortState::Closed => "closed",
        PortState::Filtered => "filtered",
        PortState::OpenFiltered => "maybe",
    };
    writeln!(
        out,
        r#"<tr><td class="n">{}</td><td>{}</td><td class="{class}">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"#,
        row.port,
        row.protocol,
        row.state,
        row.reason,
        markup(&row.service_name()),
        markup(&row.version()),
    )
}
