//! What happens, as it happens: server-sent events (WHATWG HTML, 9.2).
//!
//! Each message's id says where its reader is. Who comes back with it (`Last-Event-ID`) goes on
//! there: nothing is lost and nothing comes twice. Who was away for too long is told to read
//! the results again (`reset`).

#![expect(unused_qualifications, reason = "the macro of paths writes them")]

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::select_all;
use futures_util::stream;
use portolan_store::ScanId;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::extract::{Path, Query};
use crate::auth::Caller;
use crate::error::{Problem, Result};
use crate::live::{Heard, Log, Place};
use crate::state::{AppState, StreamPass};

/// Time between comments that keep the way open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After so long a browser comes back.
const RETRY: Duration = Duration::from_secs(2);

/// How many topics one stream may have.
const MOST_TOPICS: usize = 50;

/// How many messages of a topic are taken at once, so that none waits long for another.
const AT_ONCE: usize = 16;

/// Where to go on, for who cannot set a header.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResumeQuery {
    /// The id of the last message; the header `Last-Event-ID` counts before it.
    last_event_id: Option<String>,
}

/// Which topics.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopicsQuery {
    /// `scans` for all scans in short, `scan:7` for all of one; with commas.
    #[param(required = true)]
    topics: Option<String>,
    /// The id of the last message; the header `Last-Event-ID` counts before it.
    last_event_id: Option<String>,
}

