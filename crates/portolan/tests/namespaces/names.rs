//! Reverse names, from a name server in the network of the test.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portolan_testnet::connect;

use crate::lab::Lab;

/// The addresses of examples (RFC 5737) have no names anywhere, so that none is asked for.
const NAMED: &str = "10.0.0.2";

/// Answers a question for the name of an address (RFC 1035, 4.1) with `name`.
fn answer(question: &[u8], name: &str) -> Vec<u8> {
    let header_len = 12;
    let end = header_len
        + question[header_len..]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap()
        + 1
        + 4;
    let mut said = question[..end].to_vec();
    // A response, with one question and one answer.
    said[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    let mut data = Vec::new();
    for label in name.split('.') {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.as_bytes());
    }
    data.push(0);
    // The name of the question, PTR, IN, for a minute.
    said.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60, 0]);
    said.push(u8::try_from(data.len()).unwrap());
    said.extend(data);
    said
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn hosts_that_are_found_get_their_names_from_the_server_that_is_named() {
    let lab = Lab::new();
    connect((&lab.here, "10.0.0.1/24"), (&lab.there, "10.0.0.2/24")).unwrap();
    let _listeners = lab.listen([80]);
    let socket = lab
        .there
        .enter(|| UdpSocket::bind((NAMED, 53)))
        .unwrap()
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&done);
    let server = thread::spawn(move || {
        let mut asked = Vec::new();
        let mut buffer = [0; 512];
        while !over.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let question = &buffer[..len];
            asked.push(question[12..].to_vec());
            let _ = socket.send_to(&answer(question, "chart.example"), from);
        }
        asked
    });
    let args = [NAMED, "-p80", "--dns-servers", NAMED, "-oX", "-"];
    let scan = lab.scan(&args);
    let unasked = lab.scan(&[NAMED, "-p80", "-n", "--dns-servers", NAMED]);
    done.store(true, Ordering::Relaxed);
    let asked = server.join().unwrap();
    assert_eq!(scan.status, 0, "{scan:?}");
    assert!(
        scan.out
            .contains("<hostname name=\"chart.example\" type=\"PTR\"/>"),
        "{}",
        scan.out
    );
    assert_eq!(
        asked.len(),
        1,
        "one question, and none with `-n`: {asked:?}"
    );
    assert!(asked[0].starts_with(b"\x012\x010\x010\x0210\x07in-addr\x04arpa\0"));
    assert!(!unasked.out.contains("chart.example"), "{unasked:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_name_server_that_is_not_there_costs_no_result() {
    let lab = Lab::new();
    connect((&lab.here, "10.0.0.1/24"), (&lab.there, "10.0.0.2/24")).unwrap();
    let _listeners = lab.listen([80]);
    let scan = lab.scan(&[NAMED, "-p80", "--dns-servers", "10.0.0.2:5353", "--json"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(scan.open(NAMED), [80].into());
}
