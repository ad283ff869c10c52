//! What a scan says as it runs: one stream of facts for every reader.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::mac::Mac;
use crate::phase::Phase;
use crate::ports::{PortSet, PortSpec};
use crate::service::Service;
use crate::state::{PortState, Protocol, Reason, Technique};
use crate::zone::Zones;

/// A port of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Whose port.
    pub address: IpAddr,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// A fact that a scan has found, in the order of finding.
///
/// The first event is [`Started`](Self::Started), before which [`Preparing`](Self::Preparing) may
/// come, the last [`Finished`](Self::Finished). Each
/// port is reported once: alone as [`Port`](Self::Port), or with others in
/// [`Ports`](Self::Ports). A host is announced by [`HostUp`](Self::HostUp) before its ports.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ScanEvent {
    /// What takes its time before the scan begins, in words: for those who wait; no result keeps
    /// it.
    Preparing(String),
    /// The scan begins.
    Started(Started),
    /// A host is there.
    HostUp(HostUp),
    /// A host goes by a name.
    HostName(HostName),
    /// Where a host is reached on the link that this machine shares with it.
    HostLink(HostLink),
    /// A host answers on every port, whether something listens there or not. Its ports that
    /// answered like those are `open|filtered`.
    AnswersAll(AnswersAll),
    /// What one port is.
    Port(PortFact),
    /// What many ports of one host are, all the same.
    Ports(PortsFact),
    /// What a service said when its port was asked, before the port itself. It is for whoever finds
    /// out what runs there; no result keeps it.
    Said(Said),
    /// What runs on an open port, reported after the port itself.
    Service(ServiceFact),
    /// Every port of this host has been reported.
    HostDone {
        /// The host.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// Something is left out of the result.
    Problem(Problem),
    /// How far the scan is; several a second at the most.
    Progress(Progress),
    /// Everything before this place of the scan's order is done with: a scan that is cut off
    /// later goes on from here.
    Reached(Reached),
    /// What was learnt of the path to the hosts, before the scan is over.
    Path(PathSeen),
    /// The scan is over.
    Finished(Finished),
}

/// What is about to be scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// When.
    pub at: Timestamp,
    /// How ports are asked.
    pub techniques: Vec<Technique>,
    /// Which ports.
    pub ports: PortSpec,
    /// How many addresses.
    pub addresses: u128,
    /// How many pairs of address and port.
    pub probes: u128,
    /// What decides the order.
    pub seed: u64,
    /// Over which interfaces link-local addresses are reached.
    pub zones: Zones,
}

impl Started {
    /// Whether hosts are looked for and no port is asked for.
    pub fn looks_for_hosts_only(&self) -> bool {
        self.ports.tcp().is_empty() && self.ports.udp().is_empty()
    }
}

/// A host is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostUp {
    /// Its address.
    pub address: IpAddr,
    /// How it is known.
    pub reason: Reason,
    /// How long its answer took.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of its answer.
    pub ttl: Option<u8>,
    /// When.
    pub at: Timestamp,
}

/// A name of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// Whose name.
    pub address: IpAddr,
    /// The name. It may come from the network: hostile.
    pub name: String,
    /// Where it comes from.
    pub kind: NameKind,
}

/// The MAC address of a host on the local link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLink {
    /// Whose.
    pub address: IpAddr,
    /// Its MAC address. A router that answers for others gives its own.
    pub mac: Mac,
}

/// A host answers on any port: a SYN proxy or a tar-pit, say.
///
/// Ports were asked that were drawn by lot among those that no service is known for. Where they
/// answer SYN/ACK too, or over UDP a datagram, such an answer of this host shows no listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswersAll {
    /// The host.
    pub address: IpAddr,
    /// On every port of which protocol.
    pub protocol: Protocol,
    /// How many ports were drawn by lot.
    pub asked: u32,
    /// How many of them answered, over TCP by SYN/ACK.
    pub answered: u32,
    /// How many of these answers had a window of 0: no listener's own.
    pub windowless: u32,
    /// When it was known.
    pub at: Timestamp,
}

impl AnswersAll {
    /// What it rests on and what it means, in one line for people.
    pub fn words(&self) -> String {
        let window = match self.windowless {
            0 => String::new(),
            all if all == self.answered => ", window 0".to_owned(),
            some => format!(", {some} of them window 0"),
        };
        let port = match self.protocol {
            Protocol::Tcp => "port",
            Protocol::Udp => "UDP port",
        };
        // A line of 80 columns holds it: there may be many of these hosts.
        format!(
            "answers on every {port} ({} of {} drawn by lot{window})",
            self.answered, self.asked
        )
    }
}

