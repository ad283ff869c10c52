//! Why a scan cannot start.

/// Why a scan cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No address, or no port of the protocol that is asked.
    #[error("there is nothing to scan")]
    NothingToScan,
    /// More pairs of address and port than can be counted through.
    #[error("{} more than one scan can hold: the most is 2^63", many(*probes))]
    TooLarge {
        /// How many were asked for; the largest number stands for more than it.
        probes: u128,
    },
    /// More pairs of address and port than a sweep can count.
    #[error("addresses times ports are more than a sweep can count: there must be less than 2^128")]
    TooManyPairs,
    /// More shards than hosts, and than ports: some of them would hold nothing.
    #[error("{hosts} hosts with {ports} ports are too few for {shards} shards of a scan")]
    TooManyShards {
        /// How many hosts there are.
        hosts: u64,
        /// How many ports each.
        ports: u64,
        /// How many shards were asked for.
        shards: u32,
    },
    /// Several techniques at once, or another than the one that was called.
    #[error("a scan asks in one way at a time")]
    UnknownTechnique,
    /// Packets cannot be sent or received.
    #[error("cannot send packets of our own: {why}")]
    Device {
        /// What is in the way.
        why: String,
    },
    /// Threads or descriptors for sockets cannot be had.
    #[error("cannot make sockets")]
    Sockets {
        /// What the system said.
        source: std::io::Error,
    },
}

fn many(probes: u128) -> String {
    if probes == u128::MAX {
        "2^128 probes or more are".to_owned()
    } else {
        format!("{probes} probes are")
    }
}

/// A result whose error says why a scan cannot start.
pub type Result<T> = std::result::Result<T, Error>;
