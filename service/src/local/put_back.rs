//! A local snapshot put back into the volumes of its application, which does not run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use consistency::local::{self, Alone, Found, LocalError, LocalPlan, PutBack, Restoring};
use format::ids::PointId;
use format::raw::RawPath;
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
        let (records, name) = (self.shelf(), plan.application.clone());
        let alone = blocking::run(move || records.alone(&name)).await?;
        let earlier = self.note_of(&plan.application).await?.filter(|note| note.changing);
        let mut note = Restoring {
            application: plan.application.clone(),
            snapshot: plan.snapshot,
            before: earlier.iter().flat_map(|note| note.before.clone()).collect(),
            changing: earlier.is_some(),
        };
        self.write_note(&note).await?;
        let (before, known) = match self.approach(&found, &plan, own, &mut note).await {
            Ok(former) => former,
            Err(error) => return Err(self.back_out(earlier.as_ref(), &note, error).await),
        };
        note.changing = true;
        if let Err(error) = self.write_note(&note).await {
            return Err(self.back_out(earlier.as_ref(), &note, error).await);
        }
        let done = self.replace(&found, &plan, known, alone).await;
        let done = done.map_err(|source| {
            let source = Box::new(source);
            ServiceError::HalfDone { note: note.clone(), source }
        })?;
        Ok(PutBackReport { plan, before, done })
    }

    // Everything but the change itself; answers what is kept of the present state, and the application
    // as it was then.
    async fn approach(
        &self,
        found: &Found,
        plan: &LocalPlan,
        own: &[PathBuf],
        note: &mut Restoring,
    ) -> Result<(PointId, Application), ServiceError> {
        let (before, known) = self.keep_former(plan, note).await?;
        self.still_fits(found, own, &known).await?;
        Ok((before, known))
    }

    async fn replace(
        &self,
        found: &Found,
        plan: &LocalPlan,
        known: Application,
        alone: Alone,
    ) -> Result<PutBack, ServiceError> {
        let snapshot = found.snapshot.clone();
        let names: BTreeSet<_> = plan.volumes.iter().map(|volume| volume.name.clone()).collect();
        let chosen = names.clone();
        // The lock is held until the files are left alone, also when nobody waits for that any more.
        let act = move || local::put_back(&snapshot, &chosen).map(|done| (done, alone));
        let (done, _alone) = blocking::run(act).await?;
        // Whoever ran meanwhile may have read some of both.
        let now = self.platforms.application(&plan.application).await?;
        undisturbed(&known, &now, &names)?;
        self.shelf().remove_note(&plan.application)?;
        Ok(done)
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
            former: Some(Former { volumes }),
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
        let (records, id) = (self.shelf(), found.snapshot.id);
        let there = blocking::run(move || records.find(id)).await?;
        let there = there.ok_or(LocalError::Removed(id))?;
        let (now, plan) = self.plan_local(&there, own).await?;
        clear(&plan)?;
        let names = plan.volumes.iter().map(|volume| volume.name.clone()).collect();
        Ok(undisturbed(known, &now, &names)?)
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

// The same containers, started when they were, and none of them running; nobody else writes these
// volumes.
fn undisturbed(
    known: &Application,
    now: &Application,
    volumes: &BTreeSet<RawPath>,
) -> Result<(), LocalError> {
    for volume in now.volumes.iter().filter(|volume| volumes.contains(&volume.name)) {
        if let Some(writer) = volume.outside_writers.first() {
            let (volume, writer) = (volume.name.clone(), writer.clone());
            return Err(LocalError::Written { volume, writer });
        }
    }
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
