//! Applications: what there is to back up, and how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use catalog::ApplicationRow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::input::{Path, Query};
use super::paging::{Limit, Page};
use super::{Api, Problem};
use crate::applications::{self, ApplicationSummary};

/// An application that was seen on this host, or has restore points.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    /// Its name.
    name: String,
    /// What runs it, such as `docker`.
    platform: String,
    /// When it was last seen on this host.
    seen: Option<Timestamp>,
    /// When its newest restore point was taken.
    newest_point: Option<Timestamp>,
    /// How each of its policies stands.
    policies: Vec<Standing>,
}

/// How a policy of an application stands.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// The policy.
    policy: String,
    /// The last moment for which it wanted a run.
    due: Option<Timestamp>,
    /// When the last of its runs ended that did all of what it was for.
    succeeded: Option<Timestamp>,
    /// When the last of its runs ended that failed.
    failed: Option<Timestamp>,
}

/// An application as it is on this host now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApplicationNow {
    /// Its name.
    name: String,
    /// What runs it, such as `docker`.
    platform: String,
    /// Its containers, and other groups of processes.
    members: Vec<Member>,
    /// Its volumes.
    volumes: Vec<Volume>,
    /// What a backup leaves out on purpose, with the reasons.
    left_out: Vec<String>,
    /// Volumes that cannot be found, with the reasons.
    missing: Vec<String>,
    /// Why a backup would be refused.
    refused: Vec<String>,
}

/// A container.
#[derive(Serialize, ToSchema)]
struct Member {
    /// Its name.
    name: String,
    /// How it would be frozen; absent when it has no processes, or none that can be frozen.
    freezer: Option<String>,
    /// Which hooks a backup would run.
    hooks: Vec<String>,
}

/// A volume.
#[derive(Serialize, ToSchema)]
struct Volume {
    /// Its name.
    name: String,
    /// Where it lies on the host.
    source: String,
    /// How it would most likely be snapshotted.
    driver: Option<String>,
    /// Running containers outside the application that may write it.
    outside_writers: Vec<String>,
}

impl From<ApplicationSummary> for ApplicationNow {
    fn from(summary: ApplicationSummary) -> Self {
        let text = |text: &str| text.to_owned();
        let member = |it: applications::MemberSummary| Member {
            name: it.name,
            freezer: it.freezer.map(text),
            hooks: it.hooks.into_iter().map(text).collect(),
        };
        let volume = |it: applications::VolumeSummary| Volume {
            name: it.name.to_string(),
            source: it.source.to_string(),
            driver: it.driver.map(text),
            outside_writers: it.outside_writers,
        };
        Self {
            name: summary.name,
            platform: summary.platform.to_owned(),
            members: summary.members.into_iter().map(member).collect(),
            volumes: summary.volumes.into_iter().map(volume).collect(),
            left_out: summary.left_out,
            missing: summary.missing,
            refused: summary.refused,
        }
    }
}

/// Which applications.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// How many: 50 by default, 200 at the most.
    limit: Option<u32>,
    /// Those behind this one: what `next` was.
    after: Option<String>,
}

/// Every application, in the order of their names.
#[utoipa::path(get, path = "/applications", operation_id = "list_applications",
    tag = "applications", params(Which),
    responses((status = 200, body = Page<Application>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(Which { limit, after }): Query<Which>,
) -> Result<Json<Page<Application>>, Problem> {
    let limit = Limit::of(limit)?;
    let place = |row: &ApplicationRow| format!("{}~{}", row.name, row.platform);
    let is_wanted = |row: &ApplicationRow| {
        caller.has(Some(&row.name)) && after.as_ref().is_none_or(|after| place(row) > *after)
    };
    let mut rows = api.catalog.applications().await?;
    rows.retain(is_wanted);
    rows.sort_by_key(place);
    let page = limit.page(rows, place);
    let standings = standings(&api, &page.items).await?;
    let shown = |row: ApplicationRow| Application {
        policies: standings.get(&row.name).cloned().unwrap_or_default(),
        name: row.name,
        platform: row.platform,
        seen: row.seen,
        newest_point: row.newest,
    };
    Ok(Json(Page { items: page.items.into_iter().map(shown).collect(), next: page.next }))
}

async fn standings(
    api: &Api,
    rows: &[ApplicationRow],
) -> Result<BTreeMap<String, Vec<Standing>>, Problem> {
    let setup = api.setup();
    let mut standings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for job in api.catalog.jobs().await?.into_keys() {
        let Some(name) = job.application.clone() else { continue };
        let is_shown = rows.iter().any(|row| row.name == name);
        if !is_shown || !setup.config.policies.contains_key(&job.policy) {
            continue;
        }
        let catalog::Standing { due, succeeded, failed, .. } = api.catalog.standing(&job).await?;
        let standing = Standing { policy: job.policy, due, succeeded, failed };
        standings.entry(name).or_default().push(standing);
    }
    Ok(standings)
}

/// An application as it is on this host now: its containers and volumes, and what a backup would refuse.
#[utoipa::path(get, path = "/applications/{name}", operation_id = "show_application", tag = "applications",
    params(("name" = String, Path, description = "The application")),
    responses((status = 200, body = ApplicationNow), Problem))]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ApplicationNow>, Problem> {
    caller.may_work_on(Some(&name))?;
    let machine = api.setup().machine.clone();
    let journals = machine.warden.journals.clone();
    let overview = applications::overview(&machine.platforms, journals).await?;
    let mut found = overview.applications.into_iter().filter(|it| it.name == name);
    let unknown = || match overview.remark {
        // It may be there.
        Some(remark) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, remark),
        None => Problem::not_found("application", &name),
    };
    Ok(Json(found.next().ok_or_else(unknown)?.into()))
}
