//! Users, sessions, tokens, and what was done by whom.

use jiff::Timestamp;
use portolan_store as store;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, and what they may do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionInfo {
    /// The user's or token's name; `null` where nobody logs in.
    pub user: Option<String>,
    /// `read`, `scan` or `admin`.
    pub role: String,
    /// `open` where nobody logs in, `session` or `token`.
    pub via: String,
}

/// A browser that is logged in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    /// A handle by which it can be ended; not its secret.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last used.
    #[schema(value_type = String, format = DateTime)]
    pub used: Timestamp,
    /// From when on it counts no more.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
    /// Where it came from.
    pub address: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A key for programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenView {
    /// Its public part.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
    /// From when on it counts no more.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl From<store::Token> for TokenView {
    fn from(token: store::Token) -> Self {
        Self {
            id: token.token.id,
            name: token.token.name,
            scopes: token.token.scopes.iter().map(ToString::to_string).collect(),
            created: token.token.created,
            used: token.used,
            expires: token.token.expires,
            revoked: token.revoked,
        }
    }
}

/// A token that was just made: the one time that its secret is shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewTokenView {
    /// What is sent as `Authorization: Bearer …`.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub kept: TokenView,
}

/// Without the secret, which is nothing for logs.
impl std::fmt::Debug for NewTokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTokenView")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// A token to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do: `read`, `scan`, `admin`; `read` when nothing is said.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// For how many days it counts; for ever when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 36500)]
    pub days: Option<u16>,
}

/// A name and a password.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// Without the password, which is nothing for logs.
impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Something that was done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number.
    pub id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The user or token.
    pub who: String,
    /// Where it came from.
    pub address: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The scan it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<i64>,
    /// More of it.
    pub detail: String,
}

impl From<store::AuditEntry> for AuditView {
    fn from(entry: store::AuditEntry) -> Self {
        let store::AuditEntry { id, entry } = entry;
        Self {
            id,
            at: entry.at,
            who: entry.who,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            scan: entry.scan.map(|scan| scan.0),
            detail: entry.detail,
        }
    }
}
