//! What runs on a port.

use serde::{Deserialize, Serialize};

/// A service, by guess or by what it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Service {
    /// The protocol's name: `ssh`, `http`.
    pub name: String,
    /// The program: `OpenSSH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Its version, as it gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What else it said, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
    /// The system it runs on, as far as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The name it gives its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// CPE 2.3 or 2.2 names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpe: Vec<String>,
    /// Whether it was reached through TLS.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
    /// What the name rests on.
    #[serde(default)]
    pub method: Method,
    /// How sure it is, 0 to 10.
    #[serde(default)]
    pub confidence: u8,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a service's name rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The port's number alone.
    #[default]
    Table,
    /// What it answered.
    Probed,
}

impl Service {
    /// The guess for a port: the name that usually goes with its number, with confidence 3.
    pub fn by_number(port: u16, protocol: crate::Protocol) -> Option<Self> {
        crate::services::name(port, protocol).map(|name| Self {
            name: name.to_owned(),
            method: Method::Table,
            confidence: 3,
            ..Self::default()
        })
    }
}
