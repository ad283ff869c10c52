//! The server as a process: a real scan of this machine, an end without warning, and a start
//! after it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::detection::{SSH, serve};

/// A server that runs; ended when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_portolan"))
            .args(["serve", "--no-config", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        assert!(
            line.starts_with("Portolan is at http://127.0.0.1:"),
            "{line}"
        );
        Self { process, address }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let body = self.text(method, path, body);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The body of an answer.
    fn text(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }

    /// Looks until `wanted` holds of a scan, at most a minute.
    fn until(&self, id: i64, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..3000 {
            let scan = self.call("GET", &format!("/api/v1/scans/{id}"), "");
            if wanted(&scan) {
                return scan;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("scan {id} does not come to it");
    }
}

/// Every port that a scan found, with its state.
fn found(server: &Server, id: i64) -> Vec<(u64, String)> {
    let path = format!("/api/v1/scans/{id}/results?limit=10000");
    let list = server.call("GET", &path, "");
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            let state = item["state"].as_str().unwrap().to_owned();
            (item["port"].as_u64().unwrap(), state)
        })
        .collect()
}

#[test]
fn a_scan_survives_the_servers_sudden_death_and_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = u64::from(listener.local_addr().unwrap().port());
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    // A range around the listener, slowly enough to be cut off in the middle.
    let (first, last) = (port.saturating_sub(1500).max(1), (port + 1500).min(65_535));
    let request =
        json!({"targets": ["127.0.0.1"], "ports": format!("{first}-{last}"), "max_rate": 2000});
    let id = server.call("POST", "/api/v1/scans", &request.to_string())["id"]
        .as_i64()
        .unwrap();
    server.until(id, |scan| scan["counts"]["closed"].as_u64() > Some(300));
    let before = found(&server, id);
    server.process.kill().unwrap();
    server.process.wait().unwrap();

    let again = Server::start(data.path());
    let scan = again.call("GET", &format!("/api/v1/scans/{id}"), "");
    assert_eq!(scan["state"], "interrupted");
    let kept = found(&again, id);
    for port in &before {
        assert!(kept.contains(port), "{port:?} was shown, and is lost");
    }
    let total = last - first + 1;
    assert!((kept.len() as u64) < total);
    let resumed = again.call("POST", &format!("/api/v1/scans/{id}/resume"), "");
    assert_ne!(resumed["state"], "interrupted", "{resumed}");
    let scan = again.until(id, |scan| scan["state"] == "done");
    let all = found(&again, id);
    assert_eq!(all.len() as u64, total);
    assert!(all.contains(&(port, "open".to_owned())));
    let counts = &scan["counts"];
    let sum: u64 = ["open", "closed", "filtered"]
        .iter()
        .map(|state| counts[state].as_u64().unwrap())
        .sum();
    assert_eq!(sum, total);
    let told = ports_told(&again.text("GET", &format!("/api/v1/scans/{id}/events"), ""));
    assert_eq!(told.len() as u64, total, "a port is missing or told twice");
    assert!((first..=last).eq(told));
}

/// The ports that an event stream tells of, sorted; one that is told twice is there twice.
fn ports_told(stream: &str) -> Vec<u64> {
    let messages = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let mut told = Vec::new();
    for message in messages {
        let message: Value = serde_json::from_str(message).unwrap();
        let alone = message["ports"].as_array().into_iter().flatten();
        told.extend(alone.map(|found| found["port"].as_u64().unwrap()));
        for rest in message["rest"].as_array().into_iter().flatten() {
            let ports: portolan_model::PortSet = rest["ports"].as_str().unwrap().parse().unwrap();
            told.extend(ports.iter().map(u64::from));
        }
    }
    told.sort_unstable();
    told
}

#[test]
fn what_runs_on_a_port_is_asked_again_where_the_server_died_before_it_knew() {
    // Takes connections and says nothing until it is let.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let speaks = Arc::new(AtomicBool::new(false));
    let may_speak = Arc::clone(&speaks);
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if may_speak.load(Ordering::Relaxed) {
                let _ = stream.write_all(SSH);
            }
            silent.push(stream);
        }
    });
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    let request = json!({"targets": ["127.0.0.1"], "ports": port.to_string(), "detect": true});
    let id = server.call("POST", "/api/v1/scans", &request.to_string())["id"]
        .as_i64()
        .unwrap();
    server.until(id, |scan| scan["counts"]["open"] == 1);
    server.process.kill().unwrap();
    server.process.wait().unwrap();

    speaks.store(true, Ordering::Relaxed);
    let again = Server::start(data.path());
    let interrupted = again.call("GET", &format!("/api/v1/scans/{id}"), "");
    assert_eq!(
        interrupted["state"], "interrupted",
        "the scan was too quick"
    );
    again.call("POST", &format!("/api/v1/scans/{id}/resume"), "");
    again.until(id, |scan| scan["state"] == "done");
    let results = again.call("GET", &format!("/api/v1/scans/{id}/results"), "");
    assert_eq!(
        results["items"][0]["service"]["product"], "OpenSSH",
        "{results}"
    );
    assert_eq!(results["items"].as_array().unwrap().len(), 1);
}

