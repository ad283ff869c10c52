//! From options and configuration to a request: what the user asked, checked as a whole.

use std::io::Read;

use portolan_link::Rights;
use portolan_model::spec::{Discovery, Family, Names, Pace, Sweep};
use portolan_model::{PortList, PortSpec, ScanSpec, Shard, Target, Technique, ports::PortError};

use crate::args::{
    NameArgs, PaceArgs, PortArgs, ReverseArgs, ScanArgs, SweepArgs, TargetArgs, TechniqueArgs,
};
use crate::config::Config;
use crate::failure::{Failure, Result, visible};
use crate::targets;

/// The request of a scan. Options win over the configuration file.
///
/// # Errors
/// For the first thing that cannot be done, with a hint where one helps.
pub(crate) fn scan(args: &ScanArgs, config: &Config, stdin: &mut dyn Read) -> Result<ScanSpec> {
    let techniques = techniques(&args.technique)?;
    let Where {
        targets,
        exclude,
        ports,
    } = places(&args.targets, &args.ports, config, stdin)?;
    of_family(&targets, &args.names)?;
    let (ports, techniques) = if args.pace.hosts_only {
        // Hosts are looked for in the same way whatever ports would be asked.
        let is_udp = |technique: &Technique| *technique == Technique::Udp;
        if techniques.iter().all(is_udp) {
            (ports.ports, Vec::new())
        } else {
            (ports.ports, techniques)
        }
    } else {
        ports.asked(techniques)
    };
    some_are_left(&ports, &techniques, &args.ports)?;
    let discovery = if args.pace.hosts_only {
        Discovery::Only
    } else if args.pace.skip_discovery || config.skip_discovery {
        Discovery::Skip
    } else {
        Discovery::Auto
    };
    Ok(ScanSpec {
        targets,
        exclude,
        ports,
        techniques,
        pace: pace(&args.pace, config)?,
        discovery,
        names: names(&args.names, &args.reverse, config),
        seed: args.pace.seed,
        shard: shard(args.pace.shard, args.pace.seed)?,
        sweep: None,
    })
}

/// The request of a sweep.
///
/// # Errors
/// As [`scan`], and where no port is named.
pub(crate) fn sweep(args: &SweepArgs, config: &Config, stdin: &mut dyn Read) -> Result<ScanSpec> {
    if args.ports.ports.is_none() && args.ports.top_ports.is_none() && !args.ports.fast {
        return Err(Failure::new("a sweep needs to be told which ports")
            .hint("name them, as in `-p 443` or `-p 22,80,443`"));
    }
    let Where {
        targets,
        exclude,
        ports,
    } = places(&args.targets, &args.ports, config, stdin)?;
    of_family(&targets, &args.names)?;
    if ports.named.udp {
        return Err(Failure::new("`sweep` asks TCP ports only")
            .hint("leave `U:` out, and scan UDP ports without `sweep`: `portolan --udp TARGET`"));
    }
    let ports = ports.ports;
    some_are_left(&ports, &[Technique::Syn], &args.ports)?;
    if !args.how.dry_run
        && let Rights::Missing(missing) = portolan_link::rights()
    {
        let hint = missing.to_string().replace(
            "or use `--connect`",
            "or scan by connections: `portolan TARGET...`",
        );
        let failure = Failure::new("`sweep`: this process may not send packets of its own");
        return Err(failure.hint(hint));
    }
    let mut names = names(&args.names, &args.reverse, config);
    // Looking up what a sweep finds would take longer than the sweep: only where it is asked for.
    names.reverse = args.reverse.dns;
    Ok(ScanSpec {
        targets,
        exclude,
        ports,
        techniques: vec![Technique::Syn],
        pace: Pace {
            max_rate: args.how.max_rate.or(config.max_rate),
            ..Pace::default()
        },
        discovery: Discovery::Skip,
        names,
        seed: args.how.seed,
        shard: shard(args.how.shard, args.how.seed)?,
        sweep: Some(Sweep {
            probes: args.how.probes,
            max_results: args.how.max_results,
        }),
    })
}

/// A part of a scan is the same part on every machine only with the same seed.
fn shard(shard: Option<Shard>, seed: Option<u64>) -> Result<Option<Shard>> {
    match (shard, seed) {
        (Some(shard), None) => Err(Failure::new(format!(
            "`--shard {shard}` needs `--seed`: each machine would cut the whole in another way"
        ))
        .hint(format!(
            "give all {} machines the same one, as in `--shard {shard} --seed 7`",
            shard.of()
        ))),
        _ => Ok(shard),
    }
}

/// Where to look and at which ports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Where {
    /// Where to look.
    pub(crate) targets: Vec<Target>,
    /// Where not.
    pub(crate) exclude: Vec<Target>,
    /// Which ports.
    pub(crate) ports: PortList,
}

