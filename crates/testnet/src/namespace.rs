//! A network namespace, links between two, and what runs inside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::registry;

/// What keeps this process from making namespaces, or `None` when nothing does.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    ["ip", "nft"]
        .into_iter()
        .find(|program| !is_on_path(program))
        .map(|program| format!("network namespaces need the program `{program}`"))
}

fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A network namespace with its loopback up and nothing else in it; gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// How many links it has: the next one is called `eth` and this number.
    links: AtomicU32,
}

impl Namespace {
    /// Makes an empty one.
    ///
    /// # Errors
    /// [`Error::Start`] without `ip`, [`Error::Failed`] without the right to make one.
    pub fn new() -> Result<Self> {
        let namespace = Self {
            name: registry::reserve(),
            links: AtomicU32::new(0),
        };
        checked(Command::new("ip").args(["netns", "add", &namespace.name]))?;
        namespace.run("ip", &["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. `ip` replaces itself by the program, so the child is the
    /// program and its usage of memory and time are the program's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program inside to its end; what it wrote to standard output.
    ///
    /// # Errors
    /// [`Error::Start`], and [`Error::Failed`] for any other status than 0.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        checked(self.command(program).args(arguments))
    }

    /// Loads nftables rules, in the language of `nft -f` (nft(8)), next to those that are there.
    ///
    /// # Errors
    /// [`Error::Failed`] with what `nft` says of rules that it does not take.
    pub fn firewall(&self, rules: &str) -> Result<()> {
        let mut command = self.command("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let line = describe(&command);
        let failed_to_start = |source| Error::Start {
            command: line.clone(),
            source,
        };
        let mut child = command.spawn().map_err(failed_to_start)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it has read all closes the pipe; its status says why.
            let _ = stdin.write_all(rules.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed_to_start)?;
        text_of(line, &output).map(drop)
    }

    /// Does something on a new thread inside the namespace. A socket or a device that is opened
    /// there stays in the namespace, wherever it is used afterwards.
    ///
    /// # Errors
    /// [`Error::Enter`] when the kernel does not let the thread in.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || -> io::Result<T> {
            let file = File::open(Path::new(registry::DIRECTORY).join(&self.name))?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        let result = thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        result.map_err(|source| Error::Enter {
            name: self.name.clone(),
            source,
        })
    }

    fn next_link(&self) -> String {
        format!("eth{}", self.links.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        registry::remove(&self.name);
    }
}

/// Joins two namespaces by a veth pair (veth(4)), each end with an address and its prefix, such
/// as `192.0.2.1/24` or `2001:db8::1/64`. The first link of a namespace is called `eth0`.
///
/// # Errors
/// [`Error::Failed`] with what `ip` says.
pub fn connect(here: (&Namespace, &str), there: (&Namespace, &str)) -> Result<()> {
    let (near, far) = (here.0.next_link(), there.0.next_link());
    checked(Command::new("ip").args([
        "link",
        "add",
        &near,
        "netns",
        &here.0.name,
        "type",
        "veth",
        "peer",
        "name",
        &far,
        "netns",
        &there.0.name,
    ]))?;
    for ((namespace, address), link) in [(here, &near), (there, &far)] {
        let mut arguments = vec!["address", "add", address, "dev", link];
        if address.contains(':') {
            // Else the address cannot be used until the search for duplicates ends (RFC 4862, 5.4).
            arguments.push("nodad");
        }
        namespace.run("ip", &arguments)?;
        namespace.run("ip", &["link", "set", link, "up"])?;
    }
    Ok(())
}

/// Runs a command to its end; its standard output when it ends with status 0.
fn checked(command: &mut Command) -> Result<String> {
    let line = describe(command);
    match command.stdin(Stdio::null()).output() {
        Ok(output) => text_of(line, &output),
        Err(source) => Err(Error::Start {
            command: line,
            source,
        }),
    }
}

fn text_of(command: String, output: &std::process::Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        command,
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
