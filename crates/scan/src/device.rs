//! What carries whole IP packets out and in: the kernel's interfaces, or a simulated network.
//!
//! Packets begin at their IP header. Link headers, routes and neighbours are the device's
//! business; what the packets mean is the business of who sends them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use portolan_wire::MacAddress;

mod batch;
mod memory;

pub use batch::Batch;
pub use memory::{Hand, MemoryDevice};

/// Sends packets and receives packets.
pub trait Device {
    /// How packets to `destination` leave this machine.
    ///
    /// A gateway that nothing is known of is asked for first, and this waits for it.
    ///
    /// # Errors
    /// Why there is no way: see [`RouteError`].
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError>;

    /// The address that packets to `destination` leave from.
    ///
    /// # Errors
    /// As [`route`](Self::route).
    fn source(&mut self, destination: IpAddr) -> Result<IpAddr, RouteError> {
        self.route(destination).map(|route| route.source)
    }

    /// Asks a neighbour on the local link for its MAC address, a few times (ARP, RFC 826;
    /// neighbour discovery, RFC 4861, 7.2.2).
    ///
    /// What comes of it is heard later: [`Heard::Neighbour`], or [`Heard::NoNeighbour`].
    ///
    /// # Errors
    /// [`DeviceError::NotOnLink`] for an address that is reached in another way.
    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError>;

    /// Sends the packets of the batch in order; returns how many were taken. Fewer than all:
    /// the queue is full, try the rest later.
    ///
    /// A packet to a neighbour whose MAC address is not known yet is taken, and leaves when the
    /// neighbour has answered.
    ///
    /// # Errors
    /// An error is about the first packet of the batch, and nothing was sent: take that packet
    /// off to go on, unless the error [ends everything](DeviceError::is_final).
    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError>;

    /// Waits until something has come or `until` has passed, and hands over what has come, up
    /// to a bound. What was handed over before an error counts.
    ///
    /// # Errors
    /// When the device cannot go on: see [`DeviceError::is_final`].
    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), DeviceError>;

    /// After an error that [ends everything](DeviceError::is_final): looks whether what ended it is
    /// over, and if not, waits until `until` and no longer.
    fn recover(&mut self, until: Duration) -> Recovery {
        let _ = until;
        Recovery::Never
    }

    /// What was lost on the way, since the device was made.
    fn drops(&mut self) -> Drops;

    /// What it can carry.
    fn carries(&self) -> Carries {
        Carries::Everything
    }
}

/// A device that is lent.
impl<D: Device> Device for &mut D {
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError> {
        (**self).route(destination)
    }

    fn source(&mut self, destination: IpAddr) -> Result<IpAddr, RouteError> {
        (**self).source(destination)
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
        (**self).solicit(neighbour)
    }

    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError> {
        (**self).send(batch)
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), DeviceError> {
        (**self).receive(until, each)
    }

    fn recover(&mut self, until: Duration) -> Recovery {
        (**self).recover(until)
    }

    fn drops(&mut self) -> Drops {
        (**self).drops()
    }

    fn carries(&self) -> Carries {
        (**self).carries()
    }
}

/// What a device can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carries {
    /// Any IP packet.
    Everything,
    /// UDP datagrams, and the ICMP errors that they meet with.
    Datagrams {
        /// From so many source ports at the most.
        ports: u16,
    },
}

/// Whether a device that had failed can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Everything is as it was before.
    Back,
    /// What ended it is not over; it has waited.
    NotYet,
    /// It does not come back by itself; it has not waited.
    Never,
}

/// How packets to a destination leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// The address that they leave from.
    pub source: IpAddr,
    /// What lies between.
    pub reach: Reach,
    /// The same number for all destinations that share interface, gateway and source: they
    /// share a path, as far as this machine knows.
    pub path: u32,
    /// The largest packet that the first link takes, in bytes with the IP header.
    pub mtu: u32,
}

/// What lies between this machine and a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Nothing: it is this machine.
    Host,
    /// A link that both are on, on which neighbours can be asked for.
    Link,
    /// A gateway, or a link without neighbours such as a tunnel.
    Beyond,
}

/// Something that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// When.
    pub at: Duration,
    /// What.
    pub heard: Heard<'a>,
}

