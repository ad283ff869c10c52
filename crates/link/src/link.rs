//! The kernel's interfaces as one device.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_scan::clock::Clock;
use portolan_scan::device::{
    Batch, Device, DeviceError, Drops, Heard, Received, Route, RouteError,
};
use portolan_wire::{MacAddress, ipv4, ipv6};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::changes::{Change, Changes, look};
use crate::error::{Error, Result};
use crate::inlets::{Inlet, Inlets};
use crate::kernel::{Kernel, RouteKind};
use crate::neighbours::{Due, Known, Neighbour, Neighbours};
use crate::outlets::{Outlet, Outlets, Run, ether_type};
use crate::path::{Carrier, Path, Way, Ways};
use crate::solicit::{Asker, question, read_advertisement, read_arp};
use crate::sys;

/// News of neighbours that were not heard yet, at the most.
const MOST_NEWS: usize = 4_096;

/// Ways out that differ, at the most: interfaces times gateways times source addresses.
const MOST_PATHS: usize = 4_096;

/// What a link is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The ports that probes are sent from: what comes to others is not heard.
    pub ports: RangeInclusive<u16>,
    /// Sends over this interface only, whatever the routing table says.
    pub interface: Option<String>,
    /// Sends from this address, to destinations of its family.
    pub source: Option<IpAddr>,
}

impl Options {
    /// Any interface, the kernel's choice of source addresses.
    pub const fn new(ports: RangeInclusive<u16>) -> Self {
        Self {
            ports,
            interface: None,
            source: None,
        }
    }
}

/// The kernel's interfaces as one device: see the [crate] for what it does.
///
/// It belongs to the network namespace that it was opened in.
#[derive(Debug)]
pub struct Link<C> {
    clock: C,
    kernel: Kernel,
    changes: Changes,
    outlets: Outlets,
    inlets: Inlets,
    interface: Option<u32>,
    source: Option<IpAddr>,
    paths: Vec<Path>,
    ways: Ways,
    neighbours: Neighbours,
    /// Packets whose neighbour has answered, and that have not left yet.
    freed: VecDeque<(Outlet, Neighbour, MacAddress, Box<[u8]>)>,
    /// What became of neighbours; `None` for one that did not answer.
    news: VecDeque<(IpAddr, Option<MacAddress>)>,
    run: Run,
    unresolved: u64,
    /// What ended the use of this device.
    ended: Option<Change>,
}

/// How one packet leaves.
enum Exit {
    Frame(Outlet, u32, MacAddress),
    Raw(Outlet, u32),
    /// Its neighbour has to be found first.
    Wait(Neighbour),
}

impl<C: Clock> Link<C> {
    /// Opens all sockets. Rights are needed for this and for nothing later.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without `CAP_NET_RAW`, [`Error::NoInterface`] and
    /// [`Error::SourceNotOurs`] for options that name what is not there, [`Error::NoPorts`] for
    /// an empty range, [`Error::System`] otherwise.
    pub fn open(clock: C, options: &Options) -> Result<Self> {
        if options.ports.is_empty() {
            return Err(Error::NoPorts {
                first: *options.ports.start(),
                last: *options.ports.end(),
            });
        }
        let outlets = Outlets::open()?;
        let inlets = Inlets::open(&options.ports, clock.now())?;
        let failed = |source| Error::System {
            doing: "ask the kernel for its interfaces",
            source,
        };
        // Heard before anything is asked, so that no change falls between.
        let changes = Changes::open().map_err(failed)?;
        let mut kernel = Kernel::open().map_err(failed)?;
        let interface = match &options.interface {
            None => None,
            Some(name) => {
                let found = kernel.interface_by_name(name).map_err(failed)?;
                let found = found.ok_or_else(|| Error::NoInterface { name: name.clone() })?;
                Some(found.index)
            }
        };
        if let Some(address) = options.source
            && !address.is_loopback()
            && kernel.owner(address).map_err(failed)?.is_none()
        {
            return Err(Error::SourceNotOurs { address });
        }
        Ok(Self {
            clock,
            kernel,
            changes,
            outlets,
            inlets,
            interface,
            source: options.source,
            paths: Vec::new(),
            ways: Ways::default(),
            neighbours: Neighbours::default(),
            freed: VecDeque::new(),
            news: VecDeque::new(),
            run: Run::new(),
            unresolved: 0,
            ended: None,
        })
    }

