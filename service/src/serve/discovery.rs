//! Which applications have which policies, and which policies are for repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::{ApplicationRow, JobName, JobRow, Task};
use jiff::{SignedDuration, Timestamp};
use platform::application::Application;
use platform::docker::PLATFORM;
use repository::error::chain;
use tokio::time::Instant;

use super::Setup;
use crate::config::{ApplicationConfig, DeclaredPlatform};

/// The jobs that were found, and when.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    found: BTreeSet<JobName>,
    looked: Option<Instant>,
    /// The applications that were found, by their names and what runs them, and are not written down yet.
    sighted: BTreeSet<(String, String)>,
    /// When those were last that were.
    written: Option<Instant>,
    /// Since when it relies on what was remembered.
    remembers_since: Option<Instant>,
    /// Why a platform that is needed did not answer.
    trouble: Option<String>,
}

impl Discovery {
    /// What a service before this one has found on an engine, until that says what there is: while it does
    /// not answer nothing is taken for gone, for a day. What was looked after long ago may be.
    pub(super) fn remembering(
        jobs: &BTreeMap<JobName, JobRow>,
        applications: &[ApplicationRow],
        now: Timestamp,
    ) -> Self {
        let on_engine = |name: &String| {
            applications.iter().any(|row| row.name == *name && row.platform == PLATFORM)
        };
        let is_remembered = |(name, row): &(&JobName, &JobRow)| {
            name.application.as_ref().is_some_and(on_engine)
                && now.duration_since(row.handled) < REMEMBERED
        };
        let found = jobs.iter().filter(is_remembered).map(|(name, _)| name.clone()).collect();
        Self { found, remembers_since: Some(Instant::now()), ..Self::default() }
    }

    /// Asks the platforms again when jobs are next wanted.
    pub(super) fn look_again(&mut self) {
        self.looked = None;
    }

    /// Every application with each of its policies: those that the configuration names, and those that a
    /// label does; and every policy for a repository. A platform that does not answer leaves what was found
    /// there before.
    pub(super) async fn jobs(&mut self, setup: &Setup) -> BTreeSet<JobName> {
        let is_fresh = |looked: Instant| looked.elapsed() < LOOK_AGAIN;
        if !self.looked.is_some_and(is_fresh) {
            self.looked = Some(Instant::now());
            match setup.machine.platforms.applications().await {
                Ok(seen) => {
                    if seen.unreachable.is_none() {
                        self.found.clear();
                        self.remembers_since = None;
                    }
                    // A host need not have an engine.
                    let is_needed = !self.found.is_empty() || names_engine(setup);
                    self.trouble =
                        seen.unreachable.as_ref().filter(|_| is_needed).map(|it| chain(it));
                    self.found.extend(seen.applications.iter().flat_map(labelled));
                    let sighted = seen.applications.into_iter();
                    self.sighted.extend(sighted.map(|it| (it.name, it.platform.to_owned())));
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!("applications cannot be looked for: {error}");
                    self.trouble = Some(error);
                }
            }
        }
        if self.remembers_since.is_some_and(|since| since.elapsed() > RELIED_ON) {
            self.found.clear();
        }
        let declared = setup.config.applications.iter().flat_map(|(application, config)| {
            config.policies.iter().map(|policy| job(Some(application), policy))
        });
        let policies = setup.config.policies.iter();
        let for_repositories = policies
            .filter(|(_, policy)| policy.task != Task::Backup)
            .map(|(name, _)| job(None, name));
        declared.chain(for_repositories).chain(self.found.iter().cloned()).collect()
    }

    /// The applications that were found, once in a while.
    pub(super) fn sighted(&mut self) -> Vec<(String, String)> {
        if self.written.is_some_and(|when| when.elapsed() < WRITTEN_AGAIN) {
            return Vec::new();
        }
        self.written = Some(Instant::now());
        std::mem::take(&mut self.sighted).into_iter().collect()
    }

    /// Why a platform that is needed did not answer, when applications were last looked for.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

fn names_engine(setup: &Setup) -> bool {
    let is_on_engine = |it: &ApplicationConfig| it.platform == DeclaredPlatform::Docker;
    setup.machine.platforms.docker.is_some() || setup.config.applications.values().any(is_on_engine)
}

fn labelled(application: &Application) -> impl Iterator<Item = JobName> + '_ {
    let labels = application.members.iter().filter_map(|member| member.labels.get(LABEL));
    let names = labels.flat_map(|names| names.split(','));
    names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|policy| job(Some(&application.name), policy))
}

fn job(application: Option<&String>, policy: &str) -> JobName {
    JobName { application: application.cloned(), policy: policy.to_owned() }
}

/// The policies by which a container's application is backed up, separated by commas.
const LABEL: &str = "stillpoint.policy";

/// What nobody has looked after for so long may be gone.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long an engine may take until it answers.
const RELIED_ON: Duration = Duration::from_hours(24);
/// How often it is written down which applications there are.
const WRITTEN_AGAIN: Duration = Duration::from_mins(5);
/// Who starts a container waits that long for its policy.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
