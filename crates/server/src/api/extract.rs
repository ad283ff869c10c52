//! Reads requests, with problem details where they cannot be read.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::error::Problem;
use crate::state::AppState;

/// A body must be there after this time: it is small, and a slow client holds a connection.
const BODY_TIME: Duration = Duration::from_secs(15);

/// A body of JSON, and nothing else: a form of a page elsewhere cannot say it is one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is not said to be JSON",
            )
            .with_hint("send `Content-Type: application/json`"));
        }
        let body = in_time(Bytes::from_request(request, state)).await?;
        let body = body.map_err(|rejection: BytesRejection| {
            Problem::new(rejection.status(), rejection.body_text().to_lowercase())
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let status = if error.is_data() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::BAD_REQUEST
            };
            Problem::new(status, format!("the body cannot be read: {error}"))
        })
    }
}

/// Waits for a body no longer than it may take.
async fn in_time<T>(body: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(BODY_TIME, body)
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))
}

/// The fields of a form, as pages send them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let read = in_time(axum::extract::Form::from_request(request, state)).await?;
        read.map(|axum::extract::Form(fields)| Self(fields))
            .map_err(|rejection: FormRejection| {
                Problem::new(rejection.status(), rejection.body_text().to_lowercase())
            })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// What stands in the query of the address.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| Problem::bad_request(rejection.body_text()))
    }
}

/// Which scan, as many addresses say it.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ScanPath {
    /// The scan's number
    pub(crate) id: i64,
}

/// What stands in the path of the address.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection: PathRejection| misplaced(&rejection))
    }
}

/// Where an address leads that cannot be read: nowhere.
fn misplaced(rejection: &PathRejection) -> Problem {
    let nowhere = "there is nothing at this address";
    let why = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
            ErrorKind::ParseErrorAtKey {
                value,
                expected_type,
                ..
            }
            | ErrorKind::ParseErrorAtIndex {
                value,
                expected_type,
                ..
            }
            | ErrorKind::ParseError {
                value,
                expected_type,
            } if *expected_type == "u16" => format!("`{value}` is no number from 0 to 65535"),
            ErrorKind::ParseErrorAtKey { value, .. }
            | ErrorKind::ParseErrorAtIndex { value, .. }
            | ErrorKind::ParseError { value, .. } => format!("`{value}` is no number"),
            ErrorKind::DeserializeError { value, message, .. } if message.contains(value) => {
                message.clone()
            }
            ErrorKind::DeserializeError { value, message, .. } => format!("`{value}`: {message}"),
            ErrorKind::InvalidUtf8InPathParam { .. } => "a part of it is no text".to_owned(),
            _ => return Problem::not_found(nowhere),
        },
        _ => return Problem::not_found(nowhere),
    };
    Problem::not_found(format!("{nowhere}: {why}"))
}
