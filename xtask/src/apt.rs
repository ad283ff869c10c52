//! The Debian packages that tests use, installed where they are missing.

use std::process::Command;

use crate::process::{command, is_root, run, say, succeeds_quietly};
use crate::tally::Tally;

/// Package, and what it is for: a test that needs another program adds it here.
const PACKAGES: &[(&str, &str)] = &[
    ("chromium", "tests of the web pages in a browser"),
    ("chromium-driver", "tests of the web pages in a browser"),
    ("iproute2", "network namespaces"),
    ("libnmap-parser-perl", "a reader of our XML"),
    ("libxml2-utils", "our XML against its document type"),
    ("ndiff", "a reader of our XML"),
    ("nftables", "firewalls in network namespaces"),
    ("nmap", "the document type of our XML; comparisons"),
    (
        "python3-venv",
        "programs from PyPI: readers of our XML, a tester of our API",
    ),
];

/// Installs what is missing; needs root and Debian's tools, and asks nothing of the network when
/// all is there.
pub(crate) fn install() -> Result<Tally, String> {
    if !succeeds_quietly(command("dpkg-query").arg("--version")) {
        say("skipped: this is no Debian, tests that need its packages may be skipped or fail");
        return Ok(Tally::SKIPPED);
    }
    let missing = missing()?;
    if missing.is_empty() {
        say("all are installed");
        return Ok(Tally::PASSED);
    }
    for (package, purpose) in PACKAGES {
        if missing.contains(package) {
            say(&format!("missing: {package} ({purpose})"));
        }
    }
    if !is_root() {
        say("skipped: installing them needs root");
        return Ok(Tally::SKIPPED);
    }
    if !run(apt_get(&["install", "--yes", "--no-install-recommends"]).args(&missing))?.success() {
        // A fresh machine has no lists of packages, an old one has lists of packages that are gone.
        say("trying again with new lists of packages");
        run(&mut apt_get(&["update"]))?;
        run(apt_get(&["install", "--yes", "--no-install-recommends"]).args(&missing))?;
    }
    Ok(Tally::one(self::missing()?.is_empty()))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut apt_get = command("apt-get");
    apt_get
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt_get
}

fn missing() -> Result<Vec<&'static str>, String> {
    let output = command("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${Status}\n"])
        .args(PACKAGES.iter().map(|(package, _)| package))
        .output()
        // It fails when it knows nothing of a package; what it does know is still printed.
        .map_err(|error| format!("cannot run `dpkg-query`: {error}"))?;
    Ok(missing_from(&String::from_utf8_lossy(&output.stdout)))
}

fn missing_from(listing: &str) -> Vec<&'static str> {
    let is_installed = |package: &str| {
        listing.lines().any(|line| {
            line.split_once(' ')
                .is_some_and(|(name, status)| name == package && status.ends_with(" installed"))
        })
    };
    PACKAGES
        .iter()
        .map(|(package, _)| *package)
        .filter(|package| !is_installed(package))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_was_removed_or_never_known_is_missing() {
        let listing = "iproute2 install ok installed\n\
            nftables install ok installed\nlibxml2-utils install ok installed\n\
            python3-venv install ok installed\nlibnmap-parser-perl install ok installed\n\
            chromium install ok installed\nchromium-driver install ok installed\n\
            ndiff deinstall ok config-files\n";
        assert_eq!(missing_from(listing), ["ndiff", "nmap"]);
    }
}
