//! What is wrong with bytes that should be a packet, or with a packet that should be bytes.

/// Why bytes are no packet, or a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fewer bytes than the format asks for, or than the packet says of itself.
    #[error("{what} needs {needs} bytes, the buffer holds {holds}")]
    Truncated {
        /// What was to be read or written.
        what: &'static str,
        /// How many bytes it takes.
        needs: usize,
        /// How many there are.
        holds: usize,
    },
    /// A length field that contradicts the format.
    #[error("{what} says {says}, expected {least} to {most}")]
    Length {
        /// Which field.
        what: &'static str,
        /// Its value, in bytes.
        says: usize,
        /// The smallest that makes sense.
        least: usize,
        /// The largest that makes sense.
        most: usize,
    },
    /// A field whose value is not the one that the format requires.
    #[error("{what} is {found:#x}, expected {expected:#x}")]
    Value {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u32,
        /// The value required.
        expected: u32,
    },
    /// More IPv6 extension headers than are walked.
    #[error("IPv6 packet chains more than {most} extension headers")]
    TooManyExtensions {
        /// How many are walked.
        most: usize,
    },
    /// Source and destination of different families.
    #[error("a packet cannot go from an IPv4 to an IPv6 address, or back")]
    MixedFamilies,
}

/// A result whose error says what is wrong with a packet.
pub type Result<T> = std::result::Result<T, Error>;
