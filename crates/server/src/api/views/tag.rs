//! Tags, with how many have them.

use portolan_store as store;
use serde::Serialize;
use utoipa::ToSchema;

/// What people call hosts and scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TagView {
    /// The tag.
    pub tag: String,
    /// How many hosts have it.
    pub hosts: u64,
    /// How many scans have it.
    pub scans: u64,
}

impl From<store::tags::TagUse> for TagView {
    fn from(used: store::tags::TagUse) -> Self {
        Self {
            tag: used.tag.to_string(),
            hosts: used.hosts,
            scans: used.scans,
        }
    }
}

/// Tags as plain words.
pub(super) fn words(tags: &[store::Tag]) -> Vec<String> {
    tags.iter().map(ToString::to_string).collect()
}
