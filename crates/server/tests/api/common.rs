//! A server in process, with a script in the engine's place.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostUp, Outcome, PortFact, Progress, Reached, ServiceFact, Started,
};
use portolan_model::{PortState, Protocol, Reason, ScanEvent, Scope, Service, Technique};
use portolan_scan::Control;
use portolan_server::{Abilities, AppState, CannotStart, Earlier, Job, Runner, Settings};
use portolan_store::{Mode, Store};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Ports that the script finds open; all others are closed.
pub(crate) const OPEN: [u16; 3] = [22, 80, 443];

/// How far a script may go.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<(Mutex<u32>, Condvar)>);

impl Gate {
    /// Lets the script report `count` more ports.
    pub(crate) fn open(&self, count: u32) {
        let mut left = self.0.0.lock().unwrap();
        *left = left.saturating_add(count);
        self.0.1.notify_all();
    }

    /// Waits for one's turn; false when the scan was stopped meanwhile.
    fn pass(&self, control: &Control) -> bool {
        let mut left = self.0.0.lock().unwrap();
        while *left == 0 || control.is_paused() {
            if control.is_stopped() {
                return false;
            }
            left = self
                .0
                .1
                .wait_timeout(left, Duration::from_millis(2))
                .unwrap()
                .0;
        }
        *left = left.saturating_sub(u32::from(*left != u32::MAX));
        !control.is_stopped()
    }
}

/// Finds [`OPEN`] ports of each address, one after the other, as far as its gate is open.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) gate: Gate,
    /// What each run was told of the parts before it.
    pub(crate) earlier: Arc<Mutex<Vec<Earlier>>>,
}

pub(crate) fn banner() -> Service {
    Service {
        name: "ssh".to_owned(),
        product: Some("<script>alert(1)</script>".to_owned()),
        version: Some("9.2\u{1b}[31m".to_owned()),
        ..Service::default()
    }
}

