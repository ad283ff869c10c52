//! The server as programs of others see it: schemathesis tries the API by its own document,
//! promtool reads the metrics.
//!
//! Both are put under `target` by `cargo xtask test`; where one is missing, its test says so.

#[path = "conformance/served.rs"]
mod served;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Endpoint, Finished, HostUp, Outcome, PortFact, Started};
use portolan_model::{PortState, Protocol, Reason, ScanEvent, Technique};
use portolan_scan::Control;
use portolan_server::auth::password;
use portolan_server::{Abilities, CannotStart, Job, Limits, Role, Runner, Settings};
use serde_json::{Value, json};
use served::{Served, root};

/// How long schemathesis may try things, in seconds.
const TRY_FOR: &str = "40";

/// Finds port 22 open on the first address of what is asked, and sends nothing anywhere.
#[derive(Debug)]
struct Pretence;

impl Runner for Pretence {
    fn abilities(&self) -> Abilities {
        Abilities {
            techniques: vec![(Technique::Connect, None)],
            detect: Some("this test detects nothing".to_owned()),
        }
    }

    fn run(
        &self,
        job: &Job,
        _: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart> {
        let address = job
            .spec
            .targets
            .iter()
            .find_map(|target| target.addresses()?.iter().next());
        let Some(address) = address else {
            return Err(CannotStart {
                message: "no target has an address".to_owned(),
                hint: None,
            });
        };
        let at = Timestamp::now();
        sink(ScanEvent::Started(Started {
            at,
            techniques: vec![Technique::Connect],
            ports: job.spec.ports.clone(),
            addresses: 1,
            probes: 1,
            seed: job.seed,
            zones: portolan_model::Zones::NONE,
        }));
        sink(ScanEvent::HostUp(HostUp {
            address,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at,
        }));
        sink(ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address,
                protocol: Protocol::Tcp,
                port: 22,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: Some(Duration::from_micros(250)),
            ttl: Some(64),
            at,
        }));
        sink(ScanEvent::HostDone { address, at });
        sink(ScanEvent::Finished(Finished {
            at,
            outcome: Outcome::Complete,
            elapsed: Duration::from_millis(1),
            hosts_up: 1,
            hosts_down: 0,
            sent: 1,
            loss: Some(0.0),
            expected_missed: 0.0,
        }));
        Ok(())
    }
}

fn serve() -> Served {
    Served::start(Arc::new(Pretence), |address| Settings {
        limits: Limits {
            requests_per_second: 0,
            ..Limits::default()
        },
        ..Settings::new(address, "0.1.0")
    })
}

/// Reads a path as text.
fn get(served: &Served, path: &str) -> String {
    ask(&served.at(path), "GET", "")
}

/// Sends JSON and reads JSON.
fn post(served: &Served, path: &str, body: &Value) -> Value {
    let answer = ask(&served.at(path), "POST", &body.to_string());
    serde_json::from_str(&answer).expect("the API answers JSON")
}

fn ask(address: &str, method: &str, body: &str) -> String {
    let rest = address.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').expect("an address has a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.contains(" 200 ") || head.contains(" 201 "), "{answer}");
    body.to_owned()
}

/// A program that is installed under `target`; says so where it is not.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn installed(path: &str) -> Option<PathBuf> {
    let path = root().join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}", path.display());
    None
}

#[test]
#[ignore = "needs schemathesis in target/api-venv"]
fn the_api_keeps_to_its_document_whatever_is_sent() {
    let Some(program) = installed("target/api-venv/bin/schemathesis") else {
        return;
    };
    let served = serve();
    let known = json!({"targets": ["192.0.2.1"], "ports": "22"});
    post(&served, "/api/v1/scans?wait=true", &known);
    let token = post(
        &served,
        "/api/v1/tokens",
        &json!({"name": "try", "scopes": ["admin"]}),
    );
    let token = token["token"].as_str().expect("a token is shown once");
    // From now on one must log in, so that what the document says of that is tried as well.
    let hash = password::hash("correct horse battery").expect("it can be hashed");
    let store = served.state.store();
    store
        .create_user("ada", &hash, Role::Admin, Timestamp::now())
        .expect("the first user");
    let home = tempfile::tempdir().expect("a directory for what it remembers");
    let output = Command::new(program)
        .current_dir(home.path())
        .arg("--config-file")
        .arg(root().join("crates/server/tests/conformance/schemathesis.toml"))
        .args(["run", &served.at("/api/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "15", "--max-time", TRY_FOR])
        .args(["--seed", "1", "--generation-database", "none"])
        .args(["--request-timeout", "10", "--continue-on-failure"])
        .args(["--suppress-health-check", "all", "--no-color"])
        // An open stream of events has no end to wait for; tests of our own follow them.
        .args(["--exclude-path-regex", "/events$"])
        // What a target or a port may be is a language, and no pattern says all of it.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
}

#[test]
#[ignore = "needs promtool in target/promtool"]
fn prometheus_reads_the_metrics_without_complaint() {
    let Some(program) = installed("target/promtool/usr/bin/promtool") else {
        return;
    };
    let served = serve();
    post(
        &served,
        "/api/v1/scans?wait=true",
        &json!({"targets": ["192.0.2.1"], "ports": "22"}),
    );
    let metrics = get(&served, "/metrics");
    assert!(metrics.contains("portolan_scans_running"), "{metrics}");
    let mut child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    child
        .stdin
        .take()
        .expect("it reads standard input")
        .write_all(metrics.as_bytes())
        .expect("it takes them");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
