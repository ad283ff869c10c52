//! A network as data: what a TOML file or a test says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path as FilePath;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Ports, Prefix, Result};

/// A whole network: hosts, and the one path that leads to them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What it shows, for people.
    pub about: String,
    /// Decides all that is left to chance.
    pub seed: u64,
    /// How the scanner is attached, behind a device.
    pub link: Link,
    /// What lies between the scanner and every host.
    pub path: Path,
    /// A router that translates addresses, at the scanner's end of the path.
    pub nat: Option<Nat>,
    /// A firewall that watches the scanner, at its end of the path.
    pub firewall: Option<Firewall>,
    /// Who lives there. An address that several entries name belongs to the longest prefix.
    pub hosts: Vec<Hosts>,
}

/// How the scanner is attached, behind a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// Whether frames have Ethernet headers.
    pub kind: LinkKind,
    /// Where the hosts are, as seen from the scanner.
    pub attached: Attached,
    /// The scanner's IPv4 address.
    pub address: Ipv4Addr,
    /// The router's IPv4 address.
    pub gateway: Ipv4Addr,
    /// The scanner's IPv6 address.
    pub address6: Ipv6Addr,
    /// The router's IPv6 address.
    pub gateway6: Ipv6Addr,
}

/// Whether frames have Ethernet headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// IP packets alone.
    Tun,
    /// Ethernet frames.
    #[default]
    Tap,
}

/// Where the hosts are, as seen from the scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attached {
    /// Behind a router, which alone answers ARP and neighbour discovery.
    #[default]
    Gateway,
    /// On the link: every live host answers for itself.
    OnLink,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            kind: LinkKind::Tap,
            attached: Attached::Gateway,
            address: Ipv4Addr::new(192, 0, 2, 1),
            gateway: Ipv4Addr::new(192, 0, 2, 2),
            address6: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1),
            gateway6: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 2),
        }
    }
}

/// What lies between the scanner and every host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// The round-trip time, in milliseconds; each way takes half.
    pub rtt_ms: f64,
    /// The most that the round-trip time differs up or down, in milliseconds.
    pub jitter_ms: f64,
    /// Whether jitter lets packets overtake each other.
    pub order: Order,
    /// To the hosts.
    pub forward: Way,
    /// From the hosts.
    pub back: Way,
}

/// Whether jitter lets packets overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// It does.
    #[default]
    Free,
    /// A packet waits for those before it.
    Kept,
}

/// One direction of a path.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Way {
    /// The probability that a packet is lost.
    pub loss: f64,
    /// Loss that comes in bursts, beside the other.
    pub burst: Option<Burst>,
    /// The probability that a packet arrives twice.
    pub duplicate: f64,
    /// The probability that a packet is held up.
    pub reorder: f64,
    /// For how long it is held up, in milliseconds.
    pub reorder_by_ms: f64,
    /// A policer: what comes faster is dropped and never waits.
    pub police: Option<Limit>,
    /// A narrow link.
    pub bottleneck: Option<Bottleneck>,
}

/// Loss in bursts: a good state without loss, and a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// The probability, at each packet, that the bad state begins.
    pub enter: f64,
    /// The probability, at each packet, that it ends.
    pub leave: f64,
    /// The probability that a packet is lost in it.
    pub loss: f64,
}

/// A link that is narrower than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bottleneck {
    /// Packets a second.
    pub rate: u32,
    /// Packets that may wait.
    pub queue: u32,
}

/// A router that translates addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nat {
    /// Flows that its table holds; packets of new flows beyond it are dropped.
    pub entries: u32,
    /// For how long a flow is held after the last packet from inside, in milliseconds.
    pub lifetime_ms: u64,
}

/// A firewall that drops everything from the scanner after a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// Packets that it lets through within the window.
    pub packets: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// For how long it drops everything, in milliseconds.
    pub blocked_ms: u64,
}

/// How many packets of a sort a host sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Packets a second.
    pub rate: u32,
    /// Packets at once.
    pub burst: u32,
}

/// Hosts that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hosts {
    /// Where they live.
    pub addresses: Vec<Prefix>,
    /// The share of the addresses that are alive, chosen by the seed.
    pub live: f64,
    /// What kind of host it is.
    pub kind: Kind,
    /// The round-trip time that they add to that of the path, in milliseconds.
    pub extra_rtt_ms: f64,
    /// The TTL or hop limit of what they send.
    pub ttl: u8,
    /// Whether they answer ICMP echo and timestamp requests.
    pub ping: Ping,
    /// Their TCP ports.
    pub tcp: Tcp,
    /// Their UDP ports.
    pub udp: Udp,
    /// How many RSTs each sends.
    pub rst_limit: Option<Limit>,
    /// How many ICMP errors each sends to one address: `{ rate = 1, burst = 6 }` is what Linux
    /// does by itself.
    pub icmp_limit: Option<Limit>,
    /// How many it sends to all addresses together, as Linux does: `{ rate = 1000, burst = 50 }`
    /// by itself.
    pub icmp_limit_all: Option<Limit>,
    /// A firewall before each.
    pub firewall: Option<Firewall>,
}

/// What kind of host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It answers as its ports say.
    #[default]
    Normal,
    /// It never answers anything.
    Silent,
    /// It answers SYN/ACK on every port, with window 0 and no options, and means nothing by it.
    Proxy,
    /// It answers with garbage and forged SYN/ACKs, which prove nothing.
    Garbage,
}

/// Whether hosts answer ICMP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ping {
    /// Echo and timestamp.
    #[default]
    Answered,
    /// Echo alone.
    EchoOnly,
    /// None.
    Silent,
}

