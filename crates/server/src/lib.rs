//! The web app and the API: pages, live events, access control, and the queue of scans.
//!
//! ```text
//! request ─> names, origin, caller ─> handler or page ─> state ─┬─> store (history)
//!                                                               └─> manager ─> runner
//! ```
//!
//! What runs a scan is handed in as a [`Runner`]; [`app()`] is the whole of it as one service,
//! [`serve`](mod@serve) puts it on a socket. Read in this order: `request` (what is asked),
//! `manager` and `live` (scans that run, and who listens), [`state`] (every question), [`api`],
//! `security` and [`auth`].

#![forbid(unsafe_code)]

pub mod api;
mod app;
pub mod auth;
mod error;
mod fronts;
mod live;
mod manager;
mod metrics;
pub mod openapi;
mod pages;
mod request;
mod runner;
mod security;
pub mod serve;
mod settings;
pub mod state;
mod update;

pub use app::app;
pub use auth::{Caller, Client};
pub use error::{Problem, Result, ServeError};
pub use manager::{Load, Manager, ScanLimits};
pub use portolan_store::Role;
pub use request::{Checked, ScanRequest};
pub use runner::{Abilities, CannotStart, Earlier, Job, Runner};
pub use security::HostNames;
pub use settings::{Limits, Settings};
pub use state::{
    AppState, AuditQuery, DiffQuery, ExportQuery, HostsQuery, PageQuery, ResultsQuery, ScansQuery,
    TimelineQuery,
};
