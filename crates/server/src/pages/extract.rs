//! Reads the address of a page. One that cannot be read leads to the page that says why.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::layout::{Content, Look};
use crate::api::extract;
use crate::{AppState, Problem};

/// What stands in the path of a page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Path<T>(pub(super) T);

/// What stands in the query of a page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        match extract::Path::from_request_parts(parts, state).await {
            Ok(extract::Path(read)) => Ok(Self(read)),
            Err(problem) => Err(refusal(problem, parts, state).await),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        match extract::Query::from_request_parts(parts, state).await {
            Ok(extract::Query(read)) => Ok(Self(read)),
            Err(problem) => Err(refusal(problem, parts, state).await),
        }
    }
}

async fn refusal(problem: Problem, parts: &mut Parts, state: &AppState) -> Response {
    let Ok(look) = Look::from_request_parts(parts, state).await;
    look.answer(Err::<Content, _>(problem))
}
