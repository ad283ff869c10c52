//! Scans of loopback with the engine itself.

use std::net::TcpListener;

use super::{run, run_with};

#[test]
fn an_open_port_is_found_and_a_closed_one_is_not() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    // Bound and let go of again: nothing listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = closed.local_addr().unwrap().port();
    drop(closed);
    let shown = run(&["localhost", "-n", "-p", &format!("{port},{other}")]);
    assert!(
        shown.starts_with("exit 0\n--- stdout\n127.0.0.1 (localhost)"),
        "{shown}"
    );
    let state_of = |port: u16| {
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{port}/tcp")));
        line.and_then(|line| line.split_whitespace().nth(1))
            .map(str::to_owned)
    };
    assert_eq!(state_of(port).as_deref(), Some("open"), "{shown}");
    assert_eq!(state_of(other).as_deref(), Some("closed"), "{shown}");
    assert!(
        shown.contains("1 host up: 1 port open, 1 closed\n"),
        "{shown}"
    );
}

#[test]
fn a_range_of_ports_is_two_numbers_after_the_host() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let shown = run(&["127.0.0.1", &port.to_string(), &port.to_string(), "--json"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    assert!(shown.contains(&format!("\"port\":{port}")), "{shown}");
}

#[test]
fn a_port_that_closed_between_two_scans_is_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (file("old.xml"), file("new.jsonl"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let scan = |option: &str, to: &str| run(&["127.0.0.1", "-n", "-q", "-p", &port, option, to]);
    assert!(scan("-oX", &old).starts_with("exit 0\n"));
    drop(listener);
    assert!(scan("-oJ", &new).starts_with("exit 0\n"));

    let compared = run(&["diff", &old, &new]);
    let lines: Vec<&str> = compared.lines().collect();
    assert_eq!(lines[..2], ["exit 1", "--- stdout"], "{compared}");
    assert!(
        lines[2].starts_with(&format!("- 127.0.0.1 {port}/tcp "))
            && lines[2].ends_with(": open -> closed"),
        "{compared}"
    );
    assert_eq!(lines[3..], ["--- stderr"]);
    assert_eq!(
        run(&["diff", &new, &new]),
        "exit 0\n--- stdout\nno changes\n--- stderr\n"
    );
}

/// A scan of one closed port in each format that is read back.
fn results(directory: &std::path::Path) -> [String; 2] {
    let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let files = [file("a.xml"), file("a.jsonl")];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let [xml, lines] = &files;
    let ended = run(&[
        "127.0.0.1",
        "-n",
        "-q",
        "-p",
        &port,
        "-oX",
        xml,
        "-oJ",
        lines,
    ]);
    assert!(ended.starts_with("exit 0\n"), "{ended}");
    files
}

/// What `diff` says of a whole result and one without its end.
fn compared_with_a_part(whole: &str, part: &str) {
    let shown = run(&["diff", whole, part]);
    assert_eq!(
        shown,
        format!(
            "exit 1\n--- stdout\nno changes in what can be compared\n\
             not compared: what the new scan did not come to: it did not finish\n--- stderr\n\
             warning: `{part}` is incomplete: its scan was interrupted, or is still running: there is \
             no `scan.done` or `runstats` at its end\n\
             hint: what it lacks is not compared; scan again to be sure\n"
        )
    );
}

#[test]
fn json_lines_that_were_cut_off_are_not_called_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let [_, lines] = results(directory.path());
    let text = std::fs::read_to_string(&lines).unwrap();
    let (before, _) = text.split_once("{\"type\":\"scan.done\"").unwrap();
    let part = directory.path().join("part.jsonl");
    let part = part.to_str().unwrap();
    for cut in [before.to_owned(), format!("{before}{{\"type\":\"sca")] {
        std::fs::write(part, cut).unwrap();
        compared_with_a_part(&lines, part);
    }
}

#[test]
fn xml_without_its_statistics_is_not_called_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let [xml, _] = results(directory.path());
    let text = std::fs::read_to_string(&xml).unwrap();
    let (before, rest) = text.split_once("<runstats>").unwrap();
    let (_, after) = rest.split_once("</runstats>").unwrap();
    let part = directory.path().join("part.xml");
    let part = part.to_str().unwrap();
    std::fs::write(part, format!("{before}{after}")).unwrap();
    compared_with_a_part(&xml, part);
}

#[test]
fn one_of_two_results_may_come_from_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let [xml, lines] = results(directory.path());
    let text = std::fs::read(&lines).unwrap();
    assert_eq!(
        run_with(&["diff", &xml, "-"], &text),
        "exit 0\n--- stdout\nno changes\n--- stderr\n"
    );
    assert_eq!(
        run(&["diff", "-", "-"]),
        "exit 2\n--- stdout\n--- stderr\nerror: standard input cannot be both results\n\
         hint: give one of them a file\n"
    );
}

#[test]
fn a_port_is_connected_to_once() {
    // Not one that the system gives to connections: there, a connection to itself is possible,
    // and a second one makes sure.
    let listener = (20_000..21_000)
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let shown = run(&["127.0.0.1", "-n", "-p", &port]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    listener.set_nonblocking(true).unwrap();
    let connections = std::iter::from_fn(|| listener.accept().ok()).count();
    assert_eq!(connections, 1, "{shown}");
}

#[test]
fn a_search_for_hosts_speaks_of_no_port() {
    let shown = run(&["127.0.0.1", "-sn", "-n", "-v"]);
    assert!(
        shown.starts_with("exit 0\n--- stdout\n127.0.0.1, "),
        "{shown}"
    );
    let (_, told) = shown.split_once("--- stderr\n").unwrap();
    assert!(
        told.starts_with("looking for hosts at 1 address, by connect\n"),
        "{shown}"
    );
    assert!(told.contains("\n1 host up\n"), "{shown}");
    assert!(told.ends_with("\nloss measured: 0.0 %\n"), "{shown}");
    assert!(!shown.contains("port"), "{shown}");
}

#[test]
fn a_target_that_is_no_host_is_one_error_and_the_rest_is_scanned() {
    let shown = run(&["224.0.0.1", "127.0.0.1", "-n", "-q", "-p", "9", "--json"]);
    assert!(shown.starts_with("exit 1\n"), "{shown}");
    assert!(shown.contains("\"address\":\"127.0.0.1\""), "{shown}");
    assert!(
        shown.ends_with(
            "--- stderr\nerror: cannot scan `224.0.0.1`: this is a multicast address, \
             which means a group of hosts\nhint: write the addresses of the hosts themselves\n"
        ),
        "{shown}"
    );
}

#[test]
fn a_flag_may_be_given_twice() {
    let shown = run(&[
        "127.0.0.1",
        "-n",
        "-n",
        "--open",
        "--open",
        "--reason",
        "-p",
        "9",
        "-v",
        "-v",
    ]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    let shown = run(&["list", "127.0.0.1", "-n", "-p", "9"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}
