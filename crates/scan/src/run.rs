//! From a request to a running engine.

use std::net::IpAddr;
use std::time::Duration;

use portolan_model::event::{Finished, Started};
use portolan_model::spec::{Discovery, Template};
use portolan_model::{AddressSet, PortSet, PortSpec, PortState, Protocol, ScanEvent, Technique};

use crate::clock::{Clock, SystemClock};
use crate::connect::{Connections, raise_descriptor_limit};
use crate::control::Control;
use crate::device::Device;
use crate::engine::{Engine, Options, Settling};
use crate::error::{Error, Result};
use crate::pace::Limits;
use crate::plan::Plan;
use crate::request::Request;
use crate::syn::Syn;
use crate::transport::Transport;

/// Probes a second before anything has answered: what a home router bears.
const INITIAL_RATE: f64 = 1_000.0;

/// The same on this machine itself, where there is no path to overrun.
const INITIAL_RATE_LOCAL: f64 = 50_000.0;

/// No rate is higher unless asked for.
const HIGHEST_RATE: f64 = 1e7;

/// No rate is lower unless asked for: less teaches nothing.
const LOWEST_RATE: f64 = 20.0;

/// Silence counts after this at the soonest, and at the latest. A late answer still counts as an
/// answer.
const SHORTEST_WAIT: Duration = Duration::from_millis(25);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// A listening service is asked again, to see whether the path carries, this often at the most.
const SENTINEL_GAP: Duration = Duration::from_millis(40);

/// The same where half a handshake is all that a sentinel costs.
const SYN_SENTINEL_GAP: Duration = Duration::from_millis(5);

/// The same of a service that answers datagrams.
const UDP_SENTINEL_GAP: Duration = Duration::from_millis(25);

/// For so long closed UDP ports are told from silent ones, unless another time is asked for: at 50
/// ICMP errors a second, 1,000 ports take 20 s.
pub const UDP_BUDGET: Duration = Duration::from_secs(30);

/// SYNs that may wait for an answer at once: they take no room.
const SYN_IN_FLIGHT: usize = 1 << 24;

