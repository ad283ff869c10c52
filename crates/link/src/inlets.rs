//! The sockets that packets come by.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_scan::clock::Clock;
use portolan_scan::device::Drops;
use portolan_wire::EtherType;
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::time::{ClockId, clock_gettime};

use crate::closing::PacketSocket;
use crate::error::{Error, Result};
use crate::filter;
use crate::outlets::{open, unsupported};
use crate::sys::{self, Inbox, Instruction, LinkName, Message};

/// Bytes of packets that may wait to be received, at a cost of about 800 each: 10,000 answers,
/// or 0.1 s at 100,000 a second.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// Calls that receive from one socket before another has its turn.
const CALLS: usize = 8;

/// What a socket receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inlet {
    Ipv4,
    Ipv6,
    Arp,
    Advertisements,
}

impl Inlet {
    pub(crate) const ALL: [Self; 4] = [Self::Ipv4, Self::Ipv6, Self::Arp, Self::Advertisements];
}

#[derive(Debug)]
struct Ear {
    inlet: Inlet,
    socket: PacketSocket,
    /// When it was empty last. What comes after cannot have come before, whatever the wall
    /// clock says.
    emptied_at: Duration,
    /// Whether something came since it was last asked what it lost. It loses what finds its queue
    /// full, and a full queue gives something.
    has_heard: bool,
}

/// All sockets to receive by, and the buffers.
#[derive(Debug)]
pub(crate) struct Inlets {
    ears: [Ear; 4],
    inbox: Inbox,
    drops: Drops,
}

impl Inlets {
    /// Opens sockets that hear answers to these ports, from all interfaces.
    ///
    /// One socket a type of packet, not one that hears all: such a one would also be handed what
    /// this machine sends, and the same packet again from a bridge or VLAN and from what is below.
    pub(crate) fn open(ports: &RangeInclusive<u16>, now: Duration) -> Result<Self> {
        let ear = |inlet| -> Result<Ear> {
            let (ether_type, program) = match inlet {
                Inlet::Ipv4 => (EtherType::IPV4, filter::ipv4(ports)),
                Inlet::Ipv6 => (EtherType::IPV6, filter::ipv6(ports)),
                Inlet::Arp => (EtherType::ARP, filter::arp()),
                Inlet::Advertisements => (EtherType::IPV6, filter::advertisements()),
            };
            Ok(Ear {
                inlet,
                socket: PacketSocket::new(capture(ether_type, &program)?),
                emptied_at: now,
                has_heard: false,
            })
        };
        let [v4, v6, arp, advertisements] = Inlet::ALL;
        Ok(Self {
            ears: [ear(v4)?, ear(v6)?, ear(arp)?, ear(advertisements)?],
            inbox: Inbox::new(),
            drops: Drops::default(),
        })
    }

    /// The sockets, in the order of [`Inlet::ALL`].
    pub(crate) fn sockets(&self) -> [BorrowedFd<'_>; 4] {
        self.ears.each_ref().map(|ear| ear.socket.as_fd())
    }

    /// Takes what has come to one socket, up to a bound; returns how many packets.
    pub(crate) fn receive(
        &mut self,
        inlet: Inlet,
        clock: &impl Clock,
        each: &mut dyn FnMut(Duration, &Message<'_>),
    ) -> io::Result<usize> {
        let Some(ear) = self.ears.iter_mut().find(|ear| ear.inlet == inlet) else {
            return Ok(0);
        };
        let mut total = 0;
        for _ in 0..CALLS {
            // Read before the call: what comes during it may be left in the socket.
            let before = clock.now();
            let count = match self.inbox.receive(ear.socket.as_fd()) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ear.emptied_at = before;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // An interface of this socket went down; which one, and whether it matters, is
                // seen elsewhere.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => break,
                Err(error) => return Err(error),
            };
            let (now, wall) = (clock.now(), wall_clock());
            for index in 0..count {
                let Some(message) = self.inbox.get(index) else {
                    continue;
                };
                let age = message.stamp.and_then(|stamp| wall.checked_sub(stamp));
                let at = now.saturating_sub(age.unwrap_or_default());
                self.drops.truncated += u64::from(message.is_cut);
                each(at.max(ear.emptied_at), &message);
            }
            total += count;
            ear.has_heard |= count > 0;
            if count < Inbox::ROOM {
                ear.emptied_at = before;
                break;
            }
        }
        Ok(total)
    }

    /// What was lost so far.
    pub(crate) fn drops(&mut self) -> Drops {
        for ear in &mut self.ears {
            // Packets of neighbours are asked for again; these two are counted.
            let counts = matches!(ear.inlet, Inlet::Ipv4 | Inlet::Ipv6);
            if counts && std::mem::take(&mut ear.has_heard) {
                let new = sys::incoming_drops(ear.socket.as_fd()).unwrap_or(0);
                self.drops.incoming += new;
            }
        }
        self.drops
    }
}

/// The time of day, as the kernel stamps packets with it.
fn wall_clock() -> Duration {
    let time = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A packet socket that hears what the program lets through.
pub(crate) fn capture(ether_type: EtherType, program: &[Instruction]) -> Result<OwnedFd> {
    let doing = "open a packet socket";
    let socket = open(AddressFamily::PACKET, SocketType::DGRAM, None, doing)?
        .ok_or_else(|| unsupported(doing))?;
    let failed = |doing| move |source| Error::System { doing, source };
    // Beyond the limit for everyone only with CAP_NET_ADMIN, which containers do not give.
    sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES))
        .map_err(io::Error::from)
        .map_err(failed("size the queue of a packet socket"))?;
    sys::receive_details(socket.as_fd()).map_err(failed("set up a packet socket"))?;
    // The filter comes first: a bound socket hears at once.
    sys::attach_filter(socket.as_fd(), program).map_err(failed("filter a packet socket"))?;
    sys::bind(socket.as_fd(), &LinkName::any(ether_type))
        .map_err(failed("bind a packet socket"))?;
    Ok(socket)
}
