//! Who may do what, once there is a user.

use jiff::Timestamp;
use portolan_server::Role;
use portolan_server::auth::password;
use serde_json::{Value, json};

use crate::common::{Answer, Server, request};

const PASSWORD: &str = "correct horse";

fn with_user(role: Role) -> Server {
    let server = Server::new();
    let hash = password::hash(PASSWORD).unwrap();
    server
        .state
        .store()
        .create_user("ann", &hash, role, Timestamp::now())
        .unwrap();
    server
}

async fn log_in(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({"name": name, "password": password});
    server.post("/api/v1/session", &body).await
}

/// The cookie of a log-in, as a browser sends it back.
async fn cookie(server: &Server) -> String {
    let answer = log_in(server, "ann", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

async fn with_cookie(
    server: &Server,
    method: &str,
    path: &str,
    cookie: &str,
    body: Option<&Value>,
) -> Answer {
    server
        .send(request(method, path, &[("cookie", cookie)], body))
        .await
}

async fn with_token(
    server: &Server,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&Value>,
) -> Answer {
    let bearer = format!("Bearer {token}");
    server
        .send(request(method, path, &[("authorization", &bearer)], body))
        .await
}

#[tokio::test]
async fn without_a_user_this_machine_is_open_and_says_so() {
    let server = Server::new();
    let session = server.get("/api/v1/session").await.json();
    assert_eq!(
        session,
        json!({"user": null, "role": "admin", "via": "open"})
    );
    assert_eq!(
        server.get("/api/v1/capabilities").await.json()["auth_required"],
        false
    );
}

#[tokio::test]
async fn with_a_user_nothing_is_seen_without_a_log_in() {
    let server = with_user(Role::Admin);
    for path in [
        "/api/v1/scans",
        "/api/v1/events?topics=scans",
        "/api/openapi.json",
        "/metrics",
    ] {
        let answer = server.get(path).await;
        answer.problem(401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    server
        .post("/api/v1/scans", &json!({"targets": ["127.0.0.1"]}))
        .await
        .problem(401);
    let page = server.get("/scans/7?q=port:22").await;
    assert_eq!(page.status, 303);
    assert_eq!(
        page.header("location"),
        "/login?next=/scans/7%3Fq%3Dport%3A22"
    );
    for path in ["/login", "/healthz"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_log_in_sets_a_cookie_that_scripts_cannot_read() {
    let server = with_user(Role::Admin);
    let answer = log_in(&server, "ANN", PASSWORD).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let session = with_cookie(&server, "GET", "/api/v1/session", cookie, None)
        .await
        .json();
    assert_eq!(session["user"], "ann");
    // What is kept is not what the browser sends.
    let secret = cookie.split_once('=').unwrap().1;
    let file = std::fs::read(server.state.store().path()).unwrap();
    let wal =
        std::fs::read(format!("{}-wal", server.state.store().path().display())).unwrap_or_default();
    for bytes in [file, wal] {
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_alike() {
    let server = with_user(Role::Admin);
    let password = log_in(&server, "ann", "wrong horse").await;
    let name = log_in(&server, "bob", PASSWORD).await;
    assert_eq!(password.problem(401), name.problem(401));
    assert_eq!(password.body, name.body);
}

#[tokio::test]
async fn guessing_is_slowed_down_also_with_the_right_password() {
    let server = with_user(Role::Admin);
    for _ in 0..6 {
        log_in(&server, "ann", "wrong horse").await.problem(401);
    }
    let answer = log_in(&server, "ann", PASSWORD).await;
    answer.problem(429);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
}

#[tokio::test]
async fn who_logs_out_is_out() {
    let server = with_user(Role::Admin);
    let cookie = cookie(&server).await;
    let out = with_cookie(&server, "DELETE", "/api/v1/session", &cookie, None).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    with_cookie(&server, "GET", "/api/v1/scans", &cookie, None)
        .await
        .problem(401);
}

#[tokio::test]
async fn a_removed_user_is_out_at_once() {
    let server = with_user(Role::Admin);
    let cookie = cookie(&server).await;
    let user = server.state.store().find_user("ann").unwrap().unwrap();
    server.state.store().disable_user(user.id).unwrap();
    with_cookie(&server, "GET", "/api/v1/scans", &cookie, None)
        .await
        .problem(401);
}

#[tokio::test]
async fn who_may_read_may_not_scan() {
    let server = with_user(Role::Read);
    let cookie = cookie(&server).await;
    let body = json!({"targets": ["127.0.0.1"]});
    assert_eq!(
        with_cookie(&server, "GET", "/api/v1/scans", &cookie, None)
            .await
            .status,
        200
    );
    with_cookie(&server, "POST", "/api/v1/scans", &cookie, Some(&body))
        .await
        .problem(403);
    with_cookie(&server, "GET", "/api/v1/audit", &cookie, None)
        .await
        .problem(403);
    // What would be scanned may be seen.
    let preview = with_cookie(
        &server,
        "POST",
        "/api/v1/scans/preview",
        &cookie,
        Some(&body),
    )
    .await;
    assert_eq!(preview.status, 200);
}

#[tokio::test]
async fn a_token_does_what_its_scope_says_until_it_is_revoked() {
    let server = with_user(Role::Scan);
    let cookie = cookie(&server).await;
    let make = |scope: &str| json!({"name": "ci", "scopes": [scope], "days": 7});
    with_cookie(
        &server,
        "POST",
        "/api/v1/tokens",
        &cookie,
        Some(&make("admin")),
    )
    .await
    .problem(403);
    let read = with_cookie(
        &server,
        "POST",
        "/api/v1/tokens",
        &cookie,
        Some(&make("read")),
    )
    .await;
    assert_eq!(read.status, 201);
    let token = read.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("prt_"));
    let body = json!({"targets": ["127.0.0.1"]});
    assert_eq!(
        with_token(&server, "GET", "/api/v1/scans", &token, None)
            .await
            .status,
        200
    );
    with_token(&server, "POST", "/api/v1/scans", &token, Some(&body))
        .await
        .problem(403);
    let scan = with_cookie(
        &server,
        "POST",
        "/api/v1/tokens",
        &cookie,
        Some(&make("scan")),
    )
    .await
    .json();
    let scan_token = scan["token"].as_str().unwrap();
    assert_eq!(
        with_token(&server, "POST", "/api/v1/scans", scan_token, Some(&body))
            .await
            .status,
        201
    );
    let list = with_cookie(&server, "GET", "/api/v1/tokens", &cookie, None).await;
    assert!(!list.text().contains(&token), "its secret is shown once");
    let id = read.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(
        with_cookie(&server, "DELETE", &path, &cookie, None)
            .await
            .status,
        204
    );
    with_token(&server, "GET", "/api/v1/scans", &token, None)
        .await
        .problem(401);
    with_cookie(&server, "DELETE", &path, &cookie, None)
        .await
        .problem(404);
}

#[tokio::test]
async fn a_wrong_token_is_refused_also_on_an_open_server() {
    let server = Server::new();
    for token in ["", "prt_abc_def", "nonsense"] {
        with_token(&server, "GET", "/api/v1/scans", token, None)
            .await
            .problem(401);
    }
}

#[tokio::test]
async fn a_token_falls_with_its_user() {
    let server = with_user(Role::Scan);
    let cookie = cookie(&server).await;
    let wanted = json!({"name": "ci", "scopes": ["scan"]});
    let made = with_cookie(&server, "POST", "/api/v1/tokens", &cookie, Some(&wanted))
        .await
        .json();
    let token = made["token"].as_str().unwrap();
    let user = server.state.store().find_user("ann").unwrap().unwrap();
    server.state.store().set_role(user.id, Role::Read).unwrap();
    let body = json!({"targets": ["127.0.0.1"]});
    with_token(&server, "POST", "/api/v1/scans", token, Some(&body))
        .await
        .problem(403);
    server.state.store().disable_user(user.id).unwrap();
    with_token(&server, "GET", "/api/v1/scans", token, None)
        .await
        .problem(401);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let server = with_user(Role::Read);
    let (one, other) = (cookie(&server).await, cookie(&server).await);
    let list = with_cookie(&server, "GET", "/api/v1/sessions", &one, None)
        .await
        .json();
    let sessions = list["items"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let foreign = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("/api/v1/sessions/{}", foreign["id"].as_str().unwrap());
    assert_eq!(
        with_cookie(&server, "DELETE", &path, &one, None)
            .await
            .status,
        204
    );
    with_cookie(&server, "GET", "/api/v1/scans", &other, None)
        .await
        .problem(401);
    assert_eq!(
        with_cookie(&server, "GET", "/api/v1/scans", &one, None)
            .await
            .status,
        200
    );
}
