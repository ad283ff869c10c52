//! Why a scenario cannot be read, or a device cannot be made.

use std::io;
use std::path::PathBuf;

/// Why a simulated network cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an address, or a prefix that does not fit it.
    #[error("`{text}` is no address or network, expected `192.0.2.1` or `192.0.2.0/24`")]
    Prefix {
        /// The word.
        text: String,
    },
    /// Not a list of ports.
    #[error("`{text}` in `{list}` is no port or range, expected `22` or `8000-8100`")]
    Ports {
        /// The whole list.
        list: String,
        /// The part that is wrong.
        text: String,
    },
    /// A value outside its range.
    #[error("`{field}` is {value}, expected {expected}")]
    Value {
        /// Which field of the scenario.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What would do.
        expected: &'static str,
    },
    /// A file that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Text that is no scenario.
    #[error("the text is no scenario")]
    Scenario(#[from] toml::de::Error),
    /// A command that failed.
    #[error("`{command}` failed: {message}")]
    Command {
        /// The command with its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// A system call that failed.
    #[error("cannot {what}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An argument that is not understood.
    #[error("{0}")]
    Usage(String),
}

/// A result whose error says why a simulated network cannot be made.
pub type Result<T> = std::result::Result<T, Error>;
