//! The real binary in networks that the kernel carries and that each test makes for itself:
//! what it finds there, and what it says of what it cannot find.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "every function here serves a test"
)]

mod absent;
mod again;
mod firewalls;
mod interrupt;
mod lab;
mod limits;
mod luck;
mod names;
mod own;
mod packets;
mod readers;
mod refusals;
mod resume;
mod searched;
mod sweep;
mod udp;
mod web;
mod zones;
