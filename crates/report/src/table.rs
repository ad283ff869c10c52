//! The table that people read in a terminal.
//!
//! It is never wider than it is told, ends no line in blanks, and writes no escape code unless
//! colour is asked for. A state is always a word; colour only repeats it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;

use portolan_model::event::{Endpoint, PortFact, ServiceFact};
use portolan_model::{HostRecord, PortState, ScanRecord, Service, Zones};

use crate::escape::{truncate, visible, width};
use crate::view;

/// How the table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// How many columns a line may take.
    pub width: usize,
    /// Whether states are coloured.
    pub color: bool,
    /// Whether ports that are not open are left out.
    pub open_only: bool,
}

/// 80 columns, no colour, everything.
impl Default for TableOptions {
    fn default() -> Self {
        Self {
            width: 80,
            color: false,
            open_only: false,
        }
    }
}

/// What stands between two columns.
const GAP: usize = 2;

/// The widest that a service's name is shown.
const SERVICE: usize = 20;

/// Writes a whole result, host by host.
///
/// # Errors
/// Those of `out`.
pub fn write(record: &ScanRecord, options: &TableOptions, out: &mut dyn Write) -> io::Result<()> {
    // Hosts alone were looked for, so that of ports there is nothing to say.
    let only_hosts = record
        .started
        .as_ref()
        .is_some_and(|started| started.ports.tcp().is_empty() && started.ports.udp().is_empty());
    // Of many hosts, those without an open port are none that was asked for.
    let is_shown = |host: &HostRecord| {
        only_hosts
            || !options.open_only
            || record.hosts.len() == 1
            || host.count(PortState::Open) > 0
    };
    let shown = record.hosts.iter().filter(|(_, host)| is_shown(host));
    for (position, (&address, host)) in shown.enumerate() {
        if position > 0 && !only_hosts {
            writeln!(out)?;
        }
        let address = record.zoned(address);
        let mut title = match host.name() {
            Some(name) => format!("{address} ({name})"),
            None => address.to_string(),
        };
        let mut rtt = host
            .rtt
            .map_or_else(String::new, |rtt| format!(", {}", view::round_trip(rtt)));
        if let Some(mac) = host.mac {
            let _ = write!(rtt, ", {mac}");
        }
        if only_hosts {
            let _ = write!(rtt, ", up by {}", host.reason);
        }
        title = visible(&title).into_owned();
        let room = options.width.saturating_sub(width(&rtt));
        let title = format!("{}{rtt}", truncate(&title, room));
        writeln!(out, "{}", truncate(&title, options.width))?;
        if only_hosts {
            continue;
        }
        if let Some(found) = &host.answers_all {
            wrap(&format!("It {}.", found.words()), options.width, out)?;
        }
        let (rows, counted) = view::split(host, options.open_only);
        let lines: Vec<Line> = rows
            .iter()
            .map(|row| Line {
                state: Some(row.state),
                cells: [
                    format!("{}/{}", row.port, row.protocol),
                    row.state.to_string(),
                    row.reason.to_string(),
                    truncate(&visible(&row.service_name()), SERVICE).into_owned(),
                    visible(&row.version()).into_owned(),
                ],
            })
            .collect();
        if !lines.is_empty() {
            table(lines, options, out)?;
        }
        if let Some(not_shown) = view::not_shown(&counted) {
            wrap(&format!("Not shown: {not_shown}"), options.width, out)?;
        }
        if rows.is_empty() && counted.is_empty() {
            writeln!(out, "{}", truncate("No open ports.", options.width))?;
        }
    }
    Ok(())
}

struct Line {
    state: Option<PortState>,
    cells: [String; 5],
}

/// Which column is the reason: the first to go where room is short.
const REASON: usize = 2;
const STATE: usize = 1;

