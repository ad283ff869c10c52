//! What a port is, and what runs there.

use portolan_model::Zoned;
use std::collections::BTreeMap;

use jiff::Timestamp;
use portolan_model::{PortState, Protocol, Reason};
use portolan_store as store;
use serde::Serialize;
use utoipa::ToSchema;

use super::millis;

/// What one port is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResultItem {
    /// The host's address.
    #[schema(value_type = String)]
    pub host: Zoned,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
    /// `open`, `closed`, `filtered` or `open|filtered`.
    #[schema(value_type = String)]
    pub state: PortState,
    /// What the state rests on.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// How long the answer took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The TTL or hop limit of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// When it was found; for closed and filtered ports, when their host was first heard of.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether it is open, and an earlier scan asked it and did not find it so; missing where not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub new: bool,
    /// What runs there, by what it said or by the port's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

impl From<store::ResultRow> for ResultItem {
    fn from(row: store::ResultRow) -> Self {
        let service = match row.state {
            PortState::Open | PortState::OpenFiltered => row.service_or_guess(),
            _ => row.service.clone(),
        };
        Self {
            host: row.address,
            name: row.name,
            protocol: row.protocol,
            port: row.port,
            state: row.state,
            reason: row.reason,
            rtt_ms: row.rtt.map(millis),
            ttl: row.ttl,
            at: row.at,
            new: row.is_new,
            service: service.map(Service::from),
        }
    }
}

/// What runs on a port. All of it may come from the network: hostile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Service {
    /// The protocol's name.
    pub name: String,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What else it said, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
    /// The system it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The name it gives its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// CPE names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpe: Vec<String>,
    /// Whether it was reached through TLS.
    pub tls: bool,
    /// `table` for a guess by number, `probed` for what it answered.
    pub method: String,
    /// How sure it is, 0 to 10.
    pub confidence: u8,
    /// The kind of device it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the program hides its version by design.
    pub hidden: bool,
    /// Further facts by name: `http.title`, `tls.cert.subject`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What this rests on, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the naming of a service rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// The rule that took the answer; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the answer was to: a probe's name, or `banner` for what was said unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The beginning of the answer, all but printable ASCII escaped.
    pub bytes: String,
}

/// The most characters that are shown of a text that a service sent: more than a screen of it
/// tells nothing, and a page of results must stay small whatever answers.
const MOST_TEXT: usize = 2000;

/// The most CPE names that are shown of a service.
const MOST_CPE: usize = 16;

/// The most facts that are shown of a service.
const MOST_FACTS: usize = 64;

/// A text no longer than [`MOST_TEXT`]; what is cut off is said by an ellipsis.
fn bounded(text: String) -> String {
    match text.char_indices().nth(MOST_TEXT) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

impl From<portolan_model::Service> for Service {
    fn from(service: portolan_model::Service) -> Self {
        use portolan_model::service::Method;
        Self {
            name: bounded(service.name),
            product: service.product.map(bounded),
            version: service.version.map(bounded),
            extra: service.extra.map(bounded),
            os: service.os.map(bounded),
            hostname: service.hostname.map(bounded),
            cpe: service
                .cpe
                .into_iter()
                .take(MOST_CPE)
                .map(bounded)
                .collect(),
            tls: service.tls,
            method: match service.method {
                Method::Table => "table".to_owned(),
                Method::Probed => "probed".to_owned(),
            },
            confidence: service.confidence,
            device: service.device.map(bounded),
            hidden: service.hidden,
            facts: service
                .facts
                .into_iter()
                .take(MOST_FACTS)
                .map(|(name, value)| (bounded(name), bounded(value)))
                .collect(),
            evidence: service.evidence.map(|evidence| Evidence {
                rule: evidence.rule.map(bounded),
                probe: evidence.probe.map(bounded),
                bytes: bounded(evidence.bytes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_cut_between_characters_and_says_so() {
        let long = "ä".repeat(100_000);
        let service = Service::from(portolan_model::Service {
            name: "http".to_owned(),
            product: Some(long.clone()),
            extra: Some("x".repeat(MOST_TEXT)),
            cpe: vec![long; 1000],
            ..portolan_model::Service::default()
        });
        let product = service.product.unwrap();
        assert_eq!(product.chars().count(), MOST_TEXT + 1);
        assert!(product.ends_with("ä…"));
        assert_eq!(service.extra.unwrap().len(), MOST_TEXT);
        assert_eq!(service.cpe.len(), MOST_CPE);
        assert_eq!(service.name, "http");
    }
}
