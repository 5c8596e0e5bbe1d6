//! Which local snapshots stay.

use consistency::GroupSnapshot;
use consistency::local::{Label, LocalError, LocalSnapshot};
use format::ids::PointId;
use format::manifest::Manifest;
use platform::application::Application;
use repository::blocking;
use repository::error::chain;

use super::Removed;
use crate::error::ServiceError;
use crate::freeze::release;
use crate::machine::Machine;

impl Machine {
    /// What a backup was read from stays if its point asks for that, so many of them with this one, or
    /// goes; what went wrong is answered, a sentence each.
    pub(crate) async fn keep_or_release(
        &self,
        snapshot: Option<(GroupSnapshot, Application)>,
        run: PointId,
        kept: Option<(&Manifest, u32)>,
    ) -> Vec<String> {
        let Some((snapshot, application)) = snapshot else { return Vec::new() };
        let is_snapshot = snapshot.evidence.is_some();
        let Some((manifest, keep)) = kept.filter(|_| is_snapshot) else {
            release(snapshot).await;
            let why = kept.map(|_| "no local snapshot stays, for nothing was frozen".to_owned());
            return why.into_iter().collect();
        };
        // Where the session began anew the directories have another name.
        if manifest.point != run {
            release(snapshot).await;
            return vec!["no local snapshot stays, for the upload had to begin again".to_owned()];
        }
        let (taken, level, remarks) = (manifest.taken, manifest.level, manifest.remarks.clone());
        match self.stay((snapshot, application), run, Label { taken, level, remarks }).await {
            Ok(_) => self.thin_out(&manifest.application, keep, run).await.left,
            Err(error) => vec![format!("no local snapshot stays: {}", chain(&error))],
        }
    }

    pub(super) async fn stay(
        &self,
        (snapshot, application): (GroupSnapshot, Application),
        id: PointId,
        label: Label,
    ) -> Result<(LocalSnapshot, Application), ServiceError> {
        let records = self.shelf();
        let keep = move || {
            let kept = records.keep(snapshot, id, &application, label)?;
            Ok::<_, LocalError>((kept, application))
        };
        Ok(blocking::run(keep).await?)
    }

    // Removes those of an application that are too many. The newest is there, whatever becomes of them.
    pub(crate) async fn thin_out(&self, application: &str, keep: u32, newest: PointId) -> Removed {
        let thinned = match self.beyond(application, keep, newest).await {
            Ok(old) => self.remove_local(old).await,
            Err(error) => Err(error),
        };
        thinned.unwrap_or_else(|error| Removed { snapshots: Vec::new(), left: vec![chain(&error)] })
    }

    // Those of an application that are too many, beside one that stays, the oldest first.
    async fn beyond(
        &self,
        application: &str,
        keep: u32,
        newest: PointId,
    ) -> Result<Vec<PointId>, ServiceError> {
        let found = self.found(Some(application)).await?;
        // What was kept meanwhile is newer, and stays.
        let ids = found.into_iter().map(|found| found.snapshot.id);
        let mut old: Vec<_> = ids.take_while(|id| *id != newest).collect();
        let stay = usize::try_from(keep).unwrap_or(usize::MAX).saturating_sub(1);
        old.truncate(old.len().saturating_sub(stay));
        Ok(old)
    }
}
