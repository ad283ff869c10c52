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
