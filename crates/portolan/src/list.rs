//! The `list` command: what would be scanned, and how much, without a packet.

mod wide;

use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::SocketAddr;

use portolan_detect::RuleSet;
use portolan_model::spec::{Discovery, Names, Pace};
use portolan_model::target::HostName;
use portolan_model::{
    AddressSet, PortList, PortSet, PortSpec, Protocol, ScanSpec, Technique, Zoned, Zones,
};
use portolan_scan::Plan;
use serde::Serialize;

use crate::args::ListArgs;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::names::Forward;
use crate::places::{self, Gathered};
use crate::terminal::grouped;
use crate::zones::WALKED;
use crate::{request, runner};
use wide::Wide;

/// How many ranges are shown; a list of a million would help nobody.
const RANGES: usize = 12;
/// How many ranges of ports are shown.
const PORT_RANGES: usize = 24;
/// How many pairs of address and port are shown, in the order of scanning.
const PAIRS: usize = 5;

/// What would be scanned.
struct Listing {
    /// The addresses that are asked.
    addresses: AddressSet,
    /// Those that a scan has in its order: it comes by addresses that no host has, and asks nothing.
    in_order: AddressSet,
    /// Over which interfaces some of them are asked, as they were named.
    zones: Zones,
    /// Networks whose hosts are found when the scan starts.
    searched: Vec<String>,
    /// Names that are to be looked up; how many addresses they have is not known.
    names: Vec<HostName>,
    /// What is said of targets that no host can have as its address.
    left_out: Vec<String>,
    ports: PortSpec,
    /// Decides the order.
    seed: u64,
}

/// What `list` prints.
///
/// # Errors
/// As a scan of the same targets and ports.
pub(crate) fn list(args: &ListArgs, config: &Config, stdin: &mut dyn Read) -> Result<String> {
    let found = request::places(&args.targets, &args.ports, config, stdin)?;
    let (ports, techniques) = asked_ports(found.ports, args)?;
    let spec = ScanSpec {
        targets: found.targets,
        exclude: found.exclude,
        ports,
        techniques,
        pace: Pace::default(),
        discovery: Discovery::Auto,
        names: Names::default(),
        seed: args.seed,
        shard: None,
        sweep: None,
    };
    // As a scan gathers them, but that no name is looked up.
    let answers = Forward::new();
    let refused = |error: runner::Error| Failure::new(error.to_string());
    let Gathered {
        all,
        problems,
        mut zones,
        searches,
        ..
    } = places::gather(&spec, &answers, portolan_model::front::Front::Shell).map_err(refused)?;
    let excluded = places::excluded(&spec, &answers).map_err(refused)?;
    let excluded = excluded.over(&zones);
    let searches = places::without(searches, &excluded);
    let all = all.without(&excluded);
    // What cannot be known is found out by the scan; among so many, a few are no news.
    let no_hosts = if all.len() > WALKED {
        AddressSet::default()
    } else {
        portolan_link::no_hosts(&all).unwrap_or_default()
    };
    let addresses = all.without(&no_hosts);
    zones.retain(&addresses);
    let mut left_out: Vec<String> = problems
        .iter()
        .map(|problem| problem.message.clone())
        .collect();
    left_out.extend(no_hosts.ranges().take(RANGES).map(|ends| {
        format!(
            "{}: a broadcast address of this machine's networks, which no host has",
            range(ends)
        )
    }));
    let listing = Listing {
        in_order: all,
        addresses,
        zones,
        searched: searches.into_iter().map(|search| search.target).collect(),
        names: names(&spec),
        left_out,
        ports: spec.ports,
        seed: args.seed.unwrap_or_else(crate::scan::seed),
    };
    let is_empty = listing.addresses.is_empty() && listing.searched.is_empty();
    if is_empty && listing.names.is_empty() {
        if let Some(problem) = problems.into_iter().next() {
            return Err(Failure {
                message: problem.message,
                hint: problem.hint,
            });
        }
        return Err(Failure::new(
            "there is nothing to scan: every target is excluded",
        ));
    }
    if args.json {
        listing
            .json()
            .map_err(|error| Failure::new(format!("cannot write JSON: {}", io::Error::from(error))))
    } else {
        Ok(listing.text())
    }
}

