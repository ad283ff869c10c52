//! Scans are made, wait, run, are paused, ended, taken up again, deleted.

use portolan_server::ScanLimits;
use portolan_server::Settings;
use serde_json::json;

use crate::common::{Server, request, settings};

#[tokio::test]
async fn a_scan_is_made_and_has_an_address() {
    let server = Server::new();
    let body = json!({"targets": ["127.0.0.1"], "ports": "common", "technique": "auto",
        "timeout_ms": 1000, "concurrency": null, "max_rate": null, "detect": false});
    let answer = server.post("/api/v1/scans", &body).await;
    assert_eq!(answer.status, 201);
    let scan = answer.json();
    let id = scan["id"].as_i64().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/scans/{id}"));
    assert!(["queued", "running", "done"].contains(&scan["state"].as_str().unwrap()));
    let shown = server.get(answer.header("location")).await.json();
    assert_eq!(shown["targets"], "127.0.0.1");
}

#[tokio::test]
async fn who_waits_gets_the_results() {
    let server = Server::new();
    let body = json!({"targets": "127.0.0.1", "ports": "20-30,80"});
    let answer = server.post("/api/v1/scans?wait=true", &body).await.json();
    assert_eq!(answer["state"], "done");
    assert_eq!(answer["results"].as_array().unwrap().len(), 12);
    // Open ports come first.
    assert_eq!(answer["results"][0]["port"], 22);
    assert_eq!(answer["results"][0]["service"]["name"], "ssh");
    assert_eq!(answer["counts"]["open"], 2);
}

#[tokio::test]
async fn what_is_wrong_is_said_field_by_field() {
    let server = Server::new();
    let body = json!({"targets": ["10.0.0.5/33"], "ports": "70000", "technique": "syn"});
    let answer = server.post("/api/v1/scans", &body).await;
    answer.problem(422);
    let errors = answer.json()["errors"].clone();
    assert_eq!(errors[0]["field"], "targets");
    assert_eq!(errors[1]["field"], "ports");
    let syn = json!({"targets": ["127.0.0.1"], "technique": "syn"});
    let detail = server.post("/api/v1/scans", &syn).await.problem(422);
    assert_eq!(detail, "syn is not possible: no right to send packets");
    let detect = json!({"targets": ["127.0.0.1"], "detect": true});
    server.post("/api/v1/scans", &detect).await.problem(422);
    let unknown = json!({"targets": ["127.0.0.1"], "port": "22"});
    let detail = server.post("/api/v1/scans", &unknown).await.problem(422);
    assert!(detail.contains("unknown field `port`"), "{detail}");
    server
        .post("/api/v1/scans", &json!({"targets": []}))
        .await
        .problem(422);
}

#[tokio::test]
async fn a_preview_counts_without_scanning() {
    let server = Server::new();
    let body = json!({"targets": ["127.0.0.0/30"], "ports": "1-1000"});
    let preview = server.post("/api/v1/scans/preview", &body).await.json();
    assert_eq!(preview["errors"], json!([]));
    assert_eq!(
        (&preview["addresses"], &preview["probes"]),
        (&json!(4), &json!(4000))
    );
    assert_eq!(preview["command"], "portolan 127.0.0.0/30 -p 1-1000 -n");
    let wrong = json!({"targets": ["127.0.0.1"], "ports": "90-80"});
    let preview = server.post("/api/v1/scans/preview", &wrong).await.json();
    assert_eq!(preview["errors"][0]["hint"], "did you mean `80-90`?");
    let none = server.get("/api/v1/scans").await.json();
    assert_eq!(none["total"], 0);
}

