//! A web server that sends its visitors elsewhere on itself: what is there often says more.
//! Never off the target.

use portolan_model::Protocol;

use crate::explore::{Endpoint, HTTP, Via, filled};
use crate::options::Target;
use crate::rules::Answer;

/// How many redirects are followed.
const HOPS: usize = 2;

/// The longest path that is asked for, in bytes.
const PATH_BYTES: usize = 500;

/// Follows redirects that stay on the endpoint.
pub(crate) async fn follow(endpoint: &Endpoint<'_>, via: Via) {
    let Some(probe) = endpoint
        .rules
        .probes()
        .iter()
        .find(|probe| probe.name == HTTP)
    else {
        return;
    };
    let mut before = None;
    for _ in 0..HOPS {
        let path = {
            let notes = endpoint.notes();
            let is_redirect = notes
                .fact("http.status")
                .is_some_and(|status| matches!(status, "301" | "302" | "303" | "307" | "308"));
            let location = notes.fact("http.location").filter(|_| is_redirect);
            location.and_then(|location| path_on(location, endpoint.target, via))
        };
        let Some(path) = path.filter(|path| before.as_ref() != Some(path)) else {
            return;
        };
        let Some(request) = probe.send.first() else {
            return;
        };
        let request = filled(request, endpoint.target);
        let Some(rest) = request.strip_prefix(b"GET / ") else {
            return;
        };
        let request = [b"GET ", path.as_bytes(), b" ", rest].concat();
        let Some(heard) = endpoint.converse(&[request], false, via, None).await else {
            return;
        };
        let answer = Answer {
            to: HTTP,
            protocol: Protocol::Tcp,
            bytes: &heard.bytes,
        };
        endpoint.notes().answer(endpoint.rules, answer);
        before = Some(path);
    }
}

/// The path of a location that is on this endpoint.
pub(crate) fn path_on(location: &str, target: &Target, via: Via) -> Option<String> {
    let path = if let Some((scheme, rest)) = location.split_once("://") {
        let (wanted, usual) = match via {
            Via::Plain => ("http", 80),
            Via::Tls | Via::AnonymousTls => ("https", 443),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, "/"),
        };
        let host = target.host();
        let here = authority == format!("{host}:{}", target.port)
            || (authority == host && target.port == usual);
        if scheme != wanted || !here {
            return None;
        }
        path.to_owned()
    } else if location.starts_with('/') && !location.starts_with("//") {
        location.to_owned()
    } else if !location.contains(':') && !location.starts_with('/') && !location.is_empty() {
        format!("/{location}")
    } else {
        return None;
    };
    let path = path.split('#').next()?.to_owned();
    let is_fit = path.len() <= PATH_BYTES && path.bytes().all(|byte| byte.is_ascii_graphic());
    (is_fit && path != "/" && !path.contains('\\')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_the_endpoint_is_followed() {
        let target = Target::new([192, 0, 2, 1].into(), Protocol::Tcp, 8080);
        let path = |location: &str| path_on(location, &target, Via::Plain);
        assert_eq!(path("/login?x=1#y").as_deref(), Some("/login?x=1"));
        assert_eq!(path("web/").as_deref(), Some("/web/"));
        assert_eq!(path("http://192.0.2.1:8080/ui").as_deref(), Some("/ui"));
        for elsewhere in [
            "http://192.0.2.2:8080/ui",
            "http://192.0.2.1/ui",
            "http://192.0.2.1:8080@192.0.2.9/ui",
            "https://192.0.2.1:8080/ui",
            "//192.0.2.9/ui",
            "javascript:alert(1)",
            "/a b",
            "/",
            "",
        ] {
            assert_eq!(path(elsewhere), None, "{elsewhere}");
        }
    }
}
