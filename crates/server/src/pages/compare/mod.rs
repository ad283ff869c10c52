//! `/compare`: what changed from one scan to another, in the words of `portolan diff`.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};
use portolan_model::{PortState, Service, Zoned};
use portolan_report::Diff;
use portolan_report::diff::{Change, HostChange};

use super::layout::{Content, Look, Section, capital};
use super::scans;
use super::words::{count, foreign, host_address, moment, plural, product};
use crate::api::views::{self, Scan};
use crate::{AppState, Problem};

/// Scans to choose from.
const CHOICES: usize = 100;

/// `GET /compare?from=1&to=2`, or `?scan=1&scan=2` for two picked in any order.
pub(super) async fn show(
    State(state): State<AppState>,
    look: Look,
    RawQuery(query): RawQuery,
) -> Response {
    look.answer(page(&state, query.as_deref().unwrap_or_default()).await)
}

/// The two scans that an address names, and how many were picked.
fn picked(query: &str) -> (Option<i64>, Option<i64>, usize) {
    let mut from = None;
    let mut to = None;
    let mut scans = Vec::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value.parse()) {
            ("from", Ok(id)) => from = Some(id),
            ("to", Ok(id)) => to = Some(id),
            ("scan", Ok(id)) => scans.push(id),
            _ => {}
        }
    }
    scans.sort_unstable();
    if let [first, second, ..] = scans[..] {
        (from, to) = (Some(first), Some(second));
    }
    (from, to, scans.len())
}

async fn page(state: &AppState, query: &str) -> Result<Content, Problem> {
    let (from, to, count) = picked(query);
    let known = scans::list(state, "", "", None, CHOICES).await?;
    // Said of one scan alone, "compare" means with the one of the same targets before it.
    let from = match (from, to) {
        (None, Some(to)) => state.scan(to).await?.previous,
        (from, _) => from,
    };
    let result = match (from, to) {
        (Some(from), Some(to)) if from != to => {
            let (old, new) = (state.scan(from).await?, state.scan(to).await?);
            let diff = state.diff(from, to).await?;
            Some((old, new, diff))
        }
        _ => None,
    };
    let main = html! {
        div.stack {
            h1 { "Compare" }
            @if count == 1 || count > 2 { p.note.warn { "Pick two scans: " (count) " were picked." } }
            form.card.no-print method="get" action="/compare" {
                div.grid3 {
                    (choice("from", "Earlier scan", from, &known.items))
                    (choice("to", "Later scan", to, &known.items))
                }
                div.actions {
                    button.main type="submit" { "Compare" }
                    @if let (Some(from), Some(to)) = (from, to) {
                        a.button href={ "/compare?from=" (to) "&to=" (from) } { "Swap" }
                    }
                }
            }
            @match &result {
                Some((old, new, diff)) => (changes(old, new, diff)),
                None if known.items.len() < 2 => {
                    div.card.empty { h2 { "Two scans are needed" } p { "Scan the same targets again later, and see here what changed. " a href="/" { "Start a scan" } "." } }
                },
                None => { p.soft { "Choose two scans. Of two scans of the same targets, only what both asked is compared." } },
            }
        }
    };
    Ok(Content::new("Compare", Section::Compare, main))
}

fn choice(name: &str, label: &str, chosen: Option<i64>, known: &[Scan]) -> Markup {
    let is_listed = known.iter().any(|scan| Some(scan.id) == chosen);
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "Choose…" }
                @if let Some(id) = chosen.filter(|_| !is_listed) { option value=(id) selected { "#" (id) } }
                @for scan in known {
                    option value=(scan.id) selected[Some(scan.id) == chosen] {
                        "#" (scan.id) " · " (foreign(&scans::shorten(&scan.targets))) " · " (foreign(&scans::shorten(&scan.ports))) " · " (scan.created.strftime("%Y-%m-%d %H:%M").to_string())
                    }
                }
            }
        }
    }
}

