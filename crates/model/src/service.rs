//! What runs on a port.

use std::collections::BTreeMap;

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
    /// The kind of device it runs on, as far as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the program hides its version by design.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// Further facts by name: `http.title`, `tls.cert.subject`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What this rests on, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the naming of a service rests on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that took the answer; `None` where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the answer was to: a probe's name, or `banner` for what was said unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The beginning of the answer: printable ASCII as it is, `\\`, `\r`, `\n`, `\t`, and
    /// `\xHH` for all else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bytes: String,
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