#[tokio::test]
async fn the_same_key_scans_once() {
    let server = Server::new();
    let body = json!({"targets": ["127.0.0.1"], "ports": "80"});
    let keyed = |body| {
        request(
            "POST",
            "/api/v1/scans",
            &[("idempotency-key", "k1")],
            Some(body),
        )
    };
    let first = server.send(keyed(&body)).await;
    let second = server.send(keyed(&body)).await;
    assert_eq!(first.json()["id"], second.json()["id"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
    let other = json!({"targets": ["127.0.0.2"]});
    server.send(keyed(&other)).await.problem(422);
    assert_eq!(server.get("/api/v1/scans").await.json()["total"], 1);
}

#[tokio::test]
async fn lists_are_paged_by_cursor_without_gap_or_repetition() {
    let server = Server::new();
    for _ in 0..5 {
        server.scan("127.0.0.1", "80").await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .get(&format!("/api/v1/scans?limit=2{cursor}"))
            .await
            .json();
        assert_eq!(page["total"], 5);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|scan| scan["id"].as_i64().unwrap()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    server
        .get("/api/v1/scans?cursor=nonsense")
        .await
        .problem(400);
    server.get("/api/v1/scans?limit=0").await.problem(400);
    server.get("/api/v1/scans?state=ajar").await.problem(400);
    server
        .get("/api/v1/scans?since=yesterday")
        .await
        .problem(400);
}

#[tokio::test]
async fn scans_wait_for_their_turn_and_know_their_place() {
    let server = Server::with(Settings {
        scans: ScanLimits {
            running: 1,
            queued: 2,
        },
        ..settings()
    });
    let first = server.begin("127.0.0.1", "1-10").await;
    let second = server.begin("127.0.0.2", "1-10").await;
    let third = server.begin("127.0.0.3", "1-10").await;
    let place = |scan: serde_json::Value| scan["queue_place"].clone();
    let show = |id| format!("/api/v1/scans/{id}");
    assert_eq!(place(server.get(&show(second)).await.json()), 1);
    assert_eq!(place(server.get(&show(third)).await.json()), 2);
    let full = server
        .post("/api/v1/scans", &json!({"targets": ["127.0.0.4"]}))
        .await;
    full.problem(429);
    assert!(!full.header("retry-after").is_empty());
    server
        .post(&format!("/api/v1/scans/{second}/cancel"), &json!({}))
        .await;
    assert_eq!(place(server.get(&show(third)).await.json()), 1);
    server.gate.open(u32::MAX);
    server.until(first, |scan| scan["state"] == "done").await;
    server.until(third, |scan| scan["state"] == "done").await;
    assert_eq!(server.get(&show(second)).await.json()["state"], "cancelled");
}

#[tokio::test]
async fn a_paused_scan_goes_on_where_it_was() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-100").await;
    server.gate.open(10);
    server
        .until(id, |scan| scan["progress"]["done"] == 10)
        .await;
    let path = |action| format!("/api/v1/scans/{id}/{action}");
    let paused = server.post(&path("pause"), &json!({})).await.json();
    assert_eq!(paused["state"], "paused");
    server.post(&path("pause"), &json!({})).await.problem(409);
    server.gate.open(u32::MAX);
    let resumed = server.post(&path("resume"), &json!({})).await.json();
    assert_ne!(resumed["state"], "paused");
    let done = server.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(done["counts"]["closed"], 98);
    server.post(&path("resume"), &json!({})).await.problem(409);
}

#[tokio::test]
async fn a_cancelled_scan_keeps_what_it_found_and_can_go_on() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "20-100").await;
    server.gate.open(5);
    server.until(id, |scan| scan["progress"]["done"] == 5).await;
    let path = |action| format!("/api/v1/scans/{id}/{action}");
    let cancelled = server.post(&path("cancel"), &json!({})).await.json();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["can_resume"], true);
    let found = server
        .get(&format!("/api/v1/scans/{id}/results"))
        .await
        .json();
    assert_eq!(found["items"].as_array().unwrap().len(), 5);
    server.post(&path("cancel"), &json!({})).await.problem(409);
    server.gate.open(76);
    server.post(&path("resume"), &json!({})).await;
    // It asks for the 76 that are left, and no more: the gate lets no more through.
    let done = server.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(
        (&done["counts"]["open"], &done["counts"]["closed"]),
        (&json!(2), &json!(79))
    );
}

#[tokio::test]
async fn what_runs_a_scan_is_told_where_the_part_before_stopped_also_the_second_time() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "20-90").await;
    let path = format!("/api/v1/scans/{id}");
    // A part that ends before it comes any further begins where the last one did.
    for (part, (ports, place)) in [(3, 22), (0, 22), (59, 81)].into_iter().enumerate() {
        let runs = |count| server.earlier.lock().unwrap().len() == count;
        server.gate.open(ports);
        let settled = place - 19;
        server
            .until(id, |scan| {
                scan["state"] == "running"
                    && (scan["counts"]["open"].as_u64().unwrap()
                        + scan["counts"]["closed"].as_u64().unwrap())
                        == settled
            })
            .await;
        let cancelled = server.post(&format!("{path}/cancel"), &json!({})).await;
        assert_eq!(cancelled.json()["state"], "cancelled");
        let resumed = server.post(&format!("{path}/resume"), &json!({})).await;
        assert_eq!(resumed.status, 200, "{}", resumed.text());
        server.until(id, |_| runs(part + 2)).await;
        let earlier = server.earlier.lock().unwrap().last().unwrap().clone();
        assert_eq!(earlier.place.position, place);
        let address = "127.0.0.1".parse().unwrap();
        assert_eq!(earlier.settled[&address].tcp().len() as u64, settled);
        // What runs on 22 was said before.
        let unnamed: Vec<_> = earlier
            .unnamed
            .iter()
            .map(|fact| fact.endpoint.port)
            .collect();
        assert_eq!(unnamed, if place < 80 { vec![] } else { vec![80] });
    }
    server.gate.open(u32::MAX);
    let scan = server.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(scan["counts"]["closed"], 69);
}

#[tokio::test]
async fn only_a_scan_that_runs_skips_a_host() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-10").await;
    server.until(id, |scan| scan["state"] == "running").await;
    let path = format!("/api/v1/scans/{id}/skip");
    let skipped = server.post(&path, &json!({})).await;
    assert_eq!(skipped.json()["state"], "running");
    let log = server.get("/api/v1/audit").await.json();
    assert_eq!(log["items"][0]["action"], "skip");
    server.gate.open(u32::MAX);
    server.until(id, |scan| scan["state"] == "done").await;
    let said = server.post(&path, &json!({})).await.problem(409);
    assert_eq!(said, format!("scan {id} is done: it cannot skip a host"));
}

