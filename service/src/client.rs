//! The service of this machine, asked on its socket by whoever runs a command beside it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use platform::docker::DEFAULT_SOCKET;
use repository::error::chain;
use repository::location::Location;
use repository::writer::Writer;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::backup::{BackupProgress, BackupReport, Stage};
use crate::error::{FailureClass, ServiceError};
use crate::instance;
use crate::machine::Machine;
use crate::platforms::Platforms;

/// A backup that is to be made by the service.
#[derive(Debug)]
pub struct Wish {
    http: reqwest::Client,
    body: serde_json::Value,
    /// By which it is known there, however often it is asked for.
    key: String,
    /// The number of the run; nothing where the service does not take it. Unknown so far, where it was not
    /// asked or did not answer.
    run: OnceLock<Option<i64>>,
}

/// What is wished for.
#[derive(Clone, Copy, Debug)]
pub struct NewBackup<'a> {
    /// Of this application.
    pub application: &'a str,
    /// The tags that the point gets.
    pub tags: &'a [String],
    /// Whether every file is read.
    pub full: bool,
    /// Why.
    pub reason: Option<&'a str>,
}

/// How a run of the service has ended well.
#[derive(Debug)]
pub enum Followed {
    /// With this report.
    Reported(Box<BackupReport>),
    /// Without one.
    Ended(Ended),
}

