//! Restores: runs that make files of a point.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use catalog::{HistoryFilter, Request, Task, Wanted};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::input::{Body, Query};
use super::paging::Page;
use super::runs::{self, Run};
use super::{Api, Problem};

/// Which restores.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those of this application.
    application: Option<String>,
    /// How many: 50 by default, 200 at the most.
    limit: Option<u32>,
    /// Those behind this one: what `next` was.
    after: Option<String>,
}

/// The restores that the service was asked for, the newest first.
#[utoipa::path(get, path = "/restores", operation_id = "list_restores", tag = "restores", params(Which),
    responses((status = 200, body = Page<Run>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<Page<Run>>, Problem> {
    let (applications, task) = (caller.only(which.application), Some(Task::Restore));
    let filter = HistoryFilter { applications, task };
    runs::page(&api, &filter, (which.limit, which.after)).await
}

/// What is to be restored.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRestore {
    /// `latest`, as of now, or the first digits of the point's id.
    point: String,
    /// The application whose point it is.
    application: String,
    /// The repository, by its name in the configuration; the one that the service has by default, where it
    /// is absent.
    repository: Option<String>,
    /// An absolute path on the host of the service: a new or empty directory.
    #[schema(value_type = String)]
    to: PathBuf,
    /// Whether the directory may have files in it: those of the same name are overwritten.
    #[serde(default)]
    in_place: bool,
    /// Whether what is in the directory and not in the point is removed; only in place.
    #[serde(default)]
    delete: bool,
    /// Why, for the audit trail.
    reason: Option<String>,
}

/// Has files made of a point, on the host of the service. The answer says where to look how far it is. One
/// that is cut off is not done again by itself.
#[utoipa::path(post, path = "/restores", operation_id = "begin_restore",
    tag = "restores", request_body = NewRestore,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gets the same run")),
    responses((status = 202, body = Run, headers(("Location" = String, description = "The run"))),
        Problem))]
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewRestore>,
) -> Result<Response, Problem> {
    caller.may_work_on(None)?;
    if new.application.is_empty() {
        return Err(Problem::unprocessable("`application` is empty"));
    }
    if !new.to.is_absolute() {
        return Err(Problem::unprocessable("`to` is no absolute path"));
    }
    if new.delete && !new.in_place {
        return Err(Problem::unprocessable("`delete` is for a restore with `in_place`"));
    }
    let key = runs::key(&headers, &new)?;
    if let Some(run) = api.asked(&caller.who, key.as_ref()).await? {
        return runs::accepted(&api, run).await;
    }
    api.setup().repository_at(new.repository.as_deref())?;
    let NewRestore { point, application, repository: at, to, in_place, delete, reason } = new;
    let wanted = Wanted::Restore { point, to, in_place, delete };
    let request = Request { who: caller.who, reason, at, wanted };
    runs::accepted(&api, api.ask((request, Some(application)), key).await?).await
}
