//! What runs on an open port: it listens, asks, and reads the answers by rules.
//!
//! ```
//! use portolan_detect::rules::{Answer, BANNER, RuleSet};
//! use portolan_model::Protocol;
//!
//! let rules = RuleSet::embedded();
//! let matches = rules.identify(Answer {
//!     to: BANNER,
//!     protocol: Protocol::Tcp,
//!     bytes: b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
//! });
//! let found = &matches[0].found;
//! assert_eq!(found.product.as_deref(), Some("OpenSSH"));
//! assert_eq!(found.version.as_deref(), Some("9.2p1"));
//! ```
//!
//! Read in this order: [`rules`] (probes and rules as data; the format is described in
//! `rules/README.md` of this crate), [`readers`] (protocols that expressions cannot read),
//! [`found`] (what they say), [`options`] (bounds), `explore` (one endpoint), `tls`, and
//! [`detector`] (many endpoints).

#![forbid(unsafe_code)]

pub mod cpe;
mod cursor;
pub mod detector;
pub mod escape;
mod explore;
mod favicon;
pub mod found;
pub mod fuzz;
mod notes;
pub mod options;
pub mod readers;
mod redirect;
pub mod rules;
pub mod silent;
mod ssh;
mod starttls;
mod talk;
pub mod tls;
mod udp;

pub use detector::Detector;
pub use found::Found;
pub use options::{Options, Target};
pub use rules::RuleSet;
