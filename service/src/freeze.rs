//! The freeze of an application with its hooks: what snapshot there is of it, and what that proves.

mod ready;

use consistency::hooks::{Held, HookReport};
use consistency::local::Admitted;
use consistency::{GroupSnapshot, Verdict};
use format::manifest::Level;
use format::tree::FileTime;
use jiff::Timestamp;
use platform::application::Application;
use repository::blocking;

pub(crate) use self::ready::{Former, Ready, Target};
use crate::clock;
use crate::error::ServiceError;
use crate::machine::Machine;

/// An application that was frozen, and runs again; or one that was to be left alone.
pub(crate) struct Frozen {
    /// As it was before.
    pub(crate) application: Application,
    /// When, by our clock.
    pub(crate) at: Timestamp,
    /// Not later than the first snapshot, by the clock of filesystems.
    pub(crate) begun: FileTime,
    pub(crate) level: Level,
    /// What there is to say about it, one sentence each; not what it leaves out.
    pub(crate) remarks: Vec<String>,
    pub(crate) snapshot: GroupSnapshot,
    /// What is owed when everything is read, where the volumes are read in place.
    pub(crate) held: Option<Held>,
    /// Held until everything is read, where the volumes are read in place.
    pub(crate) admitted: Option<Admitted>,
}

impl Machine {
    /// Freezes an application, snapshots its volumes, and does what is owed to it.
    pub(crate) async fn freeze(&self, ready: Ready) -> Result<Frozen, ServiceError> {
        let Ready { request, prepared, mut held, admitted } = ready;
        let (before, freeze) = (request.application.clone(), request.freeze);
        let (at, begun) = (self.clock.now(), clock::file_time(clock::now()));
        let take = move || match prepared {
            Some(prepared) => consistency::take_prepared(&request, prepared),
            None => consistency::take(&request),
        };
        let snapshot = blocking::run(take).await;
        if freeze && let Some(held) = &mut held {
            held.release().await;
        }
        // Who ran while the volumes stood still is known only after: a container that came or was
        // restarted meanwhile spoils the point. Before hooks do anything else to it.
        let after = self.platforms.application(&before.name).await;
        let ended = freeze || snapshot.is_err() || after.is_err();
        let report = match held.take_if(|_| ended) {
            Some(held) => held.after().await,
            None => HookReport::default(),
        };
        let (mut snapshot, after) = (snapshot?, after?);
        if let Some(lost) = report.lost {
            release(snapshot).await;
            return Err(lost.into());
        }
        snapshot.add_hooks(&report);
        let Verdict { level, remarks } = snapshot.verdict(&before, &after);
        let level = report.level(level);
        let remarks = [remarks, snapshot.remarks.clone(), before.left_out.clone(), report.remarks];
        let (remarks, admitted) = (remarks.concat(), admitted.filter(|_| !freeze));
        Ok(Frozen { application: before, at, begun, level, remarks, snapshot, held, admitted })
    }
}

/// Deletes the snapshots when they are no longer needed.
pub(crate) async fn release(snapshot: GroupSnapshot) {
    for left in blocking::run(move || snapshot.release()).await {
        // The next backup tries to remove what is left.
        tracing::warn!(%left, "a snapshot could not be removed");
    }
}
