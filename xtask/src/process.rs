//! Starting programs, and the only place that writes to the terminal.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task speaks to the person who runs it"
)]

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// Writes a line to standard output.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Writes a line to standard error.
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A command that will run in the directory of the workspace.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether `cargo NAME` is there.
pub(crate) fn has_cargo_command(name: &str) -> bool {
    succeeds_quietly(cargo().args([name, "--version"]))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a command ends well; its output is thrown away.
pub(crate) fn succeeds_quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command whose output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus, String> {
    announce(command);
    command
        .status()
        .map_err(|error| not_started(command, &error))
}

/// Runs a command, shows what it writes line by line, and returns it too.
pub(crate) fn run_and_read(command: &mut Command) -> Result<(ExitStatus, String), String> {
    announce(command);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let text = thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map(|pipe| copy_lines(pipe, &mut io::stderr())));
        let mut text = stdout.map_or_else(String::new, |pipe| copy_lines(pipe, &mut io::stdout()));
        if let Ok(Some(errors)) = errors.join() {
            text.push_str(&errors);
        }
        text
    });
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    Ok((status, text))
}

/// Reads what a command writes to standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.trim();
    Err(format!("`{}` failed: {stderr}", describe(command)))
}

fn copy_lines(from: impl Read, to: &mut dyn Write) -> String {
    let mut from = BufReader::new(from);
    let (mut text, mut line) = (String::new(), Vec::new());
    while from
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        // A terminal that is gone does not end the task.
        let _ = to.write_all(&line);
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    text
}

fn announce(command: &Command) {
    say(&format!("$ {}", describe(command)));
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn not_started(command: &Command, error: &io::Error) -> String {
    format!("cannot run `{}`: {error}", describe(command))
}
