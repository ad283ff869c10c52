//! Daemons while they run: started together, waited for, and killed with all that they started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use portolan_testnet::Namespace;

use super::daemon::{Daemon, Transport};
use super::truth::Endpoint;
use crate::process::say;

/// How often it is looked who listens, and how long that goes on without anything new.
const LOOKS: u32 = 180;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
const LOOKS_WITHOUT_NEWS: u32 = 60;

/// What becomes the first process of a daemon's own namespace of processes: when it is killed,
/// so is everything in there. Arguments: the tree, the daemon's name.
const ENTER: &str = "set -e
    hostname lab.example
    mount -t proc proc \"$1/proc\"
    mount -t tmpfs -o mode=755 tmpfs \"$1/run\"
    mount -t tmpfs -o mode=1777 tmpfs \"$1/tmp\"
    mkdir -p \"$1/dev/shm\" \"$1/run/lock\"
    mount -t tmpfs -o mode=1777 tmpfs \"$1/dev/shm\"
    set +e
    timeout 3600 env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        chroot \"$1\" /bin/sh -c 'cd \"/lab/$0\" && sh ./start' \"$2\"
    exec sleep 3600";

/// The daemons that were started.
#[derive(Debug)]
pub(crate) struct Running {
    children: Vec<Child>,
    listening: BTreeSet<(Transport, u16)>,
    failed: Vec<String>,
}

impl Running {
    /// Starts all of them, and waits until they listen, or no more of them do.
    pub(crate) fn start(
        namespace: &Namespace,
        daemons: &[Daemon],
        roots: &BTreeMap<String, PathBuf>,
        logs: &Path,
    ) -> Result<Self, String> {
        fs::create_dir_all(logs)
            .map_err(|error| format!("cannot make `{}`: {error}", logs.display()))?;
        let mut running = Self {
            children: Vec::new(),
            listening: BTreeSet::new(),
            failed: Vec::new(),
        };
        for daemon in daemons {
            let child = spawn(namespace, daemon, &roots[&daemon.root], logs)?;
            running.children.push(child);
        }
        let wanted: BTreeSet<_> = daemons
            .iter()
            .flat_map(|daemon| &daemon.ports)
            .map(|port| (port.protocol, port.number))
            .collect();
        running.listening = wait(namespace, &wanted)?;
        for daemon in daemons {
            let silent: Vec<String> = daemon
                .ports
                .iter()
                .filter(|port| !running.listening.contains(&(port.protocol, port.number)))
                .map(|port| format!("{}/{}", port.number, port.protocol.name()))
                .collect();
            if !silent.is_empty() {
                let log = log_of(logs, daemon);
                running.failed.push(format!(
                    "{} does not listen on {}; it said: {}",
                    daemon.name,
                    silent.join(", "),
                    last_line(&log),
                ));
            }
        }
        Ok(running)
    }

    /// How many were started.
    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether something listens there.
    pub(crate) fn listens(&self, endpoint: &Endpoint) -> bool {
        self.listening.contains(&(endpoint.protocol, endpoint.port))
    }

    /// What did not start, with why.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &str> {
        self.failed.iter().map(String::as_str)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that ended by itself has nothing left to kill.
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn spawn(
    namespace: &Namespace,
    daemon: &Daemon,
    root: &Path,
    logs: &Path,
) -> Result<Child, String> {
    let directory = root.join("lab").join(&daemon.name);
    let failed = |error| format!("cannot prepare `{}`: {error}", daemon.name);
    fs::create_dir_all(&directory).map_err(failed)?;
    fs::write(directory.join("start"), &daemon.start).map_err(failed)?;
    let log = File::create(log_of(logs, daemon)).map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    namespace
        .command("unshare")
        .args([
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .args(["sh", "-c", ENTER, "sh"])
        .arg(root)
        .arg(&daemon.name)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(failed)
}

fn log_of(logs: &Path, daemon: &Daemon) -> PathBuf {
    logs.join(format!("{}.log", daemon.name))
}

fn last_line(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("nothing").chars().take(200).collect()
}

/// What of `wanted` listens in the end. The kernel is asked and not the daemons, some of which
/// answer one client only.
fn wait(
    namespace: &Namespace,
    wanted: &BTreeSet<(Transport, u16)>,
) -> Result<BTreeSet<(Transport, u16)>, String> {
    let mut found = BTreeSet::new();
    let mut without_news = 0;
    for _ in 0..LOOKS {
        let sockets = namespace
            .run("ss", &["-Hlntu"])
            .map_err(|error| error.to_string())?;
        let now: BTreeSet<_> = listeners(&sockets).intersection(wanted).copied().collect();
        if now == *wanted {
            return Ok(now);
        }
        without_news = if now == found { without_news + 1 } else { 0 };
        if without_news == LOOKS_WITHOUT_NEWS {
            break;
        }
        if now.len() != found.len() {
            say(&format!("{} of {} ports listen", now.len(), wanted.len()));
        }
        found = now;
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(found)
}

/// Reads what `ss -Hlntu` prints: protocol, state, two queues, local address and port.
fn listeners(sockets: &str) -> BTreeSet<(Transport, u16)> {
    sockets
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let protocol = match words.next()? {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            let local = words.nth(3)?;
            Some((protocol, local.rsplit_once(':')?.1.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_what_ss_prints() {
        let sockets = "udp   UNCONN 0      0          127.0.0.1:123        0.0.0.0:*\n\
            tcp   LISTEN 0      511              [::]:6379            [::]:*\n";
        let expected = [(Transport::Tcp, 6379), (Transport::Udp, 123)];
        assert_eq!(listeners(sockets), expected.into_iter().collect());
    }
}
