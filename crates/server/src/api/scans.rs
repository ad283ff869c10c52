//! Scans: made, listed, shown, ended.

#![expect(unused_qualifications, reason = "the macro of paths writes them")]

use portolan_model::Zoned;
use portolan_model::front::Front;
use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json as Answer, extract::State};
use portolan_model::Protocol;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Json, Path, Query, ScanPath};
use super::views::{Change, CoursePoint, List, Preview, ResultItem, Scan, ScanHost, ScanProblem};
use crate::auth::Caller;
use crate::error::{Problem, Result};
use crate::request::ScanRequest;
use crate::state::{AppState, PageQuery, ResultsQuery, ScanWithResults, ScansQuery};

/// How long `wait=true` waits at the most.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The most bytes of an idempotency key.
const LONGEST_KEY: usize = 255;

/// What to do besides making a scan.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateQuery {
    /// Whether to answer when the scan is done, with its results.
    wait: Option<bool>,
}

/// Make a scan
///
/// With the header `Idempotency-Key`, the same request sent twice makes one scan.
#[utoipa::path(
    post, path = "/api/v1/scans", tag = "scans",
    params(CreateQuery, ("Idempotency-Key" = Option<String>, Header, description = "The caller's own key")),
    request_body = ScanRequest,
    responses(
        (status = 201, description = "It is made", body = ScanWithResults,
         headers(("Location" = String, description = "Its address")))
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<CreateQuery>,
    headers: HeaderMap,
    Json(request): Json<ScanRequest>,
) -> Result<Response> {
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => {
            let key = key.to_str().ok().map(|key| key.trim().trim_matches('"'));
            let key = key.filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
            let key = key.ok_or_else(|| {
                Problem::bad_request("the idempotency key is no text of 1 to 255 bytes")
            })?;
            Some(key.to_owned())
        }
    };
    let started = state.start(&caller, request, key, Front::Api).await?;
    let id = started.scan.id;
    let mut answer = ScanWithResults {
        scan: started.scan,
        results: None,
        next: None,
    };
    if query.wait.unwrap_or(false) {
        answer.scan = state.wait(id, LONGEST_WAIT).await?;
        let query = ResultsQuery {
            sort: Some("state".to_owned()),
            limit: Some(1000),
            ..ResultsQuery::default()
        };
        let list = state.results(id, &query).await?;
        (answer.results, answer.next) = (Some(list.items), list.next);
    }
    let mut response = (StatusCode::CREATED, Answer(answer)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/scans/{id}")) {
        headers.insert(LOCATION, location);
    }
    if !started.is_new {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// List scans, the latest first
#[utoipa::path(
    get, path = "/api/v1/scans", tag = "scans", params(ScansQuery),
    responses(
        (status = 200, description = "A page of scans", body = List<Scan>)
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Query(query): Query<ScansQuery>,
) -> Result<Answer<List<Scan>>> {
    state.scans(&query).await.map(Answer)
}

/// Show what a request would scan, or what is wrong with it, without scanning
#[utoipa::path(
    post, path = "/api/v1/scans/preview", tag = "scans", request_body = ScanRequest,
    responses(
        (status = 200, description = "What it would scan", body = Preview)
    )
)]
pub(crate) async fn preview(
    State(state): State<AppState>,
    Json(request): Json<ScanRequest>,
) -> Result<Answer<Preview>> {
    state.preview(&request, Front::Api).await.map(Answer)
}

/// Show a scan
#[utoipa::path(
    get, path = "/api/v1/scans/{id}", tag = "scans", params(ScanPath),
    responses(
        (status = 200, description = "The scan as it is now", body = Scan)
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<Scan>> {
    state.scan(id).await.map(Answer)
}

/// Delete a scan and what it found
#[utoipa::path(
    delete, path = "/api/v1/scans/{id}", tag = "scans", params(ScanPath),
    responses(
        (status = 204, description = "It is gone")
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<StatusCode> {
    state.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End a scan; what it found is kept
#[utoipa::path(
    post, path = "/api/v1/scans/{id}/cancel", tag = "scans", params(ScanPath),
    responses(
        (status = 200, description = "The scan as it is now", body = Scan)
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<Scan>> {
    state.cancel(&caller, id).await.map(Answer)
}

/// Tell a running scan to wait
#[utoipa::path(
    post, path = "/api/v1/scans/{id}/pause", tag = "scans", params(ScanPath),
    responses(
        (status = 200, description = "The scan as it is now", body = Scan)
    )
)]
pub(crate) async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<Scan>> {
    state.pause(&caller, id).await.map(Answer)
}

/// Leave out what is left of the host that has the most left, and say so in the result
#[utoipa::path(
    post, path = "/api/v1/scans/{id}/skip", tag = "scans", params(ScanPath),
    responses(
        (status = 200, description = "The scan as it is now", body = Scan)
    )
)]
pub(crate) async fn skip(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<Scan>> {
    state.skip_host(&caller, id).await.map(Answer)
}

/// Let a scan go on that was paused, cancelled or cut off
#[utoipa::path(
    post, path = "/api/v1/scans/{id}/resume", tag = "scans", params(ScanPath),
    responses(
        (status = 200, description = "The scan as it is now", body = Scan)
    )
)]
pub(crate) async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<Scan>> {
    state.resume(&caller, id).await.map(Answer)
}

