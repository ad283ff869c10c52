//! `/scans/{id}`: one scan, while it runs and ever after.
//!
//! `head` is its state and what can be done to it, `results` the filtered table, `course` how it
//! went over time, `overview` the hosts against their ports, `found` the hosts of a scan that looks
//! for nothing else, `map` the picture of its ports, `port` the page of one port.

mod course;
mod found;
mod head;
pub(super) mod map;
mod overview;
pub(super) mod port;
mod results;

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use super::assets;
use super::extract::{Path, Query};
use super::layout::{Content, Look, Section, capital};
use super::words::{foreign, plural, said};
use crate::api::views::{Kind, Scan, ScanProblem};
use crate::{AppState, Caller, Problem};

/// What is shown where the address says nothing: what one looks for.
pub(super) const DEFAULT_QUERY: &str = "state:open,open|filtered";

/// What of the results is shown, and how.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    q: Option<String>,
    sort: String,
    order: String,
    cursor: String,
    /// `1` for pages without scripts.
    plain: String,
}

impl View {
    fn query(&self) -> &str {
        self.q.as_deref().unwrap_or(DEFAULT_QUERY)
    }

    fn is_plain(&self) -> bool {
        self.plain == "1"
    }
}

/// `GET /scans/{id}`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Path(id): Path<i64>,
    Query(view): Query<View>,
) -> Response {
    look.answer(page(&state, id, &view).await)
}

/// `GET /scans/{id}/course`: the picture alone, for the scripts.
pub(super) async fn course(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Html<String>, Problem> {
    let scan = state.scan(id).await?;
    let course = state.course(id).await?;
    Ok(Html(course::picture(&scan, &course).into_string()))
}

/// `POST /scans/{id}/cancel`, `…/pause`, `…/resume`, `…/skip` and `…/delete`
pub(super) async fn act(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Path((id, action)): Path<(i64, String)>,
) -> Response {
    let done = match action.as_str() {
        "cancel" => state.cancel(&caller, id).await.map(drop),
        "pause" => state.pause(&caller, id).await.map(drop),
        "skip" => state.skip_host(&caller, id).await.map(drop),
        "resume" => state.resume(&caller, id).await.map(drop),
        "delete" => state.delete(&caller, id).await.map(drop),
        _ => Err(Problem::not_found(format!("a scan cannot `{action}`"))),
    };
    match done {
        Ok(()) if action == "delete" => Redirect::to("/scans").into_response(),
        Ok(()) => Redirect::to(&format!("/scans/{id}")).into_response(),
        Err(problem) => look.answer(Err::<Content, _>(problem)),
    }
}

async fn page(state: &AppState, id: i64, view: &View) -> Result<Content, Problem> {
    let scan = state.scan(id).await?;
    let problems = state.problems(id).await?;
    let title = format!("{} · scan {id}", foreign(&scan.targets));
    if scan.kind == Kind::Hosts {
        let found = found::render(state, &scan, view).await?;
        let body = html! { (head::render(&scan)) (problem_list(&problems)) (found) };
        let main = if scan.is_over() {
            html! { div #hosts-found.flow { (body) } }
        } else {
            html! { live-list #hosts-found.flow data-scan=(id) { (body) } }
        };
        return Ok(Content::new(title, Section::Scans, main));
    }
    let overview = overview::render(state, &scan).await?;
    let results = results::render(state, &scan, view).await?;
    let course = state.course(id).await?;
    let body = html! {
        (head::render(&scan))
        p #action-error.note.bad role="alert" hidden {}
        p #stale.note.warn role="status" hidden { "The connection to the server is lost. What was found stays; reconnecting…" }
        (problem_list(&problems))
        div.two {
            (results)
            div.stack.no-print { (course::render(&scan, &course)) @if !view.is_plain() { (map(&scan)) } }
        }
        (overview)
    };
    let main = if view.is_plain() {
        html! { div.flow { (body) } }
    } else {
        live(&scan, &body)
    };
    Ok(Content::new(title, Section::Scans, main))
}

/// The element that the scripts take over.
fn live(scan: &Scan, body: &Markup) -> Markup {
    let protocols = if scan.technique.contains("udp") && scan.technique != "udp" {
        "tcp udp"
    } else if scan.technique == "udp" {
        "udp"
    } else {
        "tcp"
    };
    let counts = &scan.counts;
    html! {
        live-scan.flow data-id=(scan.id) data-state=(scan.state) data-query=(DEFAULT_QUERY)
            data-counts={ (counts.open) " " (counts.closed) " " (counts.filtered) " " (counts.open_filtered) }
            data-title=(foreign(&scan.targets)) data-tags=(scan.tags.join(" ")) data-protocols=(protocols) data-services=(assets::services()) {
            (PreEscaped(&body.0))
        }
    }
}

fn problem_list(problems: &[ScanProblem]) -> Markup {
    html! {
        div #problems.note.warn hidden[problems.is_empty()] {
            h2 { "To read this result right" }
            ul {
                @for problem in problems {
                    li {
                        @if !problem.message.contains(&problem.about) { (foreign(&problem.about)) ": " }
                        (said(&problem.message))
                        @if let Some(hint) = &problem.hint { span.soft { ". " (said(&capital(hint))) } }
                    }
                }
            }
        }
    }
}

/// The map, which scripts draw.
fn map(scan: &Scan) -> Markup {
    html! {
        section.card aria-labelledby="map-title" {
            div.head {
                h2 #map-title { "Port map" }
                label.small hidden {
                    span.sr { "Host of the map" }
                    select #map-host { option value="" { "All hosts, laid over each other" } }
                }
            }
            noscript {
                img.still src={ "/scans/" (scan.id) "/map.svg" } width="256" height="256"
                    alt={ (plural(scan.counts.open, "open port")) " among 65,536; the table has the same facts" };
            }
            port-map #port-map {}
            ul.legend {
                li.state.open { "open" }
                li.state.closed { "closed" }
                li.state.filtered { "filtered" }
                li.state.maybe { "open|filtered" }
            }
            p.soft.small { "256 ports a row, 0 at the top left." span.scripted { " A click filters, dragging takes a range." } }
        }
    }
}