/// The changes in a sentence: "2 ports opened, 1 host gone".
fn summary(diff: &Diff) -> String {
    let of = |kind: Change| diff.ports.iter().filter(|port| port.change == kind).count() as u64;
    let parts = [
        (of(Change::Opened), "port", "opened"),
        (of(Change::Closed), "port", "closed"),
        (of(Change::Changed), "port", "changed otherwise"),
        (diff.services.len() as u64, "service", "changed"),
        (diff.come.len() as u64, "host", "new"),
        (diff.gone.len() as u64, "host", "gone"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(number, _, _)| *number > 0)
        .map(|(number, what, how)| format!("{} {how}", plural(*number, what)))
        .collect();
    if said.is_empty() {
        "Nothing changed, as far as the two can be compared".to_owned()
    } else {
        capital(&said.join(", "))
    }
}

/// How much is in only one of the scans and says nothing: ": 3 hosts, 12 open ports".
fn uncompared(diff: &Diff) -> String {
    let parts = [
        (diff.hosts_not_compared as u64, "host"),
        (diff.ports_not_compared as u64, "open port"),
    ];
    let said = parts.iter().filter(|(number, _)| *number > 0);
    let mut said: Vec<String> = said.map(|(number, what)| plural(*number, what)).collect();
    match u64::try_from(diff.addresses_not_reached).unwrap_or(u64::MAX) {
        0 => {}
        1 => said.push("1 address not reached".to_owned()),
        many => said.push(format!("{} addresses not reached", count(many))),
    }
    if said.is_empty() {
        String::new()
    } else {
        format!(": {}", said.join(", "))
    }
}

/// One change of a port, as it is shown.
struct Line {
    sign: &'static str,
    class: &'static str,
    port: String,
    what: String,
}

fn changes(old: &Scan, new: &Scan, diff: &Diff) -> Markup {
    let mut hosts: BTreeMap<&Zoned, (Option<String>, Vec<Line>)> = BTreeMap::new();
    for port in &diff.ports {
        let state = |state: Option<PortState>| {
            state.map_or_else(|| "not open".to_owned(), |state| state.to_string())
        };
        let (sign, class, word) = match port.change {
            Change::Opened => ("+", "plus", "opened"),
            Change::Closed => ("−", "minus", "closed"),
            Change::Changed => ("~", "tilde", "changed"),
        };
        let host = hosts
            .entry(&port.address)
            .or_insert_with(|| (port.name.clone(), Vec::new()));
        host.1.push(Line {
            sign,
            class,
            port: format!(
                "{}/{} {}",
                port.port.port,
                port.port.protocol,
                foreign(&port.port.service)
            ),
            what: format!("{word}: {} → {}", state(port.old), state(port.new)),
        });
    }
    for change in &diff.services {
        let host = hosts
            .entry(&change.address)
            .or_insert_with(|| (change.name.clone(), Vec::new()));
        host.1.push(Line {
            sign: "~",
            class: "tilde",
            port: format!("{}/{}", change.port, change.protocol),
            what: format!(
                "service changed: {} → {}",
                named(&change.old),
                named(&change.new)
            ),
        });
    }
    html! {
        section.card aria-labelledby="diff-title" {
            div.head {
                div {
                    h2 #diff-title { (summary(diff)) "." }
                    p.meta {
                        span { "from " a href={ "/scans/" (old.id) } { "#" (old.id) " " (foreign(&scans::shorten(&old.targets))) } " " (moment(old.created)) }
                        span { "to " a href={ "/scans/" (new.id) } { "#" (new.id) " " (foreign(&scans::shorten(&new.targets))) } " " (moment(new.created)) }
                    }
                }
                details.menu data-export="" {
                    summary { "Export" }
                    div {
                        @for (format, word) in [("text", "Text"), ("markdown", "Markdown"), ("json", "JSON")] {
                            a href={ "/api/v1/diff?from=" (old.id) "&to=" (new.id) "&format=" (format) } { (word) }
                        }
                        p { copy-button data-text={ "portolan diff " (old.id) " " (new.id) } data-label="Copy as shell command" {} }
                    }
                }
            }
            @for (address, (name, lines)) in &hosts {
                details open[hosts.len() <= 20] {
                    summary {
                        span.mono { (address) }
                        @if let Some(name) = name { " " (foreign(name)) }
                        " – " (plural(lines.len() as u64, "change"))
                    }
                    p { a.button.quiet href=(host_address(address)) { "Everything known of " (address) } }
                    table.diff {
                        tbody {
                            @for line in lines {
                                tr {
                                    td class=(line.class) { (line.sign) }
                                    td.mono.nowrap { (line.port) }
                                    td { (line.what) }
                                }
                            }
                        }
                    }
                }
            }
            (host_changes("New hosts", "plus", "+", &diff.come))
            (host_changes("Hosts gone", "minus", "−", &diff.gone))
            @if !diff.not_compared.is_empty() {
                h3.label { "Not compared" (uncompared(diff)) }
                ul.soft { @for line in &diff.not_compared { li { (foreign(line)) } } }
            }
        }
    }
}

fn host_changes(title: &str, class: &str, sign: &str, hosts: &[HostChange]) -> Markup {
    html! {
        @if !hosts.is_empty() {
            h3.label { (title) }
            table.diff {
                tbody {
                    @for host in hosts {
                        tr {
                            td class=(class) { (sign) }
                            td {
                                a.mono href=(host_address(&host.address)) { (host.address) }
                                @if let Some(name) = &host.name { " " (foreign(name)) }
                            }
                            td {
                                @for port in &host.open { span.mono { (port.port) "/" (port.protocol.as_str()) } " " (foreign(&port.service)) "  " }
                                @if host.open.is_empty() { span.soft { "no open ports" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn named(service: &Service) -> String {
    let text = product(Some(&views::Service::from(service.clone())));
    if text.is_empty() {
        foreign(&service.name)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_picked_scans_are_compared_from_the_earlier_to_the_later() {
        assert_eq!(picked("scan=7&scan=3"), (Some(3), Some(7), 2));
        assert_eq!(picked("from=2&to=9"), (Some(2), Some(9), 0));
        assert_eq!(picked("to=9&from="), (None, Some(9), 0));
        assert_eq!(picked("scan=4"), (None, None, 1));
    }

    #[test]
    fn no_change_is_said_with_what_it_rests_on() {
        let said = summary(&Diff::default());
        assert_eq!(said, "Nothing changed, as far as the two can be compared");
    }
}
