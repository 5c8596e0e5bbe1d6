//! The hooks of one freeze in their course.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::evidence::HookEvidence;
use format::ids::PointId;
use format::manifest::Level;
use platform::Platform;
use platform::application::{Application, Volume};
use rustix::fs::{OFlags, syncfs};
use tokio::time::Instant;

use super::declared::OnError;
use super::error::{HookError, HookFailure};
use super::hold::{HOLD_MAX, Hold};
use super::owed::Owed;
use super::plan::{Plan, Planned};
use super::step;
use crate::clock::Moment;
use crate::error::chain;

/// What is held for a freeze, and what is owed after it.
#[must_use = "what is held is let go, and what is owed done, by `after`"]
pub struct Held {
    platform: Arc<dyn Platform>,
    /// What is to be held.
    wanted: Vec<Planned>,
    holds: Vec<(Planned, Moment, Hold)>,
    post: Vec<Planned>,
    owed: Option<Owed>,
    report: HookReport,
}

/// How the hooks of a freeze went.
#[derive(Debug, Default)]
pub struct HookReport {
    /// Why the level is not higher, and what failed afterwards; one sentence each.
    pub remarks: Vec<String>,
    /// What was not held until the thaw and should have been: there must be no point.
    pub lost: Option<HookError>,
    ran: Vec<Ran>,
    /// Whether everything that prepares for the freeze went well and held, and there was something.
    prepared: bool,
}

#[derive(Debug)]
struct Ran {
    member: String,
    hook: &'static str,
    begin: Moment,
    end: Moment,
    error: Option<String>,
}

/// Runs what comes before the freeze of `run` and ends before it. Nothing is held yet.
///
/// What is owed afterwards is written down in the directory `owed` first.
///
/// # Errors
/// When a hook fails that must not. What is owed was done then.
///
/// # Cancellation
/// When the future is dropped, what is owed waits in the directory.
pub async fn before(
    platform: Arc<dyn Platform>,
    application: &Application,
    plan: Plan,
    (owed, run): (&Path, PointId),
) -> Result<Held, HookError> {
    let Plan { pre, hold, post, impossible } = plan;
    let subject = (application.name.as_str(), application.platform);
    let owed = Owed::write(owed, run, (subject, platform.address()), &post)
        .map_err(|source| HookError::Journal { path: owed.to_owned(), source })?;
    let prepared = !(pre.is_empty() && hold.is_empty()) && impossible.is_empty();
    let report = HookReport { remarks: impossible, prepared, ..HookReport::default() };
    let mut held = Held { platform, wanted: hold, holds: Vec::new(), post, owed, report };
    let prepared = held.prepare(pre).await;
    held.unless(prepared).await
}

impl Held {
    /// Begins to hold what is to be held of an application with these volumes.
    ///
    /// # Errors
    /// When a hook fails that must not. What was held is released then, and what is owed was done.
    ///
    /// # Cancellation
    /// When the future is dropped, what is held is released; what is owed waits in the directory.
    pub async fn hold(mut self, volumes: &[Volume]) -> Result<Self, HookError> {
        let begun = self.begin(volumes).await;
        self.unless(begun).await
    }

    // What fails is the end of it.
    async fn unless(self, done: Result<(), HookError>) -> Result<Self, HookError> {
        let Err(error) = done else { return Ok(self) };
        for remark in self.after().await.remarks {
            tracing::warn!("{remark}");
        }
        Err(error)
    }

    async fn prepare(&mut self, pre: Vec<Planned>) -> Result<(), HookError> {
        for planned in pre {
            let begin = Moment::now();
            let ran = self.run(&planned).await;
            self.report.add(&planned, begin, ran)?;
        }
        Ok(())
    }

    async fn begin(&mut self, volumes: &[Volume]) -> Result<(), HookError> {
        let hold = std::mem::take(&mut self.wanted);
        if !hold.is_empty() {
            // What is dirty now need not be written out while something is held.
            sync(volumes).await;
        }
        let until = Instant::now() + HOLD_MAX;
        for planned in hold {
            let begin = Moment::now();
            match Hold::begin(&self.platform, &planned.container, &planned.hook, until).await {
                Ok(hold) => self.holds.push((planned, begin, hold)),
                Err(failure) => self.report.add(&planned, begin, Err(failure))?,
            }
        }
        // Nobody stands still for what was lost while others began.
        let mut kept = Ok(());
        for (planned, begin, mut hold) in std::mem::take(&mut self.holds) {
            match hold.lost() {
                None => self.holds.push((planned, begin, hold)),
                Some(failure) => kept = kept.and(self.report.add(&planned, begin, Err(failure))),
            }
        }
        kept
    }

