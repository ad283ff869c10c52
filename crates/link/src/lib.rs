//! Packets in and out through the Linux kernel: what is behind a
//! [`Device`](portolan_scan::device::Device) on a real machine.
//!
//! ```no_run
//! use std::time::Duration;
//! use portolan_link::{Link, Options, Rights, drop_capabilities, rights};
//! use portolan_scan::clock::{Clock, SystemClock};
//! use portolan_scan::device::{Batch, Device};
//!
//! if let Rights::Missing(missing) = rights() {
//!     eprintln!("hint: {missing}");
//!     return Ok(());
//! }
//! let clock = SystemClock::start();
//! let mut link = Link::open(clock, &Options::new(40_000..=44_095))?;
//! drop_capabilities()?;
//!
//! let source = link.source("127.0.0.1".parse()?)?;
//! let mut batch = Batch::new();
//! batch.push(40); // A SYN from `source` and one of the ports is written here.
//! let taken = link.send(&batch)?;
//! batch.drop_front(taken);
//! let until = clock.now() + Duration::from_millis(10);
//! link.receive(until, &mut |received| println!("{:?}", received.heard))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - **Routes, sources and gateways** are the kernel's: it is asked once for all destinations between
//!   which none of its routes and rules draws a line.
//! - **Ethernet** and what looks like it (veth, bridges, VLANs, Wi-Fi, TAP) is sent to by packet
//!   sockets. Neighbours are asked for by requests of our own, since the kernel asks only when it
//!   has something to send itself. Probes wait meanwhile.
//! - **Everything else** (loopback, tun, `WireGuard`, ppp) is sent to by raw IP sockets.
//! - **Answers** from all interfaces are heard by packet sockets with a filter in the kernel, so
//!   that nothing else wakes us. Tags of VLANs are the kernel's business.
//! - **The kernel answers too.** It knows nothing of our probes, so it sends a RST to every
//!   SYN/ACK. That is harmless: the answer was heard, and the other side forgets the connection.
//!   A local firewall does not keep answers from us either, since they are heard before it.
//!
//! - **Without rights** there are [`Datagrams`]: UDP by ordinary sockets.
//!
//! Read in this order: `link` (the device), `path`, `cells` and `kernel` (where packets go),
//! `neighbours` and `solicit` (who is there), `outlets`, `frames` and `inlets` (the sockets), `filter`,
//! `datagrams`, and
//! `sys` below all, where everything `unsafe` of the workspace is.

mod cells;
mod changes;
mod closing;
mod datagrams;
mod error;
mod filter;
mod frames;
mod inlets;
mod kernel;
mod link;
mod local;
mod neighbours;
mod netlink;
mod outlets;
mod path;
mod rights;
mod search;
mod solicit;
mod sys;
mod unrouted;

pub use datagrams::Datagrams;
pub use error::{Error, Result};
pub use link::{Link, Options};
pub use local::{Interface, interfaces};
pub use rights::{Limit, Missing, Rights, drop_capabilities, limit_capabilities, rights};
pub use search::{Searched, Wanted, search};
pub use unrouted::{no_hosts, without_route};
