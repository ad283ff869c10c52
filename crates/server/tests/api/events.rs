//! Events as they come: none lost, none twice, whoever was away.

use std::collections::BTreeMap;

use axum::body::Body;
use http_body_util::BodyExt as _;
use portolan_model::PortSpec;
use portolan_server::{Limits, Settings};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::common::{Server, request, settings};

/// One message of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
struct Message {
    event: String,
    id: String,
    data: String,
}

impl Message {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A stream that is open.
struct Stream {
    body: Body,
    buffer: String,
}

impl Stream {
    async fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| ("last-event-id", last));
        let headers: Vec<_> = last.into_iter().collect();
        let request = request("GET", path, &headers, None);
        let response = server.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self {
            body: response.into_body(),
            buffer: String::new(),
        }
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let mut message = Message::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => value.clone_into(&mut message.event),
                        Some(("id", value)) => value.clone_into(&mut message.id),
                        Some(("data", value)) => message.data.push_str(value),
                        _ => {}
                    }
                }
                self.buffer = String::from(rest);
                if !message.event.is_empty() {
                    return Some(message);
                }
                continue;
            }
            let frame = self.body.frame().await?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

/// How often each port was told.
fn told(messages: &[Message]) -> BTreeMap<u16, usize> {
    let mut told = BTreeMap::new();
    for message in messages.iter().filter(|message| message.event == "update") {
        let update = message.json();
        for port in update["ports"].as_array().into_iter().flatten() {
            let port = u16::try_from(port["port"].as_u64().unwrap()).unwrap();
            *told.entry(port).or_default() += 1;
        }
        for rest in update["rest"].as_array().into_iter().flatten() {
            let ports: PortSpec = rest["ports"].as_str().unwrap().parse().unwrap();
            for port in ports.tcp().iter() {
                *told.entry(port).or_default() += 1;
            }
        }
    }
    told
}

#[tokio::test]
async fn a_scan_is_told_from_its_beginning_to_its_end() {
    let server = Server::new();
    let id = server.begin("127.0.0.1", "1-500").await;
    let mut stream = Stream::open(&server, &format!("/api/v1/scans/{id}/events"), None).await;
    let messages = stream.rest().await;
    assert_eq!(messages.first().unwrap().event, "hello");
    assert_eq!(messages.last().unwrap().event, "end");
    assert_eq!(messages.last().unwrap().json()["scan"]["state"], "done");
    let told = told(&messages);
    assert_eq!(told.len(), 500);
    assert!(told.values().all(|&times| times == 1));
    let services = messages.iter().filter(|message| message.event == "update");
    assert!(
        services
            .into_iter()
            .any(|message| message.json()["services"][0]["port"] == 22)
    );
}

#[tokio::test]
async fn who_was_cut_off_goes_on_without_loss_or_repetition() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-200").await;
    let path = format!("/api/v1/scans/{id}/events");
    let mut heard: Vec<Message> = Vec::new();
    let mut last: Option<String> = None;
    for round in 0..20 {
        server.gate.open(10);
        if round % 2 == 0 {
            server
                .until(id, |scan| {
                    scan["progress"]["done"].as_u64() >= Some(10 * (round + 1))
                })
                .await;
        }
        let mut stream = Stream::open(&server, &path, last.as_deref()).await;
        // A few messages, then the line breaks.
        for _ in 0..2 {
            let message = stream.next().await.unwrap();
            last = Some(message.id.clone());
            heard.push(message);
            if told(&heard).len() >= 10 * (usize::try_from(round).unwrap() + 1) {
                break;
            }
        }
    }
    server.gate.open(u32::MAX);
    let mut stream = Stream::open(&server, &path, last.as_deref()).await;
    heard.extend(stream.rest().await);
    assert!(heard.iter().all(|message| message.event != "reset"));
    let told = told(&heard);
    assert_eq!(told.len(), 200);
    assert!(told.values().all(|&times| times == 1), "{told:?}");
}

#[tokio::test]
async fn who_comes_back_when_the_log_is_gone_hears_the_rest_from_the_history() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-200").await;
    let path = format!("/api/v1/scans/{id}/events");
    let mut stream = Stream::open(&server, &path, None).await;
    server.gate.open(20);
    let mut heard = vec![stream.next().await.unwrap()];
    while told(&heard).len() < 20 {
        heard.push(stream.next().await.unwrap());
    }
    let last = heard.last().unwrap().id.clone();
    drop(stream);
    server.gate.open(u32::MAX);
    server.until(id, |scan| scan["state"] == "done").await;
    for _ in 0..5 {
        server.scan("127.0.0.2", "1-5").await;
    }
    let mut stream = Stream::open(&server, &path, Some(&last)).await;
    heard.extend(stream.rest().await);
    assert!(heard.iter().all(|message| message.event != "reset"));
    assert_eq!(heard.last().unwrap().event, "end");
    let told_all = told(&heard);
    assert_eq!(told_all.len(), 200);
    assert!(told_all.values().all(|&times| times == 1), "{told_all:?}");

    // And whoever comes late hears it from its beginning.
    let all = Stream::open(&server, &path, None).await.rest().await;
    assert_eq!(all.first().unwrap().event, "hello");
    assert_eq!(told(&all).len(), 200);
}

