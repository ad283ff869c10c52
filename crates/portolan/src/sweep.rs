//! What a sweep would ask and leave out, without a packet.

use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;

use portolan_model::special::without_special;
use portolan_model::{Protocol, Target};
use portolan_scan::sweep::Space;

use crate::args::SweepArgs;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::terminal::grouped;
use crate::{request, runner, scan};

/// How many pairs of address and port are shown, in the order of asking.
const PAIRS: usize = 5;

/// What `--dry-run` prints.
///
/// # Errors
/// As a sweep of the same targets and ports.
pub(crate) fn dry_run(args: &SweepArgs, config: &Config, stdin: &mut dyn Read) -> Result<String> {
    let spec = request::sweep(args, config, stdin)?;
    let (excluded, excluded_names) = runner::without_lookup(&spec.exclude);
    let (all, names) = runner::without_lookup(&spec.targets);
    let names = names.iter().filter(|name| !excluded_names.contains(name));
    let ranges: Vec<_> = spec
        .targets
        .iter()
        .filter_map(Target::addresses)
        .map(|set| set.without(&excluded))
        .collect();
    let (addresses, special) = without_special(&ranges);
    let excluded = all.len() - all.without(&excluded).len();
    // A sweep comes by them, and asks nothing.
    let no_hosts = portolan_link::no_hosts(&addresses).unwrap_or_default();

    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    row("addresses", grouped(addresses.len() - no_hosts.len()));
    if !no_hosts.is_empty() {
        row(
            "passed over",
            format!(
                " {} that mean all hosts of a network of this machine's",
                grouped(no_hosts.len())
            ),
        );
    }
    if excluded > 0 {
        row("excluded", grouped(excluded));
    }
    for (index, (block, count)) in special.iter().enumerate() {
        let first = if index == 0 { "left out" } else { "" };
        let why = format!("{}: {} ({})", block.block, block.name, block.source);
        row(first, format!("{} of {why}", grouped(*count)));
    }
    if names.clone().next().is_some() {
        row("names", format!("{}, to be looked up", names.count()));
    }
    let ports = spec.ports.of(Protocol::Tcp);
    row(
        "ports",
        format!("{} of TCP: {ports}", grouped(ports.len() as u128)),
    );
    if addresses.is_empty() {
        return Ok(text);
    }
    let seed = spec.seed.unwrap_or_else(scan::seed);
    let space = Space::new(addresses, ports, seed, spec.shard)
        .map_err(|error| Failure::new(error.to_string()))?;
    match spec.shard {
        None => row(
            "probes",
            grouped(space.len() - no_hosts.len() * ports.len() as u128),
        ),
        Some(shard) => row(
            "probes",
            format!("{} in shard {shard}", grouped(space.len())),
        ),
    }
    if let Some(rate) = spec.pace.max_rate {
        let seconds = space.len() / u128::from(rate.get());
        let time = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
        row(
            "time",
            format!(
                "at least {}, each port asked once",
                crate::duration::show(time)
            ),
        );
    }
    let pairs = (0..space.len()).map_while(|position| space.at(position));
    let first = pairs.filter(|pair| !no_hosts.contains(pair.address));
    let first = first.take(PAIRS);
    for (index, pair) in first.enumerate() {
        let name = if index == 0 { "order" } else { "" };
        row(name, SocketAddr::new(pair.address, pair.port).to_string());
    }
    row("seed", seed.to_string());
    Ok(text)
}
