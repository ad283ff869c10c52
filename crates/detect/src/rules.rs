//! Rules as data: what is asked, and what an answer says.
//!
//! [`mod@file`] reads a file, [`rule`] is what it holds, [`set`] puts files together and finds what
//! takes an answer, [`mod@check`] tries every sample.

pub mod check;
pub mod file;
pub mod rule;
pub mod set;
mod template;

pub use check::check;
pub use file::{Fault, Parsed, parse};
pub use rule::{BANNER, DEFAULT_INTENSITY, Probe, Rule, Sample, WAITS};
pub use set::{Answer, Match, RuleSet, RuleSetBuilder};

/// The rule files that are part of the program: name and text.
pub const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
