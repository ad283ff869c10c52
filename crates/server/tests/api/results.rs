//! What was found: filtered, sorted, paged, exported, compared.

use serde_json::{Value, json};

use crate::common::{Server, request, settings};

fn ports(list: &Value) -> Vec<u64> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["port"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn results_are_filtered_by_the_query_and_by_fields() {
    let server = Server::new();
    let id = server.scan("127.0.0.0/31", "20-25,80").await;
    let results = |rest: &str| format!("/api/v1/scans/{id}/results?{rest}");
    let open = server.get(&results("state=open&count=true")).await.json();
    assert_eq!(ports(&open), [22, 80, 22, 80]);
    assert_eq!(open["total"], 4);
    let one = server
        .get(&results("q=state:open%20-host:127.0.0.1%20port:80"))
        .await
        .json();
    assert_eq!(ports(&one), [80]);
    assert_eq!(one["items"][0]["host"], "127.0.0.0");
    let product = server.get(&results("product=%3Cscript%3E")).await.json();
    assert_eq!(ports(&product), [22, 22]);
    let wrong = server.get(&results("q=port:22%20prot:80")).await;
    wrong.problem(400);
    assert_eq!(wrong.json()["errors"][0]["field"], "q");
    assert!(wrong.json()["errors"][0]["offset"].is_u64());
    server.get(&results("sort=colour")).await.problem(400);
    server.get(&results("order=sideways")).await.problem(400);
    server.get("/api/v1/scans/99/results").await.problem(404);
}

#[tokio::test]
async fn results_are_sorted_and_paged_in_any_order() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "1-300").await;
    for sort in [
        "host", "port", "state", "service", "time", "rtt", "reason", "product",
    ] {
        for order in ["asc", "desc"] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!(
                    "/api/v1/scans/{id}/results?sort={sort}&order={order}&limit=70{cursor}"
                );
                let page = server.get(&path).await.json();
                seen.extend(ports(&page));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen.len(), 300, "{sort} {order}");
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 300, "{sort} {order}");
        }
    }
}

#[tokio::test]
async fn paging_while_results_still_come_in_repeats_none_and_leaves_none_out() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-100").await;
    for sort in ["", "&sort=port&order=desc", "&sort=state"] {
        let found = |scan: &Value| {
            scan["counts"]["open"].as_u64().unwrap() + scan["counts"]["closed"].as_u64().unwrap()
        };
        let before = found(&server.get(&format!("/api/v1/scans/{id}")).await.json());
        server.gate.open(20);
        server.until(id, |scan| found(scan) == before + 20).await;
        let path = format!("/api/v1/scans/{id}/results?limit=7{sort}");
        let mut ports = Vec::new();
        let mut next = String::new();
        loop {
            let page = server.get(&format!("{path}{next}")).await.json();
            let items = page["items"].as_array().unwrap();
            ports.extend(items.iter().map(|item| item["port"].as_u64().unwrap()));
            // Between two pages more is found.
            if ports.len() == 7 {
                server.gate.open(10);
                server.until(id, |scan| found(scan) == before + 30).await;
            }
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), all, "a port came twice: {sort}");
        for port in 1..=before + 20 {
            assert!(ports.contains(&port), "{port} is left out: {sort}");
        }
    }
    server.gate.open(u32::MAX);
}

#[tokio::test]
async fn all_ports_of_a_host_are_one_byte_each() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "22,23").await;
    let path = format!("/api/v1/scans/{id}/hosts/127.0.0.1/ports.bin");
    let answer = server.get(&path).await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.body.len(), 65_536);
    // Open by an answer; closed by a refusal, which is the third reason; unknown.
    assert_eq!(
        (answer.body[22], answer.body[23], answer.body[24]),
        (1, 1 + 16 + 2, 0)
    );
    server
        .get(&format!("/api/v1/scans/{id}/hosts/127.0.0.9/ports.bin"))
        .await
        .problem(404);
    server
        .get(&format!("/api/v1/scans/{id}/hosts/nobody/ports.bin"))
        .await
        .problem(404);
}

#[tokio::test]
async fn every_format_is_exported_and_only_what_fits_the_filter() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "20-25,80").await;
    for format in [
        "jsonl", "xml", "grepable", "normal", "csv", "markdown", "html",
    ] {
        let path = format!("/api/v1/scans/{id}/export?format={format}");
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 200, "{format}");
        let disposition = answer.header("content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\"portolan-"),
            "{disposition}"
        );
        // In what a browser or an XML reader takes for markup, it is none.
        if ["xml", "html", "markdown"].contains(&format) {
            assert!(!answer.text().contains("<script>alert"), "{format}");
        }
    }
    let xml = server
        .get(&format!("/api/v1/scans/{id}/export?format=xml&q=port:80"))
        .await;
    let read = portolan_report::read(&mut xml.body.as_slice()).unwrap();
    let host = read.hosts.values().next().unwrap();
    assert_eq!(host.ports.len(), 1);
    assert!(host.rest.is_empty());
    server
        .get(&format!("/api/v1/scans/{id}/export?format=pdf"))
        .await
        .problem(400);
    server
        .get(&format!("/api/v1/scans/{id}/export?q=port:x"))
        .await
        .problem(400);
}

