//! What is true of each port of the lab.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::daemon::{Daemon, Transport};
use crate::process::{command, read};

/// The truth of one port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) daemon: String,
    pub(crate) port: u16,
    pub(crate) protocol: Transport,
    /// Names of the service, any of which is right.
    pub(crate) service: Vec<String>,
    /// Parts of the product's name, any of which is right; an empty one allows none to be named.
    pub(crate) product: Vec<String>,
    /// The version that must be found, or `None` where it is hidden.
    pub(crate) version: Option<String>,
    /// A version that may be told although it is not the daemon's own.
    pub(crate) other_version: Option<String>,
    pub(crate) tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>5}/{}{} {} {} {}",
            self.port,
            self.protocol.name(),
            if self.tls { " (TLS)" } else { "" },
            self.service.join("|"),
            self.product.join("|"),
            self.version.as_deref().unwrap_or("hidden"),
        )
    }
}

/// The truth of every port, with versions as dpkg knows them.
pub(crate) fn of(
    daemons: &[Daemon],
    roots: &BTreeMap<String, PathBuf>,
) -> Result<Vec<Endpoint>, String> {
    let mut installed = BTreeMap::new();
    for (name, path) in roots {
        let mut list = command("chroot");
        list.arg(path).args([
            "dpkg-query",
            "--show",
            "--showformat",
            "${Package} ${Version}\n",
        ]);
        installed.insert(name.as_str(), packages(&read(&mut list)?));
    }
    let mut truth = Vec::new();
    for daemon in daemons {
        let packages = installed
            .get(daemon.root.as_str())
            .ok_or_else(|| format!("`{}` wants the tree `{}`", daemon.name, daemon.root))?;
        let version_of = |package: &str| {
            packages
                .get(package)
                .map(|version| upstream(version).to_owned())
                .ok_or_else(|| format!("`{}` needs the package `{package}`", daemon.name))
        };
        for port in &daemon.ports {
            truth.push(Endpoint {
                daemon: daemon.name.clone(),
                port: port.number,
                protocol: port.protocol,
                service: port.service.all(),
                product: port.product.all(),
                version: match port.version.as_deref() {
                    None => Some(version_of(&daemon.package)?),
                    Some("hidden") => None,
                    Some(version) => Some(version.to_owned()),
                },
                other_version: port.claims.as_deref().map(version_of).transpose()?,
                tls: port.tls,
            });
        }
    }
    truth.sort_by_key(|endpoint| (endpoint.protocol, endpoint.port));
    Ok(truth)
}

/// Writes it where other programs can read it.
pub(crate) fn write(truth: &[Endpoint], path: &Path) -> Result<(), String> {
    let text = serde_json::to_string_pretty(truth).map_err(|error| error.to_string())?;
    fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// What was true of the lab that ran last.
pub(crate) fn read_last(path: &Path) -> Result<Vec<Endpoint>, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!(
            "cannot read `{}`: {error}\nhint: the lab writes it when it runs",
            path.display()
        )
    })?;
    serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))
}

/// How many ports there are of TCP and of UDP.
pub(crate) fn count(truth: &[Endpoint]) -> (usize, usize) {
    let tcp = truth
        .iter()
        .filter(|endpoint| endpoint.protocol == Transport::Tcp)
        .count();
    (tcp, truth.len() - tcp)
}

fn packages(list: &str) -> BTreeMap<String, String> {
    list.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(package, version)| (package.to_owned(), version.to_owned()))
        .collect()
}

/// The upstream part of a Debian version (Debian Policy, 5.6.12), without what Debian appends to
/// it when it repacks the source.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(rest, _)| rest);
    let repacked = [
        "+dfsg", "~dfsg", ".dfsg", "+ds", "~ds", "+~", "+git", "+repack",
    ];
    let end = repacked
        .iter()
        .filter_map(|mark| version.find(mark))
        .min()
        .unwrap_or(version.len());
    version.get(..end).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_part_of_a_version_is_what_the_wire_shows() {
        assert_eq!(upstream("1:9.2p1-2+deb12u3"), "9.2p1");
        assert_eq!(upstream("2.2.1~debian-1"), "2.2.1~debian");
        assert_eq!(upstream("1.18.1+ds1-2+b5"), "1.18.1");
        assert_eq!(upstream("5.9.3+dfsg-2"), "5.9.3");
        assert_eq!(upstream("2.42.0"), "2.42.0");
    }
}
