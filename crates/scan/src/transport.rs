//! What carries probes out and answers back: sockets, packets, or a simulated network.

use std::net::IpAddr;
use std::time::Duration;

use portolan_model::event::Endpoint;
use portolan_model::{PortState, Reason};
use portolan_wire::MacAddress;

use crate::discovery::{self, Look};
use crate::pace::Kind;

/// A port to ask, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Whose port.
    pub endpoint: Endpoint,
    /// The round of the [pace](crate::pace) that it counts for; the answer gives it back.
    pub round: u32,
    /// Whether its state is being asked, or the path's.
    pub kind: Kind,
    /// How the host is looked for; `None` where the port's state is asked.
    pub look: Option<Look>,
    /// Of the questions that a port is asked, where there are several, those that are meant.
    pub questions: Questions,
    /// When it was handed over.
    pub at: Duration,
    /// How long an answer is worth waiting for, if room allows.
    pub patience: Duration,
}

/// Which of several questions a port is asked: services on one UDP port differ in what they
/// answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Questions {
    /// All of its own, one behind the other; one that any may answer where it has none.
    All,
    /// All of its own once more. A port that has none is asked what is asked elsewhere, where few
    /// ports are asked several at once.
    Again(u32),
    /// One: that whose turn it is, counted round.
    One(u32),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of which port.
    pub endpoint: Endpoint,
    /// The round that the probe went out in.
    pub round: u32,
    /// What the probe was for.
    pub kind: Kind,
    /// How long it took; `None` where that cannot be told.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of the answer, where it can be seen.
    pub ttl: Option<u8>,
    /// What is seen of the packet, where packets are seen.
    pub seen: Seen,
    /// When it came.
    pub at: Duration,
    /// What it says.
    pub finding: Finding,
    /// What a service said in it, as far as it is kept.
    pub said: Vec<u8>,
}

/// What is seen of the packet that an answer came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether the host that was asked sent it, as far as can be told, and not one on the way.
    pub by_host: bool,
    /// Of a SYN/ACK: how it looks.
    pub shape: Option<Shape>,
    /// The MAC address of the host, where it is on a link of this machine's.
    pub mac: Option<MacAddress>,
}

impl Seen {
    /// Nothing but who sent it.
    pub const fn by(by_host: bool) -> Self {
        Self {
            by_host,
            shape: None,
            mac: None,
        }
    }
}

/// What SYN/ACKs of one TCP implementation have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The receive window.
    pub window: u16,
    /// The kinds of its options in their order, as far as eight of them.
    pub options: [u8; 8],
    /// The TTL or hop limit that it came with.
    pub ttl: u8,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The port's state.
    Port(PortState, Reason),
    /// The host is there; of its ports this says nothing.
    Host(Reason),
    /// This machine has no route to the address.
    NoRoute,
    /// The address is on a network of this machine's, and nothing there answers to it.
    NoNeighbour,
    /// The address is none that a host can have there: a broadcast or multicast address.
    NoHost,
    /// This machine could not ask: what the system said.
    Failed(String),
}

/// What an ICMP error (`v6`: of ICMP for IPv6) says of the port that it is about; `None` for one
/// that says nothing.
pub(crate) fn unreachable_means(v6: bool, kind: u8, code: u8) -> Option<Finding> {
    let reason = match (v6, kind, code) {
        // Host unreachable (RFC 792; RFC 1122, 3.2.2.1), no route there or address unreachable
        // (RFC 4443, 3.1).
        (false, 3, 1 | 5..=8 | 11 | 12) | (true, 1, 2 | 3) => Reason::HostUnreach,
        // Protocol unreachable (RFC 1122, 3.2.2.1).
        (false, 3, 2) => Reason::ProtoUnreach,
        (false, 3, 0) | (true, 1, 0) => Reason::NetUnreach,
        // Communication prohibited (RFC 1122, 3.2.2.1 codes 9 and 10; RFC 1812, 5.2.7.1 code
        // 13; RFC 4443, 3.1 codes 1, 5 and 6).
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Reason::AdminProhibited,
        // Port unreachable (code 3; RFC 4443, 3.1 code 4), which hosts send for TCP only when a
        // firewall makes them.
        (false, 3, 3) | (true, 1, 4) => Reason::PortUnreach,
        _ => return None,
    };
    Some(Finding::Port(PortState::Filtered, reason))
}

/// Why nothing can be sent or heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the device said.
    pub why: String,
    /// Whether it may pass: an interface that went down may come up again.
    pub may_pass: bool,
}

/// Sends probes and hears answers.
pub trait Transport {
    /// How many jobs it would take now.
    fn room(&mut self) -> usize;

    /// Takes jobs, at most [`room`](Self::room).
    fn submit(&mut self, jobs: &[Job]);

    /// Waits until an answer has come or `until` has passed, and adds to `answers` what has
    /// come.
    fn poll(&mut self, until: Duration, answers: &mut Vec<Answer>);

    /// Whether it can ask a port again within the flow of the first question
    /// ([`Kind::Kept`]).
    fn keeps_flows(&self) -> bool {
        false
    }

    /// How to look whether a host is at `address`, the best way first; at most
    /// [`MOST_LOOKS`](crate::discovery::MOST_LOOKS).
    fn looks(&mut self, _address: IpAddr) -> &'static [Look] {
        discovery::BY_CONNECTING
    }

    /// Whether it can look for hosts in another way than by their ports.
    fn looks_for_hosts(&self) -> bool {
        true
    }

    /// How many packets this machine has lost on their way in, since they came faster than they
    /// were taken. Any of them may have been an answer.
    fn lost(&mut self) -> u64 {
        0
    }

    /// Why nothing can be sent or heard, while that is so.
    fn failure(&self) -> Option<&Failure> {
        None
    }
}