    async fn run(&self, planned: &Planned) -> Result<(), HookFailure> {
        let Planned { container, hook, .. } = planned;
        step::run(self.platform.as_ref(), container, &hook.command, hook.timeout).await
    }

    /// Releases what is held, the last first.
    pub async fn release(&mut self) {
        while let Some((planned, begin, hold)) = self.holds.pop() {
            let released = hold.release().await;
            self.report.release(&planned, begin, released);
        }
    }

    /// Releases what is held still, and runs what comes after the thaw.
    pub async fn after(mut self) -> HookReport {
        self.release().await;
        let mut unpaid = Vec::new();
        for planned in std::mem::take(&mut self.post) {
            let begin = Moment::now();
            let ran = self.run(&planned).await;
            self.report.note(&planned, begin, ran.as_ref().err());
            // One that was not begun, or not known to be: the next command sees whether it can be.
            let unbegun = |failure| match failure {
                HookFailure::Platform(_) => true,
                HookFailure::Status { status, .. } => UNBEGUN.contains(&status),
                _ => false,
            };
            if ran.is_err_and(unbegun) {
                unpaid.push(planned.container);
            }
        }
        if let Some(owed) = self.owed.take()
            && let Err(error) = owed.settle(&unpaid)
        {
            self.report.remarks.push(format!("hooks may run once more: {error}"));
        }
        self.report
    }
}

impl HookReport {
    /// What the point proves with that.
    pub fn level(&self, frozen: Level) -> Level {
        match frozen {
            Level::Crash if self.prepared => Level::Application,
            level => level,
        }
    }

    /// How each hook went, in the order in which they began; `zero` is when the first freeze was
    /// asked for.
    pub(crate) fn evidence(&self, zero: Moment) -> Vec<HookEvidence> {
        let since = |moment: Moment| {
            let (moment, zero) = (i128::from(moment.micros()), i128::from(zero.micros()));
            i64::try_from(moment - zero).unwrap_or(i64::MAX)
        };
        let evidence = self.ran.iter().map(|ran| HookEvidence {
            member: ran.member.clone(),
            hook: ran.hook.to_owned(),
            begin_micros: since(ran.begin),
            end_micros: since(ran.end),
            error: ran.error.clone(),
        });
        let mut evidence: Vec<_> = evidence.collect();
        evidence.sort_by_key(|hook| hook.begin_micros);
        evidence
    }

    // One before the freeze: whether to go on.
    fn add(
        &mut self,
        planned: &Planned,
        begin: Moment,
        ran: Result<(), HookFailure>,
    ) -> Result<(), HookError> {
        self.note(planned, begin, ran.as_ref().err());
        let Err(source) = ran else { return Ok(()) };
        self.prepared = false;
        match planned.hook.on_error {
            OnError::Continue => Ok(()),
            OnError::Fail => {
                let (member, hook) = (planned.member.clone(), planned.name);
                Err(HookError::Failed { member, hook, source: Box::new(source) })
            }
        }
    }

    // One that held something.
    fn release(&mut self, planned: &Planned, begin: Moment, released: Result<(), HookFailure>) {
        self.note(planned, begin, released.as_ref().err());
        let Err(source) = released else { return };
        self.prepared = false;
        if planned.hook.on_error == OnError::Fail {
            let (member, hook) = (planned.member.clone(), planned.name);
            let source = Box::new(source);
            self.lost.get_or_insert(HookError::Lost { member, hook, source });
        }
    }

    fn note(&mut self, planned: &Planned, begin: Moment, failure: Option<&HookFailure>) {
        let (member, hook) = (planned.member.clone(), planned.name);
        let error = failure.map(|failure| chain(failure));
        if let Some(error) = &error {
            self.remarks.push(format!("hook `{hook}` of container `{member}` failed: {error}"));
        }
        self.ran.push(Ran { member, hook, begin, end: Moment::now(), error });
    }
}

/// What engines and shells say of a command that cannot be started.
const UNBEGUN: [i64; 2] = [126, 127];

async fn sync(volumes: &[Volume]) {
    let sources: Vec<PathBuf> = volumes.iter().map(|volume| volume.source.clone()).collect();
    let sync_all = move || {
        for source in sources {
            // Only a matter of speed.
            let _ = open(&source).and_then(|file| Ok(syncfs(file)?));
        }
    };
    let _ = tokio::task::spawn_blocking(sync_all).await;
}

// Whatever it is, without waiting for anybody at the other end.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
