//! What went wrong, as problem details (RFC 9457), and why a server cannot start.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::views::FieldError;

/// Why a request is refused or failed, for people and programs (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// What kind of problem: `about:blank`, as the status says it (RFC 9457, 4.2.1).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The status code (RFC 9110, 15).
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// What can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is wrong with single fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// After how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// A result whose error is an answer.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A problem with a status and what is wrong.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 403: the caller may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 422: the request is read, and some of its fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.message.clone(),
            many => format!("{} fields are wrong", many.len()),
        };
        let hint = match errors.as_slice() {
            [only] => only.hint.clone(),
            _ => None,
        };
        Self {
            hint,
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// 429: too often, or too many at once.
    pub fn too_many(detail: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// 500: it is the server's fault.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// The same with what can be done.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"portolan\""),
            );
        }
        response
    }
}

impl From<portolan_store::Error> for Problem {
    fn from(error: portolan_store::Error) -> Self {
        use portolan_store::Error;
        let status = match &error {
            Error::NoSuchScan { .. } | Error::NoSuchHost { .. } => StatusCode::NOT_FOUND,
            Error::WrongState { .. } | Error::NameTaken { .. } | Error::TooManyTags { .. } => {
                StatusCode::CONFLICT
            }
            Error::BadCursor { .. } => StatusCode::BAD_REQUEST,
            Error::Sqlite(_) | Error::WriterStopped | Error::Lost { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            hint: error.hint(),
            ..Self::new(status, error.to_string())
        }
    }
}

/// Why a server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others could reach it, and nobody would have to log in.
    #[error("cannot listen on {address}: others can reach it, and there is no user")]
    NoUser {
        /// Where.
        address: std::net::SocketAddr,
    },
    /// Others could reach it, and passwords would cross the network as they are.
    #[error("cannot listen on {address}: others can reach it, and nothing encrypts the way")]
    NoEncryption {
        /// Where.
        address: std::net::SocketAddr,
    },
    /// A certificate or its key cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was read is no certificate, or no key for it.
    #[error("cannot use the certificate `{}`: {why}", path.display())]
    Certificate {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The history failed.
    #[error(transparent)]
    Store(#[from] portolan_store::Error),
    /// The system gives no threads or timers.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
}

impl ServeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => Some(
                "another program listens there: choose another port with `--listen`".to_owned(),
            ),
            Self::NoUser { .. } => {
                Some("make a user first with `portolan user add NAME`".to_owned())
            }
            Self::NoEncryption { .. } => Some(
                "use `--tls`, `--tls-cert` and `--tls-key`, or `--behind-proxy` where a proxy \
                 encrypts"
                    .to_owned(),
            ),
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}
