//! The project's own tasks, as `cargo xtask TASK`: one program instead of scripts in several
//! languages, so that CI and a developer run the same.

mod apt;
mod axe;
mod bench;
mod ci;
mod features;
mod fuzz;
mod lab;
mod licenses;
mod lints;
mod process;
mod promtool;
mod readers;
mod tally;

mod tests;

use std::env;
use std::process::ExitCode;

const TASKS: &str = "\
cargo xtask TASK

  test                      everything that CI runs
  bench [OPTIONS]           the figures of docs/performance.md; --help for its options
  detect-lab [OPTIONS]      real daemons, and how well they are recognised; --help for its options
  fuzz TARGET [SECONDS]     one fuzz target, for 60 seconds if not said otherwise
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test"] => Ok(ci::run()),
        ["bench", options @ ..] => bench::run(options),
        ["detect-lab", options @ ..] => lab::run(options),
        ["fuzz", target] => fuzz::run(target, "60"),
        ["fuzz", target, seconds] => fuzz::run(target, seconds),
        [] | ["help" | "--help" | "-h"] => {
            process::say(TASKS.trim_end());
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("there is no task `{}`\n\n{TASKS}", words.join(" "))),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            process::complain(&format!("error: {}", message.trim_end()));
            ExitCode::from(2)
        }
    }
}
