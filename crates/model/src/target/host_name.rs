//! Names of hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::TargetError;

/// A host name: labels of letters, digits, `-` and `_`, at most 253 octets (RFC 1123, 2.1;
/// RFC 1035, 2.3.4), in lower case and without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct HostName(pub(super) String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for HostName {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refused = |why| TargetError::NotAName {
            text: text.to_owned(),
            why,
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > 253 {
            return Err(refused("it is longer than 253 characters"));
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err(refused("a part between two dots is empty"));
            }
            if label.len() > 63 {
                return Err(refused("a part is longer than 63 characters"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(refused("a part starts or ends with `-`"));
            }
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if !label.bytes().all(is_part) {
                return Err(refused(
                    "only letters, digits, `-` and `_` may stand between its dots",
                ));
            }
        }
        // RFC 1123, 2.1: the last label of a name is not all digits, so that it cannot be taken
        // for an address.
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused("its last part is a number"));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
