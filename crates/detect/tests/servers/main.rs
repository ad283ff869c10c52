//! The detector against servers on loopback: friendly ones and hostile ones.
#![expect(clippy::unwrap_used, reason = "every function here serves a test")]

mod common;
mod friendly;
mod hostile;