    /// The clock that its times are of.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// The way to a destination: remembered, or asked of the kernel.
    fn way(&mut self, destination: IpAddr) -> std::result::Result<Way, RouteError> {
        if let Some(way) = self.ways.get(destination) {
            return Ok(way);
        }
        let path = self.find_path(destination)?;
        let known = self.paths.iter().position(|other| other.is(&path));
        let number = match known {
            Some(number) => number,
            None if self.paths.len() < MOST_PATHS => {
                self.paths.push(path);
                self.paths.len() - 1
            }
            None => {
                let why = format!("more than {MOST_PATHS} ways out");
                return Err(RouteError::LookUp { destination, why });
            }
        };
        let way = Way {
            destination,
            path: u32::try_from(number).unwrap_or(u32::MAX),
            mac: None,
        };
        self.ways.insert(way);
        Ok(way)
    }

    /// Asks the kernel how packets to a destination leave.
    fn find_path(&mut self, destination: IpAddr) -> std::result::Result<Path, RouteError> {
        // To the kernel, the unspecified address is this machine, and without a default route
        // the broadcast address is nowhere.
        let is_broadcast = destination == IpAddr::from(Ipv4Addr::BROADCAST);
        if destination.is_unspecified() || destination.is_multicast() || is_broadcast {
            return Err(RouteError::NotAHost { destination });
        }
        let failed = |error: io::Error| RouteError::LookUp {
            destination,
            why: error.to_string(),
        };
        let wanted = self
            .source
            .filter(|source| source.is_ipv4() == destination.is_ipv4());
        let found = self.kernel.route(destination, wanted, self.interface);
        let no_route = RouteError::NoRoute { destination };
        let route = found.map_err(failed)?.ok_or_else(|| no_route.clone())?;
        let interface = self.kernel.interface(route.interface).map_err(failed)?;
        let interface = interface.ok_or_else(|| no_route.clone())?;
        let carrier = match route.kind {
            RouteKind::Unicast if interface.has_neighbours() => Carrier::Link,
            RouteKind::Unicast => Carrier::Tunnel,
            RouteKind::Local => Carrier::Host,
            RouteKind::Group => return Err(RouteError::NotAHost { destination }),
            RouteKind::Forbidden => return Err(no_route),
        };
        if !interface.is_up() {
            return Err(RouteError::InterfaceDown {
                interface: interface.name,
            });
        }
        let source = wanted.or(route.source).ok_or_else(|| RouteError::LookUp {
            destination,
            why: format!("`{}` has no address of its family", interface.name),
        })?;
        Ok(Path {
            carrier,
            gateway: route.gateway,
            source,
            mtu: route.mtu.unwrap_or(interface.mtu).min(interface.mtu),
            sample: destination,
            interface,
        })
    }

    fn path(&self, way: &Way) -> Option<&Path> {
        self.paths.get(usize::try_from(way.path).ok()?)
    }

    /// Where a way's next hop is, as far as it is known; asks the kernel once.
    fn look_up(&mut self, neighbour: Neighbour, now: Duration) -> Known {
        let known = self.neighbours.look_up(neighbour, now);
        if known == Known::Nothing {
            let (interface, address) = neighbour;
            if let Ok(Some(mac)) = self.kernel.neighbour(address, interface) {
                self.neighbours.learn(neighbour, mac);
                return Known::At(mac);
            }
        }
        known
    }

