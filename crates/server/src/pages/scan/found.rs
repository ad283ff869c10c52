//! The hosts that a scan found which looked for nothing else.

use maud::{Markup, html};

use super::super::words::{address, foreign, moment, plural, reason, round_trip};
use super::View;
use crate::api::views::{List, Scan, ScanHost};
use crate::{AppState, PageQuery, Problem};

/// Hosts in a page.
const PAGE: usize = 250;

/// The hosts, by address.
pub(super) async fn render(state: &AppState, scan: &Scan, view: &View) -> Result<Markup, Problem> {
    let query = PageQuery {
        limit: Some(PAGE),
        cursor: Some(view.cursor.clone()).filter(|cursor| !cursor.is_empty()),
    };
    let found = state.scan_hosts(scan.id, &query).await?;
    Ok(html! {
        section #found.card.results aria-label="Hosts" {
            @if found.items.is_empty() {
                (nothing(scan))
            } @else {
                (table(&found))
                div.bottom {
                    span { (plural(scan.counts.hosts, "host")) }
                    @if let Some(next) = &found.next {
                        a href=(address(&format!("/scans/{}", scan.id), &[("cursor", next)])) { "Next page" }
                    }
                }
            }
        }
    })
}

fn nothing(scan: &Scan) -> Markup {
    html! {
        div.empty {
            @if scan.is_over() {
                h2 { "No host answered" }
                p { "A host behind a firewall may be silent to everything that was tried. Scanned with \"ask every port of every address\", it shows the ports that the firewall lets through." }
            } @else {
                h2 { "No host found yet" }
                p { "Hosts appear here as soon as they answer." }
            }
        }
    }
}

fn table(found: &List<ScanHost>) -> Markup {
    let has_mac = found.items.iter().any(|host| host.mac.is_some());
    html! {
        div.wide {
            table.cards-s {
                thead {
                    tr {
                        th { "Host" }
                        @if has_mac { th { "MAC address" } }
                        th { "How it is known" } th.num { "Round trip" } th { "Seen" }
                    }
                }
                tbody {
                    @for host in &found.items {
                        tr {
                            td.t-target {
                                a.mono href={ "/hosts/" (host.host) } { (host.host) }
                                @for name in &host.names { " " span.soft { (foreign(&name.name)) } }
                            }
                            @if has_mac { td.mono.hide-s { (host.mac.as_deref().unwrap_or("–")) } }
                            td.t-when { (reason(host.reason)) }
                            td.t-state.num.nowrap { (host.rtt_ms.map_or_else(|| "–".to_owned(), round_trip)) }
                            td.t-open.nowrap.hide-s { (moment(host.last)) }
                        }
                    }
                }
            }
        }
    }
}
