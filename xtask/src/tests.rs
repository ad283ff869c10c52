//! The tests: units, properties, snapshots, networks of namespaces.

use std::process::Command;

use crate::process::{cargo, has_cargo_command, is_root, run_and_read, say};
use crate::readers;
use crate::tally::{Tally, of_cargo_test, of_nextest};

/// Every test of the workspace; those that need rights run where this process has them.
pub(crate) fn run() -> Result<Tally, String> {
    let with_rights = is_root();
    if !with_rights {
        say("skipped: tests that need root, or what only root can install");
    }
    let selection = ["--workspace", "--all-features", "--locked"];
    if has_cargo_command("nextest") {
        let mut command = cargo();
        command.args(["nextest", "run"]).args(selection);
        command.args(["--profile", "ci"]);
        set_environment(&mut command);
        if with_rights {
            command.args(["--run-ignored", "all"]);
        }
        let (status, output) = run_and_read(&mut command)?;
        return Ok(of_nextest(&output).and_status(status.success()));
    }
    let mut command = cargo();
    command.arg("test").args(selection);
    set_environment(&mut command);
    command.args(["--lib", "--bins", "--tests", "--no-fail-fast"]);
    if with_rights {
        command.args(["--", "--include-ignored"]);
    }
    let (status, output) = run_and_read(&mut command)?;
    Ok(of_cargo_test(&output).and_status(status.success()))
}

/// What tests are told: where the readers of our XML are, and that a snapshot that differs or is
/// missing is a failure, not a file to look at later.
fn set_environment(command: &mut Command) {
    command.env("PORTOLAN_READERS_PYTHON", readers::python());
    command.env("INSTA_UPDATE", "no");
}

/// The examples of the documentation, which nextest does not run.
pub(crate) fn documentation() -> Result<Tally, String> {
    let (status, output) = run_and_read(cargo().args([
        "test",
        "--doc",
        "--workspace",
        "--all-features",
        "--locked",
        "--no-fail-fast",
    ]))?;
    Ok(of_cargo_test(&output).and_status(status.success()))
}
