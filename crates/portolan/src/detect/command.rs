//! The `detect` command: endpoints in, what runs there out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use portolan_detect::{Detector, Target, silent};
use portolan_model::address::AddressSetBuilder;
use portolan_model::spec::Names;
use portolan_model::target::HostName;
use portolan_model::{Protocol, Service};
use portolan_scan::Control;
use serde::Serialize;

use crate::args::{ColorChoice, DetectArgs};
use crate::config::Config;
use crate::failure::{Exit, Failure, Result, io_reason, visible};
use crate::terminal::{self, Look};
use crate::{data, names};

/// The most endpoints of one call.
const MOST: usize = 100_000;

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    address: IpAddr,
    protocol: Protocol,
    port: u16,
    /// `null` where nothing was heard.
    service: Option<&'a Service>,
}

/// Asks every endpoint, and prints what runs there, in the order given.
pub(crate) fn detect(args: &DetectArgs, config: &Config) -> Exit {
    let look = Look::detect(
        args.common
            .color
            .or(config.color)
            .unwrap_or(ColorChoice::Auto),
    );
    let found = targets(args, config).and_then(|targets| {
        let detector = super::detector(&args.detection)?;
        Ok((ask(&detector, &targets)?, targets))
    });
    match found {
        Err(failure) => {
            terminal::stderr(&terminal::error_lines(&failure, look.err_color));
            Exit::NotStarted
        }
        Ok((services, targets)) => {
            let mut text = String::new();
            for (target, service) in targets.iter().zip(&services) {
                if args.json {
                    text.push_str(&json(target, service.as_ref()));
                } else {
                    text.push_str(&lines(target, service.as_ref(), args.verbose));
                }
            }
            match terminal::stdout(&text) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    let failure = Failure::new(format!(
                        "cannot write to standard output: {}",
                        io_reason(&error)
                    ));
                    terminal::stderr(&terminal::error_lines(&failure, look.err_color));
                    Exit::LeftOut
                }
                _ if services.iter().any(Option::is_none) => Exit::LeftOut,
                _ => Exit::Done,
            }
        }
    }
}

/// `host:port`, with `/udp` or `/tcp` behind it.
fn split(word: &str) -> Result<(String, u16, Protocol)> {
    let wrong = || {
        Failure::new(format!("`{}` is no host with a port", visible(word)))
            .hint("write `192.0.2.1:22`, `[2001:db8::1]:443` or `192.0.2.1:53/udp`")
    };
    let (place, protocol) = match word.rsplit_once('/') {
        Some((place, "udp")) => (place, Protocol::Udp),
        Some((place, "tcp")) => (place, Protocol::Tcp),
        Some(_) => return Err(wrong()),
        None => (word, Protocol::Tcp),
    };
    let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() || port == 0 {
        return Err(wrong());
    }
    Ok((host.to_owned(), port, protocol))
}

fn targets(args: &DetectArgs, config: &Config) -> Result<Vec<Target>> {
    if args.endpoints.len() > MOST {
        return Err(Failure::new(format!(
            "{} endpoints are given, expected {MOST} at the most",
            args.endpoints.len()
        ))
        .hint("ask for them in several calls"));
    }
    let scope = data::scope(&args.scope, config)?;
    let mut places = Vec::new();
    let mut wanted: BTreeMap<HostName, Names> = BTreeMap::new();
    for word in &args.endpoints {
        let (host, port, protocol) = split(word)?;
        let name = match host.parse::<IpAddr>() {
            Ok(_) => None,
            Err(_) => Some(
                host.parse::<portolan_model::Target>()
                    .ok()
                    .and_then(|target| match target {
                        portolan_model::Target::Name(name) => Some(name),
                        _ => None,
                    }),
            ),
        };
        match name {
            None => places.push((host, None, port, protocol)),
            Some(Some(name)) => {
                wanted.insert(
                    name.clone(),
                    Names {
                        all: false,
                        family: None,
                        reverse: false,
                    },
                );
                places.push((host, Some(name), port, protocol));
            }
            Some(None) => {
                return Err(Failure::new(format!(
                    "`{}` is neither one address nor a name",
                    visible(&host)
                ))
                .hint("for networks, scan: `portolan 192.0.2.0/24 -sV`"));
            }
        }
    }
    let settings = names::Settings {
        servers: config.dns_servers.clone(),
        ..names::Settings::default()
    };
    let answers = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        names::forward(wanted, &settings, &Control::new()).unwrap_or_default()
    };
    let mut targets = Vec::new();
    let mut addresses = AddressSetBuilder::default();
    for (host, name, port, protocol) in places {
        let address = match &name {
            None => host.parse().ok(),
            Some(name) => match answers.get(name) {
                Some(Ok(found)) => found.first().copied(),
                Some(Err(error)) => {
                    return Err(Failure::new(error.to_string()).hint(error.hint(settings.front)));
                }
                None => None,
            },
        };
        let Some(address) = address else {
            return Err(Failure::new(format!("`{}` has no address", visible(&host))));
        };
        addresses.push_range(address, address);
        targets.push(Target {
            name: name.map(|name| name.to_string()),
            ..Target::new(address, protocol, port)
        });
    }
    scope
        .check(&addresses.build())
        .map_err(|error| Failure::new(visible(&error.to_string())))?;
    Ok(targets)
}