    /// Has a gateway found, and waits for that.
    fn find_gateway(&mut self, way: &Way) -> std::result::Result<(), RouteError> {
        let Some((neighbour, silent)) = self.path(way).and_then(|path| {
            let gateway = path.gateway.filter(|_| path.carrier == Carrier::Link)?;
            let interface = path.interface.name.clone();
            let silent = RouteError::GatewaySilent { gateway, interface };
            Some(((path.interface.index, gateway), silent))
        }) else {
            return Ok(());
        };
        let failed = |error: DeviceError| RouteError::LookUp {
            destination: way.destination,
            why: error.to_string(),
        };
        loop {
            let now = self.clock.now();
            match self.look_up(neighbour, now) {
                Known::At(_) => return Ok(()),
                Known::Silent => return Err(silent),
                Known::Nothing => {
                    if !self.neighbours.ask(neighbour, now) {
                        return Err(silent);
                    }
                }
                Known::Asking => {}
            }
            self.ask_due(self.clock.now()).map_err(failed)?;
            let until = self.neighbours.next_due().unwrap_or(now);
            self.wait(until).map_err(failed)?;
            self.hear_neighbours().map_err(failed)?;
        }
    }

    /// Asks for neighbours, and gives those up that were silent for too long.
    fn ask_due(&mut self, now: Duration) -> std::result::Result<(), DeviceError> {
        while let Some(due) = self.neighbours.due(now) {
            match due {
                Due::Ask(neighbour) => self.ask(neighbour)?,
                Due::GiveUp((_, address), gone) => {
                    self.unresolved += gone as u64;
                    self.add_news(address, None);
                }
            }
        }
        Ok(())
    }

    /// Asks for a neighbour once.
    fn ask(&mut self, (index, wanted): Neighbour) -> std::result::Result<(), DeviceError> {
        let is_fitting = |path: &&Path| {
            path.interface.index == index
                && path.carrier == Carrier::Link
                && path.source.is_ipv4() == wanted.is_ipv4()
        };
        let Some(path) = self.paths.iter().find(is_fitting) else {
            return Ok(());
        };
        let Some(mac) = path.interface.mac else {
            return Ok(());
        };
        let outlet = Outlet::of(path);
        let asker = Asker {
            mac,
            address: path.source,
        };
        let Ok(question) = question(asker, wanted) else {
            return Ok(());
        };
        let name = sys::LinkName::new(index, question.to, question.ether_type);
        let Some(socket) = self.outlets.socket(outlet, wanted.is_ipv4()) else {
            return Ok(());
        };
        match sys::send(socket, &[name], std::iter::once(&question.bytes[..])) {
            Ok(_) => Ok(()),
            // It is asked for again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            // What keeps only this question from leaving looks like silence.
            Err(error) => match self.explain(wanted, question.bytes.len(), error) {
                error if error.is_final() => Err(error),
                _ => Ok(()),
            },
        }
    }

    fn add_news(&mut self, address: IpAddr, mac: Option<MacAddress>) {
        // Beyond the bound, what is not told is not lost: it is told when asked again.
        if self.news.len() < MOST_NEWS && self.news.back() != Some(&(address, mac)) {
            self.news.push_back((address, mac));
        }
    }

