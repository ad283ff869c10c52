//! The words of the domain: what is scanned, how, and what was found.
//!
//! Text is parsed here once and trusted as a type afterwards. Nothing in this crate does I/O,
//! waits, or reads a clock.
//!
//! ```
//! use portolan_model::{AddressSet, PortSpec, Target};
//!
//! let target: Target = "192.0.2.0/30".parse()?;
//! let addresses: AddressSet = target.addresses().expect("no name to look up");
//! assert_eq!(addresses.len(), 4);
//!
//! let ports: PortSpec = "22,80,8000-8100".parse()?;
//! assert_eq!(ports.tcp().len(), 103);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read in this order: [`target`], [`address`] and [`zone`] (where), [`ports`] and [`services`] (which
//! ports), [`spec`] (the whole request), [`event`] (what a scan says as it runs), [`record`]
//! (what was found, as a whole).

pub mod address;
pub mod event;
pub mod front;
pub mod fuzz;
pub mod hint;
pub mod mac;
pub mod phase;
pub mod ports;
pub mod reach;
pub mod record;
pub mod scope;
pub mod service;
pub mod services;
pub mod shard;
pub mod spec;
pub mod special;
pub mod state;
pub mod target;
pub mod zone;

pub use address::AddressSet;
pub use event::ScanEvent;
pub use mac::Mac;
pub use phase::Phase;
pub use ports::{PortList, PortSet, PortSpec};
pub use reach::Reach;
pub use record::{HostRecord, PortRecord, ScanRecord};
pub use scope::Scope;
pub use service::Service;
pub use shard::Shard;
pub use spec::ScanSpec;
pub use state::{PortState, Protocol, Reason, Technique};
pub use target::Target;
pub use zone::{Zone, Zoned, Zones};
