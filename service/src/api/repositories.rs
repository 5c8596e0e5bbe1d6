//! Repositories that the service knows, without their keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use repository::location::Location;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::paging::Page;
use super::{Api, Problem};
use crate::error::ServiceError;

/// A repository.
#[derive(Serialize, ToSchema)]
pub(crate) struct Repository {
    /// Its name in the configuration; absent for one that only the command line or the environment of the
    /// service names.
    name: Option<String>,
    /// Where it lies.
    url: String,
    /// Whether it is the one for whoever names none.
    is_default: bool,
    /// The policies whose runs are for it.
    policies: Vec<String>,
}

/// Every repository.
#[utoipa::path(get, path = "/repositories", operation_id = "list_repositories", tag = "repositories",
    responses((status = 200, body = Page<Repository>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Page<Repository>>, Problem> {
    caller.may_work_on(None)?;
    let setup = api.setup();
    let default = setup.repository.as_ref().map(|(location, _)| location.to_string());
    let policies = |url: &str| {
        let is_for = |location: String| location == url;
        let policies = setup.config.policies.iter().filter(|(_, policy)| {
            setup.repository(policy).is_ok_and(|(location, _)| is_for(location.to_string()))
        });
        policies.map(|(name, _)| name.clone()).collect()
    };
    let mut items = Vec::new();
    for (name, repository) in &setup.config.repositories {
        // As it is shown elsewhere; it was read when the configuration was.
        let location = repository.url.parse::<Location>().map_err(ServiceError::from)?;
        let url = location.to_string();
        let is_default = default.as_ref() == Some(&url);
        let (name, policies) = (Some(name.clone()), policies(&url));
        items.push(Repository { name, url, is_default, policies });
    }
    if let Some(url) = default.filter(|_| !items.iter().any(|it| it.is_default)) {
        let policies = policies(&url);
        items.push(Repository { name: None, url, is_default: true, policies });
    }
    Ok(Json(Page { items, next: None }))
}