#[tokio::test]
async fn two_scans_are_compared() {
    let server = Server::new();
    let before = server.scan("127.0.0.1", "22,23").await;
    let after = server.scan("127.0.0.0/31", "22,23").await;
    let path = format!("/api/v1/diff?from={before}&to={after}");
    let diff = server.get(&path).await.json();
    assert_eq!(diff["come"], json!([]));
    assert_eq!(diff["hosts_not_compared"], 1);
    assert_eq!(diff["ports_not_compared"], 1);
    // The same words in the API, on the page and in the shell.
    let words = "hosts that only the new scan was to ask: 1, with 1 open port";
    assert_eq!(diff["not_compared"], json!([words]));
    let text = server.get(&format!("{path}&format=text")).await.text();
    assert_eq!(
        text,
        format!("no changes in what can be compared\nnot compared: {words}\n")
    );
    let page = server
        .get(&format!("/compare?from={before}&to={after}"))
        .await
        .text();
    assert!(page.contains(words) && page.contains("Not compared: 1 host, 1 open port"));
    assert!(!page.contains("New hosts"));
    server.get(&format!("{path}&format=pdf")).await.problem(400);
    server.get("/api/v1/diff?from=1").await.problem(400);
    server.get("/api/v1/diff?from=1&to=99").await.problem(404);
}

#[tokio::test]
async fn hosts_are_known_over_all_scans() {
    let server = Server::new();
    let first = server.scan("127.0.0.1", "22,23").await;
    let second = server.scan("127.0.0.1", "22,23").await;
    let hosts = server
        .get("/api/v1/hosts?within=127.0.0.0/8&open=true")
        .await
        .json();
    assert_eq!(hosts["items"][0]["host"], "127.0.0.1");
    assert_eq!(hosts["items"][0]["last_scan"], second);
    let host = server.get("/api/v1/hosts/127.0.0.1").await.json();
    assert_eq!(host["ports"][0]["port"], 22);
    assert_eq!(host["ports"][0]["first"]["scan"], first);
    assert_eq!(host["scans"].as_array().unwrap().len(), 2);
    let history = server
        .get("/api/v1/hosts/127.0.0.1/ports/tcp/22")
        .await
        .json();
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
    let timeline = server.get("/api/v1/hosts/127.0.0.1/timeline").await.json();
    assert_eq!(timeline["items"][0]["kind"], "opened");
    assert_eq!(
        server.get("/api/v1/changes").await.json()["items"],
        timeline["items"]
    );
    let changes = server
        .get(&format!("/api/v1/scans/{second}/changes"))
        .await
        .json();
    assert_eq!(changes["items"], json!([]));
    let found = server
        .get(&format!("/api/v1/scans/{second}/hosts"))
        .await
        .json();
    assert_eq!(found["items"][0]["counts"]["open"], 1);
    server.get("/api/v1/hosts/127.0.0.9").await.problem(404);
    server
        .get("/api/v1/hosts?within=nonsense/99")
        .await
        .problem(400);
}

#[tokio::test]
async fn ports_that_were_not_open_before_are_marked_and_can_be_asked_for() {
    let server = Server::new();
    // Nobody was there: port 80 was asked and was not open; port 22 was not asked.
    let ports: portolan_model::PortSpec = "79-80".parse().unwrap();
    let spec = portolan_model::ScanSpec::new(vec!["127.0.0.1".parse().unwrap()], ports.clone());
    let now = jiff::Timestamp::now();
    let store = server.state.store();
    let writer = store
        .begin(portolan_store::NewScan::new(spec, now))
        .unwrap();
    let started = portolan_model::event::Started {
        at: now,
        techniques: vec![portolan_model::Technique::Connect],
        ports,
        addresses: 1,
        probes: 2,
        seed: 0,
        zones: portolan_model::Zones::NONE,
    };
    let finished = portolan_model::event::Finished {
        at: now,
        outcome: portolan_model::event::Outcome::Complete,
        elapsed: std::time::Duration::ZERO,
        hosts_up: 0,
        hosts_down: 1,
        sent: 2,
        loss: None,
        expected_missed: 0.0,
    };
    writer
        .send(vec![
            portolan_model::ScanEvent::Started(started),
            portolan_model::ScanEvent::Finished(finished),
        ])
        .unwrap();
    writer.flush().unwrap();
    let first = writer.id();
    let page = server.get(&format!("/scans/{first}")).await.text();
    assert!(!page.contains("data-field=\"new\""));
    let second = server.scan("127.0.0.1", "1-100").await;
    let found = server
        .get(&format!("/api/v1/scans/{second}/results?q=new:true"))
        .await
        .json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["port"], 80);
    assert_eq!(found["items"][0]["new"], true);
    let known = server
        .get(&format!("/api/v1/scans/{second}/results?q=port:22"))
        .await
        .json();
    assert!(known["items"][0].get("new").is_none());
    let again = server.scan("127.0.0.1", "1-100").await;
    let page = server.get(&format!("/scans/{again}")).await.text();
    assert!(page.contains("data-field=\"new\""));
    let wrong = server
        .get(&format!("/api/v1/scans/{again}/results?q=seen:soon"))
        .await;
    assert!(wrong.problem(400).contains("no day"));
}