#[tokio::test]
async fn who_comes_back_after_a_new_start_goes_on_without_loss_or_repetition() {
    let server = Server::with(settings());
    let id = server.begin("127.0.0.1", "1-200").await;
    let path = format!("/api/v1/scans/{id}/events");
    let mut stream = Stream::open(&server, &path, None).await;
    server.gate.open(30);
    let mut heard = vec![stream.next().await.unwrap()];
    while told(&heard).len() < 30 {
        heard.push(stream.next().await.unwrap());
    }
    let last = heard.last().unwrap().id.clone();
    drop(stream);
    // More is found while nobody listens; then the server ends.
    server.gate.open(40);
    server
        .until(id, |scan| scan["progress"]["done"].as_u64() >= Some(70))
        .await;
    let server = server.restart().await;
    let topics = format!("/api/v1/events?topics=scan:{id}");
    let place = format!("scan:{id}={last}");
    let mut stream = Stream::open(&server, &topics, Some(&place)).await;
    server.gate.open(u32::MAX);
    let resumed = server
        .post(
            &format!("/api/v1/scans/{id}/resume"),
            &serde_json::json!({}),
        )
        .await;
    assert_eq!(resumed.status, 200, "{}", resumed.text());
    while heard.last().is_none_or(|message| {
        message.event != "update" || message.json()["scan"]["state"] != "done"
    }) {
        heard.push(stream.next().await.unwrap());
    }
    assert!(heard.iter().all(|message| message.event != "reset"));
    let told = told(&heard);
    assert_eq!(told.len(), 200);
    assert!(told.values().all(|&times| times == 1), "{told:?}");
}

#[tokio::test]
async fn a_place_that_is_not_known_leads_to_the_results() {
    let server = Server::new();
    let id = server.scan("127.0.0.1", "1-10").await;
    for last in ["00000000-3", "nonsense"] {
        let path = format!("/api/v1/scans/{id}/events");
        let messages = Stream::open(&server, &path, Some(last)).await.rest().await;
        let events: Vec<_> = messages
            .iter()
            .map(|message| message.event.as_str())
            .collect();
        assert_eq!(events, ["reset", "end"], "{last}");
    }
}

#[tokio::test]
async fn one_stream_carries_many_topics_and_goes_on_with_all() {
    let server = Server::with(settings());
    let first = server.begin("127.0.0.1", "1-10").await;
    let second = server.begin("127.0.0.2", "1-10").await;
    let path = format!("/api/v1/events?topics=scans,scan:{first},scan:{second}");
    let mut stream = Stream::open(&server, &path, None).await;
    let mut hellos = Vec::new();
    let mut last = String::new();
    while hellos.len() < 3 {
        let message = stream.next().await.unwrap();
        last.clone_from(&message.id);
        if message.event == "hello" {
            hellos.push(message.json()["topic"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        hellos,
        [
            "scans".to_owned(),
            format!("scan:{first}"),
            format!("scan:{second}")
        ]
    );
    drop(stream);
    server.gate.open(u32::MAX);
    server.until(first, |scan| scan["state"] == "done").await;
    server.until(second, |scan| scan["state"] == "done").await;
    let mut stream = Stream::open(&server, &path, Some(&last)).await;
    let mut heard = Vec::new();
    let mut done = 0;
    while done < 2 {
        let message = stream.next().await.unwrap();
        if message.event == "update" && message.json()["scan"]["state"] == "done" {
            done += 1;
        }
        heard.push(message);
    }
    assert!(heard.iter().all(|message| message.event != "reset"));
    let told = told(&heard);
    assert_eq!(told.len(), 10);
    // Once for each of the two hosts.
    assert!(told.values().all(|&times| times == 2), "{told:?}");
}

#[tokio::test]
async fn a_topic_that_there_is_not_is_refused() {
    let server = Server::new();
    server
        .get("/api/v1/events?topics=weather")
        .await
        .problem(400);
    server.get("/api/v1/events").await.problem(400);
    server.get("/api/v1/scans/7/events").await.problem(404);
}

#[tokio::test]
async fn idle_streams_are_bounded_and_their_places_come_back() {
    let server = Server::with(Settings {
        limits: Limits {
            streams: 20,
            streams_each: 10,
            ..Limits::default()
        },
        ..settings()
    });
    let path = "/api/v1/events?topics=scans";
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(&server, path, None).await);
    }
    for _ in 0..1000 {
        server.get(path).await.problem(429);
    }
    // All else still answers.
    assert_eq!(server.get("/healthz").await.status, 200);
    streams.pop();
    Stream::open(&server, path, None)
        .await
        .next()
        .await
        .unwrap();
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let server = Server::new();
    let mut stream = Stream::open(&server, "/api/v1/events?topics=scans", None).await;
    stream.next().await.unwrap();
    let state = server.state.clone();
    tokio::task::spawn_blocking(move || state.close())
        .await
        .unwrap();
    assert_eq!(stream.next().await, None);
}
