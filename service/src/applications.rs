//! What there is to back up.

use std::path::PathBuf;

use consistency::NeverFrozen;
use consistency::hooks::HookError;
use format::raw::RawPath;
use platform::application::{Activity, Application};
use repository::blocking;
use serde::Serialize;

use crate::deadline::Deadline;
use crate::engine::FREEZE_DEADLINE;
use crate::error::ServiceError;
use crate::platforms::Platforms;

/// An application, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ApplicationSummary {
    /// Its name.
    pub name: String,
    /// What runs it.
    pub platform: &'static str,
    /// Its containers.
    pub members: Vec<MemberSummary>,
    /// Its volumes.
    pub volumes: Vec<VolumeSummary>,
    /// What a backup leaves out on purpose, with the reasons.
    pub left_out: Vec<String>,
    /// Volumes that cannot be found, with the reasons.
    pub missing: Vec<String>,
    /// Why a backup would be refused.
    pub refused: Vec<String>,
}

/// A container, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct MemberSummary {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub activity: Activity,
    /// How it would be frozen; nothing when it has no processes, or none that can be frozen.
    pub freezer: Option<&'static str>,
    /// Which hooks a backup would run, such as `pre`, or a profile such as `mysql`.
    pub hooks: Vec<&'static str>,
}

/// A volume, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeSummary {
    /// Its name.
    pub name: RawPath,
    /// Where it lies on the host.
    pub source: RawPath,
    /// How it would most likely be snapshotted; nothing when no filesystem holds it.
    pub driver: Option<&'static str>,
    /// Running containers outside the application that may write it.
    pub outside_writers: Vec<String>,
}

/// Every application, and a sentence on a platform that did not answer.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The applications.
    pub applications: Vec<ApplicationSummary>,
    /// Why some may be missing.
    pub remark: Option<String>,
}

/// Every application that can be seen from here, and what a backup with a warden that keeps its journals
/// in this directory would be refused for.
pub async fn overview(platforms: &Platforms, journals: PathBuf) -> Result<Overview, ServiceError> {
    let seen = platforms.applications().await?;
    let sockets = platforms.engine_sockets();
    let never_frozen = blocking::run(move || NeverFrozen::look(&journals, &sockets)).await;
    let summary = |application| summary(application, platforms, &never_frozen);
    let applications = seen.applications.into_iter().map(summary).collect();
    Ok(Overview { applications, remark: seen.unreachable.map(|error| error.to_string()) })
}

fn summary(
    application: Application,
    platforms: &Platforms,
    never_frozen: &NeverFrozen,
) -> ApplicationSummary {
    let hooks = platforms.hooks(&application);
    let mut refused = refused(&application, hooks.as_ref().err());
    refused.extend(never_frozen.refusals(&application));
    let hooks = hooks.unwrap_or_default();
    let member = |m: platform::application::Member| MemberSummary {
        hooks: hooks.all().filter(|hook| hook.member == m.name).map(|hook| hook.name).collect(),
        name: m.name,
        activity: m.activity,
        freezer: m.freezer.map(|target| target.method()),
    };
    let volume = |v: platform::application::Volume| VolumeSummary {
        driver: consistency::likely_driver(&v),
        name: v.name,
        source: RawPath::new(v.source.into_os_string().into_encoded_bytes()),
        outside_writers: v.outside_writers,
    };
    ApplicationSummary {
        name: application.name,
        platform: application.platform,
        members: application.members.into_iter().map(member).collect(),
        volumes: application.volumes.into_iter().map(volume).collect(),
        left_out: application.left_out,
        missing: application.missing.iter().map(|m| format!("{}: {}", m.name, m.reason)).collect(),
        refused,
    }
}

// What a backup with the usual deadline would be refused for, as far as that is known without a freeze.
fn refused(application: &Application, wrong_hooks: Option<&HookError>) -> Vec<String> {
    let mut refused = application.mistakes.clone();
    if application.volumes.is_empty() {
        refused.push("it has no volumes that could be saved".to_owned());
    }
    refused.extend(wrong_hooks.map(HookError::to_string));
    let budget = Deadline::at_most(FREEZE_DEADLINE).budget(application);
    refused.extend(budget.err().map(|error| error.to_string()));
    refused
}
