//! A server that is measured, and the little of HTTP that asks it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A server over a history of its own; both are gone when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    data: PathBuf,
}

impl Server {
    /// Starts it on a free port of loopback and waits until it listens.
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let data = std::env::temp_dir().join(format!("portolan-bench-web-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            BufReader::new(stderr).read_line(&mut said)?;
        }
        let address = said
            .trim()
            .rsplit_once("http://")
            .and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!(
                "the server said `{}`",
                said.trim()
            )));
        };
        Ok(Self {
            address,
            child,
            data,
        })
    }

    /// Reads a path as text.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        self.ask(&format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        ))
    }

    /// Sends JSON and reads JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        let answer = self.ask(&format!(
            "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        ))?;
        Ok(serde_json::from_str(&answer)?)
    }

    fn ask(&self, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") || head.contains(" 201 ") => {
                Ok(body.to_owned())
            }
            _ => Err(io::Error::other(format!("the server answered `{answer}`"))),
        }
    }

    /// Memory that it takes (proc(5), `VmRSS` of `/proc/pid/status`).
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    }

    /// Time on processors so far (proc(5), `utime` and `stime` of `/proc/pid/stat`).
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        // The name in parentheses may hold anything; fields are counted after it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        // Linux counts in hundredths of a second for programs (USER_HZ).
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours and holds nothing worth keeping.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}
