//! Look-ups against a name server of the test's own on loopback.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::*;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// The most questions that a server takes before it ends.
const MOST: usize = 500;

/// A name server that answers from a list, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

type Records = HashMap<(String, u16), Vec<Vec<u8>>>;

impl Server {
    /// Answers with these records, and that there is no such name for every other.
    fn new(records: &[(&str, u16, Vec<u8>)]) -> Self {
        let mut by_name = Records::new();
        for (name, kind, data) in records {
            let key = ((*name).to_owned(), *kind);
            by_name.entry(key).or_default().push(data.clone());
        }
        Self::start(Some(by_name))
    }

    /// Takes questions and says nothing.
    fn silent() -> Self {
        Self::start(None)
    }

    fn start(records: Option<Records>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0u8; 1500];
            for _ in 0..MOST {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    return;
                };
                // An empty datagram is the end of the test.
                let Some((name, kind, question)) = question(&buffer[..length]) else {
                    return;
                };
                list.lock().unwrap().push(format!("{name} {kind}"));
                if let Some(records) = &records {
                    let found = records.get(&(name.clone(), kind));
                    let is_known = records.keys().any(|(known, _)| *known == name);
                    let reply = reply(&buffer[..2], question, kind, found, is_known);
                    socket.send_to(&reply, from).unwrap();
                }
            }
        });
        Self {
            address,
            asked,
            thread: Some(thread),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn settings(&self) -> Settings {
        Settings {
            waiting: |_| {},
            servers: vec![self.address],
            hosts_file: "/nonexistent/hosts".into(),
            timeout: Duration::from_millis(400),
            attempts: 1,
            front: Front::Shell,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The name, the type and the bytes of the one question (RFC 1035, 4.1.2).
fn question(message: &[u8]) -> Option<(String, u16, &[u8])> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    Some((labels.join("."), kind, message.get(12..at + 4)?))
}

fn reply(
    id: &[u8],
    question: &[u8],
    kind: u16,
    found: Option<&Vec<Vec<u8>>>,
    is_known: bool,
) -> Vec<u8> {
    // RFC 1035, 4.1.1: a response, recursion wanted and had; 3 is "no such name".
    let code = if is_known { 0x80 } else { 0x83 };
    let answers = found.map_or(&[][..], Vec::as_slice);
    let mut reply = id.to_vec();
    reply.extend([
        0x81,
        code,
        0,
        1,
        0,
        u8::try_from(answers.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    reply.extend(question);
    for data in answers {
        // The name of the question again, class IN, 60 seconds.
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        reply.extend(data);
    }
    reply
}

fn a(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn pointer(name: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for label in name.split('.') {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.as_bytes());
    }
    data.push(0);
    data
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

fn look_up(text: &str, which: Names, settings: &Settings) -> Result<Vec<IpAddr>, LookupError> {
    let name = name(text);
    let mut answers = forward([(name.clone(), which)], settings, &Control::new()).unwrap();
    answers.remove(&name).unwrap()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what it is compared to is wrapped"
)]
fn addresses(texts: &[&str]) -> Result<Vec<IpAddr>, LookupError> {
    Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn only(family: Family) -> Names {
    Names {
        family: Some(family),
        ..Names::default()
    }
}

const ALL: Names = Names {
    all: true,
    family: None,
    reverse: false,
};

fn both_families() -> Server {
    Server::new(&[
        ("box.example", A, a("192.0.2.7")),
        ("box.example", A, a("192.0.2.8")),
        ("box.example", AAAA, a("2001:db8::7")),
        ("six.example", AAAA, a("2001:db8::6")),
    ])
}

#[test]
fn a_name_leads_to_its_addresses_of_the_family() {
    let server = both_families();
    let settings = server.settings();
    assert_eq!(
        look_up("box.example", Names::default(), &settings),
        addresses(&["192.0.2.7", "192.0.2.8"])
    );
    assert_eq!(
        look_up("box.example", ALL, &settings),
        addresses(&["192.0.2.7", "192.0.2.8", "2001:db8::7"])
    );
    assert_eq!(
        look_up("box.example", only(Family::Ipv6), &settings),
        addresses(&["2001:db8::7"])
    );
    assert_eq!(
        look_up("six.example", Names::default(), &settings),
        addresses(&["2001:db8::6"])
    );
    assert_eq!(
        look_up("six.example", only(Family::Ipv4), &settings)
            .unwrap_err()
            .to_string(),
        "`six.example` has no IPv4 address"
    );
}

#[test]
fn a_name_that_does_not_exist_is_not_found_and_the_rest_is() {
    let server = both_families();
    let wanted = ["box.example", "nothing.example"].map(|text| (name(text), Names::default()));
    let answers = forward(wanted, &server.settings(), &Control::new()).unwrap();
    assert!(answers[&name("box.example")].is_ok());
    assert_eq!(
        answers[&name("nothing.example")]
            .clone()
            .unwrap_err()
            .to_string(),
        "`nothing.example` has no address: no such host is known"
    );
}

#[test]
fn while_a_name_server_stays_silent_it_is_said_what_is_waited_for() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let server = Server::silent();
    let settings = Settings {
        timeout: Duration::from_millis(1_500),
        waiting: |text| SAID.lock().unwrap().push(text.to_owned()),
        ..server.settings()
    };
    let wanted = [(name("nowhere.test"), Names::default())];
    let answers = forward(wanted, &settings, &Control::new()).unwrap();
    assert!(answers[&name("nowhere.test")].is_err());
    let said = SAID.lock().unwrap().clone();
    let what = "looking up 1 name: waiting for an answer of 127.0.0.1";
    assert_eq!(said, [what, ""], "once, and taken away at the end");
}

#[test]
fn a_silent_name_server_is_said_to_be_silent() {
    let server = Server::silent();
    assert_eq!(
        look_up("box.example", Names::default(), &server.settings())
            .unwrap_err()
            .to_string(),
        "cannot look up `box.example`: no name server answered"
    );
}

#[test]
fn what_is_known_here_is_asked_of_nobody() {
    let server = both_families();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "192.0.2.99 nas\n").unwrap();
    let settings = Settings {
        hosts_file: file.path().into(),
        ..server.settings()
    };
    for text in ["localhost", "nas", "a.invalid"] {
        let _ = look_up(text, ALL, &settings);
    }
    let mut reverse = Reverse::new(settings);
    for (address, expected) in [
        ("127.0.0.1", Some("localhost")),
        ("::1", Some("localhost")),
        ("192.0.2.99", Some("nas")),
        ("169.254.7.7", None),
        ("198.51.100.1", None),
        ("fe80::1", None),
    ] {
        let settled = reverse.ask(address.parse().unwrap());
        assert_eq!(settled.as_deref(), expected, "{address}");
    }
    reverse.finish().leave();
    assert_eq!(server.asked(), [""; 0]);
}

#[test]
fn many_addresses_are_looked_up_at_once_and_all_are_answered() {
    let records: Vec<(String, Vec<u8>)> = (1..=150)
        .map(|host| {
            let zone = format!("{host}.0.0.10.in-addr.arpa");
            (zone, pointer(&format!("host{host}.example")))
        })
        .collect();
    let records: Vec<_> = records
        .iter()
        .map(|(zone, data)| (zone.as_str(), PTR, data.clone()))
        .collect();
    let server = Server::new(&records);
    let settings = Settings {
        timeout: Duration::from_secs(5),
        ..server.settings()
    };
    let mut reverse = Reverse::new(settings);
    // More than there is room for at once, and some that have no name.
    for host in 1..=160u8 {
        let settled = reverse.ask(Ipv4Addr::new(10, 0, 0, host).into());
        assert_eq!(settled, None);
    }
    let finishing = reverse.finish();
    let mut found: Vec<String> = finishing
        .found()
        .iter()
        .map(|found| match found {
            Found::Name { address, name } => format!("{address} {name}"),
            Found::GaveUp(why) => why,
        })
        .collect();
    finishing.leave();
    found.sort();
    assert_eq!(found.len(), 150, "{found:?}");
    assert!(found.contains(&"10.0.0.77 host77.example".to_owned()));
}

#[test]
fn a_hostile_name_is_escaped() {
    let server = Server::new(&[("1.0.0.10.in-addr.arpa", PTR, pointer("\x1b[2Jx.example"))]);
    let mut reverse = Reverse::new(server.settings());
    reverse.ask("10.0.0.1".parse().unwrap());
    let finishing = reverse.finish();
    let found: Vec<Found> = finishing.found().iter().collect();
    finishing.leave();
    let [Found::Name { name, .. }] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(
        name.chars().all(|letter| letter.is_ascii_graphic()),
        "{name:?}"
    );
    assert!(name.ends_with("x.example"), "{name}");
}

#[test]
fn a_dead_name_server_does_not_hold_up_a_large_scan() {
    let server = Server::silent();
    let mut reverse = Reverse::new(server.settings());
    for host in 0..400u16 {
        let [high, low] = host.to_be_bytes();
        reverse.ask(Ipv4Addr::new(10, 0, high, low).into());
    }
    let finishing = reverse.finish();
    let found: Vec<Found> = finishing.found().iter().collect();
    finishing.leave();
    assert_eq!(found, [Found::GaveUp("no name server answered".to_owned())]);
    // Those that waited together and their repetitions, not all 400.
    assert!(server.asked().len() < 300, "{}", server.asked().len());
}

#[test]
fn a_stopped_scan_waits_for_no_name() {
    let server = Server::silent();
    let control = Control::new();
    control.stop();
    let wanted = [(name("box.example"), Names::default())];
    assert_eq!(forward(wanted, &server.settings(), &control), None);
}

#[test]
fn a_name_server_is_an_address_with_or_without_a_port() {
    assert_eq!(server("192.0.2.53"), Ok("192.0.2.53:53".parse().unwrap()));
    assert_eq!(
        server("2001:db8::53"),
        Ok("[2001:db8::53]:53".parse().unwrap())
    );
    assert_eq!(
        server("[2001:db8::53]:5353"),
        Ok("[2001:db8::53]:5353".parse().unwrap())
    );
    for text in ["dns.example", "", "192.0.2.53:0", "192.0.2.53:65536"] {
        assert!(server(text).is_err(), "{text}");
    }
}
