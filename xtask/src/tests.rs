//! The tests: units, properties, snapshots, networks of namespaces.

use crate::process::{cargo, has_cargo_command, is_root, run_and_read, say};
use crate::tally::{Tally, of_cargo_test, of_nextest};

/// Every test of the workspace; those that need rights run where this process has them.
pub(crate) fn run() -> Result<Tally, String> {
    let with_rights = is_root();
    if !with_rights {
        say("skipped: tests of network namespaces, they need root");
    }
    let selection = ["--workspace", "--all-features", "--locked"];
    if has_cargo_command("nextest") {
        let mut command = cargo();
        command.args(["nextest", "run"]).args(selection);
        command.args(["--profile", "ci"]);
        if with_rights {
            command.args(["--run-ignored", "all"]);
        }
        let (status, output) = run_and_read(&mut command)?;
        return Ok(of_nextest(&output).and_status(status.success()));
    }
    let mut command = cargo();
    command.arg("test").args(selection);
    command.args(["--lib", "--bins", "--tests", "--no-fail-fast"]);
    if with_rights {
        command.args(["--", "--include-ignored"]);
    }
    let (status, output) = run_and_read(&mut command)?;
    Ok(of_cargo_test(&output).and_status(status.success()))
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
