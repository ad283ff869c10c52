//! What can be asked of lists, as it stands in addresses.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::views::FieldError;
use crate::error::{Problem, Result};

/// The most items of a page.
pub(crate) const MOST: usize = 10_000;

/// Where a page begins, and how long it is.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most how many items.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which scans.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ScansQuery {
    /// Words in targets, command line or asker, in any case; `tag:prod` for scans with a tag.
    pub q: Option<String>,
    /// The same as `tag:` in `q`.
    pub tag: Option<String>,
    /// Only these states, with commas.
    pub state: Option<String>,
    /// Only scans of exactly these targets.
    pub targets: Option<String>,
    /// Asked for at this moment or later (RFC 3339).
    pub since: Option<String>,
    /// Asked for before this moment (RFC 3339).
    pub until: Option<String>,
    /// At most how many items.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which results, in which order.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ResultsQuery {
    /// What must hold: `port:22,80 state:open -host:10.0.0.1 product:OpenSSH "free text"`, with the
    /// fields port, host, state, proto, reason, service, product, version, seen, new, changed,
    /// tls.expires and tag.
    pub q: Option<String>,
    /// The same as `state:` in `q`.
    pub state: Option<String>,
    /// The same as `port:` in `q`.
    pub port: Option<String>,
    /// The same as `host:` in `q`.
    pub host: Option<String>,
    /// The same as `proto:` in `q`.
    pub proto: Option<String>,
    /// The same as `service:` in `q`.
    pub service: Option<String>,
    /// The same as `product:` in `q`.
    pub product: Option<String>,
    /// The same as `tag:` in `q`.
    pub tag: Option<String>,
    /// The same as `changed:` in `q`.
    pub changed: Option<String>,
    /// `host`, `port`, `protocol`, `state`, `reason`, `service`, `product`, `time` or `rtt`.
    /// Of results that are there when the first page is read, none comes twice and none is missed, also
    /// while the scan runs; by `service` and `product` one may move while services are asked for.
    pub sort: Option<String>,
    /// `asc` or `desc`.
    pub order: Option<String>,
    /// Whether the number of all results is told as well.
    pub count: Option<bool>,
    /// At most how many items; 100 when nothing is said.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which hosts over all scans.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct HostsQuery {
    /// Part of the name, in any case, or an address or network; `tag:prod` for hosts with a tag.
    pub q: Option<String>,
    /// The same as `tag:` in `q`.
    pub tag: Option<String>,
    /// Within this network, range or address.
    pub within: Option<String>,
    /// Only hosts with open ports.
    pub open: Option<bool>,
    /// At most how many items.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which changes.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// At this moment or later (RFC 3339).
    pub since: Option<String>,
    /// At most how many items.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which entries of the audit log.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what is about this scan.
    pub scan: Option<i64>,
    /// At most how many items.
    #[param(minimum = 1, maximum = 10000)]
    pub limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// What is written, and how.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `jsonl`, `xml`, `grepable`, `normal`, `csv`, `markdown` or `html`.
    pub format: Option<String>,
    /// Only results for which this holds, as in the list of results.
    pub q: Option<String>,
    /// Whether ports that are not open are left out.
    pub open: Option<bool>,
}

/// Which scans are compared.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The earlier scan.
    #[param(required = true)]
    pub from: Option<i64>,
    /// The later scan.
    #[param(required = true)]
    pub to: Option<i64>,
    /// `json`, `text` or `markdown`.
    pub format: Option<String>,
}

impl ResultsQuery {
    /// All that must hold, in the language of queries.
    pub fn text(&self) -> String {
        let mut text = self.q.clone().unwrap_or_default();
        for (field, value) in [
            ("state", &self.state),
            ("port", &self.port),
            ("host", &self.host),
            ("proto", &self.proto),
            ("service", &self.service),
            ("product", &self.product),
            ("tag", &self.tag),
            ("changed", &self.changed),
        ] {
            let Some(value) = value.as_ref().filter(|value| !value.trim().is_empty()) else {
                continue;
            };
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(field);
            text.push(':');
            let values: Vec<_> = value.split(',').map(quoted).collect();
            text.push_str(&values.join(","));
        }
        text
    }
}

/// A value of the language of queries, in quotes where it needs them.
fn quoted(value: &str) -> String {
    let value = value.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:|*<>".contains(c);
    if value.chars().all(is_plain) && !value.is_empty() {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// How long a page is.
///
/// # Errors
/// 400 for none and for more than a page holds.
pub(crate) fn limit(asked: Option<usize>, usual: usize) -> Result<usize> {
    let limit = asked.unwrap_or(usual);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(wrong(
        "limit",
        format!("{limit} is out of range: expected 1 to {MOST}"),
    ))
}

/// A field of an address that cannot be read.
pub(crate) fn wrong(field: &str, message: String) -> Problem {
    Problem {
        errors: vec![FieldError {
            field: field.to_owned(),
            message: message.clone(),
            hint: None,
            offset: None,
        }],
        ..Problem::bad_request(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_address_join_the_query() {
        let query = ResultsQuery {
            q: Some("ssh".to_owned()),
            state: Some("open,open|filtered".to_owned()),
            product: Some("Apache \"x\"".to_owned()),
            ..ResultsQuery::default()
        };
        assert_eq!(
            query.text(),
            r#"ssh state:open,open|filtered product:"Apache \"x\"""#
        );
        assert!(query.text().parse::<portolan_store::Query>().is_ok());
    }

    #[test]
    fn a_page_is_neither_empty_nor_endless() {
        assert_eq!(limit(None, 100).unwrap(), 100);
        assert_eq!(limit(Some(0), 100).unwrap_err().status, 400);
        assert_eq!(limit(Some(10_001), 100).unwrap_err().status, 400);
    }
}
