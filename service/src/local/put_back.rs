//! A local snapshot put back into the volumes of its application, which does not run.

use std::path::PathBuf;
use std::time::Duration;

use consistency::local::{self, Found, LocalError, LocalPlan, PutBack, Restoring};
use format::ids::PointId;
use platform::application::{Activity, Application, Member};
use repository::blocking;
use repository::error::chain;
use serde::Serialize;

use super::{Removed, not_read};
use crate::deadline::Deadline;
use crate::error::ServiceError;
use crate::freeze::{Former, Target};
use crate::machine::Machine;
use crate::points::PointName;
use crate::thaw::settle_first;

/// What putting a snapshot back came to.
#[derive(Clone, Debug, Serialize)]
pub struct PutBackReport {
    /// What was planned.
    pub plan: LocalPlan,
    /// A snapshot of what was there before.
    pub before: PointId,
    /// What was changed.
    #[serde(flatten)]
    pub done: PutBack,
}

impl Machine {
    /// The local snapshot of this name, and what putting it back would do; nothing is written. `own`
    /// are directories of ours beside that of the state: a repository, a cache.
    pub async fn plan_put_back(
        &self,
        name: &PointName,
        application: Option<&str>,
        own: &[PathBuf],
    ) -> Result<(Found, LocalPlan), ServiceError> {
        let found = self.find_local(name, application).await?;
        let (_, plan) = self.plan_local(&found, own).await?;
        Ok((found, plan))
    }

    /// Puts a snapshot back as planned. What is there now is snapshotted first.
    pub async fn put_back(
        &self,
        found: Found,
        plan: LocalPlan,
        own: &[PathBuf],
    ) -> Result<PutBackReport, ServiceError> {
        settle_first(self).await;
        clear(&plan)?;
        let earlier = self.note_of(&plan.application).await?.filter(|note| note.changing);
        let mut note = Restoring {
            application: plan.application.clone(),
            snapshot: plan.snapshot,
            before: earlier.iter().flat_map(|note| note.before.clone()).collect(),
            changing: earlier.is_some(),
        };
        self.write_note(&note).await?;
        let former = self.keep_former(&plan, &mut note).await;
        let (before, known) = match former {
            Ok(former) => former,
            Err(error) => return Err(self.back_out(earlier.as_ref(), &note, error).await),
        };
        let records = self.shelf();
        let alone = match records.alone(&plan.application) {
            Ok(alone) => alone,
            Err(error) => return Err(self.back_out(earlier.as_ref(), &note, error.into()).await),
        };
        if let Err(error) = self.still_fits(&found, own, &known).await {
            return Err(self.back_out(earlier.as_ref(), &note, error).await);
        }
        note.changing = true;
        self.write_note(&note).await?;
        let snapshot = found.snapshot.clone();
        let names = plan.volumes.iter().map(|volume| volume.name.clone()).collect();
        let done = blocking::run(move || local::put_back(&snapshot, &names)).await;
        // Whoever ran meanwhile may have read some of both.
        let now = self.platforms.application(&plan.application).await?;
        let done = done.and_then(|done| undisturbed(&known, &now).map(|()| done));
        let done = done.map_err(|source| {
            let (note, source) = (note.clone(), Box::new(source));
            ServiceError::from(LocalError::HalfDone { note, source })
        })?;
        records.remove_note(&plan.application)?;
        drop(alone);
        Ok(PutBackReport { plan, before, done })
    }

    // What `latest` is, is not certain after a restore was cut off, which snapshots first.
    pub(super) async fn is_latest_clear(&self, application: &str) -> Result<(), ServiceError> {
        match self.note_of(application).await? {
            Some(note) => Err(LocalError::Unfinished(note).into()),
            None => Ok(()),
        }
    }

