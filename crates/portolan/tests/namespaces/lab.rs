//! Two machines and a cable, and the scanner on one of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output, Stdio};

use portolan_model::{PortState, Protocol, Reason, ScanRecord};
use portolan_testnet::{Listeners, Namespace, connect};

/// The program under test.
pub(crate) const PORTOLAN: &str = env!("CARGO_BIN_EXE_portolan");

/// The addresses of the machine that is scanned.
pub(crate) const THERE: &str = "192.0.2.2";
pub(crate) const THERE_V6: &str = "2001:db8::2";

/// By connections, also where the rights for more are there: what the kernel says of them is the
/// question here.
pub(crate) const TECHNIQUE: &str = "-sT";

/// A scan that takes longer has hung: it is killed, and its test fails.
const PATIENCE: &str = "120";

/// The machine that scans and the one that is scanned, with both families between them.
pub(crate) struct Lab {
    pub(crate) here: Namespace,
    pub(crate) there: Namespace,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
        connect((&here, "2001:db8::1/64"), (&there, "2001:db8::2/64")).unwrap();
        // Kernels limit their ICMP errors; how a limit is met is a test of its own.
        for setting in ["ipv4.icmp_ratelimit", "ipv6.icmp.ratelimit"] {
            set(&there, setting, "0");
        }
        Self { here, there }
    }

    /// Listens on the other machine, on every address of it.
    pub(crate) fn listen(&self, ports: impl IntoIterator<Item = u16>) -> Listeners {
        listen(&self.there, ports)
    }

    pub(crate) fn scan(&self, args: &[&str]) -> Scan {
        scan(&self.here, args)
    }
}

/// Listens on every address of a machine.
pub(crate) fn listen(on: &Namespace, ports: impl IntoIterator<Item = u16>) -> Listeners {
    let any = |port| SocketAddr::from(([0u16; 8], port));
    Listeners::start(on, ports.into_iter().map(any)).unwrap()
}

/// Filters what comes in (`input`) or goes out (`output`) by rules of nft(8).
pub(crate) fn filter(on: &Namespace, way: &str, rules: &str) {
    let table = format!(
        "table inet {way} {{\nchain {way} {{\ntype filter hook {way} priority 0;\n{rules}\n}}\n}}"
    );
    on.firewall(&table).unwrap();
}

/// Sets a value of sysctl(8) in a namespace.
pub(crate) fn set(namespace: &Namespace, setting: &str, value: &str) {
    let file = format!("/proc/sys/net/{}", setting.replace('.', "/"));
    namespace
        .enter(|| std::fs::write(&file, value))
        .unwrap()
        .unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// How a scan ended.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Scan {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// What was wrong and what helps, without the summary.
    pub(crate) fn complaints(&self) -> String {
        let is_one = |line: &&str| {
            let starts = ["error: ", "warning: ", "hint: "];
            starts.iter().any(|start| line.starts_with(start))
        };
        self.err.split_inclusive('\n').filter(is_one).collect()
    }

    /// What was found, of a scan with `--json`.
    pub(crate) fn record(&self) -> ScanRecord {
        portolan_report::read(&mut self.out.as_bytes()).unwrap_or_else(|error| {
            panic!("{error}: {self:?}");
        })
    }

    pub(crate) fn open(&self, address: &str) -> BTreeSet<u16> {
        let record = self.record();
        let Some(host) = record.hosts.get(&address.parse::<IpAddr>().unwrap()) else {
            return BTreeSet::new();
        };
        let open = host
            .ports
            .iter()
            .filter(|(_, port)| port.state == PortState::Open);
        open.map(|(&(_, port), _)| port).collect()
    }

    pub(crate) fn state(&self, address: &str, port: u16) -> Option<(PortState, Reason)> {
        let record = self.record();
        let host = record.hosts.get(&address.parse::<IpAddr>().unwrap())?;
        host.state_of(Protocol::Tcp, port)
    }
}

/// Runs the program in a namespace, with nothing of this machine's own configuration.
pub(crate) fn scan(namespace: &Namespace, args: &[&str]) -> Scan {
    through(namespace, &[PORTOLAN], args)
}

/// The same, started by another program, which stands before it with its arguments.
pub(crate) fn through(namespace: &Namespace, program: &[&str], args: &[&str]) -> Scan {
    let mut command = namespace.command("timeout");
    command.args(["--kill-after=1", PATIENCE]).args(program);
    let output = bare(&mut command)
        .arg(TECHNIQUE)
        .args(args)
        .output()
        .unwrap();
    Scan::of(&output)
}

/// A command without the environment of whoever runs the tests.
pub(crate) fn bare(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
}

/// Ports far from each other, the same at each run.
pub(crate) fn spread(count: u16, first: u16, last: u16) -> BTreeSet<u16> {
    let step = (last - first) / count;
    (0..count)
        .map(|index| first + index * step + (index * 7) % step)
        .collect()
}