/// The ports of the protocols that a scan of this list asks, and how.
fn asked_ports(list: PortList, args: &ListArgs) -> Result<(PortSpec, Vec<Technique>)> {
    let techniques = args.udp.then_some(Technique::Udp);
    let (ports, techniques) = list.asked(techniques.into_iter().collect());
    request::some_are_left(&ports, &techniques, &args.ports)?;
    let ports = if techniques.is_empty() {
        PortSpec::new(ports.tcp().clone(), PortSet::EMPTY)
    } else {
        ports
    };
    Ok((ports, techniques))
}

/// The names among the targets, each once, that are not excluded.
fn names(spec: &ScanSpec) -> Vec<HostName> {
    let (_, excluded) = runner::without_lookup(&spec.exclude);
    let (_, names) = runner::without_lookup(&spec.targets);
    let left = names.into_iter().filter(|name| !excluded.contains(name));
    left.cloned().collect()
}

impl Listing {
    fn probes(&self) -> Wide {
        let ports = self.ports.tcp().len() + self.ports.udp().len();
        Wide::addresses(&self.addresses).times(u32::try_from(ports).unwrap_or(u32::MAX))
    }

    /// The first pairs in the order in which a scan with this seed asks them, or why they are
    /// not known.
    fn first_pairs(&self) -> std::result::Result<Vec<String>, &'static str> {
        if !self.names.is_empty() {
            return Err("it depends on the addresses of the names");
        }
        if self.addresses.is_empty() {
            return Err("it depends on the hosts that are found");
        }
        // TCP ports come first.
        let mut first = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let ports = self.ports.of(protocol);
            if ports.is_empty() {
                continue;
            }
            let plan = Plan::new(self.in_order.clone(), protocol, ports, self.seed)
                .map_err(|_| "these are more probes than one scan takes, which is 2^63")?;
            let likely = match protocol {
                Protocol::Tcp => portolan_model::services::ranked(protocol).to_vec(),
                Protocol::Udp => crate::detect::payloads(&RuleSet::embedded()).ports(),
            };
            let pairs = portolan_scan::beginning(&plan, &likely);
            let pairs = pairs.filter(|pair| self.addresses.contains(pair.address));
            let pairs = pairs.take(PAIRS);
            first.extend(pairs.map(|pair| {
                let at = match self.zones.zoned(pair.address) {
                    Zoned { zone: None, .. } => {
                        SocketAddr::new(pair.address, pair.port).to_string()
                    }
                    zoned => format!("[{zoned}]:{}", pair.port),
                };
                match protocol {
                    Protocol::Tcp => at,
                    Protocol::Udp => format!("{at}/udp"),
                }
            }));
        }
        Ok(first)
    }

    /// The addresses as they are shown: those of an interface apart from the others.
    fn ranges(&self) -> Vec<String> {
        let links = self.zones.links();
        let plain = links.fold(self.addresses.clone(), |left, link| {
            left.without(&link.addresses)
        });
        let zoned = self.zones.links().flat_map(|link| {
            let ranges = link.addresses.ranges();
            ranges.map(move |ends| format!("{}%{}", range(ends), link.zone))
        });
        plain.ranges().map(range).chain(zoned).collect()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.addresses.is_empty() {
            let _ = writeln!(
                text,
                "addresses  {}",
                grouped(Wide::addresses(&self.addresses))
            );
            let ranges = self.ranges();
            let count = ranges.len();
            text += &shortened(ranges.into_iter(), RANGES, count);
        }
        for target in &self.searched {
            let _ = writeln!(
                text,
                "searched   {target}, on its link when the scan starts"
            );
        }
        if !self.names.is_empty() {
            let _ = writeln!(
                text,
                "names      {}, to be looked up when the scan starts",
                grouped(self.names.len())
            );
            let names = self.names.iter().map(ToString::to_string);
            text += &shortened(names, RANGES, self.names.len());
        }
        for message in &self.left_out {
            let _ = writeln!(text, "left out   {message}");
        }
        for (name, ports) in [("TCP", self.ports.tcp()), ("UDP", self.ports.udp())] {
            if ports.is_empty() {
                continue;
            }
            let _ = writeln!(text, "ports      {} of {name}", grouped(ports.len()));
            let runs = ports.ranges();
            text += &wrapped(runs.iter().copied().map(range), PORT_RANGES, runs.len());
        }
        let at_least = match (self.names.is_empty(), self.searched.is_empty()) {
            (true, true) => "",
            (false, true) => " beside those of the names",
            (true, false) => " beside those of the hosts that are found",
            (false, false) => " beside those of the names and of the hosts that are found",
        };
        let _ = writeln!(text, "probes     {}{at_least}", grouped(self.probes()));
        match self.first_pairs() {
            Ok(first) => {
                let _ = writeln!(text, "order      of seed {}, beginning with", self.seed);
                text += &shortened(first.into_iter(), RANGES, 0);
            }
            Err(why) => {
                let _ = writeln!(text, "order      not shown: {why}");
            }
        }
        text
    }

    fn json(&self) -> std::result::Result<String, serde_json::Error> {
        let shown = Shown {
            addresses: Wide::addresses(&self.addresses).to_string(),
            ranges: self.ranges().into_iter().take(RANGES).collect(),
            ranges_in_all: self.ranges().len(),
            searched: &self.searched,
            names: self.names.iter().map(HostName::as_str).collect(),
            left_out: &self.left_out,
            tcp_ports: self.ports.of(Protocol::Tcp).to_string(),
            tcp_port_count: self.ports.of(Protocol::Tcp).len(),
            udp_ports: self.ports.of(Protocol::Udp).to_string(),
            udp_port_count: self.ports.of(Protocol::Udp).len(),
            probes: self.probes().to_string(),
            seed: self.seed.to_string(),
            first: self.first_pairs().unwrap_or_default(),
            no_order: self.first_pairs().err(),
        };
        serde_json::to_string_pretty(&shown).map(|json| json + "\n")
    }
}

