//! From a request to its facts: names are looked up, the engine runs on a thread of its own,
//! and one stream of events comes out. Nothing here knows of terminals or files.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use jiff::Timestamp;
use portolan_detect::{Detector, RuleSet};
use portolan_link::{Datagrams, Options, Rights};
use portolan_model::address::AddressSetBuilder;
use portolan_model::event::{
    Endpoint, Finished, HostName, NameKind, Outcome, PortFact, Problem, Progress, Reached,
};
use portolan_model::front::Front;
use portolan_model::scope::OutOfScope;
use portolan_model::spec::{Discovery, Names};
use portolan_model::special::{Special, without_special};
use portolan_model::target::HostName as Name;
use portolan_model::{AddressSet, Protocol, ScanEvent, ScanSpec, Scope, Target, Technique, Zone};
use portolan_scan::clock::SystemClock;
use portolan_scan::syn::SOURCE_PORTS;
use portolan_scan::udp::Payloads;
use portolan_scan::{Control, Request};
use portolan_server::Earlier;

use crate::detect::{self, Services};
use crate::names::{self, Found, Reverse};
use crate::order;
use crate::places::{self, Gathered};
use crate::search;
use crate::unrouted;

use outbox::outbox;
pub(crate) use unscannable::{no_host, of_a_link, too_large};

mod outbox;
mod unscannable;

/// How often waiting for the last names checks whether the user has had enough.
const GLANCE: Duration = Duration::from_millis(50);

/// How often it is told how far the naming of services is, once all else is done.
const TELLING: Duration = Duration::from_millis(200);

/// What runs a scan: the engine, or a script of one in tests.
pub(crate) type Engine =
    fn(&Request, &Control, &mut dyn FnMut(ScanEvent)) -> portolan_scan::Result<()>;

/// The engine itself.
pub(crate) fn engine(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> portolan_scan::Result<()> {
    let wanted = &request.addresses;
    let search::Prepared { mut request, notes } =
        unrouted::leave_out(search::prepare(request, control, sink));
    let mark = order::mark(wanted, &request.addresses);
    request.from = order::place(&request, mark);
    let request = &request;
    let sink = &mut search::telling(notes, mark, sink);
    if request.addresses.is_empty() {
        search::of_nobody(request, control, sink);
        return Ok(());
    }
    let refused = |why: String| portolan_scan::Error::Device { why };
    let clock = SystemClock::start();
    let mut link = None;
    if asks_by_packets(request) {
        let options = Options {
            zones: request.zones.clone(),
            ..Options::new(SOURCE_PORTS)
        };
        let opened = portolan_link::Link::open(clock, &options);
        link = Some(opened.map_err(|error| refused(error.to_string()))?);
        // The sockets are open; nothing that comes from the network meets a right.
        portolan_link::drop_capabilities().map_err(|error| refused(error.to_string()))?;
    }
    if request.sweep.is_some()
        && let Some(link) = link
    {
        return portolan_scan::run_sweep(request, link, clock, control, sink).map(drop);
    }
    let mut one = |request: &Request, sink: &mut dyn FnMut(ScanEvent)| match (
        &request.techniques[..],
        &mut link,
    ) {
        ([Technique::Syn], Some(link)) => {
            portolan_scan::run_syn(request, link, clock, control, sink).map(drop)
        }
        ([Technique::Udp], Some(link)) => {
            portolan_scan::run_udp(request, link, clock, control, sink).map(drop)
        }
        ([Technique::Udp], None) => {
            let sockets = portolan_scan::connect::raise_descriptor_limit() / 2;
            let opened = Datagrams::open(clock, sockets);
            let device = opened.map_err(|error| refused(error.to_string()))?;
            let device = device.reaching(request.zones.clone());
            portolan_scan::run_udp(request, device, clock, control, sink).map(drop)
        }
        _ => portolan_scan::run(request, control, sink).map(drop),
    };
    if let [_] = request.techniques[..] {
        return one(request, sink);
    }
    portolan_scan::run_several(request, control, sink, &mut one)
}

/// Whether packets of our own are sent: for SYNs, and for datagrams where that is possible and
/// there is a path, since nothing has to be kept for each of them then.
fn asks_by_packets(request: &Request) -> bool {
    let asks = |technique| request.techniques.contains(&technique);
    asks(Technique::Syn)
        || (asks(Technique::Udp)
            && !is_own(&request.addresses)
            && portolan_link::rights() == Rights::Raw)
}

/// Whether all of these are this machine itself.
fn is_own(addresses: &AddressSet) -> bool {
    addresses
        .ranges()
        .all(|(first, last)| first.is_loopback() && last.is_loopback())
}

/// What becomes of hosts that do not answer, where nothing was said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SilentHosts {
    /// What the user asked for, or each is told of.
    AsAsked,
    /// They are looked for first, and their ports are not asked.
    NotScanned,
    /// Their ports are asked, and they are only counted.
    NotListed,
}

