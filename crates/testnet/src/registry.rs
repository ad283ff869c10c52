//! Which namespaces exist, so that each is removed however the process ends.
//!
//! A namespace is called `portolan-PID-N`, with the process that made it and a number. The name
//! alone tells when it is an orphan: when no such process runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const PREFIX: &str = "portolan";

/// Where `ip netns` keeps its names (ip-netns(8)).
pub(crate) const DIRECTORY: &str = "/run/netns";

static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A name that no other namespace has, remembered until [`remove`].
pub(crate) fn reserve() -> String {
    SWEEP.call_once(remove_orphans);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{PREFIX}-{}-{number}", std::process::id());
    names().push(name.clone());
    name
}

/// Deletes a namespace. What is in it ends with it, except processes: they keep it alive unseen
/// until they end.
pub(crate) fn remove(name: &str) {
    names().retain(|known| known != name);
    delete(name);
}

/// Deletes every namespace of this process: for a handler of signals, which no `Drop` survives.
pub fn remove_all() {
    for name in std::mem::take(&mut *names()) {
        delete(&name);
    }
}

fn names() -> std::sync::MutexGuard<'static, Vec<String>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deletes what processes left behind that were killed.
fn remove_orphans() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && let Some(owner) = owner(name)
            && !Path::new("/proc").join(owner.to_string()).exists()
        {
            delete(name);
        }
    }
}

/// The process that made a namespace, if its name is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (process, number) = name
        .strip_prefix(PREFIX)?
        .strip_prefix('-')?
        .split_once('-')?;
    number.parse::<u32>().ok()?;
    process.parse().ok()
}

/// Asks for a deletion; there is nothing left to try when it fails.
fn delete(name: &str) {
    let _ = Command::new("ip")
        .args(["netns", "delete", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_process_and_foreign_names_tell_none() {
        assert_eq!(owner("portolan-17-0"), Some(17));
        for foreign in ["portolan", "portolan-17", "portolan-x-1", "other-17-0", ""] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
