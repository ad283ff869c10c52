//! `/login` and `/logout`.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use serde::Deserialize;

use super::extract::Query;
use super::layout::{Content, Look, Section, capital};
use super::words::foreign;
use crate::api::extract::Form;
use crate::{AppState, Caller, Client, Problem};

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Way {
    next: String,
}

/// What is typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    name: String,
    password: String,
    next: String,
}

/// `GET /login`
pub(super) async fn show(look: Look, Query(way): Query<Way>) -> Response {
    look.answer(Ok(page("", &way.next, None)))
}

/// `POST /login`
pub(super) async fn submit(
    State(state): State<AppState>,
    client: Client,
    look: Look,
    Form(fields): Form<Fields>,
) -> Response {
    match state.log_in(&fields.name, &fields.password, &client).await {
        Ok(login) => {
            let way = Redirect::to(local(&fields.next));
            ([(SET_COOKIE, login.cookie)], way).into_response()
        }
        Err(problem) => {
            let mut content = page(&fields.name, &fields.next, Some(&problem));
            content.status = problem.status();
            look.answer(Ok(content))
        }
    }
}

/// `POST /logout`
pub(super) async fn leave(State(state): State<AppState>, caller: Caller, look: Look) -> Response {
    match state.log_out(&caller).await {
        Ok(cookie) => ([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response(),
        Err(problem) => look.answer(Err::<Content, _>(problem)),
    }
}

/// The path to go on to, unless it leads to another site.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\r', '\n', '\t'])
        && next.is_ascii();
    if is_path { next } else { "/" }
}

fn page(name: &str, next: &str, problem: Option<&Problem>) -> Content {
    let main = html! {
        form.card.narrow method="post" action="/login" {
            h1 { "Log in" }
            @if let Some(problem) = problem {
                p.note.bad role="alert" {
                    (foreign(&capital(&problem.detail))) "."
                    @if let Some(hint) = &problem.hint { " " (foreign(&capital(hint))) "." }
                }
            }
            input type="hidden" name="next" value=(local(next));
            div.field {
                label for="name" { "Name" }
                input #name type="text" name="name" value=(name) autocomplete="username" autocapitalize="off" spellcheck="false" required autofocus[name.is_empty()];
            }
            div.field {
                label for="password" { "Password" }
                input #password type="password" name="password" autocomplete="current-password" required autofocus[!name.is_empty()];
            }
            div.actions { button.main type="submit" { "Log in" } }
            p.soft.small { "A forgotten password is set anew on the server: " code { "portolan user add NAME" } "." }
        }
    };
    Content::new("Log in", Section::None, main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logging_in_never_leads_to_another_site() {
        for next in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example/",
            "javascript:alert(1)",
            "/a\r\nset-cookie: b",
            "",
        ] {
            assert_eq!(local(next), "/", "{next:?}");
        }
        assert_eq!(local("/scans/7?q=port:22"), "/scans/7?q=port:22");
    }
}
