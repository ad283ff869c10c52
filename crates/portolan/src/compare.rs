//! The `diff` command: two results, and what is different.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use portolan_model::{PortState, ScanRecord, Service};
use portolan_report::diff::{Diff, HostChange, diff};
use portolan_store::{Mode, ScanId};

use crate::data;
use crate::failure::{Failure, Result, io_reason, visible};
use crate::server_args::DataArgs;

/// What `diff` prints, and whether anything is different.
///
/// # Errors
/// When one of the files cannot be read as a result.
pub(crate) fn compare(old: &Path, new: &Path, data: &DataArgs) -> Result<(String, bool)> {
    let found = diff(&read(old, data)?, &read(new, data)?);
    Ok((text(&found), !found.is_empty()))
}

/// A result from a file, or from the history where a number names no file.
fn read(file: &Path, data: &DataArgs) -> Result<ScanRecord> {
    let number = file.to_str().and_then(|text| text.parse::<ScanId>().ok());
    if let Some(id) = number.filter(|_| !file.exists()) {
        let store = data::open(data, Mode::Read)?;
        return store.record(id).map_err(data::failure);
    }
    let shown = visible(&file.display().to_string());
    let opened = File::open(file)
        .map_err(|error| Failure::new(format!("cannot read `{shown}`: {}", io_reason(&error))))?;
    portolan_report::read(&mut BufReader::new(opened)).map_err(|error| {
        let mut message = format!("cannot read `{shown}`: {}", visible(&error.to_string()));
        if let portolan_report::ReadError::Io(source) = &error {
            message = format!("cannot read `{shown}`: {}", io_reason(source));
        }
        Failure::new(message).hint("give two results in XML (`-oX`) or JSON lines (`-oJ`)")
    })
}

/// One change a line: `+` came, `-` went, `~` is another.
fn text(diff: &Diff) -> String {
    let mut text = String::new();
    for (sign, hosts) in [('+', &diff.come), ('-', &diff.gone)] {
        for host in hosts {
            let _ = writeln!(text, "{sign} {}", host_line(host));
        }
    }
    for change in &diff.ports {
        let sign = match (change.old, change.new) {
            (_, Some(PortState::Open)) => '+',
            (Some(PortState::Open), _) => '-',
            _ => '~',
        };
        let _ = writeln!(
            text,
            "{sign} {} {}/{} {}: {} -> {}",
            place(change.address, change.name.as_deref()),
            change.port.port,
            change.port.protocol,
            visible(&change.port.service),
            state(change.old),
            state(change.new)
        );
    }
    for change in &diff.services {
        let _ = writeln!(
            text,
            "~ {} {}/{}: {} -> {}",
            place(change.address, change.name.as_deref()),
            change.port,
            change.protocol,
            service(&change.old),
            service(&change.new)
        );
    }
    for left_out in &diff.not_compared {
        let _ = writeln!(text, "? not compared: {}", visible(left_out));
    }
    text
}

fn host_line(host: &HostChange) -> String {
    let ports: Vec<String> = host
        .open
        .iter()
        .map(|port| format!("{}/{} {}", port.port, port.protocol, visible(&port.service)))
        .collect();
    let place = place(host.address, host.name.as_deref());
    if ports.is_empty() {
        format!("{place}: no open port")
    } else {
        format!("{place}: {}", ports.join(", "))
    }
}

fn place(address: std::net::IpAddr, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{address} ({})", visible(name)),
        None => address.to_string(),
    }
}

fn state(state: Option<PortState>) -> &'static str {
    state.map_or("not known", PortState::as_str)
}

fn service(service: &Service) -> String {
    let parts = [
        Some(service.name.as_str()),
        service.product.as_deref(),
        service.version.as_deref(),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    visible(&parts.join(" "))
}
