//! Who may change something: pages of this server, and programs that are no browser.
//!
//! A browser says where a request comes from by `Sec-Fetch-Site` (W3C Fetch Metadata) and
//! `Origin` (RFC 6454, 7). Both must say: from here. A program says neither. That `Origin` is
//! compared with `Host` is safe only because [`Host` is checked](super::host) before.

use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::requested;
use crate::error::Problem;

/// Refuses what would change something and comes from a page elsewhere.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !is_safe {
        let host = requested(request.uri(), request.headers());
        if let Some(why) = refusal(request.headers(), host.as_deref()) {
            return Problem::forbidden(why)
                .with_hint("open this server's own page, or send the request without a browser")
                .into_response();
        }
    }
    next.run(request).await
}

fn refusal(headers: &HeaderMap, host: Option<&str>) -> Option<String> {
    for site in headers.get_all("sec-fetch-site") {
        match site.as_bytes() {
            // `none`: the user's own doing, as by a bookmark.
            b"same-origin" | b"none" => {}
            _ => return Some("a page elsewhere may not change anything here".to_owned()),
        }
    }
    for origin in headers.get_all("origin") {
        let from = origin.to_str().ok().and_then(|origin| {
            let rest = origin.strip_prefix("http://");
            rest.or_else(|| origin.strip_prefix("https://"))
        });
        let is_own = match (from, host) {
            (Some(from), Some(host)) => from.eq_ignore_ascii_case(host),
            _ => false,
        };
        if !is_own {
            let origin = String::from_utf8_lossy(origin.as_bytes())
                .escape_default()
                .to_string();
            return Some(format!("the page `{origin}` may not change anything here"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn is_refused(headers: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        refusal(&headers, Some("127.0.0.1:5000")).is_some()
    }

    #[test]
    fn programs_and_pages_of_this_server_may_change_something() {
        assert!(!is_refused(&[]));
        assert!(!is_refused(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://127.0.0.1:5000")
        ]));
        assert!(!is_refused(&[("sec-fetch-site", "none")]));
    }

    #[test]
    fn pages_elsewhere_may_not() {
        for headers in [
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            // Another port is another origin.
            &[("origin", "http://127.0.0.1:8080")],
        ] {
            assert!(is_refused(headers), "{headers:?}");
        }
        assert!(is_refused(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://evil.example")
        ]));
    }
}