/// Where a host's name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NameKind {
    /// The user typed it.
    User,
    /// Reverse DNS (RFC 1035, 3.5).
    Ptr,
}

/// What one port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFact {
    /// Which port.
    pub endpoint: Endpoint,
    /// What it is.
    pub state: PortState,
    /// What that rests on.
    pub reason: Reason,
    /// How long the answer took, where there was one.
    pub rtt: Option<Duration>,
    /// The TTL or hop limit of the answer.
    pub ttl: Option<u8>,
    /// When.
    pub at: Timestamp,
}

/// What many ports of one host are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortsFact {
    /// The host.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortSet,
    /// What each of them is.
    pub state: PortState,
    /// What that rests on.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
}

/// What a service said when its port was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The port.
    pub endpoint: Endpoint,
    /// The beginning of its answer: hostile.
    pub bytes: Vec<u8>,
}

/// What runs on an open port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFact {
    /// The port.
    pub endpoint: Endpoint,
    /// What runs there.
    pub service: Service,
}

/// Something that is left out of the result, or that the user must know to read it right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What it is about: a target as written, an address, a file.
    pub about: String,
    /// What happened, without a full stop.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// Whether something is missing from the result (exit status 1), or this is advice.
    pub left_out: bool,
}

impl Problem {
    /// What happened and to what, in one line: what it is about stands before the message,
    /// unless the message names it.
    pub fn line(&self) -> std::borrow::Cow<'_, str> {
        if self.about.is_empty() || self.message.contains(&self.about) {
            self.message.as_str().into()
        } else {
            format!("{}: {}", self.about, self.message).into()
        }
    }
}

/// How far a scan is, and what its controller sees.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Pairs of address and port that are settled.
    pub done: u128,
    /// Pairs in all, of the hosts that are to be scanned as far as they are known.
    pub total: u128,
    /// Open ports so far.
    pub open: u64,
    /// Hosts up so far.
    pub hosts_up: u64,
    /// Probes sent so far.
    pub sent: u64,
    /// Probes sent a second, over the last moments.
    pub rate: f64,
    /// Probes that wait for an answer.
    pub in_flight: u32,
    /// Which pass over the silent ports this is, from 1.
    pub pass: u32,
    /// Smoothed round-trip time (RFC 6298), once something has answered.
    pub rtt: Option<Duration>,
    /// The share of probes or answers that the path loses, 0 to 1, as measured.
    pub loss: f64,
    /// Time that the scan, or this part of one that goes on, has run, without pauses.
    pub elapsed: Duration,
    /// Estimated time left, if it goes on as fast as this part has been.
    pub left: Option<Duration>,
    /// What it is at.
    pub phase: Phase,
}

/// A place in the order of a scan. What a place stands for is the business of who runs the scan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Reached {
    /// Of a scan, the block of its plan; of a sweep, the step.
    pub step: u128,
    /// Of a scan, the pass over the block's silent ports or addresses, from 1; 0 before the first.
    pub pass: u32,
    /// Of a scan, the position in that pass: of pairs of host and port in the block's order, of
    /// ports of the hosts that were found, or of ways to look for hosts, from 2^62 on.
    pub position: u64,
}

/// What the controller of a scan has learnt of the path to its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PathSeen {
    /// Smoothed round-trip time (RFC 6298), if anything answered.
    pub rtt: Option<Duration>,
    /// The lowest round-trip time.
    pub lowest_rtt: Option<Duration>,
    /// Packets a second that its narrowest place carries; `None` where that was not reached.
    pub carries: Option<f64>,
    /// The highest rate that it was seen to carry, in packets a second.
    pub carried: f64,
    /// How often the rate was found to be too high.
    pub overruns: u32,
    /// How often silent ports were asked.
    pub passes: u32,
    /// Hosts that were seen to limit what they say of closed ports.
    pub limited_hosts: u64,
    /// Packets that this machine lost on their way in, since they came too fast.
    pub dropped: u64,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything that was asked for is answered.
    Complete,
    /// It ended by itself, with something left out.
    Incomplete,
    /// The user stopped it.
    Interrupted,
}

/// The end of a scan, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Time since the start.
    pub elapsed: Duration,
    /// Hosts that were found up.
    pub hosts_up: u64,
    /// Addresses at which nothing answered.
    pub hosts_down: u128,
    /// Probes sent.
    pub sent: u64,
    /// The share of probes or answers that the path lost, 0 to 1; `None` when nothing answered
    /// and so nothing could be measured.
    pub loss: Option<f64>,
    /// How many open ports are expected to be missing from the result, by the measured loss
    /// and by how often silent ports were asked.
    pub expected_missed: f64,
}