/// The end of a run of which no more is known.
#[derive(Debug, Serialize)]
pub struct Ended {
    /// The number of the run.
    pub run: i64,
    /// Its restore point.
    pub point: Option<String>,
    /// Whether something is missing from that.
    pub is_partial: bool,
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
    /// It was asked, and did not say whether it does it.
    #[error("the service was asked to back it up, and does not answer")]
    Unclear(#[source] reqwest::Error),
    /// It does not say any more how far it is.
    #[error("the service has begun run {run} for it, and does not answer any more")]
    Silent {
        /// The number of the run.
        run: i64,
        /// Why.
        source: reqwest::Error,
    },
    /// Somebody called it off, or it was cut off.
    #[error("run {run} of the service was {outcome}")]
    Ended {
        /// The number of the run.
        run: i64,
        /// How it ended.
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
    point: Option<String>,
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

impl Failure {
    pub(crate) fn of(error: &ServiceError) -> Self {
        Self { error: chain(error), hint: error.remedy().into_owned(), class: error.class() }
    }
}

impl Wish {
    /// One for the service that has a state directory and listens there; nothing where there is none, or one
    /// that would do something else: with another engine, other declarations, another repository.
    pub fn of(
        machine: &Machine,
        socket: &Path,
        location: &Location,
        new: NewBackup<'_>,
    ) -> Option<Self> {
        let told = instance::told(&machine.state_dir)?;
        if told != surroundings(&machine.platforms, location) {
            tracing::info!("the service has another engine, repository or configuration");
            return None;
        }
        // Nobody else stands between us and the socket.
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(ANSWER_MAX);
        let body = json!({
            "task": "backup",
            "application": new.application,
            "tags": new.tags,
            "full": new.full,
            "reason": new.reason,
        });
        let (key, run) = (Writer::unused_point().to_string(), OnceLock::new());
        Some(Self { http: http.build().ok()?, body, key, run })
    }

    /// Asks the service for it; answers the number of the run. Nothing where nobody listens, or the service
    /// does not take it: whoever asks does it himself then, or is told what is amiss.
    ///
    /// # Errors
    /// When the service was asked, and does not say whether it does it.
    pub async fn begin(&self) -> Result<Option<i64>, ServiceError> {
        let (begun, mut may_have_it, mut refusals) = (Instant::now(), false, 0);
        let run = loop {
            match self.ask().await {
                Ok(run) => break run,
                Err(error) if error.is_connect() && !may_have_it => break None,
                Err(error) if begun.elapsed() > SILENCE_MAX => {
                    return Err(ClientError::Unclear(error).into());
                }
                // A service that goes on, and knows nothing of it by now, will not know of it later.
                Err(error) if error.status().is_some() && refusals > REFUSALS_MAX => break None,
                // Asked again, it does it once.
                Err(error) => {
                    refusals = if error.status().is_some() { refusals + 1 } else { 0 };
                    may_have_it = true;
                }
            }
            sleep(LOOK_AGAIN).await;
        };
        Ok(*self.run.get_or_init(|| run))
    }

    async fn ask(&self) -> Result<Option<i64>, reqwest::Error> {
        let request = self.http.post(url("runs")).header("Idempotency-Key", &self.key);
        let answer = request.json(&self.body).send().await?;
        let (status, failed) = (answer.status(), answer.error_for_status_ref().err());
        let Some(failed) = failed else { return Ok(Some(answer.json::<Run>().await?.id)) };
        let said = answer.text().await?;
        tracing::info!(%status, "the service does not take this: {said}");
        if status.is_client_error() { Ok(None) } else { Err(failed) }
    }

    /// Waits until it is made, also while the service is started anew. `tell` is told what there is to know.
    pub async fn follow(
        &self,
        run: i64,
        progress: &BackupProgress,
        tell: impl Fn(&str),
    ) -> Result<Followed, ServiceError> {
        let (mut heard, mut waits) = (Instant::now(), false);
        loop {
            match get::<Run>(self.http.get(url(&format!("runs/{run}")))).await {
                Ok(seen) if seen.state == "ended" => return seen.result(),
                Ok(seen) => {
                    heard = Instant::now();
                    if seen.state == "waiting" && !std::mem::replace(&mut waits, true) {
                        tell("it waits for its turn");
                    }
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

    /// Has it end early, where the service does it; answers whether it does.
    pub async fn call_off(&self) -> bool {
        let asked = match self.run.get() {
            Some(run) => Ok(*run),
            // The same key gets the same run.
            None => self.ask().await,
        };
        let Ok(Some(run)) = asked else { return false };
        let asked = self.http.post(url(&format!("runs/{run}/cancel"))).send().await;
        if let Err(error) = asked.and_then(reqwest::Response::error_for_status) {
            tracing::warn!(run, "the service goes on with it: {}", chain(&error));
        }
        true
    }
}

/// What a backup here would be made of and where it would go, told by a digest: whoever has the same would do
/// the same.
pub(crate) fn surroundings(platforms: &Platforms, location: &Location) -> String {
    let Platforms { docker, declared, hooks } = platforms;
    let place = match location {
        Location::Directory(path) => std::path::absolute(path).map(Location::Directory).ok(),
        Location::S3 { .. } => None,
    };
    let place = place.as_ref().unwrap_or(location);
    #[allow(
        clippy::disallowed_methods,
        reason = "the client of the object store reads it by itself"
    )]
    let endpoints = matches!(location, Location::S3 { .. })
        .then(|| ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].map(std::env::var_os));
    let docker = docker.as_deref().unwrap_or(DEFAULT_SOCKET);
    // In a container the same paths are other files.
    let root = std::fs::metadata("/").map(|root| (root.dev(), root.ino())).ok();
    let all = format!("{root:?} {docker} {declared:?} {hooks:?} {place} {endpoints:?}");
    blake3::hash(all.as_bytes()).to_hex().to_string()
}

impl Run {
    fn show(&self, progress: &BackupProgress) {
        let Some(counted) = &self.progress else { return };
        let volume = counted.volume.as_ref().and_then(|volume| volume.parse().ok());
        progress.enter(Stage::named(&counted.stage, volume));
        progress.upload.take_over((counted.files, counted.read_bytes, counted.sent_bytes));
    }

    fn result(self) -> Result<Followed, ServiceError> {
        let (run, report) = (self.id, self.report.unwrap_or_default());
        let outcome = self.outcome.unwrap_or_default();
        if outcome == "succeeded" || outcome == "partial" {
            let (point, is_partial) = (self.point, outcome == "partial");
            return Ok(match BackupReport::deserialize(&report) {
                Ok(report) => Followed::Reported(Box::new(report)),
                Err(_) => Followed::Ended(Ended { run, point, is_partial }),
            });
        }
        if let Ok(failure) = Failure::deserialize(&report) {
            return Err(ClientError::Failed(failure).into());
        }
        let outcome = self.error.map_or(outcome, |error| format!("not able to do it: {error}"));
        Err(ClientError::Ended { run, outcome }.into())
    }
}

impl ClientError {
    /// What the user can do about it, in one sentence.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Unclear(_) | Self::Silent { .. } => {
                "what it has taken goes on when it is back; `stillpoint runs` shows what became of it"
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
/// How often in a row the service may answer that it cannot.
const REFUSALS_MAX: u32 = 10;
/// How long the service may be silent: it may be started anew.
const SILENCE_MAX: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
