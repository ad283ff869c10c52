//! `cargo xtask test`: everything that CI runs, in the order in which it fails soonest.

use std::process::ExitCode;
use std::time::Instant;

use crate::process::{complain, say};
use crate::tally::Tally;
use crate::{apt, axe, features, fuzz, licenses, lints, promtool, readers, tests};

/// What a step does: counts its checks, or says why it could not do them.
type Step = fn() -> Result<Tally, String>;

const STEPS: &[(&str, Step)] = &[
    ("format", lints::format),
    ("Debian packages", apt::install),
    ("lints", lints::clippy),
    ("features", features::check),
    ("documentation", lints::documentation),
    ("licenses and sources", licenses::check),
    ("fuzz targets", fuzz::check),
    ("readers of our XML", readers::install),
    ("tester of the API", readers::install_for_api),
    ("reader of our metrics", promtool::install),
    ("accessibility checker", axe::install),
    ("tests", tests::run),
    ("documentation tests", tests::documentation),
];

/// Runs all steps, also after one failed, and ends with the sum.
pub(crate) fn run() -> ExitCode {
    let mut results = Vec::new();
    for (name, step) in STEPS {
        say(&format!("\n== {name}"));
        let start = now();
        let tally = step().unwrap_or_else(|message| {
            complain(&format!("error: {message}"));
            Tally::FAILED
        });
        results.push((*name, tally, start.elapsed()));
    }
    say("\n== summary");
    for (name, tally, time) in &results {
        say(&format!("{name:22}{:6.1} s   {tally}", time.as_secs_f64()));
    }
    let all: Tally = results.iter().map(|(_, tally, _)| *tally).sum();
    say(&all.to_string());
    ExitCode::from(u8::from(all.failed > 0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step takes is told to a person and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}
