//! A group snapshot and what it proves.

use std::collections::BTreeMap;

use format::evidence::Evidence;
use format::manifest::Level;
use format::raw::RawPath;
use platform::application::{Application, FileTree, Member};

use crate::clock::Moment;
use crate::drivers::Plan;
use crate::hooks::HookReport;

/// All volumes of an application as of one freeze. Dropping it deletes the snapshots.
#[must_use = "the snapshots are deleted when this is dropped"]
#[derive(Debug)]
pub struct GroupSnapshot {
    /// Every volume, in the order of the application's.
    pub volumes: Vec<VolumeSnapshot>,
    /// How the freeze went; absent where nothing was to be frozen.
    pub evidence: Option<Evidence>,
    /// What should be known about it; one sentence each.
    pub remarks: Vec<String>,
    pub(crate) plan: Option<Plan>,
    /// When the first freeze was asked for.
    pub(crate) zero: Moment,
    // What shows that a container moved, by its name.
    pub(crate) breaks: BTreeMap<String, String>,
}

/// One volume of a group snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VolumeSnapshot {
    /// The volume's name.
    pub name: RawPath,
    /// How it was snapshotted: `btrfs`, `reflink`, `copy`, `live` where it is read while everything
    /// stands still, or `none` where it is read in place.
    pub driver: &'static str,
    /// The files. Paths in `grafts` and `hidden` are relative to the root.
    pub tree: FileTree,
}

/// What a group snapshot proves, and why not more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// `crash` or `fuzzy`; only hooks can raise it further.
    pub level: Level,
    /// Why the level is not `crash`; one sentence each.
    pub remarks: Vec<String>,
}

impl GroupSnapshot {
    /// Judges by the evidence and by the application as it was before and is after the freeze.
    pub fn verdict(&self, before: &Application, after: &Application) -> Verdict {
        let mut remarks = Vec::new();
        match &self.evidence {
            None => remarks.push("nothing was frozen".to_owned()),
            Some(evidence) => remarks.extend(self.movements(evidence, before)),
        }
        remarks.extend(changes(before, after));
        remarks.extend(outsiders(before, after));
        let level = if remarks.is_empty() { Level::Crash } else { Level::Fuzzy };
        Verdict { level, remarks }
    }

    /// Writes into the evidence how the hooks went.
    pub fn add_hooks(&mut self, report: &HookReport) {
        if let Some(evidence) = &mut self.evidence {
            evidence.hooks = report.evidence(self.zero);
        }
    }

    /// Deletes all snapshots; answers what could not be deleted, and why.
    pub fn release(mut self) -> Vec<String> {
        self.plan.take().map(Plan::remove).unwrap_or_default()
    }

    fn movements(&self, evidence: &Evidence, application: &Application) -> Vec<String> {
        if application.members.is_empty() {
            return vec!["no container is known that could have been frozen".to_owned()];
        }
        let unproven = |member: &&Member| {
            let mut found = evidence.members.iter().filter(|found| found.name == member.name);
            !found.next().is_some_and(|found| found.continuous)
        };
        let sentence = |member: &Member| {
            let name = &member.name;
            match self.breaks.get(name) {
                Some(trace) => format!("container `{name}` did not stand still: {trace}"),
                None => format!("nothing proves that container `{name}` stood still"),
            }
        };
        application.members.iter().filter(unproven).map(sentence).collect()
    }
}

// Containers that are not what they were.
fn changes(before: &Application, after: &Application) -> Vec<String> {
    let find = |members: &'_ [Member], name: &str| -> Option<Member> {
        members.iter().find(|member| member.name == name).cloned()
    };
    let mut remarks = Vec::new();
    for earlier in &before.members {
        let name = &earlier.name;
        match find(&after.members, name) {
            None => remarks.push(format!("container `{name}` went away")),
            Some(later) if later.id != earlier.id => {
                remarks.push(format!("container `{name}` was replaced by another one"));
            }
            Some(later) if later.started != earlier.started => {
                remarks.push(format!("container `{name}` was restarted"));
            }
            Some(later) if later.activity != earlier.activity => remarks.push(format!(
                "container `{name}` was {} before and {} after",
                earlier.activity, later.activity
            )),
            Some(_) => {}
        }
    }
    for later in &after.members {
        if find(&before.members, &later.name).is_none() {
            remarks.push(format!("container `{}` appeared", later.name));
        }
    }
    remarks
}

