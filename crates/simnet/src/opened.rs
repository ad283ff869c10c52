//! Reading what a packet is about, before any host does.

use portolan_wire::quoted::Transport;
use portolan_wire::{Addresses, Protocol, Quoted, icmpv4, icmpv6, ipv4, ipv6};

use crate::element::Flow;

/// What a packet's headers say.
pub(crate) struct Opened<'a> {
    pub(crate) addresses: Addresses,
    pub(crate) protocol: Protocol,
    pub(crate) payload: &'a [u8],
    /// Bytes of the packet, without padding.
    pub(crate) len: usize,
}

/// Why a packet is not carried.
pub(crate) enum Unopened {
    Malformed,
    Fragment,
}

pub(crate) fn open(frame: &[u8]) -> Result<Opened<'_>, Unopened> {
    if frame.first().map(|first| first >> 4) == Some(6) {
        let packet = ipv6::Packet::new(frame).map_err(|_| Unopened::Malformed)?;
        let len = ipv6::HEADER_LEN + usize::from(packet.payload_length());
        let start = ipv6::HEADER_LEN;
        let upper = packet.upper().map_err(|_| Unopened::Malformed)?;
        if upper.fragment.is_some() {
            return Err(Unopened::Fragment);
        }
        // The payload of the view lives as long as the view; its place in the frame is the same.
        let payload_at = len - upper.payload.len();
        return Ok(Opened {
            addresses: packet.addresses(),
            protocol: upper.protocol,
            payload: &frame[payload_at.max(start)..len],
            len,
        });
    }
    let packet = ipv4::Packet::new(frame).map_err(|_| Unopened::Malformed)?;
    if packet.fragmentation().is_fragment() {
        return Err(Unopened::Fragment);
    }
    let (header, len) = (packet.header_len(), packet.total_length().into());
    Ok(Opened {
        addresses: packet.addresses(),
        protocol: packet.protocol(),
        payload: &frame[header..len],
        len,
    })
}

/// The ports of a packet: source and destination, or the identifier of an echo twice.
pub(crate) fn ports(protocol: Protocol, payload: &[u8]) -> Option<(u16, u16)> {
    let word = |at: usize| {
        Some(u16::from_be_bytes([
            *payload.get(at)?,
            *payload.get(at + 1)?,
        ]))
    };
    match protocol {
        Protocol::TCP | Protocol::UDP => Some((word(0)?, word(2)?)),
        Protocol::ICMP | Protocol::ICMPV6 => Some((word(4)?, word(4)?)),
        _ => Some((0, 0)),
    }
}

/// The flow that an ICMP error is about.
pub(crate) fn quoted_flow(opened: &Opened<'_>) -> Option<Flow> {
    let quoted = match opened.protocol {
        Protocol::ICMP => match icmpv4::Packet::new(opened.payload).ok()?.message() {
            icmpv4::Message::DestinationUnreachable { .. } => opened.payload.get(8..)?,
            _ => return None,
        },
        Protocol::ICMPV6 => match icmpv6::Packet::new(opened.payload).ok()?.message() {
            icmpv6::Message::DestinationUnreachable { .. } => opened.payload.get(8..)?,
            _ => return None,
        },
        _ => return None,
    };
    let quoted = Quoted::parse(quoted).ok()?;
    let (inside, outside) = match quoted.transport {
        Transport::Tcp {
            src_port, dst_port, ..
        }
        | Transport::Udp { src_port, dst_port } => (src_port, dst_port),
        Transport::Icmp { identifier, .. } => (identifier, identifier),
        Transport::Other => (0, 0),
    };
    Some(Flow {
        protocol: quoted.protocol,
        inside: (quoted.addresses.src(), inside),
        outside: (quoted.addresses.dst(), outside),
    })
}
