//! Test support: networks of one's own, made of the kernel's network namespaces.
//!
//! A test that sends packets makes the network it sends them to, so nothing leaves the machine
//! and no other program is in the way. Namespaces go away when they are dropped, by
//! [`remove_all`] when a signal ends the process, and those of a process that was killed when the
//! next one makes its first.
//!
//! ```no_run
//! use portolan_testnet::{Listeners, Namespace, connect, missing};
//!
//! if let Some(reason) = missing() {
//!     eprintln!("skipped: {reason}");
//!     return Ok(());
//! }
//! let (here, there) = (Namespace::new()?, Namespace::new()?);
//! connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24"))?;
//! there.firewall("table inet filter {
//!     chain input { type filter hook input priority 0; tcp dport 23 drop; }
//! }")?;
//! let _listeners = Listeners::start(&there, ["0.0.0.0:22".parse()?])?;
//! let said = here.run("nmap", &["-n", "-Pn", "-p22,23", "192.0.2.2"])?;
//! assert!(said.contains("22/tcp open"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Making namespaces needs root and the programs `ip` and `nft`; a test that uses them is
//! `#[ignore = "needs CAP_NET_ADMIN"]`.
#![forbid(unsafe_code)]

mod error;
mod listeners;
mod namespace;
mod registry;

pub use error::{Error, Result};
pub use listeners::Listeners;
pub use namespace::{Namespace, connect, missing};
pub use registry::remove_all;
