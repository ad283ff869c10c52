//! Why a test network cannot be made.

use std::io;
use std::net::SocketAddr;

/// Why a test network cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program ended with another status than 0.
    #[error("`{command}` ended with {status}: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The kernel did not let a thread into the namespace.
    #[error("cannot enter the namespace `{name}`")]
    Enter {
        /// The namespace.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A listener could not be bound.
    #[error("cannot listen on {address} in the namespace `{name}`")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// In which namespace.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The thread that accepts connections could not be set up.
    #[error("cannot start to accept connections")]
    Accept(#[source] io::Error),
}

/// A result whose error says why a test network cannot be made.
pub type Result<T> = std::result::Result<T, Error>;
