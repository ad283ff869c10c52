//! The API's document.

pub use crate::api::document;

/// The document as it is kept in the repository: JSON for people to read.
pub fn json() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}
