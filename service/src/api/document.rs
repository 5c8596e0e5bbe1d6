//! The OpenAPI document, which is made from the routes and their types.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use catalog::Wanted;
use utoipa::PartialSchema as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

use super::caller::Caller;
use super::{Api, Problem, ROOT};

/// What it says besides the routes.
pub(super) fn about() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Stillpoint")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Backups of applications in containers."));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `stillpoint token add`; the Unix socket needs none."));
    let components = ComponentsBuilder::new()
        .schema("Problem", Problem::schema())
        .security_scheme("token", SecurityScheme::Http(bearer.build()));
    OpenApiBuilder::new().info(info.build()).components(Some(components.build())).build()
}

/// Where it can be had, by whoever may ask at all.
pub(super) fn route(openapi: OpenApi) -> Router<Arc<Api>> {
    let answer = async move |_: Caller| Json(openapi);
    Router::new().route(&format!("{ROOT}/openapi.json"), get(answer))
}

/// What was asked for, in a line of the audit trail.
pub(super) fn summary(wanted: &Wanted, application: Option<&str>) -> String {
    let path = if matches!(wanted, Wanted::Restore { .. }) { "restores" } else { "runs" };
    let wanted = serde_json::to_string(wanted).unwrap_or_default();
    let application = application.map(|name| format!(" application {name:?}"));
    format!("POST {ROOT}/{path} {wanted}{}", application.unwrap_or_default())
}
