//! Why a document cannot be read.

use std::io;

/// Why a result of a scan cannot be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes could not be had.
    #[error("cannot read the result")]
    Io(#[from] io::Error),
    /// Nothing stands there.
    #[error("the input is empty, expected nmap XML or JSON lines of a scan")]
    Empty,
    /// Neither of the two formats that are read.
    #[error("the input begins with {found}, expected nmap XML or JSON lines of a scan")]
    UnknownFormat {
        /// What stands at its beginning.
        found: String,
    },
    /// Something else than what the format says.
    #[error("line {line}: found {found}, expected {expected}")]
    Malformed {
        /// The line, from 1, at which it was noticed.
        line: u64,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A version of the format that came after this program.
    #[error("line {line}: format version {found} is not known, expected 1")]
    Version {
        /// The line, from 1.
        line: u64,
        /// The version that the document claims.
        found: u64,
    },
    /// More of something than is taken from a document that may be hostile.
    #[error("line {line}: {what} is larger than {limit}")]
    TooLarge {
        /// The line, from 1.
        line: u64,
        /// Of what there is too much.
        what: &'static str,
        /// How much is taken, with its unit.
        limit: String,
    },
}

/// What reading gives.
pub type Result<T, E = ReadError> = std::result::Result<T, E>;
