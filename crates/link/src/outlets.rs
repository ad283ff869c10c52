//! The sockets that packets leave by.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use portolan_wire::EtherType;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, sockopt};

use crate::changes::Asked;
use crate::closing::PacketSocket;
use crate::error::{Error, Result};
use crate::frames::{FrameSocket, Frames, Hop};
use crate::path::{Carrier, Path};
use crate::rights::missing_after;
use crate::{filter, sys};

/// Bytes of packets that may wait in the kernel for one socket. What is sent at full speed fills
/// any queue; a short one says sooner that it is full, and keeps round trips honest.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// A socket to send by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// With a link header.
    Frame,
    /// IP, over tunnels.
    Tunnel,
    /// IP, to this machine itself: marked, so that it is not taken for an answer.
    Host,
}

impl Outlet {
    /// The socket for a path.
    pub(crate) fn of(path: &Path) -> Self {
        match path.carrier {
            Carrier::Link => Self::Frame,
            Carrier::Tunnel => Self::Tunnel,
            Carrier::Host => Self::Host,
        }
    }
}

/// A raw socket for each family that this machine has.
#[derive(Debug)]
struct RawPair {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
}

/// All sockets to send by.
#[derive(Debug)]
pub(crate) struct Outlets {
    /// Goes through the queueing discipline: to pass it by (packet(7), `PACKET_QDISC_BYPASS`)
    /// was not measurably faster over veth, and it defeats shaping, hides what is sent from
    /// tcpdump and turns a full queue into lost packets.
    frame: PacketSocket,
    /// The same, for frames that bring their headers.
    whole: FrameSocket,
    tunnel: RawPair,
    host: RawPair,
}

impl Outlets {
    pub(crate) fn open() -> Result<Self> {
        let host = RawPair::open()?;
        for socket in host.v4.iter().chain(&host.v6) {
            // Kernels before 5.17 ask for CAP_NET_ADMIN. Without marks, probes of our own that
            // are no SYNs and go to ports of our own range are seen on the loopback.
            let _ = sys::mark(socket.as_fd(), filter::MARK);
        }
        Ok(Self {
            frame: PacketSocket::new(packet_socket()?),
            whole: FrameSocket::new(packet_socket_of(SocketType::RAW)?),
            tunnel: RawPair::open()?,
            host,
        })
    }

    /// Keeps to what the user chose where the kernel finds the way by itself: over tunnels.
    pub(crate) fn restrict(&self, asked: &Asked) -> Result<()> {
        let failed = |doing| move |source: io::Error| Error::System { doing, source };
        let sockets = [&self.tunnel.v4, &self.tunnel.v6];
        for socket in sockets.into_iter().flatten() {
            if let Some(index) = asked.interface {
                sys::bind_to_interface(socket.as_fd(), index)
                    .map_err(failed("bind a raw socket to its interface"))?;
            }
        }
        let socket = match asked.source {
            Some(source) if source.is_ipv4() => &self.tunnel.v4,
            Some(_) => &self.tunnel.v6,
            None => &None,
        };
        if let (Some(socket), Some(source)) = (socket, asked.source) {
            rustix::net::bind(socket, &SocketAddr::new(source, 0))
                .map_err(io::Error::from)
                .map_err(failed("bind a raw socket to its source address"))?;
        }
        Ok(())
    }

    /// The socket of an outlet, for a family.
    pub(crate) fn socket(&self, outlet: Outlet, is_v4: bool) -> Option<BorrowedFd<'_>> {
        let pair = match outlet {
            Outlet::Frame => return Some(self.frame.as_fd()),
            Outlet::Tunnel => &self.tunnel,
            Outlet::Host => &self.host,
        };
        let socket = if is_v4 { &pair.v4 } else { &pair.v6 };
        socket.as_ref().map(OwnedFd::as_fd)
    }
}

impl RawPair {
    /// Both families; one that the kernel was built or started without is left out.
    fn open() -> Result<Self> {
        Ok(Self {
            v4: raw_socket(AddressFamily::INET)?,
            v6: raw_socket(AddressFamily::INET6)?,
        })
    }
}

/// A packet socket that receives nothing, and to which each packet names its next hop.
pub(crate) fn packet_socket() -> Result<OwnedFd> {
    packet_socket_of(SocketType::DGRAM)
}

fn packet_socket_of(kind: SocketType) -> Result<OwnedFd> {
    let doing = "open a packet socket";
    let socket =
        open(AddressFamily::PACKET, kind, None, doing)?.ok_or_else(|| unsupported(doing))?;
    set_send_buffer(&socket)?;
    Ok(socket)
}