/// A scan with its names looked up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    /// What the engine is asked.
    pub(crate) request: Request,
    /// The names that were typed, by the address that each led to.
    pub(crate) typed: BTreeMap<IpAddr, Vec<Name>>,
    /// Names that led nowhere, and what else is left out.
    pub(crate) problems: Vec<Problem>,
    /// What the user is told of how ports are asked, where that is not the best way.
    pub(crate) note: Option<String>,
    /// Whether names of found hosts are looked up.
    pub(crate) reverse: bool,
    /// Open ports that an earlier part found, and did not come to ask what runs there.
    pub(crate) unnamed: Vec<PortFact>,
}

impl Prepared {
    /// Goes on where an earlier part of the scan of `spec` was cut off.
    pub(crate) fn take_up(&mut self, spec: &ScanSpec, earlier: Earlier) {
        let is_begun = !earlier.settled.is_empty() || earlier.place != Reached::default();
        if is_begun {
            self.problems.push(of_this_part());
        }
        self.request.settled = earlier.settled;
        self.unnamed = earlier.unnamed;
        // A name may lead elsewhere by now; then a place in the order is that of another port.
        let mut targets = spec.targets.iter().chain(&spec.exclude);
        if targets.all(|target| target.addresses().is_some()) {
            self.request.from = earlier.place;
        }
    }

    /// What becomes of hosts that do not answer.
    pub(crate) fn silent_hosts(&self) -> SilentHosts {
        let request = &self.request;
        if request.sweep.is_some() || request.discovery != Discovery::Auto {
            SilentHosts::AsAsked
        } else if request.discovers()
            // Sockets for datagrams look for no host: every address is asked.
            && (request.techniques[..] != [Technique::Udp] || asks_by_packets(request))
        {
            SilentHosts::NotScanned
        } else if !request.lists_silent() {
            SilentHosts::NotListed
        } else {
            SilentHosts::AsAsked
        }
    }
}

/// What is said of the figures of a scan that was gone on with: what an earlier part measured went
/// with its process.
fn of_this_part() -> Problem {
    Problem {
        about: String::new(),
        message: "gone on with: time, probes, loss and misses are those of this part".to_owned(),
        hint: None,
        left_out: false,
    }
}

