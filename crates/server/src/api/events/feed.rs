//! A stream of messages: its topics, where its reader is in each, and how they go out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::select_all;
use futures_util::stream;
use portolan_store::{ScanId, Told};
use serde_json::json;
use tokio::sync::watch;

use super::{Begin, Kind, Topic};
use crate::auth::Caller;
use crate::error::Result;
use crate::live::{Heard, Log, Message, Place};
use crate::state::{AppState, StreamPass};

/// Time between comments that keep the way open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After so many milliseconds a browser comes back.
const RETRY_MS: u32 = 2000;

/// How many messages of a topic are taken at once, so that none waits long for another.
const AT_ONCE: usize = 16;

/// One topic of a stream, and where its reader is.
#[derive(Debug)]
struct Follower {
    topic: Topic,
    begin: Option<Begin>,
    log: Option<Arc<Log>>,
    place: Option<Place>,
    changed: Option<watch::Receiver<u64>>,
    /// Whether the reader's place is one that the log does not know: then the history is asked.
    replays: bool,
}

/// What the history has for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replay {
    /// Messages, and perhaps more.
    Some,
    /// Nothing more: the log has the rest.
    All,
    /// It does not know the reader's place, or has dropped what came after it.
    Lost,
}

pub(super) struct Feed {
    state: AppState,
    kind: Kind,
    followers: Vec<Follower>,
    /// Any change of any scan: a scan that goes on has a new log.
    scans: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// What goes out next; what all listeners share is not copied for each.
    ready: VecDeque<Bytes>,
    over: bool,
    _pass: StreamPass,
}

impl Feed {
    pub(super) fn new(
        state: &AppState,
        caller: &Caller,
        topics: Vec<(Topic, Begin)>,
        kind: Kind,
    ) -> Result<Self> {
        let pass = state.stream_pass(caller)?;
        Ok(Self {
            state: state.clone(),
            kind,
            followers: topics
                .into_iter()
                .map(|(topic, begin)| Follower {
                    topic,
                    begin: Some(begin),
                    log: None,
                    place: None,
                    changed: None,
                    replays: false,
                })
                .collect(),
            scans: state.manager().scans().listen(),
            closing: state.closing(),
            ready: VecDeque::new(),
            over: false,
            _pass: pass,
        })
    }

