//! The Debian trees in which the daemons live.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use serde::Deserialize;

use crate::process::{command, run, say, succeeds_quietly};

const MIRROR: &str = "http://deb.debian.org/debian";

/// The release of Debian of a tree that names none.
const RELEASE: &str = "bookworm";

/// Written when all is installed; it holds what was.
const DONE: &str = "lab/installed";

#[derive(Debug, Deserialize)]
struct File {
    root: Vec<Root>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    name: String,
    /// The release of Debian, by its code name.
    #[serde(default = "usual_release")]
    release: String,
    packages: String,
}

fn usual_release() -> String {
    RELEASE.to_owned()
}

/// Makes the trees that are not there yet; where each is.
pub(crate) fn prepare(list: &Path, lab: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let text = fs::read_to_string(list)
        .map_err(|error| format!("cannot read `{}`: {error}", list.display()))?;
    let file: File =
        toml::from_str(&text).map_err(|error| format!("`{}`: {error}", list.display()))?;
    fs::create_dir_all(lab).map_err(|error| format!("cannot make `{}`: {error}", lab.display()))?;
    let missing: Vec<&Root> = file
        .root
        .iter()
        .filter(|root| {
            let done = fs::read_to_string(lab.join(&root.name).join(DONE));
            done.ok().as_deref() != Some(&root.packages)
        })
        .collect();
    for root in &missing {
        bootstrap(&root.release, &base_of(&root.release, lab))?;
    }
    // Downloads wait for the network and unpacking for a core: two trees fill each other's gaps.
    let queue = Mutex::new(missing.into_iter());
    let worker = || -> Result<(), String> {
        loop {
            let next = queue.lock().map_err(|error| error.to_string())?.next();
            let Some(root) = next else { return Ok(()) };
            install(root, &lab.join(&root.name), lab)?;
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(worker);
        let own = worker();
        let other = other
            .join()
            .map_err(|_| "the installation of a tree panicked".to_owned())?;
        own.and(other)
    })?;
    Ok(file
        .root
        .into_iter()
        .map(|root| {
            let path = lab.join(&root.name);
            (root.name, path)
        })
        .collect())
}

/// Where the bare tree of a release is, which the others are copied from.
fn base_of(release: &str, lab: &Path) -> PathBuf {
    lab.join(format!("base-{release}"))
}

fn bootstrap(release: &str, base: &Path) -> Result<(), String> {
    if base.join("etc/debian_version").exists() {
        return Ok(());
    }
    if !succeeds_quietly(command("debootstrap").arg("--version")) {
        return Err("the lab needs debootstrap\nhint: apt-get install debootstrap".to_owned());
    }
    succeeded(
        command("debootstrap")
            .args(["--variant=minbase", release])
            .arg(base)
            .arg(MIRROR),
    )
}

fn install(root: &Root, path: &Path, lab: &Path) -> Result<(), String> {
    say(&format!("installing the tree `{}`", root.name));
    let release = root.release.as_str();
    let base = base_of(release, lab);
    if !path.exists() {
        succeeded(command("cp").arg("--archive").arg(&base).arg(path))?;
    }
    let sources =
        format!("deb {MIRROR} {release} main\ndeb {MIRROR}-security {release}-security main\n");
    put(&path.join("etc/apt/sources.list"), &sources)?;
    put(
        &path.join("etc/hosts"),
        "127.0.0.1 localhost\n127.0.0.1 lab.example lab\n",
    )?;
    // A package's scripts ask this before they start a service.
    let policy = path.join("usr/sbin/policy-rc.d");
    put(&policy, "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("cannot change `{}`: {error}", policy.display()))?;

    // Scripts of packages ask for the host's name; and what they start must not outlive them.
    let script = "set -e
        hostname lab.example
        mount -t proc proc \"$1/proc\"
        chroot \"$1\" apt-get update --quiet
        chroot \"$1\" apt-get install --quiet --yes --no-install-recommends \
            -o DPkg::Options::=--force-unsafe-io -o DPkg::Options::=--force-confold $2
        chroot \"$1\" apt-get clean
        mkdir -p \"$1/lab/tls\"
        chroot \"$1\" openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=lab.example \
            -addext subjectAltName=DNS:lab.example,DNS:localhost \
            -keyout /lab/tls/key.pem -out /lab/tls/cert.pem
        chmod 644 \"$1/lab/tls/key.pem\"";
    succeeded(
        command("timeout")
            .args(["3600", "unshare", "--mount", "--uts", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-c", script, "sh"])
            .arg(path)
            .arg(
                root.packages
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            )
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    put(&path.join(DONE), &root.packages)
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

fn succeeded(command: &mut std::process::Command) -> Result<(), String> {
    if run(command)?.success() {
        Ok(())
    } else {
        Err("the lab could not be installed; what the command said is above".to_owned())
    }
}
