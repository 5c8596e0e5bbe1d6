//! Progress on a terminal, on standard error.

use std::future::Future;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use service::backup::{BackupProgress, Stage};
use service::prune::{Phase, Progress as PruneProgress};
use service::rebuild::Learning;
use service::{CheckProgress, RestoreProgress};

use crate::render;

/// How often the line is drawn anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// Shows how far something is, or nothing where nobody watches.
pub(crate) struct Display {
    bar: ProgressBar,
    wanted: bool,
}

impl Display {
    /// A display that shows something if it is wanted and standard error is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
        if !wanted || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, wanted }
    }

    /// Waits for a backup.
    pub(crate) async fn during_backup<T>(
        &self,
        work: impl Future<Output = T>,
        progress: &BackupProgress,
    ) -> T {
        let line = || {
            let upload = &progress.upload;
            let counts = format!(
                "{} files, {} read, {} sent",
                HumanCount(upload.files()),
                HumanBytes(upload.read()),
                HumanBytes(upload.sent())
            );
            match progress.stage() {
                Stage::Preparing => "preparing".to_owned(),
                Stage::ReadingAhead => format!("reading what changes: {counts}"),
                Stage::Freezing => "freezing and snapshotting".to_owned(),
                Stage::Uploading(volume) => format!("storing {volume}: {counts}"),
                Stage::Committing => format!("committing: {counts}"),
            }
        };
        self.during(work, line).await
    }

    /// Waits for a restore of `bytes` bytes.
    pub(crate) async fn during_restore<T>(
        &self,
        work: impl Future<Output = T>,
        progress: &RestoreProgress,
        bytes: u64,
    ) -> T {
        let line = || {
            let (files, done) = (HumanCount(progress.files()), HumanBytes(progress.bytes()));
            format!("restoring: {files} files, {done} of {} written", HumanBytes(bytes))
        };
        self.during(work, line).await
    }

    /// Waits for a prune. What it waits for is also said where nobody watches a line.
    pub(crate) async fn during_prune<T>(
        &self,
        work: impl Future<Output = T>,
        progress: &PruneProgress,
    ) -> T {
        let mut told = Vec::new();
        let line = || match progress.phase() {
            Phase::Reading => "reading the index".to_owned(),
            Phase::Marking => {
                format!(
                    "looking for what is needed: {} directories",
                    HumanCount(progress.directories())
                )
            }
            Phase::Repacking => format!("copying: {}", HumanBytes(progress.copied())),
            Phase::Waiting(sessions) => {
                for waiting in &sessions {
                    if !told.contains(&waiting.session) {
                        told.push(waiting.session);
                        self.say(&render::waiting(waiting));
                    }
                }
                let first = sessions.first().map(render::waiting).unwrap_or_default();
                format!("{first}, {} in all", sessions.len())
            }
            Phase::Deleting => format!("deleting: {} objects", HumanCount(progress.deleted())),
        };
        self.during(work, line).await
    }

    /// Waits for a point of `bytes` bytes that is read.
    pub(crate) async fn during_verify<T>(
        &self,
        work: impl Future<Output = T>,
        progress: &RestoreProgress,
        bytes: u64,
    ) -> T {
        let line = || {
            let (files, done) = (HumanCount(progress.files()), HumanBytes(progress.bytes()));
            format!("verifying: {files} files, {done} of {} read", HumanBytes(bytes))
        };
        self.during(work, line).await
    }

    /// Waits for a check.
    pub(crate) async fn during_check<T>(
        &self,
        work: impl Future<Output = T>,
        progress: &CheckProgress,
    ) -> T {
        let line = || {
            let (packs, read) = (HumanCount(progress.packs()), HumanBytes(progress.bytes()));
            format!("checking: {packs} packs, {read} read")
        };
        self.during(work, line).await
    }

    /// Waits for a catalog that is rebuilt.
    pub(crate) async fn during_rebuild<T>(
        &self,
        work: impl Future<Output = T>,
        learning: &Learning,
    ) -> T {
        let line = || {
            let (read, points) = (HumanCount(learning.read()), HumanCount(learning.points()));
            format!("reading restore points: {read} of {points}")
        };
        self.during(work, line).await
    }

    // A line that stays.
    pub(crate) fn say(&self, line: &str) {
        if self.wanted {
            self.bar.suspend(|| render::note(line));
        }
    }

    async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        mut line: impl FnMut() -> String,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.bar.finish_and_clear();
                    return done;
                }
                _ = ticks.tick() => {
                    self.bar.set_message(line());
                    self.bar.tick();
                }
            }
        }
    }
}