/// List what a scan found, port by port
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/results", tag = "results",
    params(ScanPath, ResultsQuery),
    responses(
        (status = 200, description = "A page of results", body = List<ResultItem>)
    )
)]
pub(crate) async fn results(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
    Query(query): Query<ResultsQuery>,
) -> Result<Answer<List<ResultItem>>> {
    state.results(id, &query).await.map(Answer)
}

/// List what a scan left out
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/problems", tag = "results", params(ScanPath),
    responses(
        (status = 200, description = "Every problem", body = List<ScanProblem>)
    )
)]
pub(crate) async fn problems(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<List<ScanProblem>>> {
    state.problems(id).await.map(List::whole).map(Answer)
}

/// Show how a scan went over time
///
/// At most 241 points, however long it took; the last one is as it is now.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/course", tag = "results", params(ScanPath),
    responses(
        (status = 200, description = "Its course", body = List<CoursePoint>)
    )
)]
pub(crate) async fn course(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<List<CoursePoint>>> {
    state.course(id).await.map(List::whole).map(Answer)
}

/// List what changed since the scan of the same targets before
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/changes", tag = "results", params(ScanPath),
    responses(
        (status = 200, description = "Every change", body = List<Change>)
    )
)]
pub(crate) async fn changes(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
) -> Result<Answer<List<Change>>> {
    state.changes(id).await.map(List::whole).map(Answer)
}

/// List the hosts that a scan found
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/hosts", tag = "results",
    params(ScanPath, PageQuery),
    responses(
        (status = 200, description = "A page of hosts", body = List<ScanHost>)
    )
)]
pub(crate) async fn hosts(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
    Query(query): Query<PageQuery>,
) -> Result<Answer<List<ScanHost>>> {
    state.scan_hosts(id, &query).await.map(Answer)
}

/// Whose ports.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProtocolQuery {
    /// `tcp` or `udp`; `tcp` when nothing is said.
    #[param(value_type = Option<String>)]
    protocol: Option<Protocol>,
}

/// Show all ports of a host, one byte each
///
/// 65,536 bytes: 0 where nothing is known, else 1 + 16 × state + reason. States are 0 open,
/// 1 closed, 2 filtered, 3 open|filtered; reasons are numbered in the order of the manual.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/hosts/{ip}/ports.bin", tag = "results",
    params(("id" = i64, Path, description = "The scan's number"),
           ("ip" = String, Path, description = "The host's address"), ProtocolQuery),
    responses(
        (status = 200, description = "One byte a port", body = Vec<u8>, content_type = "application/octet-stream")
    )
)]
pub(crate) async fn ports(
    State(state): State<AppState>,
    Path((id, ip)): Path<(i64, Zoned)>,
    Query(query): Query<ProtocolQuery>,
) -> Result<Response> {
    let protocol = query.protocol.unwrap_or(Protocol::Tcp);
    // A vector of bytes is `application/octet-stream` by itself.
    let bytes = state.ports_bin(id, ip, protocol).await?;
    Ok(bytes.into_response())
}

/// Show all ports of all hosts laid over each other, one byte each
///
/// As of one host; where hosts differ, the most open of their states: open, open|filtered,
/// filtered, closed.
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/ports.bin", tag = "results",
    params(ScanPath, ProtocolQuery),
    responses(
        (status = 200, description = "One byte a port", body = Vec<u8>, content_type = "application/octet-stream")
    )
)]
pub(crate) async fn ports_of_all(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
    Query(query): Query<ProtocolQuery>,
) -> Result<Response> {
    let protocol = query.protocol.unwrap_or(Protocol::Tcp);
    Ok(state.ports_bin_of_all(id, protocol).await?.into_response())
}
