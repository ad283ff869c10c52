//! How fast results are written and read: `cargo bench -p portolan-store [-- HOSTS [DIR]]`. With a
//! directory the history is kept there, for a server to be tried with.

#![expect(clippy::print_stdout, reason = "the figures are its result")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portolan_model::event::{Endpoint, Finished, Outcome, PortFact, Started};
use portolan_model::{PortSpec, PortState, Protocol, Reason, ScanEvent, ScanSpec, Technique};
use portolan_store::{Mode, NewScan, ResultsRequest, ScanId, Sort, SortKey, Store};

const PORTS: u16 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let hosts = std::env::args().find_map(|word| word.parse().ok());
    let hosts: u32 = hosts.unwrap_or(10_000);
    let kept = std::env::args().skip(1).find(|word| word.contains('/'));
    let dir = match &kept {
        Some(dir) => dir.into(),
        None => std::env::temp_dir().join(format!("portolan-bench-{}", std::process::id())),
    };
    let store = Store::open(&dir, Mode::Serve)?;
    println!("{} results a scan", hosts * u32::from(PORTS));
    let id = write(&store, "1 % open", hosts, 100)?;
    read(&store, id)?;
    let id = write(&store, "all open", hosts, 1)?;
    read(&store, id)?;
    drop(store);
    if kept.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Writes a scan as an engine tells it: ports in random order of hosts, one in `open_every` open.
fn write(store: &Store, what: &str, hosts: u32, open_every: u16) -> Result<ScanId, Box<dyn Error>> {
    let at = Timestamp::UNIX_EPOCH;
    let spec = ScanSpec::new(vec!["10.0.0.0/8".parse()?], PortSpec::common());
    let before = store.size_bytes();
    let writer = store.begin(NewScan::new(spec, at))?;
    let begin = Instant::now();
    writer.send(vec![ScanEvent::Started(Started {
        at,
        techniques: vec![Technique::Syn],
        ports: PortSpec::common(),
        addresses: hosts.into(),
        probes: 0,
        seed: 1,
        zones: portolan_model::Zones::NONE,
    })])?;
    // Hosts in groups of 256, their ports in turn: what a permuted plan comes to after HostDone.
    for group in 0..hosts.div_ceil(256) {
        let members = group * 256..hosts.min(group * 256 + 256);
        for port in 1..=PORTS {
            let events = members.clone().map(|number| {
                let is_open = port % open_every == 0;
                ScanEvent::Port(PortFact {
                    endpoint: Endpoint {
                        address: address(number),
                        protocol: Protocol::Tcp,
                        port,
                    },
                    state: if is_open {
                        PortState::Open
                    } else {
                        PortState::Closed
                    },
                    reason: if is_open {
                        Reason::SynAck
                    } else {
                        Reason::Reset
                    },
                    rtt: Some(Duration::from_micros(500)),
                    ttl: Some(64),
                    at,
                })
            });
            writer.send(events.collect())?;
        }
        let ends = members.map(|number| ScanEvent::HostDone {
            address: address(number),
            at,
        });
        writer.send(ends.collect())?;
    }
    writer.send(vec![ScanEvent::Finished(Finished {
        at,
        outcome: Outcome::Complete,
        elapsed: Duration::ZERO,
        hosts_up: hosts.into(),
        hosts_down: 0,
        sent: 0,
        loss: None,
        expected_missed: 0.0,
    })])?;
    writer.flush()?;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "write, {what}: {:.0} results/s, {:.1} bytes a result",
        f64::from(hosts) * f64::from(PORTS) / seconds,
        f64::from(u32::try_from(
            store.size_bytes().saturating_sub(before) / u64::from(hosts)
        )?) / f64::from(PORTS),
    );
    Ok(writer.id())
}

fn read(store: &Store, id: ScanId) -> Result<(), Box<dyn Error>> {
    let time = |what: &str, query: &str, key: SortKey| -> Result<(), Box<dyn Error>> {
        let request = ResultsRequest {
            sort: Sort {
                key,
                ..Sort::default()
            },
            limit: 100,
            ..ResultsRequest::new(query.parse()?)
        };
        let begin = Instant::now();
        let first = store.results(id, &request)?;
        let took = begin.elapsed();
        let begin = Instant::now();
        let after = first.next.clone();
        store.results(id, &ResultsRequest { after, ..request })?;
        println!(
            "read, {what}: {} rows in {took:.1?}, the next page in {:.1?}",
            first.items.len(),
            begin.elapsed()
        );
        Ok(())
    };
    time("state:open", "state:open", SortKey::Host)?;
    time("state:open by port", "state:open", SortKey::Port)?;
    time("state:open port:500", "state:open port:500", SortKey::Host)?;
    time(
        "state:open of a host",
        "state:open host:10.0.20.7",
        SortKey::Host,
    )?;
    time("state:closed", "state:closed", SortKey::Host)?;
    time("everything", "", SortKey::Host)?;
    let begin = Instant::now();
    store.port_map(id, address(7), Protocol::Tcp)?;
    println!("read, port map: {:.1?}", begin.elapsed());
    Ok(())
}

fn address(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}
