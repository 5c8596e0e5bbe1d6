//! Runs: what waits, goes on and has ended; and what somebody wants to have done.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use catalog::{
    Deed, DeedEnd, HistoryFilter, Request, RequestKey, RunId, RunOutcome, RunRow, Task, Wanted,
};
use jiff::Timestamp;
use scheduler::retention::is_reserved;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::input::{Body, Path, Query};
use super::paging::{Limit, Page};
use super::{Api, Ask, CallOff, Problem, ROOT};
use crate::backup::{BackupProgress, Stage};
use crate::error::ServiceError;
use crate::history::{self, State as RunState};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Run {
    /// Its number.
    pub(super) id: i64,
    /// What it does: `backup`, `prune`, `check`, `verify` or `restore`.
    task: &'static str,
    /// `waiting`, `running`, `cut_off` (its process died) or `ended`.
    state: &'static str,
    /// The application; absent where it is for a repository as a whole.
    pub(super) application: Option<String>,
    /// The policy that wanted it.
    policy: Option<String>,
    /// The moment for which the policy wanted it.
    due: Option<Timestamp>,
    /// Who asked for it.
    requested_by: Option<String>,
    /// Why, where that was said.
    reason: Option<String>,
    /// Since when it waited.
    queued: Timestamp,
    /// When it began the last time.
    started: Option<Timestamp>,
    /// How often it was begun.
    attempts: u32,
    /// While it waits: before which moment it does not begin.
    not_before: Option<Timestamp>,
    /// When it ended.
    ended: Option<Timestamp>,
    /// `succeeded`, `partial`, `failed`, `abandoned` or `cancelled`.
    outcome: Option<&'static str>,
    /// Why it failed.
    error: Option<String>,
    /// The restore point that it made, or restored.
    point: Option<String>,
    /// How far it is, where this service does it and it is a backup.
    pub(super) progress: Option<Progress>,
    /// Once it has ended, and where one run alone is asked for: what the command line prints with `--json`
    /// for the same task; where it failed, `error`, `hint` and `class`.
    #[schema(value_type = Option<Object>)]
    pub(super) report: Option<serde_json::Value>,
}

/// How far a backup is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// `preparing`, `reading_ahead`, `freezing`, `uploading` or `committing`.
    stage: &'static str,
    /// The volume that is being uploaded.
    volume: Option<String>,
    /// How many files were looked at.
    files: u64,
    /// How many bytes were read from them.
    read_bytes: u64,
    /// How many bytes were sent to the repository.
    sent_bytes: u64,
}

impl Progress {
    fn of(progress: &BackupProgress) -> Self {
        let stage = progress.stage();
        let volume = match &stage {
            Stage::Uploading(volume) => Some(volume.to_string()),
            _ => None,
        };
        let upload = &progress.upload;
        let (files, read_bytes, sent_bytes) = (upload.files(), upload.read(), upload.sent());
        Self { stage: stage.name(), volume, files, read_bytes, sent_bytes }
    }
}

impl Run {
    /// Whether nothing more becomes of it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn of(row: RunRow, api: &Api) -> Result<Self, Problem> {
        let state = history::state(&row)?;
        let is_backup = row.task == Task::Backup && state == RunState::GoesOn;
        let progress = api.progress(row.id).filter(|_| is_backup);
        let end = row.end;
        let error = end.as_ref().and_then(|end| match &end.outcome {
            RunOutcome::Failed { error } => Some(error.clone()),
            _ => None,
        });
        let (policy, due) = row.occasion.map(|it| (it.policy, it.due)).unzip();
        let (requested_by, reason) = row.request.map(|it| (it.who, it.reason)).unzip();
        Ok(Self {
            id: row.id.number(),
            task: row.task.name(),
            state: match state {
                RunState::Waits => "waiting",
                RunState::GoesOn => "running",
                RunState::CutOff => "cut_off",
                RunState::Ended => "ended",
            },
            application: row.application,
            policy,
            due,
            requested_by,
            reason: reason.flatten(),
            queued: row.queued,
            started: row.start.map(|start| start.started),
            attempts: row.attempts,
            not_before: row.not_before,
            ended: end.as_ref().map(|end| end.ended),
            outcome: end.as_ref().map(|end| end.outcome.name()),
            error,
            point: end.and_then(|end| end.point).map(|point| point.to_string()),
            progress: progress.map(|progress| Progress::of(&progress)),
            report: None,
        })
    }
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Those of this application.
    application: Option<String>,
    /// Those that do this.
    task: Option<String>,
    /// How many: 50 by default, 200 at the most.
    limit: Option<u32>,
    /// Those behind this one: what `next` was.
    after: Option<String>,
}

