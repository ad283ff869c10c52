//! The programs that are measured: how each is asked for the same, and how its answer is read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use portolan_testnet::Namespace;

use crate::limit::Job;
use crate::options::Options;
use crate::parse;
use crate::stage::{Stage, on_path};

/// The user and group without rights, in every Debian (base-passwd).
const NOBODY: &str = "65534";

/// A program that is there.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    arguments: fn(Job, &Stage) -> Vec<OsString>,
    /// The open ports in what it prints.
    pub(crate) parse: fn(&str) -> BTreeSet<u16>,
    /// What makes it say its version, unless it is ours and says none.
    pub(crate) version: Option<&'static str>,
}

/// Every tool that is there and asked for, the limit first, then Portolan.
pub(crate) fn all(stage: &Stage, options: &Options) -> Vec<Tool> {
    // A python that a user of root's home installed cannot be started by others.
    let python = PathBuf::from("/usr/bin/python3");
    let tools = [
        stage.program("portolan-bench").map(|program| Tool {
            name: "limit",
            program,
            arguments: |job, _| words(&format!("limit {}", range(job))),
            parse: parse::numbers,
            version: None,
        }),
        stage.program("portolan").map(|program| Tool {
            name: "portolan",
            program,
            arguments: |Job {
                            address,
                            first,
                            last,
                        },
                        _| {
                words(&format!("{address} -p {first}-{last} --json"))
            },
            parse: parse::json_lines,
            version: Some("--version"),
        }),
        on_path("nmap").map(|program| Tool {
            name: "nmap",
            program,
            arguments: |Job {
                            address,
                            first,
                            last,
                        },
                        _| {
                words(&format!("-sT -Pn -n -p{first}-{last} -oG - {address}"))
            },
            parse: parse::grepable,
            version: Some("--version"),
        }),
        stage.program("rustscan").map(|program| Tool {
            name: "rustscan",
            program,
            arguments: |Job {
                            address,
                            first,
                            last,
                        },
                        _| {
                words(&format!(
                    "--no-config --no-banner -g -r {first}-{last} -a {address}"
                ))
            },
            parse: parse::arrow,
            version: Some("--version"),
        }),
        python.is_file().then_some(Tool {
            name: "python",
            program: python,
            arguments: |job, stage| {
                let script = stage.directory().join("pool.py").into_os_string();
                std::iter::once(script).chain(words(&range(job))).collect()
            },
            parse: parse::numbers,
            version: Some("--version"),
        }),
    ];
    let is_wanted = |tool: &Tool| {
        let names = options.tools.as_ref();
        names.is_none_or(|names| names.iter().any(|name| name == tool.name))
    };
    tools.into_iter().flatten().filter(is_wanted).collect()
}

impl Tool {
    /// The command that asks for every port of the job, inside the namespace.
    pub(crate) fn scan(&self, namespace: &Namespace, job: Job, stage: &Stage) -> Command {
        let mut command = self.inside(namespace, stage);
        command.args((self.arguments)(job, stage));
        command
    }

    /// The program inside a namespace, as a user without rights. It ends with this process.
    pub(crate) fn inside(&self, namespace: &Namespace, stage: &Stage) -> Command {
        let mut command = namespace.command("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.args(["--no-new-privs", "--pdeathsig", "KILL"]);
        command.arg(&self.program);
        command.env("HOME", stage.directory()).current_dir("/");
        command
    }
}

fn range(job: Job) -> String {
    format!("{} {} {}", job.address, job.first, job.last)
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}
