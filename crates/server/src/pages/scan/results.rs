//! The results of a scan: a filter in words and chips, and a table in pages.

use maud::{Markup, html};

use super::super::words::{
    address, count, foreign, plural, port_address, product, said, service_name, state_class,
};
use portolan_store::query::FIELDS;

use super::{DEFAULT_QUERY, View};
use crate::api::views::{List, ResultItem, Scan};
use crate::{AppState, Problem, ResultsQuery};

/// Rows in a page without scripts.
const PAGE: usize = 100;

/// Columns: the key to sort by, the class, the head.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("host", "c-host", "Host"),
    ("port", "c-port", "Port"),
    ("protocol", "c-proto", "Protocol"),
    ("state", "c-state", "State"),
    ("reason", "c-reason", "Reason"),
    ("service", "c-service", "Service"),
    ("product", "c-product", "Product"),
    ("time", "c-time", "Time"),
];

/// The results that the address asks for.
pub(super) async fn render(state: &AppState, scan: &Scan, view: &View) -> Result<Markup, Problem> {
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let found = state
        .results(
            scan.id,
            &ResultsQuery {
                q: Some(view.query().to_owned()),
                sort: filled(sort_key(scan, view)),
                order: filled(&view.order),
                cursor: filled(&view.cursor),
                limit: Some(PAGE),
                count: Some(true),
                ..ResultsQuery::default()
            },
        )
        .await;
    // A query that cannot be read is said where it stands, on the page.
    let (found, wrong) = match found {
        Ok(found) => (found, None),
        Err(problem) => match problem.errors.iter().find(|error| error.field == "q") {
            Some(error) => {
                let place = error.offset.map_or_else(String::new, |offset| {
                    format!(", at character {}", offset + 1)
                });
                let hint = error
                    .hint
                    .as_ref()
                    .map_or_else(String::new, |hint| format!(": {hint}"));
                (
                    List::whole(Vec::new()),
                    Some(format!("{}{place}{hint}", error.message)),
                )
            }
            None => return Err(problem),
        },
    };
    Ok(section(scan, view, &found, wrong.as_deref()))
}

fn section(scan: &Scan, view: &View, found: &List<ResultItem>, wrong: Option<&str>) -> Markup {
    let path = format!("/scans/{}", scan.id);
    let plain = if view.is_plain() { "1" } else { "" };
    let known = known(scan);
    html! {
        section.card.results.waits[found.items.is_empty() && !scan.is_over() && !view.is_plain()] aria-label="Results" {
            (filter(scan, view, wrong))
            result-table data-sort=(sort_key(scan, view)) data-order=(view.order) hidden[found.items.is_empty() && scan.is_over()] {
                div.scroller.wide tabindex=[view.is_plain().then_some("0")] {
                    table aria-label="Results" {
                        thead { tr { @for (key, class, head) in COLUMNS { (column(&path, view, sort_key(scan, view), (key, class, head))) } } }
                        tbody { @for item in &found.items { (row(scan.id, item)) } }
                    }
                }
            }
            div #nothing.empty hidden[!found.items.is_empty()] {
                @let (title, text) = nothing(scan, view);
                h2 { (title) }
                p { (text) }
                a.button href=(format!("{path}?q=")) data-clear="" hidden[known == 0] { "Show all results" }
            }
            div.bottom {
                span #shown {
                    @match found.total {
                        Some(total) => { (count(total)) " of " (plural(known.max(total), "result")) },
                        None => (plural(found.items.len() as u64, "result")),
                    }
                }
                @if let Some(next) = &found.next {
                    a.nextpage href=(address(&path, &[
                        ("q", view.query()), ("sort", sort_key(scan, view)), ("order", &view.order), ("plain", plain), ("cursor", next),
                    ])) { "Next page" }
                }
                @if view.is_plain() {
                    a href=(address(&path, &[("q", view.query())])) { "Live table" }
                } @else {
                    a data-query="" href=(address(&path, &[("q", view.query()), ("plain", "1")])) { "As plain pages" }
                }
            }
        }
    }
}

/// What stands in the place of an empty table: a title and a sentence. Scripts say the same.
fn nothing(scan: &Scan, view: &View) -> (String, String) {
    let (counts, known) = (&scan.counts, known(scan));
    let is_over = scan.is_over();
    if known > 0 && view.query() != DEFAULT_QUERY {
        return (
            format!("Nothing matches {}", foreign(view.query())),
            format!("{} without this filter.", plural(known, "result")),
        );
    }
    let title = match scan.state.as_str() {
        "cancelled" | "interrupted" => "No open port in what was asked",
        _ if is_over => "No open port",
        _ => "No open port yet",
    };
    let states = [
        (counts.closed, "closed"),
        (counts.filtered, "filtered"),
        (counts.open_filtered, "open|filtered"),
    ];
    let states = states.iter().filter(|(number, _)| *number > 0);
    let states: Vec<_> = states
        .map(|(number, state)| format!("{} {state}", count(*number)))
        .collect();
    let text = match (known, is_over) {
        (0, true) => "No port of these targets answered.".to_owned(),
        (0, false) => "Ports appear here as soon as they answer.".to_owned(),
        (_, true) => {
            let hosts = match counts.hosts {
                0 | 1 => String::new(),
                hosts => format!(" of {}", plural(hosts, "host")),
            };
            let ports = plural(known, "port");
            format!("Looked at {ports}{hosts}: {}.", states.join(", "))
        }
        (_, false) => format!(
            "{} settled so far: {}.",
            plural(known, "port"),
            states.join(", ")
        ),
    };
    (title.to_owned(), text)
}