/// Follow a scan
///
/// From its beginning while that is still kept; else a `reset` says to read the results.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/events", tag = "events",
    params(("id" = i64, Path, description = "The scan's number"), ResumeQuery,
           ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses(
        (status = 200, description = "`hello`, `update`, `reset`, and `end` when it is over", body = String, content_type = "text/event-stream"),
        (status = "default", description = "What is wrong", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn of_scan(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Query(query): Query<ResumeQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    state.scan(id).await?;
    let last = last_heard(&headers, query.last_event_id);
    let topic = Topic::Scan(ScanId(id));
    let place = last.as_deref().and_then(|text| text.parse().ok());
    let begin = match (place, &last) {
        (Some(place), _) => Begin::After(place),
        (None, Some(_)) => Begin::Lost,
        (None, None) => Begin::Start,
    };
    let feed = Feed::new(&state, &caller, vec![(topic, begin)], Kind::One)?;
    Ok(feed.respond())
}

/// Follow several topics by one stream
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(TopicsQuery, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses(
        (status = 200, description = "`hello`, `update`, `scan`, `deleted` and `reset`", body = String, content_type = "text/event-stream"),
        (status = "default", description = "What is wrong", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn of_topics(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<TopicsQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let mut topics = Vec::new();
    let words = query.topics.unwrap_or_default();
    for word in words
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let topic = Topic::parse(word).ok_or_else(|| {
            Problem::bad_request(format!(
                "unknown topic `{word}`: there are `scans` and `scan:N`"
            ))
        })?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    if topics.is_empty() || topics.len() > MOST_TOPICS {
        return Err(Problem::bad_request(format!(
            "{} topics: expected 1 to {MOST_TOPICS}",
            topics.len()
        )));
    }
    let last = last_heard(&headers, query.last_event_id).unwrap_or_default();
    let places: HashMap<&str, &str> = last
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .collect();
    let topics = topics
        .into_iter()
        .map(|topic| {
            let begin = match places.get(topic.name().as_str()) {
                None => Begin::Now,
                Some(place) => place.parse().map_or(Begin::Lost, Begin::After),
            };
            (topic, begin)
        })
        .collect();
    let feed = Feed::new(&state, &caller, topics, Kind::Many)?;
    Ok(feed.respond())
}

fn last_heard(headers: &HeaderMap, query: Option<String>) -> Option<String> {
    let header = headers.get("last-event-id");
    let header = header.and_then(|id| id.to_str().ok().map(str::to_owned));
    header.or(query).filter(|id| !id.is_empty())
}

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Topic {
    Scans,
    Scan(ScanId),
}

impl Topic {
    fn parse(word: &str) -> Option<Self> {
        if word == "scans" {
            return Some(Self::Scans);
        }
        word.strip_prefix("scan:")?.parse().ok().map(Self::Scan)
    }

    fn name(self) -> String {
        match self {
            Self::Scans => "scans".to_owned(),
            Self::Scan(id) => format!("scan:{id}"),
        }
    }
}

/// Where a topic is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// With what comes next.
    Now,
    /// With what came first.
    Start,
    /// After a message that was heard before.
    After(Place),
    /// After one that cannot be found any more.
    Lost,
}

/// Whether a stream ends with its scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    Many,
}

/// One topic of a stream, and where its reader is.
#[derive(Debug)]
struct Follower {
    topic: Topic,
    begin: Option<Begin>,
    log: Option<Arc<Log>>,
    place: Option<Place>,
    changed: Option<watch::Receiver<u64>>,
    ended: bool,
}

struct Feed {
    state: AppState,
    kind: Kind,
    followers: Vec<Follower>,
    /// Any change of any scan: a scan that goes on has a new log.
    scans: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    over: bool,
    _pass: StreamPass,
}

impl Feed {
    fn new(
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
                    ended: false,
                })
                .collect(),
            scans: state.manager().scans().listen(),
            closing: state.closing(),
            ready: VecDeque::new(),
            over: false,
            _pass: pass,
        })
    }

    fn respond(self) -> Response {
        let events = stream::unfold(self, |mut feed| async move {
            let event = feed.next().await?;
            Some((Ok::<_, Infallible>(event), feed))
        });
        let keep = KeepAlive::new().interval(KEEP_ALIVE);
        let mut response = Sse::new(events).keep_alive(keep).into_response();
        // nginx would hold messages back.
        response
            .headers_mut()
            .insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
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
                self.wait().await;
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
            // A scan that goes on: all of its new part is news.
            if follower.begin.is_none() {
                follower.place = log.as_ref().map(|log| log.start());
                follower.ended = false;
            }
            follower.log = log;
        }
        if topic == Topic::Scans && follower.changed.is_none() {
            follower.changed = Some(self.state.manager().scans().listen());
        }
        if let Some(changed) = &mut follower.changed {
            changed.borrow_and_update();
        }
        match follower.begin.take() {
            Some(begin) => self.begin(number, begin).await,
            None => self.go_on(number).await,
        }
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
            Begin::Start if head.is_some() => {
                self.followers[number].place = self.with_log(number, Log::start);
                self.meet(number, "hello").await;
            }
            Begin::After(place) if head.is_some() => self.followers[number].place = Some(place),
            Begin::Start | Begin::After(_) | Begin::Lost => {
                self.followers[number].place = head;
                self.meet(number, "reset").await;
            }
        }
        self.go_on(number).await;
    }

    async fn go_on(&mut self, number: usize) {
        let is_ended = self.with_log(number, Log::is_ended);
        let place = self.followers[number].place;
        let heard = place.and_then(|place| self.with_log(number, |log| log.after(place, AT_ONCE)));
        match heard {
            Some(Heard::Messages(messages)) if !messages.is_empty() => {
                for message in messages {
                    self.followers[number].place = Some(message.place);
                    let event = self.event(message.event, &message.data);
                    self.ready.push_back(event);
                }
            }
            Some(Heard::Missed(place)) => {
                self.followers[number].place = Some(place);
                self.meet(number, "reset").await;
            }
            _ if self.kind == Kind::One && is_ended.unwrap_or(true) => {
                // Queued again, or running since: a new log comes.
                let topic = self.followers[number].topic;
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
        let event = self.event(event, &data.to_string()).retry(RETRY);
        self.ready.push_back(event);
    }

    fn event(&self, kind: &str, data: &str) -> Event {
        let event = Event::default().event(kind).data(data);
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
        if id.is_empty() {
            event
        } else {
            event.id(id.join(","))
        }
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
