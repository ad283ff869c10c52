//! Scans of loopback with the engine itself.

use std::net::TcpListener;

use super::run;

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
