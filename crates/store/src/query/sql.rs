//! The part of a query that the database can answer, to read fewer rows.
//!
//! A condition lets through every row that fits, and may let through more: what is read is
//! held against the query once again.

use rusqlite::types::Value;

use portolan_model::{AddressSet, PortState, Protocol, Target, services};

use super::{Filter, Query, Sense};
use crate::codec::{address_bytes, last_address_bytes, protocol_number, state_number};

/// A filter that falls into more ranges is left to the second look.
const MOST_RANGES: usize = 64;

/// A condition on rows of `open_port` joined with `service`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Query {
    /// Whether only ports that stand alone can fit, which are those in `open_port`.
    pub(crate) fn is_notable_only(&self) -> bool {
        self.terms
            .iter()
            .any(|term| match (&term.filter, term.sense) {
                (Filter::State(states), Sense::Is) => {
                    states.iter().all(|&state| state == PortState::Open)
                }
                // Only ports that stand alone have said anything.
                (Filter::Product(texts) | Filter::Version(texts), Sense::Is) => {
                    texts.iter().all(|text| !text.is_empty())
                }
                (Filter::New(answers), Sense::Is) => answers.iter().all(|&answer| answer),
                (Filter::Expires(_), Sense::Is) => true,
                _ => false,
            })
    }

    /// Whether it asks what was known before.
    pub(crate) fn asks_new(&self) -> bool {
        self.terms
            .iter()
            .any(|term| matches!(term.filter, Filter::New(_)))
    }

    /// Whether it asks when ports came to be as they are.
    pub(crate) fn asks_changes(&self) -> bool {
        self.terms
            .iter()
            .any(|term| matches!(term.filter, Filter::Changed(_)))
    }

    /// Whether it asks what people call hosts and scans.
    pub(crate) fn asks_tags(&self) -> bool {
        self.terms
            .iter()
            .any(|term| matches!(term.filter, Filter::Tag(_)))
    }

    /// The only addresses that can fit, where the query names some.
    pub(crate) fn addresses(&self) -> Option<AddressSet> {
        self.terms
            .iter()
            .find_map(|term| match (&term.filter, term.sense) {
                (Filter::Host(targets), Sense::Is) => targets
                    .iter()
                    .map(Target::addresses)
                    .try_fold(AddressSet::default(), |all, more| Some(all.union(&more?))),
                _ => None,
            })
    }

    pub(crate) fn to_sql(&self) -> Condition {
        let mut condition = Condition {
            text: "1".to_owned(),
            values: Vec::new(),
        };
        for term in &self.terms {
            if term.sense == Sense::Is && matches!(term.filter, Filter::Expires(_)) {
                // Few services have a certificate; the second look reads when it expires.
                condition.text.push_str(" AND instr(service.json, ?)");
                condition
                    .values
                    .push(super::expires::FACT.to_owned().into());
            }
            if let Some((text, values)) = filter(&term.filter) {
                condition.text.push_str(match term.sense {
                    Sense::Is => " AND (",
                    Sense::IsNot => " AND NOT (",
                });
                condition.text.push_str(&text);
                condition.text.push(')');
                condition.values.extend(values);
            }
        }
        condition
    }
}

/// A filter exactly as a condition; `None` where it cannot be one.
fn filter(filter: &Filter) -> Option<(String, Vec<Value>)> {
    let any = |parts: Vec<String>, values: Vec<Value>| {
        (parts.len() <= MOST_RANGES).then(|| (parts.join(" OR "), values))
    };
    let numbers = |column: &str, numbers: Vec<u8>| {
        let numbers: Vec<_> = numbers.iter().map(u8::to_string).collect();
        Some((format!("{column} IN ({})", numbers.join(", ")), Vec::new()))
    };
    match filter {
        Filter::Port(ranges) => any(
            ranges
                .iter()
                .map(|(first, last)| {
                    // With one port, the index by port is in order of addresses as well.
                    if first == last {
                        format!("port = {first}")
                    } else {
                        format!("port BETWEEN {first} AND {last}")
                    }
                })
                .collect(),
            Vec::new(),
        ),
        Filter::Host(targets) => {
            let mut parts = Vec::new();
            let mut values = Vec::new();
            for target in targets {
                for (first, last) in target.addresses()?.ranges() {
                    values.push(address_bytes(first).into());
                    values.push(last_address_bytes(last).into());
                    // The interface stands after the 17 bytes of the address.
                    parts.push(match target.zone() {
                        None => "address BETWEEN ? AND ?".to_owned(),
                        Some(zone) => {
                            values.push(zone.as_str().as_bytes().to_vec().into());
                            "(address BETWEEN ? AND ? AND substr(address, 18) = ?)".to_owned()
                        }
                    });
                }
            }
            any(parts, values)
        }
        Filter::State(states) => numbers(
            "(code - 1) / 16",
            states.iter().map(|&state| state_number(state)).collect(),
        ),
        Filter::Protocol(protocols) => numbers(
            "protocol",
            protocols
                .iter()
                .map(|&protocol| protocol_number(protocol))
                .collect(),
        ),
        Filter::Reason(reasons) => numbers(
            "(code - 1) % 16",
            reasons
                .iter()
                .map(|&reason| crate::codec::reason_number(reason))
                .collect(),
        ),
        Filter::Service(texts) => service(texts),
        Filter::Product(texts) => Some(within("coalesce(service.product, '')", texts)),
        Filter::Version(texts) => Some(within("coalesce(service.version, '')", texts)),
        Filter::Tag(tags) => {
            let marks = vec!["?"; tags.len()].join(", ");
            let words = || tags.iter().map(|tag| tag.as_str().to_owned().into());
            Some((
                format!(
                    "EXISTS (SELECT 1 FROM host_tag
                         WHERE host_tag.address = open_port.address AND word IN ({marks}))
                     OR EXISTS (SELECT 1 FROM scan_tag
                         WHERE scan_tag.scan = open_port.scan AND word IN ({marks}))"
                ),
                words().chain(words()).collect(),
            ))
        }
        // It may be found in what is not in these tables, or needs a clock.
        Filter::Text(_)
        | Filter::Seen(_)
        | Filter::New(_)
        | Filter::Changed(_)
        | Filter::Expires(_) => None,
    }
}

fn within(column: &str, texts: &[String]) -> (String, Vec<Value>) {
    let parts = vec![format!("instr({column}, ?)"); texts.len()];
    let values = texts.iter().map(|text| text.to_ascii_lowercase().into());
    (parts.join(" OR "), values.collect())
}

/// By what it said, and by the number of a port that said nothing.
fn service(texts: &[String]) -> Option<(String, Vec<Value>)> {
    let (said, values) = within("service.name", texts);
    let by_number: Vec<String> = [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .flat_map(|protocol| {
            (0..=u16::MAX).filter_map(move |port| {
                let name = services::name(port, protocol).unwrap_or_default();
                let name = name.to_ascii_lowercase();
                texts
                    .iter()
                    .any(|text| name.contains(&text.to_ascii_lowercase()))
                    .then(|| format!("({}, {port})", protocol_number(protocol)))
            })
        })
        .take(MOST_RANGES + 1)
        .collect();
    if by_number.len() > MOST_RANGES {
        return None;
    }
    let by_number = by_number.join(", ");
    Some((
        format!(
            "CASE WHEN service.id IS NULL THEN (protocol, port) IN (VALUES {}) ELSE {said} END",
            if by_number.is_empty() {
                "(-1, -1)"
            } else {
                &by_number
            }
        ),
        values,
    ))
}