/// Reads targets, exclusions and ports.
///
/// # Errors
/// As [`scan`].
pub(crate) fn places(
    target_args: &TargetArgs,
    port_args: &PortArgs,
    config: &Config,
    stdin: &mut dyn Read,
) -> Result<Where> {
    let mut words = target_args.targets.clone();
    let mut range = None;
    if let [host, first, last] = &words[..]
        && is_number(first)
        && is_number(last)
        && !is_number(host)
    {
        range = Some(host_and_range(host, first, last, port_args)?);
        words.truncate(1);
    }
    if words.is_empty() && target_args.input.is_empty() {
        return Err(Failure::new("no target is given")
            .hint("name one, as in `portolan 127.0.0.1`, or see `portolan --help`"));
    }
    if let [host, port] = &words[..]
        && let Some(failure) = host_and_port(host, port, port_args)
    {
        return Err(failure);
    }
    let targets = targets::gather(&words, &target_args.input, stdin)?;
    if targets.is_empty() {
        return Err(Failure::new(
            "there is nothing to scan: the target files hold no target",
        ));
    }
    let mut exclude = targets::exclusions(&config.exclude, &[]).map_err(|failure| Failure {
        message: format!(
            "in `exclude` of the configuration file: {}",
            failure.message
        ),
        ..failure
    })?;
    exclude.extend(targets::exclusions(
        &target_args.exclude,
        &target_args.exclude_file,
    )?);
    let ports = match range {
        Some(range) => range,
        None => chosen_ports(port_args, config)?,
    };
    Ok(Where {
        targets,
        exclude,
        ports: without_excluded(&ports, port_args, config)?,
    })
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `HOST FIRST LAST`.
fn host_and_range(host: &str, first: &str, last: &str, args: &PortArgs) -> Result<PortList> {
    if args.ports.is_some() || args.top_ports.is_some() || args.fast {
        return Err(Failure::new(format!(
            "the ports are given twice: as `{first} {last}` and by an option"
        ))
        .hint("leave one of them out"));
    }
    let target: Target = host.parse().map_err(|error| target_failure(&error))?;
    if !target.is_single() {
        return Err(Failure::new(format!(
            "`{host} {first} {last}` gives a range of ports to more than one host"
        ))
        .hint(format!("write `{host} -p {first}-{last}`")));
    }
    format!("{first}-{last}")
        .parse()
        .map_err(|error| port_failure(&error))
}

/// What is said of a host and one number, which is no target.
fn host_and_port(host: &str, port: &str, args: &PortArgs) -> Option<Failure> {
    let is_host = !is_number(host) && host.parse::<Target>().is_ok();
    let number: u16 = port.parse().ok().filter(|&number| number > 0)?;
    is_host.then(|| {
        Failure::new(format!("`{number}` is a port, not a target")).hint(match &args.ports {
            Some(others) => format!("write `{host} -p {},{number}`", visible(others)),
            None => format!("write `{host} -p {number}`"),
        })
    })
}

/// An address of the other family than the options ask for would be left out in silence.
fn of_family(targets: &[Target], args: &NameArgs) -> Result<()> {
    let (option, wanted) = match (args.ipv4, args.ipv6) {
        (true, _) => ("-4", "IPv4"),
        (_, true) => ("-6", "IPv6"),
        _ => return Ok(()),
    };
    let other = targets.iter().find(|target| match target.unzoned() {
        Target::Address(address)
        | Target::Network {
            network: address, ..
        }
        | Target::Range { first: address, .. } => address.is_ipv4() == args.ipv6,
        Target::Octets(_) => args.ipv6,
        Target::Name(_) | Target::Zoned { .. } => false,
    });
    other.map_or(Ok(()), |target| {
        Err(Failure::new(format!(
            "`{target}` is not {wanted}, which `{option}` asks for"
        ))
        .hint(format!("leave out `{option}`, or the target")))
    })
}

fn target_failure(error: &portolan_model::target::TargetError) -> Failure {
    Failure {
        message: visible(&error.to_string()),
        hint: error.hint().map(|hint| visible(&hint)),
    }
}

fn port_failure(error: &PortError) -> Failure {
    Failure {
        message: visible(&error.to_string()),
        hint: error.hint(),
    }
}

fn chosen_ports(args: &PortArgs, config: &Config) -> Result<PortList> {
    let refused = |error: PortError| port_failure(&error);
    let top = |count| PortSpec::top(count).map(PortList::from).map_err(refused);
    if let Some(ports) = &args.ports {
        ports.parse().map_err(refused)
    } else if let Some(count) = args.top_ports {
        top(count)
    } else if args.fast {
        top(100)
    } else {
        let common = || PortSpec::common().into();
        Ok(config.ports.clone().unwrap_or_else(common))
    }
}

fn without_excluded(list: &PortList, args: &PortArgs, config: &Config) -> Result<PortList> {
    let mut left = list.ports.clone();
    if let Some(exclude) = &config.exclude_ports {
        left = left.without(exclude);
    }
    if let Some(exclude) = &args.exclude_ports {
        let exclude: PortSpec = exclude.parse().map_err(|error| port_failure(&error))?;
        left = left.without(&exclude);
    }
    if left.tcp().is_empty() && left.udp().is_empty() {
        return Err(Failure::new(
            "there is nothing to scan: every port is excluded",
        ));
    }
    Ok(PortList {
        ports: left,
        named: list.named,
    })
}

/// Whether a protocol that is asked has ports left.
///
/// # Errors
/// Where none has.
pub(crate) fn some_are_left(
    ports: &PortSpec,
    techniques: &[Technique],
    args: &PortArgs,
) -> Result<()> {
    let has_udp = techniques.contains(&Technique::Udp);
    let udp_is_left = has_udp && !ports.udp().is_empty();
    // UDP is asked for, and would not be asked.
    let misses_udp = has_udp && !udp_is_left && args.exclude_ports.is_none();
    if udp_is_left || (!ports.tcp().is_empty() && !misses_udp) {
        return Ok(());
    }
    if args.exclude_ports.is_some() {
        return Err(Failure::new(
            "there is nothing to scan: every port is excluded",
        ));
    }
    let list = visible(args.ports.as_deref().unwrap_or("the list of ports"));
    if misses_udp && !ports.tcp().is_empty() {
        return Err(Failure::new(format!(
            "`{list}` holds no UDP port, and `--udp` asks for some"
        ))
        .hint(format!(
            "name UDP ports, as in `-p {list},U:53,161`, or leave `--udp` out"
        )));
    }
    let failure = Failure::new(format!(
        "there is nothing to scan: `{list}` holds no {} port",
        if has_udp { "UDP" } else { "TCP" }
    ));
    Err(if has_udp {
        failure.hint("name UDP ports, as in `-p 53,123,161`, or leave `--udp` out")
    } else {
        failure.hint("name TCP ports, as in `-p 22,80`; UDP ports are asked with `--udp`")
    })
}

/// How ports are asked; nothing for the best way that the rights allow. What needs rights that
/// this process does not have is refused before anything is sent.
fn techniques(args: &TechniqueArgs) -> Result<Vec<Technique>> {
    let mut techniques = Vec::new();
    if args.connect {
        techniques.push(Technique::Connect);
    }
    if args.syn {
        match portolan_link::rights() {
            Rights::Raw => techniques.push(Technique::Syn),
            Rights::Missing(missing) => {
                let failure = Failure::new("`--syn`: this process may not send packets of its own");
                return Err(failure.hint(missing.to_string()));
            }
        }
    }
    if args.udp {
        techniques.push(Technique::Udp);
    }
    Ok(techniques)
}

/// Whether a scan that sends packets of its own may go on.
///
/// # Errors
/// Where this process lacks the rights.
pub(crate) fn may_send_packets() -> Result<()> {
    match portolan_link::rights() {
        Rights::Raw => Ok(()),
        Rights::Missing(missing) => Err(Failure::new(
            "this process may not send packets of its own, as the scan to go on with does",
        )
        .hint(missing.to_string().replace(", or use `--connect`", ""))),
    }
}

fn pace(args: &PaceArgs, config: &Config) -> Result<Pace> {
    let pace = Pace {
        timeout: args.timeout.or(config.timeout),
        concurrency: args.concurrency.or(config.concurrency),
        max_rate: args.max_rate.or(config.max_rate),
        min_rate: args.min_rate.or(config.min_rate),
        retries: args.retries.or(config.retries),
        host_timeout: args.host_timeout.or(config.host_timeout),
        udp_budget: args.udp_budget.or(config.udp_budget),
        // A time that is asked for here stands against a file that asks for certainty.
        udp_certain: args.udp_certain || (config.udp_certain && args.udp_budget.is_none()),
        template: args.timing.or(config.timing).unwrap_or_default(),
    };
    if let (Some(min), Some(max)) = (pace.min_rate, pace.max_rate)
        && min > max
    {
        let told = |name: &str, is_option: bool, rate| {
            if is_option {
                format!("--{name} {rate}")
            } else {
                format!("`{name} = {rate}` of the configuration file")
            }
        };
        let min = told("min-rate", args.min_rate.is_some(), min);
        let max = told("max-rate", args.max_rate.is_some(), max);
        return Err(Failure::new(format!("{min} is above {max}"))
            .hint("the lowest rate cannot be above the highest"));
    }
    Ok(pace)
}

fn names(args: &NameArgs, reverse: &ReverseArgs, config: &Config) -> Names {
    Names {
        all: args.resolve_all || config.resolve_all,
        family: match (args.ipv4, args.ipv6) {
            (true, _) => Some(Family::Ipv4),
            (_, true) => Some(Family::Ipv6),
            _ => None,
        },
        reverse: reverse.dns || !(reverse.no_dns || config.no_dns),
    }
}
