//! What happened to the packets, counted at each element.

use serde::Serialize;

/// Counts of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Packets that came from the scanner.
    pub received: u64,
    /// Of these, bytes that are no IP packet, or no transport header.
    pub malformed: u64,
    /// Fragments, which no host here puts together.
    pub fragments: u64,
    /// Dropped by the firewall before the path, for a burst.
    pub firewall_dropped: u64,
    /// Dropped for a full NAT table.
    pub nat_dropped: u64,
    /// Answers dropped because their NAT entry had ended.
    pub nat_dropped_back: u64,
    /// The way to the hosts.
    pub forward: WayCounters,
    /// The way back.
    pub back: WayCounters,
    /// Packets to addresses where no host lives.
    pub to_nobody: u64,
    /// Dropped by a host's own firewall, for a burst.
    pub host_firewall_dropped: u64,
    /// SYNs that hosts took.
    pub syns: u64,
    /// SYN/ACKs that hosts sent, retransmissions included.
    pub syn_acks: u64,
    /// Of these, retransmissions.
    pub syn_acks_again: u64,
    /// Connections that were established.
    pub established: u64,
    /// RSTs that hosts sent.
    pub resets: u64,
    /// RSTs that the limit kept back.
    pub resets_limited: u64,
    /// ICMP errors that hosts sent.
    pub icmp_errors: u64,
    /// ICMP errors that the limit kept back.
    pub icmp_errors_limited: u64,
    /// Garbage that hosts sent.
    pub garbage: u64,
    /// Packets handed back to the scanner.
    pub emitted: u64,
}

/// Counts of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct WayCounters {
    /// Packets that set out.
    pub entered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped by the policer.
    pub policed: u64,
    /// Dropped at the full queue of the narrow link.
    pub queue_full: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held up, so that others overtake them.
    pub reordered: u64,
    /// Packets that got through, duplicates not counted.
    pub left: u64,
}
