//! What is about to be scanned, or what is wrong with the request.

use serde::Serialize;
use utoipa::ToSchema;

/// What is about to be scanned, or what is wrong with the request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// What is wrong; a scan can start when there is nothing.
    pub errors: Vec<FieldError>,
    /// What one should know before starting.
    pub warnings: Vec<String>,
    /// How many addresses, names not counted.
    pub addresses: u64,
    /// Names that are looked up when the scan starts.
    pub names: Vec<String>,
    /// How many ports of each.
    pub ports: u64,
    /// How many pairs of address and port, each name counted as one address.
    pub probes: u64,
    /// About how long it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Span>,
    /// The same in the shell.
    pub command: String,
    /// The same by the API, with `$TOKEN` where one is needed.
    pub curl: String,
}

/// A span of time that is not known exactly, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Span {
    /// At the least.
    pub low: f64,
    /// At the most.
    pub high: f64,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the text, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
}
