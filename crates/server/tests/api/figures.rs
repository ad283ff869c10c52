//! The numbers of a scan: they agree with each other, with the results, and with its whole.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Server, settings};

fn number(json: &Value) -> u64 {
    json.as_u64()
        .unwrap_or_else(|| panic!("{json} is no number"))
}

/// Lets a scan of port 1 to 200 begin and waits until 50 of them are settled.
async fn half_way(server: &Server) -> i64 {
    let id = server.begin("127.0.0.1", "1-200").await;
    server.gate.open(50);
    server
        .until(id, |scan| scan["settled"].as_u64() == Some(50))
        .await;
    id
}

#[tokio::test]
async fn what_is_called_settled_is_a_result() {
    let server = Server::with(settings());
    let id = half_way(&server).await;
    let scan = server.get(&format!("/api/v1/scans/{id}")).await.json();
    let results = format!("/api/v1/scans/{id}/results?count=true&limit=1");
    let results = server.get(&results).await.json();
    assert_eq!(results["total"], 50);
    let counts = &scan["counts"];
    let states = ["open", "closed", "filtered", "open_filtered"];
    assert_eq!(
        states
            .map(|state| number(&counts[state]))
            .iter()
            .sum::<u64>(),
        50
    );
    let progress = &scan["progress"];
    for of in [&scan, progress] {
        assert_eq!(
            (number(&of["settled"]), number(&of["done"])),
            (50, 50),
            "{of}"
        );
    }
    assert_eq!(progress["open"], counts["open"]);
    let page = server.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains(">50 of 200<") && page.contains("Silent so far"));
    server.gate.open(u32::MAX);
}

#[tokio::test]
async fn time_and_probes_of_a_scan_that_went_on_are_those_of_all_its_parts() {
    let server = Server::with(settings());
    let id = half_way(&server).await;
    let server = server.restart().await;
    let scan = server.get(&format!("/api/v1/scans/{id}")).await.json();
    assert_eq!(
        (&scan["sent"], &scan["elapsed_ms"]),
        (&json!(50), &json!(2500.0))
    );
    server
        .post(&format!("/api/v1/scans/{id}/resume"), &json!({}))
        .await;
    server.gate.open(50);
    let running = server
        .until(id, |scan| scan["settled"].as_u64() == Some(100))
        .await;
    assert_eq!(running["progress"]["sent"], 100);
    assert_eq!(running["progress"]["elapsed_ms"], 5000.0);
    server.gate.open(u32::MAX);
    let done = server.until(id, |scan| scan["state"] == "done").await;
    assert_eq!(
        (&done["sent"], &done["elapsed_ms"]),
        (&json!(200), &json!(10_000.0))
    );
    let page = server.get(&format!("/scans/{id}")).await.text();
    for figure in [
        "<dd data-figure=\"sent\">200</dd>",
        "<dd data-figure=\"elapsed\">10 s</dd>",
    ] {
        assert!(page.contains(figure), "{figure} is not in {page}");
    }
    let lines = server
        .get(&format!("/api/v1/scans/{id}/export?format=jsonl"))
        .await
        .text();
    let end = lines
        .lines()
        .find(|line| line.contains("scan.done"))
        .unwrap();
    assert!(end.contains("200"), "{end}");
    let xml = server
        .get(&format!("/api/v1/scans/{id}/export?format=xml"))
        .await
        .text();
    assert!(xml.contains("elapsed=\"10.00\""), "{xml}");
}

#[tokio::test]
async fn pages_by_time_repeat_and_miss_nothing_while_the_scan_runs() {
    for order in ["asc", "desc"] {
        let server = Server::with(settings());
        let id = half_way(&server).await;
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("/api/v1/scans/{id}/results?sort=time&order={order}&limit=7{next}");
            let page = server.get(&path).await.json();
            let rows = page["items"].as_array().unwrap();
            seen.extend(rows.iter().map(|row| number(&row["port"])));
            let Some(cursor) = page["next"].as_str() else {
                break;
            };
            next = format!("&cursor={cursor}");
            // More is found between two pages.
            let settled = server.get(&format!("/api/v1/scans/{id}")).await.json();
            let settled = number(&settled["settled"]);
            if settled < 150 {
                server.gate.open(5);
                server
                    .until(id, |scan| number(&scan["settled"]) > settled)
                    .await;
            }
        }
        let once: BTreeSet<u64> = seen.iter().copied().collect();
        assert_eq!(once.len(), seen.len(), "{order}: {seen:?}");
        assert!(
            (1..=50).all(|port| once.contains(&port)),
            "{order}: {seen:?}"
        );
        server.gate.open(u32::MAX);
    }
}

