//! What happens, as it happens: server-sent events (WHATWG HTML, 9.2).
//!
//! Each message's id says where its reader is. Who comes back with it (`Last-Event-ID`) goes on
//! there, also after a new start of the server: nothing is lost and nothing comes twice. Who was
//! away for too long is told to read the results again (`reset`).

#![expect(unused_qualifications, reason = "the macro of paths writes them")]

mod feed;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use portolan_store::ScanId;
use serde::Deserialize;
use utoipa::IntoParams;

use self::feed::Feed;
use super::extract::{Path, Query, ScanPath};
use crate::auth::Caller;
use crate::error::{Problem, Result};
use crate::live::Place;
use crate::state::AppState;

/// How many topics one stream may have.
const MOST_TOPICS: usize = 50;

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
/// From its beginning while all of it is kept; else a `reset` says to read the results.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/events", tag = "events",
    params(ScanPath, ResumeQuery,
           ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses(
        (status = 200, description = "`hello`, `update`, `reset`, and `end` when it is over", body = String, content_type = "text/event-stream")
    )
)]
pub(crate) async fn of_scan(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
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
        (status = 200, description = "`hello`, `update`, `scan`, `deleted` and `reset`", body = String, content_type = "text/event-stream")
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
