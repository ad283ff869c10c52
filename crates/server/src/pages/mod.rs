//! The pages, a folder each: what the server says, as HTML that is whole without scripts.
//!
//! `layout` is the frame of every page, `words` how values are written, `assets` the sheet and
//! the scripts. Each folder reads through `AppState` what its page shows, and hands `Markup` to
//! [`layout::Look`]. maud escapes every text; characters that hide or turn text round are made
//! visible besides.

mod assets;
mod compare;
mod docs;
mod extract;
mod host;
mod hosts;
mod layout;
mod login;
mod scan;
mod scans;
mod settings;
mod start;
mod tags;
#[cfg(test)]
mod tests;
mod words;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use crate::{AppState, Problem};
use layout::{Content, Look};

/// Every page's address.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(start::show).post(start::submit))
        .route("/scans", get(scans::show).post(start::submit))
        .route("/scans/{id}", get(scan::show))
        .route("/scans/{id}/course", get(scan::course))
        .route("/scans/{id}/map.svg", get(scan::map::show))
        .route("/scans/{id}/tags", post(tags::of_scan))
        .route("/scans/{id}/{action}", post(scan::act))
        .route(
            "/scans/{id}/ports/{host}/{protocol}/{port}",
            get(scan::port::show),
        )
        .route("/hosts", get(hosts::show))
        .route("/hosts/tags", post(tags::of_hosts))
        .route("/hosts/{host}", get(host::show))
        .route("/hosts/{host}/tags", post(tags::of_host))
        .route("/compare", get(compare::show))
        .route("/login", get(login::show).post(login::submit))
        .route("/logout", post(login::leave))
        .route("/settings", get(settings::show))
        .route("/settings/audit", get(settings::audit::show))
        .route("/settings/look", post(settings::look))
        .route(
            "/settings/sessions/{id}/end",
            post(settings::account::end_session),
        )
        .route("/settings/tokens", post(settings::account::create_token))
        .route(
            "/settings/tokens/{id}/revoke",
            post(settings::account::revoke_token),
        )
        .route("/api/docs", get(docs::show))
        .route("/favicon.svg", get(assets::favicon))
        .route("/favicon.ico", get(assets::favicon))
        .route("/assets/{hash}/{*path}", get(assets::serve))
}

/// The page for an address that leads nowhere.
pub(crate) async fn not_found(look: Look) -> Response {
    let problem = Problem::not_found("there is no page at this address");
    look.answer(Err::<Content, _>(problem))
}