// Who writes without having been frozen.
fn outsiders(before: &Application, after: &Application) -> Vec<String> {
    let mut remarks = Vec::new();
    for volume in before.volumes.iter().chain(&after.volumes) {
        for writer in &volume.outside_writers {
            let remark = format!(
                "volume `{}` is written by `{writer}`, which does not belong to the application",
                volume.name
            );
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use format::evidence::MemberEvidence;
    use platform::application::{Activity, Volume};

    use super::*;

    fn member(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            id: format!("id of {name}"),
            started: "noon".to_owned(),
            activity: Activity::Running,
            ..Member::default()
        }
    }

    fn application() -> Application {
        let volume = Volume {
            name: RawPath::new("data"),
            source: "/data".into(),
            mounts: Vec::new(),
            outside_writers: Vec::new(),
            driver: None,
        };
        Application {
            name: "shop".to_owned(),
            platform: "test",
            members: vec![member("db"), member("web")],
            volumes: vec![volume],
            ..Application::default()
        }
    }

    fn snapshot(continuous: [bool; 2]) -> GroupSnapshot {
        let member = |(name, continuous): (&str, bool)| MemberEvidence {
            name: name.to_owned(),
            method: "signal".to_owned(),
            freeze_micros: Some(0),
            frozen_micros: Some(1),
            thawed_micros: Some(2),
            continuous,
        };
        let members = ["db", "web"].into_iter().zip(continuous).map(member).collect();
        GroupSnapshot {
            volumes: Vec::new(),
            evidence: Some(Evidence { members, ..Evidence::default() }),
            remarks: Vec::new(),
            plan: None,
            zero: Moment::default(),
            breaks: BTreeMap::from([("web".to_owned(), "it used CPU time".to_owned())]),
        }
    }

    #[test]
    fn a_group_that_stood_still_and_did_not_change_is_crash_consistent() {
        let verdict = snapshot([true, true]).verdict(&application(), &application());
        assert_eq!(verdict, Verdict { level: Level::Crash, remarks: Vec::new() });
    }

    #[test]
    fn a_member_that_moved_is_named() {
        let verdict = snapshot([true, false]).verdict(&application(), &application());
        assert_eq!(verdict.level, Level::Fuzzy);
        assert_eq!(verdict.remarks, ["container `web` did not stand still: it used CPU time"]);
        let verdict = snapshot([false, true]).verdict(&application(), &application());
        assert_eq!(verdict.remarks, ["nothing proves that container `db` stood still"]);
    }

    #[test]
    fn any_change_of_the_members_lowers_the_level() {
        type Change = fn(&mut Application);
        let changes: [(Change, &str); 6] = [
            (|a| drop(a.members.pop()), "container `web` went away"),
            (|a| a.members[0].id.push('2'), "container `db` was replaced by another one"),
            (|a| a.members[0].started.push('2'), "container `db` was restarted"),
            (
                |a| a.members[1].activity = Activity::Stopped,
                "container `web` was running before and stopped after",
            ),
            (|a| a.members.push(member("job")), "container `job` appeared"),
            (
                |a| a.volumes[0].outside_writers.push("cron".to_owned()),
                "volume `data` is written by `cron`, which does not belong to the application",
            ),
        ];
        for (change, remark) in changes {
            let mut after = application();
            change(&mut after);
            let verdict = snapshot([true, true]).verdict(&application(), &after);
            assert_eq!((verdict.level, verdict.remarks), (Level::Fuzzy, vec![remark.to_owned()]));
        }
    }

    #[test]
    fn nothing_frozen_is_fuzzy() {
        let mut snapshot = snapshot([true, true]);
        snapshot.evidence = None;
        let verdict = snapshot.verdict(&application(), &application());
        assert_eq!(
            (verdict.level, verdict.remarks),
            (Level::Fuzzy, vec!["nothing was frozen".into()])
        );
    }

    #[test]
    fn an_application_without_containers_proves_nothing() {
        let mut application = application();
        application.members.clear();
        let verdict = snapshot([true, true]).verdict(&application, &application);
        assert_eq!(verdict.level, Level::Fuzzy);
    }
}