/// How many results there are without a filter.
fn known(scan: &Scan) -> u64 {
    let counts = &scan.counts;
    counts.open + counts.closed + counts.filtered + counts.open_filtered
}

/// What the results are sorted by. Where the silent ports of a scan by UDP are shown with the open
/// ones, those that answered come first.
fn sort_key<'a>(scan: &Scan, view: &'a View) -> &'a str {
    match view.sort.as_str() {
        "" if scan.technique.contains("udp") => "state",
        "" => "host",
        sort => sort,
    }
}

fn filter(scan: &Scan, view: &View, wrong: Option<&str>) -> Markup {
    let counts = &scan.counts;
    let states = [
        ("open", counts.open),
        ("closed", counts.closed),
        ("filtered", counts.filtered),
        ("open|filtered", counts.open_filtered),
    ];
    let path = format!("/scans/{}", scan.id);
    html! {
        div.filter {
            form method="get" action=(path) role="search" {
                div.line {
                    query-box {
                        label.sr for="query" { "Filter" }
                        input #query type="search" name="q" value=(view.query()) data-find="" autocomplete="off" autocapitalize="off" spellcheck="false"
                            placeholder="port:22,80 service:http -host:10.0.0.1 \"free text\""
                            aria-describedby="query-error" aria-invalid=[wrong.map(|_| "true")];
                    }
                    @if view.is_plain() { input type="hidden" name="plain" value="1"; }
                    button { "Filter" }
                    details.menu {
                        summary { "Fields" }
                        div {
                            dl.facts { @for (field, takes) in FIELDS { dt { code { (field) ":" } } dd { (takes) } } }
                            p.soft.small { "Terms must all hold, commas join alternatives, " code { "-" } " turns a term round." }
                        }
                    }
                }
            }
            p #query-error.error role="status" { @if let Some(wrong) = wrong { (said(wrong)) } }
            ul.chips aria-label="States" {
                @for (state, number) in states {
                    li hidden[number == 0 && state != "open"] {
                        a.chip data-field="state" data-value=(state) href=(address(&path, &[("q", &format!("state:{state}"))]))
                            aria-current=[is_chosen(view.query(), state).then_some("true")] {
                            span class={ "state " (class_of(state)) } { (state) } " " b { (count(number)) }
                        }
                    }
                }
                // Of a target that was never scanned before, everything would be new.
                @if scan.previous.is_some() {
                    li {
                        a.chip data-field="new" data-value="true" href=(address(&path, &[("q", "new:true")]))
                            aria-current=[view.query().split_whitespace().any(|term| term == "new:true").then_some("true")] {
                            "new " b {}
                        }
                    }
                }
                li hidden[scan.counts.hosts < 2] data-group="" {
                    label.chip {
                        input type="checkbox" name="group";
                        "Group by host"
                    }
                }
            }
            ul.chips data-chips="service" aria-label="Services" hidden {}
            ul.chips data-chips="host" aria-label="Hosts" hidden {}
        }
    }
}

fn class_of(state: &str) -> &'static str {
    state.parse().map_or("", state_class)
}

/// Whether the query asks for this state by name.
fn is_chosen(query: &str, state: &str) -> bool {
    query
        .split_whitespace()
        .filter_map(|term| term.strip_prefix("state:"))
        .any(|values| values.split(',').any(|value| value == state))
}

fn column(
    path: &str,
    view: &View,
    sorted_by: &str,
    (key, class, head): (&str, &str, &str),
) -> Markup {
    let is_sorted = sorted_by == key;
    let is_down = is_sorted && view.order == "desc";
    let order = if is_sorted && !is_down { "desc" } else { "" };
    let sort = match (is_sorted, is_down) {
        (false, _) => "none",
        (true, false) => "ascending",
        (true, true) => "descending",
    };
    let plain = if view.is_plain() { "1" } else { "" };
    html! {
        th class=(class) data-key=(key) scope="col" aria-sort=(sort) {
            a href=(address(path, &[("q", view.query()), ("sort", key), ("order", order), ("plain", plain)])) { (head) }
        }
    }
}

fn row(scan: i64, item: &ResultItem) -> Markup {
    let service = item.service.as_ref();
    html! {
        tr {
            td.c-host.mono { (item.host) @if let Some(name) = &item.name { " " (foreign(name)) } }
            td.c-port.mono { a href=(port_address(scan, item.host, item.protocol, item.port)) { (item.port) } }
            td.c-proto { (item.protocol.as_str()) }
            td class={ "c-state state " (state_class(item.state)) } { (item.state.as_str()) }
            td.c-reason { (item.reason.as_str()) }
            td.c-service { (service.map(service_name).unwrap_or_default()) }
            td.c-product { (product(service)) }
            td.c-time { (item.at.strftime("%H:%M:%S").to_string()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chips_of_the_default_query_are_the_states_it_names() {
        assert!(is_chosen(DEFAULT_QUERY, "open"));
        assert!(is_chosen(DEFAULT_QUERY, "open|filtered"));
        assert!(!is_chosen(DEFAULT_QUERY, "filtered"));
        assert!(!is_chosen("-state:open", "open"));
    }
}
