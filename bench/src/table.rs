//! What is printed: tables for a terminal or for Markdown, and how far the measuring is.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is what this program is for"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use crate::measure::{End, Run};

/// How tables look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Terminal,
    Markdown,
}

/// All runs of one tool.
pub(crate) struct Row {
    name: &'static str,
    /// What is there to be found.
    open: BTreeSet<u16>,
    walls: Vec<Duration>,
    cpus: Vec<Duration>,
    peak_bytes: u64,
    /// Of each run, how many of the open ports it found.
    found: Vec<usize>,
    /// Ports that were called open and are not, of all runs together.
    false_ones: usize,
    /// Ends other than good ones.
    troubles: Vec<End>,
}

impl Row {
    pub(crate) fn new(name: &'static str, open: BTreeSet<u16>) -> Self {
        Self {
            name,
            open,
            walls: Vec::new(),
            cpus: Vec::new(),
            peak_bytes: 0,
            found: Vec::new(),
            false_ones: 0,
            troubles: Vec::new(),
        }
    }

    /// Takes a run into account, and the ports that it called open.
    pub(crate) fn add(&mut self, run: &Run, found: &BTreeSet<u16>) {
        self.walls.push(run.wall);
        self.cpus.push(run.cpu);
        self.peak_bytes = self.peak_bytes.max(run.peak_bytes);
        self.found.push(found.intersection(&self.open).count());
        self.false_ones += found.difference(&self.open).count();
        if run.end != End::Well {
            self.troubles.push(run.end.clone());
        }
    }

    fn cells(&self, limit: Option<&Self>) -> [String; 8] {
        let walls = sorted(&self.walls);
        let spread = match (walls.first(), walls.last()) {
            (Some(least), Some(most)) => format!("{}–{}", seconds(*least), seconds(*most)),
            _ => String::new(),
        };
        let complete = self.found.iter().filter(|&&found| found == self.open.len());
        let (found, false_ones) = if self.open.is_empty() {
            (String::new(), String::new())
        } else {
            let least = self.found.iter().min().copied().unwrap_or(0);
            let found = format!("{least}/{}", self.open.len());
            (found, self.false_ones.to_string())
        };
        let all_found = if self.open.is_empty() {
            String::new()
        } else {
            format!("{}/{}", complete.count(), self.found.len())
        };
        [
            self.name.to_owned(),
            format!("{} ({spread})", seconds(median(&self.walls))),
            limit.map_or_else(String::new, |limit| ratio(&self.walls, &limit.walls)),
            seconds(median(&self.cpus)),
            format!("{:.1}", megabytes(self.peak_bytes)),
            found,
            all_found,
            false_ones,
        ]
    }
}

const HEAD: [&str; 8] = [
    "tool",
    "wall s: median (min–max)",
    "× limit",
    "cpu s",
    "peak MB",
    "found, worst run",
    "runs with all",
    "false",
];

/// A table of one scenario, and below it what went wrong.
pub(crate) fn render(title: &str, rows: &[Row], format: Format) -> String {
    let limit = rows.iter().find(|row| row.name == "limit");
    let cells: Vec<[String; 8]> = rows
        .iter()
        .filter(|row| !row.walls.is_empty())
        .map(|row| row.cells(limit))
        .collect();
    let head = HEAD.map(str::to_owned);
    let mut widths = [0; 8];
    for row in std::iter::once(&head).chain(&cells) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (start, between, end) = match format {
        Format::Terminal => ("", "  ", ""),
        Format::Markdown => ("| ", " | ", " |"),
    };
    let line = |row: &[String; 8]| {
        let cells: Vec<String> = widths
            .iter()
            .zip(row)
            .map(|(width, cell)| format!("{cell:width$}"))
            .collect();
        let line = format!("{start}{}{end}", cells.join(between));
        format!("{}\n", line.trim_end())
    };
    let mut text = match format {
        Format::Terminal => format!("{title}\n\n"),
        Format::Markdown => format!("### {title}\n\n"),
    };
    text += &line(&head);
    text += &line(&widths.map(|width| "-".repeat(width)));
    text.extend(cells.iter().map(line));
    for row in rows {
        for (end, times) in counted(&row.troubles) {
            let what = match end {
                End::Stopped => "stopped at the time limit",
                End::Badly(message) => message.as_str(),
                End::Well => continue,
            };
            let _ = write!(text, "\n{} ({times}×): {what}\n", row.name);
        }
    }
    text
}

fn counted(troubles: &[End]) -> Vec<(&End, usize)> {
    let mut counted: Vec<(&End, usize)> = Vec::new();
    for end in troubles {
        match counted.iter_mut().find(|(known, _)| *known == end) {
            Some((_, times)) => *times += 1,
            None => counted.push((end, 1)),
        }
    }
    counted
}

/// Median of the ratios of runs of the same round, so that a slow moment counts for both.
fn ratio(runs: &[Duration], limits: &[Duration]) -> String {
    let mut ratios: Vec<f64> = runs
        .iter()
        .zip(limits)
        .map(|(run, limit)| run.as_secs_f64() / limit.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios
        .get(ratios.len() / 2)
        .map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

pub(crate) fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort();
    times
}

/// The middle one; of an even number, the later of the two in the middle.
pub(crate) fn median(times: &[Duration]) -> Duration {
    sorted(times)
        .get(times.len() / 2)
        .copied()
        .unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.1 {
        format!("{seconds:.3}")
    } else {
        format!("{seconds:.2}")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a tenth of a megabyte is all that is shown"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Says on a terminal which run this is.
pub(crate) fn progress(scenario: &str, round: usize, rounds: usize, tool: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{scenario}: round {round} of {rounds}, {tool}");
    }
}

/// Takes the line of [`progress`] away.
pub(crate) fn progress_done() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// Writes text and a line's end to standard output.
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Writes a line to standard error.
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(milliseconds: u64, end: End) -> Run {
        Run {
            wall: Duration::from_millis(milliseconds),
            cpu: Duration::from_millis(milliseconds / 2),
            peak_bytes: 3_000_000,
            end,
            stdout: String::new(),
        }
    }

    #[test]
    fn a_table_shows_spread_ratio_and_what_is_missing_or_false() {
        let open = BTreeSet::from([22, 80]);
        let mut limit = Row::new("limit", open.clone());
        limit.add(&run(400, End::Well), &open);
        limit.add(&run(500, End::Well), &open);
        let mut other = Row::new("other", open.clone());
        other.add(&run(1000, End::Well), &open);
        other.add(&run(2000, End::Stopped), &BTreeSet::from([22, 23]));
        let table = render("a title", &[limit, other], Format::Markdown);
        let lines: Vec<&str> = table.lines().collect();
        let cells = |line: &str| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines[0], "### a title");
        assert_eq!(
            cells(lines[4]),
            [
                "limit",
                "0.50 (0.40–0.50)",
                "1.00",
                "0.25",
                "3.0",
                "2/2",
                "2/2",
                "0"
            ]
        );
        assert_eq!(
            cells(lines[5]),
            [
                "other",
                "2.00 (1.00–2.00)",
                "4.00",
                "1.00",
                "3.0",
                "1/2",
                "1/2",
                "1"
            ]
        );
        assert_eq!(lines[7], "other (1×): stopped at the time limit");
    }
}
