//! How the scanners did on one network.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::course::Course;
use super::network::Outcome;
use crate::measure::{End, Run};
use crate::table::Format;

/// All runs of one scanner.
pub(crate) struct Standing {
    pub(crate) tool: &'static str,
    pub(crate) walls: Vec<Duration>,
    cpus: Vec<Duration>,
    peak_bytes: u64,
    packets: Vec<u64>,
    /// Of each run, how many of the open ports it found.
    pub(crate) found: Vec<usize>,
    pub(crate) open: usize,
    false_ones: usize,
    pub(crate) stopped: usize,
    trouble: Option<String>,
}

impl Standing {
    pub(crate) fn new(tool: &'static str) -> Self {
        Self {
            tool,
            walls: Vec::new(),
            cpus: Vec::new(),
            peak_bytes: 0,
            packets: Vec::new(),
            found: Vec::new(),
            open: 0,
            false_ones: 0,
            stopped: 0,
            trouble: None,
        }
    }

    pub(crate) fn add(&mut self, run: &Run, found: &BTreeSet<(IpAddr, u16)>, outcome: &Outcome) {
        self.walls.push(run.wall);
        self.cpus.push(run.cpu);
        self.peak_bytes = self.peak_bytes.max(run.peak_bytes);
        self.packets.push(outcome.packets);
        self.found.push(found.intersection(&outcome.open).count());
        self.open = outcome.open.len();
        self.false_ones += found.difference(&outcome.open).count();
        match &run.end {
            End::Well => {}
            End::Stopped => self.stopped += 1,
            End::Badly(why) => self.trouble = Some(why.clone()),
        }
    }

    /// The wall time in the middle, in seconds.
    pub(crate) fn wall(&self) -> f64 {
        median(&self.walls).as_secs_f64()
    }

    /// The fewest open ports that a run found.
    pub(crate) fn least_found(&self) -> usize {
        self.found.iter().copied().min().unwrap_or(0)
    }

    fn cells(&self) -> [String; 8] {
        let seconds = |times: &[Duration], pick: fn(&[Duration]) -> Option<Duration>| {
            pick(times).unwrap_or_default().as_secs_f64()
        };
        let complete = self.found.iter().filter(|&&found| found == self.open);
        let least = seconds(&self.walls, |times| times.iter().min().copied());
        let most = seconds(&self.walls, |times| times.iter().max().copied());
        let mut packets = self.packets.clone();
        packets.sort_unstable();
        let note = match (self.stopped, &self.trouble) {
            (0, None) => String::new(),
            (0, Some(_)) => " (!)".to_owned(),
            (stopped, _) => format!(" ({stopped} stopped)"),
        };
        let mebibytes = self.peak_bytes / (1 << 20);
        [
            format!("{}{note}", self.tool),
            format!("{:.2} ({least:.2}–{most:.2})", self.wall()),
            format!("{:.2}", median(&self.cpus).as_secs_f64()),
            mebibytes.to_string(),
            packets.get(packets.len() / 2).unwrap_or(&0).to_string(),
            format!("{}/{}", self.least_found(), self.open),
            format!("{}/{}", complete.count(), self.found.len()),
            self.false_ones.to_string(),
        ]
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

const HEAD: [&str; 8] = [
    "scanner",
    "wall s: median (min–max)",
    "CPU s",
    "peak MB",
    "packets",
    "found, worst run",
    "runs with all",
    "false",
];

/// A table of all scanners on one network.
pub(crate) fn render(course: &Course, standings: &[Standing], format: Format) -> String {
    let mut rows: Vec<[String; 8]> = vec![HEAD.map(str::to_owned)];
    rows.extend(standings.iter().map(Standing::cells));
    let mut text = format!("\n{} (`{}`)\n\n", course.title, course.name);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len()).filter_map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| match format {
                Format::Terminal => format!("{cell:<width$}"),
                Format::Markdown => cell.clone(),
            })
            .collect();
        let _ = match format {
            Format::Terminal => writeln!(text, "{}", cells.join("  ").trim_end()),
            Format::Markdown => writeln!(text, "| {} |", cells.join(" | ")),
        };
        if number == 0 && format == Format::Markdown {
            let _ = writeln!(text, "|{}", " --- |".repeat(HEAD.len()));
        }
    }
    for standing in standings {
        if let Some(trouble) = &standing.trouble {
            let _ = writeln!(text, "{}: {trouble}", standing.tool);
        }
    }
    text
}
