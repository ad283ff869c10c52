//! The head of a scan's page: its state, what can be done to it, and its figures.

use maud::{Markup, html};
use portolan_model::Target;

use super::super::scans::shorten;
use super::super::start::Fields;
use super::super::tags;
use super::super::words::{
    badge, count, foreign, missed as missed_ports, moment, percent, plural, round_trip, share, span,
};
use super::DEFAULT_QUERY;
use crate::api::views::{Kind, Phase, Scan};

/// Formats of the shell, with the words for them.
const FORMATS: [(&str, &str, &str); 7] = [
    ("csv", "CSV", "spreadsheets"),
    ("jsonl", "JSON lines", "programs"),
    ("xml", "XML", "what reads nmap's"),
    ("grepable", "Grepable", "grep and awk"),
    ("normal", "Text", "people"),
    ("markdown", "Markdown", "tickets"),
    ("html", "HTML", "one file to pass on"),
];

/// The head; scripts fetch it anew when the state changes.
pub(super) fn render(scan: &Scan) -> Markup {
    html! {
        section #scan-head.card.stack-head aria-label="Scan" {
            div.head {
                div {
                    div.title {
                        h1 { (foreign(&scan.targets)) }
                        (badge(&scan.state))
                        @if let Some(place) = scan.queue_place { span.soft { "place " (place) " in the queue" } }
                    }
                    (meta(scan))
                    (tags::editor(&scan.tags, "/scans", &format!("/scans/{}", scan.id)))
                }
                (actions(scan))
            }
            @if !scan.is_over() {
                label.sr for="bar" { "Probes settled" }
                progress #bar max="1" value=(format!("{:.4}", share(scan.done, scan.total))) {}
            }
            (figures(scan))
            @if let Some(sentence) = honest(scan) { p.soft.small { (sentence) } }
        }
    }
}

fn meta(scan: &Scan) -> Markup {
    html! {
        p.meta {
            span { "Scan #" (scan.id) }
            span {
                @match scan.kind {
                    Kind::Hosts => "hosts alone",
                    Kind::Sweep => { "sweep for ports " span.mono { (foreign(&shorten(&scan.ports))) } },
                    Kind::Scan => { "ports " span.mono { (foreign(&shorten(&scan.ports))) } },
                }
            }
            span { (technique(scan)) @if scan.detect { ", services detected" } }
            @if !scan.exclude.is_empty() { span { "without " (foreign(&scan.exclude.join(" "))) } }
            span { (moment(scan.started.unwrap_or(scan.created))) }
            @if !scan.who.is_empty() { span { "by " (foreign(&scan.who)) } }
        }
    }
}

/// How ports are asked: what was chosen, and what came of it where the choice was left open.
fn technique(scan: &Scan) -> String {
    if scan.technique != "auto" || scan.techniques.is_empty() {
        return scan.technique.clone();
    }
    let used = scan.techniques.iter().map(ToString::to_string);
    format!("{} (auto)", used.collect::<Vec<_>>().join(", "))
}

fn actions(scan: &Scan) -> Markup {
    let act = |action: &str, word: &str| {
        html! {
            form method="post" action={ "/scans/" (scan.id) "/" (action) } data-action=(action) {
                button { (word) }
            }
        }
    };
    let is_over = scan.is_over();
    html! {
        div.actions {
            @if scan.state == "running" { (act("pause", "Pause")) }
            @if scan.state == "running" && scan.kind == Kind::Scan && has_many_hosts(scan) { (act("skip", "Skip slowest host")) }
            @if scan.can_resume { (act("resume", "Resume")) }
            @if !is_over { (act("cancel", "Cancel")) }
            @if is_over {
                // The form has no sweeps: one is made again in the shell.
                @if scan.kind == Kind::Sweep {
                    copy-button data-text=(scan.command) data-label="Copy to sweep again" {}
                } @else {
                    a.button href=(Fields::of(&scan.request).address()) { "Scan again" }
                }
                @match scan.previous {
                    Some(previous) => a.button href={ "/compare?from=" (previous) "&to=" (scan.id) } { "Compare" },
                    None => a.button href={ "/compare?to=" (scan.id) } { "Compare with…" },
                }
            }
            (export(scan))
            @if is_over {
                details.menu {
                    summary.danger { "Delete" }
                    div {
                        p { "The scan and what it found are deleted. What is known of its hosts from other scans stays." }
                        form method="post" action={ "/scans/" (scan.id) "/delete" } {
                            button.danger { "Delete for good" }
                        }
                    }
                }
            }
        }
    }
}

/// Whether its targets may be more than one host.
fn has_many_hosts(scan: &Scan) -> bool {
    let mut targets = scan.request.targets.iter();
    let is_one = |target: &String| {
        let target = target.parse::<Target>();
        matches!(target, Ok(Target::Address(_) | Target::Name(_)))
    };
    !(targets.next().is_some_and(is_one) && targets.next().is_none())
}

fn export(scan: &Scan) -> Markup {
    html! {
        details.menu data-export="" {
            summary { "Export" }
            div {
                p.soft.small {
                    @if scan.kind == Kind::Hosts { "Every host that was found." } @else { "Exactly the results that the filter shows." }
                }
                // CSV has a line a port.
                @for (format, word, who) in FORMATS.into_iter().filter(|(format, _, _)| scan.kind != Kind::Hosts || *format != "csv") {
                    a data-query="" download="" href=(super::super::words::address(
                        &format!("/api/v1/scans/{}/export", scan.id),
                        &[("format", format), ("q", if scan.kind == Kind::Hosts { "" } else { DEFAULT_QUERY })],
                    )) { span { (word) } span.soft.small { (who) } }
                }
                p { copy-button data-text=(scan.command) data-label="Copy as shell command" {} }
            }
        }
    }
}

