//! `/`: start a scan, and see the last ones.

mod form;

use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;

pub(in crate::pages) use form::Fields;

use super::layout::{Content, Look, Section};
use super::scans;
use crate::api::views::FieldError;
use crate::{AppState, Caller, Problem, Role};

/// Scans that are listed below the form.
const RECENT: usize = 8;

/// `GET /`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Query(fields): Query<Fields>,
) -> Response {
    look.answer(page(&state, &look, &fields, &[]).await)
}

/// `POST /scans`: starts the scan, or says what is wrong at each field.
pub(super) async fn submit(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Form(fields): Form<Fields>,
) -> Response {
    let errors = match fields.request() {
        Err(errors) => errors,
        Ok(_) if fields.action == "check" => Vec::new(),
        Ok(request) => match state.start(&caller, request, None).await {
            Ok(started) => {
                return Redirect::to(&format!("/scans/{}", started.scan.id)).into_response();
            }
            Err(problem) if problem.errors.is_empty() => {
                return look.answer(Err::<Content, _>(problem));
            }
            Err(problem) => problem.errors,
        },
    };
    let content = page(&state, &look, &fields, &errors).await.map(|content| {
        let status = if errors.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Content { status, ..content }
    });
    look.answer(content)
}

async fn page(
    state: &AppState,
    look: &Look,
    fields: &Fields,
    errors: &[FieldError],
) -> Result<Content, Problem> {
    let recent = scans::list(state, "", "", None, RECENT).await?;
    let capabilities = state.capabilities();
    let preview = match fields.request() {
        Ok(request) if !fields.target.trim().is_empty() => Some(state.preview(&request)),
        _ => None,
    };
    // A form that an address filled in is checked as one that was sent.
    let found = preview.as_ref().map_or(&[][..], |preview| &preview.errors);
    let shown = form::Shown {
        fields,
        errors: if errors.is_empty() { found } else { errors },
        preview: preview.as_ref(),
        capabilities: &capabilities,
        may_scan: look
            .caller
            .as_ref()
            .is_some_and(|caller| caller.role >= Role::Scan),
    };
    let main = html! {
        div.stack {
            h1 { "What do you want to scan?" }
            (shown.render())
            section aria-labelledby="recent" {
                div.head {
                    h2 #recent { "Recent scans" }
                    @if !recent.items.is_empty() { a href="/scans" { "All scans" } }
                }
                live-list #recent-scans {
                    @if recent.items.is_empty() {
                        div.card.empty {
                            h2 { "No scans yet" }
                            p { "Start one above: ports appear as they are found, and the result is kept here." }
                        }
                    } @else {
                        (scans::table(&recent.items, scans::Picking::No))
                    }
                }
            }
        }
    };
    Ok(Content::new("New scan", Section::New, main))
}
