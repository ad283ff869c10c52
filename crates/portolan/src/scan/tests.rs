//! Whole scans with a script in the engine's place, each in a process of its own: this test
//! program runs itself, with the words of the command line in its environment.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use portolan_model::event::{Endpoint, Finished, HostUp, PortFact, PortsFact, Progress, Started};
use portolan_model::{PortSet, PortState, Protocol, Reason};
use portolan_scan::Request;
use rustix::process::{Pid, Signal, kill_process};

use super::*;

const WORDS: &str = "PORTOLAN_TEST_WORDS";
const CHILD: [&str; 3] = ["--exact", "scan::tests::child", "--nocapture"];

/// Two open ports and the rest closed; it goes on until it is stopped, if `--seed 1` asks so.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for the engine")]
fn script(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> portolan_scan::Result<()> {
    let at = Timestamp::UNIX_EPOCH;
    let address = request.addresses.at(0).unwrap();
    sink(ScanEvent::Started(Started {
        at,
        techniques: request.techniques.clone(),
        ports: request.ports.clone(),
        addresses: 1,
        probes: 1000,
        seed: request.seed,
        zones: portolan_model::Zones::NONE,
    }));
    sink(ScanEvent::HostUp(HostUp {
        address,
        reason: Reason::SynAck,
        rtt: None,
        ttl: None,
        at,
    }));
    for (done, port) in [(250, 443), (500, 22)] {
        sink(ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address,
                protocol: Protocol::Tcp,
                port,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at,
        }));
        sink(ScanEvent::Progress(Progress {
            done,
            total: 1000,
            open: 1,
            rate: 2000.0,
            ..Progress::default()
        }));
    }
    // Bounded, should the signal never come.
    for _ in 0..3000 {
        if request.seed != 1 || control.is_stopped() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(10));
        sink(ScanEvent::Progress(Progress {
            done: 500,
            total: 1000,
            open: 2,
            rate: 2000.0,
            ..Progress::default()
        }));
    }
    sink(ScanEvent::Ports(PortsFact {
        address,
        protocol: Protocol::Tcp,
        ports: PortSet::from_range(1000, 1997),
        state: PortState::Closed,
        reason: Reason::ConnRefused,
        at,
    }));
    sink(ScanEvent::HostDone { address, at });
    let outcome = if control.is_stopped() {
        Outcome::Interrupted
    } else {
        Outcome::Complete
    };
    sink(ScanEvent::Finished(Finished {
        at,
        outcome,
        elapsed: Duration::from_millis(500),
        hosts_up: 1,
        hosts_down: 0,
        sent: 1000,
        loss: Some(0.0),
        expected_missed: 0.0,
    }));
    Ok(())
}

/// The program, where this process was started as it.
#[test]
fn child() {
    if let Ok(words) = std::env::var(WORDS) {
        let words: Vec<OsString> = words.split('\x1f').map(OsString::from).collect();
        // The test harness has begun a line of its own.
        terminal::stdout("\n=====\n").unwrap();
        let exit = match crate::run(words, script) {
            Exit::Done => 0,
            Exit::LeftOut => 1,
            Exit::NotStarted => 2,
            Exit::Interrupted => 130,
        };
        #[expect(clippy::exit, reason = "the test harness has nothing to add")]
        std::process::exit(exit);
    }
}