fn figures(scan: &Scan) -> Markup {
    let figure = |name: &str, word: &str, value: &str| {
        html! { div.w2[name == "probes" || name == "phase"] { dt { (word) } dd data-figure=(name) { (value) } } }
    };
    let counts = &scan.counts;
    html! {
        dl.figures {
            @if scan.is_over() {
                @if scan.kind != Kind::Hosts { (figure("open", "Open", &count(counts.open))) }
                // A sweep tells of what is open and of nothing else.
                @if scan.kind == Kind::Scan {
                    (figure("closed", "Closed", &count(counts.closed)))
                    (figure("filtered", "Filtered", &count(counts.filtered)))
                    @if counts.open_filtered > 0 { (figure("maybe", "Open|filtered", &count(counts.open_filtered))) }
                }
                (figure("hosts", "Hosts up", &count(counts.hosts)))
                @if let Some(silent) = scan.hosts_down.filter(|_| scan.kind == Kind::Hosts) { (figure("silent", "Silent addresses", &count(silent))) }
                @if let Some(ms) = scan.elapsed_ms { (figure("elapsed", "Took", &span(ms))) }
                @if let Some(sent) = scan.sent { (figure("sent", "Probes sent", &at_least(scan, sent))) }
                @if let Some(loss) = scan.loss { (figure("loss", "Loss measured", &percent(loss))) }
                @if let Some(missed) = scan.expected_missed { (figure("missed", "Expected missed", &missed_ports(missed))) }
            } @else {
                @let progress = scan.progress.as_ref();
                (figure("phase", "Now", &scan.phase.map_or_else(|| "–".to_owned(), Phase::words)))
                (figure("done", "Done", &not_yet(scan)))
                @match scan.kind {
                    Kind::Hosts => (figure("probes", "Addresses settled", &format!("{} of {}", count(scan.done), count(scan.total)))),
                    Kind::Sweep => (figure("probes", "Ports asked", &format!("{} of {}", count(scan.done), count(scan.total)))),
                    Kind::Scan => {
                        // Each settled port is a result; a silent one is a result once its silence is proven.
                        (figure("probes", "Ports settled", &format!("{} of {}", count(scan.settled), count(scan.total))))
                        (figure("silent", "Silent so far", &count(scan.done.saturating_sub(scan.settled))))
                    }
                }
                @if scan.kind != Kind::Hosts { (figure("open", "Open", &count(counts.open))) }
                (figure("hosts", "Hosts up", &count(counts.hosts)))
                (figure("rate", "Rate", &progress.map_or_else(|| "–".to_owned(), |now| format!("{:.0}/s", now.rate))))
                (figure("left", "Time left", &progress.and_then(|now| now.left_ms).map_or_else(|| "…".to_owned(), span)))
                (figure("rtt", "Round trip", &progress.and_then(|now| now.rtt_ms).map_or_else(|| "–".to_owned(), round_trip)))
                (figure("loss", "Loss", &progress.map_or_else(|| "–".to_owned(), |now| percent(now.loss))))
                (figure("flight", "In flight", &progress.map_or_else(|| "–".to_owned(), |now| count(now.in_flight.into()))))
            }
        }
    }
}

/// How much is done of a scan that runs: not all.
fn not_yet(scan: &Scan) -> String {
    percent(share(scan.done, scan.total).min(0.99))
}

/// How many probes were sent, as far as that was told before the scan was cut off.
fn at_least(scan: &Scan, sent: u64) -> String {
    let least = if scan.sent_at_least { "at least " } else { "" };
    format!("{least}{}", count(sent))
}

/// What must be said of a result that is not whole, or not believable.
fn honest(scan: &Scan) -> Option<String> {
    let counts = &scan.counts;
    let known = counts.open + counts.closed + counts.filtered + counts.open_filtered;
    let (found, unknown) = match scan.kind {
        Kind::Hosts => (plural(counts.hosts, "host"), "not absent"),
        Kind::Sweep | Kind::Scan => (plural(counts.open, "open port"), "not closed"),
    };
    let partly = |how: &str| match scan.phase.filter(|phase| !phase.is_asking()) {
        Some(phase) if phase.is_naming() => Some(format!(
            "{how} while {}: every port was asked. Resume asks what runs on the others.",
            phase.words(),
        )),
        Some(phase) => Some(format!(
            "{how} while {}: {found} so far. {} to settle; what they are is unknown, {unknown}.",
            phase.words(),
            match scan.total.saturating_sub(scan.settled) {
                1 => "1 port is left".to_owned(),
                left => format!("{} ports are left", count(left)),
            },
        )),
        None => Some(format!(
            "{how} at {}: {found} so far. What was not asked is unknown, {unknown}.",
            not_yet(scan),
        )),
    };
    match scan.state.as_str() {
        "cancelled" => partly("Cancelled"),
        "interrupted" => partly("Interrupted"),
        "incomplete" => Some("Something was left out of this result; it is said below.".to_owned()),
        _ if counts.open > 100 && counts.open * 10 > known * 9 => Some(
            "Almost every port is open: something between here and there may answer for all of them."
                .to_owned(),
        ),
        _ => None,
    }
}
