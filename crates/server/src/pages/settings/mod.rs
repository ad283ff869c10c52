//! `/settings`: how pages look, who is logged in, what this server can do.

pub(super) mod account;
pub(super) mod audit;

use axum::extract::State;
use axum::http::header::{REFERER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Content, KEYS_COOKIE, Look, Section, THEME_COOKIE, Theme};
use super::words::{count, foreign};
use crate::api::extract::Form;
use crate::api::views::Capabilities;
use crate::{AppState, Caller, Problem, Role};

/// `GET /settings`
pub(super) async fn show(State(state): State<AppState>, caller: Caller, look: Look) -> Response {
    look.answer(content(&state, &caller, &look).await)
}

async fn content(state: &AppState, caller: &Caller, look: &Look) -> Result<Content, Problem> {
    let account = account::render(state, caller).await?;
    let main = page(look, caller, &account, &state.capabilities().await?);
    Ok(Content::new("Settings", Section::Settings, main))
}

/// What is chosen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    theme: Option<String>,
    keys: Option<String>,
    back: Option<String>,
}

/// `POST /settings/look`: keeps the choice in the browser.
pub(super) async fn look(headers: HeaderMap, Form(choice): Form<Choice>) -> Response {
    let mut cookies: Vec<(HeaderName, HeaderValue)> = Vec::new();
    if let Some(theme) = &choice.theme {
        cookies.push((
            SET_COOKIE,
            cookie(THEME_COOKIE, Theme::read(theme).as_str()),
        ));
    }
    if let Some(keys) = &choice.keys {
        let keys = if keys == "off" { "off" } else { "on" };
        cookies.push((SET_COOKIE, cookie(KEYS_COOKIE, keys)));
    }
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let way = match (&choice.back, referer) {
        (Some(_), Some(referer)) => path_of(referer),
        _ => "/settings",
    };
    (AppendHeaders(cookies), Redirect::to(way)).into_response()
}

/// The path of the page that one comes from, which is ours: another site's is not told
/// (`Referrer-Policy: same-origin`), and only the path is taken.
fn path_of(referer: &str) -> &str {
    referer
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|start| rest.get(start..)))
        .filter(|path| !path.starts_with("//"))
        .unwrap_or("/settings")
}

fn cookie(name: &str, value: &'static str) -> HeaderValue {
    let text = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn page(look: &Look, caller: &Caller, account: &Markup, capabilities: &Capabilities) -> Markup {
    html! {
        div.stack.slim {
            h1 { "Settings" }
            form.card method="post" action="/settings/look" {
                fieldset {
                    legend { "Theme" }
                    @for (theme, word) in [(Theme::System, "As the system has it"), (Theme::Light, "Light"), (Theme::Dark, "Dark")] {
                        div.choice {
                            input type="radio" id={ "theme-" (theme.as_str()) } name="theme" value=(theme.as_str()) checked[look.theme == theme];
                            label for={ "theme-" (theme.as_str()) } { b { (word) } }
                        }
                    }
                }
                fieldset {
                    legend { "Keys" }
                    @for (value, word, is_chosen) in [("on", "Single keys do things", look.keys), ("off", "Single keys are off, for speech input", !look.keys)] {
                        div.choice {
                            input type="radio" id={ "keys-" (value) } name="keys" value=(value) checked[is_chosen];
                            label for={ "keys-" (value) } { b { (word) } }
                        }
                    }
                }
                button.main type="submit" { "Save" }
            }
            (account)
            section.card aria-labelledby="server-title" {
                h2 #server-title { "This server" }
                dl.facts {
                    dt { "Version" } dd { (capabilities.version) }
                    @for technique in &capabilities.techniques {
                        dt { (technique.name.as_str()) }
                        dd { @match &technique.why { Some(why) => { "no – " (foreign(why)) }, None => "yes" } }
                    }
                    dt { "Service detection" }
                    dd { @match &capabilities.detect.why { Some(why) => { "no – " (foreign(why)) }, None => "yes" } }
                    dt { "Scope" }
                    dd { @if capabilities.scope.is_empty() { "not bounded" } @else { (capabilities.scope.join(", ")) } }
                    dt { "Scans at once" } dd { (capabilities.limits.running_scans) ", and " (capabilities.limits.queued_scans) " may wait" }
                    dt { "Results in a page" } dd { (count(capabilities.limits.page as u64)) }
                }
                @if caller.role >= Role::Admin { p { a href="/settings/audit" { "Audit log: who scanned what" } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_back_to_a_path_and_never_to_another_site() {
        assert_eq!(path_of("http://127.0.0.1:5000/scans/3?q="), "/scans/3?q=");
        assert_eq!(path_of("http://127.0.0.1:5000"), "/settings");
        assert_eq!(path_of("http://127.0.0.1:5000//evil.example/"), "/settings");
        assert_eq!(path_of("nonsense"), "/settings");
    }
}
