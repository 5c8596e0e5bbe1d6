//! The verbs for snapshots that stay on this host.

use service::Location;
use service::error::ServiceError;
use service::local::{Removed, SnapshotRequest};

use super::Context;
use crate::arguments::{ForgetArguments, RestoreArguments, SnapshotArguments};
use crate::exit::Exit;
use crate::render;

impl Context {
    pub(super) async fn snapshot(&self, typed: &SnapshotArguments) -> Result<Exit, ServiceError> {
        let request = SnapshotRequest {
            name: typed.application.clone(),
            hooks: typed.hooks.are_run(),
            deadline: typed.deadline.deadline(),
            keep: typed.keep,
        };
        let report = self.machine()?.snapshot(request).await?;
        let exit = if report.left.is_empty() { Exit::Success } else { Exit::Partial };
        Ok(self.answer(&report, exit))
    }

    pub(super) async fn local_points(&self, app: Option<&str>) -> Result<Exit, ServiceError> {
        let rows = self.machine()?.local_snapshots(app).await?;
        Ok(self.answer(&rows, Exit::Success))
    }

    pub(super) async fn restore_local(
        &self,
        typed: &RestoreArguments,
    ) -> Result<Exit, ServiceError> {
        let machine = self.machine()?;
        let repository = match self.location() {
            Ok(Location::Directory(path)) => Some(path),
            // Where there is none, none lies in a volume.
            Ok(_) | Err(_) => None,
        };
        let cache = self.cache_dir();
        let own: Vec<_> = repository.into_iter().chain([cache]).collect();
        let planning = machine.plan_put_back(&typed.point, typed.app.as_deref(), &own);
        let (found, plan) = planning.await?;
        if typed.plan {
            let exit = if plan.conflicts.is_empty() { Exit::Success } else { Exit::Failure };
            return Ok(self.answer(&plan, exit));
        }
        if self.shows_progress() {
            render::talk(&plan);
        }
        let report = machine.put_back(found, plan, &own).await?;
        Ok(self.answer(&report, Exit::Success))
    }

    pub(super) async fn forget_local(&self, typed: &ForgetArguments) -> Result<Exit, ServiceError> {
        let machine = self.machine()?;
        let mut meant = Vec::new();
        for name in &typed.points {
            meant.push(machine.find_local(name, typed.app.as_deref()).await?.snapshot.id);
        }
        let dry_run = typed.dry_run;
        let Removed { snapshots, left } = if dry_run {
            Removed { snapshots: meant, left: Vec::new() }
        } else {
            machine.remove_local(meant).await?
        };
        let exit = if left.is_empty() { Exit::Success } else { Exit::Partial };
        Ok(self.answer(&render::LocalForgotten { snapshots, dry_run, left }, exit))
    }
}
