//! The detector against servers on loopback: friendly ones and hostile ones.

mod common;
mod friendly;
mod hostile;
