//! Backing up, here or by the service.

use std::path::{Path, PathBuf};

use service::Selection;
use service::backup::{BackupProgress, BackupReport, BackupRequest, Subject};
use service::client::{Followed, NewBackup, Wish};
use service::error::ServiceError;

use super::{Context, runtime_dir};
use crate::arguments::{BackupArguments, SelectionArguments};
use crate::exit::Exit;
use crate::progress::Display;

impl Context {
    /// Backs up: by the service where one runs that can do all that is asked for, or here.
    pub(super) async fn backup(&self, backup: &BackupArguments) -> Result<Exit, ServiceError> {
        if let Some(exit) = self.backup_by_service(backup).await? {
            return Ok(exit);
        }
        let subject = match &backup.application {
            Some(name) => Subject::Application {
                name: name.clone(),
                freeze: !backup.freeze.no_freeze,
                hooks: backup.hooks.are_run(),
                deadline: backup.deadline.deadline(),
            },
            None => Subject::Paths {
                name: backup.name.clone().unwrap_or_else(|| paths_name(&backup.path)),
                paths: backup.path.clone(),
            },
        };
        let selection = selection(&backup.selection)?;
        let (full, tags) = (backup.full, backup.tag.clone());
        let (degrade, keep_local) = (backup.freeze.degrade, backup.keep_local);
        let request = BackupRequest {
            selection,
            full,
            tags,
            degrade,
            keep_local,
            ..BackupRequest::of(subject)
        };
        let engine = self.open().await?;
        let progress = BackupProgress::default();
        let display = Display::new(self.shows_progress());
        if backup.dry_run {
            let rehearsing = Box::pin(engine.rehearse(request, &progress));
            let report = display.during_backup(rehearsing, &progress).await?;
            engine.close().await;
            let exit = if report.omissions.is_empty() { Exit::Success } else { Exit::Partial };
            return Ok(self.answer(&report, exit));
        }
        let report =
            display.during_backup(Box::pin(engine.backup(request, &progress)), &progress).await?;
        engine.close().await;
        Ok(self.answer(&report, exit_of(&report)))
    }

    /// Has the service back an application up; nothing where none runs, or where it could not do all that is
    /// asked for.
    async fn backup_by_service(
        &self,
        backup: &BackupArguments,
    ) -> Result<Option<Exit>, ServiceError> {
        let Some(application) = backup.application.as_deref().filter(|_| backup.is_plain()) else {
            return Ok(None);
        };
        let socket = runtime_dir(&self.arguments).join("stillpoint.sock");
        let Ok(location) = self.location() else { return Ok(None) };
        let reason = self.arguments.reason.as_deref();
        let new = NewBackup { application, tags: &backup.tag, full: backup.full, reason };
        let Some(wish) = Wish::of(&self.machine()?, &socket, &location, new) else {
            return Ok(None);
        };
        let wish = self.wish.get_or_init(|| wish);
        let Some(run) = wish.begin().await? else { return Ok(None) };
        let (display, progress) = (Display::new(self.shows_progress()), BackupProgress::default());
        let tell = |line: &str| display.say(line);
        tell(&format!("the service backs it up, as run {run}"));
        let followed = display.during_backup(wish.follow(run, &progress, tell), &progress).await?;
        Ok(Some(match followed {
            Followed::Reported(report) => self.answer(&*report, exit_of(&report)),
            Followed::Ended(ended) => {
                let exit = if ended.is_partial { Exit::Partial } else { Exit::Success };
                self.answer(&ended, exit)
            }
        }))
    }
}

fn exit_of(report: &BackupReport) -> Exit {
    if report.omissions.is_empty() { Exit::Success } else { Exit::Partial }
}

fn selection(arguments: &SelectionArguments) -> Result<Selection, ServiceError> {
    let mut patterns = arguments.exclude.clone();
    for file in &arguments.exclude_file {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ServiceError::ExcludeFile { path: file.clone(), source })?;
        let lines = text.lines().map(str::trim);
        let meant = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        patterns.extend(meant.map(ToOwned::to_owned));
    }
    let selection = Selection::excluding(patterns.iter().map(String::as_str))?;
    Ok(selection.on_one_filesystem(arguments.one_file_system))
}

fn paths_name(paths: &[PathBuf]) -> String {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let shown = |path: &PathBuf| Path::new(&absolute(path)).display().to_string();
    paths.iter().map(shown).collect::<Vec<_>>().join(":")
}