    /// Waits until a socket has something, or until a time.
    fn wait(&self, until: Duration) -> std::result::Result<[bool; 4], DeviceError> {
        let left = until.saturating_sub(self.clock.now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let [v4, v6, arp, advertisements] = self.inlets.sockets();
        let notices = &self.changes.notices;
        let mut waiting = [
            PollFd::from_borrowed_fd(v4, PollFlags::IN),
            PollFd::from_borrowed_fd(v6, PollFlags::IN),
            PollFd::from_borrowed_fd(arp, PollFlags::IN),
            PollFd::from_borrowed_fd(advertisements, PollFlags::IN),
            PollFd::new(notices, PollFlags::IN),
        ];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(DeviceError::System {
                    doing: "wait for packets",
                    source: error.into(),
                });
            }
        }
        let [v4, v6, arp, advertisements, _] =
            waiting.each_ref().map(|fd| !fd.revents().is_empty());
        Ok([v4, v6, arp, advertisements])
    }

    /// Takes what neighbours said.
    fn hear_neighbours(&mut self) -> std::result::Result<(), DeviceError> {
        let mut told = Vec::new();
        for inlet in [Inlet::Arp, Inlet::Advertisements] {
            let each = &mut |_at: Duration, message: &sys::Message<'_>| {
                let answer = match inlet {
                    Inlet::Arp => read_arp(message.bytes),
                    _ => read_advertisement(message.bytes, message.from.mac()),
                };
                told.extend(answer.map(|(address, mac)| (message.from.interface(), address, mac)));
            };
            let result = self.inlets.receive(inlet, &self.clock, each);
            result.map_err(failed_to_receive)?;
        }
        for (interface, address, mac) in told {
            let neighbour = (interface, address);
            let Some(held) = self.neighbours.answered(neighbour, mac) else {
                continue;
            };
            self.add_news(address, Some(mac));
            let path = self
                .paths
                .iter()
                .find(|path| path.interface.index == interface);
            let outlet = path.map_or(Outlet::Frame, Outlet::of);
            let held = held.into_iter();
            self.freed
                .extend(held.map(|packet| (outlet, neighbour, mac, packet)));
        }
        Ok(())
    }

    /// Sends packets whose neighbours have answered.
    fn send_freed(&mut self) -> std::result::Result<(), DeviceError> {
        while let Some((outlet, neighbour, mac, packet)) = self.freed.front() {
            let neighbour = *neighbour;
            let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
            let name = sys::LinkName::new(neighbour.0, *mac, ether_type(is_v4));
            let Some(socket) = self.outlets.socket(*outlet, is_v4) else {
                return Ok(());
            };
            match sys::send(socket, &[name], std::iter::once(&packet[..])) {
                Ok(_) => {}
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        || error.raw_os_error() == Some(libc::ENOBUFS) =>
                {
                    return Ok(());
                }
                Err(error) => {
                    let (len, to) = (packet.len(), neighbour.1);
                    self.freed.pop_front();
                    // Without the final ones, it concerned this packet, which is lost.
                    let error = self.explain(to, len, error);
                    if error.is_final() {
                        return Err(error);
                    }
                    self.unresolved += 1;
                    continue;
                }
            }
            self.freed.pop_front();
        }
        Ok(())
    }

    /// How a packet leaves.
    fn exit(&mut self, packet: &[u8]) -> std::result::Result<Exit, DeviceError> {
        let destination = destination_of(packet);
        let bad = |why| DeviceError::BadPacket {
            destination,
            len: packet.len(),
            why,
        };
        let to = destination.ok_or_else(|| bad("it is no IP packet"))?;
        let mut way = self.way(to)?;
        let (outlet, interface, neighbour) = {
            let path = self.path(&way).ok_or_else(|| bad("its path is unknown"))?;
            if packet.len() > usize::try_from(path.mtu).unwrap_or(usize::MAX) {
                return Err(bad("it is longer than the link takes"));
            }
            let outlet = Outlet::of(path);
            let index = path.interface.index;
            if path.carrier != Carrier::Link {
                return Ok(Exit::Raw(outlet, index));
            }
            (outlet, index, (index, path.gateway.unwrap_or(to)))
        };
        if let Some(mac) = way.mac {
            return Ok(Exit::Frame(outlet, interface, mac));
        }
        match self.look_up(neighbour, self.clock.now()) {
            Known::At(mac) => {
                way.mac = Some(mac);
                self.ways.insert(way);
                Ok(Exit::Frame(outlet, interface, mac))
            }
            _ => Ok(Exit::Wait(neighbour)),
        }
    }

    /// Keeps a packet until its neighbour answers; false when there is no room.
    fn keep(&mut self, neighbour: Neighbour, packet: &[u8]) -> bool {
        let now = self.clock.now();
        if self.neighbours.look_up(neighbour, now) == Known::Silent {
            self.unresolved += 1;
            self.add_news(neighbour.1, None);
            return true;
        }
        self.neighbours.ask(neighbour, now) && self.neighbours.hold(neighbour, packet)
    }

    /// Sends the packets of the run, the first of which is at `first` in the batch; returns how
    /// many left.
    fn send_run(&mut self, batch: &Batch, first: usize) -> std::result::Result<usize, DeviceError> {
        let result = self
            .run
            .send(&self.outlets, |index| batch.get(first + index));
        self.run.clear();
        result.map_err(|error| {
            let packet = batch.get(first).unwrap_or_default();
            let to = destination_of(packet).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            self.explain(to, packet.len(), error)
        })
    }

    /// What an error of sending means.
    fn explain(&mut self, to: IpAddr, len: usize, error: io::Error) -> DeviceError {
        let bad = |why| DeviceError::BadPacket {
            destination: Some(to),
            len,
            why,
        };
        match error.raw_os_error() {
            Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO) => {
                self.look_for_changes();
                match &self.ended {
                    Some(change) => change.clone().into(),
                    None => DeviceError::System {
                        doing: "send packets",
                        source: error,
                    },
                }
            }
            Some(libc::EPERM | libc::EACCES) => DeviceError::Forbidden {
                destination: to,
                source: error,
            },
            Some(libc::EMSGSIZE) => bad("it is longer than the link takes"),
            Some(libc::EINVAL) => bad("the system does not take it"),
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
                RouteError::NoRoute { destination: to }.into()
            }
            _ => DeviceError::System {
                doing: "send packets",
                source: error,
            },
        }
    }

    /// Looks at every path in use, and forgets what hung on the old state.
    fn look_for_changes(&mut self) {
        self.ways.clear();
        for path in &self.paths {
            // Where the kernel cannot be asked, sending shows what is wrong.
            if let Ok(Some(change)) = look(&mut self.kernel, path) {
                self.ended = Some(change);
                return;
            }
        }
    }

    fn check(&self) -> std::result::Result<(), DeviceError> {
        match &self.ended {
            None => Ok(()),
            Some(change) => Err(change.clone().into()),
        }
    }
}

