//! The kernel agrees with us: in networks of namespaces, and only there.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

mod common;
mod namespaces;
mod routes;
mod tunnels;
