//! The frame of every page, and how the reader wants it: theme, keys, who is logged in.

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::words::{foreign, said};
use crate::{AppState, Caller, Problem};

/// Cookie that holds the theme.
pub(super) const THEME_COOKIE: &str = "theme";
/// Cookie that turns single keys off (WCAG 2.1.4).
pub(super) const KEYS_COOKIE: &str = "keys";

/// Light or dark, where the reader chose one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn read(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|theme| theme.as_str() == text)
            .unwrap_or(Self::System)
    }
}

/// Which part of the site a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    New,
    Scans,
    Hosts,
    Compare,
    Api,
    Settings,
    None,
}

/// What a page shows within the frame.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) main: Markup,
    pub(super) status: StatusCode,
}

impl Content {
    pub(super) fn new(title: impl Into<String>, section: Section, main: Markup) -> Self {
        Self {
            title: title.into(),
            section,
            main,
            status: StatusCode::OK,
        }
    }
}

/// How the reader wants pages, and who it is.
#[derive(Debug)]
pub(crate) struct Look {
    pub(super) theme: Theme,
    pub(super) keys: bool,
    pub(super) caller: Option<Caller>,
}

impl FromRequestParts<AppState> for Look {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self {
            theme: Theme::read(cookie(&parts.headers, THEME_COOKIE).unwrap_or_default()),
            keys: cookie(&parts.headers, KEYS_COOKIE) != Some("off"),
            // Pages for everybody, log-in among them, have no caller.
            caller: Caller::from_request_parts(parts, state).await.ok(),
        })
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            let (found, value) = pair.trim().split_once('=')?;
            (found == name).then_some(value)
        })
}

const SECTIONS: [(Section, &str, &str); 5] = [
    (Section::New, "/", "New scan"),
    (Section::Scans, "/scans", "Scans"),
    (Section::Hosts, "/hosts", "Hosts"),
    (Section::Compare, "/compare", "Compare"),
    (Section::Api, "/api/docs", "API"),
];

/// Keys and what they do, for the sheet.
const KEYS: [(&str, &str); 14] = [
    ("n", "new scan"),
    ("/", "go to the filter or search"),
    ("t", "go to the table of results"),
    ("m", "go to the map of ports"),
    ("e", "export"),
    ("g s", "scans"),
    ("g h", "hosts"),
    ("g c", "compare"),
    ("↑ ↓ j k", "in the table: a row up or down"),
    ("Home End PgUp PgDn", "in the table and map: far"),
    ("Enter", "in the table: open the row; in the map: filter"),
    ("Shift + arrows", "in the map: a range of ports"),
    ("n N", "in the map: next and previous open port"),
    ("Esc", "close"),
];

impl Look {
    /// A page, or the page that says what went wrong.
    pub(super) fn answer(&self, content: Result<Content, Problem>) -> Response {
        let content = content.unwrap_or_else(|problem| failure(&problem));
        let page = Html(self.frame(&content).into_string());
        (content.status, page).into_response()
    }

    /// The whole document.
    fn frame(&self, content: &Content) -> Markup {
        let theme = (self.theme != Theme::System).then(|| self.theme.as_str());
        html! {
            (DOCTYPE)
            html lang="en" data-theme=[theme] data-keys=[(!self.keys).then_some("off")] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (content.title) " · Portolan" }
                    link rel="stylesheet" href=(assets::address("style.css"));
                    link rel="icon" href="/favicon.svg" type="image/svg+xml";
                    script type="module" src=(assets::address("app.js")) {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.bar(content.section))
                    main #main tabindex="-1" { (content.main) }
                    footer.foot {
                        span { "Portolan " (env!("CARGO_PKG_VERSION")) }
                        span { "Scan only what you own or may test." }
                        a href="/settings" { "Settings" }
                        a href="/api/docs" { "API" }
                    }
                    // Polite news for screen readers.
                    div #live.sr role="status" {}
                    (keys_sheet())
                }
            }
        }
    }

    fn bar(&self, section: Section) -> Markup {
        let name = self
            .caller
            .as_ref()
            .and_then(|caller| caller.name.as_deref());
        let opposite = match self.theme {
            Theme::Dark => Theme::Light,
            Theme::System | Theme::Light => Theme::Dark,
        };
        html! {
            header.bar {
                div {
                    a.brand href="/" {
                        img src=(assets::address("mark.svg")) alt="" width="24" height="24";
                        "Portolan"
                    }
                    nav aria-label="Pages" {
                        @for (of, address, word) in SECTIONS {
                            a href=(address) aria-current=[(of == section).then_some("page")] { (word) }
                        }
                    }
                    div.tools {
                        form method="post" action="/settings/look" data-theme-switch="" {
                            input type="hidden" name="back" value="yes";
                            button.quiet name="theme" value=(opposite.as_str()) aria-label="Light or dark" title="Light or dark" { "◐" }
                        }
                        button.quiet type="button" data-keys="" aria-label="Keys" title="Keys" { "?" }
                        a.button.quiet href="/settings" aria-current=[(section == Section::Settings).then_some("page")] {
                            (name.map_or_else(|| "Settings".to_owned(), foreign))
                        }
                        @if name.is_some() {
                            form method="post" action="/logout" { button.quiet { "Log out" } }
                        }
                    }
                }
            }
        }
    }
}

fn keys_sheet() -> Markup {
    html! {
        dialog #keys.sheet aria-labelledby="keys-title" {
            form method="dialog" {
                div.head { h2 #keys-title { "Keys" } button.quiet { "Close" } }
                dl.facts {
                    @for (key, meaning) in KEYS {
                        dt { kbd { (key) } }
                        dd { (meaning) }
                    }
                }
                p.soft.small { "Single keys can be turned off in the settings." }
            }
        }
    }
}

/// What went wrong, in words, with a way out.
fn failure(problem: &Problem) -> Content {
    let main = html! {
        div.card.narrow {
            h1 { (problem.title) }
            p { (said(&capital(&problem.detail))) "." }
            @if let Some(hint) = &problem.hint { p.soft { (said(&capital(hint))) "." } }
            @for error in &problem.errors {
                p { code { (error.field) } ": " (said(&error.message)) }
            }
            p { a href="/" { "Start a scan" } " or " a href="/scans" { "see all scans" } "." }
        }
    };
    Content {
        status: problem.status(),
        ..Content::new(problem.title, Section::None, main)
    }
}

/// The text with its first letter as a capital.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