impl<C: Clock> Device for Link<C> {
    fn route(&mut self, destination: IpAddr) -> std::result::Result<Route, RouteError> {
        let way = self.way(destination)?;
        self.find_gateway(&way)?;
        let path = self.path(&way).ok_or(RouteError::NoRoute { destination })?;
        Ok(path.route(way.path))
    }

    fn solicit(&mut self, neighbour: IpAddr) -> std::result::Result<(), DeviceError> {
        self.check()?;
        let way = self.way(neighbour)?;
        let index = self
            .path(&way)
            .filter(|path| path.carrier == Carrier::Link && path.gateway.is_none())
            .map(|path| path.interface.index)
            .ok_or(DeviceError::NotOnLink { address: neighbour })?;
        let now = self.clock.now();
        match self.neighbours.look_up((index, neighbour), now) {
            Known::At(mac) => self.add_news(neighbour, Some(mac)),
            Known::Silent => self.add_news(neighbour, None),
            Known::Asking => {}
            Known::Nothing => {
                if !self.neighbours.ask((index, neighbour), now) {
                    self.add_news(neighbour, None);
                }
            }
        }
        self.ask_due(now)
    }

    fn send(&mut self, batch: &Batch) -> std::result::Result<usize, DeviceError> {
        self.check()?;
        self.send_freed()?;
        // What waited longest leaves first.
        if !self.freed.is_empty() {
            return Ok(0);
        }
        self.run.clear();
        let mut has_asked = false;
        // Packets before the run; those after it are looked at.
        let mut first = 0;
        let mut error = None;
        for (index, packet) in batch.iter().enumerate() {
            let exit = match self.exit(packet) {
                Ok(exit) => exit,
                Err(found) => {
                    error = Some(found);
                    break;
                }
            };
            let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
            let outlet = match &exit {
                Exit::Frame(outlet, ..) | Exit::Raw(outlet, _) => Some((*outlet, is_v4)),
                Exit::Wait(_) => None,
            };
            if self.run.outlet.is_some() && self.run.outlet != outlet {
                match self.send_run(batch, first) {
                    Ok(sent) => first += sent,
                    Err(found) if first == 0 => return Err(found),
                    Err(_) => return Ok(first),
                }
                if first < index {
                    return Ok(first);
                }
            }
            match exit {
                Exit::Frame(outlet, interface, mac) => {
                    self.run.push_frame(outlet, interface, mac, is_v4);
                }
                Exit::Raw(outlet, interface) => {
                    if let Some(to) = destination_of(packet) {
                        self.run.push_host(outlet, to, interface);
                    }
                }
                Exit::Wait(neighbour) => {
                    if !self.keep(neighbour, packet) {
                        break;
                    }
                    first += 1;
                    has_asked = true;
                }
            }
        }
        let waits = self.run.len();
        let sent = self.send_run(batch, first);
        if has_asked {
            self.ask_due(self.clock.now())?;
        }
        match (sent, error) {
            (Ok(_), Some(error)) if first == 0 && waits == 0 => Err(error),
            (Err(error), _) if first == 0 => Err(error),
            (Ok(sent), _) => Ok(first + sent),
            (Err(_), _) => Ok(first),
        }
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> std::result::Result<(), DeviceError> {
        loop {
            self.check()?;
            let now = self.clock.now();
            self.ask_due(now)?;
            self.send_freed()?;
            let wake = [self.neighbours.next_due(), self.changes.next_due()];
            let wake = wake.into_iter().flatten().fold(until, Duration::min);
            // Packets that could not leave are tried again soon.
            let retry = now + Duration::from_millis(1);
            let wake = if self.freed.is_empty() {
                wake
            } else {
                wake.min(retry)
            };
            let wake = if self.news.is_empty() { wake } else { now };
            let ready = self.wait(wake)?;
            let mut count = 0;
            if ready[2] || ready[3] {
                self.hear_neighbours()?;
                self.send_freed()?;
            }
            for (inlet, is_ready) in Inlet::ALL.into_iter().zip(ready).take(2) {
                if !is_ready {
                    continue;
                }
                let hear = &mut |at: Duration, message: &sys::Message<'_>| {
                    each(Received {
                        at,
                        heard: Heard::Packet {
                            bytes: message.bytes,
                            checksum: message.checksum,
                            link: message.from.mac(),
                        },
                    });
                };
                let result = self.inlets.receive(inlet, &self.clock, hear);
                count += result.map_err(failed_to_receive)?;
            }
            let now = self.clock.now();
            for (address, link) in self.news.drain(..) {
                count += 1;
                let heard = match link {
                    Some(link) => Heard::Neighbour { address, link },
                    None => Heard::NoNeighbour { address },
                };
                each(Received { at: now, heard });
            }
            if self.changes.is_due(now) {
                self.look_for_changes();
                self.check()?;
            }
            if count > 0 || now >= until {
                return Ok(());
            }
        }
    }

    fn drops(&mut self) -> Drops {
        Drops {
            unresolved: self.unresolved,
            ..self.inlets.drops()
        }
    }
}

fn failed_to_receive(source: io::Error) -> DeviceError {
    DeviceError::System {
        doing: "receive packets",
        source,
    }
}

/// The destination of an IP packet, by its header.
fn destination_of(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 if packet.len() >= ipv4::HEADER_LEN => {
            let octets: &[u8; 4] = packet.get(16..)?.first_chunk()?;
            Some(IpAddr::from(*octets))
        }
        6 if packet.len() >= ipv6::HEADER_LEN => {
            let octets: &[u8; 16] = packet.get(24..)?.first_chunk()?;
            Some(IpAddr::from(*octets))
        }
        _ => None,
    }
}
