//! The API as programs see it: every endpoint, every guard, without a socket where none is
//! needed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "these are tests"
)]

mod access;
mod attacks;
mod common;
mod contract;
mod events;
mod figures;
mod results;
mod scans;
mod socket;
