//! UDP without rights: ordinary sockets behind a [`Device`].
//!
//! Each source port of a probe is a socket of its own, whose real port the kernel chooses. What
//! comes, and the ICMP errors that the kernel keeps in the socket's queue of errors, are written
//! as the packets that they came in, so that one reader understands both ways of asking.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use portolan_scan::Zones;
use portolan_scan::clock::Clock;
use portolan_scan::device::{
    Batch, Carries, ChecksumStatus, Device, DeviceError, Drops, Heard, Reach, Received, Route,
    RouteError,
};
use portolan_wire::{Addresses, Checksum, Protocol, Ttl, icmpv4, icmpv6, ipv4, ipv6, udp};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, sendto, socket_with,
    sockopt,
};

use crate::error::{Error, Result};
use crate::sys::{IcmpError, Letter, Taken, hear_errors};

/// An error about an earlier datagram is told when the next is sent, which then is sent again; so
/// often at the most.
const PENDING: usize = 16;

/// Letters that are taken from one socket before it is another's turn.
const TURN: usize = 64;

/// Sockets that are heard in one call.
const HEARD: usize = 64;

/// Bytes that may wait in a socket to be read: what many answer at once must fit.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Bytes of an error that are written: its own header, and a quoted IP header with 8 bytes.
const QUOTED_LEN: usize = udp::HEADER_LEN;

/// A socket, and the source port that it stands for.
#[derive(Debug)]
struct Own {
    socket: OwnedFd,
    port: u16,
    /// Its real port.
    real: u16,
}

/// Sends and receives datagrams by ordinary sockets.
#[derive(Debug)]
pub struct Datagrams<C> {
    clock: C,
    epoll: OwnedFd,
    owns: Vec<Own>,
    /// Their places, by source port and whether they are of IPv4.
    places: HashMap<(u16, bool), usize>,
    /// The same by their real ports.
    real: HashMap<(u16, bool), usize>,
    /// How many there may be.
    most: u16,
    sources: HashMap<IpAddr, std::result::Result<IpAddr, RouteError>>,
    /// Over which interfaces link-local addresses are reached.
    zones: Zones,
    letter: Letter,
    packet: Vec<u8>,
}

/// A datagram in a packet to send.
struct Sent<'a> {
    source: SocketAddr,
    to: SocketAddr,
    payload: &'a [u8],
}

