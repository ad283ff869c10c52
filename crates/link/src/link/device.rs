//! Sending and receiving: what the engine sees.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portolan_scan::clock::Clock;
use portolan_scan::device::{
    Batch, Device, DeviceError, Drops, Heard, Received, Recovery, Route, RouteError,
};
use portolan_wire::{ipv4, ipv6};

use super::{Awake, Link, failed_to_receive};
use crate::frames::Hop;
use crate::inlets::Inlet;
use crate::neighbours::{Known, Neighbour};
use crate::outlets::Outlet;
use crate::path::Carrier;
use crate::sys;

/// After packets have come, those that follow are taken together once so much time has passed:
/// each is stamped by the kernel, and to wake up for every one costs more than to read it.
const REST: Duration = Duration::from_millis(1);

/// Where something else is due so soon, packets that come before are taken then: whoever sends
/// every few milliseconds wakes up often enough to hear.
const SOON: Duration = Duration::from_millis(2);

/// How one packet leaves.
enum Exit {
    Frame(Outlet, Hop),
    Raw(Outlet, u32),
    /// Its neighbour has to be found first.
    Wait(Neighbour),
}

impl<C: Clock> Device for Link<C> {
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError> {
        let way = self.way(destination)?;
        self.find_gateway(&way)?;
        let path = self.path(&way).ok_or(RouteError::NoRoute { destination })?;
        Ok(path.route(way.path))
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
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
            Known::Asking => {}
            // Whoever asks again wants it asked again.
            Known::Silent | Known::Nothing => {
                if !self.neighbours.ask((index, neighbour), now) {
                    self.add_news(neighbour, None);
                }
            }
        }
        self.ask_due(now)
    }

    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError> {
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
                Exit::Frame(outlet, hop) => self.run.push_frame(outlet, hop, is_v4, packet),
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
    ) -> Result<(), DeviceError> {
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
            let rested = if wake <= now + SOON {
                wake
            } else if self.heard_at > Duration::ZERO {
                wake.min(self.heard_at + REST)
            } else {
                now
            };
            if rested > now {
                self.wait(rested, Awake::Neighbours)?;
            }
            let ready = self.wait(wake, Awake::All)?;
            let mut count = 0;
            if ready.neighbours {
                self.hear_neighbours()?;
                self.send_freed()?;
            }
            for (inlet, is_ready) in Inlet::ALL.into_iter().zip(ready.packets) {
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
            if count > 0 {
                self.heard_at = now;
            }
            for (address, link) in self.news.drain(..) {
                count += 1;
                let heard = match link {
                    Some(link) => Heard::Neighbour { address, link },
                    None => Heard::NoNeighbour { address },
                };
                each(Received { at: now, heard });
            }
            if ready.notices {
                self.changes.take_notices();
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

    fn recover(&mut self, until: Duration) -> Recovery {
        if self.ended.take().is_none() {
            return Recovery::Never;
        }
        self.changes.take_notices();
        self.changes.is_due(self.clock.now());
        self.look_for_changes();
        if self.ended.is_none() {
            return Recovery::Back;
        }
        self.sleep(until);
        Recovery::NotYet
    }

    fn drops(&mut self) -> Drops {
        Drops {
            unresolved: self.unresolved,
            ..self.inlets.drops()
        }
    }
}

impl<C: Clock> Link<C> {
    /// How a packet leaves.
    fn exit(&mut self, packet: &[u8]) -> Result<Exit, DeviceError> {
        let destination = destination_of(packet);
        let bad = |why| DeviceError::BadPacket {
            destination,
            len: packet.len(),
            why,
        };
        let to = destination.ok_or_else(|| bad("it is no IP packet"))?;
        let way = self.way(to)?;
        let (outlet, from, neighbour) = {
            let path = self.path(&way).ok_or_else(|| bad("its path is unknown"))?;
            if packet.len() > usize::try_from(path.mtu).unwrap_or(usize::MAX) {
                return Err(bad("it is longer than the link takes"));
            }
            let outlet = Outlet::of(path);
            let index = path.interface.index;
            if path.carrier != Carrier::Link {
                // This machine itself is reached over the loopback, but its link-local addresses
                // are those of their own interfaces.
                let index = self.asked.zones.index_of(to).unwrap_or(index);
                return Ok(Exit::Raw(outlet, index));
            }
            let next = (index, path.gateway.unwrap_or(to));
            (outlet, path.interface.mac, next)
        };
        let hop = |to| Hop {
            interface: neighbour.0,
            from,
            to,
        };
        if let Some(mac) = way.mac {
            return Ok(Exit::Frame(outlet, hop(mac)));
        }
        match self.look_up(neighbour, self.clock.now()) {
            Known::At(mac) => {
                self.learn_mac(way, mac);
                Ok(Exit::Frame(outlet, hop(mac)))
            }
            _ => Ok(Exit::Wait(neighbour)),
        }
    }

    /// Sends the packets of the run, the first of which is at `first` in the batch; returns how
    /// many left.
    fn send_run(&mut self, batch: &Batch, first: usize) -> Result<usize, DeviceError> {
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
