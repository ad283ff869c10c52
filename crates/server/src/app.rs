//! The whole of it as one function, so that tests call it without a socket.

use std::any::Any;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::error::Problem;
use crate::state::AppState;
use crate::{api, auth, metrics, pages, security};

/// Pages and API with everything that guards them.
///
/// From the outside in: a failure is an answer too; every answer tells browsers what to keep
/// to; only known names are answered to; only pages of this server change anything; who asks is
/// known before anything is read.
pub fn app(state: AppState) -> Router {
    let body_limit = state.settings().limits.body_bytes;
    api::routes()
        .merge(pages::routes())
        .fallback(pages::not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            auth::authenticate,
        ))
        .layer(middleware::from_fn(security::check_origin))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            security::check_host,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            security::protect,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            metrics::count,
        ))
        .layer(CatchPanicLayer::custom(failed))
        .with_state(state)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible at `{}`", uri.path()),
    )
}

fn failed(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("the server failed: the request may not have been carried out")
        .into_response()
}