    pub(super) fn respond(self) -> Response {
        let parts = stream::unfold(self, |mut feed| async move {
            let part = feed.next().await?;
            Some((Ok::<_, Infallible>(part), feed))
        });
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            // nginx would hold messages back.
            (
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ),
        ];
        (headers, Body::from_stream(parts)).into_response()
    }

    /// The next bytes to go out; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            if self.over || *self.closing.borrow() {
                return None;
            }
            // Marked as seen before looking, so that what comes meanwhile wakes again.
            self.scans.borrow_and_update();
            for number in 0..self.followers.len() {
                self.take(number).await;
            }
            if self.ready.is_empty() && !self.over {
                let quiet = tokio::time::timeout(KEEP_ALIVE, self.wait()).await.is_err();
                if quiet {
                    self.ready.push_back(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// Takes what is new of one topic.
    async fn take(&mut self, number: usize) {
        let topic = self.followers[number].topic;
        let log = match topic {
            Topic::Scan(id) => self.state.manager().log(id),
            Topic::Scans => None,
        };
        let follower = &mut self.followers[number];
        let is_other = match (&follower.log, &log) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
            (None, Some(_)) => true,
            _ => false,
        };
        if is_other {
            follower.changed = log.as_ref().map(|log| log.listen());
            if follower.begin.is_none() {
                // A scan that goes on: what was said before and is not heard yet comes first.
                follower.replays = follower.place.is_some();
                follower.place = follower.place.or(log.as_ref().map(|log| log.start()));
            }
            follower.log = log;
        }
        if topic == Topic::Scans && follower.changed.is_none() {
            follower.changed = Some(self.state.manager().scans().listen());
        }
        if let Some(changed) = &mut follower.changed {
            changed.borrow_and_update();
        }
        if let Some(begin) = follower.begin.take() {
            self.begin(number, begin).await;
        }
        self.go_on(number).await;
    }

    fn with_log<T>(&self, number: usize, ask: impl FnOnce(&Log) -> T) -> Option<T> {
        let follower = &self.followers[number];
        match follower.topic {
            Topic::Scans => Some(ask(self.state.manager().scans())),
            Topic::Scan(_) => follower.log.as_deref().map(ask),
        }
    }

    async fn begin(&mut self, number: usize, begin: Begin) {
        let head = self.with_log(number, Log::head);
        match begin {
            Begin::Now => {
                self.followers[number].place = head;
                self.meet(number, "hello").await;
            }
            Begin::Start => {
                let kept = self.beginning(number).await;
                self.followers[number].place = kept.or(head);
                self.followers[number].replays = kept.is_some();
                let event = if kept.is_some() { "hello" } else { "reset" };
                self.meet(number, event).await;
            }
            Begin::After(place) => {
                self.followers[number].place = Some(place);
                self.followers[number].replays = head.is_none_or(|head| head.log != place.log);
            }
            Begin::Lost => {
                self.followers[number].place = head;
                self.meet(number, "reset").await;
            }
        }
    }

    /// Before the first message of a scan, where all of them are kept.
    async fn beginning(&self, number: usize) -> Option<Place> {
        let Topic::Scan(id) = self.followers[number].topic else {
            return None;
        };
        let told = self
            .state
            .ask(move |store| {
                store.flush()?;
                store.first_telling(id)
            })
            .await;
        Some(Place {
            log: told.ok()??,
            seq: 0,
        })
    }

    async fn go_on(&mut self, number: usize) {
        let mut has_replayed = false;
        if self.followers[number].replays {
            match self.replay(number).await {
                Replay::Some => return,
                Replay::All => has_replayed = true,
                Replay::Lost => return self.reset(number).await,
            }
        }
        let is_ended = self.with_log(number, Log::is_ended);
        let topic = self.followers[number].topic;
        let place = self.followers[number].place;
        let heard = place.and_then(|place| self.with_log(number, |log| log.after(place, AT_ONCE)));
        match heard {
            Some(Heard::Messages(messages)) if !messages.is_empty() => {
                for message in messages {
                    self.followers[number].place = Some(message.place);
                    self.ready.push_back(message.text);
                    self.close_message();
                }
            }
            Some(Heard::Missed) if topic != Topic::Scans && !has_replayed => {
                // Too slow for the log; the history may have it still.
                self.followers[number].replays = true;
                match self.replay(number).await {
                    Replay::Some => {}
                    Replay::All | Replay::Lost => self.reset(number).await,
                }
            }
            Some(Heard::Missed) => self.reset(number).await,
            _ if self.kind == Kind::One && is_ended.unwrap_or(true) => {
                // Queued again, or running since: a new log comes.
                let is_over = match topic {
                    Topic::Scan(ScanId(id)) => self
                        .state
                        .scan(id)
                        .await
                        .map_or(true, |scan| scan.is_over()),
                    Topic::Scans => false,
                };
                if is_over || is_ended == Some(true) {
                    self.meet(number, "end").await;
                    self.over = true;
                }
            }
            _ => {}
        }
    }

    /// Takes from the history what came after the reader's place.
    async fn replay(&mut self, number: usize) -> Replay {
        let (Topic::Scan(id), Some(place)) =
            (self.followers[number].topic, self.followers[number].place)
        else {
            self.followers[number].replays = false;
            return Replay::Lost;
        };
        let told = self
            .state
            .ask(move |store| {
                // What was said a moment ago is on its way to the file.
                store.flush()?;
                store.told_after(id, place.log, place.seq, AT_ONCE)
            })
            .await;
        match told {
            Ok(Some(messages)) if !messages.is_empty() => {
                for Told {
                    log,
                    seq,
                    event,
                    data,
                } in messages
                {
                    self.followers[number].place = Some(Place { log, seq });
                    self.ready.push_back(Message::written(&event, &data));
                    self.close_message();
                }
                Replay::Some
            }
            Ok(Some(_)) => {
                let follower = &mut self.followers[number];
                follower.replays = false;
                if let Some(start) = follower.log.as_ref().map(|log| log.start())
                    && start.log != place.log
                {
                    follower.place = Some(start);
                }
                Replay::All
            }
            Ok(None) | Err(_) => {
                self.followers[number].replays = false;
                Replay::Lost
            }
        }
    }

    /// Says that something is missed, and goes on with what comes next.
    async fn reset(&mut self, number: usize) {
        self.followers[number].place = self.with_log(number, Log::head);
        self.meet(number, "reset").await;
    }

    /// Says where the reader is: everything before is in the history by then.
    async fn meet(&mut self, number: usize, event: &'static str) {
        let topic = self.followers[number].topic;
        let data = match topic {
            Topic::Scans => json!({"topic": "scans"}),
            Topic::Scan(ScanId(id)) => {
                let manager = self.state.manager().clone();
                let flushed = self
                    .state
                    .off_thread(move || manager.flush(ScanId(id)))
                    .await;
                match self.state.scan(id).await {
                    Ok(scan) if flushed.is_ok() => json!({"topic": topic.name(), "scan": scan}),
                    _ => json!({"topic": topic.name()}),
                }
            }
        };
        self.ready
            .push_back(Message::written(event, &data.to_string()));
        self.ready.push_back(format!("retry: {RETRY_MS}\n").into());
        self.close_message();
    }

    /// The rest of a message: where its reader is after it, in all topics.
    fn close_message(&mut self) {
        let places = self.followers.iter();
        let id: Vec<_> = if self.kind == Kind::One {
            places
                .filter_map(|one| Some(one.place?.to_string()))
                .collect()
        } else {
            places
                .filter_map(|one| Some(format!("{}={}", one.topic.name(), one.place?)))
                .collect()
        };
        self.ready.push_back(if id.is_empty() {
            Bytes::from_static(b"\n")
        } else {
            format!("id: {}\n\n", id.join(",")).into()
        });
    }

    /// Waits until something happens.
    async fn wait(&mut self) {
        type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
        let mut all: Vec<Waiting<'_>> = Vec::new();
        for follower in &mut self.followers {
            // An ended log says nothing more: its topic waits for another.
            let is_ended = follower.log.as_ref().is_some_and(|log| log.is_ended());
            if let Some(changed) = follower.changed.as_mut().filter(|_| !is_ended) {
                all.push(Box::pin(async move {
                    let _ = changed.changed().await;
                }));
            }
        }
        let scans = &mut self.scans;
        all.push(Box::pin(async move {
            let _ = scans.changed().await;
        }));
        let closing = &mut self.closing;
        all.push(Box::pin(async move {
            let _ = closing.changed().await;
        }));
        select_all(all).await;
    }
}
