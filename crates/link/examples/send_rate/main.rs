//! How fast a [`Link`] sends, next to a bare `sendmmsg` loop on the same interface.
//!
//! ```text
//! cargo run --release -p portolan-link --example send_rate [ROUNDS]
//! ```
//!
//! It needs root: it makes two namespaces joined by a veth pair, whose other end drops all, and
//! sends there and nowhere else. The ways take turns, so that what else the machine does hits all
//! of them; each figure is the median of the rounds. The last is a whole scan of a /16 at 100 ports,
//! engine and all, told to send as fast as it can.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod bare;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portolan_link::{Link, Options};
use portolan_model::event::Reached;
use portolan_model::spec::Discovery;
use portolan_model::{PortSet, PortSpec, ScanEvent, Target, Technique};
use portolan_scan::clock::{Clock, SystemClock};
use portolan_scan::device::{Batch, Device, Heard, Received};
use portolan_scan::syn::SOURCE_PORTS;
use portolan_scan::{Control, Request, Settled, run_syn};
use portolan_testnet::{Namespace, connect, missing};
use portolan_wire::{EtherType, MacAddress, SeqNumber, SynPath, SynTemplate, ethernet};
use rustix::time::{ClockId, clock_gettime};

/// Packets of a batch: as many as a scanner hands over at once.
const BATCH: usize = 256;

/// How long each way sends in a round.
const TURN: Duration = Duration::from_millis(250);

/// Packets after which a scan is stopped: many, since to begin one takes some milliseconds.
const SCANNED: u64 = 1_000_000;

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Behind the other end, so that 256 hosts share one neighbour.
const HOSTS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 0);

/// The first of a network of 65,536 hosts (RFC 2544, for benchmarks).
const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// Packets a second, by the clock and by the time of the processor.
#[derive(Debug, Clone, Copy)]
struct Rate {
    wall: f64,
    cpu: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(reason) = missing() {
        return Err(reason.into());
    }
    let rounds: usize = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 9,
    };
    let (here, there) = (Namespace::new()?, Namespace::new()?);
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24"))?;
    for network in ["198.51.100.0/24", "198.18.0.0/16"] {
        here.run("ip", &["route", "add", network, "via", "192.0.2.2"])?;
    }
    let mac = |namespace: &Namespace| -> Result<MacAddress, Box<dyn Error>> {
        let text = namespace.run("cat", &["/sys/class/net/eth0/address"])?;
        let mut octets = [0; 6];
        for (octet, digits) in octets.iter_mut().zip(text.trim().split(':')) {
            *octet = u8::from_str_radix(digits, 16)?;
        }
        Ok(MacAddress(octets))
    };
    let header = ethernet::Repr {
        destination: mac(&there)?,
        source: mac(&here)?,
        ether_type: EtherType::IPV4,
        vlan: None,
    };
    let clock = SystemClock::start();
    let mut link = here.enter(|| Link::open(clock, &Options::new(40_000..=40_999)))??;
    let bare = here.enter(|| bare::Socket::open("eth0"))??;
    // The neighbour is found before it turns deaf.
    link.route(IpAddr::from(HOSTS))?;
    ask_all(&clock, &mut link)?;
    look_up_all(&clock, &mut link)?;
    there.firewall(
        "table inet filter {
            chain early { type filter hook prerouting priority -300; meta l4proto tcp drop; }
        }",
    )?;

    let frames = frames(&header)?;
    let template = SynTemplate::new(&SynPath::new(SOURCE.into()))?;
    let mut batch = Batch::new();
    let mut rates: [Vec<Rate>; 4] = Default::default();
    for _ in 0..rounds {
        rates[0].push(measure(&clock, || Ok(bare.send(&frames)?))?);
        batch.clear();
        fill(&template, &mut batch, 0)?;
        rates[1].push(measure(&clock, || Ok(link.send(&batch)?))?);
        let mut sequence = 0;
        let build = || {
            sequence += 1;
            batch.clear();
            fill(&template, &mut batch, sequence)?;
            Ok(link.send(&batch)?)
        };
        rates[2].push(measure(&clock, build)?);
        let fresh = here.enter(|| Link::open(clock, &Options::new(SOURCE_PORTS)))??;
        rates[3].push(scan(clock, fresh)?);
    }
    let rates = rates.map(|rates| Rate {
        wall: median(rates.iter().map(|rate| rate.wall)),
        cpu: median(rates.iter().map(|rate| rate.cpu)),
    });
    let names = [
        "bare sendmmsg",
        "link, packets ready",
        "link, packets built",
        "scan of a /16, 100 ports",
    ];
    let bare = rates[0].cpu;
    println!(
        "{:<28}{:>14}{:>14}{:>10}",
        "", "packets/s", "a CPU second", "of bare"
    );
    for (name, rate) in names.iter().zip(rates) {
        let share = rate.cpu / bare;
        println!(
            "{name:<28}{:>14.0}{:>14.0}{share:>10.2}",
            rate.wall, rate.cpu
        );
    }
    println!(
        "medians of {rounds} rounds of {TURN:?} each, batches of {BATCH}; of the scan, of \
         {SCANNED} packets each"
    );
    Ok(())
}

/// Host and port of the probe at `index`.
fn target(index: usize) -> (IpAddr, u16) {
    let low = u8::try_from(index % 256).unwrap_or(0);
    let [a, b, c, _] = HOSTS.octets();
    let port = u16::try_from(index % 60_000 + 1).unwrap_or(1);
    (Ipv4Addr::new(a, b, c, low).into(), port)
}