/// Why a scan cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user stopped it before it began.
    #[error("stopped before the scan began")]
    Stopped,
    /// Nothing is left of the targets.
    #[error("there is nothing to scan: {why}")]
    Nothing {
        /// Why.
        why: &'static str,
        /// The names that led nowhere.
        problems: Vec<Problem>,
    },
    /// A name that is to be left out leads nowhere, so it cannot be left out.
    #[error("cannot leave out `{name}`: {source}")]
    Exclude {
        /// The name.
        name: Name,
        /// Why.
        source: names::LookupError,
    },
    /// An address that scans may not go to.
    #[error(transparent)]
    OutOfScope(#[from] OutOfScope),
    /// An address that is on two links.
    #[error("{address} is asked for over `{first}` and over `{second}`")]
    TwoLinks {
        /// The address.
        address: IpAddr,
        /// One interface.
        first: Zone,
        /// The other.
        second: Zone,
    },
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] portolan_scan::Error),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// Looks up what is to be looked up and takes away what is excluded.
///
/// # Errors
/// When nothing is left to scan, when an exclusion cannot be kept, when an address is outside
/// the scope, and when `control` was stopped meanwhile.
pub(crate) fn prepare(
    spec: &ScanSpec,
    settings: &names::Settings,
    scope: &Scope,
    seed: u64,
    control: &Control,
) -> Result<Prepared, Error> {
    let mut wanted: BTreeMap<Name, Names> = BTreeMap::new();
    for target in &spec.targets {
        if let Target::Name(name) = target {
            wanted.insert(name.clone(), spec.names);
        }
    }
    for target in &spec.exclude {
        if let Target::Name(name) = target {
            // Whatever the name leads to is to be left out.
            let every = Names {
                all: true,
                family: None,
                reverse: false,
            };
            wanted.insert(name.clone(), every);
        }
    }
    let answers = names::forward(wanted, settings, control).ok_or(Error::Stopped)?;

    let excluded = places::excluded(spec, &answers)?;
    let Gathered {
        all,
        accepted,
        mut typed,
        mut problems,
        mut zones,
        searches,
    } = places::gather(spec, &answers, settings.front)?;
    let excluded = excluded.over(&zones);
    let addresses = if spec.sweep.is_some() {
        ordinary(&accepted, &typed, &excluded, &mut problems)
    } else {
        all.without(&excluded)
    };
    let has_searches = !searches.is_empty();
    let searches = places::without(searches, &excluded);
    if addresses.is_empty() && searches.is_empty() {
        let is_empty = all.is_empty() && !has_searches;
        let why = match (is_empty, problems.is_empty()) {
            (false, _) if spec.sweep.is_some() => {
                "every target is excluded, or special and not named"
            }
            (false, _) => "every target is excluded",
            (true, false) => "no target has the address of a host",
            (true, true) => "no target is given",
        };
        return Err(Error::Nothing { why, problems });
    }
    // Here alone, after names, for the shell and the server: nothing is asked that was not held
    // against the scope.
    let everything = searches.iter().fold(addresses.clone(), |all, search| {
        all.union(&search.addresses)
    });
    scope.check(&everything)?;
    zones.retain(&everything);
    typed.retain(|address, _| addresses.contains(*address));
    let (techniques, note) = techniques(spec, &everything);
    Ok(Prepared {
        request: Request {
            addresses,
            zones,
            searches,
            ports: spec.ports.clone(),
            techniques,
            pace: spec.pace.clone(),
            discovery: spec.discovery,
            seed: spec.seed.unwrap_or(seed),
            settled: portolan_scan::Settled::new(),
            shard: spec.shard,
            sweep: spec.sweep,
            payloads: Payloads::default(),
            from: Reached::default(),
        },
        typed,
        problems,
        note,
        reverse: spec.names.reverse,
        unnamed: Vec::new(),
    })
}

/// How the ports of a request are asked, and what the user is told of it.
fn techniques(spec: &ScanSpec, addresses: &AddressSet) -> (Vec<Technique>, Option<String>) {
    let by = |protocol: Protocol| {
        let techniques = spec.techniques.iter().copied();
        techniques.filter(move |one| one.protocol() == protocol)
    };
    let mut chosen: Vec<Technique> = Vec::new();
    let mut note = None;
    for protocol in spec.protocols() {
        chosen.extend(by(protocol));
        if protocol == Protocol::Tcp && chosen.is_empty() {
            let (best, told) = best_technique(addresses, portolan_link::rights);
            chosen.push(best);
            note = told;
        }
    }
    (chosen, note)
}

