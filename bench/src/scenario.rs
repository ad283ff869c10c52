//! The networks, what is to be found in each, and the turns that the tools take on them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use portolan_testnet::{Listeners, Namespace};

use crate::limit::Job;
use crate::measure;
use crate::options::Options;
use crate::path::{self, Path, Quality};
use crate::stage::Stage;
use crate::table::{self, Row};
use crate::tools::Tool;

/// Where the scanners are, and where their target is (RFC 5737, TEST-NET-1).
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A network and a question to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Loopback,
    Firewall,
    Loss,
    List,
    Delay,
}

/// What keeps a network there, until it is dropped.
struct Network {
    /// Where the scanners run.
    here: Namespace,
    _there: Option<Namespace>,
    _path: Option<Path>,
    _listeners: Option<Listeners>,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] = [
        Self::Loopback,
        Self::Firewall,
        Self::Loss,
        Self::List,
        Self::Delay,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Firewall => "firewall",
            Self::Loss => "loss",
            Self::List => "list",
            Self::Delay => "delay",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Loopback => "65,535 ports of loopback, 60 open",
            Self::Firewall => "10,000 ports, a firewall drops all but 20 open ones",
            Self::Loss => "10,000 ports, 100 open, the others closed, 3 % lost each way",
            Self::List => "portolan list 0.0.0.0/0 -p-",
            Self::Delay => {
                "10,000 ports, a firewall drops all but 20 open ones, 60 ms round trip, \
                 1 % lost each way"
            }
        }
    }

    /// The ports that are asked for.
    const fn job(self) -> Job {
        let (address, last) = match self {
            Self::Loopback => (Ipv4Addr::LOCALHOST, u16::MAX),
            Self::List => (Ipv4Addr::UNSPECIFIED, u16::MAX),
            Self::Firewall | Self::Loss | Self::Delay => (THERE, 10_000),
        };
        Job {
            address,
            first: 1,
            last,
        }
    }

    /// The ports that are open, spread at random over those that are asked for.
    fn open_ports(self) -> BTreeSet<u16> {
        let count = match self {
            Self::Loopback => 60,
            Self::Firewall | Self::Delay => 20,
            Self::Loss => 100,
            Self::List => 0,
        };
        let mut chance = 7;
        let mut open = BTreeSet::new();
        while open.len() < count {
            let port = path::next(&mut chance) % u64::from(self.job().last) + 1;
            open.extend(u16::try_from(port));
        }
        open
    }

    /// Runs of Portolan, and of each of the others.
    fn runs(self, options: &Options) -> (usize, usize) {
        let (ours, theirs) = match self {
            Self::Loopback => (20, 20),
            Self::Loss => (20, 3),
            Self::Firewall | Self::Delay | Self::List => (3, 3),
        };
        let ours = options.runs.unwrap_or(ours);
        let theirs = options.peer_runs.or(options.runs).unwrap_or(theirs);
        (ours, theirs.min(ours))
    }

    fn takes_part(self, tool: &Tool) -> bool {
        match (self, tool.name) {
            // A loop that waits for each silent port in turn would take an hour.
            (Self::Firewall | Self::Loss | Self::Delay, "limit") => false,
            (Self::List, name) => name == "portolan",
            _ => true,
        }
    }

    fn network(self) -> Result<Network, String> {
        let here = Namespace::new().map_err(|error| text(&error))?;
        if self == Self::List {
            return Ok(Network {
                here,
                _there: None,
                _path: None,
                _listeners: None,
            });
        }
        let open = self.open_ports();
        let address = self.job().address;
        let sockets = open.iter().map(|&port| SocketAddr::from((address, port)));
        if self == Self::Loopback {
            let listeners = Listeners::start(&here, sockets).map_err(|error| text(&error))?;
            return Ok(Network {
                here,
                _there: None,
                _path: None,
                _listeners: Some(listeners),
            });
        }
        let there = Namespace::new().map_err(|error| text(&error))?;
        let path = if self == Self::Delay {
            let quality = Quality {
                delay: Duration::from_millis(30),
                lost_per_mille: 10,
            };
            Some(Path::new((&here, HERE), (&there, THERE), quality)?)
        } else {
            let (near, far) = (format!("{HERE}/24"), format!("{THERE}/24"));
            portolan_testnet::connect((&here, &near), (&there, &far))
                .map_err(|error| text(&error))?;
            None
        };
        let listeners = Listeners::start(&there, sockets).map_err(|error| text(&error))?;
        let rules = match self {
            Self::Loss => LOSS.to_owned(),
            _ => allow_only(&open),
        };
        there.firewall(&rules).map_err(|error| text(&error))?;
        Ok(Network {
            here,
            _there: Some(there),
            _path: path,
            _listeners: Some(listeners),
        })
    }
}

