//! Policies, as the configuration has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::input::Path;
use super::paging::Page;
use super::{Api, Problem};
use crate::config::PolicyConfig;
use crate::policy;
use crate::serve::Setup;

/// A policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Policy {
    /// Its name.
    name: String,
    /// What its runs do: `backup`, `prune`, `check` or `verify`.
    task: &'static str,
    /// When it runs, in the canonical form.
    schedules: Vec<String>,
    /// The time zone of the schedules.
    zone: String,
    /// By how much a run may begin later, in seconds.
    jitter_seconds: u64,
    /// When no run begins.
    blackouts: Vec<String>,
    /// Whether a run that could not begin in time begins when it can.
    catch_up: bool,
    /// Which points stay, besides those that the schedules want, as the configuration has it.
    #[schema(value_type = Object)]
    keep: serde_json::Value,
    /// The repository, by its name; absent for the one that the service has by default.
    repository: Option<String>,
    /// The tags that its points get.
    tags: Vec<String>,
    /// When it runs next.
    next: Vec<Timestamp>,
}

fn shown(name: &str, policy: &PolicyConfig, setup: &Setup, now: Timestamp) -> Policy {
    let timing = policy.timing(&setup.here);
    let from = now.to_zoned(timing.zone.time_zone());
    let upcoming = policy::next(&setup.config, name, None, &from, NEXT).unwrap_or_default();
    let mut next: Vec<_> =
        upcoming.iter().flat_map(|it| &it.runs).map(jiff::Zoned::timestamp).collect();
    next.sort_unstable();
    next.dedup();
    next.truncate(NEXT);
    Policy {
        name: name.to_owned(),
        task: policy.task.name(),
        schedules: policy.schedules.iter().map(ToString::to_string).collect(),
        zone: timing.zone.to_string(),
        jitter_seconds: policy.jitter.as_secs(),
        blackouts: policy.blackouts.iter().map(ToString::to_string).collect(),
        catch_up: policy.catch_up,
        keep: serde_json::to_value(&policy.keep).unwrap_or_default(),
        repository: policy.repositories.first().cloned(),
        tags: policy.tags.clone(),
        next,
    }
}

/// Every policy, in the order of their names.
#[utoipa::path(get, path = "/policies", operation_id = "list_policies", tag = "policies",
    responses((status = 200, body = Page<Policy>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Page<Policy>>, Problem> {
    caller.may_work_on(None)?;
    let (setup, now) = (api.setup(), api.now());
    let policies = setup.config.policies.iter();
    let items = policies.map(|(name, policy)| shown(name, policy, &setup, now)).collect();
    Ok(Json(Page { items, next: None }))
}

/// A policy.
#[utoipa::path(get, path = "/policies/{name}", operation_id = "show_policy", tag = "policies",
    params(("name" = String, Path, description = "The policy")),
    responses((status = 200, body = Policy), Problem))]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Policy>, Problem> {
    caller.may_work_on(None)?;
    let setup = api.setup();
    let policy = setup.config.policies.get(&name);
    let policy = policy.ok_or_else(|| Problem::not_found("policy", &name))?;
    Ok(Json(shown(&name, policy, &setup, api.now())))
}

/// How many of the coming runs are shown.
const NEXT: usize = 3;
