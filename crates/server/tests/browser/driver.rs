//! A browser that tests drive: chromedriver and Chromium as child processes, spoken to by
//! `WebDriver` (W3C Recommendation, 2018), a hundred lines of which are all that is needed here.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything on a page may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Time between two looks at a page.
const LOOK: Duration = Duration::from_millis(20);

/// What Chromium is told: no screen, and nothing sent anywhere by itself.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// Light or dark, as the system would have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// A browser with one or more tabs.
pub(crate) struct Browser {
    child: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one with a profile of its own.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has a free port")
            .port();
        let child = Command::new("/usr/bin/chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is at /usr/bin/chromedriver: apt-get install chromium-driver");
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let mut browser = Self {
            child,
            port,
            session: String::new(),
            profile,
        };
        until("chromedriver listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!(
            "--user-data-dir={}",
            browser.profile.path().display()
        ));
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": flags},
        }}});
        let session = browser.send("POST", "/session", &capabilities);
        session["sessionId"]
            .as_str()
            .expect("a session has a name")
            .clone_into(&mut browser.session);
        browser
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes a time-out");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("chromedriver reads");
        // The driver keeps connections open, whatever it is asked: its answer ends by its length.
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("chromedriver answers");
            let line = line.trim().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().expect("a length is a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut json = vec![0; length];
        reader.read_exact(&mut json).expect("the answer is whole");
        let mut value: Value = serde_json::from_slice(&json).expect("the body is JSON");
        let value = value["value"].take();
        assert!(
            value.get("error").is_none(),
            "{method} {path}: {} {}",
            value["error"],
            value["message"]
        );
        value
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.command("POST", "/goog/cdp/execute", &body)
    }

    /// Goes to an address, and waits until it is loaded.
    pub(crate) fn go(&self, address: &str) {
        self.command("POST", "/url", &json!({"url": address}));
    }

    /// Runs a function body in the page, and gives what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// Runs a function body that calls `arguments[0]` when it is done.
    pub(crate) fn wait_for(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/async",
            &json!({"script": script, "args": []}),
        )
    }

    /// Waits until an expression of the page is true.
    pub(crate) fn until(&self, expression: &str) {
        until(expression, || {
            let script = format!("return !!({expression})");
            (self.run(&script) == true).then_some(())
        });
    }

    /// The text that a reader sees of the first element that fits.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    fn element(&self, selector: &str) -> String {
        let found = until(selector, || {
            let script = format!("return document.querySelector({selector:?})");
            let found = self.run(&script);
            (!found.is_null()).then_some(found)
        });
        let reference = found.as_object().and_then(|object| object.values().next());
        reference
            .and_then(Value::as_str)
            .expect("an element has a reference")
            .to_owned()
    }

    /// Clicks as a reader does: where the element is, if nothing covers it.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Empties a field and types into it.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/clear"), &json!({}));
        self.command(
            "POST",
            &format!("/element/{element}/value"),
            &json!({"text": text}),
        );
    }

    /// Presses keys, one after the other, at whatever has the focus.
    pub(crate) fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let body = json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]});
        self.command("POST", "/actions", &body);
    }

    /// Opens a tab and goes there.
    pub(crate) fn new_tab(&self) -> String {
        let tab = self.command("POST", "/window/new", &json!({"type": "tab"}));
        let handle = tab["handle"].as_str().expect("a tab has a name").to_owned();
        self.command("POST", "/window", &json!({"handle": handle}));
        handle
    }

    /// Sets the size of the page and what the system wants, as a device has them.
    pub(crate) fn device(&self, width: u32, height: u32, scheme: Scheme) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}),
        );
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Turns scripts off, as some readers do.
    pub(crate) fn scripts(&self, on: bool) {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": !on}),
        );
    }

    /// Forgets the files that it has kept of pages.
    pub(crate) fn forget_files(&self) {
        self.devtools("Network.clearBrowserCache", &json!({}));
    }

    /// Takes a picture of the whole page.
    pub(crate) fn picture(&self, path: &Path) {
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true}),
        );
        let data = picture["data"].as_str().expect("a picture has data");
        std::fs::create_dir_all(path.parent().expect("the picture goes into a folder"))
            .expect("a folder can be made");
        std::fs::write(path, base64(data)).expect("a picture can be written");
    }

    /// Memory of the process that has the most of those that show pages, in megabytes: all that
    /// it has in memory, and of that what is its own, not the program's.
    pub(crate) fn page_memory(&self) -> (u64, u64) {
        let field = |status: &str, name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or(0u64)
        };
        let profile = self.profile.path().display().to_string();
        let mut most = (0, 0);
        for entry in std::fs::read_dir("/proc")
            .expect("there is a /proc")
            .flatten()
        {
            let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            if words.contains("--type=renderer") && words.contains(&profile) {
                let status =
                    std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
                let found = (field(&status, "VmRSS:"), field(&status, "RssAnon:"));
                most = most.max((found.0 / 1000, found.1 / 1000));
            }
        }
        most
    }

    /// What the console said since the last time: errors, and what the policy forbade.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({"type": "browser"}));
        log.as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.send("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        // Chromium ends with its driver.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(now() < end, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(LOOK);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a real browser takes real time; only the patience is measured"
)]
fn now() -> Instant {
    Instant::now()
}

/// Reads base64 (RFC 4648, 4).
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for digit in text.bytes().filter(|&digit| digit != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}
