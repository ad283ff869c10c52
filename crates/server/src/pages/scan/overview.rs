//! The overview of a network: its hosts against the ports that are open on any of them.

use portolan_model::Zoned;
use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use portolan_model::{Protocol, services};

use super::super::words::{count, foreign, host_address, plural, port_address};
use crate::api::views::{ResultItem, Scan};
use crate::{AppState, PageQuery, Problem, ResultsQuery};

/// Open ports that are read for it.
const READ: usize = 5000;

/// Columns: the ports that most hosts have open.
const PORTS: usize = 24;

/// Rows.
const HOSTS: usize = 256;

/// The overview; nothing for a scan of one host.
pub(super) async fn render(state: &AppState, scan: &Scan) -> Result<Markup, Problem> {
    if scan.counts.hosts < 2 {
        return Ok(html! { section #overview {} });
    }
    let open = state
        .results(
            scan.id,
            &ResultsQuery {
                q: Some("state:open".to_owned()),
                limit: Some(READ),
                ..ResultsQuery::default()
            },
        )
        .await?;
    let hosts = state
        .scan_hosts(
            scan.id,
            &PageQuery {
                limit: Some(HOSTS),
                ..PageQuery::default()
            },
        )
        .await?;
    if open.items.is_empty() {
        return Ok(html! {
            section #overview aria-labelledby="overview-title" {
                div.head { h2 #overview-title { (plural(scan.counts.hosts, "host")) " answered, none with an open port" } }
                ul.chips {
                    @for host in &hosts.items { li { a.chip.mono href={ "/hosts/" (host.host) } { (host.host) } } }
                    @if hosts.next.is_some() { li.soft { "and others" } }
                }
            }
        });
    }
    let columns = columns(&open.items);
    let cells: BTreeSet<(Zoned, Protocol, u16)> = open
        .items
        .iter()
        .map(|item| (item.host, item.protocol, item.port))
        .collect();
    Ok(html! {
        section #overview aria-labelledby="overview-title" {
            div.head { h2 #overview-title { "Hosts and their open ports" } span.soft { (plural(scan.counts.hosts, "host")) } }
            div.card.wide.fit tabindex="0" role="region" aria-label="Table of hosts and open ports" {
                table.overview {
                    thead {
                        tr {
                            th scope="col" { "Host" }
                            th.num scope="col" { "Open" }
                            @for &(protocol, port) in &columns {
                                th.rot scope="col" title=[services::name(port, protocol)] {
                                    (port) @if protocol == Protocol::Udp { "/udp" }
                                }
                            }
                        }
                    }
                    tbody {
                        @for host in hosts.items.iter().filter(|host| host.counts.open > 0) {
                            tr {
                                th scope="row" {
                                    a.mono href=(host_address(&host.host)) { (host.host) }
                                    @if let Some(name) = host.names.first() { " " span.soft { (foreign(&name.name)) } }
                                }
                                td.num { (count(host.counts.open)) }
                                @for &(protocol, port) in &columns {
                                    td {
                                        @if cells.contains(&(host.host, protocol, port)) {
                                            a.state.open href=(port_address(scan.id, host.host, protocol, port)) {
                                                span.sr { (port) " open" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @let silent = hosts.items.iter().filter(|host| host.counts.open == 0).count() as u64;
            @if silent > 0 { p.soft.small { (plural(silent, "more host")) " answered, with no open port." } }
            @if hosts.next.is_some() { p.soft.small { "The first " (HOSTS) " hosts; the filter above finds the others." } }
        }
    })
}

/// The ports that most hosts have open, in the order of their numbers.
fn columns(open: &[ResultItem]) -> Vec<(Protocol, u16)> {
    let mut hosts: BTreeMap<(Protocol, u16), usize> = BTreeMap::new();
    for item in open {
        *hosts.entry((item.protocol, item.port)).or_default() += 1;
    }
    let mut ports: Vec<_> = hosts.into_iter().collect();
    ports.sort_by_key(|&(place, hosts)| (std::cmp::Reverse(hosts), place));
    let mut columns: Vec<_> = ports
        .into_iter()
        .take(PORTS)
        .map(|(place, _)| place)
        .collect();
    columns.sort_unstable();
    columns
}