#[tokio::test]
async fn hosts_and_scans_are_tagged_and_found_by_their_tags() {
    let server = Server::new();
    let id = server.scan("127.0.0.0/31", "22,80").await;
    let other = server.scan("127.0.0.5", "22").await;
    let put = server
        .send(request(
            "PUT",
            "/api/v1/hosts/127.0.0.1/tags/Prod",
            &[],
            None,
        ))
        .await;
    assert_eq!(put.status, 204);
    let put = server
        .send(request(
            "PUT",
            &format!("/api/v1/scans/{other}/tags/lab"),
            &[],
            None,
        ))
        .await;
    assert_eq!(put.status, 204);
    let results = |scan: i64, rest: &str| format!("/api/v1/scans/{scan}/results?{rest}");
    let found = server.get(&results(id, "q=tag:prod")).await.json();
    assert_eq!(ports(&found), [22, 80]);
    let found = server
        .get(&results(id, "tag=lab,prod&port=22"))
        .await
        .json();
    assert_eq!(ports(&found), [22]);
    let found = server.get(&results(other, "q=tag:lab")).await.json();
    assert_eq!(ports(&found), [22]);
    let exported = format!("/api/v1/scans/{id}/export?format=csv&q=-tag:prod");
    let exported = server.get(&exported).await.text();
    assert!(
        exported.contains("127.0.0.0") && !exported.contains("127.0.0.1"),
        "{exported}"
    );
    let hosts = server.get("/api/v1/hosts?tag=prod").await.json();
    assert_eq!(hosts["items"][0]["tags"], json!(["prod"]));
    assert_eq!(hosts["items"].as_array().unwrap().len(), 1);
    let scans = server.get("/api/v1/scans?q=tag:lab").await.json();
    assert_eq!(scans["total"], 1);
    let tags = server.get("/api/v1/tags").await.json();
    assert_eq!(
        tags["items"],
        json!([{"tag": "lab", "hosts": 0, "scans": 1}, {"tag": "prod", "hosts": 1, "scans": 0}])
    );
    for (path, status) in [
        ("/api/v1/hosts/127.0.0.9/tags/prod", 404),
        ("/api/v1/scans/99/tags/prod", 404),
        ("/api/v1/hosts/127.0.0.1/tags/a,b", 422),
    ] {
        server
            .send(request("PUT", path, &[], None))
            .await
            .problem(status);
    }
    let taken = server
        .send(request(
            "DELETE",
            "/api/v1/hosts/127.0.0.1/tags/prod",
            &[],
            None,
        ))
        .await;
    assert_eq!(taken.status, 204);
    let found = server.get(&results(id, "q=tag:prod")).await.json();
    assert_eq!(ports(&found), [0; 0]);
}

#[tokio::test]
async fn what_changed_lately_is_found_and_an_error_says_what_is_understood() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "22,23").await;
    let results = |rest: &str| format!("/api/v1/scans/{id}/results?{rest}");
    let found = server.get(&results("q=changed%3E2000-01-01")).await.json();
    assert_eq!(ports(&found), [22]);
    let found = server.get(&results("changed=%3C2000-01-01")).await.json();
    assert_eq!(ports(&found), [0; 0]);
    let found = server.get(&results("q=port%3C23")).await.json();
    assert_eq!(ports(&found), [22]);
    let wrong = server.get(&results("q=state:open%20colour:red")).await;
    wrong.problem(400);
    let error = wrong.json()["errors"][0].clone();
    assert_eq!(error["offset"], 11);
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("new, changed, tls.expires, tag"), "{hint}");
}

#[tokio::test]
async fn a_parameter_that_an_address_does_not_take_is_named() {
    let server = Server::new();
    let answer = server.get("/api/v1/scans?stat=done&limit=5").await;
    assert_eq!(answer.problem(400), "unknown parameter `stat`");
    let error = &answer.json()["errors"][0];
    assert_eq!(
        (&error["field"], &error["hint"]),
        (&json!("stat"), &json!("did you mean `state`?"))
    );
    let path = "/api/v1/scans/1/results?q=&new=true&new=false&fields=host";
    let answer = server.get(path).await;
    assert_eq!(answer.problem(400), "unknown parameters `new`, `fields`");
    // Also where none is taken, and by any method; not where those who watch ask in their ways.
    let answer = server.get("/api/v1/capabilities?x=1").await;
    answer.problem(400);
    assert_eq!(answer.json()["hint"], "this address takes no parameters");
    let body = json!({"targets": ["127.0.0.1"]});
    let answer = server.post("/api/v1/scans?wiat=true", &body).await;
    answer.problem(400);
    assert_eq!(answer.json()["hint"], "did you mean `wait`?");
    let none = server.get("/api/v1/scans").await.json();
    assert_eq!(none["items"], json!([]), "nothing was started");
    assert_eq!(server.get("/healthz?from=balancer").await.status, 200);
}
