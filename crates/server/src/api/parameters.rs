//! Refuses parameters that an address does not take: with one that is misspelt and passed over, a
//! filter would seem to hold of everything.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use portolan_model::hint;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use super::views::FieldError;
use crate::error::Problem;

/// The parameters of each method of each path, from the document of the API.
#[derive(Debug)]
pub(super) struct Known(HashMap<(String, Method), Vec<String>>);

impl Known {
    /// What a document says of its paths.
    pub(super) fn of(document: &OpenApi) -> Arc<Self> {
        let paths = document.paths.paths.iter();
        let known = paths.flat_map(|(path, item)| {
            operations(item).map(|(method, operation)| {
                let parameters = operation.parameters.iter().flatten();
                let of_query = parameters
                    .filter_map(|parameter| match parameter {
                        RefOr::T(parameter) => Some(parameter),
                        RefOr::Ref(_) => None,
                    })
                    .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
                    .map(|parameter| parameter.name.clone());
                ((path.clone(), method), of_query.collect())
            })
        });
        Arc::new(Self(known.collect()))
    }

    /// What is wrong with a query of a path.
    fn unknown(&self, path: &str, method: &Method, request: &Request) -> Option<Problem> {
        // What is told by GET is told by HEAD, without its body.
        let method = if method == Method::HEAD {
            Method::GET
        } else {
            method.clone()
        };
        let known = self.0.get(&(path.to_owned(), method))?;
        let given = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
        let mut errors: Vec<FieldError> = Vec::new();
        for (name, _) in given.0 {
            if !known.contains(&name) && errors.iter().all(|error| error.field != name) {
                errors.push(FieldError {
                    message: format!("unknown parameter `{name}`"),
                    hint: Some(meant(&name, known)),
                    offset: None,
                    field: name,
                });
            }
        }
        let first = errors.first()?;
        let names: Vec<_> = errors
            .iter()
            .map(|error| format!("`{}`", error.field))
            .collect();
        let detail = match errors.len() {
            1 => first.message.clone(),
            _ => format!("unknown parameters {}", names.join(", ")),
        };
        Some(Problem {
            hint: first.hint.clone(),
            errors,
            ..Problem::bad_request(detail)
        })
    }
}

/// What may have been meant by a name that is not known.
fn meant(name: &str, known: &[String]) -> String {
    if known.is_empty() {
        return "this address takes no parameters".to_owned();
    }
    match hint::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Lets requests through that have only parameters of their address.
pub(super) async fn check(
    State(known): State<Arc<Known>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    // Who watches over the server may add to `/healthz` and `/metrics` what they like.
    let is_api = path.as_str().starts_with("/api/");
    let unknown = is_api
        .then(|| known.unknown(path.as_str(), request.method(), &request))
        .flatten();
    match unknown {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}
