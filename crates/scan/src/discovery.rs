//! Looking which hosts are there, before many ports of each are asked.
//!
//! On a link of this machine's, neighbours are asked for (ARP, RFC 826; neighbour discovery,
//! RFC 4861): who does not answer that cannot be reached. Beyond it, a host is asked in several
//! ways, the best first, since a firewall rarely stops all of them; whoever has answered one is
//! not asked in another. Without the right to packets of our own, connections must do.
//!
//! An answer proves itself, as that of a scanned port does: it brings a keyed hash back.

mod everything;
mod packets;

pub(crate) use everything::{Held, Suspects, Verdict};
pub(crate) use packets::{Asker, hear, packet, write};

/// One way to ask whether a host is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// For its MAC address: ARP or neighbour discovery.
    Neighbour,
    /// An ICMP echo request (RFC 792; RFC 4443, 4.1).
    Echo,
    /// An ICMP timestamp request (RFC 792): some who drop echo requests forget these.
    Timestamp,
    /// A SYN to this port: open or closed, it answers, and a firewall lets through what a
    /// service needs.
    Syn(u16),
    /// An ACK to this port: a host answers RST (RFC 9293, 3.5.2), and a firewall without memory
    /// takes it for a part of a connection.
    Ack(u16),
    /// A datagram to a port where nothing listens: a host answers *port unreachable*.
    Datagram,
}

/// The most ways in which one address is asked.
pub const MOST_LOOKS: usize = 8;

/// By connections: these ports are open, or at least not filtered, on many hosts.
pub const BY_CONNECTING: &[Look] = &[
    Look::Syn(443),
    Look::Syn(80),
    Look::Syn(22),
    Look::Syn(445),
    Look::Syn(3389),
    Look::Syn(8080),
    Look::Syn(53),
    Look::Syn(5900),
];

/// On a link of this machine's.
pub(crate) const ON_LINK: &[Look] = &[Look::Neighbour];

/// An address of this machine itself.
pub(crate) const OWN: &[Look] = &[Look::Echo, Look::Syn(443)];

/// Beyond a gateway or through a tunnel, over IPv4.
pub(crate) const BEYOND_V4: &[Look] = &[
    Look::Echo,
    Look::Syn(443),
    Look::Ack(80),
    Look::Timestamp,
    Look::Syn(80),
    Look::Syn(22),
    Look::Syn(445),
    Look::Datagram,
];

/// The same over IPv6, which has no timestamp requests.
pub(crate) const BEYOND_V6: &[Look] = &[
    Look::Echo,
    Look::Syn(443),
    Look::Ack(80),
    Look::Syn(80),
    Look::Syn(22),
    Look::Syn(445),
    Look::Datagram,
];

const _: () = assert!(
    BY_CONNECTING.len() <= MOST_LOOKS
        && BEYOND_V4.len() <= MOST_LOOKS
        && BEYOND_V6.len() <= MOST_LOOKS
);

#[cfg(test)]
mod tests;