impl<C: Clock> Datagrams<C> {
    /// With room for so many sockets; each is opened when it is first sent from.
    ///
    /// # Errors
    /// [`Error::System`] where the kernel refuses to watch sockets.
    pub fn open(clock: C, sockets: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|source| Error::System {
            doing: "watch sockets",
            source: source.into(),
        })?;
        Ok(Self {
            clock,
            epoll,
            owns: Vec::new(),
            places: HashMap::new(),
            real: HashMap::new(),
            // One for each family.
            most: u16::try_from(sockets / 2).unwrap_or(u16::MAX).max(1),
            sources: HashMap::new(),
            zones: Zones::NONE,
            letter: Letter::new(),
            packet: Vec::new(),
        })
    }

    /// The same, reaching link-local addresses over these interfaces.
    #[must_use]
    pub fn reaching(mut self, zones: Zones) -> Self {
        self.zones = zones;
        self
    }

    /// Where a socket sends to; a link-local address needs its interface (RFC 3493, 3.3).
    fn name(zones: &Zones, to: SocketAddr) -> SocketAddr {
        match (to.ip(), zones.index_of(to.ip())) {
            (IpAddr::V6(address), Some(scope)) => {
                SocketAddrV6::new(address, to.port(), 0, scope).into()
            }
            _ => to,
        }
    }

    /// The place of the socket that stands for a source port.
    fn own(&mut self, port: u16, is_v4: bool) -> io::Result<usize> {
        if let Some(&place) = self.places.get(&(port, is_v4)) {
            return Ok(place);
        }
        let (family, any): (_, IpAddr) = if is_v4 {
            (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into())
        } else {
            (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into())
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        if !is_v4 {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        // What the system allows is enough where this is refused.
        let _ = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
        bind(&socket, &SocketAddr::new(any, 0))?;
        hear_errors(socket.as_fd(), is_v4)?;
        let place = self.owns.len();
        let real = SocketAddr::try_from(getsockname(&socket)?)?.port();
        self.real.insert((real, is_v4), place);
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        self.owns.push(Own { socket, port, real });
        self.places.insert((port, is_v4), place);
        Ok(place)
    }

    /// Sends one datagram; `false` where the kernel takes no more now.
    fn send_one(&mut self, sent: &Sent<'_>) -> std::result::Result<bool, DeviceError> {
        let destination = sent.to.ip();
        let to = Self::name(&self.zones, sent.to);
        let system = |source: io::Error| DeviceError::System {
            doing: "open a socket",
            source,
        };
        let place = self
            .own(sent.source.port(), sent.to.is_ipv4())
            .map_err(system)?;
        let socket = &self.owns[place].socket;
        let mut last = Errno::AGAIN;
        for _ in 0..PENDING {
            match sendto(socket, sent.payload, rustix::net::SendFlags::DONTWAIT, &to) {
                Ok(_) => return Ok(true),
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                    return Err(DeviceError::Forbidden {
                        destination,
                        source: error.into(),
                    });
                }
                Err(Errno::MSGSIZE) => {
                    return Err(DeviceError::BadPacket {
                        destination: Some(destination),
                        len: sent.payload.len(),
                        why: "it is longer than the path takes",
                    });
                }
                // An error about an earlier datagram, which stays in the queue of errors.
                Err(error) => last = error,
            }
        }
        Err(match last {
            Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL => {
                DeviceError::Route(RouteError::NoRoute { destination })
            }
            error => DeviceError::Forbidden {
                destination,
                source: error.into(),
            },
        })
    }

    /// The source address of packets to a destination, as the kernel chooses it.
    fn choose_source(
        zones: &Zones,
        destination: IpAddr,
    ) -> std::result::Result<IpAddr, RouteError> {
        let not_a_host = destination.is_multicast() || destination.is_unspecified();
        if not_a_host || destination == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(RouteError::NotAHost { destination });
        }
        let family = if destination.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let chosen = || -> rustix::io::Result<Option<IpAddr>> {
            let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            connect(&socket, &Self::name(zones, SocketAddr::new(destination, 9)))?;
            let own = getsockname(&socket)?;
            Ok(SocketAddr::try_from(own).ok().map(|own| own.ip()))
        };
        match chosen() {
            Ok(Some(source)) => Ok(source),
            // What connects to it needs a right that only broadcasts ask for.
            Err(Errno::ACCESS) => Err(RouteError::NotAHost { destination }),
            // Where the addresses of IPv6 are taken away and its routes are not, there is no
            // address to ask from.
            Ok(None)
            | Err(
                Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL,
            ) => Err(RouteError::NoRoute { destination }),
            Err(error) => Err(RouteError::LookUp {
                destination,
                why: io::Error::from(error).to_string(),
            }),
        }
    }

    /// Hands over what one socket has received.
    fn hear(&mut self, place: usize, each: &mut dyn FnMut(Received<'_>)) -> io::Result<()> {
        // Errors first: while one waits, the kernel tells of it in place of a datagram.
        for errors in [true, false] {
            for _ in 0..TURN {
                let Some(own) = self.owns.get(place) else {
                    return Ok(());
                };
                let taken = match self.letter.receive(own.socket.as_fd(), errors) {
                    Ok(Some(taken)) => taken,
                    Ok(None) => break,
                    // It is told of an error that was taken from the queue.
                    Err(error) if is_about_a_datagram(&error) => continue,
                    Err(error) => return Err(error),
                };
                let own_address = self.sources.get(&taken.peer.ip()).cloned();
                let Some(Ok(own_address)) = own_address else {
                    continue;
                };
                let here = (SocketAddr::new(own_address, own.port), own.real);
                let by = self.real.get(&(taken.peer.port(), taken.peer.is_ipv4()));
                let by = by.and_then(|&by| self.owns.get(by));
                let is_own = !errors && own_address == taken.peer.ip();
                let packet = &mut self.packet;
                let written = if let Some(by) = by.filter(|_| is_own) {
                    // One of our own questions came to one of our own sockets: without that,
                    // nothing would be there.
                    let asker = SocketAddr::new(own_address, by.port);
                    let closed = closed_port(SocketAddr::new(own_address, here.1));
                    write_packet(asker, &closed, true, &[], packet)
                } else {
                    let bytes = self.letter.bytes(&taken);
                    write_packet(here.0, &taken, errors, bytes, packet)
                };
                if written.is_none() {
                    continue;
                }
                each(Received {
                    at: self.clock.now(),
                    heard: Heard::Packet {
                        bytes: &self.packet,
                        checksum: ChecksumStatus::Valid,
                        link: None,
                    },
                });
            }
        }
        Ok(())
    }
}

