//! A simulated network with ground truth, to hold a scanner against.
//!
//! A [`Scenario`] says, as data, who lives there and what the path does: delay, loss, a narrow
//! link, NAT, firewalls, limits. A [`Network`] is the machine that behaves so: it takes packets
//! and the time, and gives packets. The same scenario and the same packets give the same answers,
//! byte for byte. [`Truth`] says what a scan should find, [`Counters`] what happened to its
//! packets.
//!
//! It is used in two ways: in memory under simulated time through [`SimLink`], where an hour
//! passes in a second, and in real time behind a TUN or TAP device ([`tap`]), where any scanner
//! can be held against it.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use std::time::Duration;
//!
//! use portolan_wire::{SeqNumber, SynPath, SynTemplate, ipv4, tcp};
//! use simnet::{Hosts, Path, Scenario, SimLink};
//!
//! let host = Ipv4Addr::new(198, 18, 0, 1);
//! let hosts = vec![Hosts::at(host).open(&[443])];
//! let mut link = SimLink::new(&Scenario::new(1, Path::rtt_ms(40.0), hosts));
//!
//! let template = SynTemplate::new(&SynPath::new(Ipv4Addr::new(192, 0, 2, 1).into()))?;
//! let mut syn = vec![0; template.len()];
//! template.fill(&mut syn, host.into(), 443, 40_000, SeqNumber(7))?;
//! link.send(Duration::ZERO, &syn);
//!
//! let (at, answer) = link.recv(Duration::from_secs(1)).expect("an open port answers");
//! assert_eq!(at, Duration::from_millis(40));
//! let packet = ipv4::Packet::new(&answer)?;
//! let segment = tcp::Packet::new(packet.payload())?;
//! assert_eq!(segment.flags(), tcp::Flags::SYN_ACK);
//! # Ok::<(), portolan_wire::Error>(())
//! ```

#![forbid(unsafe_code)]

mod answer;
mod connections;
mod counters;
mod element;
mod error;
mod front;
mod link;
mod medium;
mod network;
mod opened;
mod ports;
mod prefix;
mod rng;
mod truth;

pub mod scenario;
pub mod tap;

pub use counters::{Counters, WayCounters};
pub use error::{Error, Result};
pub use front::{EthernetFront, GATEWAY_MAC};
pub use link::SimLink;
pub use medium::Medium;
pub use network::Network;
pub use ports::Ports;
pub use prefix::Prefix;
pub use scenario::{Closed, Hosts, Kind, Path, Scenario};
pub use truth::{PortTruth, Truth};
