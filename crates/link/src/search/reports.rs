//! Who is on a link, by what it listens to: the general query of Multicast Listener Discovery
//! (RFC 3810; RFC 2710), which every host of IPv6 answers with a report, since it listens to the
//! group of its own address (RFC 4291, 2.7.1). Firewalls that keep echo requests out let it pass
//! where multicast is to work.

use std::net::Ipv6Addr;

use portolan_wire::{Addresses, MacAddress, Protocol, Ttl, Verified, icmpv6, ipv6};

use super::gathering::{ALL_NODES, Outgoing};

/// Types of messages: the query, and reports of versions 1 and 2 (RFC 3810, 5; RFC 2710, 3.1).
const QUERY: u8 = 130;
pub(crate) const REPORTS: [u8; 2] = [131, 143];

/// What stands before the message: the kind of what follows, its length, the option that has
/// routers look at the packet and its value, and an option of no bytes that fills up (RFC 2711,
/// 2.1; RFC 8200, 4.2 and 4.3).
const ROUTER_ALERT: [u8; 8] = [Protocol::ICMPV6.0, 0, 5, 2, 0, 0, 1, 0];

/// Reports come within this, in milliseconds: each host draws its moment (RFC 3810, 5.1.3).
const SPREAD: u32 = 400;

/// What follows in a query: no group, which asks for all; no timer of a router's is touched
/// ("S"), and the values that are usual where a router asks, since others take them over
/// (RFC 3810, 5.1.5 to 5.1.9, 9.1 and 9.2). Version 2, so that nobody falls back to version 1
/// for minutes (8.2.1); who knows that alone reads no further than the group.
const OF_ALL_GROUPS: [u8; 20] = [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0, // the group
    0x08 | 2,
    125,
    0,
    0, // "S" and robustness, interval, no sources
];

/// The general query; nobody heeds one from another address than a link-local one (5.1.14).
pub(crate) fn query(source: Ipv6Addr) -> Option<Outgoing> {
    source.is_unicast_link_local().then_some(())?;
    let message = icmpv6::Repr::new(icmpv6::Message::Other {
        message_type: QUERY,
        code: 0,
        rest: SPREAD << 16,
        data: &OF_ALL_GROUPS,
    });
    let len = ROUTER_ALERT.len() + message.len();
    let header = ipv6::Repr {
        hop_limit: Ttl(1),
        ..ipv6::Repr::new(source, ALL_NODES, Protocol::HOP_BY_HOP, len)
    };
    let mut bytes = vec![0; ipv6::HEADER_LEN + len];
    header.emit(&mut bytes).ok()?;
    let (options, query) = bytes
        .get_mut(ipv6::HEADER_LEN..)?
        .split_at_mut(ROUTER_ALERT.len());
    options.copy_from_slice(&ROUTER_ALERT);
    let addresses = Addresses::V6 {
        src: source,
        dst: ALL_NODES,
    };
    message.emit(&addresses, query).ok()?;
    Some(Outgoing {
        to: MacAddress::ipv6_multicast(ALL_NODES),
        bytes,
    })
}

/// Who sent this report, if it is one that came from this link. It proves nothing: who sent it is
/// to be asked.
pub(crate) fn reporter(bytes: &[u8]) -> Option<Ipv6Addr> {
    let packet = ipv6::Packet::new(bytes).ok()?;
    let from = packet.source();
    // A host that has no address yet reports as well, from none (RFC 3810, 5.2.13).
    (packet.hop_limit() == Ttl(1) && from.is_unicast_link_local()).then_some(())?;
    let upper = packet.upper().ok()?;
    (upper.protocol == Protocol::ICMPV6 && upper.fragment.is_none()).then_some(())?;
    let message = icmpv6::Packet::new(upper.payload).ok()?;
    let is_report = REPORTS.contains(&message.message_type());
    (is_report && message.verify(&packet.addresses()) == Verified::Yes).then_some(from)
}