    // Keeps what is there now, all volumes of one instant; nobody runs.
    async fn keep_former(
        &self,
        plan: &LocalPlan,
        note: &mut Restoring,
    ) -> Result<(PointId, Application), ServiceError> {
        let volumes = plan.volumes.iter().map(|volume| volume.name.clone()).collect();
        let target = Target {
            name: plan.application.clone(),
            freeze: true,
            hooks: false,
            deadline: Deadline::at_most(FORMER_MAX),
            before: Some(Former { volumes }),
        };
        let why = format!("what was there before local snapshot {} was put back", plan.snapshot);
        let (former, application) = self.take_local(target, vec![why]).await?;
        note.before.push(former.id);
        self.write_note(note).await?;
        let nested = former.volumes.iter().find(|volume| volume.nested);
        if let Some(volume) = nested {
            let told = format!("other filesystems or subvolumes lie in volume `{}`", volume.name);
            return Err(conflicts(plan.snapshot, vec![told]));
        }
        Ok((former.id, application))
    }

    // Nothing was changed by this attempt: what it wrote down and kept goes. What an earlier one left
    // half done stays as it is.
    async fn back_out(
        &self,
        earlier: Option<&Restoring>,
        note: &Restoring,
        error: ServiceError,
    ) -> ServiceError {
        let tidied = match earlier {
            Some(earlier) => self.write_note(earlier).await,
            None => self.shelf().remove_note(&note.application).map_err(ServiceError::from),
        };
        if let Err(error) = tidied {
            tracing::warn!("{}", chain(&error));
            return error;
        }
        let kept: Vec<_> = earlier.iter().flat_map(|note| &note.before).collect();
        let new = note.before.iter().filter(|id| !kept.contains(id));
        match self.remove_local(new.copied().collect()).await {
            Ok(Removed { left, .. }) => left.iter().for_each(|left| tracing::warn!("{left}")),
            Err(error) => tracing::warn!("{}", chain(&error)),
        }
        error
    }

    // Looks once more, with the application for ourselves: somebody may have started it.
    async fn still_fits(
        &self,
        found: &Found,
        own: &[PathBuf],
        known: &Application,
    ) -> Result<(), ServiceError> {
        let (now, plan) = self.plan_local(found, own).await?;
        clear(&plan)?;
        Ok(undisturbed(known, &now)?)
    }

    async fn plan_local(
        &self,
        found: &Found,
        own: &[PathBuf],
    ) -> Result<(Application, LocalPlan), ServiceError> {
        let application = self.platforms.application(&found.snapshot.application).await?;
        let own = own.iter().chain([&self.state_dir]);
        let own: Vec<_> = own.filter_map(|path| path.canonicalize().ok()).collect();
        let plan = local::plan(found, &application, &own).map_err(not_read)?;
        Ok((application, plan))
    }

    async fn note_of(&self, application: &str) -> Result<Option<Restoring>, ServiceError> {
        let (records, name) = (self.shelf(), application.to_owned());
        Ok(blocking::run(move || records.restoring(&name)).await?)
    }

    async fn write_note(&self, note: &Restoring) -> Result<(), ServiceError> {
        let (records, note) = (self.shelf(), note.clone());
        Ok(blocking::run(move || records.write_note(&note)).await?)
    }
}

fn clear(plan: &LocalPlan) -> Result<(), ServiceError> {
    if plan.conflicts.is_empty() {
        return Ok(());
    }
    Err(conflicts(plan.snapshot, plan.conflicts.clone()))
}

fn conflicts(id: PointId, conflicts: Vec<String>) -> ServiceError {
    LocalError::Conflicts { id, conflicts }.into()
}

// The same containers, started when they were, and none of them running.
fn undisturbed(known: &Application, now: &Application) -> Result<(), LocalError> {
    let is_among = |members: &[Member], one: &Member| {
        members
            .iter()
            .any(|it| (&it.name, &it.id, &it.started) == (&one.name, &one.id, &one.started))
    };
    let changed = |member: &&Member| {
        member.activity != Activity::Stopped || !is_among(&known.members, member)
    };
    let gone = |member: &&Member| !is_among(&now.members, member);
    let found = now.members.iter().find(changed).or_else(|| known.members.iter().find(gone));
    match found {
        Some(member) => Err(LocalError::Disturbed { member: member.name.clone() }),
        None => Ok(()),
    }
}

/// Whole copies of volumes take their time, and nobody waits for them.
const FORMER_MAX: Duration = Duration::from_mins(10);
