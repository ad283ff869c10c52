//! What the API shows: plain data, the same for JSON and for pages.

mod account;
mod host;
mod request;
mod result;
mod scan;
mod server;
mod tag;

use portolan_store as store;
use serde::Serialize;
use utoipa::ToSchema;

pub use account::{
    AuditView, LoginRequest, NewTokenView, SessionInfo, SessionView, TokenRequest, TokenView,
};
pub use host::{Change, Ended, HostDetail, KnownHost, KnownPort, PortValue, Seen};
pub use request::{FieldError, Preview, Span};
pub use result::{Evidence, ResultItem, Service};
pub use scan::{Counts, CoursePoint, Kind, Name, Phase, Progress, Scan, ScanHost, ScanProblem};
pub use server::{Ability, Capabilities, LimitsInfo, TechniqueInfo};
pub use tag::TagView;

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `null` on the last.
    pub next: Option<String>,
    /// How many there are in all, where that was asked for or costs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T> List<T> {
    /// A page of the store, its items shown as the API does.
    pub fn from_page<S>(page: store::Page<S>, show: impl FnMut(S) -> T) -> Self {
        Self {
            next: page.next.map(|cursor| cursor.to_string()),
            items: page.items.into_iter().map(show).collect(),
            total: None,
        }
    }

    /// A list that is whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            total: Some(items.len() as u64),
            items,
            next: None,
        }
    }
}

/// A span as milliseconds.
pub fn millis(span: std::time::Duration) -> f64 {
    // From whole microseconds, so that the shortest digits are the right ones: 0.42.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for the first two hundred years"
    )]
    let micros = span.as_micros() as f64;
    micros / 1000.0
}

/// A count as JSON numbers hold it.
pub fn saturate(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