/// Whether an error of a socket is about a datagram that it sent, and not about itself.
fn is_about_a_datagram(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNREFUSED
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::ACCESS
                | Errno::PERM
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::MSGSIZE
                | Errno::INTR
        )
    )
}

impl<C: Clock> Device for Datagrams<C> {
    fn route(&mut self, destination: IpAddr) -> std::result::Result<Route, RouteError> {
        let known = self.sources.get(&destination).cloned();
        let source = if let Some(known) = known {
            known?
        } else {
            let chosen = Self::choose_source(&self.zones, destination);
            self.sources.insert(destination, chosen.clone());
            chosen?
        };
        Ok(Route {
            source,
            reach: if source == destination {
                Reach::Host
            } else {
                Reach::Beyond
            },
            path: u32::from(destination.is_ipv6()),
            mtu: u16::MAX.into(),
        })
    }

    fn solicit(&mut self, neighbour: IpAddr) -> std::result::Result<(), DeviceError> {
        Err(DeviceError::NotOnLink { address: neighbour })
    }

    fn send(&mut self, batch: &Batch) -> std::result::Result<usize, DeviceError> {
        for (index, packet) in batch.iter().enumerate() {
            let Some(sent) = datagram_in(packet) else {
                if index > 0 {
                    return Ok(index);
                }
                return Err(DeviceError::BadPacket {
                    destination: None,
                    len: packet.len(),
                    why: "sockets carry UDP datagrams alone",
                });
            };
            match self.send_one(&sent) {
                Ok(true) => {}
                Ok(false) => return Ok(index),
                Err(_) if index > 0 => return Ok(index),
                Err(error) => return Err(error),
            }
        }
        Ok(batch.len())
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> std::result::Result<(), DeviceError> {
        let failed = |source: io::Error| DeviceError::System {
            doing: "receive from sockets",
            source,
        };
        let wait = until.saturating_sub(self.clock.now());
        let wait = Timespec::try_from(wait).unwrap_or_default();
        let mut events: Vec<epoll::Event> = Vec::with_capacity(HEARD);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        for event in events {
            let place = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            self.hear(place, each).map_err(failed)?;
        }
        Ok(())
    }

    fn drops(&mut self) -> Drops {
        Drops::default()
    }

    fn carries(&self) -> Carries {
        Carries::Datagrams { ports: self.most }
    }
}

/// The datagram in a packet.
fn datagram_in(packet: &[u8]) -> Option<Sent<'_>> {
    let (addresses, header) = match packet.first()? >> 4 {
        4 => {
            let view = ipv4::Packet::new(packet).ok()?;
            (view.protocol() == Protocol::UDP).then_some(())?;
            (view.addresses(), ipv4::HEADER_LEN)
        }
        6 => {
            let view = ipv6::Packet::new(packet).ok()?;
            (view.next_header() == Protocol::UDP).then_some(())?;
            (view.addresses(), ipv6::HEADER_LEN)
        }
        _ => return None,
    };
    let datagram = packet.get(header..)?;
    let view = udp::Packet::new(datagram).ok()?;
    Some(Sent {
        source: SocketAddr::new(addresses.src(), view.source_port()),
        to: SocketAddr::new(addresses.dst(), view.destination_port()),
        payload: datagram.get(udp::HEADER_LEN..view.length().into())?,
    })
}