fn start(words: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(CHILD)
        .env_clear()
        .env("TZ", "UTC")
        .env(WORDS, words.join("\x1f"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit status, standard output, standard error.
fn end(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let out = out.split_once("=====\n").map_or("", |(_, out)| out);
    (
        output.status.code().unwrap(),
        out.to_owned(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn run(words: &[&str]) -> (i32, String, String) {
    end(start(words))
}

#[test]
fn piped_output_is_one_table_without_escape_codes() {
    let (exit, out, err) = run(&["127.0.0.1"]);
    assert_eq!(exit, 0);
    insta::assert_snapshot!(format!("{out}--- stderr\n{err}"));
    assert!(!out.contains('\x1b') && !err.contains('\x1b'));
}

#[test]
fn quiet_is_the_table_alone() {
    let (exit, out, err) = run(&["127.0.0.1", "-q"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.contains("443/tcp"), "{out}");
}

#[test]
fn colour_is_used_where_it_is_asked_for() {
    assert!(run(&["127.0.0.1", "--color", "always"]).1.contains("\x1b["));
}

#[test]
fn json_lines_take_the_place_of_the_table() {
    let (exit, out, _) = run(&["127.0.0.1", "--json"]);
    assert_eq!(exit, 0);
    assert!(out.lines().count() > 4, "{out}");
    for line in out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["type"].is_string(), "{line}");
    }
}

#[test]
fn several_results_are_written_in_one_run_and_diff_finds_them_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (exit, out, err) = run(&[
        "127.0.0.1",
        "-oA",
        &file("a"),
        "--html",
        &file("a.html"),
        "--csv",
        &file("a.csv"),
        "--markdown",
        &file("a.md"),
    ]);
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("22/tcp"), "{out}");
    for name in [
        "a.xml", "a.jsonl", "a.gnmap", "a.nmap", "a.html", "a.csv", "a.md",
    ] {
        assert!(
            fs::read_to_string(file(name)).unwrap().contains("443"),
            "{name}"
        );
    }
    let (exit, out, err) = run(&["diff", &file("a.xml"), &file("a.jsonl")]);
    assert_eq!((exit, out.as_str(), err.as_str()), (0, "no changes\n", ""));
}

#[test]
fn a_disk_that_is_full_at_the_end_costs_nothing_on_the_terminal() {
    let (exit, out, err) = run(&["127.0.0.1", "-oX", "/dev/full"]);
    assert_eq!(exit, 1);
    assert!(out.contains("443/tcp"), "{out}");
    assert!(
        err.ends_with("error: cannot write `/dev/full`: no space left on the device\n"),
        "{err}"
    );
}

#[test]
fn a_name_that_leads_nowhere_is_one_error_and_the_rest_is_scanned() {
    let (exit, out, err) = run(&["127.0.0.1", "a.invalid"]);
    assert_eq!(exit, 1);
    assert!(out.contains("443/tcp"), "{out}");
    assert!(
        err.contains("error: `a.invalid` has no address: no such host is known\nhint: "),
        "{err}"
    );
}

#[test]
fn ctrl_c_prints_and_writes_what_was_found() {
    for signal in [Signal::INT, Signal::TERM] {
        let directory = tempfile::tempdir().unwrap();
        let xml = directory.path().join("scan.xml");
        let lines = directory.path().join("scan.jsonl");
        let child = start(&[
            "127.0.0.1",
            "--seed",
            "1",
            "-oX",
            xml.to_str().unwrap(),
            "-oJ",
            lines.to_str().unwrap(),
        ]);
        // The second open port on disk says that the scan runs.
        for _ in 0..2000 {
            if fs::read_to_string(&lines).is_ok_and(|text| text.contains("22")) {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (exit, out, err) = end(child);
        assert_eq!(exit, 130, "{err}");
        assert!(out.contains("443/tcp"), "{out}");
        assert!(err.contains("cancelled: "), "{err}");
        let xml = fs::read_to_string(xml).unwrap();
        assert!(xml.trim_end().ends_with("</nmaprun>"), "{xml}");
    }
}

/// Reads what a child writes up to `word`, and no further.
fn read_until(child: &mut Child, word: &str) {
    let mut out = child.stdout.take().unwrap();
    let mut begun = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&begun).contains(word) {
        out.read_exact(&mut byte).unwrap();
        begun.push(byte[0]);
    }
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let mut child = start(&["127.0.0.1", "--json"]);
    read_until(&mut child, "=====\n");
    let (exit, _, err) = end(child);
    assert_eq!((exit, err.contains("error")), (0, false), "{err}");
}

#[test]
fn ctrl_c_that_ends_the_reader_of_a_pipe_too_is_still_told() {
    let mut child = start(&["127.0.0.1", "--seed", "1", "--json"]);
    read_until(&mut child, "443");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (exit, _, err) = end(child);
    assert_eq!((exit, err.contains("error")), (130, false), "{err}");
    assert!(err.contains("cancelled: "), "{err}");
}

#[test]
fn a_terminal_shows_rows_and_progress_and_then_the_table() {
    let size = PtySize {
        rows: 24,
        cols: 80,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(CHILD);
    command.env_clear();
    command.env("TERM", "xterm");
    command.env(WORDS, ["127.0.0.1"].join("\x1f"));
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut bytes = Vec::new();
    // A terminal whose other end has closed is an error to read, after all that was written.
    let _ = reader.read_to_end(&mut bytes);
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8(bytes).unwrap();
    let shown = shown.split_once("=====\r\n").unwrap().1;
    let row = shown
        .find("127.0.0.1:443/tcp")
        .expect("a row as it is found");
    let progress = shown.find(" 25 %   open 1").expect("progress");
    let room = shown.find("\x1b[2A\x1b[J").expect("rows give way");
    let table = shown.rfind("443/tcp").expect("the table");
    assert!(
        row < progress && progress < room && room < table,
        "{shown:?}"
    );
    assert!(shown.contains("\x1b[32mopen"), "{shown:?}");
    assert!(
        !shown.split("\x1b[J").last().unwrap().contains(" %   "),
        "{shown:?}"
    );
}

/// Runs the program in a terminal of its own, types as it goes on, and then asks the terminal
/// whether it is as it was before.
fn typed(words: &[&str], keys: &[(&str, &str)]) -> String {
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = CommandBuilder::new("sh");
    command.args([
        "-c",
        "trap : INT QUIT; ulimit -c 0; \"$0\" \"$@\"; echo \"status $?\"; stty -a",
    ]);
    command.arg(program);
    command.args(CHILD);
    command.env_clear();
    command.env("PATH", "/usr/bin:/bin");
    command.env("TERM", "xterm");
    command.env(WORDS, words.join("\x1f"));
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut writer = pair.master.take_writer().unwrap();
    let (mut shown, mut seen) = (String::new(), 0);
    let mut keys = keys.iter();
    let mut next = keys.next();
    let mut bytes = [0; 4096];
    // A terminal whose other end has closed is an error to read, after all that was written.
    while let Ok(count @ 1..) = reader.read(&mut bytes) {
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        while let Some((after, key)) = next
            && let Some(place) = shown.get(seen..).unwrap_or_default().find(after)
        {
            seen += place + after.len();
            Write::write_all(&mut writer, key.as_bytes()).unwrap();
            next = keys.next();
        }
    }
    child.wait().unwrap();
    assert!(next.is_none(), "{next:?} was not waited for: {shown}");
    shown
}

#[test]
fn keys_pause_tell_and_end_a_scan_and_the_terminal_is_as_before() {
    let shown = typed(
        &["127.0.0.1", "--seed", "1"],
        &[
            (" 50 %   open 2", "?"),
            ("keys: p pauses", "p"),
            ("paused: nothing is sent", "p"),
            ("goes on", "q"),
        ],
    );
    assert!(shown.contains("status 130"), "{shown}");
    assert!(
        shown.contains("cancelled: ports that are not shown"),
        "{shown}"
    );
    assert!(
        shown.contains(" icanon") && shown.contains(" echo "),
        "{shown}"
    );
}

#[test]
fn ctrl_c_leaves_the_terminal_as_before() {
    let shown = typed(&["127.0.0.1", "--seed", "1"], &[(" 50 %   open 2", "\x03")]);
    assert!(shown.contains("status 130"), "{shown}");
    assert!(shown.contains(" icanon"), "{shown}");
}

#[test]
fn a_program_that_is_quit_gives_the_terminal_back() {
    let shown = typed(&["127.0.0.1", "--seed", "1"], &[(" 50 %   open 2", "\x1c")]);
    assert!(
        shown.contains(" icanon") && shown.contains(" echo "),
        "{shown}"
    );
}
