//! The names that this server answers to.
//!
//! A page elsewhere can let its own name lead to this machine's address (DNS rebinding), and
//! would then be of the same origin as this server. It cannot change the `Host` that the
//! browser sends: its own name. So requests are answered for known names alone.

use std::collections::HashSet;
use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::Problem;
use crate::state::AppState;

/// The names and addresses that this server answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    names: HashSet<String>,
    /// Whether any address counts: it listens on all of this machine's.
    any_address: bool,
}

impl HostNames {
    /// This machine's loopback names, the address it listens on, and `more` names.
    pub fn new<S: AsRef<str>>(listens_on: IpAddr, more: impl IntoIterator<Item = S>) -> Self {
        let mut names: HashSet<String> =
            ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.insert(listens_on.to_string());
        names.extend(
            more.into_iter()
                .map(|name| name.as_ref().to_ascii_lowercase()),
        );
        Self {
            names,
            // A rebound name is a name: an address in `Host` was typed by a person.
            any_address: listens_on.is_unspecified(),
        }
    }

    /// Whether the server answers to this name.
    pub fn contains(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        self.names.contains(name) || (self.any_address && name.parse::<IpAddr>().is_ok())
    }
}

/// The name and port that a request is for: `Host`, or `:authority` of HTTP/2 (RFC 9113, 8.3.1).
/// `None` where they are missing, malformed or differ.
pub(crate) fn requested(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match hosts.next() {
        Some(host) => Some(host.to_str().ok()?),
        None => None,
    };
    if hosts.next().is_some() {
        return None;
    }
    match (uri.authority(), host) {
        (Some(authority), Some(host)) if authority.as_str() != host => None,
        (Some(authority), _) => Some(authority.as_str().to_owned()),
        (None, host) => host.map(str::to_owned),
    }
}

/// The name in `name:port` or `[address]:port`, without the brackets.
fn name_of(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => match host.split_once(':') {
            Some((name, _)) => (name, host.get(name.len()..)?),
            None => (host, ""),
        },
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

/// Refuses requests for names that this server does not answer to (RFC 9110, 15.5.20).
pub(crate) async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let host = requested(request.uri(), request.headers());
    let known = host
        .as_deref()
        .and_then(name_of)
        .is_some_and(|name| state.settings().hosts.contains(name));
    if known {
        return next.run(request).await;
    }
    let detail = match host {
        Some(host) => format!("this server does not answer to `{}`", host.escape_default()),
        None => "the request does not say which server it is for".to_owned(),
    };
    Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
        .with_hint("use the address it listens on, or allow the name with `--host NAME`")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_with_and_without_a_port() {
        assert_eq!(name_of("localhost:5000"), Some("localhost"));
        assert_eq!(name_of("[::1]:5000"), Some("::1"));
        assert_eq!(name_of("[::1]"), Some("::1"));
        assert_eq!(name_of("127.0.0.1"), Some("127.0.0.1"));
        for bad in ["localhost:evil", "[::1", "[::1]x", "a:1:2"] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_known_names_are_answered_to() {
        let names = HostNames::new("127.0.0.1".parse().unwrap(), ["Scan.example"]);
        for known in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "scan.example",
        ] {
            assert!(names.contains(known), "{known}");
        }
        for unknown in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", ""] {
            assert!(!names.contains(unknown), "{unknown}");
        }
    }

    #[test]
    fn who_listens_everywhere_answers_to_every_address_and_to_no_strange_name() {
        let names = HostNames::new("0.0.0.0".parse().unwrap(), [""; 0]);
        assert!(names.contains("192.0.2.1"));
        assert!(!names.contains("evil.example"));
    }
}
