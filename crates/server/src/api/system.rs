//! The server itself: what it can do, whether it lives, its numbers, its document.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::views::Capabilities;
use crate::error::Result;
use crate::state::AppState;

/// Show what this server can do
#[utoipa::path(
    get, path = "/api/v1/capabilities", tag = "server",
    responses(
        (status = 200, description = "What it can do", body = Capabilities)
    )
)]
pub(crate) async fn capabilities(State(state): State<AppState>) -> Result<Answer<Capabilities>> {
    state.capabilities().await.map(Answer)
}

/// Whether the server lives and its history can be read
#[utoipa::path(
    get, path = "/healthz", tag = "server", security(()),
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain")
    )
)]
pub(crate) async fn healthz(State(state): State<AppState>) -> Result<&'static str> {
    let filter = portolan_store::ScanFilter::default();
    state
        .ask(move |store| store.scans(&filter, None, 1))
        .await?;
    Ok("ok\n")
}

/// The server's numbers, as Prometheus reads them
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "Every number", body = String, content_type = "text/plain")
    )
)]
pub(crate) async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let text = state.metrics().text(&state);
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}

/// The API's document.
pub(crate) async fn openapi() -> Answer<utoipa::openapi::OpenApi> {
    Answer(super::document())
}
