//! Who asks: logging in and out, sessions, tokens, the audit log.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse};

use super::extract::{Json, Path, Query};
use super::views::{
    AuditView, List, LoginRequest, NewTokenView, SessionInfo, SessionView, TokenRequest, TokenView,
};
use crate::auth::{Caller, Client};
use crate::error::Result;
use crate::state::{AppState, AuditQuery};

fn info(caller: &Caller) -> SessionInfo {
    SessionInfo {
        user: caller.name.clone(),
        role: caller.role.to_string(),
        via: caller.via.as_str().to_owned(),
    }
}

/// Show who asks, and what they may do
#[utoipa::path(
    get, path = "/api/v1/session", tag = "access",
    responses(
        (status = 200, description = "Who asks", body = SessionInfo)
    )
)]
pub(crate) async fn session(caller: Caller) -> Answer<SessionInfo> {
    Answer(info(&caller))
}

/// Log in
#[utoipa::path(
    post, path = "/api/v1/session", tag = "access", request_body = LoginRequest, security(()),
    responses(
        (status = 200, description = "Logged in: the answer sets a cookie", body = SessionInfo)
    )
)]
pub(crate) async fn log_in(
    State(state): State<AppState>,
    client: Client,
    Json(request): Json<LoginRequest>,
) -> Result<impl IntoResponse> {
    let login = state
        .log_in(&request.name, &request.password, &client)
        .await?;
    let cookie = AppendHeaders([(SET_COOKIE, login.cookie)]);
    Ok((cookie, Answer(info(&login.caller))))
}

/// Log out
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "access",
    responses(
        (status = 204, description = "Logged out")
    )
)]
pub(crate) async fn log_out(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<impl IntoResponse> {
    let cookie = state.log_out(&caller).await?;
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(SET_COOKIE, cookie)]),
    ))
}

/// List one's own sessions
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "access",
    responses(
        (status = 200, description = "Every session", body = List<SessionView>)
    )
)]
pub(crate) async fn sessions(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Answer<List<SessionView>>> {
    state.sessions(&caller).await.map(List::whole).map(Answer)
}

/// End one of one's own sessions
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "access", params(("id" = String, Path, description = "The session's handle")),
    responses(
        (status = 204, description = "It is ended")
    )
)]
pub(crate) async fn end_session(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    state.end_session(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List tokens
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "access",
    responses(
        (status = 200, description = "Every token, revoked ones too", body = List<TokenView>)
    )
)]
pub(crate) async fn tokens(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Answer<List<TokenView>>> {
    state.tokens(&caller).await.map(List::whole).map(Answer)
}

/// Make a token; its secret is shown this once
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "access", request_body = TokenRequest,
    responses(
        (status = 201, description = "It is made", body = NewTokenView)
    )
)]
pub(crate) async fn create_token(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<TokenRequest>,
) -> Result<impl IntoResponse> {
    let token = state.create_token(&caller, request).await?;
    Ok((StatusCode::CREATED, Answer(token)))
}

/// Revoke a token
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "access", params(("id" = String, Path, description = "The token's public part")),
    responses(
        (status = 204, description = "It counts no more")
    )
)]
pub(crate) async fn revoke_token(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    state.revoke_token(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List who did what, the latest first
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "access", params(AuditQuery),
    responses(
        (status = 200, description = "A page of entries", body = List<AuditView>)
    )
)]
pub(crate) async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<List<AuditView>>> {
    state.audit_log(&caller, &query).await.map(Answer)
}
