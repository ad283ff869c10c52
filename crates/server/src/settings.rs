//! How a server is set up.

use std::net::SocketAddr;
use std::time::Duration;

use portolan_model::Scope;

use crate::manager::ScanLimits;
use crate::security::HostNames;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program's version.
    pub version: String,
    /// Where it listens, for the addresses that it shows.
    pub address: SocketAddr,
    /// The names that it answers to.
    pub hosts: HostNames,
    /// Whether one must log in even while there is no user: others can reach it.
    pub always_log_in: bool,
    /// Whether the way to it is encrypted, by itself or by a proxy.
    pub is_encrypted: bool,
    /// Whether a proxy stands before it, and says where requests come from.
    pub behind_proxy: bool,
    /// Where scans may go.
    pub scope: Scope,
    /// Bounds on scans.
    pub scans: ScanLimits,
    /// Bounds on what clients may hold.
    pub limits: Limits,
}

/// Bounds on what clients may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Event streams of all clients.
    pub streams: usize,
    /// Event streams from one address, or of one user.
    pub streams_each: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Requests a second of one user, token or address, over time; 0 for any number.
    pub requests_per_second: u32,
    /// Requests that one may send at once before that counts.
    pub request_burst: u32,
    /// How long an answer may wait for its reader, before the connection ends.
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 512,
            streams_each: 256,
            body_bytes: 1 << 20,
            requests_per_second: 200,
            // A page of a large network asks for hundreds of maps at once.
            request_burst: 4000,
            write_time: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// A server on `address` with everything else at its default.
    pub fn new(address: SocketAddr, version: &str) -> Self {
        Self {
            version: version.to_owned(),
            address,
            hosts: HostNames::new(address.ip(), [""; 0]),
            always_log_in: !address.ip().is_loopback(),
            is_encrypted: false,
            behind_proxy: false,
            scope: Scope::default(),
            scans: ScanLimits::default(),
            limits: Limits::default(),
        }
    }

    /// The session cookie's name. `__Host-` binds it to this host and to encryption
    /// (RFC 6265bis, 4.1.3.2), which browsers refuse without the latter.
    pub const fn cookie_name(&self) -> &'static str {
        if self.is_encrypted {
            "__Host-portolan"
        } else {
            "portolan"
        }
    }

    /// Where a browser finds it.
    pub fn base(&self) -> String {
        let scheme = if self.is_encrypted && !self.behind_proxy {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }
}