/// The best way to ask that this process has the rights to, and what the user is told of it.
fn best_technique(
    addresses: &AddressSet,
    rights: impl FnOnce() -> Rights,
) -> (Technique, Option<String>) {
    if is_own(addresses) {
        // There is no path to spare, the kernel answers connections at once, and nothing has to
        // be heard beside all else that goes over the loopback.
        return (Technique::Connect, None);
    }
    match rights() {
        Rights::Raw => (Technique::Syn, None),
        Rights::Missing(missing) => {
            let note = format!(
                "scanning by connections; for SYN packets, which are quicker and quieter, {missing}"
            );
            (Technique::Connect, Some(note))
        }
    }
}

/// What a sweep of these targets asks: no special block that none of them names.
fn ordinary(
    targets: &[&Target],
    typed: &BTreeMap<IpAddr, Vec<Name>>,
    excluded: &AddressSet,
    problems: &mut Vec<Problem>,
) -> AddressSet {
    let of_names = typed
        .keys()
        .map(|&address| AddressSet::from_range(address, address));
    let of_words = targets
        .iter()
        .filter_map(|target| target.addresses())
        .map(|set| set.canonical());
    let each: Vec<_> = of_words
        .chain(of_names)
        .map(|set| set.without(excluded))
        .collect();
    let (ordinary, special) = without_special(&each);
    problems.extend(left_out(&special));
    ordinary
}

/// What is said of the blocks that a sweep leaves out; nothing where there are none.
pub(crate) fn left_out(special: &[(Special, u128)]) -> Option<Problem> {
    let count: u128 = special.iter().map(|(_, count)| count).sum();
    let blocks: Vec<String> = special
        .iter()
        .map(|(special, _)| format!("{} ({}, {})", special.block, special.name, special.source))
        .collect();
    (!blocks.is_empty()).then(|| Problem {
        about: String::new(),
        message: format!(
            "{} addresses that are no ordinary hosts are left out: {}",
            crate::terminal::grouped(count),
            blocks.join(", ")
        ),
        hint: Some("to sweep such a block, name it, or a part of it, as a target".to_owned()),
        left_out: false,
    })
}

/// Of a name's addresses those that are scanned: all, or the first, of the family.
pub(crate) fn choose(found: &[IpAddr], which: Names) -> Vec<IpAddr> {
    use portolan_model::spec::Family;
    let of_family = found.iter().copied().filter(|address| match which.family {
        None => true,
        Some(Family::Ipv4) => address.is_ipv4(),
        Some(Family::Ipv6) => address.is_ipv6(),
    });
    of_family
        .map(|address| address.to_canonical())
        .take(if which.all { usize::MAX } else { 1 })
        .collect()
}

pub(crate) fn push_all(into: &mut AddressSetBuilder, addresses: &[IpAddr]) {
    for address in addresses.iter().map(IpAddr::to_canonical) {
        into.push_range(address, address);
    }
}

pub(crate) fn push_target(into: &mut AddressSetBuilder, target: &Target) {
    if let Some(set) = target.addresses() {
        into.push_set(&set.canonical());
    }
}

/// Every target of a list that needs no look-up, as one set, and the names apart.
pub(crate) fn without_lookup(targets: &[Target]) -> (AddressSet, Vec<&Name>) {
    let mut set = AddressSetBuilder::default();
    let mut names = Vec::new();
    for target in targets {
        match target {
            Target::Name(name) if !names.contains(&name) => names.push(name),
            Target::Name(_) => {}
            other => push_target(&mut set, other),
        }
    }
    (set.build(), names)
}

/// What is found out beside the engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// How names are looked up.
    pub(crate) names: &'a names::Settings,
    /// What finds out what runs on open ports, where that is wanted.
    pub(crate) detector: Option<&'a Detector>,
}

