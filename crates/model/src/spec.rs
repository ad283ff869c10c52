//! A whole request: what to scan and how.

use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ports::PortSpec;
use crate::shard::Shard;
use crate::state::{Protocol, Technique};
use crate::target::Target;

/// What to scan and how, as the user asked; names are not looked up yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSpec {
    /// Where to look.
    pub targets: Vec<Target>,
    /// Where not to look, whatever the targets say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Target>,
    /// Which ports. Where UDP is among the techniques, exactly these of each protocol; else those
    /// of TCP.
    pub ports: PortSpec,
    /// How to ask; empty for the best way to ask TCP ports that this process has the rights to.
    /// TCP ports beside UDP are asked in that way too, unless another is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<Technique>,
    /// How fast.
    #[serde(default)]
    pub pace: Pace,
    /// Whether to look which hosts are there before asking all their ports.
    #[serde(default)]
    pub discovery: Discovery,
    /// Which addresses of a name count.
    #[serde(default)]
    pub names: Names,
    /// Decides the order; the same seed gives the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Only this part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// A sweep, which remembers no probe, in place of a scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// What a sweep is told beside what a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sweep {
    /// How often each port is asked; without it, as often as the measured loss asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<NonZeroU8>,
    /// After so many open ports it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<NonZeroU64>,
}

impl ScanSpec {
    /// A scan of `targets` with everything else at its default.
    pub fn new(targets: Vec<Target>, ports: PortSpec) -> Self {
        Self {
            targets,
            exclude: Vec::new(),
            ports,
            techniques: Vec::new(),
            pace: Pace::default(),
            discovery: Discovery::default(),
            names: Names::default(),
            seed: None,
            shard: None,
            sweep: None,
        }
    }

    /// The protocols whose ports are asked: TCP, unless UDP is among the techniques; then those
    /// of which there are ports.
    pub fn protocols(&self) -> Vec<Protocol> {
        if !self.techniques.contains(&Technique::Udp) {
            return vec![Protocol::Tcp];
        }
        let has_ports = |protocol: &&Protocol| !self.ports.of(**protocol).is_empty();
        Protocol::ALL.iter().filter(has_ports).copied().collect()
    }
}

/// Bounds on the pace; without any, it adapts to what the path carries.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// How long to wait for an answer at the most, each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many probes may wait for an answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// At most so many probes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<NonZeroU64>,
    /// At least so many probes a second, whatever the path seems to carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<NonZeroU64>,
    /// How often a silent port is asked again; without it, as often as the measured loss asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u8>,
    /// For how long a host that answers is asked; then what it answered stands, and the rest is
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_timeout: Option<Duration>,
    /// For how long closed UDP ports are told from silent ones, after all were asked; without it,
    /// 30 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_budget: Option<Duration>,
    /// Closed UDP ports are told from silent ones however long it takes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub udp_certain: bool,
    /// How patient, in one word.
    pub template: Template,
}

/// nmap's timing templates, by number: how careful or hurried a scan is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// `-T0`: one probe at a time, five minutes apart.
    Paranoid,
    /// `-T1`: one probe at a time, 15 seconds apart.
    Sneaky,
    /// `-T2`: one probe at a time, 0.4 seconds apart.
    Polite,
    /// `-T3`: adapts to the path.
    #[default]
    Normal,
    /// `-T4`: adapts to the path; starts faster.
    Aggressive,
    /// `-T5`: adapts to the path; starts fastest and waits least.
    Insane,
}

impl Template {
    /// The template of `-T0` … `-T5`.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Paranoid,
            1 => Self::Sneaky,
            2 => Self::Polite,
            3 => Self::Normal,
            4 => Self::Aggressive,
            5 => Self::Insane,
            _ => return None,
        })
    }
}

/// Whether hosts are looked for before their ports are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// Yes, unless there is only one.
    #[default]
    Auto,
    /// No: every address is taken to be up (`-Pn`).
    Skip,
    /// Only that: no ports (`-sn`).
    Only,
}

/// Which addresses of a host name are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Every address instead of the first.
    pub all: bool,
    /// Of this family only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Whether the names of found hosts are looked up.
    pub reverse: bool,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}