#[tokio::test]
async fn a_scan_that_runs_is_not_deleted_and_one_that_ended_is() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-10").await;
    server.until(id, |scan| scan["state"] == "running").await;
    let path = format!("/api/v1/scans/{id}");
    server.delete(&path).await.problem(409);
    server.gate.open(u32::MAX);
    server.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(server.delete(&path).await.status, 204);
    server.get(&path).await.problem(404);
}

#[tokio::test]
async fn the_end_of_the_server_pauses_a_scan_and_the_next_one_takes_it_up() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-100").await;
    server.gate.open(30);
    server
        .until(id, |scan| scan["progress"]["done"] == 30)
        .await;
    let state = server.state.clone();
    assert!(
        tokio::task::spawn_blocking(move || state.close())
            .await
            .unwrap()
    );
    server
        .post("/api/v1/scans", &json!({"targets": ["127.0.0.1"]}))
        .await
        .problem(503);
    let directory = server.dir.path().to_owned();
    let kept = tempfile::tempdir().unwrap();
    for file in ["history.db", "history.db-wal"] {
        let from = directory.join(file);
        if from.exists() {
            std::fs::copy(from, kept.path().join(file)).unwrap();
        }
    }
    let next = Server::on(kept, settings());
    let scan = next.get(&format!("/api/v1/scans/{id}")).await.json();
    assert_eq!(
        (&scan["state"], &scan["can_resume"]),
        (&json!("paused"), &json!(true))
    );
    next.gate.open(70);
    next.post(&format!("/api/v1/scans/{id}/resume"), &json!({}))
        .await;
    let done = next.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(done["counts"]["closed"], 98);
}

#[tokio::test]
async fn a_scan_that_cannot_start_says_why_and_is_incomplete() {
    let server = Server::new();
    let id = server.scan("nowhere.test", "80").await;
    let scan = server.get(&format!("/api/v1/scans/{id}")).await.json();
    assert_eq!(scan["state"], "incomplete");
    let problems = server
        .get(&format!("/api/v1/scans/{id}/problems"))
        .await
        .json();
    assert_eq!(problems["items"][0]["message"], "no target has an address");
}

#[tokio::test]
async fn nothing_outside_the_scope_is_scanned() {
    let server = Server::scoped(&["127.0.0.0/8", "-127.0.0.66"]);
    let refused = |target| json!({"targets": [target]});
    for target in ["192.0.2.1", "127.0.0.66", "127.0.0.0/24"] {
        let answer = server.post("/api/v1/scans", &refused(target)).await;
        assert!(
            answer.problem(422).contains("outside the scope"),
            "{target}"
        );
    }
    server.scan("127.0.0.1", "80").await;
    let capabilities = server.get("/api/v1/capabilities").await.json();
    assert_eq!(capabilities["scope"], json!(["127.0.0.0/8", "-127.0.0.66"]));
}

#[tokio::test]
async fn the_audit_log_says_who_scanned_what() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "80").await;
    server.delete(&format!("/api/v1/scans/{id}")).await;
    let entries = server.get("/api/v1/audit").await.json();
    let actions: Vec<_> = entries["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].clone())
        .collect();
    assert_eq!(actions, ["delete", "scan"]);
    assert_eq!(entries["items"][1]["subject"], "127.0.0.1");
}

#[tokio::test]
async fn the_course_of_a_scan_is_kept_and_drawn_without_scripts() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "1-500").await;
    let course = server
        .get(&format!("/api/v1/scans/{id}/course"))
        .await
        .json();
    let points = course["items"].as_array().unwrap();
    assert!(!points.is_empty() && points.len() <= 241, "{course}");
    assert_eq!(points.last().unwrap()["share"], 1.0);
    server.get("/api/v1/scans/99/course").await.problem(404);
    let picture = server.get(&format!("/scans/{id}/course")).await.text();
    assert!(picture.contains("100 % done after"), "{picture}");
}

#[tokio::test]
async fn the_course_of_a_scan_that_runs_is_drawn_by_the_page() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-5").await;
    let page = server.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains("<progress-chart data-from="), "{page}");
    server.gate.open(u32::MAX);
    server.until(id, |scan| scan["state"] == "done").await;
}

#[tokio::test]
async fn the_time_to_settle_udp_ports_is_in_the_estimate() {
    let server = Server::new();
    let high = |preview: &serde_json::Value| preview["seconds"]["high"].as_f64().unwrap();
    let mut body = json!({"targets": ["127.0.0.1"], "ports": "53", "technique": "udp"});
    let preview = server.post("/api/v1/scans/preview", &body).await.json();
    assert!((30.0..31.0).contains(&high(&preview)));
    body["udp_budget_ms"] = json!(5000);
    let preview = server.post("/api/v1/scans/preview", &body).await.json();
    assert!((5.0..6.0).contains(&high(&preview)));
    assert!(
        preview["command"]
            .as_str()
            .unwrap()
            .contains("--udp-budget 5000ms")
    );
}
