//! How a volume would be snapshotted, and which freeze would be refused, told without touching either.

use std::path::{Path, PathBuf};

use platform::application::{Activity, Application, Member, Volume};
use platform::driver::Driver;
use platform::files::mounts::MountTable;

use crate::error::chain;
use crate::freezer;
use crate::needed::{Needed, needed};

/// Who must not be frozen, as of one look at this host.
#[derive(Clone, Debug)]
pub struct NeverFrozen(Vec<Needed>);

impl NeverFrozen {
    /// Looks who would be needed for a thaw by a warden that keeps its journals in this directory,
    /// of containers whose engines listen on these sockets.
    pub fn look(journals: &Path, engine_sockets: &[PathBuf]) -> Self {
        Self(needed(journals, engine_sockets))
    }

    /// Why containers of an application would be refused, one sentence each. A backup looks again.
    pub fn refusals(&self, application: &Application) -> Vec<String> {
        let running = application.members.iter().filter(|m| m.activity == Activity::Running);
        running.filter_map(|member| self.refusal(member)).collect()
    }

    fn refusal(&self, member: &Member) -> Option<String> {
        let name = &member.name;
        let Some(target) = &member.freezer else {
            return Some(format!("no way to freeze container `{name}` was found"));
        };
        let refused = freezer::open(target, &self.0).err()?;
        Some(format!("container `{name}` cannot be frozen: {}", chain(&refused)))
    }
}

/// The driver that a backup of this volume would use: the one that was asked for, or most likely the
/// one that the type of its filesystem allows; `None` when no mounted filesystem holds it.
///
/// A backup itself tries whether files can be cloned, which this does not.
pub fn likely_driver(volume: &Volume) -> Option<&'static str> {
    if let Some(wanted) = volume.driver {
        return Some(wanted.name());
    }
    let table = MountTable::read().ok()?;
    let path = volume.source.canonicalize().ok()?;
    let likely = match table.holding(&path)?.filesystem.as_str() {
        "btrfs" => Driver::Btrfs,
        "xfs" | "bcachefs" | "ocfs2" => Driver::Reflink,
        _ => Driver::Live,
    };
    Some(likely.name())
}

#[cfg(test)]
mod tests {
    use platform::application::FreezeTarget;

    use super::*;

    fn member(activity: Activity, freezer: Option<FreezeTarget>) -> Application {
        let member = Member { name: "db".to_owned(), activity, freezer, ..Member::default() };
        Application {
            name: "shop".to_owned(),
            platform: "test",
            members: vec![member],
            ..Application::default()
        }
    }

    #[test]
    fn who_cannot_or_must_not_be_frozen_is_told_beforehand() {
        let look = NeverFrozen::look(Path::new("/nowhere"), &[]);
        let ours = Some(FreezeTarget::ProcessTree(std::process::id()));
        let told = look.refusals(&member(Activity::Running, ours.clone()));
        assert!(told[0].contains("`db` cannot be frozen: it holds Stillpoint itself"), "{told:?}");
        assert!(look.refusals(&member(Activity::Running, None))[0].contains("no way"));
        assert_eq!(look.refusals(&member(Activity::Stopped, None)), [""; 0]);
        assert_eq!(look.refusals(&member(Activity::Paused, ours)), [""; 0]);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = FreezeTarget::ProcessTree(child.id());
        let told = look.refusals(&member(Activity::Running, Some(other)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(told, [""; 0]);
    }
}