fn table(lines: Vec<Line>, options: &TableOptions, out: &mut dyn Write) -> io::Result<()> {
    let head = Line {
        state: None,
        cells: ["PORT", "STATE", "REASON", "SERVICE", "VERSION"].map(str::to_owned),
    };
    let has_version = lines.iter().any(|line| !line.cells[4].is_empty());
    let mut widths = [0; 5];
    for line in lines.iter().chain([&head]) {
        for (widest, cell) in widths.iter_mut().zip(&line.cells) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut columns = vec![0, STATE, REASON, 3];
    if has_version {
        columns.push(4);
        let taken: usize = widths.iter().take(4).map(|wide| wide + GAP).sum();
        // A version cut short says less than the reason says.
        if taken + widths[4] > options.width {
            columns.retain(|&column| column != REASON);
        }
    }
    for line in [head].into_iter().chain(lines) {
        let mut text = String::new();
        let mut left = options.width;
        for (position, &column) in columns.iter().enumerate() {
            let cell = truncate(&line.cells[column], left);
            let taken = width(&cell);
            if let (true, STATE, Some(state)) = (options.color, column, line.state) {
                text.push_str(&paint(state, &cell));
            } else {
                text.push_str(&cell);
            }
            left -= taken;
            if position + 1 < columns.len() {
                let pad = (widths[column].saturating_sub(taken) + GAP).min(left);
                text.extend(std::iter::repeat_n(' ', pad));
                left -= pad;
            }
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// A state in its colour (ECMA-48, 8.3.117).
fn paint(state: PortState, text: &str) -> String {
    let color = match state {
        PortState::Open => 32,
        PortState::Closed => 31,
        PortState::Filtered | PortState::OpenFiltered => 33,
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

/// Breaks a line at blanks, and goes on two columns in.
fn wrap(text: &str, columns: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            writeln!(out, "{}", truncate(line.trim_end(), columns))?;
            "  ".clone_into(&mut line);
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{}", truncate(line.trim_end(), columns))
}

/// One line for what runs on a port, without an end: `192.0.2.1:443/tcp  ssl/http  nginx 1.22.1`.
/// `zones` are those of the scan.
pub fn service_row(fact: &ServiceFact, zones: &Zones, options: &TableOptions) -> String {
    let place = place(fact.endpoint, zones);
    let name = view::service_name(&fact.service);
    let version = view::version(&fact.service);
    let text = format!("{place:<25}  {:<8}  {}", visible(&name), visible(&version));
    truncate(text.trim_end(), options.width).into_owned()
}

/// `192.0.2.1:22/tcp`, `[fe80::1%eth0]:22/tcp`.
fn place(endpoint: Endpoint, zones: &Zones) -> String {
    let address = zones.zoned(endpoint.address);
    match address.address {
        IpAddr::V4(_) => format!("{address}:{}/{}", endpoint.port, endpoint.protocol),
        IpAddr::V6(_) => format!("[{address}]:{}/{}", endpoint.port, endpoint.protocol),
    }
}

/// One line for a port as it is found, without an end: `192.0.2.1:22/tcp  open  ssh`. `zones` are
/// those of the scan.
pub fn row(fact: &PortFact, zones: &Zones, options: &TableOptions) -> String {
    let endpoint = fact.endpoint;
    let place = place(endpoint, zones);
    let service = Service::by_number(endpoint.port, endpoint.protocol)
        .map_or_else(|| "unknown".to_owned(), |service| service.name);
    let rtt = fact.rtt.map_or_else(String::new, view::round_trip);
    // Wide enough for an IPv4 address with any port, so that most lines stand in columns.
    let place = format!("{place:<25}");
    let mut text = String::new();
    let mut left = options.width;
    let state = fact.state.to_string();
    for (cell, wide) in [
        (place.as_str(), 25),
        (state.as_str(), 8),
        (visible(&service).as_ref(), SERVICE),
        (rtt.as_str(), 0),
    ] {
        let cell = truncate(cell, left);
        left -= width(&cell);
        if options.color && cell == state {
            text.push_str(&paint(fact.state, &cell));
        } else {
            text.push_str(&cell);
        }
        let pad = (usize::saturating_sub(wide, width(&cell)) + GAP).min(left);
        text.extend(std::iter::repeat_n(' ', pad));
        left -= pad;
    }
    text.truncate(text.trim_end().len());
    text
}
