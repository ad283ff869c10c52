//! What stands under the results of a scan.

use std::fmt::Write as _;
use std::time::Duration;

use portolan_model::event::{Finished, Outcome, PathSeen, Started};
use portolan_model::{PortState, ScanRecord};

use super::progress::{grouped, rate};
use crate::duration;
use crate::runner::SilentHosts;

/// The lines under the results: what was found, how long it took, how sure it is.
///
/// `unrecorded` open ports are counted beside those of the record; where more was asked for,
/// `paths` is what was learnt of each technique's path.
pub(crate) fn summary(
    record: &ScanRecord,
    unrecorded: u64,
    paths: &[PathSeen],
    verbose: bool,
) -> String {
    let Some(finished) = &record.finished else {
        return "the scan was interrupted: what was found until then is shown\n".to_owned();
    };
    let mut text = String::new();
    let _ = writeln!(text, "{}", found(record, unrecorded, finished));
    let _ = writeln!(text, "{}", effort(finished));
    let only_hosts = looks_for_hosts_only(record);
    for path in paths.iter().filter(|_| verbose) {
        text += &seen(path, only_hosts);
    }
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
                "cancelled: not every address was asked\n"
            } else {
                "cancelled: ports that are not shown were not all asked\n"
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

/// How many hosts are not shown because they did not answer, what that means for their ports,
/// and what to do about it.
pub(crate) fn silent_hosts(record: &ScanRecord, means: SilentHosts) -> Option<String> {
    let finished = record.finished.as_ref()?;
    if finished.hosts_down == 0 || finished.outcome == Outcome::Interrupted {
        return None;
    }
    let hosts = count(finished.hosts_down, "host");
    let (them, their) = if finished.hosts_down == 1 {
        ("it", "its")
    } else {
        ("them", "their")
    };
    match means {
        SilentHosts::AsAsked => None,
        SilentHosts::NotScanned => Some(format!(
            "{hosts} did not answer; `-Pn` scans {them} all the same"
        )),
        SilentHosts::NotListed => Some(format!(
            "{hosts} answered nothing on {their} ports; `-Pn` lists {them} all the same"
        )),
    }
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

/// What the controller saw: round trips, the rate that the path carries, what was in the way.
fn seen(path: &PathSeen, only_hosts: bool) -> String {
    let mut text = String::new();
    if let (Some(rtt), Some(lowest)) = (path.rtt, path.lowest_rtt) {
        let _ = writeln!(
            text,
            "round trip: {}, {} at the least",
            trip(rtt),
            trip(lowest)
        );
    }
    let times = count(u128::from(path.overruns), "time");
    match path.carries {
        Some(carries) => {
            let _ = writeln!(
                text,
                "the path carries about {} packets a second; asked too fast {times}",
                rate(carries)
            );
        }
        None if path.carried > 0.0 => {
            let _ = writeln!(
                text,
                "the path carried {} packets a second, and showed no limit",
                rate(path.carried)
            );
        }
        None => {}
    }
    let silent = if only_hosts { "hosts" } else { "ports" };
    let mut passes = format!("passes over silent {silent}: {}", path.passes);
    if path.limited_hosts > 0 {
        let _ = write!(
            passes,
            "; {} seen to limit answers",
            count(path.limited_hosts, "host")
        );
    }
    let _ = writeln!(text, "{passes}");
    if path.dropped > 0 {
        let _ = writeln!(
            text,
            "{} came faster than this machine took them, and were lost",
            count(path.dropped, "packet")
        );
    }
    text
}

/// A round-trip time: on a local network it is less than a millisecond, and on a machine of its own
/// less than a tenth of one.
fn trip(time: Duration) -> String {
    if time.as_millis() == 0 {
        format!("{} µs", time.as_micros())
    } else if time.as_millis() < 1000 {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        duration::show(time)
    }
}

/// What the result rests on, where it is less than sure or more was asked for.
fn sureness(finished: &Finished, only_hosts: bool, verbose: bool) -> Option<String> {
    let missed = finished.expected_missed;
    if let Some(loss) = finished.loss.filter(|_| only_hosts) {
        let shown = verbose || loss >= 0.001;
        return shown.then(|| format!("loss measured: {:.1} %", loss * 100.0));
    }
    match finished.loss {
        None if finished.hosts_up > 0 => {
            Some("too little answered to measure the loss of the path".to_owned())
        }
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

#[cfg(test)]
mod tests {
    use portolan_model::ScanEvent;

    use super::*;

    /// The widest that there is: nothing of it is left out, and all figures are long.
    fn wide_path() -> PathSeen {
        PathSeen {
            rtt: Some(Duration::from_micros(1_234_567)),
            lowest_rtt: Some(Duration::from_micros(1_134_567)),
            carries: Some(1_234_567.0),
            carried: 0.0,
            overruns: 1_234,
            passes: 12,
            limited_hosts: 65_536,
            dropped: 1_234_567,
        }
    }

    fn record() -> ScanRecord {
        let mut record = ScanRecord::new("", "");
        record.apply(&ScanEvent::Finished(Finished {
            at: jiff::Timestamp::UNIX_EPOCH,
            outcome: Outcome::Complete,
            elapsed: Duration::from_secs(18),
            hosts_up: 1,
            hosts_down: 0,
            sent: 74_398,
            loss: Some(0.01),
            expected_missed: 0.0,
        }));
        record
    }

    #[test]
    fn more_is_said_of_the_path_where_it_is_asked_for() {
        assert_eq!(
            summary(&record(), 0, &[wide_path()], true),
            "1 host up: 0 ports open\n\
             74,398 probes in 18.0 s: 4,133 a second\n\
             round trip: 1.2 s, 1.1 s at the least\n\
             the path carries about 1,234,567 packets a second; asked too fast 1,234 times\n\
             passes over silent ports: 12; 65,536 hosts seen to limit answers\n\
             1,234,567 packets came faster than this machine took them, and were lost\n\
             loss measured: 1.0 %; open ports expected to be missing: less than 0.01\n"
        );
        assert_eq!(
            summary(&record(), 0, &[wide_path()], false).lines().count(),
            3
        );
    }

    #[test]
    fn short_round_trips_are_told_in_tenths_of_a_millisecond() {
        assert_eq!(trip(Duration::from_micros(412)), "412 µs");
        assert_eq!(trip(Duration::from_secs(2)), "2.0 s");
    }

    #[test]
    fn what_is_said_of_the_path_fits_a_terminal() {
        let unlimited = PathSeen {
            carries: None,
            carried: 1_234_567.0,
            ..wide_path()
        };
        for path in [wide_path(), unlimited, PathSeen::default()] {
            for line in seen(&path, false).lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
