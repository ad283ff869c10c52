//! `/scans`: every scan that was made.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::extract::Query;
use super::layout::{Content, Look, Section};
use super::tags;
use super::words::{address, badge, count, foreign, moment, percent, plural, share, span};
use crate::api::views::{Kind, List, Scan};
use crate::{AppState, Problem, ScansQuery};

/// Scans in a page.
const PAGE: usize = 50;

/// States to choose from, with the words for them.
const STATES: [(&str, &str); 6] = [
    ("", "Any state"),
    ("queued,running,paused", "Under way"),
    ("done", "Done"),
    ("incomplete", "Incomplete"),
    ("interrupted", "Interrupted"),
    ("cancelled", "Cancelled"),
];

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    q: String,
    state: String,
    cursor: String,
}

/// Whether scans can be picked to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picking {
    Yes,
    No,
}

/// `GET /scans`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Query(search): Query<Search>,
) -> Response {
    look.answer(page(&state, &search).await)
}

/// Scans whose targets, command or asker hold a text, the latest first.
pub(super) async fn list(
    state: &AppState,
    text: &str,
    states: &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<List<Scan>, Problem> {
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    state
        .scans(&ScansQuery {
            q: filled(text),
            state: filled(states),
            cursor: cursor.and_then(filled),
            limit: Some(limit),
            ..ScansQuery::default()
        })
        .await
}

async fn page(state: &AppState, search: &Search) -> Result<Content, Problem> {
    let found = list(state, &search.q, &search.state, Some(&search.cursor), PAGE).await?;
    let is_filtered = !search.q.is_empty() || !search.state.is_empty();
    let main = html! {
        div.head {
            h1 { "Scans" }
            a.button href="/" { "New scan" }
        }
        div.card.results {
            form.filter method="get" action="/scans" role="search" {
                div.line {
                    label.sr for="q" { "Search in targets, commands and users" }
                    input #q type="search" name="q" value=(search.q) placeholder="Targets, commands, users, tag:prod" data-find="";
                    label.sr for="state" { "State" }
                    select #state name="state" {
                        @for (value, word) in STATES {
                            option value=(value) selected[value == search.state] { (word) }
                        }
                    }
                    button { "Search" }
                }
            }
            live-list #all-scans {
                @if found.items.is_empty() {
                    div.empty {
                        @if is_filtered {
                            h2 { "Nothing matches" }
                            p { a href="/scans" { "Show all scans" } }
                        } @else {
                            h2 { "No scans yet" }
                            p { "Every scan is kept here, with what it found. " a href="/" { "Start the first one" } "." }
                        }
                    }
                } @else {
                    form method="get" action="/compare" {
                        (table(&found.items, Picking::Yes))
                        div.bottom {
                            @if let Some(total) = found.total { span { (plural(total, "scan")) } }
                            button type="submit" { "Compare the two that are picked" }
                            @if let Some(next) = &found.next {
                                a href=(address("/scans", &[("q", &search.q), ("state", &search.state), ("cursor", next)])) { "Older scans" }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(Content::new("Scans", Section::Scans, main))
}

/// Scans as a table.
pub(super) fn table(scans: &[Scan], picking: Picking) -> Markup {
    let rows = html! {
        table.cards-s {
            thead {
                tr {
                    @if picking == Picking::Yes { th.t-pick { span.sr { "Compare" } } }
                    th { "Target" } th { "State" } th.num { "Open" } th.num { "Changes" }
                    th { "Ports" } th { "When" } th.num { "Took" }
                }
            }
            tbody { @for scan in scans { (row(scan, picking)) } }
        }
    };
    match picking {
        Picking::Yes => html! { div.wide { (rows) } },
        Picking::No => html! { div.card.wide { (rows) } },
    }
}

fn row(scan: &Scan, picking: Picking) -> Markup {
    html! {
        tr {
            @if picking == Picking::Yes {
                td.t-pick { input type="checkbox" name="scan" value=(scan.id) aria-label={ "Pick scan " (scan.id) " to compare" }; }
            }
            td.t-target {
                a href={ "/scans/" (scan.id) } { (foreign(&shorten(&scan.targets))) }
                " " span.soft.small { "#" (scan.id) }
                (tags::chips(&scan.tags, "/scans"))
            }
            td.t-state.nowrap {
                (badge(&scan.state))
                @if !scan.is_over() && scan.total > 0 { " " span.soft { (percent(share(scan.done, scan.total).min(0.99))) } }
            }
            td.t-open.num {
                @if scan.kind == Kind::Hosts { b { (plural(scan.counts.hosts, "host")) } }
                @else { b { (count(scan.counts.open)) } span.label-s { " open" } }
            }
            td.num.hide-s {
                @match (scan.previous, scan.changes) {
                    (Some(previous), Some(changes)) if changes > 0 => {
                        a href={ "/compare?from=" (previous) "&to=" (scan.id) } { (count(changes)) }
                    },
                    (Some(_), Some(_)) => span.soft { "none" },
                    _ => span.soft { "–" },
                }
            }
            td.t-ports.soft.hide-s {
                @match scan.kind {
                    Kind::Hosts => "none, hosts alone",
                    Kind::Sweep => { (foreign(&shorten(&scan.ports))) ", sweep" },
                    Kind::Scan => (foreign(&shorten(&scan.ports))),
                }
            }
            td.t-when.nowrap { (moment(scan.created)) }
            td.num.nowrap.hide-s { @match scan.elapsed_ms { Some(ms) => (span(ms)), None => span.soft { "–" } } }
        }
    }
}

/// A text that may be long, for a line.
pub(super) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}
