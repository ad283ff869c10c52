//! `/hosts`: every host that a scan ever found.

use axum::extract::State;
use axum::response::Response;
use maud::html;
use serde::Deserialize;

use super::extract::Query;
use super::layout::{Content, Look, Section};
use super::tags;
use super::words::{address, count, foreign, host_address, moment};
use crate::{AppState, HostsQuery, Problem};

/// Hosts in a page.
const PAGE: usize = 100;

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    q: String,
    open: String,
    cursor: String,
}

/// `GET /hosts`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Query(search): Query<Search>,
) -> Response {
    look.answer(page(&state, &search).await)
}

async fn page(state: &AppState, search: &Search) -> Result<Content, Problem> {
    let text = search.q.trim();
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let found = state
        .hosts(&HostsQuery {
            q: filled(text),
            open: (!search.open.is_empty()).then_some(true),
            limit: Some(PAGE),
            cursor: filled(&search.cursor),
            ..HostsQuery::default()
        })
        .await?;
    let is_filtered = !text.is_empty() || !search.open.is_empty();
    let main = html! {
        div.head { h1 { "Hosts" } a.button href="/" { "New scan" } }
        div.card.results {
            form.filter method="get" action="/hosts" role="search" {
                div.line {
                    label.sr for="q" { "Search by name or network" }
                    input #q type="search" name="q" value=(search.q) placeholder="Name, network 10.0.0.0/24, tag:prod" data-find="";
                    label.chip {
                        input type="checkbox" name="open" value="1" checked[!search.open.is_empty()];
                        "open ports only"
                    }
                    button { "Search" }
                }
            }
            @if found.items.is_empty() {
                div.empty {
                    @if is_filtered {
                        h2 { "Nothing matches" }
                        p { a href="/hosts" { "Show all hosts" } }
                    } @else {
                        h2 { "No hosts yet" }
                        p { "What scans find is gathered here, host by host. " a href="/" { "Start a scan" } "." }
                    }
                }
            } @else {
                form method="post" action="/hosts/tags" {
                input type="hidden" name="q" value=(text);
                div.wide {
                    table.cards-s {
                        thead { tr { th.t-pick { span.sr { "Pick" } } th { "Host" } th.num { "Open ports" } th { "First seen" } th { "Last seen" } th { "By" } } }
                        tbody {
                            @for host in &found.items {
                                tr {
                                    td.t-pick { input type="checkbox" name="host" value=(host.host) aria-label={ "Pick " (host.host) " to tag" }; }
                                    td.t-target {
                                        a.mono href=(host_address(&host.host)) { (host.host) }
                                        @if let Some(name) = &host.name { " " span.soft { (foreign(name)) } }
                                        (tags::chips(&host.tags, "/hosts"))
                                    }
                                    td.t-state.num { b { (count(host.open)) } span.label-s { " open" } }
                                    td.nowrap.hide-s { (moment(host.first_seen)) }
                                    td.t-when.nowrap { (moment(host.last_seen)) }
                                    td.t-open.nowrap { a href={ "/scans/" (host.last_scan) } { "scan #" (host.last_scan) } }
                                }
                            }
                        }
                    }
                }
                div.bottom {
                    span { (count(found.items.len() as u64)) " shown" }
                    span.actions {
                        label.sr for="put" { "Tag for the hosts that are picked" }
                        input #put type="text" name="put" maxlength="40" required placeholder="Tag" autocomplete="off" autocapitalize="off" spellcheck="false";
                        button { "Tag" }
                        button name="take" value="yes" { "Untag" }
                    }
                    @if let Some(next) = &found.next {
                        a href=(address("/hosts", &[("q", &search.q), ("open", &search.open), ("cursor", next)])) { "Next page" }
                    }
                }
                }
            }
        }
    };
    Ok(Content::new("Hosts", Section::Hosts, main))
}