fn fill(template: &SynTemplate, batch: &mut Batch, sequence: u32) -> portolan_wire::Result<()> {
    for index in 0..BATCH {
        let (host, port) = target(index);
        let bytes = batch.push(template.len());
        template.fill(bytes, host, port, 40_000, SeqNumber(sequence))?;
    }
    Ok(())
}

/// The same probes with Ethernet headers.
fn frames(header: &ethernet::Repr) -> portolan_wire::Result<Vec<Vec<u8>>> {
    let path = SynPath {
        ethernet: Some(*header),
        ..SynPath::new(SOURCE.into())
    };
    let template = SynTemplate::new(&path)?;
    let frame = |index| {
        let (host, port) = target(index);
        let mut bytes = vec![0; template.len()];
        template.fill(&mut bytes, host, port, 40_000, SeqNumber(0))?;
        Ok(bytes)
    };
    (0..BATCH).map(frame).collect()
}

/// Sends for a turn; each call says how many packets it sent.
fn measure(
    clock: &SystemClock,
    mut send: impl FnMut() -> Result<usize, Box<dyn Error>>,
) -> Result<Rate, Box<dyn Error>> {
    let (start, cpu_start) = (clock.now(), cpu());
    let since = |start: Duration, now: Duration| now.saturating_sub(start);
    let mut count = 0;
    while since(start, clock.now()) < TURN {
        count += send()?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate to show")]
    let packets = count as f64;
    Ok(Rate {
        wall: packets / since(start, clock.now()).as_secs_f64(),
        cpu: packets / since(cpu_start, cpu()).as_secs_f64(),
    })
}

/// Scans until enough was sent.
fn scan(clock: SystemClock, link: Link<SystemClock>) -> Result<Rate, Box<dyn Error>> {
    let request = Request {
        addresses: format!("{FAR}/16")
            .parse::<Target>()?
            .addresses()
            .ok_or("no network")?,
        ports: PortSpec::new(PortSet::from_range(1, 100), PortSet::EMPTY),
        techniques: vec![Technique::Syn],
        pace: portolan_model::spec::Pace {
            min_rate: std::num::NonZeroU64::new(10_000_000),
            retries: Some(0),
            ..Default::default()
        },
        discovery: Discovery::Skip,
        seed: 1,
        settled: Settled::new(),
        shard: None,
        zones: portolan_scan::Zones::NONE,
        searches: Vec::new(),
        sweep: None,
        payloads: portolan_scan::udp::Payloads::default(),
        from: Reached::default(),
    };
    let control = Control::new();
    let mut sink = |event: ScanEvent| {
        if let ScanEvent::Progress(progress) = event
            && progress.sent >= SCANNED
        {
            control.stop();
        }
    };
    let cpu_start = cpu();
    let finished = run_syn(&request, link, clock, &control, &mut sink)?;
    #[expect(clippy::cast_precision_loss, reason = "a rate to show")]
    let packets = finished.sent as f64;
    Ok(Rate {
        wall: packets / finished.elapsed.as_secs_f64(),
        cpu: packets / cpu().saturating_sub(cpu_start).as_secs_f64(),
    })
}

/// Asks every port of one host that answers them all, and hears the answers: how long that
/// took, how much time of the processor, and how many were heard and lost.
fn ask_all(clock: &SystemClock, link: &mut Link<SystemClock>) -> Result<(), Box<dyn Error>> {
    let host = IpAddr::from(NEIGHBOUR);
    let template = SynTemplate::new(&SynPath::new(link.source(host)?))?;
    let (start, cpu_start) = (clock.now(), cpu());
    let mut batch = Batch::new();
    let mut heard = 0_u32;
    let mut each = |received: Received<'_>| {
        heard += u32::from(matches!(received.heard, Heard::Packet { .. }));
    };
    for port in 1..=u16::MAX {
        let bytes = batch.push(template.len());
        template.fill(bytes, host, port, 40_000, SeqNumber(0))?;
        while batch.len() == BATCH || (port == u16::MAX && !batch.is_empty()) {
            let taken = link.send(&batch)?;
            batch.drop_front(taken);
            link.receive(clock.now(), &mut each)?;
        }
    }
    let last = clock.now() + Duration::from_millis(100);
    while clock.now() < last {
        link.receive(last, &mut each)?;
    }
    let took = clock.now().saturating_sub(start);
    let busy = cpu().saturating_sub(cpu_start);
    println!(
        "{} ports asked: {heard} answers heard, {} lost; {took:.0?}, the last 100 ms of it \
         waiting; {busy:.0?} of the processor",
        u16::MAX,
        link.drops().incoming,
    );
    Ok(())
}

/// Looks the way up to each of 65,536 hosts, of which none was asked for before.
fn look_up_all(clock: &SystemClock, link: &mut Link<SystemClock>) -> Result<(), Box<dyn Error>> {
    let start = clock.now();
    let first = FAR.to_bits();
    for bits in first..=first | 0xffff {
        link.route(Ipv4Addr::from_bits(bits).into())?;
    }
    let each = clock.now().saturating_sub(start) / 0x1_0000;
    println!("the way to each of 65,536 hosts found in {each:.1?} a host");
    Ok(())
}

/// The time that this thread has had of the processor.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