/// What a closed port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// TCP: a RST. UDP: port unreachable.
    Reset,
    /// Nothing: a firewall drops the probe.
    Silent,
    /// ICMP port unreachable.
    PortUnreachable,
    /// ICMP host unreachable.
    HostUnreachable,
    /// ICMP network unreachable.
    NetUnreachable,
    /// ICMP communication administratively prohibited.
    AdminProhibited,
    /// ICMP destination unreachable with this code, whatever the family.
    Code(u8),
}

/// The TCP ports of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tcp {
    /// Open ports.
    pub open: Ports,
    /// The share of the other ports that are open too, chosen by the seed for each host.
    pub open_share: f64,
    /// What closed ports answer.
    pub closed: Closed,
    /// Ports that never answer, whatever the others do.
    pub filtered: Ports,
    /// How often a SYN/ACK is sent again, after 1, 3, 7, … seconds.
    pub syn_ack_retries: u8,
    /// What an open port says at once.
    pub banner: String,
}

/// The UDP ports of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Udp {
    /// Open ports that answer any datagram.
    pub open: Ports,
    /// Open ports that never answer.
    pub open_silent: Ports,
    /// What closed ports answer.
    pub closed: Closed,
    /// What open ports answer.
    pub answer: String,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            live: 1.0,
            kind: Kind::Normal,
            extra_rtt_ms: 0.0,
            ttl: 64,
            ping: Ping::Answered,
            tcp: Tcp::default(),
            udp: Udp::default(),
            rst_limit: None,
            icmp_limit: None,
            icmp_limit_all: None,
            firewall: None,
        }
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            open: Ports::default(),
            open_share: 0.0,
            closed: Closed::Reset,
            filtered: Ports::default(),
            // The default of Linux (net.ipv4.tcp_synack_retries).
            syn_ack_retries: 5,
            banner: String::new(),
        }
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            open: Ports::default(),
            open_silent: Ports::default(),
            closed: Closed::PortUnreachable,
            answer: "simnet\n".to_owned(),
        }
    }
}

impl Hosts {
    /// One host that answers ping, with all ports closed.
    pub fn at(address: impl Into<IpAddr>) -> Self {
        Self {
            addresses: vec![Prefix::from(address.into())],
            ..Self::default()
        }
    }

    /// With these TCP ports open.
    #[must_use]
    pub fn open(mut self, ports: &[u16]) -> Self {
        self.tcp.open = Ports::of(ports);
        self
    }

    /// With closed TCP ports answering this.
    #[must_use]
    pub const fn closed(mut self, closed: Closed) -> Self {
        self.tcp.closed = closed;
        self
    }

    /// Of this kind.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl Path {
    /// A path of this round-trip time without faults.
    pub fn rtt_ms(rtt_ms: f64) -> Self {
        Self {
            rtt_ms,
            ..Self::default()
        }
    }

    /// Losing packets with this probability each way.
    #[must_use]
    pub const fn loss(mut self, loss: f64) -> Self {
        self.forward.loss = loss;
        self.back.loss = loss;
        self
    }

    /// Through a narrow link to the hosts.
    #[must_use]
    pub const fn bottleneck(mut self, rate: u32, queue: u32) -> Self {
        self.forward.bottleneck = Some(Bottleneck { rate, queue });
        self
    }
}

impl Scenario {
    /// A network of one kind of hosts behind a path.
    pub fn new(seed: u64, path: Path, hosts: Vec<Hosts>) -> Self {
        Self {
            seed,
            path,
            hosts,
            ..Self::default()
        }
    }

    /// Reads a scenario from a TOML file.
    ///
    /// # Errors
    /// [`Error::Read`] when the file cannot be read, else as for [`str::parse`].
    pub fn read(path: &FilePath) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        text.parse()
    }

    /// Checks what types do not say: probabilities are from 0 to 1, times from 0 to an hour, rates
    /// above 0.
    ///
    /// # Errors
    /// [`Error::Value`] with the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        for way in [&self.path.forward, &self.path.back] {
            probability("loss", way.loss)?;
            probability("duplicate", way.duplicate)?;
            probability("reorder", way.reorder)?;
            milliseconds("reorder_by_ms", way.reorder_by_ms)?;
            if let Some(burst) = &way.burst {
                probability("burst.enter", burst.enter)?;
                probability("burst.leave", burst.leave)?;
                probability("burst.loss", burst.loss)?;
            }
            if let Some(bottleneck) = &way.bottleneck
                && bottleneck.rate == 0
            {
                return Err(Error::Value {
                    field: "bottleneck.rate",
                    value: 0.0,
                    expected: "at least 1 packet a second",
                });
            }
        }
        milliseconds("rtt_ms", self.path.rtt_ms)?;
        milliseconds("jitter_ms", self.path.jitter_ms)?;
        for hosts in &self.hosts {
            probability("live", hosts.live)?;
            probability("tcp.open_share", hosts.tcp.open_share)?;
            milliseconds("extra_rtt_ms", hosts.extra_rtt_ms)?;
        }
        Ok(())
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }
}

fn probability(field: &'static str, value: f64) -> Result<()> {
    within(field, value, 1.0, "a probability from 0 to 1")
}

fn milliseconds(field: &'static str, value: f64) -> Result<()> {
    within(field, value, 3_600_000.0, "milliseconds from 0 to an hour")
}

fn within(field: &'static str, value: f64, most: f64, expected: &'static str) -> Result<()> {
    if (0.0..=most).contains(&value) {
        Ok(())
    } else {
        Err(Error::Value {
            field,
            value,
            expected,
        })
    }
}
