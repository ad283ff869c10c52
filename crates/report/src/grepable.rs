//! One host a line, as nmap's `-oG` writes it: for `grep`, `awk` and `cut`.

use std::io::{self, Write};

use portolan_model::ScanRecord;

use crate::escape::grepable;
use crate::format::WriteOptions;
use crate::view;

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", view::initiated(record, options))?;
    for (&address, host) in &record.hosts {
        let address = record.zoned(address);
        // Brackets end the name for whoever reads it.
        let name = host.name().unwrap_or_default();
        let name = grepable(name).replace(['(', ')'], "|");
        let status = if host.is_up() { "Up" } else { "Down" };
        writeln!(out, "Host: {address} ({name})\tStatus: {status}")?;
        let (rows, counted) = view::split(host, options.open_only);
        if rows.is_empty() && counted.is_empty() {
            continue;
        }
        write!(out, "Host: {address} ({name})")?;
        for (position, row) in rows.iter().enumerate() {
            let before = if position == 0 { "\tPorts: " } else { ", " };
            write!(
                out,
                "{before}{}/{}/{}//{}//{}/",
                row.port,
                row.state,
                row.protocol,
                grepable(&row.service_name()),
                grepable(&row.version()),
            )?;
        }
        for (state, groups) in &counted {
            let count: usize = groups.iter().map(|(_, _, ports)| ports.len()).sum();
            write!(out, "\tIgnored State: {state} ({count})")?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "# Portolan done at {} -- {}",
        view::ctime(view::end(record), &options.time_zone),
        view::summary(record),
    )
}
