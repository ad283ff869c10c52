//! The files that describe the lab's daemons (`xtask/lab/README.md` explains them).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A daemon: what starts it, and what is true of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Daemon {
    /// Its name, and that of its directory.
    pub(crate) name: String,
    /// The package whose version is the truth.
    pub(crate) package: String,
    /// The tree in which it is installed.
    #[serde(default = "main_root")]
    pub(crate) root: String,
    /// A script of the shell.
    pub(crate) start: String,
    /// Where it listens.
    pub(crate) ports: Vec<Port>,
}

fn main_root() -> String {
    "main".to_owned()
}

/// A port of a daemon.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    #[serde(rename = "port")]
    pub(crate) number: u16,
    #[serde(default)]
    pub(crate) protocol: Transport,
    pub(crate) service: Words,
    pub(crate) product: Words,
    /// `None` for the package's.
    pub(crate) version: Option<String>,
    /// Another package whose version may be told here.
    pub(crate) claims: Option<String>,
    #[serde(default)]
    pub(crate) tls: bool,
}

/// TCP or UDP.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    #[default]
    Tcp,
    Udp,
}

impl Transport {
    /// As nmap's XML and `ss` write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A word, or several for the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    pub(crate) fn all(&self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word.clone()],
            Self::Several(words) => words.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    daemon: Vec<Daemon>,
}

/// Reads every daemon file of a directory.
pub(crate) fn read(directory: &Path) -> Result<Vec<Daemon>, String> {
    let entries = fs::read_dir(directory)
        .map_err(|error| format!("cannot read `{}`: {error}", directory.display()))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .filter(|path| path.file_name().is_some_and(|name| name != "roots.toml"))
        .collect();
    paths.sort();
    let mut daemons = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let file: File =
            toml::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))?;
        daemons.extend(file.daemon);
    }
    no_port_twice(&daemons)?;
    Ok(daemons)
}

/// All share one network, so a port has one owner.
fn no_port_twice(daemons: &[Daemon]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for daemon in daemons {
        for port in &daemon.ports {
            if !seen.insert((port.protocol, port.number)) {
                return Err(format!(
                    "`{}` wants port {}/{}, which another daemon has",
                    daemon.name,
                    port.number,
                    port.protocol.name()
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    #[test]
    fn the_lab_has_enough_daemons_and_no_port_has_two_owners() {
        let daemons = read(&root().join("xtask/lab")).unwrap();
        let ports = || daemons.iter().flat_map(|daemon| &daemon.ports);
        let tcp = ports().filter(|port| port.protocol == Transport::Tcp);
        let udp = ports().filter(|port| port.protocol == Transport::Udp);
        assert!(daemons.len() >= 50, "{}", daemons.len());
        assert!(tcp.count() >= 67);
        assert!(udp.count() >= 10);
    }

    #[test]
    fn a_port_with_two_owners_is_refused() {
        let daemon = |name: &str| {
            let text = format!(
                "name = '{name}'\npackage = 'p'\nstart = ''\nports = [{{ port = 7, service = 'echo', product = '' }}]"
            );
            toml::from_str::<Daemon>(&text).unwrap()
        };
        let error = no_port_twice(&[daemon("one"), daemon("two")]).unwrap_err();
        assert_eq!(error, "`two` wants port 7/tcp, which another daemon has");
    }
}