/// A raw IP socket whose packets bring their headers: the protocol says so (raw(7), ipv6(7)).
fn raw_socket(family: AddressFamily) -> Result<Option<OwnedFd>> {
    let socket = open(
        family,
        SocketType::RAW,
        Some(ipproto::RAW),
        "open a raw socket",
    )?;
    if let Some(socket) = &socket {
        set_send_buffer(socket)?;
        // A socket of this protocol receives nothing in IPv4; in IPv6 neither, but to be sure.
        sys::attach_filter(socket.as_fd(), &filter::nothing()).map_err(|source| Error::System {
            doing: "filter a raw socket",
            source,
        })?;
    }
    Ok(socket)
}

/// A socket; `None` where the kernel does not have the family.
pub(crate) fn open(
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
    doing: &'static str,
) -> Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match rustix::net::socket_with(family, kind, flags, protocol) {
        Ok(socket) => Ok(Some(socket)),
        Err(rustix::io::Errno::AFNOSUPPORT) => Ok(None),
        Err(error) => Err(match missing_after(error) {
            Some(missing) => Error::NotPermitted(missing),
            None => Error::System {
                doing,
                source: error.into(),
            },
        }),
    }
}

pub(crate) fn unsupported(doing: &'static str) -> Error {
    Error::System {
        doing,
        source: io::ErrorKind::Unsupported.into(),
    }
}

fn set_send_buffer(socket: &OwnedFd) -> Result<()> {
    // Beyond the limit for everyone only with CAP_NET_ADMIN, which containers do not give.
    sockopt::set_socket_send_buffer_size_force(socket, SEND_BUFFER_BYTES)
        .or_else(|_| sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES))
        .map_err(|error| Error::System {
            doing: "size the queue of a socket",
            source: error.into(),
        })
}

/// The type of a link's payload for a family.
pub(crate) const fn ether_type(is_v4: bool) -> EtherType {
    if is_v4 {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    }
}

/// Packets in a row that leave by one socket, by their names; used again and again.
#[derive(Debug)]
pub(crate) struct Run {
    /// The socket, for a family; `None` while there are no packets.
    pub(crate) outlet: Option<(Outlet, bool)>,
    links: Vec<sys::LinkName>,
    /// What leaves with a link header once more, with that header.
    frames: Frames,
    hosts: Vec<sys::HostName>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self {
            outlet: None,
            links: Vec::new(),
            frames: Frames::default(),
            hosts: Vec::new(),
        }
    }

    /// How many packets are in it.
    pub(crate) fn len(&self) -> usize {
        self.links.len() + self.hosts.len()
    }

    pub(crate) fn clear(&mut self) {
        self.outlet = None;
        self.links.clear();
        self.frames.clear();
        self.hosts.clear();
    }

    /// Adds a packet that leaves with a link header.
    pub(crate) fn push_frame(&mut self, outlet: Outlet, hop: Hop, is_v4: bool, packet: &[u8]) {
        self.outlet = Some((outlet, is_v4));
        let ether_type = ether_type(is_v4);
        self.links
            .push(sys::LinkName::new(hop.interface, hop.to, ether_type));
        self.frames.push(hop, ether_type, packet);
    }

    /// Adds a packet that leaves by a raw socket.
    pub(crate) fn push_host(&mut self, outlet: Outlet, destination: IpAddr, interface: u32) {
        self.outlet = Some((outlet, destination.is_ipv4()));
        self.hosts.push(sys::HostName::new(destination, interface));
    }

    /// Sends the run's packets; returns how many left. Fewer than all: the queue is full, or the
    /// next packet has an error, which it shows when it is sent first.
    pub(crate) fn send<'a>(
        &self,
        outlets: &Outlets,
        packets: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> io::Result<usize> {
        let Some((outlet, is_v4)) = self.outlet else {
            return Ok(0);
        };
        let socket = outlets
            .socket(outlet, is_v4)
            .ok_or(io::ErrorKind::Unsupported)?;
        let mut sent = 0;
        while sent < self.len() {
            let rest = (sent..).map_while(&packets);
            let result = if let Some(interface) = self.frames.interface() {
                outlets.whole.send(interface, &self.frames, sent)
            } else if self.hosts.is_empty() {
                sys::send(socket, &self.links[sent..], rest)
            } else {
                sys::send(socket, &self.hosts[sent..], rest)
            };
            match result {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if sent > 0 || is_full(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

/// Whether the error means that a queue is full: try again later.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
