//! The API: what programs ask, and the pages' own scripts.
//!
//! Handlers extract, ask the [state](crate::state), and show what it says.

mod accounts;
mod events;
mod export;
pub(crate) mod extract;
mod hosts;
mod parameters;
mod scans;
mod system;
mod tags;
pub mod views;

use axum::{Router, middleware};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Problem;
use crate::state::AppState;

pub use export::filtered;

fn documented() -> OpenApiRouter<AppState> {
    let document = OpenApiBuilder::new()
        .info(
            Info::builder()
                .title("Portolan")
                .description(Some(
                    "Charts the open ports of the networks that you run. Errors are problem \
                     details (RFC 9457); lists are paged by cursor; times are RFC 3339 in UTC. A \
                     parameter that an address does not take is refused.",
                ))
                .version(env!("CARGO_PKG_VERSION"))
                .license(Some(
                    LicenseBuilder::new().name("MIT OR Apache-2.0").build(),
                ))
                .build(),
        )
        .security(Some([
            SecurityRequirement::new::<_, [&str; 0], &str>("token", []),
            SecurityRequirement::new::<_, [&str; 0], &str>("session", []),
        ]))
        .build();
    let mut router = OpenApiRouter::with_openapi(document)
        .routes(routes!(scans::list, scans::create))
        .routes(routes!(scans::preview))
        .routes(routes!(scans::show, scans::delete))
        .routes(routes!(scans::cancel))
        .routes(routes!(scans::pause))
        .routes(routes!(scans::skip))
        .routes(routes!(scans::resume))
        .routes(routes!(scans::results))
        .routes(routes!(scans::problems))
        .routes(routes!(scans::course))
        .routes(routes!(scans::changes))
        .routes(routes!(scans::hosts))
        .routes(routes!(scans::ports))
        .routes(routes!(scans::ports_of_all))
        .routes(routes!(export::export))
        .routes(routes!(export::diff))
        .routes(routes!(events::of_scan))
        .routes(routes!(events::of_topics))
        .routes(routes!(hosts::list))
        .routes(routes!(hosts::show))
        .routes(routes!(hosts::timeline))
        .routes(routes!(hosts::port))
        .routes(routes!(hosts::changes))
        .routes(routes!(tags::list))
        .routes(routes!(tags::put_on_host, tags::take_off_host))
        .routes(routes!(tags::put_on_scan, tags::take_off_scan))
        .routes(routes!(
            accounts::session,
            accounts::log_in,
            accounts::log_out
        ))
        .routes(routes!(accounts::sessions))
        .routes(routes!(accounts::end_session))
        .routes(routes!(accounts::tokens, accounts::create_token))
        .routes(routes!(accounts::revoke_token))
        .routes(routes!(accounts::audit))
        .routes(routes!(system::capabilities))
        .routes(routes!(system::healthz))
        .routes(routes!(system::metrics));
    say_what_can_be_wrong(router.get_openapi_mut());
    let components = router.get_openapi_mut().components.get_or_insert_default();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("prt_<id>_<secret>")
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let cookie = ApiKey::Cookie(ApiKeyValue::new("portolan"));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    router
}

/// Every question may be answered by a problem: said once, for all of them.
fn say_what_can_be_wrong(document: &mut OpenApi) {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = document.components.get_or_insert_default();
    components.schemas.extend(schemas);
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    let problem = ResponseBuilder::new()
        .description("What is wrong")
        .content("application/problem+json", content)
        .build();
    for path in document.paths.paths.values_mut() {
        let operations = [
            &mut path.get,
            &mut path.post,
            &mut path.put,
            &mut path.patch,
            &mut path.delete,
        ];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), problem.clone().into());
        }
    }
}

/// The API's document, made from the handlers themselves (`OpenAPI` 3.1).
pub fn document() -> OpenApi {
    documented().split_for_parts().1
}

/// Every address of the API.
pub(crate) fn routes() -> Router<AppState> {
    let (router, document) = documented().split_for_parts();
    let known = parameters::Known::of(&document);
    router
        .route_layer(middleware::from_fn_with_state(known, parameters::check))
        .route("/api/openapi.json", axum::routing::get(system::openapi))
        .route("/api/v1/openapi.json", axum::routing::get(system::openapi))
        .route("/api/{*rest}", axum::routing::any(nothing))
}

async fn nothing(uri: axum::http::Uri) -> Problem {
    Problem::not_found(format!("there is nothing at `{}`", uri.path()))
        .with_hint("the API is described at `/api/docs`")
}