/// What a device hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An IP packet.
    Packet {
        /// From the IP header on; the link's padding may follow.
        bytes: &'a [u8],
        /// What is known of its transport checksum.
        checksum: ChecksumStatus,
        /// The MAC address that it came from, where there is one.
        link: Option<MacAddress>,
    },
    /// A neighbour on the local link is there.
    Neighbour {
        /// Its address.
        address: IpAddr,
        /// Where it is reached on the link.
        link: MacAddress,
    },
    /// A neighbour did not answer, as often as it was asked. Packets to it are gone.
    NoNeighbour {
        /// The address that was asked for.
        address: IpAddr,
    },
}

/// What is known of a received packet's transport checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumStatus {
    /// Nothing: check it.
    Unchecked,
    /// It was checked and holds.
    Valid,
    /// The packet was made on this machine, which leaves the sum to hardware that was never
    /// passed: it does not hold, and that means nothing.
    Unfinished,
}

/// What was lost, in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    /// Came while the queue of received packets was full.
    pub incoming: u64,
    /// Came longer than the device's buffers; they were handed over cut.
    pub truncated: u64,
    /// Were sent to neighbours that did not answer.
    pub unresolved: u64,
}

/// Why packets cannot be sent to a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The routing table has no way there.
    #[error("no route to {destination}")]
    NoRoute {
        /// Where to.
        destination: IpAddr,
    },
    /// The routing table says that it cannot be reached (`ip route add unreachable`).
    #[error("this machine's routing table calls {destination} unreachable")]
    Unreachable {
        /// Where to.
        destination: IpAddr,
    },
    /// The routing table says that it must not be reached (`ip route add prohibit`).
    #[error("this machine's routing table prohibits packets to {destination}")]
    Prohibited {
        /// Where to.
        destination: IpAddr,
    },
    /// A broadcast or multicast address, or one that means no host.
    #[error("{destination} is not the address of a host")]
    NotAHost {
        /// Where to.
        destination: IpAddr,
    },
    /// The source address that was asked for belongs to no interface.
    #[error("the source address {source_address} is not an address of this machine")]
    SourceNotOurs {
        /// The address.
        source_address: IpAddr,
    },
    /// The gateway does not answer ARP or neighbour solicitations.
    #[error("the gateway {gateway} on `{interface}` does not answer")]
    GatewaySilent {
        /// The gateway.
        gateway: IpAddr,
        /// The interface that it should be on.
        interface: String,
    },
    /// The interface is down or has no carrier.
    #[error("the interface `{interface}` is down")]
    InterfaceDown {
        /// Its name.
        interface: String,
    },
    /// The kernel could not be asked.
    #[error("cannot look up the route to {destination}: {why}")]
    LookUp {
        /// Where to.
        destination: IpAddr,
        /// What the kernel said.
        why: String,
    },
}

/// Why a packet could not be sent, or why nothing can be any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no way to the packet's destination.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The address is not a neighbour's.
    #[error("{address} is not on the local link")]
    NotOnLink {
        /// The address.
        address: IpAddr,
    },
    /// The bytes are no IP packet, or one longer than the link takes.
    #[error("a packet of {len} bytes to {destination:?} cannot be sent: {why}")]
    BadPacket {
        /// Where it should go, if that can be read.
        destination: Option<IpAddr>,
        /// Its length in bytes.
        len: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// This machine forbids the packet: a local firewall, most likely.
    #[error("this machine does not let packets to {destination} out")]
    Forbidden {
        /// Where to.
        destination: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An interface in use went down or lost its carrier.
    #[error("the interface `{interface}` went down")]
    InterfaceDown {
        /// Its name.
        interface: String,
    },
    /// An interface in use was removed.
    #[error("the interface `{interface}` is gone")]
    InterfaceGone {
        /// Its name.
        interface: String,
    },
    /// A source address in use was taken away.
    #[error("`{interface}` lost the address {address}")]
    AddressLost {
        /// The address.
        address: IpAddr,
        /// The interface that had it.
        interface: String,
    },
    /// The route to a destination in use changed.
    #[error("the route to {destination} changed: it was {was}, and is {now}")]
    RouteChanged {
        /// Where to.
        destination: IpAddr,
        /// How it was, in words.
        was: String,
        /// How it is, in words.
        now: String,
    },
    /// The system failed otherwise.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl DeviceError {
    /// Whether nothing more can be sent or received: the interface is down, say. Otherwise the
    /// error concerns one packet.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Route(_)
            | Self::NotOnLink { .. }
            | Self::BadPacket { .. }
            | Self::Forbidden { .. } => false,
            Self::InterfaceDown { .. }
            | Self::InterfaceGone { .. }
            | Self::AddressLost { .. }
            | Self::RouteChanged { .. }
            | Self::System { .. } => true,
        }
    }
}