/// A web server with a name, a version and a title.
const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Content-Type: text/html\r\nConnection: close\r\n\r\n<title>The harbour</title>";

#[test]
fn what_runs_on_a_port_is_in_the_api_on_the_pages_and_in_exports() {
    let (ssh, web) = (serve(SSH, b"").port(), serve(b"", PAGE).port());
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let request =
        json!({"targets": ["127.0.0.1"], "ports": format!("{ssh},{web}"), "detect": true});
    let scan = server.call("POST", "/api/v1/scans?wait=true", &request.to_string());
    assert_eq!(scan["state"], "done", "{scan}");
    let id = scan["id"].as_i64().unwrap();
    let of = |port: u16| {
        let mut results = scan["results"].as_array().unwrap().iter();
        let found = results.find(|found| found["port"] == port).unwrap();
        found["service"].clone()
    };
    let (ssh_service, web_service) = (of(ssh), of(web));
    assert_eq!(ssh_service["name"], "ssh", "{ssh_service}");
    assert_eq!(ssh_service["product"], "OpenSSH");
    assert_eq!(ssh_service["version"], "9.2p1");
    assert_eq!(web_service["product"], "nginx", "{web_service}");
    assert_eq!(web_service["version"], "1.22.1");
    assert_eq!(web_service["facts"]["http.title"], "The harbour");
    let query = format!("/api/v1/scans/{id}/results?q=product:nginx%20version:1.22.1");
    let found = server.call("GET", &query, "");
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");

    let rows = server.text("GET", &format!("/scans/{id}?plain=1"), "");
    for word in ["OpenSSH", "9.2p1", "nginx", "1.22.1"] {
        assert!(rows.contains(word), "{word}: {rows}");
    }
    let page = format!("/scans/{id}/ports/127.0.0.1/tcp/{web}");
    let page = server.text("GET", &page, "");
    for word in [
        "nginx",
        "1.22.1",
        "The harbour",
        "the rule ",
        "HTTP/1.1 200 OK",
    ] {
        assert!(page.contains(word), "{word}: {page}");
    }
    let host = server.text("GET", "/hosts/127.0.0.1", "");
    assert!(host.contains("OpenSSH") && host.contains("nginx"), "{host}");
    let export = format!("/api/v1/scans/{id}/export?format=xml");
    let xml = server.text("GET", &export, "");
    assert!(
        xml.contains(r#"<service name="ssh" product="OpenSSH" version="9.2p1""#)
            && xml.contains(r#"product="nginx" version="1.22.1""#),
        "{xml}"
    );
}

#[test]
fn targets_that_no_scan_can_ask_are_refused_before_it_starts() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for (target, message) in [
        (
            "0.0.0.0",
            "cannot scan `0.0.0.0`: this address means no host",
        ),
        (
            "224.0.0.1",
            "cannot scan `224.0.0.1`: this is a multicast address, which means a group of hosts",
        ),
        (
            "fe80::1%nosuch0",
            "cannot scan `fe80::1%nosuch0`: this machine has no interface `nosuch0`",
        ),
        (
            "127.255.255.255",
            "127.255.255.255 is a broadcast or multicast address, which no host has",
        ),
    ] {
        // What would happen is asked: nothing is scanned whatever the answer.
        let request = json!({"targets": [target, "127.0.0.1"]}).to_string();
        let preview = server.call("POST", "/api/v1/scans/preview", &request);
        assert_eq!(preview["errors"][0]["field"], "targets", "{preview}");
        assert_eq!(preview["errors"][0]["message"], message);
    }
    // What to say of it depends on the routes of the machine.
    let request = json!({"targets": ["2001:db8::/32"]}).to_string();
    let preview = server.call("POST", "/api/v1/scans/preview", &request);
    let message = preview["errors"][0]["message"].to_string();
    assert!(
        message.contains("probes are more than one scan can hold")
            || message.contains("no route to 2001:db8::"),
        "{preview}"
    );
    let page = server.text("GET", "/?target=127.0.0.1,%200.0.0.0", "");
    assert!(
        page.contains("cannot scan <code>0.0.0.0</code>: this address means no host"),
        "{page}"
    );
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let _server = Server::start(data.path());
    let second = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(["serve", "--no-config", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.starts_with("error: another server uses the data in"),
        "{said}"
    );
}

#[test]
fn where_others_reach_it_it_does_not_start_without_a_user() {
    let data = tempfile::tempdir().unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(["serve", "--no-config", "--listen", "0.0.0.0:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: cannot listen on 0.0.0.0:0: others can reach it, and there is no user\n\
         hint: make a user first with `portolan user add NAME`\n"
    );
}

/// Runs the program; its status and what it wrote.
fn run(args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_kept_scan_is_listed_shown_exported_and_compared() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    for _ in 0..2 {
        let scan = [
            "127.0.0.1",
            "-p",
            &port,
            "--save",
            "--data",
            data,
            "--no-config",
            "-n",
        ];
        let (status, _, said) = run(&scan, "");
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("kept as scan"), "{said}");
    }
    let (_, list, _) = run(&["history", "--data", data], "");
    assert_eq!(list.lines().count(), 3, "{list}");
    let (_, shown, _) = run(&["show", "2", "--data", data, "--no-config"], "");
    assert!(shown.contains(&format!("{port}/tcp")), "{shown}");
    let (_, xml, _) = run(&["export", "2", "-f", "xml", "--data", data], "");
    let read = portolan_report::read(&mut xml.as_bytes()).unwrap();
    assert_eq!(read.hosts.len(), 1);
    let (status, same, _) = run(&["diff", "1", "2", "--data", data], "");
    assert_eq!((status, same.as_str()), (Some(0), "no changes\n"));
    let (status, said, _) = run(
        &[
            "tag",
            "add",
            "Lab",
            "127.0.0.0/8",
            "--scan",
            "2",
            "--data",
            data,
        ],
        "",
    );
    assert_eq!(
        (status, said.as_str()),
        (Some(0), "each of 2 hosts and scans has the tag lab\n")
    );
    let (_, list, _) = run(&["tag", "list", "--data", data, "--no-config"], "");
    assert!(list.contains("lab") && list.lines().count() == 2, "{list}");
    let (_, list, _) = run(&["history", "tag:lab", "--data", data], "");
    assert!(
        list.contains("127.0.0.1  [lab]") && list.lines().count() == 2,
        "{list}"
    );
    let query = ["export", "1", "-f", "csv", "--data", data, "--query"];
    let (_, csv, _) = run(&[&query[..], &["tag:lab changed:1d"]].concat(), "");
    assert!(csv.contains(&port), "{csv}");
    let (_, csv, _) = run(&[&query[..], &["-tag:lab"]].concat(), "");
    assert!(!csv.contains(&port), "{csv}");
    let (status, _, said) = run(&[&query[..], &["state:open chnged:7d"]].concat(), "");
    assert_eq!(status, Some(2));
    let wrong = "unknown field `chnged`, at character 12: did you mean `changed:`?";
    assert!(said.contains(wrong), "{said}");
    let (status, said, _) = run(&["tag", "remove", "lab", "127.0.0.1", "--data", data], "");
    assert_eq!(
        (status, said.as_str()),
        (Some(0), "took the tag lab off 1 host or scan\n")
    );
    let (status, _, said) = run(&["tag", "add", "lab", "192.0.2.1", "--data", data], "");
    assert_eq!(status, Some(2));
    assert!(
        said.contains("the history has no host of `192.0.2.1`"),
        "{said}"
    );
    let (status, again, said) = run(&["resume", "2", "--data", data, "--no-config"], "");
    assert_eq!(status, Some(0));
    assert!(again.contains(&format!("{port}/tcp")), "{again}");
    assert!(
        said.contains("the scan is complete: nothing is left to ask"),
        "{said}"
    );
}

#[test]
fn the_scope_holds_for_the_shell() {
    let (status, _, said) = run(
        &["127.0.0.1", "-p", "1", "--no-config", "--scope=-127.0.0.1"],
        "",
    );
    assert_eq!(status, Some(2));
    assert!(
        said.starts_with("error: 127.0.0.1 is outside the scope"),
        "{said}"
    );
}

#[test]
fn users_and_tokens_are_made_listed_and_removed() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (status, _, said) = run(&["user", "add", "ann", "--data", data], "short\n");
    assert_eq!(status, Some(2));
    assert!(said.contains("5 characters: expected 8 or more"), "{said}");
    let (status, made, _) = run(&["user", "add", "ann", "--data", data], "correct horse\n");
    assert_eq!(
        (status, made.as_str()),
        (Some(0), "made the user ann, who may admin\n")
    );
    let (_, list, _) = run(&["user", "--no-config", "list", "--data", data], "");
    assert!(list.starts_with("ann"), "{list}");
    let (_, token, _) = run(&["token", "add", "ci", "--user", "ann", "--data", data], "");
    assert!(token.starts_with("prt_"), "{token}");
    let id = token.split('_').nth(1).unwrap();
    let (status, _, _) = run(&["token", "remove", id, "--data", data], "");
    assert_eq!(status, Some(0));
    let (status, _, _) = run(&["user", "remove", "ann", "--data", data], "");
    assert_eq!(status, Some(0));
    let (_, list, _) = run(&["user", "list", "--data", data], "");
    assert_eq!(list, "");
}
