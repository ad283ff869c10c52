//! Tags as chips, the form that puts them on and takes them off, and what takes it.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use portolan_model::Zoned;
use portolan_store::{ScanId, Tagged};
use serde::Deserialize;

use super::extract::Path;
use super::layout::{Content, Look};
use super::words::{address, host_address};
use crate::api::extract::Form;
use crate::{AppState, Caller, Problem};

/// Tags as they are sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    /// One to put on.
    put: String,
    /// One to take off.
    take: String,
}

/// A row of a list shows so many tags, and how many more there are.
const MOST_CHIPS: usize = 8;

/// What a tag may be, in the browser's expressions: said at the field before it is sent.
const TAG: &str = r"\s*[\p{L}\p{N}_.][\p{L}\p{N}\-_.]*\s*";

/// Tags of a host or scan in a list: each leads to all that have it.
pub(super) fn chips(tags: &[String], list: &str) -> Markup {
    html! {
        @for tag in tags.iter().take(MOST_CHIPS) {
            " " a.chip.tag href=(address(list, &[("q", &format!("tag:{tag}"))])) { (tag) }
        }
        @if let Some(more @ 1..) = tags.len().checked_sub(MOST_CHIPS) {
            " " span.soft.small { "and " (more) " more" }
        }
    }
}

/// Tags of the host or scan that a page is about, with what changes them.
pub(super) fn editor(tags: &[String], list: &str, action: &str) -> Markup {
    html! {
        form.tags method="post" action={ (action) "/tags" } {
            @for tag in tags {
                span.chip.tag {
                    a href=(address(list, &[("q", &format!("tag:{tag}"))])) { (tag) }
                    button.quiet name="take" value=(tag) formnovalidate aria-label={ "Take the tag " (tag) " off" } title="Take it off" { "×" }
                }
            }
            details.menu {
                summary { "Add a tag" }
                div {
                    label { "Tag" input type="text" name="put" maxlength="40" pattern=(TAG) title="Letters, digits, - _ and . – no - at the start" required autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="prod"; }
                    p.soft.small { "Letters, digits, - _ and . – it is found by " code { "tag:prod" } }
                    button { "Add" }
                }
            }
        }
    }
}

/// `POST /scans/{id}/tags`
pub(super) async fn of_scan(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    let done = change(&state, &caller, &fields, vec![Tagged::Scan(ScanId(id))]).await;
    back(&look, done, &format!("/scans/{id}"))
}

/// `POST /hosts/{host}/tags`
pub(super) async fn of_host(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Path(host): Path<Zoned>,
    Form(fields): Form<Fields>,
) -> Response {
    let done = change(&state, &caller, &fields, vec![Tagged::Host(host)]).await;
    back(&look, done, &host_address(&host))
}

/// `POST /hosts/tags`: of all that were picked, each in a field `host`.
pub(super) async fn of_hosts(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Form(sent): Form<Vec<(String, String)>>,
) -> Response {
    let value = |name: &str| {
        let found = sent.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let fields = Fields {
        put: value("put"),
        take: value("take"),
    };
    let hosts: Result<Vec<Tagged>, _> = sent
        .iter()
        .filter(|(field, _)| field == "host")
        .map(|(_, host)| host.parse().map(Tagged::Host))
        .collect();
    let done = match hosts {
        Ok(hosts) if hosts.is_empty() => {
            Err(Problem::bad_request("no host is picked").with_hint("tick those to tag first"))
        }
        Ok(hosts) => {
            // Two buttons send the same field: one puts it on, one takes it off.
            let fields = if fields.take.is_empty() {
                fields
            } else {
                Fields {
                    take: fields.put,
                    put: String::new(),
                }
            };
            change(&state, &caller, &fields, hosts).await
        }
        Err(_) => Err(Problem::bad_request("a host that is picked is no address")),
    };
    back(&look, done, &address("/hosts", &[("q", &value("q"))]))
}

async fn change(
    state: &AppState,
    caller: &Caller,
    fields: &Fields,
    tagged: Vec<Tagged>,
) -> Result<(), Problem> {
    if fields.take.is_empty() {
        state.put_tag(caller, &fields.put, tagged).await
    } else {
        state.take_tag(caller, &fields.take, tagged).await
    }
}

fn back(look: &Look, done: Result<(), Problem>, place: &str) -> Response {
    match done {
        Ok(()) => Redirect::to(place).into_response(),
        Err(problem) => look.answer(Err::<Content, _>(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_many_tags_shows_some_and_how_many_more_there_are() {
        let tags: Vec<String> = (0..50).map(|number| format!("tag-{number}")).collect();
        let shown = |count| chips(tags.get(..count).unwrap(), "/scans").into_string();
        assert_eq!(shown(50).matches("<a ").count(), MOST_CHIPS);
        assert!(shown(50).ends_with(">and 42 more</span>"));
        assert!(!shown(MOST_CHIPS).contains("more"));
    }
}
