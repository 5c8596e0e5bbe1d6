//! The service of this machine, asked on its socket by whoever runs a command beside it.

use std::path::Path;
use std::time::Duration;

use repository::error::chain;
use repository::location::Location;
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::backup::{BackupProgress, BackupReport, Stage};
use crate::error::{FailureClass, ServiceError};
use crate::instance;

/// The way to a service.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

/// A backup that is to be made by the service.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Of this application.
    pub application: &'a str,
    /// In this repository.
    pub location: &'a Location,
    /// The tags that the point gets.
    pub tags: &'a [String],
    /// Whether every file is read.
    pub full: bool,
    /// Why.
    pub reason: Option<&'a str>,
}

/// Why a run of the service failed, as whoever asked for it is told.
#[derive(Clone, Debug, Deserialize, Error, Serialize)]
#[error("{error}")]
pub struct Failure {
    /// Why, with the causes.
    error: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// What kind of failure it is.
    pub(crate) class: FailureClass,
}

/// Why there is no report of a run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It failed.
    #[error(transparent)]
    Failed(Failure),
    /// The service does not answer any more.
    #[error("the service has gone on to back it up, as run {run}, and does not answer any more")]
    Silent {
        /// The number of the run.
        run: i64,
        /// Why.
        source: reqwest::Error,
    },
    /// Nothing more is known of it.
    #[error("run {run} of the service has ended: {outcome}")]
    Ended {
        /// The number of the run.
        run: i64,
        /// How.
        outcome: String,
    },
}

/// A run, as far as this needs it.
#[derive(Debug, Deserialize)]
struct Run {
    id: i64,
    state: String,
    outcome: Option<String>,
    error: Option<String>,
    progress: Option<Counted>,
    report: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Counted {
    stage: String,
    volume: Option<String>,
    files: u64,
    read_bytes: u64,
    sent_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Repositories {
    items: Vec<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    name: Option<String>,
    url: String,
    is_default: bool,
}

impl Failure {
    pub(crate) fn of(error: &ServiceError) -> Self {
        Self { error: chain(error), hint: error.remedy().into_owned(), class: error.class() }
    }
}

impl Client {
    /// The service that has a state directory and listens there, if there is one.
    pub fn of(state_dir: &Path, socket: &Path) -> Option<Self> {
        if !instance::is_taken(state_dir) {
            return None;
        }
        // Nobody else stands between us and the socket.
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(ANSWER_MAX);
        Some(Self { http: http.build().ok()? })
    }

    /// Has the service make a backup; answers the number of the run. Nothing where it does not take that,
    /// because it has another repository, say: whoever asks does it himself then, or is told what is amiss.
    pub async fn begin(&self, wish: Wish<'_>) -> Option<i64> {
        match self.try_begin(wish).await {
            Ok(run) => run,
            Err(error) => {
                tracing::info!("the service cannot be asked: {}", chain(&error));
                None
            }
        }
    }

    async fn try_begin(&self, wish: Wish<'_>) -> Result<Option<i64>, reqwest::Error> {
        let Repositories { items } = get(self.http.get(url("repositories"))).await?;
        let at = wish.location.to_string();
        let Some(found) = items.into_iter().find(|it| it.url == at) else { return Ok(None) };
        if found.name.is_none() && !found.is_default {
            return Ok(None);
        }
        let body = json!({
            "task": "backup",
            "application": wish.application,
            "repository": found.name,
            "tags": wish.tags,
            "full": wish.full,
            "reason": wish.reason,
        });
        let answer = self.http.post(url("runs")).json(&body).send().await?;
        if answer.status() != StatusCode::ACCEPTED {
            tracing::info!(status = %answer.status(), "the service does not take this");
            return Ok(None);
        }
        Ok(Some(answer.json::<Run>().await?.id))
    }

    /// Waits until a backup has ended, also while the service is started anew.
    pub async fn follow(
        &self,
        run: i64,
        progress: &BackupProgress,
    ) -> Result<BackupReport, ServiceError> {
        let mut heard = Instant::now();
        loop {
            match get::<Run>(self.http.get(url(&format!("runs/{run}")))).await {
                Ok(seen) if seen.state == "ended" => return seen.result(),
                Ok(seen) => {
                    heard = Instant::now();
                    seen.show(progress);
                }
                Err(source) if heard.elapsed() > SILENCE_MAX => {
                    return Err(ClientError::Silent { run, source }.into());
                }
                Err(_) => {}
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Has a run end early.
    pub async fn call_off(&self, run: i64) {
        let asked = self.http.post(url(&format!("runs/{run}/cancel"))).send().await;
        if let Err(error) = asked.and_then(reqwest::Response::error_for_status) {
            tracing::warn!(run, "the service goes on with it: {}", chain(&error));
        }
    }
}

impl Run {
    fn show(&self, progress: &BackupProgress) {
        let Some(counted) = &self.progress else { return };
        let volume = counted.volume.as_ref().and_then(|volume| volume.parse().ok());
        progress.enter(Stage::named(&counted.stage, volume));
        progress.upload.take_over((counted.files, counted.read_bytes, counted.sent_bytes));
    }

    fn result(self) -> Result<BackupReport, ServiceError> {
        let report = self.report.unwrap_or_default();
        if let Ok(report) = BackupReport::deserialize(&report) {
            return Ok(report);
        }
        if let Ok(failure) = Failure::deserialize(&report) {
            return Err(ClientError::Failed(failure).into());
        }
        let outcome = self.error.or(self.outcome).unwrap_or_default();
        Err(ClientError::Ended { run: self.id, outcome }.into())
    }
}

impl ClientError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Silent { .. } => {
                "the run waits for the service, and goes on with it; `stillpoint runs` shows what became of it"
            }
            Self::Failed(_) => "look into the log of the service",
            Self::Ended { .. } => "`stillpoint runs` and `stillpoint show` say more",
        }
    }
}

async fn get<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, reqwest::Error> {
    request.send().await?.error_for_status()?.json().await
}

fn url(path: &str) -> String {
    format!("http://localhost{}/{path}", crate::api::ROOT)
}

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long the service may be silent: it may be started anew.
const SILENCE_MAX: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
