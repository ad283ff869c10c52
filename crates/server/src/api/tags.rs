//! Tags: what people call hosts and scans.

use axum::http::StatusCode;
use axum::{Json as Answer, extract::State};
use portolan_model::Zoned;
use portolan_store::{ScanId, Tagged};

use super::extract::Path;
use super::views::{List, TagView};
use crate::auth::Caller;
use crate::error::Result;
use crate::state::AppState;

/// List every tag with how many have it
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "tags",
    responses(
        (status = 200, description = "Every tag, by alphabet", body = List<TagView>)
    )
)]
pub(crate) async fn list(State(state): State<AppState>) -> Result<Answer<List<TagView>>> {
    state.tags().await.map(List::whole).map(Answer)
}

/// Put a tag on a host
///
/// A tag is 1 to 40 letters, digits, `-`, `_` and `.`; large letters count as small ones. One that
/// the host has already stays.
#[utoipa::path(
    put, path = "/api/v1/hosts/{ip}/tags/{tag}", tag = "tags",
    params(("ip" = String, Path, description = "The host's address"),
           ("tag" = String, Path, description = "The tag")),
    responses(
        (status = 204, description = "The host has it")
    )
)]
pub(crate) async fn put_on_host(
    State(state): State<AppState>,
    caller: Caller,
    Path((ip, tag)): Path<(Zoned, String)>,
) -> Result<StatusCode> {
    state.put_tag(&caller, &tag, vec![Tagged::Host(ip)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a tag off a host
#[utoipa::path(
    delete, path = "/api/v1/hosts/{ip}/tags/{tag}", tag = "tags",
    params(("ip" = String, Path, description = "The host's address"),
           ("tag" = String, Path, description = "The tag")),
    responses(
        (status = 204, description = "The host does not have it")
    )
)]
pub(crate) async fn take_off_host(
    State(state): State<AppState>,
    caller: Caller,
    Path((ip, tag)): Path<(Zoned, String)>,
) -> Result<StatusCode> {
    state
        .take_tag(&caller, &tag, vec![Tagged::Host(ip)])
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a tag on a scan
#[utoipa::path(
    put, path = "/api/v1/scans/{id}/tags/{tag}", tag = "tags",
    params(("id" = i64, Path, description = "The scan's number"),
           ("tag" = String, Path, description = "The tag")),
    responses(
        (status = 204, description = "The scan has it")
    )
)]
pub(crate) async fn put_on_scan(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(i64, String)>,
) -> Result<StatusCode> {
    let on = vec![Tagged::Scan(ScanId(id))];
    state.put_tag(&caller, &tag, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a tag off a scan
#[utoipa::path(
    delete, path = "/api/v1/scans/{id}/tags/{tag}", tag = "tags",
    params(("id" = i64, Path, description = "The scan's number"),
           ("tag" = String, Path, description = "The tag")),
    responses(
        (status = 204, description = "The scan does not have it")
    )
)]
pub(crate) async fn take_off_scan(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(i64, String)>,
) -> Result<StatusCode> {
    let off = vec![Tagged::Scan(ScanId(id))];
    state.take_tag(&caller, &tag, off).await?;
    Ok(StatusCode::NO_CONTENT)
}