fn ask(detector: &Detector, targets: &[Target]) -> Result<Vec<Option<Service>>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {}", io_reason(&error))))?;
    Ok(runtime.block_on(async {
        let mut running = Vec::new();
        for target in targets {
            let (detector, target) = (detector.clone(), target.clone());
            running.push(tokio::spawn(async move { detector.detect(&target).await }));
        }
        let mut services = Vec::new();
        for task in running {
            services.push(task.await.ok().flatten());
        }
        services
    }))
}

fn json(target: &Target, service: Option<&Service>) -> String {
    let line = Line {
        address: target.address,
        protocol: target.protocol,
        port: target.port,
        service,
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// One line for the endpoint; under it facts and evidence, or what to do about an answer that
/// no rule takes.
fn lines(target: &Target, service: Option<&Service>, verbose: bool) -> String {
    let at = SocketAddr::new(target.address, target.port);
    let place = format!("{at}/{}", target.protocol);
    let Some(service) = service else {
        return match silent::meaning(target.protocol, target.port) {
            Some(meaning) => format!("{place:<25}  no answer: {meaning}\n"),
            None => format!("{place:<25}  no answer\n"),
        };
    };
    let mut text = format!(
        "{place:<25}  {:<14}  {}",
        visible(&portolan_report::service_name(service)),
        visible(&portolan_report::product_and_version(service))
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    // Writing to a string cannot fail.
    if verbose {
        for (label, value) in [
            ("os", &service.os),
            ("host name", &service.hostname),
            ("device", &service.device),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "    {label}: {}", visible(value));
            }
        }
        for cpe in &service.cpe {
            let _ = writeln!(text, "    {}", visible(cpe));
        }
        for (name, value) in &service.facts {
            let _ = writeln!(text, "    {}: {}", visible(name), visible(value));
        }
    }
    if let Some(evidence) = &service.evidence {
        let probe = visible(evidence.probe.as_deref().unwrap_or("banner"));
        match &evidence.rule {
            Some(rule) if verbose => {
                let _ = writeln!(
                    text,
                    "    sure to {} of 10, by the rule {}, which took the answer to {probe}:\n    {}",
                    service.confidence,
                    visible(rule),
                    visible(&evidence.bytes)
                );
            }
            Some(_) => {}
            None => {
                let _ = writeln!(
                    text,
                    "    no rule takes its answer to {probe}: {}",
                    visible(&evidence.bytes)
                );
                let _ = writeln!(
                    text,
                    "    make one: portolan rules new --on {probe} '{}'",
                    visible(&evidence.bytes).replace('\'', r"'\''")
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        let split = |word| split(word).unwrap();
        assert_eq!(
            split("192.0.2.1:22"),
            ("192.0.2.1".to_owned(), 22, Protocol::Tcp)
        );
        assert_eq!(
            split("[2001:db8::1]:53/udp"),
            ("2001:db8::1".to_owned(), 53, Protocol::Udp)
        );
        for wrong in ["192.0.2.1", ":22", "a:0", "a:70000", "a:1/sctp"] {
            assert!(super::split(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_silence_of_a_tunnel_is_said_to_be_its_way() {
        let silent = |port| {
            let target = Target::new([192, 0, 2, 1].into(), Protocol::Udp, port);
            lines(&target, None, false)
        };
        assert_eq!(
            silent(51820),
            "192.0.2.1:51820/udp        no answer: WireGuard, which is usual here, answers nobody without its key\n"
        );
        assert_eq!(silent(9999), "192.0.2.1:9999/udp         no answer\n");
    }

    #[test]
    fn what_no_rule_takes_comes_with_the_way_to_a_rule() {
        let target = Target::new([127, 0, 0, 1].into(), Protocol::Tcp, 7);
        let service = Service {
            name: "echo".to_owned(),
            evidence: Some(portolan_model::service::Evidence {
                bytes: r"it's\r\n".to_owned(),
                ..Default::default()
            }),
            ..Service::default()
        };
        let text = lines(&target, Some(&service), false);
        assert!(
            text.contains(r"portolan rules new --on banner 'it'\''s\r\n'"),
            "{text}"
        );
    }
}
