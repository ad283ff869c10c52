//! What this server can do.

use portolan_model::Technique;
use serde::Serialize;
use utoipa::ToSchema;

/// What this server can do, and for whom.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Capabilities {
    /// The program's version.
    pub version: String,
    /// The techniques and whether this process may use them.
    pub techniques: Vec<TechniqueInfo>,
    /// Whether services can be detected.
    pub detect: Ability,
    /// Networks that scans are bound to (`-` before those that are forbidden); empty for none.
    pub scope: Vec<String>,
    /// Bounds.
    pub limits: LimitsInfo,
    /// Whether one must log in.
    pub auth_required: bool,
}

/// A technique and whether this process may use it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TechniqueInfo {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Technique,
    /// Whether it can be used.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether something can be done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ability {
    /// Whether it can.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Bounds of this server.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct LimitsInfo {
    /// Scans that run at once; more wait in a queue.
    pub running_scans: usize,
    /// Scans that may wait.
    pub queued_scans: usize,
    /// Event streams at once.
    pub event_streams: usize,
    /// Results in a page at the most.
    pub page: usize,
}