/// Runs a prepared scan to its end and hands every event to `sink` on the calling thread: what
/// the engine finds, the typed names of hosts, those that are looked up, and what runs on open
/// ports.
///
/// `Started` comes first and `Finished` last, whatever names and services take; a host is done
/// when its services are known. After [`Control::stop`] none of them is waited for.
///
/// # Errors
/// When the scan cannot start; then there was no event.
pub(crate) fn run(
    engine: Engine,
    prepared: &Prepared,
    beside: Beside<'_>,
    control: &Control,
    sink: &mut dyn FnMut(&ScanEvent),
) -> Result<(), Error> {
    let (mut outbox, events) = outbox();
    let mut request = prepared.request.clone();
    if request.techniques.contains(&Technique::Udp) && request.payloads == Payloads::default() {
        request.payloads = match beside.detector {
            Some(detector) => detect::payloads(detector.rules()),
            None => detect::payloads(&RuleSet::embedded()),
        };
    }
    let its_control = control.clone();
    let thread = thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || engine(&request, &its_control, &mut |event| outbox.push(event)))
        .map_err(|error| Error::Thread(crate::failure::io_reason(&error)))?;
    let mut stream = Stream {
        prepared,
        reverse: prepared.reverse.then(|| Reverse::new(beside.names.clone())),
        services: beside
            .detector
            .map(|detector| Services::start(detector.clone()))
            .transpose()
            .map_err(|error| Error::Thread(crate::failure::io_reason(&error)))?,
        said: HashMap::new(),
        progress: Progress::default(),
        front: beside.names.front,
        sink,
    };
    let finished = stream.follow(&events);
    let is_whole = stream.last_services(control, finished.as_ref());
    stream.last_names(control);
    if let Some(finished) = finished {
        let now = beside.detector.map(|_| Timestamp::now());
        (stream.sink)(&ended(finished, is_whole, now));
    }
    match thread.join() {
        Ok(result) => Ok(result?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The last event, brought up to date: services may take longer than the engine.
fn ended(event: ScanEvent, is_whole: bool, now: Option<Timestamp>) -> ScanEvent {
    let ScanEvent::Finished(mut finished) = event else {
        return event;
    };
    if let Some(now) = now {
        finished.elapsed += since(&finished);
        finished.at = finished.at.max(now);
    }
    if !is_whole {
        finished.outcome = Outcome::Interrupted;
    }
    ScanEvent::Finished(finished)
}

/// How long ago the engine came to its end.
fn since(finished: &Finished) -> Duration {
    let since = Timestamp::now().duration_since(finished.at);
    Duration::try_from(since).unwrap_or_default()
}

/// The engine's events on their way, joined by names and services.
struct Stream<'a> {
    prepared: &'a Prepared,
    reverse: Option<Reverse>,
    services: Option<Services>,
    /// What services have said whose ports are to be reported.
    said: HashMap<Endpoint, Vec<u8>>,
    /// What the engine told last of its progress.
    progress: Progress,
    /// Who is told of what is left out.
    front: Front,
    sink: &'a mut dyn FnMut(&ScanEvent),
}

impl Stream<'_> {
    /// Passes events on until the engine is done; the last is kept back for after the names.
    fn follow(&mut self, events: &Receiver<Vec<ScanEvent>>) -> Option<ScanEvent> {
        let mut finished = None;
        let (never, idle) = (crossbeam_channel::never(), crossbeam_channel::never());
        loop {
            let found = self.reverse.as_ref().map_or(&never, Reverse::found).clone();
            let services = self
                .services
                .as_ref()
                .map_or(&idle, Services::found)
                .clone();
            select! {
                recv(services) -> answer => match answer {
                    Ok(answer) => self.service(&answer),
                    Err(_) => self.services = None,
                },
                recv(events) -> events => match events {
                    Ok(events) => for event in events {
                        match event {
                            ScanEvent::Finished(_) => finished = Some(event),
                            _ => self.pass(&event),
                        }
                    },
                    Err(_) => return finished,
                },
                recv(found) -> found => match found {
                    Ok(found) => self.found(found),
                    // The worker has given up and said so.
                    Err(_) => self.reverse = None,
                },
            }
        }
    }

    fn pass(&mut self, event: &ScanEvent) {
        if let ScanEvent::HostDone { address, .. } = event
            && let Some(services) = &mut self.services
            && services.hold(*address, event)
        {
            return;
        }
        if let ScanEvent::Said(said) = event {
            if self.services.is_some() {
                self.said.insert(said.endpoint, said.bytes.clone());
            }
            return;
        }
        (self.sink)(event);
        match event {
            ScanEvent::Port(fact) => self.ask(fact),
            ScanEvent::Progress(progress) => self.progress = *progress,
            ScanEvent::Started(_) => {
                for problem in &self.prepared.problems {
                    (self.sink)(&ScanEvent::Problem(problem.clone()));
                }
                for fact in &self.prepared.unnamed {
                    self.ask(fact);
                }
            }
            ScanEvent::HostUp(up) => {
                let address = up.address;
                for name in self.prepared.typed.get(&address).into_iter().flatten() {
                    (self.sink)(&ScanEvent::HostName(HostName {
                        address,
                        name: name.to_string(),
                        kind: NameKind::User,
                    }));
                }
                if let Some(name) = self
                    .reverse
                    .as_mut()
                    .and_then(|reverse| reverse.ask(address))
                {
                    self.found(Found::Name { address, name });
                }
            }
            _ => {}
        }
    }

    /// Has an open port asked what runs there, where that is wanted.
    fn ask(&mut self, fact: &PortFact) {
        let said = self.said.remove(&fact.endpoint).unwrap_or_default();
        if let Some(services) = &mut self.services {
            let typed = self.prepared.typed.get(&fact.endpoint.address);
            let name = typed.and_then(|names| names.first());
            let scope = self.prepared.request.zones.index_of(fact.endpoint.address);
            services.ask(fact, name.map(ToString::to_string), said, scope);
        }
    }

    fn found(&mut self, found: Found) {
        let event = match found {
            Found::Name { address, name } => ScanEvent::HostName(HostName {
                address,
                name,
                kind: NameKind::Ptr,
            }),
            Found::GaveUp(why) => ScanEvent::Problem(Problem {
                about: "names".to_owned(),
                message: format!("the names of hosts are not looked up any more: {why}"),
                hint: Some(match self.front {
                    Front::Shell => {
                        format!("use `-n`, or {}", names::other_server(Front::Shell))
                    }
                    front => names::other_server(front).to_owned(),
                }),
                left_out: false,
            }),
        };
        (self.sink)(&event);
    }

    fn service(&mut self, answer: &detect::Answered) {
        if let Some(fact) = answer.fact() {
            (self.sink)(&ScanEvent::Service(fact));
        }
        if let Some(done) = self
            .services
            .as_mut()
            .and_then(|services| services.answered(answer.address()))
        {
            (self.sink)(&done);
        }
    }

    /// Waits for the services that are still asked; whether all of them were waited for.
    fn last_services(&mut self, control: &Control, finished: Option<&ScanEvent>) -> bool {
        let mut told = None;
        while let Some(services) = &mut self.services {
            if services.is_idle() || control.is_stopped() {
                break;
            }
            if let Some(ScanEvent::Finished(finished)) = finished {
                let since = since(finished);
                if told.is_none_or(|told| since >= told + TELLING) {
                    told = Some(since);
                    let progress = Progress {
                        elapsed: finished.elapsed + since,
                        sent: finished.sent,
                        rate: 0.0,
                        in_flight: 0,
                        left: None,
                        phase: services.phase(),
                        ..self.progress
                    };
                    (self.sink)(&ScanEvent::Progress(progress));
                    continue;
                }
            }
            match services.found().clone().recv_timeout(GLANCE) {
                Ok(answer) => self.service(&answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let Some(services) = self.services.take() else {
            return true;
        };
        let is_whole = services.is_idle();
        for done in services.leave() {
            (self.sink)(&done);
        }
        is_whole
    }

    /// Waits for the names that are still on their way, unless the user has stopped the scan.
    fn last_names(&mut self, control: &Control) {
        let Some(reverse) = self.reverse.take() else {
            return;
        };
        let finishing = reverse.finish();
        while !control.is_stopped() {
            match finishing.found().recv_timeout(GLANCE) {
                Ok(found) => self.found(found),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        finishing.leave();
    }
}

#[cfg(test)]
pub(crate) mod tests;
