//! Packet formats as views and builders: Ethernet, ARP, IPv4, IPv6, ICMP, `ICMPv6` with
//! neighbour discovery, TCP and UDP. Nothing here sends or receives.
//!
//! Each format is a module with two types. A `Packet` is a view that reads fields in place: its
//! one constructor checks, and after it every accessor is total, whatever the bytes. A `Repr` is
//! the packet as values: `parse` takes it from a view, `emit` writes it into the bytes that its
//! `len` asks for. A `Repr` can also say what a scanner says on purpose: any set of flags,
//! options in their order, a checksum that is wrong.
//!
//! Where speed counts, [`SynTemplate`] builds a probe by patching a prebuilt frame; what an ICMP
//! error quotes is read by [`Quoted`].
//!
//! ```
//! use std::net::Ipv4Addr;
//! use portolan_wire::{Protocol, SeqNumber, Verified, ipv4, tcp};
//!
//! # fn main() -> portolan_wire::Result<()> {
//! let src = Ipv4Addr::new(192, 0, 2, 1);
//! let dst = Ipv4Addr::new(192, 0, 2, 2);
//! let syn = tcp::Repr {
//!     sequence: SeqNumber(7),
//!     ..tcp::Repr::new(40_000, 443, tcp::Flags::SYN)
//! };
//! let header = ipv4::Repr::new(src, dst, Protocol::TCP, syn.len());
//! let mut bytes = vec![0; header.len() + syn.len()];
//! header.emit(&mut bytes)?;
//! let packet = ipv4::Packet::new(bytes.clone())?;
//! syn.emit(&packet.addresses(), &mut bytes[header.len()..])?;
//!
//! let packet = ipv4::Packet::new(&bytes)?;
//! let segment = tcp::Packet::new(packet.payload())?;
//! assert_eq!(segment.destination_port(), 443);
//! assert_eq!(segment.verify(&packet.addresses()), Verified::Yes);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod bytes;
mod error;
mod mac;
mod number;
mod template;

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod fuzz;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod quoted;
pub mod tcp;
pub mod udp;

pub use checksum::{Addresses, Checksum, Verified};
pub use error::{Error, Result};
pub use ethernet::EtherType;
pub use mac::MacAddress;
pub use number::{Protocol, SeqNumber, Ttl};
pub use quoted::Quoted;
pub use template::{SynPath, SynTemplate};
