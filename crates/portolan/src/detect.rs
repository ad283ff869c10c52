//! Services, found out beside the scan: its open ports go in, what runs there comes out.

pub(crate) mod command;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use portolan_detect::rules::{Fault, RuleSet, RuleSetBuilder};
use portolan_detect::{Detector, Options, Target};
use portolan_model::event::{Endpoint, PortFact, ServiceFact};
use portolan_model::{Phase, PortSet, PortState, ScanEvent, Service};
use portolan_scan::udp::{Payload, Payloads};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::args::DetectionArgs;
use crate::failure::{Failure, Result, io_reason, visible};

/// The largest rule file that is read.
const MOST_BYTES: u64 = 4 << 20;

/// A detector by the options.
///
/// # Errors
/// For rules that cannot be read, with the first that is wrong.
pub(crate) fn detector(args: &DetectionArgs) -> Result<Detector> {
    let rules = rule_set(args)?;
    let mut options = Options::at(jiff::Timestamp::now().as_second());
    if let Some(intensity) = args.detect_intensity {
        options.intensity = intensity;
    }
    if args.detect_printers {
        options.listen_only = PortSet::EMPTY;
    }
    // Each connection is a descriptor; the scan beside it wants some too.
    let room = portolan_scan::connect::raise_descriptor_limit() / 4;
    options.endpoints = options.endpoints.min(room / options.connections).max(1);
    Ok(Detector::new(Arc::new(rules), options))
}

/// The rules by the options.
///
/// # Errors
/// As [`detector`].
pub(crate) fn rule_set(args: &DetectionArgs) -> Result<RuleSet> {
    match &args.rules {
        None => Ok(RuleSet::embedded()),
        Some(directory) => with_rules(directory),
    }
}

/// What scans ask UDP ports, by these rules.
pub(crate) fn payloads(rules: &RuleSet) -> Payloads {
    Payloads::new(rules.scanned().filter_map(|probe| {
        Some(Payload {
            ports: probe.ports.clone(),
            message: probe.send.first()?.clone(),
        })
    }))
}

fn with_rules(directory: &Path) -> Result<RuleSet> {
    let shown = visible(&directory.display().to_string());
    let failed = |error: io::Error| {
        Failure::new(format!(
            "cannot read rules in `{shown}`: {}",
            io_reason(&error)
        ))
        .hint("`--rules` takes a directory that holds files named `*.toml`")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    let mut builder = RuleSetBuilder::embedded();
    for file in files {
        builder = builder.file(&file.display().to_string(), &read(&file)?);
    }
    builder.build().map_err(|faults| told(&faults))
}

/// The text of a rule file.
///
/// # Errors
/// When it cannot be read, or is too large.
pub(crate) fn read(file: &Path) -> Result<String> {
    let shown = visible(&file.display().to_string());
    let failed =
        |error: io::Error| Failure::new(format!("cannot read `{shown}`: {}", io_reason(&error)));
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > MOST_BYTES {
        return Err(Failure::new(format!(
            "`{shown}` has {length} bytes, expected {MOST_BYTES} at the most"
        )));
    }
    std::fs::read_to_string(file).map_err(failed)
}

fn told(faults: &[Fault]) -> Failure {
    let Some(first) = faults.first() else {
        return Failure::new("the rules cannot be read");
    };
    let more = match faults.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let failure = Failure::new(visible(&format!("{first}{more}")));
    match &first.hint {
        Some(hint) => failure.hint(visible(hint)),
        None => failure.hint("`portolan rules check FILE` tells everything that is wrong"),
    }
}

/// What came of one open port.
#[derive(Debug)]
pub(crate) struct Answered {
    endpoint: Endpoint,
    service: Option<Service>,
}

impl Answered {
    /// Whose port it is.
    pub(crate) const fn address(&self) -> IpAddr {
        self.endpoint.address
    }

    /// The fact; `None` where nothing was heard.
    pub(crate) fn fact(&self) -> Option<ServiceFact> {
        let service = self.service.clone()?;
        Some(ServiceFact {
            endpoint: self.endpoint,
            service,
        })
    }
}

/// Asks open ports, on threads of its own.
#[derive(Debug)]
pub(crate) struct Services {
    ask: mpsc::UnboundedSender<Target>,
    found: Receiver<Answered>,
    leave: Arc<Notify>,
    thread: thread::JoinHandle<()>,
    /// How many ports of each host are being asked.
    open: BTreeMap<IpAddr, u32>,
    /// Hosts that are done but for that.
    held: BTreeMap<IpAddr, ScanEvent>,
    /// How many ports were asked, and of how many something, or nothing, has come.
    asked: u64,
    named: u64,
}

impl Services {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(detector: Detector) -> io::Result<Self> {
        let (into, found) = crossbeam_channel::unbounded();
        let (ask, asked) = mpsc::unbounded_channel();
        let leave = Arc::new(Notify::new());
        let leaving = Arc::clone(&leave);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("detect".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = leaving.notified() => {}
                        () = work(detector, asked, into) => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            ask,
            found,
            leave,
            thread,
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            asked: 0,
            named: 0,
        })
    }

    /// Asks a port, if it is open; `name` is what its host was called, `said` what the service has
    /// said already, and `scope` the number of the interface that a link-local address is reached
    /// over.
    pub(crate) fn ask(
        &mut self,
        fact: &PortFact,
        name: Option<String>,
        said: Vec<u8>,
        scope: Option<u32>,
    ) {
        if fact.state != PortState::Open {
            return;
        }
        let Endpoint {
            address,
            protocol,
            port,
        } = fact.endpoint;
        let target = Target {
            name,
            rtt: fact.rtt,
            said,
            scope: scope.unwrap_or(0),
            ..Target::new(address, protocol, port)
        };
        if self.ask.send(target).is_ok() {
            *self.open.entry(address).or_default() += 1;
            self.asked += 1;
        }
    }

    /// Where answers come out, one for each port that was asked.
    pub(crate) const fn found(&self) -> &Receiver<Answered> {
        &self.found
    }

    /// Keeps the end of a host back while ports of it are asked; whether it does.
    pub(crate) fn hold(&mut self, address: IpAddr, event: &ScanEvent) -> bool {
        let is_asked = self.open.contains_key(&address);
        if is_asked {
            self.held.insert(address, event.clone());
        }
        is_asked
    }

    /// One port of a host is answered; the end of the host, where that was the last of it.
    pub(crate) fn answered(&mut self, address: IpAddr) -> Option<ScanEvent> {
        let left = self.open.get_mut(&address)?;
        *left -= 1;
        self.named += 1;
        if *left > 0 {
            return None;
        }
        self.open.remove(&address);
        self.held.remove(&address)
    }

    /// How far it is.
    pub(crate) const fn phase(&self) -> Phase {
        Phase::Naming {
            named: self.named,
            of: self.asked,
        }
    }

    /// Whether nothing is being asked.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Drops what is being asked, ends the threads, and gives back the ends of hosts.
    pub(crate) fn leave(self) -> impl Iterator<Item = ScanEvent> {
        self.leave.notify_one();
        drop(self.found);
        // It has nothing left but to end.
        let _ = self.thread.join();
        self.held.into_values()
    }
}

