//! One run of one program: how long, how much processor, how much memory, what it printed.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use wait4::Wait4;

use crate::clock::now;

/// What is kept of a program's output; the rest is read and thrown away.
const MOST_OUTPUT_BYTES: u64 = 16 << 20;

/// What a run took and gave.
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// Time on processors, of user and kernel together.
    pub(crate) cpu: Duration,
    /// The largest resident set. It starts with that of this program, from which it is forked: a
    /// few megabytes.
    pub(crate) peak_bytes: u64,
    pub(crate) end: End,
    pub(crate) stdout: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Well,
    /// With its status and the last line of its standard error.
    Badly(String),
    /// It was stopped at the time limit.
    Stopped,
}

/// Runs a program to its end or to the time limit.
pub(crate) fn run(command: &mut Command, time_limit: Duration) -> io::Result<Run> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = now();
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || keep_first(stdout));
    let stderr = thread::spawn(move || keep_first(stderr));
    let stopped = !ends_within(&child, time_limit)?;
    if stopped {
        child.kill()?;
    }
    let usage = child.wait4()?;
    let wall = start.elapsed();
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    let end = if stopped {
        End::Stopped
    } else if usage.status.success() {
        End::Well
    } else {
        let last = stderr.lines().rfind(|line| !line.trim().is_empty());
        End::Badly(format!("{}: {}", usage.status, last.unwrap_or("")))
    };
    Ok(Run {
        wall,
        cpu: usage.rusage.utime + usage.rusage.stime,
        peak_bytes: usage.rusage.maxrss,
        end,
        stdout,
    })
}

fn ends_within(child: &std::process::Child, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // A process file descriptor can be read once the process has ended (pidfd_open(2)).
    let mut waiting = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    Ok(poll(&mut waiting, Some(&limit))? > 0)
}

fn keep_first(pipe: Option<impl Read>) -> String {
    let Some(mut pipe) = pipe else {
        return String::new();
    };
    let mut bytes = Vec::new();
    // A pipe that breaks has given all it has.
    let _ = pipe
        .by_ref()
        .take(MOST_OUTPUT_BYTES)
        .read_to_end(&mut bytes);
    let _ = io::copy(&mut pipe, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn shell(script: &str, limit: Duration) -> Run {
        run(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn a_run_is_told_by_its_output_its_end_and_its_memory() {
        let run = shell("echo 22; echo trouble >&2; exit 3", LONG);
        assert_eq!(run.stdout, "22\n");
        assert_eq!(run.end, End::Badly("exit status: 3: trouble".to_owned()));
        assert!(run.peak_bytes > 100_000, "{}", run.peak_bytes);
    }

    #[test]
    fn a_run_that_does_not_end_is_stopped() {
        let run = shell("exec sleep 60", Duration::from_millis(50));
        assert_eq!(run.end, End::Stopped);
        assert!(run.wall < LONG);
    }
}
