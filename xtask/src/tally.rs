//! How many checks passed, failed and were left out.

use std::fmt;
use std::iter::Sum;

/// The result of a step, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that passed.
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One check that failed.
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// One check that was left out.
    pub(crate) const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// One check, by how it went.
    pub(crate) fn one(passed: bool) -> Self {
        if passed { Self::PASSED } else { Self::FAILED }
    }

    /// The same, and a failure where the program that did the checks failed without naming one:
    /// it did not compile, it crashed.
    pub(crate) fn and_status(mut self, succeeded: bool) -> Self {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |all, one| Self {
            passed: all.passed + one.passed,
            failed: all.failed + one.failed,
            skipped: all.skipped + one.skipped,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Sums the last lines of the test binaries that `cargo test` runs:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …`.
pub(crate) fn of_cargo_test(output: &str) -> Tally {
    output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test result: "))
        .filter_map(|line| line.split_once(". "))
        .map(|(_, counts)| of_counts(counts, ';'))
        .sum()
}

/// Reads the last line of `cargo nextest run`:
/// `Summary [   1.199s] 9 tests run: 8 passed (1 slow), 1 timed out, 0 skipped`.
pub(crate) fn of_nextest(output: &str) -> Tally {
    output
        .lines()
        .rev()
        .filter(|line| line.trim_start().starts_with("Summary ["))
        .find_map(|line| line.split_once(" run: "))
        .map(|(_, counts)| of_counts(&without_brackets(counts), ','))
        .unwrap_or_default()
}

fn of_counts(counts: &str, separator: char) -> Tally {
    counts
        .split(separator)
        .filter_map(|part| part.trim().split_once(' '))
        .filter_map(|(number, what)| Some((number.parse().ok()?, what)))
        .map(|(number, what)| match what {
            "passed" => Tally {
                passed: number,
                ..Tally::default()
            },
            "failed" | "timed out" | "exec failed" => Tally {
                failed: number,
                ..Tally::default()
            },
            "skipped" | "ignored" => Tally {
                skipped: number,
                ..Tally::default()
            },
            _ => Tally::default(),
        })
        .sum()
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect::<String>()
        .replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn the_results_of_all_test_binaries_are_summed() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s\n";
        assert_eq!(of_cargo_test(output), tally(4, 2, 1));
    }

    #[test]
    fn a_nextest_summary_counts_time_outs_as_failures() {
        for (line, wanted) in [
            (
                "     Summary [   1.199s] 9 tests run: 9 passed, 0 skipped",
                tally(9, 0, 0),
            ),
            (
                "     Summary [   1.199s] 1 test run: 1 passed, 4 skipped",
                tally(1, 0, 4),
            ),
            (
                "  Summary [  61.000s] 9/12 tests run: 5 passed (1 slow, 2 flaky), 2 failed (1 leaky), 1 timed out, 1 exec failed, 3 skipped",
                tally(5, 4, 3),
            ),
        ] {
            assert_eq!(of_nextest(line), wanted, "{line}");
        }
    }

    #[test]
    fn a_program_that_fails_without_a_word_counts_as_a_failure() {
        assert_eq!(of_nextest("").and_status(false), tally(0, 1, 0));
        assert_eq!(tally(3, 2, 0).and_status(false), tally(3, 2, 0));
        assert_eq!(tally(3, 0, 0).and_status(true), tally(3, 0, 0));
    }
}
