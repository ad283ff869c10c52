//! The reader's account: where it is logged in, and its tokens for programs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::layout::{Content, Look, Section};
use super::super::words::{foreign, moment};
use crate::api::extract::Form;
use crate::api::views::{NewTokenView, SessionView, TokenRequest, TokenView};
use crate::pages::extract::Path;
use crate::{AppState, Caller, Problem, Role};

/// A token to be made, as the form sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Fields {
    name: String,
    scope: String,
    days: String,
}

/// `POST /settings/sessions/{id}/end`
pub(in crate::pages) async fn end_session(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Path(id): Path<String>,
) -> Response {
    back(&look, state.end_session(&caller, &id).await)
}

/// `POST /settings/tokens/{id}/revoke`
pub(in crate::pages) async fn revoke_token(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Path(id): Path<String>,
) -> Response {
    back(&look, state.revoke_token(&caller, &id).await)
}

fn back(look: &Look, done: Result<(), Problem>) -> Response {
    match done {
        Ok(()) => Redirect::to("/settings").into_response(),
        Err(problem) => look.answer(Err::<Content, _>(problem)),
    }
}

/// `POST /settings/tokens`: makes a token, and shows it this once.
pub(in crate::pages) async fn create_token(
    State(state): State<AppState>,
    caller: Caller,
    look: Look,
    Form(fields): Form<Fields>,
) -> Response {
    look.answer(create(&state, &caller, &fields).await)
}

async fn create(state: &AppState, caller: &Caller, fields: &Fields) -> Result<Content, Problem> {
    let days = match fields.days.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("`{text}` is no number of days from 1 to 36500"),
            )
        })?),
    };
    let request = TokenRequest {
        name: fields.name.clone(),
        scopes: vec![fields.scope.clone()],
        days,
    };
    let made = state.create_token(caller, request).await?;
    Ok(Content::new(
        "Token made",
        Section::Settings,
        shown_once(&made),
    ))
}

fn shown_once(made: &NewTokenView) -> Markup {
    html! {
        div.card.stack {
            h1 { "Token " (foreign(&made.kept.name)) }
            p { "It is shown this once: copy it now." }
            div.command {
                pre #token { (made.token) }
                copy-button data-from="token" data-name="Copy the token" {}
            }
            p.soft { "Send it as " code { "authorization: Bearer …" } "." }
            p { a href="/settings" { "Back to the settings" } }
        }
    }
}

/// What is shown of an account.
pub(super) async fn render(state: &AppState, caller: &Caller) -> Result<Markup, Problem> {
    let sessions = state.sessions(caller).await?;
    let tokens = state.tokens(caller).await?;
    let name = caller.name.as_deref().unwrap_or_default();
    Ok(html! {
        section.card.stack aria-labelledby="account-title" {
            h2 #account-title { "Account" }
            @if name.is_empty() {
                p { "Nobody logs in here: this server answers this machine alone. " code { "portolan user add NAME" } " on the server makes the first account." }
            } @else {
                dl.facts {
                    dt { "Name" } dd { (foreign(name)) }
                    dt { "May" } dd { (caller.role) }
                }
            }
            @if !sessions.is_empty() { (session_list(&sessions)) }
            (token_list(&tokens))
            (token_form(caller))
        }
    })
}

fn session_list(sessions: &[SessionView]) -> Markup {
    html! {
        h3 { "Logged in" }
        div.wide tabindex="0" role="region" aria-label="Where you are logged in" {
            table {
                thead { tr { th { "Browser" } th { "From" } th { "Since" } th { "Last used" } th { span.sr { "End" } } } }
                tbody {
                    @for session in sessions {
                        tr {
                            td { (foreign(&session.agent)) @if session.current { " " b { "(this one)" } } }
                            td.mono { (foreign(&session.address)) }
                            td { (moment(session.created)) }
                            td { (moment(session.used)) }
                            td {
                                form method="post" action={ "/settings/sessions/" (session.id) "/end" } { button { "End" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn token_list(tokens: &[TokenView]) -> Markup {
    html! {
        h3 { "Tokens for programs" }
        @if tokens.is_empty() {
            p.soft { "None yet." }
        } @else {
            div.wide tabindex="0" role="region" aria-label="Tokens" {
                table {
                    thead { tr { th { "Name" } th { "May" } th { "Made" } th { "Last used" } th { "Ends" } th { span.sr { "Revoke" } } } }
                    tbody {
                        @for token in tokens {
                            tr {
                                td { (foreign(&token.name)) " " span.soft.mono.small { (token.id) } }
                                td { (token.scopes.join(", ")) }
                                td { (moment(token.created)) }
                                td { @match token.used { Some(at) => (moment(at)), None => span.soft { "never" } } }
                                td { @match token.expires { Some(at) => (at.strftime("%Y-%m-%d").to_string()), None => span.soft { "never" } } }
                                td {
                                    @if token.revoked.is_some() { span.soft { "revoked" } }
                                    @else { form method="post" action={ "/settings/tokens/" (token.id) "/revoke" } { button { "Revoke" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn token_form(caller: &Caller) -> Markup {
    html! {
        details {
            summary { "Make a token" }
            form method="post" action="/settings/tokens" {
                div.grid3 {
                    div.field {
                        label for="token-name" { "Name" }
                        input #token-name type="text" name="name" required maxlength="100" placeholder="nightly script" autocomplete="off";
                    }
                    div.field {
                        label for="token-scope" { "May" }
                        select #token-scope name="scope" {
                            @for role in Role::ALL.iter().filter(|role| caller.role >= **role) {
                                option value=(role.as_str()) { (role.as_str()) }
                            }
                        }
                    }
                    div.field {
                        label for="token-days" { "Days" }
                        input #token-days type="text" inputmode="numeric" name="days" value="90" aria-describedby="token-days-hint";
                        p.hint #token-days-hint { "Empty: for ever." }
                    }
                }
                button { "Make it" }
            }
        }
    }
}
