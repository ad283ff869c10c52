//! Why the kernel's link cannot be opened.

use std::io;
use std::net::IpAddr;

use crate::rights::Missing;

/// Why the kernel's link cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process has no right to raw sockets; what it holds is a hint for the user.
    #[error("cannot open a raw socket: operation not permitted")]
    NotPermitted(Missing),
    /// No interface has this name.
    #[error("there is no interface `{name}`")]
    NoInterface {
        /// The name.
        name: String,
    },
    /// The source address belongs to no interface.
    #[error("the source address {address} is not an address of this machine")]
    SourceNotOurs {
        /// The address.
        address: IpAddr,
    },
    /// The range of source ports is empty.
    #[error("the range of source ports {first}-{last} is empty")]
    NoPorts {
        /// Its first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
    /// The system failed otherwise.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A result whose error says why the link cannot be opened.
pub type Result<T> = std::result::Result<T, Error>;
