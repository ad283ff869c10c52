//! `cargo xtask fuzz`: the parsers of foreign bytes, on inputs that nobody thought of.

use std::fs;
use std::process::ExitCode;

use crate::process::{self, command, root, succeeds_quietly, target_dir};
use crate::tally::Tally;

const DIRECTORY: &str = "fuzz/fuzz_targets";

/// Runs one target for a time. What it finds that is new stays in `fuzz/corpus/TARGET`.
pub(crate) fn run(target: &str, seconds: &str) -> Result<ExitCode, String> {
    let targets = targets()?;
    if !targets.iter().any(|known| known == target) {
        return Err(format!(
            "there is no fuzz target `{target}`, but {}",
            targets.join(", ")
        ));
    }
    let seconds: u32 = seconds
        .parse()
        .map_err(|_| format!("`{seconds}` is no number of seconds"))?;
    // The cargo of the toolchain, not the one that runs this: coverage needs a nightly compiler.
    let nightly_cargo = || {
        let mut cargo = command("rustup");
        cargo.args(["run", "nightly", "cargo"]).env_remove("CARGO");
        cargo
    };
    if !succeeds_quietly(nightly_cargo().args(["fuzz", "--version"])) {
        return Err(
            "fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`"
                .to_owned(),
        );
    }
    let status = process::run(
        nightly_cargo()
            .args(["fuzz", "run", target, "--"])
            .arg(format!("-max_total_time={seconds}")),
    )?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// Compiles the targets on the stable toolchain: without the library that drives them, which
/// needs a C++ compiler, so that a change to a parser cannot break them unseen.
pub(crate) fn check() -> Result<Tally, String> {
    let status = process::run(
        process::cargo()
            .args(["check", "--manifest-path", "fuzz/Cargo.toml", "--locked"])
            .args(["--no-default-features", "--target-dir"])
            .arg(target_dir().join("fuzz")),
    )?;
    Ok(Tally::one(status.success()))
}

fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(root().join(DIRECTORY))
        .map_err(|error| format!("cannot read {DIRECTORY}: {error}"))?;
    let mut targets: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".rs")?.to_owned())
        })
        .collect();
    targets.sort();
    Ok(targets)
}
