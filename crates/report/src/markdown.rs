//! Tables in Markdown (as GitHub reads it), for issues, wikis and reports.

use std::io::{self, Write};

use portolan_model::ScanRecord;

use crate::escape::markdown;
use crate::format::WriteOptions;
use crate::view;

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "# Port scan\n")?;
    writeln!(out, "- Command: {}", markdown(&record.args))?;
    let started = view::local(view::start(record), &options.time_zone);
    writeln!(out, "- Started: {started}")?;
    writeln!(out, "- Result: {}", view::summary(record))?;
    for problem in &record.problems {
        writeln!(out, "- Problem: {}", markdown(&problem.line()))?;
    }
    for (&address, host) in &record.hosts {
        writeln!(
            out,
            "\n## {}\n",
            markdown(&view::title(record, address, host))
        )?;
        if let Some(mac) = host.mac {
            writeln!(out, "MAC address: {mac}\n")?;
        }
        if let Some(found) = &host.answers_all {
            writeln!(out, "It {}.\n", markdown(&found.words()))?;
        }
        let (rows, counted) = view::split(host, options.open_only);
        if !rows.is_empty() {
            writeln!(out, "| Port | State | Reason | Service | Version |")?;
            writeln!(out, "| ---: | --- | --- | --- | --- |")?;
        }
        for row in &rows {
            writeln!(
                out,
                "| {}/{} | {} | {} | {} | {} |",
                row.port,
                row.protocol,
                markdown(row.state.as_str()),
                row.reason,
                markdown(&row.service_name()),
                markdown(&row.version()),
            )?;
        }
        if let Some(not_shown) = view::not_shown(&counted) {
            if !rows.is_empty() {
                writeln!(out)?;
            }
            writeln!(out, "Not shown: {}", not_shown.replace('|', "\\|"))?;
        }
    }
    Ok(())
}