impl Runner for Script {
    fn abilities(&self) -> Abilities {
        Abilities {
            techniques: vec![
                (Technique::Connect, None),
                (Technique::Syn, Some("no right to send packets".to_owned())),
            ],
            detect: Some("this build does not detect services".to_owned()),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a script is told in one go")]
    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart> {
        let names = job
            .spec
            .targets
            .iter()
            .any(|target| target.addresses().is_none());
        if names {
            return Err(CannotStart {
                message: "no target has an address".to_owned(),
                hint: None,
            });
        }
        let addresses: Vec<_> = job
            .spec
            .targets
            .iter()
            .flat_map(|target| target.addresses().unwrap().iter().collect::<Vec<_>>())
            .collect();
        self.earlier.lock().unwrap().push(job.earlier.clone());
        let ports = job.spec.ports.tcp();
        let total = addresses.len() as u128 * ports.len() as u128;
        let at = Timestamp::now();
        sink(ScanEvent::Started(Started {
            at,
            techniques: vec![Technique::Connect],
            ports: job.spec.ports.clone(),
            addresses: addresses.len() as u128,
            probes: total,
            seed: job.seed,
            zones: portolan_model::Zones::NONE,
        }));
        let (mut done, mut open, mut sent) = (0, 0, 0_u64);
        let mut stopped = false;
        'all: for &address in &addresses {
            sink(ScanEvent::HostUp(HostUp {
                address,
                reason: Reason::SynAck,
                rtt: None,
                ttl: None,
                at,
            }));
            for port in ports.iter() {
                done += 1;
                let known = job.earlier.settled.get(&address);
                if known.is_some_and(|known| known.tcp().contains(port)) {
                    continue;
                }
                if !self.gate.pass(control) {
                    stopped = true;
                    break 'all;
                }
                sent += 1;
                let is_open = OPEN.contains(&port);
                open += u64::from(is_open);
                let endpoint = Endpoint {
                    address,
                    protocol: Protocol::Tcp,
                    port,
                };
                sink(ScanEvent::Port(PortFact {
                    endpoint,
                    state: if is_open {
                        PortState::Open
                    } else {
                        PortState::Closed
                    },
                    reason: if is_open {
                        Reason::SynAck
                    } else {
                        Reason::ConnRefused
                    },
                    rtt: Some(Duration::from_micros(250)),
                    ttl: None,
                    at: Timestamp::now(),
                }));
                if port == 22 {
                    sink(ScanEvent::Service(ServiceFact {
                        endpoint,
                        service: banner(),
                    }));
                }
                sink(ScanEvent::Progress(Progress {
                    done,
                    total,
                    open,
                    sent,
                    // A probe takes 50 ms.
                    elapsed: Duration::from_millis(50 * sent),
                    ..Progress::default()
                }));
                sink(ScanEvent::Reached(Reached {
                    position: port.into(),
                    ..Reached::default()
                }));
            }
            sink(ScanEvent::HostDone { address, at });
        }
        sink(ScanEvent::Finished(Finished {
            at: Timestamp::now(),
            outcome: if stopped {
                Outcome::Interrupted
            } else {
                Outcome::Complete
            },
            elapsed: Duration::from_millis(50 * sent),
            hosts_up: addresses.len() as u64,
            hosts_down: 0,
            sent,
            loss: Some(0.0),
            expected_missed: 0.0,
        }));
        Ok(())
    }
}

/// A server in process.
pub(crate) struct Server {
    pub(crate) app: Router,
    pub(crate) state: AppState,
    pub(crate) gate: Gate,
    /// What each run of a scan was told of the parts before it.
    pub(crate) earlier: Arc<Mutex<Vec<Earlier>>>,
    pub(crate) dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Threads of scans end before their directory does.
        self.state.close();
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Holds that it is a problem of this status (RFC 9457), and gives its words.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], status);
        json["detail"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn settings() -> Settings {
    Settings::new("127.0.0.1:5000".parse().unwrap(), "1.2.3")
}

impl Server {
    /// A server whose scans run freely.
    pub(crate) fn new() -> Self {
        let server = Self::with(settings());
        server.gate.open(u32::MAX);
        server
    }

    /// A server whose scans wait for the gate.
    pub(crate) fn with(settings: Settings) -> Self {
        Self::on(tempfile::tempdir().unwrap(), settings)
    }

    pub(crate) fn on(dir: TempDir, settings: Settings) -> Self {
        let store = Store::open(dir.path(), Mode::Serve).unwrap();
        Self::over(store, dir, settings)
    }

    fn over(store: Store, dir: TempDir, settings: Settings) -> Self {
        let gate = Gate(Arc::default());
        let earlier = Arc::default();
        let script = Arc::new(Script {
            gate: gate.clone(),
            earlier: Arc::clone(&earlier),
        });
        let state = AppState::new(store, script, settings).unwrap();
        Self {
            app: portolan_server::app(state.clone()),
            state,
            gate,
            earlier,
            dir,
        }
    }

    /// Ends in order, and starts again over the same history.
    pub(crate) async fn restart(mut self) -> Self {
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        let state = self.state.clone();
        tokio::task::spawn_blocking(move || state.close())
            .await
            .unwrap();
        drop(self);
        // A question that was asked last may still hold the history for a moment.
        for _ in 0..2000 {
            match Store::open(dir.path(), Mode::Serve) {
                Ok(store) => return Self::over(store, dir, settings()),
                Err(portolan_store::Error::InUse { .. }) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the history is still in use");
    }

    pub(crate) fn scoped(words: &[&str]) -> Self {
        let server = Self::with(Settings {
            scope: Scope::new(words).unwrap(),
            ..settings()
        });
        server.gate.open(u32::MAX);
        server
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request("POST", path, &[], Some(body))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(request("DELETE", path, &[], None)).await
    }

    /// Scans and waits for the end; the scan's number.
    pub(crate) async fn scan(&self, target: &str, ports: &str) -> i64 {
        let body = serde_json::json!({"targets": [target], "ports": ports});
        let answer = self.post("/api/v1/scans?wait=true", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_i64().unwrap()
    }

    /// Asks for a scan; its number.
    pub(crate) async fn begin(&self, target: &str, ports: &str) -> i64 {
        let body = serde_json::json!({"targets": [target], "ports": ports});
        let answer = self.post("/api/v1/scans", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_i64().unwrap()
    }

    /// Looks until `wanted` holds of a scan, at most some seconds.
    pub(crate) async fn until(&self, id: i64, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..2000 {
            let scan = self.get(&format!("/api/v1/scans/{id}")).await.json();
            if wanted(&scan) {
                return scan;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("scan {id} does not come to it");
    }
}

/// A request from this machine.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "127.0.0.1:5000");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}
