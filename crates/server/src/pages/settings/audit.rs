//! `/settings/audit`: who did what, for who may do everything.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::layout::{Content, Look, Section};
use super::super::scans::shorten;
use super::super::words::{address, foreign, moment};
use crate::api::views::{AuditView, List};
use crate::pages::extract::Query;
use crate::{AppState, AuditQuery, Caller, Problem};

/// Entries in a page.
const PAGE: usize = 100;

/// Where in the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Place {
    cursor: String,
}

/// `GET /settings/audit`
pub(in crate::pages) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Query(place): Query<Place>,
) -> Response {
    look.answer(content(&state, &caller, place).await)
}

async fn content(state: &AppState, caller: &Caller, place: Place) -> Result<Content, Problem> {
    let query = AuditQuery {
        limit: Some(PAGE),
        cursor: Some(place.cursor).filter(|cursor| !cursor.is_empty()),
        ..AuditQuery::default()
    };
    let log = state.audit_log(caller, &query).await?;
    let main = html! {
        div.stack {
            div.head { h1 { "Audit log" } a.button href="/settings" { "Settings" } }
            div.card.results {
                @if log.items.is_empty() {
                    div.empty { h2 { "Nothing was done yet" } p { "Scans, log-ins, and changes of users and tokens are kept here." } }
                } @else {
                    (table(&log))
                }
            }
        }
    };
    Ok(Content::new("Audit log", Section::Settings, main))
}

fn table(log: &List<AuditView>) -> Markup {
    html! {
        div.wide {
            table.cards-s {
                thead { tr { th { "When" } th { "Who" } th { "From" } th { "What" } th { "More" } } }
                tbody { @for entry in &log.items { (row(entry)) } }
            }
        }
        @if let Some(next) = &log.next {
            div.bottom { a href=(address("/settings/audit", &[("cursor", next)])) { "Older entries" } }
        }
    }
}

fn row(entry: &AuditView) -> Markup {
    html! {
        tr {
            td.t-when.nowrap { (moment(entry.at)) }
            td.t-state { @if entry.who.is_empty() { span.soft { "nobody by name" } } @else { (foreign(&entry.who)) } }
            td.mono.hide-s { (foreign(&entry.address)) }
            td.t-target {
                b { (foreign(&entry.action)) } " "
                @match entry.scan {
                    Some(scan) => a href={ "/scans/" (scan) } { (subject(entry, scan)) },
                    None => (foreign(&shorten(&entry.subject))),
                }
            }
            td.hide-s { code.small { (foreign(&entry.detail)) } }
        }
    }
}

/// What it was done to: a scan by its targets where they are told, else by its number.
fn subject(entry: &AuditView, scan: i64) -> String {
    if entry.subject == scan.to_string() {
        format!("scan #{scan}")
    } else {
        foreign(&shorten(&entry.subject))
    }
}