/// After so many ports of a host that accept connections and say nothing, and none that spoke,
/// no more of it are asked: something before it answers in its name.
const SILENT: u32 = 200;

/// How many ports of a host were silent, and how many spoke.
type Spoke = Mutex<HashMap<IpAddr, (u32, u32)>>;

async fn work(
    detector: Detector,
    mut asked: mpsc::UnboundedReceiver<Target>,
    into: Sender<Answered>,
) {
    let mut running = JoinSet::new();
    let room = Arc::new(Semaphore::new(detector.options().endpoints.max(1)));
    let spoke = Arc::new(Spoke::default());
    loop {
        // Room comes first: what waits for it is an address in a queue and no task.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        tokio::select! {
            target = asked.recv() => {
                let Some(target) = target else { break };
                let (detector, into) = (detector.clone(), into.clone());
                let spoke = Arc::clone(&spoke);
                running.spawn(async move {
                    let _place = place;
                    let service = if is_mute(&spoke, target.address) {
                        None
                    } else {
                        detector.detect(&target).await
                    };
                    count(&spoke, target.address, service.is_some());
                    let endpoint = Endpoint {
                        address: target.address,
                        protocol: target.protocol,
                        port: target.port,
                    };
                    // A reader that has gone wants no more.
                    let _ = into.send(Answered { endpoint, service });
                });
            }
            Some(_) = running.join_next() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

fn is_mute(spoke: &Spoke, address: IpAddr) -> bool {
    let spoke = spoke.lock().unwrap_or_else(PoisonError::into_inner);
    spoke
        .get(&address)
        .is_some_and(|&(silent, heard)| heard == 0 && silent >= SILENT)
}

fn count(spoke: &Spoke, address: IpAddr, heard: bool) {
    let mut spoke = spoke.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = spoke.entry(address).or_default();
    if heard {
        counts.1 += 1;
    } else {
        counts.0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_silent_on_every_port_is_left_alone_and_one_that_spoke_is_not() {
        let (mute, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let spoke = Spoke::default();
        count(&spoke, other, true);
        for _ in 0..SILENT {
            assert!(!is_mute(&spoke, mute));
            count(&spoke, mute, false);
            count(&spoke, other, false);
        }
        assert!(is_mute(&spoke, mute));
        assert!(!is_mute(&spoke, other));
    }
}