#[tokio::test]
async fn an_empty_table_says_whether_it_will_stay_so() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "100-139").await;
    let page = server.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains("<h2>No open port yet</h2>"), "{page}");
    server.gate.open(20);
    server
        .until(id, |scan| scan["settled"].as_u64() == Some(20))
        .await;
    let page = server.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains("<h2>No open port yet</h2>"), "{page}");
    assert!(
        page.contains("20 ports settled so far: 20 closed."),
        "{page}"
    );
    server.gate.open(u32::MAX);
    server.until(id, |scan| scan["state"] == "done").await;
    let page = server.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains("<h2>No open port</h2>"), "{page}");
    assert!(page.contains("Looked at 40 ports: 40 closed."), "{page}");
    let page = server.get(&format!("/scans/{id}?q=port:7")).await.text();
    assert!(page.contains("<h2>Nothing matches port:7</h2>"), "{page}");
}

#[tokio::test]
async fn a_scan_of_a_moment_has_words_in_place_of_a_picture() {
    let server = Server::new();
    // One port takes the script 50 ms.
    let id = server.scan("127.0.0.1", "22").await;
    for path in [format!("/scans/{id}"), format!("/scans/{id}/course")] {
        let page = server.get(&path).await.text();
        assert!(
            page.contains("It took 50 ms: too short for a line."),
            "{page}"
        );
        assert!(!page.contains("<polyline"), "{path}");
    }
}

#[tokio::test]
async fn of_a_scan_that_was_cut_off_the_probes_are_the_least_that_were_sent() {
    let server = Server::with(settings());
    let id = half_way(&server).await;
    // As if it had been killed: nothing is told any more.
    let dir = tempfile::tempdir().unwrap();
    server.state.store().flush().unwrap();
    for file in std::fs::read_dir(server.dir.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("history.db") {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    let after = Server::on(dir, settings());
    let scan = after.get(&format!("/api/v1/scans/{id}")).await.json();
    assert_eq!(
        (&scan["state"], &scan["sent"], &scan["sent_at_least"]),
        (&json!("interrupted"), &json!(50), &json!(true))
    );
    let page = after.get(&format!("/scans/{id}")).await.text();
    assert!(page.contains(">at least 50<"), "{page}");
    server.gate.open(u32::MAX);
}

#[tokio::test]
async fn the_phase_of_a_scan_is_told_by_the_api_and_on_its_page() {
    let server = Server::with(settings());
    let store = server.state.store();
    let spec = portolan_model::ScanSpec::new(
        vec!["127.0.0.1".parse().unwrap()],
        portolan_model::PortSpec::common(),
    );
    let new = portolan_store::NewScan::new(spec, jiff::Timestamp::now());
    let writer = store.begin(new).unwrap();
    let progress = |phase| {
        portolan_model::ScanEvent::Progress(portolan_model::event::Progress {
            done: 1000,
            total: 1000,
            phase,
            ..Default::default()
        })
    };
    let id = writer.id();
    let page = format!("/scans/{id}");
    let naming = portolan_model::Phase::Naming { named: 12, of: 40 };
    writer.send(vec![progress(naming)]).unwrap();
    writer.flush().unwrap();
    let scan = server.get(&format!("/api/v1/scans/{id}")).await.json();
    assert_eq!(
        scan["phase"],
        json!({"name": "naming", "words": "naming services, 12 of 40", "named": 12, "of": 40})
    );
    let shown = server.get(&page).await.text();
    assert!(shown.contains("naming services, 12 of 40"), "{shown}");
    assert!(
        shown.contains("99 %") && !shown.contains("100 %"),
        "{shown}"
    );
    writer.cancel(jiff::Timestamp::now()).unwrap();
    let shown = server.get(&page).await.text();
    let said = "Cancelled while naming services, 12 of 40: every port was asked.";
    assert!(shown.contains(said), "{shown}");
}