/// The runs, the newest first.
#[utoipa::path(get, path = "/runs", operation_id = "list_runs", tag = "runs", params(Which),
    responses((status = 200, body = Page<Run>), Problem))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<Page<Run>>, Problem> {
    let task = which.task.as_deref().map(|name| {
        let unknown = || Problem::bad_request(format!("`{name}` is no task"));
        Task::named(name).ok_or_else(unknown)
    });
    let filter =
        HistoryFilter { applications: caller.only(which.application), task: task.transpose()? };
    page(&api, &filter, (which.limit, which.after)).await
}

/// A page of runs.
pub(super) async fn page(
    api: &Api,
    filter: &HistoryFilter,
    (limit, after): (Option<u32>, Option<String>),
) -> Result<Json<Page<Run>>, Problem> {
    let limit = Limit::of(limit)?;
    let before = after.map(|after| after.parse().map(RunId::new)).transpose();
    let before = before.map_err(|_| Problem::bad_request("`after` is nothing that `next` was"))?;
    let rows = api.catalog.run_page(filter, before, limit.and_one()).await?;
    let page = limit.page(rows, |row| row.id.to_string());
    let items = page.items.into_iter().map(|row| Run::of(row, api));
    Ok(Json(Page { items: items.collect::<Result<_, Problem>>()?, next: page.next }))
}

/// A run.
#[utoipa::path(get, path = "/runs/{run}", operation_id = "show_run", tag = "runs",
    params(("run" = i64, Path, description = "Its number")),
    responses((status = 200, body = Run), Problem))]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(run): Path<i64>,
) -> Result<Json<Run>, Problem> {
    let mut run = Run::of(find(&api, &caller, run).await?, &api)?;
    if run.has_ended() {
        let report = api.catalog.report(RunId::new(run.id)).await?;
        run.report = report.and_then(|report| serde_json::from_str(&report).ok());
    }
    Ok(Json(run))
}

async fn find(api: &Api, caller: &Caller, run: i64) -> Result<RunRow, Problem> {
    let row = api.catalog.run(RunId::new(run)).await?;
    let row = row.filter(|row| caller.has(row.application.as_deref()));
    row.ok_or_else(|| Problem::not_found("run", &run.to_string()))
}

/// What is to be done now.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRun {
    /// What the run does.
    task: NewTask,
    /// The application, for a backup; everything else is for a repository as a whole.
    application: Option<String>,
    /// The repository, by its name in the configuration; the one that the service has by default, where it
    /// is absent.
    repository: Option<String>,
    /// The tags that the point of a backup gets.
    #[serde(default)]
    tags: Vec<String>,
    /// Whether a backup reads every file, whatever its time of change.
    #[serde(default)]
    full: bool,
    /// Whether a check reads all data, too.
    #[serde(default)]
    read_data: bool,
    /// Why, for the audit trail.
    reason: Option<String>,
}

/// What a run does.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NewTask {
    /// Back an application up.
    Backup,
    /// Give back the space of what no point of a repository needs.
    Prune,
    /// Look whether everything is in a repository that should be.
    Check,
    /// Read the newest points of this host as a restore would.
    Verify,
}

impl NewRun {
    /// # Errors
    /// When something is given that means nothing for the task, or something is missing.
    fn wanted(&self) -> Result<Wanted, Problem> {
        let is_backup = self.task == NewTask::Backup;
        if is_backup != self.application.is_some() {
            let detail = "`application` is for a backup, which needs one";
            return Err(Problem::unprocessable(detail));
        }
        if let Some(tag) = self.tags.iter().find(|tag| is_reserved(tag)) {
            let detail = format!("the tag `{tag}` is given to points one by one");
            return Err(Problem::unprocessable(detail));
        }
        if !is_backup && (self.full || !self.tags.is_empty()) {
            return Err(Problem::unprocessable("`tags` and `full` are for a backup"));
        }
        if self.read_data && self.task != NewTask::Check {
            return Err(Problem::unprocessable("`read_data` is for a check"));
        }
        Ok(match self.task {
            NewTask::Backup => Wanted::Backup { tags: self.tags.clone(), full: self.full },
            NewTask::Prune => Wanted::Prune,
            NewTask::Check => Wanted::Check { read_data: self.read_data },
            NewTask::Verify => Wanted::Verify,
        })
    }
}

