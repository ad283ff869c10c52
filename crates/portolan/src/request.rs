//! From options and configuration to a request: what the user asked, checked as a whole.

use std::io::Read;

use portolan_link::Rights;
use portolan_model::spec::{Discovery, Family, Names, Pace};
use portolan_model::{PortSpec, Protocol, ScanSpec, Target, Technique, ports::PortError};

use crate::args::{NameArgs, PaceArgs, PortArgs, ReverseArgs, ScanArgs, TargetArgs, TechniqueArgs};
use crate::config::Config;
use crate::failure::{Failure, Result, visible};
use crate::targets;

/// The request of a scan. Options win over the configuration file.
///
/// # Errors
/// For the first thing that cannot be done, with a hint where one helps.
pub(crate) fn scan(args: &ScanArgs, config: &Config, stdin: &mut dyn Read) -> Result<ScanSpec> {
    refuse_techniques(&args.technique)?;
    let technique = technique(&args.technique)?;
    let Where {
        targets,
        exclude,
        ports,
    } = places(&args.targets, &args.ports, config, stdin)?;
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
        techniques: vec![technique],
        pace: pace(&args.pace, config)?,
        discovery,
        names: names(&args.names, &args.reverse, config),
        seed: args.pace.seed,
    })
}

/// Where to look and at which ports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Where {
    /// Where to look.
    pub(crate) targets: Vec<Target>,
    /// Where not.
    pub(crate) exclude: Vec<Target>,
    /// Which ports: at least one of TCP.
    pub(crate) ports: PortSpec,
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
fn host_and_range(host: &str, first: &str, last: &str, args: &PortArgs) -> Result<PortSpec> {
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

fn chosen_ports(args: &PortArgs, config: &Config) -> Result<PortSpec> {
    let refused = |error: PortError| port_failure(&error);
    if let Some(ports) = &args.ports {
        ports.parse().map_err(refused)
    } else if let Some(count) = args.top_ports {
        PortSpec::top(count).map_err(refused)
    } else if args.fast {
        PortSpec::top(100).map_err(refused)
    } else {
        Ok(config.ports.clone().unwrap_or_else(PortSpec::common))
    }
}

fn without_excluded(ports: &PortSpec, args: &PortArgs, config: &Config) -> Result<PortSpec> {
    let mut left = ports.clone();
    if let Some(exclude) = &config.exclude_ports {
        left = left.without(exclude);
    }
    if let Some(exclude) = &args.exclude_ports {
        let exclude: PortSpec = exclude.parse().map_err(|error| port_failure(&error))?;
        left = left.without(&exclude);
    }
    match (
        left.of(Protocol::Tcp).is_empty(),
        ports.of(Protocol::Tcp).is_empty(),
    ) {
        (false, _) => Ok(left),
        (true, true) => Err(Failure::new(format!(
            "there is nothing to scan: `{}` holds no TCP port",
            visible(args.ports.as_deref().unwrap_or("the list of ports"))
        ))
        .hint("this build scans TCP ports only")),
        (true, false) => Err(Failure::new(
            "there is nothing to scan: every port is excluded",
        )),
    }
}

/// How ports are asked. What needs rights that this process does not have is refused before
/// anything is sent.
fn technique(args: &TechniqueArgs) -> Result<Technique> {
    if !args.syn {
        return Ok(Technique::Connect);
    }
    match portolan_link::rights() {
        Rights::Raw => Ok(Technique::Syn),
        Rights::Missing(missing) => Err(Failure::new(
            "`--syn`: this process may not send packets of its own",
        )
        .hint(missing.to_string())),
    }
}

/// What this build cannot do is refused, never left out in silence.
fn refuse_techniques(args: &TechniqueArgs) -> Result<()> {
    if args.udp {
        return Err(Failure::new("`--udp` (`-sU`): there are no UDP scans yet")
            .hint("this build scans TCP ports, by connect or by SYN: leave the option out"));
    }
    Ok(())
}

fn pace(args: &PaceArgs, config: &Config) -> Result<Pace> {
    let pace = Pace {
        timeout: args.timeout.or(config.timeout),
        concurrency: args.concurrency.or(config.concurrency),
        max_rate: args.max_rate.or(config.max_rate),
        min_rate: args.min_rate.or(config.min_rate),
        retries: args.retries.or(config.retries),
        template: args.timing.or(config.timing).unwrap_or_default(),
    };
    if let (Some(min), Some(max)) = (pace.min_rate, pace.max_rate)
        && min > max
    {
        return Err(
            Failure::new(format!("--min-rate {min} is above --max-rate {max}"))
                .hint("the lowest rate cannot be above the highest"),
        );
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