/// What a host says of a port at which nothing listens.
fn closed_port(at: SocketAddr) -> Taken {
    let (kind, code) = if at.is_ipv4() {
        (3, icmpv4::unreachable::PORT)
    } else {
        (1, icmpv6::unreachable::PORT)
    };
    Taken {
        peer: at,
        len: 0,
        ttl: None,
        error: Some(IcmpError {
            kind,
            code,
            from: Some(at.ip()),
        }),
    }
}

/// Writes what was taken as the packet that it came in; `None` for an error that is no ICMP.
fn write_packet(
    own: SocketAddr,
    taken: &Taken,
    is_error: bool,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    if !is_error {
        let addresses = Addresses::new(taken.peer.ip(), own.ip()).ok()?;
        let datagram = udp::Repr {
            src_port: taken.peer.port(),
            dst_port: own.port(),
            checksum: Checksum::Correct,
            payload: bytes,
        };
        return written(
            out,
            &addresses,
            Protocol::UDP,
            taken.ttl,
            datagram.len(),
            |bytes| datagram.emit(&addresses, bytes),
        );
    }
    let IcmpError { kind, code, from } = taken.error?;
    // The packet that it is about, as far as it matters: its ends.
    let asked = Addresses::new(own.ip(), taken.peer.ip()).ok()?;
    let mut quoted = Vec::new();
    let about = udp::Repr {
        src_port: own.port(),
        dst_port: taken.peer.port(),
        checksum: Checksum::Correct,
        payload: &[],
    };
    written(
        &mut quoted,
        &asked,
        Protocol::UDP,
        None,
        QUOTED_LEN,
        |bytes| about.emit(&asked, bytes),
    )?;
    let addresses = Addresses::new(from.unwrap_or_else(|| taken.peer.ip()), own.ip()).ok()?;
    match (addresses, kind) {
        (Addresses::V4 { .. }, 3) => {
            let message = icmpv4::Repr::new(icmpv4::Message::DestinationUnreachable {
                code,
                next_hop_mtu: 0,
                quoted: &quoted,
            });
            written(
                out,
                &addresses,
                Protocol::ICMP,
                taken.ttl,
                message.len(),
                |bytes| message.emit(bytes),
            )
        }
        (Addresses::V6 { .. }, 1) => {
            let message = icmpv6::Repr::new(icmpv6::Message::DestinationUnreachable {
                code,
                quoted: &quoted,
            });
            written(
                out,
                &addresses,
                Protocol::ICMPV6,
                taken.ttl,
                message.len(),
                |bytes| message.emit(&addresses, bytes),
            )
        }
        _ => None,
    }
}

/// Writes an IP packet with a payload of `len` bytes.
fn written(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    protocol: Protocol,
    ttl: Option<u8>,
    len: usize,
    payload: impl FnOnce(&mut [u8]) -> portolan_wire::Result<()>,
) -> Option<()> {
    out.clear();
    // Nothing else than what the kernel told is claimed of it.
    let ttl = Ttl(ttl.unwrap_or(0));
    let header = match *addresses {
        Addresses::V4 { src, dst } => {
            let header = ipv4::Repr {
                ttl,
                ..ipv4::Repr::new(src, dst, protocol, len)
            };
            out.resize(header.len() + len, 0);
            header.emit(out).ok()?;
            header.len()
        }
        Addresses::V6 { src, dst } => {
            let header = ipv6::Repr {
                hop_limit: ttl,
                ..ipv6::Repr::new(src, dst, protocol, len)
            };
            out.resize(header.len() + len, 0);
            header.emit(out).ok()?;
            header.len()
        }
    };
    payload(out.get_mut(header..)?).ok()
}

#[cfg(test)]
mod tests;
