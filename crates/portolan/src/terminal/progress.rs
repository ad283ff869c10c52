//! The one line that says how far a scan is.

use portolan_model::Phase;
use portolan_model::event::Progress;

pub(crate) use portolan_scan::words::grouped;

use crate::duration;

/// The line, without an end, in at most `width` columns: what matters least is left out first.
/// Where hosts are looked for and `only_hosts`, it speaks of no port; while it is paused, of no rate.
pub(super) fn line(progress: &Progress, only_hosts: bool, is_paused: bool, width: usize) -> String {
    let mut parts = vec![percent(progress)];
    if progress.phase != Phase::Asking {
        parts.push(progress.phase.to_string());
    }
    parts.push(if only_hosts {
        format!("up {}", grouped(progress.hosts_up))
    } else {
        format!("open {}", grouped(progress.open))
    });
    if let Some(left) = progress.left {
        parts.push(format!("{} left", duration::show(left)));
    }
    parts.push(format!(
        "{}/{}",
        grouped(progress.done),
        grouped(progress.total)
    ));
    parts.push(if is_paused {
        "paused".to_owned()
    } else {
        format!("{}/s", rate(progress.rate))
    });
    if progress.hosts_up > 1 && !only_hosts {
        parts.push(format!("{} hosts up", grouped(progress.hosts_up)));
    }
    if progress.pass > 1 {
        parts.push(format!("pass {}", progress.pass));
    }
    if progress.loss >= 0.001 {
        parts.push(format!("loss {:.1} %", progress.loss * 100.0));
    }
    let mut line = String::new();
    for part in parts {
        let more = if line.is_empty() {
            part
        } else {
            format!("   {part}")
        };
        // Text of this line is ASCII: a byte is a column. A full last column would wrap.
        if line.len() + more.len() < width {
            line += &more;
        } else {
            break;
        }
    }
    line
}

/// In whole percent, rounded down: 100 only when all is done.
fn percent(progress: &Progress) -> String {
    // Divided first where the product would not fit.
    let percent = match progress.done.checked_mul(100) {
        Some(hundredfold) => hundredfold.checked_div(progress.total).unwrap_or(0),
        None => progress.done / (progress.total / 100).max(1),
    };
    format!("{:>3} %", percent.min(100))
}

/// A rate without decimals.
pub(super) fn rate(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, and a rate is not negative"
    )]
    let whole = rate.max(0.0).round() as u64;
    grouped(whole)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn progress() -> Progress {
        Progress {
            done: 28_160,
            total: 65_535,
            open: 7,
            hosts_up: 1,
            rate: 12_400.4,
            pass: 1,
            left: Some(Duration::from_secs(3)),
            ..Progress::default()
        }
    }

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        assert_eq!(
            line(&progress(), false, false, 80),
            " 42 %   open 7   3.0 s left   28,160/65,535   12,400/s"
        );
    }

    #[test]
    fn while_it_is_paused_the_line_says_so_in_place_of_a_rate() {
        assert_eq!(
            line(&progress(), false, true, 80),
            " 42 %   open 7   3.0 s left   28,160/65,535   paused"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_what_matters_most() {
        assert_eq!(
            line(&progress(), false, false, 30),
            " 42 %   open 7   3.0 s left"
        );
        assert_eq!(line(&progress(), false, false, 10), " 42 %");
        assert_eq!(line(&progress(), false, false, 3), "");
    }

    #[test]
    fn a_search_for_hosts_speaks_of_no_port() {
        let looking = Progress {
            open: 0,
            hosts_up: 12,
            ..progress()
        };
        assert_eq!(
            line(&looking, true, false, 80),
            " 42 %   up 12   3.0 s left   28,160/65,535   12,400/s"
        );
    }

    #[test]
    fn the_largest_scan_does_not_overflow() {
        let huge = Progress {
            done: u128::MAX - 1,
            total: u128::MAX,
            ..Progress::default()
        };
        assert!(line(&huge, false, false, 80).len() < 80);
    }

    proptest! {
        #[test]
        fn no_line_fills_its_width(
            done in any::<u128>(), total in any::<u128>(), open in any::<u64>(),
            width in 1usize..200, only_hosts in any::<bool>(), rate in any::<f64>(), loss in 0.0f64..1.0,
        ) {
            let progress = Progress { done, total, open, rate, loss, pass: 3, hosts_up: 9, ..progress() };
            prop_assert!(line(&progress, only_hosts, false, width).chars().count() < width);
        }
    }
}