/// Has something done now, before what policies want. It waits for its turn where others are at work; the
/// answer says where to look how far it is.
#[utoipa::path(post, path = "/runs", operation_id = "begin_run", tag = "runs", request_body = NewRun,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gets the same run")),
    responses((status = 202, body = Run, headers(("Location" = String, description = "The run"))),
        Problem))]
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewRun>,
) -> Result<Response, Problem> {
    caller.may_work_on(new.application.as_deref())?;
    let key = key(&headers, &new)?;
    if let Some(run) = api.asked(&caller.who, key.as_ref()).await? {
        return accepted(&api, run).await;
    }
    let wanted = new.wanted()?;
    let setup = api.setup();
    setup.repository_at(new.repository.as_deref())?;
    if let Some(name) = &new.application {
        setup.machine.platforms.application(name).await.map_err(ServiceError::from)?;
    }
    let NewRun { application, repository: at, reason, .. } = new;
    let request = Request { who: caller.who, reason, at, wanted };
    accepted(&api, api.ask((request, application), key).await?).await
}

/// By what a request is known, if it was given a key.
pub(super) fn key(
    headers: &HeaderMap,
    body: &impl Serialize,
) -> Result<Option<RequestKey>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_MAX).contains(&key.len()));
    let wrong = || {
        let detail = format!("`Idempotency-Key` is text of at most {KEY_MAX} characters");
        Problem::bad_request(detail)
    };
    let key = key.ok_or_else(wrong)?.to_owned();
    let body = serde_json::to_vec(body).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Some(RequestKey { key, digest: blake3::hash(&body).to_hex().to_string() }))
}

/// The answer to whoever follows a run from now on.
pub(super) async fn accepted(api: &Api, run: RunId) -> Result<Response, Problem> {
    let row = api.catalog.run(run).await?;
    let row = row.ok_or_else(|| Problem::not_found("run", &run.to_string()))?;
    let location = [(header::LOCATION, format!("{ROOT}/runs/{run}"))];
    Ok((StatusCode::ACCEPTED, location, Json(Run::of(row, api)?)).into_response())
}

/// Ends a run early. One that waits is over at once; one that goes on ends as soon as nothing stands still
/// for it, which the run itself shows. A restore that has begun cannot be stopped.
#[utoipa::path(post, path = "/runs/{run}/cancel", operation_id = "cancel_run", tag = "runs",
    params(("run" = i64, Path, description = "Its number")),
    responses((status = 202, body = Run), Problem))]
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(number): Path<i64>,
) -> Result<Response, Problem> {
    let row = find(&api, &caller, number).await?;
    let (who, command) = (caller.who, format!("POST {ROOT}/runs/{number}/cancel"));
    let deed = Deed { moment: api.now(), who, command, repository: None, reason: None };
    let deed = api.catalog.begin_deed(deed).await?;
    let cancelled = call_off(&api, row.id).await;
    let error = cancelled.as_ref().err().map(|problem| problem.detail().to_owned());
    let end = DeedEnd { ended: api.now(), exit: error.is_some().into(), error };
    api.catalog.end_deed(deed, end).await?;
    cancelled?;
    accepted(&api, row.id).await
}

async fn call_off(api: &Api, run: RunId) -> Result<(), Problem> {
    let (reply, answer) = oneshot::channel();
    let ending = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the service is about to end");
    api.asks.send(Ask::CallOff { run, reply }).await.map_err(|_| ending())?;
    let conflict = |detail: &str| Problem::new(StatusCode::CONFLICT, detail);
    match answer.await.map_err(|_| ending())?? {
        CallOff::Done | CallOff::Ending => Ok(()),
        CallOff::Ended => Err(conflict("the run has ended")),
        CallOff::TooLate => {
            Err(conflict("the run is about to end, or restores and cannot be stopped"))
        }
        CallOff::Elsewhere => Err(conflict("another process does it; end that")),
        CallOff::Unknown => Err(Problem::not_found("run", &run.to_string())),
    }
}

/// The longest key that anybody needs.
const KEY_MAX: usize = 255;