/// The JSON of a listing. Numbers that may pass 2^53 are text, which every reader keeps exact.
#[derive(Serialize)]
struct Shown<'a> {
    addresses: String,
    ranges: Vec<String>,
    ranges_in_all: usize,
    /// Networks whose hosts are found when the scan starts.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    searched: &'a [String],
    names: Vec<&'a str>,
    /// What is said of targets that no host can have as its address.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    left_out: &'a [String],
    tcp_ports: String,
    tcp_port_count: usize,
    udp_ports: String,
    udp_port_count: usize,
    probes: String,
    seed: String,
    first: Vec<String>,
    /// Why `first` is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_order: Option<&'static str>,
}

fn range<T: std::fmt::Display + PartialEq>((first, last): (T, T)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// One item a line, the first few, and how many more there are.
fn shortened(items: impl Iterator<Item = String>, most: usize, in_all: usize) -> String {
    let mut text = String::new();
    for item in items.take(most) {
        let _ = writeln!(text, "           {item}");
    }
    if in_all > most {
        let _ = writeln!(text, "           and {} more", in_all - most);
    }
    text
}

/// Items joined by commas, the first few, in lines of less than 80 columns.
fn wrapped(items: impl Iterator<Item = String>, most: usize, in_all: usize) -> String {
    let mut lines = vec![String::new()];
    let mut items: Vec<String> = items.take(most).collect();
    if in_all > most {
        items.push(format!("and {} more", in_all - most));
    }
    for item in items {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&item),
            Some(line) if line.len() + item.len() + 2 < 68 => {
                line.push_str(", ");
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "           {line}");
    }
    text
}
