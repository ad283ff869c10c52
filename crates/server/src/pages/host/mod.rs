//! `/hosts/{host}`: everything known of a host, over all scans.

use portolan_model::Zoned;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use portolan_model::PortState;
use serde::Deserialize;

use super::extract::{Path, Query};
use super::layout::{Content, Look, Section};
use super::scans;
use super::tags;
use super::words::{
    address, foreign, host_address, moment, plural, port_address, product, service_name, state,
};
use crate::api::views::{Change, HostDetail, KnownPort, List, PortValue};
use crate::{AppState, Problem, TimelineQuery};

/// Changes in a page.
const CHANGES: usize = 50;

/// Where in the timeline.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    cursor: String,
}

/// `GET /hosts/{host}`
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    Path(host): Path<Zoned>,
    Query(place): Query<Place>,
) -> Response {
    look.answer(page(&state, host, &place).await)
}

async fn page(state: &AppState, host: Zoned, place: &Place) -> Result<Content, Problem> {
    let known = state.host(host).await?;
    let query = TimelineQuery {
        limit: Some(CHANGES),
        cursor: Some(place.cursor.clone()).filter(|cursor| !cursor.is_empty()),
        ..TimelineQuery::default()
    };
    let changes = state.timeline(Some(host), &query).await?;
    let main = html! {
        div.stack {
            (head(&known))
            (services(&known))
            section aria-labelledby="timeline-title" {
                div.head { h2 #timeline-title { "What changed" } }
                div.card { (timeline(host, &changes)) }
            }
            section aria-labelledby="scans-title" {
                div.head { h2 #scans-title { "Scans that found it" } }
                (scans::table(&known.scans, scans::Picking::No))
            }
        }
    };
    Ok(Content::new(host.to_string(), Section::Hosts, main))
}

fn head(known: &HostDetail) -> Markup {
    let host = &known.host;
    let open = known
        .ports
        .iter()
        .filter(|port| port.state == PortState::Open);
    html! {
        section.card {
            div.head {
                div {
                    div.title {
                        h1 { span.mono { (host.host) } }
                        @if let Some(name) = &host.name { span.soft { (foreign(name)) } }
                    }
                    p.meta {
                        span { (plural(host.open, "open port")) }
                        @if let Some(mac) = &host.mac { span { "MAC " span.mono { (mac) } } }
                        span { "first seen " (moment(host.first_seen)) }
                        span { "last seen " (moment(host.last_seen)) " by " a href={ "/scans/" (host.last_scan) } { "scan #" (host.last_scan) } }
                    }
                    (tags::editor(&host.tags, "/hosts", &host_address(&host.host)))
                }
                div.actions {
                    a.button href=(address("/", &[("target", &host.host.to_string())])) { "Scan again" }
                    a.button href=(address("/", &[("target", &host.host.to_string()), ("ports", "all")])) { "Scan all ports" }
                    a.button href={ "/scans/" (host.last_scan) "?q=host:" (host.host) } { "Last result" }
                }
            }
            ul.ports {
                @for port in open {
                    li {
                        a.chip href={ "#port-" (port.protocol.as_str()) "-" (port.port) } {
                            b { (port.port) "/" (port.protocol.as_str()) }
                            @if let Some(service) = &port.service { " " (service_name(service)) }
                        }
                    }
                }
            }
        }
    }
}

/// A card for each port that is open or answered.
fn services(known: &HostDetail) -> Markup {
    html! {
        section aria-labelledby="ports-title" {
            div.head { h2 #ports-title { "Ports now" } }
            @if known.ports.is_empty() {
                div.card.empty { h2 { "No open port is known" } p { "The last scans that asked found none." } }
            } @else {
                div.cards { @for port in &known.ports { (card(port)) } }
            }
        }
    }
}

fn card(port: &KnownPort) -> Markup {
    let text = product(port.service.as_ref());
    html! {
        article.card id={ "port-" (port.protocol.as_str()) "-" (port.port) } {
            div.head {
                h3 {
                    a.mono href=(port_address(port.last.scan, port.host, port.protocol, port.port)) {
                        (port.port) "/" (port.protocol.as_str())
                    }
                    @if let Some(service) = &port.service { " " (service_name(service)) }
                }
                (state(port.state))
            }
            @if !text.is_empty() { p { (text) } }
            p.soft.small {
                "since " (moment(port.first.at)) ", last seen " (moment(port.last.at)) ", " (port.reason.as_str())
            }
        }
    }
}

fn timeline(host: Zoned, changes: &List<Change>) -> Markup {
    html! {
        @if changes.items.is_empty() {
            p.soft { "Nothing changed yet." }
        } @else {
            ol.timeline {
                @for change in &changes.items {
                    li {
                        (moment(change.at))
                        @match change.kind.as_str() {
                            "opened" => span.plus aria-hidden="true" { "+" },
                            "closed" => span.minus aria-hidden="true" { "−" },
                            _ => span.tilde aria-hidden="true" { "~" },
                        }
                        span {
                            span.mono { (change.port) "/" (change.protocol.as_str()) } " " (change.kind) " "
                            span.soft {
                                (value(change.before.as_ref())) " → " (value(change.after.as_ref()))
                                ", " a href={ "/scans/" (change.scan) } { "scan #" (change.scan) }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = &changes.next {
                p { a href=(address(&format!("/hosts/{host}"), &[("cursor", next)])) { "Older changes" } }
            }
        }
    }
}

fn value(value: Option<&PortValue>) -> String {
    let Some(value) = value else {
        return "not known".to_owned();
    };
    let text = product(value.service.as_ref());
    if text.is_empty() {
        value.state.to_string()
    } else {
        format!("{} {text}", value.state)
    }
}
