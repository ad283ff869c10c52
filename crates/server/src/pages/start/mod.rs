//! `/`: start a scan, and see the last ones.

mod form;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use portolan_model::front::Front;
use portolan_model::spec::Discovery;

pub(in crate::pages) use form::Fields;

use form::Start;

use super::extract::Query;
use super::layout::{Content, Look, Section};
use super::scans;
use crate::api::extract::Form;
use crate::api::views::FieldError;
use crate::{AppState, Caller, Problem, Role, ScanRequest};

/// Scans that are listed below the form.
const RECENT: usize = 8;

/// More probes than this are asked about once more: all ports of 256 addresses are not yet so many.
const MANY: u64 = 1 << 24;

/// `GET /`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Query(fields): Query<Fields>,
) -> Response {
    look.answer(page(&state, &look, &fields, &[], Start::AtOnce).await)
}

/// `POST /`, and `POST /scans`: starts the scan, or says what is wrong at each field.
pub(super) async fn submit(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Form(fields): Form<Fields>,
) -> Response {
    let (request, numbers) = fields.request();
    let mut errors = Vec::new();
    if fields.action != "check" && numbers.is_empty() && is_unsure(&state, &fields, &request).await
    {
        return look.answer(page(&state, &look, &fields, &[], Start::AskedTwice).await);
    }
    if fields.action != "check" && numbers.is_empty() {
        match state.start(&caller, request, None, Front::Page).await {
            Ok(started) => {
                return Redirect::to(&format!("/scans/{}", started.scan.id)).into_response();
            }
            Err(problem) if problem.errors.is_empty() => {
                return look.answer(Err::<Content, _>(problem));
            }
            Err(problem) => errors = problem.errors,
        }
    }
    let is_refused = !errors.is_empty() || !numbers.is_empty();
    let content = page(&state, &look, &fields, &errors, Start::AtOnce).await;
    let content = content.map(|content| {
        let status = if is_refused {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        Content { status, ..content }
    });
    look.answer(content)
}

/// Whether so large a scan can start and was not yet said to be meant. The number that was said is
/// held against the one that it is now: the targets may have been changed since.
async fn is_unsure(state: &AppState, fields: &Fields, request: &ScanRequest) -> bool {
    let Ok(preview) = state.preview(request, Front::Page).await else {
        return false;
    };
    // What cannot be counted is no scan of each address.
    preview.errors.is_empty()
        && (MANY + 1..u64::MAX).contains(&preview.probes)
        && fields.sure.trim() != preview.probes.to_string()
}

async fn page(
    state: &AppState,
    look: &Look,
    fields: &Fields,
    refused: &[FieldError],
    start: Start,
) -> Result<Content, Problem> {
    let recent = scans::list(state, "", "", None, RECENT).await?;
    let capabilities = state.capabilities().await?;
    // A form that an address filled in is checked as one that was sent.
    let (request, mut errors) = fields.request();
    let is_filled = !fields.target.trim().is_empty();
    let mut preview = if is_filled || !fields.range.is_empty() {
        Some(state.preview(&request, Front::Page).await?)
    } else {
        None
    };
    let all_ports = if is_filled {
        let all = ScanRequest {
            ports: "all".to_owned(),
            discovery: Discovery::Auto,
            ..request
        };
        Some(state.preview(&all, Front::Page).await?)
    } else {
        None
    };
    let found = preview.as_ref().map_or(&[][..], |preview| &preview.errors);
    errors.extend_from_slice(if refused.is_empty() { found } else { refused });
    preview.take_if(|_| !errors.is_empty());
    let shown = form::Shown {
        fields,
        errors: &errors,
        preview: preview.as_ref(),
        // Where the targets are wrong, there is nothing to count.
        all_ports: all_ports.as_ref().filter(|all| all.probes > 0),
        capabilities: &capabilities,
        start,
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
