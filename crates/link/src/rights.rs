//! Whether this process may send raw packets, and giving that right up.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, no_new_privs, set_capabilities,
};

use crate::closing::PacketSocket;

/// Whether packets of our own may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// They may: `CAP_NET_RAW` is there.
    Raw,
    /// They may not.
    Missing(Missing),
}

impl Rights {
    /// Whether SYN scans are possible.
    pub const fn may_send_packets(&self) -> bool {
        matches!(self, Self::Raw)
    }
}

/// What is missing, and how to get it; printed, it is a hint for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// This program's file, where it can be told.
    pub program: Option<PathBuf>,
    /// Whether the process may never gain rights from a file, as in a locked-down container or
    /// service.
    pub is_locked: bool,
}

impl Missing {
    fn of_this_process() -> Self {
        Self {
            program: std::env::current_exe().ok(),
            is_locked: no_new_privs().unwrap_or(false),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_locked {
            return f.write_str(
                "this process cannot gain rights: start it with CAP_NET_RAW, or use `--connect`",
            );
        }
        f.write_str("run `sudo setcap cap_net_raw+ep ")?;
        match &self.program {
            Some(path) => write!(f, "{}", quoted(&path.to_string_lossy()))?,
            None => f.write_str("PATH")?,
        }
        f.write_str("` once, or use `--connect`")
    }
}

/// Quoted for a shell where needed.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    if path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// Looks whether this process may open packet sockets, by opening one that receives nothing.
pub fn rights() -> Rights {
    let flags = SocketFlags::CLOEXEC;
    let opened = rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None);
    match opened {
        Ok(socket) => {
            drop(PacketSocket::new(socket));
            Rights::Raw
        }
        Err(_) => Rights::Missing(Missing::of_this_process()),
    }
}

/// What a socket that was refused means.
pub(crate) fn missing_after(error: Errno) -> Option<Missing> {
    matches!(error, Errno::PERM | Errno::ACCESS).then(Missing::of_this_process)
}

/// Gives every capability of the calling thread up, for good. Sockets that are open stay so.
///
/// Capabilities belong to threads: threads that this one starts later have none, and threads
/// that run already keep theirs. Without capabilities, even the user root reads and writes only
/// the files that are root's.
///
/// # Errors
/// What the system said; it lets every process give rights up.
pub fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    match clear_ambient_capability_set() {
        // Kernels before 4.3 have no ambient set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}

/// What a thread may still do after [`limit_capabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Read and write files of others, as root must who is to write results into the directory
    /// of a user.
    Files,
    /// And open raw sockets.
    FilesAndPackets,
    /// And bind to ports below 1024: for a server.
    Server,
}

impl Limit {
    const fn kept(self) -> CapabilitySet {
        let files = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);
        let packets = files.union(CapabilitySet::NET_RAW);
        match self {
            Self::Files => files,
            Self::FilesAndPackets => packets,
            Self::Server => packets.union(CapabilitySet::NET_BIND_SERVICE),
        }
    }
}

/// Gives up, for good, every capability of the calling thread but those that the limit leaves.
/// None is gained. As with [`drop_capabilities`], threads that run already keep theirs.
///
/// # Errors
/// What the system said; it lets every process give rights up.
pub fn limit_capabilities(limit: Limit) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    match clear_ambient_capability_set() {
        // Kernels before 4.3 have no ambient set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let kept = limit.kept();
    set_capabilities(
        None,
        CapabilitySets {
            effective: now.effective.intersection(kept),
            permitted: now.permitted.intersection(kept),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The capabilities that the kernel shows of the calling thread: permitted and effective.
    fn shown() -> [u64; 2] {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        ["CapPrm:", "CapEff:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
        })
    }

    #[test]
    fn the_kernel_shows_none_after_they_are_dropped_also_for_root() {
        let after = std::thread::spawn(|| {
            drop_capabilities().unwrap();
            shown()
        });
        assert_eq!(after.join().unwrap(), [0, 0]);
    }

    #[test]
    fn a_limit_leaves_no_more_than_it_says_and_gains_nothing() {
        for limit in [Limit::Server, Limit::FilesAndPackets, Limit::Files] {
            let (before, after) = std::thread::spawn(move || {
                let before = shown();
                limit_capabilities(limit).unwrap();
                (before, shown())
            })
            .join()
            .unwrap();
            let kept = limit.kept().bits();
            assert_eq!(after, before.map(|set| set & kept), "{limit:?}");
        }
    }

    #[test]
    fn a_limit_cannot_be_taken_back() {
        let after = std::thread::spawn(|| {
            limit_capabilities(Limit::Files).unwrap();
            limit_capabilities(Limit::Server).unwrap();
            rights()
        });
        assert!(!after.join().unwrap().may_send_packets());
    }

    #[test]
    fn the_hint_is_the_command_to_run() {
        let mut missing = Missing {
            program: Some("/usr/bin/portolan".into()),
            is_locked: false,
        };
        assert_eq!(
            missing.to_string(),
            "run `sudo setcap cap_net_raw+ep /usr/bin/portolan` once, or use `--connect`"
        );
        missing.program = Some("/home/it's me/portolan".into());
        assert_eq!(
            missing.to_string(),
            r"run `sudo setcap cap_net_raw+ep '/home/it'\''s me/portolan'` once, or use `--connect`"
        );
    }

    #[test]
    fn where_setcap_would_not_help_the_hint_does_not_name_it() {
        let missing = Missing {
            program: None,
            is_locked: true,
        };
        assert!(!missing.to_string().contains("setcap"));
    }

    #[test]
    fn dropped_capabilities_are_gone() {
        let after = std::thread::spawn(|| {
            drop_capabilities().unwrap();
            (rights(), rustix::thread::capabilities(None).unwrap())
        });
        let (rights, sets) = after.join().unwrap();
        assert!(!rights.may_send_packets());
        assert!(sets.permitted.is_empty() && sets.effective.is_empty());
    }
}
