//! The web app's scans by packets of its own, and what it says where it may send none.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use portolan_model::{PortState, Protocol};
use portolan_testnet::Namespace;
use serde_json::{Value, json};

use crate::lab::{Lab, PORTOLAN, THERE, bare, set, spread};
use crate::udp::Services;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server in a namespace; ended when dropped.
struct Server<'a> {
    process: Child,
    address: String,
    here: &'a Namespace,
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl<'a> Server<'a> {
    /// Starts one, by these words before the program's own.
    fn start(here: &'a Namespace, by: &[&str], data: &std::path::Path) -> Self {
        let mut command = here.command(by.first().copied().unwrap_or(PORTOLAN));
        let mut words: Vec<&str> = by.iter().skip(1).copied().collect();
        if !by.is_empty() {
            words.push(PORTOLAN);
        }
        let mut process = bare(&mut command)
            .args(words)
            .args(["serve", "--no-config", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        assert!(line.starts_with("Portolan is at http://127."), "{line}");
        Self {
            process,
            address,
            here,
        }
    }

    /// Asks, and leaves the answer to be read.
    fn ask(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = self
            .here
            .enter(|| TcpStream::connect(&self.address))
            .unwrap()
            .unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// The body of an answer.
    fn text(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = self.ask(method, path, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn scan(&self, technique: &str) -> Value {
        let request = json!({"targets": [THERE], "ports": "1-3000", "technique": technique});
        let answer = self.text("POST", "/api/v1/scans?wait=true", &request.to_string());
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

/// The open ports of an answer that waited.
fn open(scan: &Value) -> Vec<u64> {
    let results = scan["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{scan}"));
    let open = results.iter().filter(|found| found["state"] == "open");
    open.map(|found| found["port"].as_u64().unwrap()).collect()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_server_scans_by_packets_of_its_own_where_it_may() {
    let lab = Lab::new();
    let _listeners = lab.listen([22, 80, 2_999]);
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&lab.here, &[], data.path());
    for technique in ["auto", "syn"] {
        let scan = server.scan(technique);
        assert_eq!(scan["state"], "done", "{technique}: {scan}");
        assert_eq!(open(&scan), [22, 80, 2_999], "{technique}");
        let id = scan["id"].as_i64().unwrap();
        let xml = format!("/api/v1/scans/{id}/export?format=xml");
        let xml = server.text("GET", &xml, "");
        assert!(
            xml.contains(r#"<scaninfo type="syn""#),
            "{technique}: {xml}"
        );
        assert!(xml.contains(r#"addrtype="mac""#), "{technique}: {xml}");
        let page = server.text("GET", &format!("/scans/{id}?plain=1"), "");
        assert!(page.contains("syn"), "{page}");
        assert!(!page.contains("scanning by connections"), "{page}");
    }
    let host = server.text("GET", &format!("/hosts/{THERE}"), "");
    assert!(host.contains("MAC "), "{host}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_rights_the_scans_page_says_so_and_the_form_says_why() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let data = tempfile::tempdir().unwrap();
    let by = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"];
    let server = Server::start(&lab.here, &by, data.path());
    let scan = server.scan("auto");
    assert_eq!(scan["state"], "done", "{scan}");
    assert_eq!(open(&scan), [80]);
    let id = scan["id"].as_i64().unwrap();
    let page = server.text("GET", &format!("/scans/{id}"), "");
    assert!(page.contains("scanning by connections"), "{page}");
    let form = server.text("GET", "/", "");
    assert!(
        form.contains("this process may not send packets of its own"),
        "{form}"
    );
    // Asked for, it is refused with the reason, not done in another way.
    let refused = server.scan("syn");
    assert_eq!(refused["status"], 422, "{refused}");
    assert!(
        refused.to_string().contains("may not send packets"),
        "{refused}"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_udp_scan_whose_server_is_killed_again_and_again_is_exact_in_the_end() {
    let lab = Lab::new();
    let open: Vec<u16> = spread(60, 5_000, 5_299).into_iter().collect();
    set(&lab.there, "ipv4.icmp_ratelimit", "10");
    let _services = Services::start(&lab.there, open.iter().copied());
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(&lab.here, &[], data.path());
    let request = json!({
        "targets": [THERE], "ports": "U:5000-5299", "technique": "udp",
        "max_rate": 150, "udp_certain": true,
    });
    let begun = server.text("POST", "/api/v1/scans", &request.to_string());
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let id = begun["id"].as_i64().unwrap_or_else(|| panic!("{begun}"));
    for lines in [0, 40, 11, 90, 25] {
        let events = server.ask("GET", &format!("/api/v1/scans/{id}/events"), "");
        let read = BufReader::new(events).lines().take(lines);
        assert!(read.map_while(Result::ok).count() <= lines);
        drop(server);
        server = Server::start(&lab.here, &[], data.path());
        // Where it was over before the server was killed, there is nothing to go on with.
        server.text("POST", &format!("/api/v1/scans/{id}/resume"), "");
    }
    // The stream of events ends with the scan.
    server.text("GET", &format!("/api/v1/scans/{id}/events"), "");
    let whole = server.text(
        "GET",
        &format!("/api/v1/scans/{id}/export?format=jsonl"),
        "",
    );
    let record = portolan_report::read(&mut whole.as_bytes()).unwrap();
    let host = &record.hosts[&THERE.parse().unwrap()];
    let found: Vec<u16> = host
        .ports
        .iter()
        .filter(|(_, port)| port.state == PortState::Open)
        .map(|(&(_, port), _)| port)
        .collect();
    assert_eq!(found, open);
    let closed = host.rest_of(Protocol::Udp, PortState::Closed).len();
    assert_eq!(closed, 300 - open.len());
    assert_eq!(record.finished.unwrap().hosts_up, 1);
}