/// Runs a scan to its end on the threads that it needs, and hands every fact to `sink` in the
/// order of finding, on the calling thread. The first event is `Started`, the last `Finished`.
///
/// # Errors
/// When it cannot start at all. What goes wrong later is an event, and nothing is lost by it.
pub fn run(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Result<Finished> {
    let clock = SystemClock::start();
    if request.techniques[..] != [Technique::Connect] {
        return Err(Error::UnknownTechnique);
    }
    let plan = plan(request, Technique::Connect)?;
    let sockets = raise_descriptor_limit();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let transport = Connections::start(clock, threads.min(4), sockets, &request.zones)
        .map_err(|source| Error::Sockets { source })?;
    let options = options(request, sockets);
    Ok(carry_out(
        request, &plan, transport, clock, control, sink, options,
    ))
}

/// The same by SYN packets, through `device`.
///
/// # Errors
/// As [`run`].
pub fn run_syn<D: Device, C: Clock + Clone>(
    request: &Request,
    device: D,
    clock: C,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Result<Finished> {
    let plan = plan(request, Technique::Syn)?;
    let transport = Syn::new(device, clock.clone());
    let options = syn_options(request);
    Ok(carry_out(
        request, &plan, transport, clock, control, sink, options,
    ))
}

/// The same of UDP ports, by datagrams through `device`.
///
/// # Errors
/// As [`run`].
pub fn run_udp<D: Device, C: Clock + Clone>(
    request: &Request,
    device: D,
    clock: C,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Result<Finished> {
    let plan = plan(request, Technique::Udp)?;
    let transport = Syn::new(device, clock.clone())
        .asking(request.payloads.clone().for_ports(plan.ports().len()));
    let options = udp_options(request);
    Ok(carry_out(
        request, &plan, transport, clock, control, sink, options,
    ))
}

/// What a UDP scan's request means in numbers: a service is at the end of a sentinel's question,
/// and silence may be that of an open port.
fn udp_options(request: &Request) -> Options {
    let budget = request.pace.udp_budget.unwrap_or(UDP_BUDGET);
    Options {
        sentinel_gap: UDP_SENTINEL_GAP,
        spares_open: false,
        silent: PortState::OpenFiltered,
        settling: Some(Settling {
            budget: (!request.pace.udp_certain).then_some(budget),
        }),
        ..options(request, SYN_IN_FLIGHT)
    }
}

/// What a SYN scan's request means in numbers: no sockets bound it, and nobody is at the end of
/// a sentinel's question.
pub(crate) fn syn_options(request: &Request) -> Options {
    Options {
        sentinel_gap: SYN_SENTINEL_GAP,
        spares_open: false,
        ..options(request, SYN_IN_FLIGHT)
    }
}

fn plan(request: &Request, technique: Technique) -> Result<Plan> {
    let protocol = technique.protocol();
    let plan = |ports: &PortSet| {
        let plan = Plan::new(request.addresses.clone(), protocol, ports, request.seed)?
            .with_zones(request.zones.clone());
        match request.shard {
            None => Ok(plan),
            Some(shard) => plan.of_shard(shard),
        }
    };
    match request.discovery {
        // Its ports are not asked, so that as many hosts as can be are looked for at once.
        Discovery::Only => Ok(plan(&PortSet::from_range(443, 443))?.for_discovery()),
        Discovery::Auto => Ok(plan(request.ports.of(protocol))?.for_discovery()),
        Discovery::Skip => plan(request.ports.of(protocol)),
    }
}

/// The ports that are asked: those of the other protocol are not.
pub(crate) fn asked_ports(request: &Request, protocol: Protocol) -> PortSpec {
    let ports = request.ports.of(protocol).clone();
    match protocol {
        Protocol::Tcp => PortSpec::new(ports, PortSet::EMPTY),
        Protocol::Udp => PortSpec::new(PortSet::EMPTY, ports),
    }
}

fn carry_out<T: Transport, C: Clock>(
    request: &Request,
    plan: &Plan,
    transport: T,
    clock: C,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
    options: Options,
) -> Finished {
    let only_hosts = request.discovery == Discovery::Only;
    sink(ScanEvent::Started(Started {
        at: clock.timestamp(clock.now()),
        techniques: request.techniques.clone(),
        ports: if only_hosts {
            PortSpec::new(PortSet::EMPTY, PortSet::EMPTY)
        } else {
            asked_ports(request, plan.protocol())
        },
        addresses: plan.host_count().into(),
        probes: if only_hosts { 0 } else { plan.len().into() },
        seed: request.seed,
        zones: request.zones.clone(),
    }));
    let settled = &request.settled;
    let mut pass = |event: ScanEvent| {
        // Some ports were asked to find hosts; a host with these alone would look scanned.
        let is_of_ports = matches!(
            event,
            ScanEvent::Port(_) | ScanEvent::Ports(_) | ScanEvent::HostDone { .. }
        );
        if !(only_hosts && is_of_ports) {
            sink(event);
        }
    };
    let mut engine = Engine::new(plan, transport, clock, control, &mut pass, options, settled);
    engine.from = request.from;
    if plan.protocol() == Protocol::Udp {
        engine.likely = request.payloads.ports();
    }
    let finished = engine.run();
    drop(engine);
    sink(ScanEvent::Finished(finished.clone()));
    finished
}

/// What the request's pace means in numbers, where `sockets` may wait at once.
pub(crate) fn options(request: &Request, sockets: usize) -> Options {
    let pace = &request.pace;
    let is_local = is_loopback(&request.addresses);
    let base = if is_local {
        INITIAL_RATE_LOCAL
    } else {
        INITIAL_RATE
    };
    // Sockets that are kept for late answers need some of the room too.
    let sockets = u32::try_from(sockets * 3 / 4).unwrap_or(u32::MAX).max(1);
    let mut limits = Limits {
        initial: base,
        highest: HIGHEST_RATE,
        lowest: LOWEST_RATE,
        in_flight: sockets,
        shortest_wait: SHORTEST_WAIT,
        longest_wait: LONGEST_WAIT,
    };
    let serial = |limits: &mut Limits, gap: Duration| {
        limits.in_flight = 1;
        limits.highest = 1.0 / gap.as_secs_f64();
        limits.lowest = limits.highest;
        limits.initial = limits.highest;
    };
    match pace.template {
        Template::Paranoid => serial(&mut limits, Duration::from_mins(5)),
        Template::Sneaky => serial(&mut limits, Duration::from_secs(15)),
        Template::Polite => serial(&mut limits, Duration::from_millis(400)),
        Template::Normal => {}
        Template::Aggressive => {
            limits.initial = base * 3.0;
            limits.longest_wait = Duration::from_millis(1250);
        }
        Template::Insane => {
            limits.initial = base * 10.0;
            limits.shortest_wait = Duration::from_millis(10);
            limits.longest_wait = Duration::from_millis(300);
        }
    }
    if let Some(timeout) = pace.timeout {
        limits.longest_wait = timeout;
        limits.shortest_wait = limits.shortest_wait.min(timeout);
    }
    if let Some(concurrency) = pace.concurrency {
        limits.in_flight = limits.in_flight.min(concurrency.get());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    if let Some(least) = pace.min_rate {
        limits.lowest = least.get() as f64;
        limits.initial = limits.initial.max(limits.lowest);
        limits.highest = limits.highest.max(limits.lowest);
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    if let Some(most) = pace.max_rate {
        limits.highest = limits.highest.min(most.get() as f64);
        limits.initial = limits.initial.min(limits.highest);
        limits.lowest = limits.lowest.min(limits.highest);
    }
    Options {
        limits,
        passes: pace.retries.map(|retries| u32::from(retries) + 1),
        discovery: request.discovery,
        sentinel_gap: SENTINEL_GAP,
        spares_open: true,
        silent: PortState::Filtered,
        host_timeout: pace.host_timeout,
        settling: None,
    }
}

fn is_loopback(addresses: &AddressSet) -> bool {
    addresses
        .ranges()
        .all(|(first, last): (IpAddr, IpAddr)| first.is_loopback() && last.is_loopback())
}

#[cfg(test)]
mod tests;
