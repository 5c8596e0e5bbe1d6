//! A freeze on trial: how long an application would stand still, and what a backup would refuse.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use consistency::hooks::{self, Plan};
use consistency::{Budget, ConsistencyError, Rehearsal, Request};
use format::evidence::{HookEvidence, MemberEvidence};
use format::raw::RawPath;
use platform::application::Application;
use repository::blocking;
use repository::error::chain;
use repository::writer::Writer;
use serde::Serialize;

use crate::deadline::Deadline;
use crate::error::ServiceError;
use crate::machine::Machine;
use crate::thaw::settle_first;

/// How a freeze on trial went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuiesceReport {
    /// The application.
    pub application: String,
    /// How long the freeze might have lasted, and what limits it.
    pub budget: Option<BudgetReport>,
    /// From the first freeze to the last thaw; nothing when it was refused.
    pub window_micros: Option<u64>,
    /// How each container went through it.
    pub members: Vec<MemberEvidence>,
    /// How a backup would snapshot each volume.
    pub volumes: Vec<VolumeOutlook>,
    /// Why a backup would be refused; one sentence each.
    pub refused: Vec<String>,
    /// What would take long while everything stands still; one sentence each.
    pub slow: Vec<String>,
    /// How each hook went.
    pub hooks: Vec<HookEvidence>,
    /// Why the level of a restore point would not be higher, and what it would leave out.
    pub remarks: Vec<String>,
}

/// How long a freeze may last.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetReport {
    /// After this the warden thaws.
    pub limit_micros: u64,
    /// What limits it, to go on after the time.
    pub because: String,
}

/// How a volume would be snapshotted.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeOutlook {
    /// Its name.
    pub name: RawPath,
    /// The driver.
    pub driver: &'static str,
}

/// What to freeze on trial, and with what.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The application.
    pub name: String,
    /// Whether its hooks are run.
    pub hooks: bool,
    /// After how long it runs again, whatever happens.
    pub deadline: Deadline,
    /// Where it runs.
    pub machine: Machine,
}

/// Freezes an application and thaws it, without a snapshot, its hooks around that.
///
/// # Errors
/// When the trial itself fails. What a backup would refuse is in the report.
pub async fn quiesce(trial: Trial) -> Result<QuiesceReport, ServiceError> {
    let Trial { name, hooks, deadline, machine } = trial;
    settle_first(&machine).await;
    let Machine { platforms, warden, state_dir, .. } = machine;
    let (name, owed) = (name.as_str(), state_dir.join(hooks::DIRECTORY));
    let before = platforms.application(name).await?;
    let mut report = QuiesceReport { application: name.to_owned(), ..QuiesceReport::default() };
    let missing = before.missing.iter().map(|it| format!("volume `{}`: {}", it.name, it.reason));
    report.remarks = before.left_out.iter().cloned().chain(missing).collect();
    report.refused.clone_from(&before.mistakes);
    if before.volumes.is_empty() {
        report.refused.push("it has no volumes that could be saved".to_owned());
    }
    if !report.refused.is_empty() {
        return Ok(report);
    }
    let Budget { limit, because } = match deadline.budget(&before) {
        Ok(budget) => budget,
        Err(error) => {
            report.refused.push(error.to_string());
            return Ok(report);
        }
    };
    let plan = match if hooks { platforms.hooks(&before) } else { Ok(Plan::default()) } {
        Ok(plan) => plan,
        Err(error) => {
            report.refused.push(error.to_string());
            return Ok(report);
        }
    };
    let limit_micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    report.budget = Some(BudgetReport { limit_micros, because: because.to_string() });
    let request = Request {
        application: before.clone(),
        run: Writer::unused_point(),
        deadline: limit,
        warden,
        engine_sockets: platforms.engine_sockets(),
        reader: None,
        freeze: true,
    };
    let platform = platforms.platform(before.platform).await?;
    let held = match hooks::before(platform, &before, plan, (&owed, request.run)).await {
        Ok(held) => held.hold(&before.volumes).await,
        Err(error) => Err(error),
    };
    let mut held = match held {
        Ok(held) => held,
        Err(error) => {
            report.refused.push(chain(&error));
            return Ok(report);
        }
    };
    let frozen = blocking::run(move || consistency::rehearse(&request)).await;
    held.release().await;
    let after = platforms.application(name).await;
    let hooks = held.after().await;
    report.remarks.extend(hooks.remarks.iter().cloned());
    report.refused.extend(hooks.lost.as_ref().map(|lost| chain(lost)));
    match frozen {
        Ok(mut rehearsal) => {
            rehearsal.freeze.add_hooks(&hooks);
            report.add(rehearsal, (&before, &after?), limit);
        }
        Err(error) if would_refuse(&error) => report.refused.push(chain(&error)),
        Err(error) => return Err(error.into()),
    }
    Ok(report)
}

