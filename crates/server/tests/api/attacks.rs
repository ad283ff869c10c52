//! What a hostile page, program or host may try.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use portolan_server::auth::Peer;
use portolan_server::{Limits, Settings};

use crate::common::{Server, request, settings};

#[tokio::test]
async fn a_rebound_name_is_not_answered_to() {
    let server = Server::new();
    for path in [
        "/",
        "/api/v1/scans",
        "/api/v1/events?topics=scans",
        "/healthz",
        "/metrics",
    ] {
        for host in [
            "evil.example",
            "evil.example:5000",
            "127.0.0.1.evil.example",
            "192.0.2.1",
        ] {
            let answer = server
                .send(request("GET", path, &[("host", host)], None))
                .await;
            answer.problem(421);
        }
    }
    for host in ["localhost:5000", "127.0.0.1", "[::1]:5000"] {
        let answer = server
            .send(request("GET", "/healthz", &[("host", host)], None))
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_request_for_two_names_or_none_is_not_answered() {
    let server = Server::new();
    let two = Request::builder()
        .uri("/healthz")
        .header("host", "127.0.0.1")
        .header("host", "evil.example");
    server
        .send(two.body(Body::empty()).unwrap())
        .await
        .problem(421);
    let none = Request::builder()
        .uri("/healthz")
        .body(Body::empty())
        .unwrap();
    server.send(none).await.problem(421);
    let other = request(
        "GET",
        "http://evil.example/healthz",
        &[("host", "127.0.0.1")],
        None,
    );
    server.send(other).await.problem(421);
}

#[tokio::test]
async fn a_page_elsewhere_changes_nothing() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "80").await;
    let body = json!({"targets": ["127.0.0.1"]});
    for header in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:8080"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in [
            ("POST", "/api/v1/scans".to_owned()),
            ("POST", format!("/api/v1/scans/{id}/cancel")),
            ("DELETE", format!("/api/v1/scans/{id}")),
            ("POST", "/scans".to_owned()),
            ("POST", "/login".to_owned()),
        ] {
            server
                .send(request(method, &path, &[header], Some(&body)))
                .await
                .problem(403);
        }
    }
    let own = [
        ("origin", "http://127.0.0.1:5000"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answer = server
        .send(request("POST", "/api/v1/scans", &own, Some(&body)))
        .await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_form_elsewhere_cannot_pass_as_json() {
    let server = Server::new();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/scans")
            .header("host", "127.0.0.1")
            .header("content-type", kind)
            .body(Body::from(r#"{"targets": ["127.0.0.1"]}"#))
            .unwrap();
        server.send(request).await.problem(415);
    }
}

#[tokio::test]
async fn no_other_origin_may_read() {
    let server = Server::new();
    let answer = server
        .send(request(
            "GET",
            "/api/v1/scans",
            &[("origin", "http://evil.example")],
            None,
        ))
        .await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    let asked = [
        ("origin", "http://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    let answer = server
        .send(request("OPTIONS", "/api/v1/scans", &asked, None))
        .await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_body_has_its_bounds() {
    let server = Server::new();
    let large = json!({"targets": ["1".repeat(2 << 20)]});
    server.post("/api/v1/scans", &large).await.problem(413);
    let many = json!({"targets": vec!["127.0.0.1"; 20_000]});
    server.post("/api/v1/scans", &many).await.problem(422);
    let deep = format!(
        r#"{{"targets": {}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/scans")
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .body(Body::from(deep))
        .unwrap();
    let status = server.send(request).await.status;
    assert!(status == 400 || status == 422, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_a_byte_at_a_time_is_not_waited_for() {
    let server = Server::new();
    for (path, kind) in [
        ("/api/v1/scans", "application/json"),
        ("/login", "application/x-www-form-urlencoded"),
        ("/scans", "application/x-www-form-urlencoded"),
    ] {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", "127.0.0.1")
            .header("content-type", kind)
            .body(Body::from_stream(drops))
            .unwrap();
        let said = server.send(request).await.problem(408);
        assert_eq!(said, "the body did not come in time", "{path}");
    }
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let server = Server::new();
    for path in [
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "//etc/passwd",
        "/api/v1/scans/1%2f..%2f..",
        "/api/v1/scans/-1",
        "/api/v1/scans/99999999999999999999",
        "/api/v1/scans/1%00",
        "/api/v1/hosts/..%2f..%2fetc%2fpasswd",
        "/history.db",
    ] {
        let answer = server.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("root:"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_what_to_keep_to() {
    let server = Server::new();
    for path in [
        "/",
        "/api/v1/scans",
        "/api/v1/scans/99",
        "/nothing",
        "/healthz",
        "/api/docs",
    ] {
        let answer = server.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    }
    let foreign = server
        .send(request("GET", "/", &[("host", "evil.example")], None))
        .await;
    assert_eq!(foreign.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn what_hosts_say_reaches_no_page_as_markup() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "22").await;
    for path in [format!("/scans/{id}"), "/hosts/127.0.0.1".to_owned()] {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text().contains("<script>alert"), "{path}");
    }
    // JSON carries it as it is, and cannot be taken for a page.
    let json = server.get(&format!("/api/v1/scans/{id}/results")).await;
    assert_eq!(json.header("content-type"), "application/json");
    assert_eq!(
        json.json()["items"][0]["service"]["product"],
        "<script>alert(1)</script>"
    );
}

#[tokio::test]
async fn methods_that_there_are_not_are_refused_in_words() {
    let server = Server::with(settings());
    for (method, path) in [
        ("PUT", "/api/v1/scans"),
        ("PATCH", "/api/v1/scans/1"),
        ("DELETE", "/healthz"),
    ] {
        server
            .send(request(method, path, &[], None))
            .await
            .problem(405);
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_answered() {
    let server = Server::with(Settings {
        limits: Limits {
            requests_per_second: 1,
            request_burst: 5,
            ..Limits::default()
        },
        ..settings()
    });
    let mut refused = 0;
    for _ in 0..20 {
        let answer = server.get("/api/v1/scans").await;
        if answer.status == 429 {
            refused += 1;
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
            answer.problem(429);
        }
    }
    assert!(refused >= 10, "{refused} of 20 were refused");
    // A token that is not known counts for the address, so that guessing is bounded too.
    let guess = [("authorization", "Bearer prt_x_y")];
    let guessed = server
        .send(request("GET", "/api/v1/scans", &guess, None))
        .await;
    guessed.problem(429);
    // Whether it lives can always be asked, and pages still get their sheet.
    assert_eq!(server.get("/healthz").await.status, 200);
    let mut other = request("GET", "/api/v1/scans", &[], None);
    let peer = "192.0.2.7:40000".parse().unwrap();
    other.extensions_mut().insert(Peer(peer));
    assert_eq!(server.send(other).await.status, 200);
}
