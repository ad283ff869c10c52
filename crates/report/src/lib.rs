//! What people and programs read: tables, JSON lines, XML, CSV, HTML and diffs.
//!
//! ```
//! use portolan_model::ScanRecord;
//! use portolan_report::{Format, WriteOptions};
//!
//! let record = ScanRecord::new("portolan 192.0.2.1", "0.1.0");
//! let mut document = Vec::new();
//! portolan_report::write(Format::Xml, &record, &WriteOptions::default(), &mut document)?;
//! let read = portolan_report::read(&mut document.as_slice())?;
//! assert_eq!(read.args, "portolan 192.0.2.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read in this order: [`escape`] (foreign text made safe), `view` (what formats say alike),
//! the formats, each in a file of its name, [`read`](read()) and [`mod@diff`].
#![forbid(unsafe_code)]

mod csv;
pub mod diff;
mod error;
pub mod escape;
mod format;
pub mod fuzz;
mod grepable;
mod html;
mod jsonl;
mod limits;
mod markdown;
mod normal;
mod read;
pub mod schema;
pub mod table;
#[cfg(test)]
mod tests;
mod view;
mod xml;

pub use diff::{Diff, diff};
pub use error::{ReadError, Result};
pub use format::{Format, UnknownFormat, WriteOptions, write};
pub use jsonl::{JsonLines, VERSION, facts};
pub use read::read;
pub use view::{service_name, version as product_and_version};
