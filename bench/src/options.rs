//! What to measure, and how often.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::limit::Job;
use crate::scenario::Scenario;
use crate::table::Format;
use crate::web::WebOptions;

pub(crate) const HELP: &str = "\
Measures Portolan next to other scanners, on networks of namespaces on this machine.

cargo xtask bench [OPTIONS] [SCENARIO]...
cargo xtask bench [OPTIONS] web

Scenarios (all of them if none is named):
  loopback    65,535 ports of loopback, 60 of them open
  firewall    10,000 ports behind a firewall that drops all but 20
  loss        10,000 ports, 100 open, the others closed, 3 % of packets lost each way
  list        `portolan list 0.0.0.0/0 -p-`
  delay       as firewall, with a round trip of 60 ms and 1 % of packets lost each way

web measures the web app: its start, its memory, how soon a page hears of an open port, and what
watchers cost the scan that they watch. It scans loopback alone.

Options:
  --runs N               runs of each tool; by default 20, or 3 where it takes long
  --peer-runs N          runs of tools other than portolan, at the most as many as --runs
  --time-limit SECONDS   after which a run is stopped; 120 by default
  --tools NAME,...       only these: limit, portolan, nmap, rustscan, python
  --portolan PATH        the binary; by default the one built next to this program
  --watchers N           of the web app; 100 by default
  --markdown             tables for docs/performance.md
  -h, --help             this text

cargo xtask bench race [OPTIONS] [NETWORK]...

Scanners that send packets of their own (as root), over simulated networks:
lan, lossy, very-lossy, bottleneck, filtered, rst-limited, nat, sparse-20; the same over IPv6:
lan-v6, lossy-v6, filtered-v6; one port of a large network: sweep-14; of UDP: udp-limited,
udp-one-a-second, udp-hosts.
Takes --runs (3 by default), --time-limit, --tools, --portolan, --markdown, and
  --charts DIRECTORY     draws race-NETWORK.svg there
";

/// What the user asks for.
pub(crate) enum Request {
    Help,
    Measure(Options),
    /// Scanners that send packets of their own, over simulated networks.
    Race(crate::race::Options),
    /// The web app.
    Web(WebOptions),
    /// This program as the bare loop that the others are held against; started by itself.
    Limit(Job),
}

pub(crate) struct Options {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) runs: Option<usize>,
    pub(crate) peer_runs: Option<usize>,
    pub(crate) time_limit: Duration,
    pub(crate) tools: Option<Vec<String>>,
    pub(crate) portolan: Option<PathBuf>,
    pub(crate) format: Format,
}

/// Reads the command line.
pub(crate) fn read(mut parser: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut options = Options {
        scenarios: Vec::new(),
        runs: None,
        peer_runs: None,
        time_limit: Duration::from_mins(2),
        tools: None,
        portolan: None,
        format: Format::Terminal,
    };
    let (mut watchers, mut is_web) = (100, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("runs") => options.runs = Some(count(&mut parser)?),
            Long("peer-runs") => options.peer_runs = Some(count(&mut parser)?),
            Long("time-limit") => {
                options.time_limit = Duration::from_secs(parser.value()?.parse()?);
            }
            Long("tools") => {
                let names = parser.value()?.string()?;
                options.tools = Some(names.split(',').map(str::to_owned).collect());
            }
            Long("portolan") => options.portolan = Some(parser.value()?.into()),
            Long("watchers") => watchers = count(&mut parser)?,
            Long("markdown") => options.format = Format::Markdown,
            Long("help") | Short('h') => return Ok(Request::Help),
            Value(word) if word == "race" => {
                return Ok(Request::Race(crate::race::read(&mut parser)?));
            }
            Value(word) if word == "web" => is_web = true,
            Value(word) if word == "limit" => {
                return Ok(Request::Limit(Job {
                    address: parser.value()?.parse::<Ipv4Addr>()?,
                    first: parser.value()?.parse()?,
                    last: parser.value()?.parse()?,
                }));
            }
            Value(word) => {
                let word = word.string()?;
                let scenario = Scenario::ALL
                    .into_iter()
                    .find(|scenario| scenario.name() == word)
                    .ok_or_else(|| format!("there is no scenario `{word}`; see --help"))?;
                options.scenarios.push(scenario);
            }
            Long(_) | Short(_) => return Err(argument.unexpected()),
        }
    }
    if is_web {
        return Ok(Request::Web(WebOptions {
            runs: options.runs.unwrap_or(5),
            watchers,
            portolan: options.portolan,
            format: options.format,
        }));
    }
    if options.scenarios.is_empty() {
        options.scenarios = Scenario::ALL.to_vec();
    }
    Ok(Request::Measure(options))
}

fn count(parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    match parser.value()?.parse()? {
        0 => Err("0 runs measure nothing".into()),
        count => Ok(count),
    }
}
