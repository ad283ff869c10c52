//! `/scans/{id}/ports/{host}/{protocol}/{port}`: everything known of one port.

use std::net::IpAddr;

use portolan_model::Zoned;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use portolan_model::{PortState, Protocol};

use super::super::layout::{Content, Look, Section};
use super::super::words::{
    badge, count, foreign, host_address, moment, product, reason, round_trip, service_name, state,
    whole_moment,
};
use crate::api::views::{KnownPort, ResultItem, Service};
use crate::pages::extract::Path;
use crate::{AppState, Problem, ResultsQuery};

/// `GET /scans/{id}/ports/{host}/{protocol}/{port}`
pub(in crate::pages) async fn show(
    State(state): State<AppState>,
    look: Look,
    Path(place): Path<(i64, Zoned, String, u16)>,
) -> Response {
    look.answer(page(&state, place).await)
}

async fn page(
    state: &AppState,
    (id, host, protocol, port): (i64, Zoned, String, u16),
) -> Result<Content, Problem> {
    let protocol: Protocol = protocol
        .parse()
        .map_err(|error| Problem::not_found(format!("{error}")))?;
    let found = state
        .results(
            id,
            &ResultsQuery {
                q: Some(format!("host:{host} port:{port} proto:{protocol}")),
                limit: Some(1),
                ..ResultsQuery::default()
            },
        )
        .await?;
    let Some(item) = found.items.into_iter().next() else {
        return Err(Problem::not_found(format!(
            "scan {id} did not report {port}/{protocol} of {host}"
        ))
        .with_hint("it may not have been asked; look at the scan's ports"));
    };
    let history = state.port_history(host, protocol, port).await?;
    let main = html! {
        p { a href={ "/scans/" (id) } { "Scan #" (id) } }
        (detail(&item, &history))
    };
    Ok(Content::new(
        format!("{port}/{protocol} of {host}"),
        Section::Scans,
        main,
    ))
}

/// What is known; scripts show the same beside the table.
fn detail(item: &ResultItem, history: &[KnownPort]) -> Markup {
    html! {
        div.stack data-part="port" {
            div.title {
                h1 { span.mono { (item.port) "/" (item.protocol.as_str()) } }
                (state(item.state))
            }
            p.meta {
                span { "of " a.mono href=(host_address(&item.host)) { (item.host) } }
                @if let Some(name) = &item.name { span { (foreign(name)) } }
            }
            section.card {
                dl.facts {
                    dt { "Reason" } dd { (item.reason.as_str()) span.soft { " – " (reason(item.reason)) } }
                    @if let Some(ms) = item.rtt_ms { dt { "Round trip" } dd { (round_trip(ms)) } }
                    @if let Some(ttl) = item.ttl { dt { "TTL" } dd { (ttl) } }
                    dt { "Found" } dd { (whole_moment(item.at)) }
                    @if let Some(service) = &item.service { (service_facts(service)) }
                }
            }
            @if item.state == PortState::Open { (commands(item)) }
            (past(history))
        }
    }
}

fn service_facts(service: &Service) -> Markup {
    let is_guess = service.method == "table";
    let line = |name: &str, value: Option<&String>| {
        html! { @if let Some(value) = value { dt { (name) } dd { (foreign(value)) } } }
    };
    html! {
        dt { "Service" }
        dd {
            (foreign(&service.name))
            span.soft {
                @if is_guess { " – a guess by the port's number" }
                @else { " – it said so; sure to " (service.confidence) " of 10" }
            }
        }
        @if service.tls { dt { "TLS" } dd { "yes" } }
        (line("Product", service.product.as_ref()))
        (line("Version", service.version.as_ref()))
        (line("System", service.os.as_ref()))
        (line("Calls itself", service.hostname.as_ref()))
        @if service.hidden && service.version.is_none() { dt { "Version" } dd { "hidden by design" } }
        (line("Device", service.device.as_ref()))
        @for cpe in &service.cpe { dt { "CPE" } dd.mono { (foreign(cpe)) } }
        @if let Some(extra) = &service.extra { dt { "It said" } dd { pre.banner { (foreign(extra)) } } }
        @for (name, value) in &service.facts { dt { (foreign(name)) } dd { (foreign(value)) } }
        @if let Some(evidence) = &service.evidence {
            dt { "Rests on" }
            dd {
                @match &evidence.rule {
                    Some(rule) => { "the rule " span.mono { (foreign(rule)) } },
                    None => { "no rule takes its answer" },
                }
                @match evidence.probe.as_deref() {
                    Some("banner") => span.soft { " – it spoke first" },
                    Some(probe) => span.soft { " – its answer to the probe " (foreign(probe)) },
                    None => {},
                }
                pre.banner { (foreign(&evidence.bytes)) }
            }
        }
    }
}

/// How to go and look, ready to copy.
fn commands(item: &ResultItem) -> Markup {
    let host = match item.host.address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(_) => format!("[{}]", item.host),
    };
    let (name, tls) = item
        .service
        .as_ref()
        .map_or(("", false), |service| (service.name.as_str(), service.tls));
    let command = match name {
        "ssh" => format!("ssh -p {} {}", item.port, item.host),
        "https" | "https-alt" => format!("curl -kI https://{host}:{}/", item.port),
        "http" | "http-alt" | "http-proxy" if tls => {
            format!("curl -kI https://{host}:{}/", item.port)
        }
        "http" | "http-alt" | "http-proxy" => format!("curl -I http://{host}:{}/", item.port),
        _ if tls => format!("openssl s_client -connect {host}:{}", item.port),
        _ => format!("nc -v {} {}", item.host, item.port),
    };
    html! {
        section {
            h2 { "Look for yourself" }
            div.command {
                pre { (command) }
                copy-button data-text=(command) data-name="Copy the command" {}
            }
        }
    }
}

/// The same port over all scans.
fn past(history: &[KnownPort]) -> Markup {
    html! {
        section {
            h2 { "Over all scans" }
            @if history.is_empty() {
                p.soft { "No earlier scan found this port open." }
            } @else {
                div.card.wide {
                    table {
                        thead { tr { th { "State" } th { "From" } th { "To" } th { "Service" } } }
                        tbody {
                            @for span in history {
                                tr {
                                    td { (state(span.state)) }
                                    td {
                                        a href={ "/scans/" (span.first.scan) } { (moment(span.first.at)) }
                                        @if let Some(before) = span.before { " " span.soft { (before.as_str()) " before" } }
                                    }
                                    td {
                                        @match &span.end {
                                            Some(end) => {
                                                a href={ "/scans/" (end.scan) } { (moment(end.at)) }
                                                " " span.soft { "then " (end.state.as_str()) }
                                            },
                                            None => { (badge("now")) " " span.soft { "last seen by scan " (count(u64::try_from(span.last.scan).unwrap_or(0))) } },
                                        }
                                    }
                                    td {
                                        @let text = product(span.service.as_ref());
                                        @if text.is_empty() {
                                            (span.service.as_ref().map(service_name).unwrap_or_default())
                                        } @else { (text) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