/// Loses 3 of 100 packets of TCP in each direction.
const LOSS: &str = "table inet bench {
    chain input {
        type filter hook input priority 0;
        meta l4proto tcp numgen random mod 100 < 3 drop;
    }
    chain output {
        type filter hook output priority 0;
        meta l4proto tcp numgen random mod 100 < 3 drop;
    }
}";

/// Drops what comes for any other port.
fn allow_only(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let ports = ports.join(", ");
    format!(
        "table inet bench {{
            chain input {{
                type filter hook input priority 0; policy drop;
                tcp dport {{ {ports} }} accept;
            }}
        }}"
    )
}

fn text(error: &portolan_testnet::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Makes the network, lets the tools take turns, and prints the table.
pub(crate) fn run(
    scenario: Scenario,
    tools: &[Tool],
    stage: &Stage,
    options: &Options,
) -> Result<(), String> {
    let network = scenario.network()?;
    let (our_runs, peer_runs) = scenario.runs(options);
    let tools: Vec<&Tool> = tools
        .iter()
        .filter(|tool| scenario.takes_part(tool))
        .collect();
    let mut rows: Vec<Row> = tools
        .iter()
        .map(|tool| Row::new(tool.name, scenario.open_ports()))
        .collect();
    for round in 0..our_runs {
        for turn in 0..tools.len() {
            // Who comes after whom changes from round to round.
            let index = (turn + round) % tools.len();
            let (Some(tool), Some(row)) = (tools.get(index), rows.get_mut(index)) else {
                continue;
            };
            if round >= peer_runs && tool.name != "portolan" && tool.name != "limit" {
                continue;
            }
            let mut command = if scenario == Scenario::List {
                let mut command = tool.inside(&network.here, stage);
                command.args(["list", "0.0.0.0/0", "-p-"]);
                command
            } else {
                tool.scan(&network.here, scenario.job(), stage)
            };
            table::progress(scenario.name(), round + 1, our_runs, tool.name);
            let run = measure::run(&mut command, options.time_limit)
                .map_err(|error| format!("cannot run {}: {error}", tool.name))?;
            let found = (tool.parse)(&run.stdout);
            row.add(&run, &found);
        }
    }
    table::progress_done();
    table::print(&table::render(scenario.title(), &rows, options.format));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_ports_are_open_as_the_title_says_and_all_are_asked_for() {
        for (scenario, count) in [
            (Scenario::Loopback, 60),
            (Scenario::Firewall, 20),
            (Scenario::Loss, 100),
            (Scenario::Delay, 20),
        ] {
            let open = scenario.open_ports();
            assert_eq!(open.len(), count, "{}", scenario.name());
            assert!(scenario.title().contains(&count.to_string()));
            let job = scenario.job();
            assert!(
                open.iter()
                    .all(|port| (job.first..=job.last).contains(port))
            );
        }
    }

    #[test]
    #[ignore = "needs CAP_NET_ADMIN"]
    fn the_long_path_takes_its_time_and_loses_its_share() {
        let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        let quality = Quality {
            delay: Duration::from_millis(30),
            lost_per_mille: 200,
        };
        let _path = Path::new((&here, HERE), (&there, THERE), quality).unwrap();
        // ping(8) is not on every machine: the kernel's answer to a closed port does as well.
        let connect = |port| {
            let start = crate::clock::now();
            let limit = Duration::from_millis(500);
            let address = SocketAddr::from((THERE, port));
            let answered = here
                .enter(|| std::net::TcpStream::connect_timeout(&address, limit))
                .unwrap()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
            answered.then(|| start.elapsed())
        };
        let answers: Vec<Duration> = (1..=20).filter_map(connect).collect();
        assert!((1..20).contains(&answers.len()), "{answers:?}");
        let least = Duration::from_millis(60);
        assert!(answers.iter().all(|&time| time >= least), "{answers:?}");
    }

    #[test]
    #[ignore = "needs CAP_NET_ADMIN"]
    fn every_network_can_be_made() {
        for scenario in Scenario::ALL {
            if let Err(error) = scenario.network() {
                panic!("{}: {error}", scenario.name());
            }
        }
    }
}