impl QuiesceReport {
    fn add(
        &mut self,
        rehearsal: Rehearsal,
        (before, after): (&Application, &Application),
        limit: Duration,
    ) {
        let Rehearsal { drivers, copied, read, remarks, freeze } = rehearsal;
        self.remarks.extend(freeze.verdict(before, after).remarks);
        self.remarks.extend(remarks);
        if let Some(evidence) = &freeze.evidence {
            self.window_micros = Some(evidence.window_micros);
            self.members.clone_from(&evidence.members);
            self.hooks.clone_from(&evidence.hooks);
        }
        let slow = self.members.iter().filter_map(|member| slow_member(member, limit));
        self.slow.extend(slow);
        for path in copied {
            let (path, bytes) = (path.display(), bytes_below(&path));
            let copied = format!("`{path}` would be copied while everything stands still");
            self.slow.push(format!("{copied}: {bytes} bytes"));
        }
        for path in read {
            let (path, bytes) = (path.display(), bytes_below(&path));
            let read =
                format!("what changes in `{path}` would be read while everything stands still");
            self.slow.push(format!("{read}: at most {bytes} bytes"));
        }
        let outlook = |(name, driver)| VolumeOutlook { name, driver };
        self.volumes = drivers.into_iter().map(outlook).collect();
    }
}

// Whatever a backup would meet in the same way, before or while it freezes.
fn would_refuse(error: &ConsistencyError) -> bool {
    !matches!(error, ConsistencyError::StillFrozen { .. } | ConsistencyError::Warden { .. })
}

// One that takes more than a tenth of all the time there is.
fn slow_member(member: &MemberEvidence, limit: Duration) -> Option<String> {
    let taken = member.frozen_micros?.checked_sub(member.freeze_micros?)?;
    let name = &member.name;
    let is_slow = Duration::from_micros(taken) > limit / 10;
    is_slow.then(|| format!("container `{name}` took {} ms to stand still", taken / 1000))
}

// Without following links or going into other filesystems; what cannot be read counts nothing.
fn bytes_below(path: &Path) -> u64 {
    let (mut bytes, mut waiting) = (0, vec![path.to_owned()]);
    let device = fs::symlink_metadata(path).map_or(0, |found| found.dev());
    while let Some(path) = waiting.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.dev() != device {
            continue;
        }
        if found.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        } else if found.is_file() {
            bytes += found.len();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_tenth_of_the_time_is_slow() {
        let member = |frozen_micros| MemberEvidence {
            name: "db".to_owned(),
            method: "cgroup-v2".to_owned(),
            freeze_micros: Some(1_000),
            frozen_micros,
            thawed_micros: None,
            continuous: true,
        };
        let limit = Duration::from_secs(1);
        let slow = slow_member(&member(Some(151_000)), limit);
        assert_eq!(slow.unwrap(), "container `db` took 150 ms to stand still");
        assert_eq!(slow_member(&member(Some(101_000)), limit), None);
        assert_eq!(slow_member(&member(None), limit), None);
    }

    #[test]
    fn bytes_are_those_of_files_and_not_of_what_links_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 300]).unwrap();
        fs::write(folder.path().join("c"), [0; 20]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("d")).unwrap();
        assert_eq!(bytes_below(folder.path()), 320);
        assert_eq!(bytes_below(&folder.path().join("c")), 20);
        assert_eq!(bytes_below(Path::new("/nowhere/at/all")), 0);
    }
}
