//! Asking for neighbours, hearing them, and what waits for them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use portolan_scan::clock::Clock;
use portolan_scan::device::{DeviceError, RouteError};
use portolan_wire::MacAddress;

use super::{Awake, Link, failed_to_receive};
use crate::inlets::Inlet;
use crate::neighbours::{Due, Known, Neighbour};
use crate::outlets::{Outlet, ether_type};
use crate::path::{Carrier, Path, Way};
use crate::solicit::{Asker, question, read_advertisement, read_arp};
use crate::sys;

/// News of neighbours that were not heard yet, at the most.
const MOST_NEWS: usize = 4_096;

impl<C: Clock> Link<C> {
    /// Where a way's next hop is, as far as it is known; asks the kernel once.
    pub(super) fn look_up(&mut self, neighbour: Neighbour, now: Duration) -> Known {
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
    pub(super) fn find_gateway(&mut self, way: &Way) -> Result<(), RouteError> {
        if way.mac.is_some() {
            return Ok(());
        }
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
                Known::At(mac) => {
                    self.learn_mac(*way, mac);
                    return Ok(());
                }
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
            self.wait(until, Awake::Neighbours).map_err(failed)?;
            self.hear_neighbours().map_err(failed)?;
        }
    }

    /// Asks for neighbours, and gives those up that were silent for too long.
    pub(super) fn ask_due(&mut self, now: Duration) -> Result<(), DeviceError> {
        if self.neighbours.next_due().is_none_or(|due| due > now) {
            return Ok(());
        }
        // On a busy machine an answer may have come before this process had its turn: nobody is
        // given up whose answer waits to be read.
        self.hear_neighbours()?;
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
    pub(super) fn ask(&mut self, (index, wanted): Neighbour) -> Result<(), DeviceError> {
        let is_fitting = |path: &&Path| {
            path.interface.index == index
                && path.carrier == Carrier::Link
                && path.source.is_ipv4() == wanted.is_ipv4()
        };
        // From an address of the same scope: who is asked may have no route to another.
        let is_alike = |path: &&Path| is_link_local(path.source) == is_link_local(wanted);
        let mut paths = self.paths.iter().filter(is_fitting);
        let alike = paths.clone().find(is_alike);
        let Some(path) = alike.or_else(|| paths.next()) else {
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

    pub(super) fn add_news(&mut self, address: IpAddr, mac: Option<MacAddress>) {
        // Beyond the bound, what is not told is not lost: it is told when asked again.
        if self.news.len() < MOST_NEWS && self.news.back() != Some(&(address, mac)) {
            self.news.push_back((address, mac));
        }
    }

    /// Takes what neighbours said.
    pub(super) fn hear_neighbours(&mut self) -> Result<(), DeviceError> {
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
    pub(super) fn send_freed(&mut self) -> Result<(), DeviceError> {
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

    /// Keeps a packet until its neighbour answers; false when there is no room.
    pub(super) fn keep(&mut self, neighbour: Neighbour, packet: &[u8]) -> bool {
        let now = self.clock.now();
        if self.neighbours.look_up(neighbour, now) == Known::Silent {
            self.unresolved += 1;
            self.add_news(neighbour.1, None);
            return true;
        }
        self.neighbours.ask(neighbour, now) && self.neighbours.hold(neighbour, packet)
    }
}

const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
