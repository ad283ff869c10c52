//! What stands under the results of a scan.

use std::fmt::Write as _;

use portolan_model::event::{Finished, Outcome, Started};
use portolan_model::{PortState, ScanRecord};

use super::progress::{grouped, rate};
use crate::duration;

/// The lines under the results: what was found, how long it took, how sure it is.
///
/// `unrecorded` open ports are counted beside those of the record.
pub(crate) fn summary(record: &ScanRecord, unrecorded: u64, verbose: bool) -> String {
    let Some(finished) = &record.finished else {
        return "the scan was cut off: what was found until then is shown\n".to_owned();
    };
    let mut text = String::new();
    let _ = writeln!(text, "{}", found(record, unrecorded, finished));
    let _ = writeln!(text, "{}", effort(finished));
    let only_hosts = looks_for_hosts_only(record);
    if let Some(line) = sureness(finished, only_hosts, verbose) {
        let _ = writeln!(text, "{line}");
    }
    let left_out = record
        .problems
        .iter()
        .filter(|problem| problem.left_out)
        .count();
    match finished.outcome {
        Outcome::Interrupted => {
            text += if only_hosts {
                "interrupted: not every address was asked\n"
            } else {
                "interrupted: ports that are not shown were not all asked\n"
            };
        }
        _ if left_out > 0 => {
            let _ = writeln!(text, "{} left out: see above", count(left_out, "thing"));
        }
        Outcome::Incomplete if only_hosts => {
            text += "incomplete: not every address was asked\n";
        }
        Outcome::Incomplete => text += "incomplete: not every port was asked\n",
        Outcome::Complete => {}
    }
    text
}

/// How many hosts were not scanned because they did not answer when they were looked for, and
/// what to do about it; for scans that look for hosts first.
pub(crate) fn silent_hosts(record: &ScanRecord) -> Option<String> {
    let finished = record.finished.as_ref()?;
    (finished.hosts_down > 0 && finished.outcome != Outcome::Interrupted).then(|| {
        let (hosts, them) = (
            count(finished.hosts_down, "host"),
            if finished.hosts_down == 1 {
                "it"
            } else {
                "them"
            },
        );
        format!("{hosts} did not answer; `-Pn` scans {them} all the same")
    })
}

/// Whether no port was asked for.
fn looks_for_hosts_only(record: &ScanRecord) -> bool {
    let started = record.started.as_ref();
    started.is_some_and(Started::looks_for_hosts_only)
}

/// `3 hosts up, 253 down: 12 ports open, 2,980 closed, 8 filtered`.
fn found(record: &ScanRecord, unrecorded: u64, finished: &Finished) -> String {
    let mut hosts = format!("{} up", count(finished.hosts_up, "host"));
    if finished.hosts_down > 0 {
        let _ = write!(hosts, ", {} down", grouped(finished.hosts_down));
    }
    if looks_for_hosts_only(record) {
        return hosts;
    }
    let states = [
        (PortState::Open, "open"),
        (PortState::OpenFiltered, "open|filtered"),
        (PortState::Closed, "closed"),
        (PortState::Filtered, "filtered"),
    ];
    let ports: Vec<String> = states
        .iter()
        .map(|&(state, word)| {
            let other = if state == PortState::Open {
                unrecorded
            } else {
                0
            };
            let other = usize::try_from(other).unwrap_or(usize::MAX);
            (record.count(state).saturating_add(other), state, word)
        })
        .filter(|&(ports, state, _)| ports > 0 || state == PortState::Open)
        .enumerate()
        .map(|(index, (ports, _, word))| {
            if index == 0 {
                format!("{} {word}", count(ports, "port"))
            } else {
                format!("{} {word}", grouped(wide(ports)))
            }
        })
        .collect();
    format!("{hosts}: {}", ports.join(", "))
}

/// `65,535 probes in 0.6 s: 109,225 a second`.
fn effort(finished: &Finished) -> String {
    let seconds = finished.elapsed.as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "shown without decimals, for people"
    )]
    let sent = finished.sent as f64;
    let mut line = format!(
        "{} in {}",
        count(finished.sent, "probe"),
        if finished.elapsed.as_millis() == 0 {
            "less than 1 ms".to_owned()
        } else {
            duration::show(finished.elapsed)
        }
    );
    // Below a tenth of a second the figure says more about the clock than about the scan.
    if seconds >= 0.1 {
        let _ = write!(line, ": {} a second", rate(sent / seconds));
    }
    line
}

/// What the result rests on, where it is less than sure or more was asked for.
fn sureness(finished: &Finished, only_hosts: bool, verbose: bool) -> Option<String> {
    let missed = finished.expected_missed;
    if let Some(loss) = finished.loss.filter(|_| only_hosts) {
        let shown = verbose || loss >= 0.001;
        return shown.then(|| format!("loss measured: {:.1} %", loss * 100.0));
    }
    match finished.loss {
        None => Some("nothing answered, so the loss of the path could not be measured".to_owned()),
        Some(loss) if verbose || loss >= 0.001 || missed >= 0.01 => Some(format!(
            "loss measured: {:.1} %; open ports expected to be missing: {}",
            loss * 100.0,
            if missed < 0.01 {
                "less than 0.01".to_owned()
            } else {
                format!("{missed:.2}")
            }
        )),
        Some(_) => None,
    }
}

fn count(number: impl TryInto<u128>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u128::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

fn wide(number: usize) -> u128 {
    number.try_into().unwrap_or(u128::MAX)
}
