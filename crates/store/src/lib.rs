//! The history: every scan, every host, and how their ports changed, in one
//! `SQLite` file.
//!
//! ```
//! use portolan_store::{Mode, NewScan, Query, ResultsRequest, Store};
//! use portolan_model::{PortSpec, ScanSpec};
//!
//! # let dir = tempfile::tempdir()?;
//! # let (dir, now) = (dir.path(), jiff::Timestamp::UNIX_EPOCH);
//! let store = Store::open(dir, Mode::Write)?;
//! let spec = ScanSpec::new(vec!["192.0.2.1".parse()?], PortSpec::common());
//! let writer = store.begin(NewScan::new(spec, now))?;
//! // … writer.send(events) as the engine reports them …
//! writer.flush()?;
//!
//! let query: Query = "state:open port:22,8000-8999".parse()?;
//! let page = store.results(writer.id(), &ResultsRequest::new(query))?;
//! assert!(page.items.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One thread owns the connection that writes; events reach it through a bounded channel and
//! are written in batches, several times a second. Readers use connections of their own and
//! never wait for it. Read in this order: `store` (opening, locks), [`scan`] (what is known of
//! a scan), `writer` and `ingest` (how events become rows), `codec` (the compact picture of a
//! host's ports), `fold` (the end of a host: its picture, and spans of time over scans),
//! `asked` (which ports two scans both asked), [`query`] (the language of filters), [`results`],
//! [`hosts`], [`changes`] (questions), [`tags`] (what people call hosts and scans),
//! `course` (how a scan went), `messages` (what was told of it), `retention`, [`accounts`]. The tables are described in `docs/schema.md`.

#![forbid(unsafe_code)]

pub mod accounts;
mod asked;
pub mod changes;
mod codec;
mod course;
mod error;
mod fold;
pub mod hosts;
mod ingest;
mod messages;
pub mod page;
pub mod query;
mod record;
pub mod results;
mod retention;
pub mod scan;
mod scans;
mod schema;
mod store;
pub mod tags;
mod time;
mod writer;

pub use accounts::{AuditEntry, NewAudit, NewToken, Role, Session, Token, User};
pub use changes::{Change, ChangeKind, Interval, PortValue};
pub use codec::Code;
pub use course::Moment;
pub use error::{Error, Result};
pub use hosts::{HostFilter, KnownHost, KnownPort, ScanHost};
pub use messages::{Said, Told};
pub use page::{Cursor, Page};
pub use query::{Query, QueryError};
pub use results::{Order, ResultRow, ResultsRequest, Sort, SortKey};
pub use retention::{Pruned, Retention};
pub use scan::{Counts, NewScan, ScanFilter, ScanId, ScanState, ScanSummary};
pub use scans::{Checkpoint, Queued};
pub use store::{Mode, Store};
pub use tags::{Tag, TagTerm, Tagged};
pub use writer::ScanWriter;
