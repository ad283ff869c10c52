//! The real binary, as its users see it: exit status, standard output, standard error.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "every function here serves a test"
)]

mod commands;
mod detection;
mod readers;
mod refused;
mod scans;
mod serve;

use std::io::Write;
use std::process::{Command, Stdio};

/// The program with nothing of this machine's own configuration.
fn portolan(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "UTC")
        .env("COLUMNS", "80")
        .stdin(Stdio::null());
    command
}

/// Runs it and shows all three, times and rates left out.
fn run(args: &[&str]) -> String {
    run_with(args, b"")
}

/// The same with something on standard input.
fn run_with(args: &[&str], input: &[u8]) -> String {
    let mut child = portolan(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    format!(
        "exit {}\n--- stdout\n{out}--- stderr\n{err}",
        output.status.code().unwrap()
    )
}
