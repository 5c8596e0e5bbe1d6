//! The processes of a declared application, as they are right now.

use std::io;
use std::path::{Path, PathBuf};

use super::declared::{DeclaredProcess, ProcessSource};
use crate::application::{Activity, FreezeTarget, Member};
use crate::cgroup::{Hierarchies, Hierarchy};
use crate::error::PlatformError;
use crate::kernel;

/// Finds the processes of one application after another.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    /// The application, for messages.
    pub(super) application: &'a str,
    /// Where cgroups are mounted.
    pub(super) hierarchies: &'a Hierarchies,
    /// This process and its ancestors.
    pub(super) lineage: &'a [u32],
}

impl Finder<'_> {
    /// The members of one declared process: one, or several where a systemd unit can neither be
    /// frozen as a cgroup nor has a single first process.
    pub(super) fn members(&self, process: &DeclaredProcess) -> Result<Vec<Member>, PlatformError> {
        let name = &process.name;
        match &process.source {
            ProcessSource::PidFile(path) => {
                let pid = kernel::pid_in_file(path).map_err(|source| unreadable(path, source))?;
                Ok(vec![match pid {
                    Some(pid) => self.tree(name, pid)?.unwrap_or_else(|| stopped(name)),
                    None => stopped(name),
                }])
            }
            ProcessSource::Cgroup(path) => {
                let found = self.freezable(|hierarchy| Ok(hierarchy.directory(path)))?;
                Ok(vec![self.cgroup(name, found)?])
            }
            ProcessSource::Unit(unit) => {
                let unit =
                    if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
                let found = self.freezable(|hierarchy| unit_directory(hierarchy, &unit))?;
                if found.is_empty()
                    && let Some(systemd) = &self.hierarchies.systemd
                    && let Some(directory) = unit_directory(systemd, &unit)?
                {
                    return self.trees(name, &directory);
                }
                Ok(vec![self.cgroup(name, found)?])
            }
        }
    }

    // Every cgroup of that name which can be frozen, version 2 first.
    fn freezable(
        &self,
        directory: impl Fn(&Hierarchy) -> Result<Option<PathBuf>, PlatformError>,
    ) -> Result<Vec<FreezeTarget>, PlatformError> {
        let mut found = Vec::new();
        if let Some(hierarchy) = &self.hierarchies.unified {
            found.extend(directory(hierarchy)?.and_then(kernel::freezable_v2));
        }
        if let Some(hierarchy) = &self.hierarchies.freezer {
            found.extend(directory(hierarchy)?.and_then(kernel::freezable_v1));
        }
        Ok(found)
    }

    // The first of these that has processes.
    fn cgroup(&self, name: &str, found: Vec<FreezeTarget>) -> Result<Member, PlatformError> {
        for freezer in found {
            let (FreezeTarget::CgroupV2(directory) | FreezeTarget::CgroupV1(directory)) = &freezer
            else {
                continue;
            };
            let failed = |source| unreadable(directory, source);
            let pids = kernel::processes_below(directory).map_err(failed)?;
            if pids.is_empty() {
                continue;
            }
            // Number 0 is a process of another namespace, which is not an ancestor of ours.
            pids.iter().filter(|pid| **pid != 0).try_for_each(|pid| self.permit(name, *pid))?;
            let inode = kernel::inode(directory).map_err(failed)?;
            let id = format!("{}#{inode}", directory.display());
            return Ok(alive(name, id, freezer));
        }
        Ok(stopped(name))
    }

    fn trees(&self, name: &str, directory: &Path) -> Result<Vec<Member>, PlatformError> {
        let failed = |source| unreadable(directory, source);
        let pids = kernel::processes_below(directory).map_err(failed)?;
        let mut members = Vec::new();
        for pid in &pids {
            let parent = kernel::process(*pid).map_err(failed)?.map(|process| process.parent);
            if parent.is_some_and(|parent| !pids.contains(&parent)) {
                members.extend(self.tree(name, *pid)?);
            }
        }
        if members.is_empty() {
            members.push(stopped(name));
        } else if members.len() > 1 {
            for member in &mut members {
                if let Some(FreezeTarget::ProcessTree(pid)) = member.freezer {
                    member.name = format!("{name}-{pid}");
                }
            }
        }
        Ok(members)
    }

    fn tree(&self, name: &str, pid: u32) -> Result<Option<Member>, PlatformError> {
        self.permit(name, pid)?;
        let process = kernel::process(pid).map_err(|s| unreadable(Path::new("/proc"), s))?;
        Ok(process.map(|process| {
            alive(name, format!("{pid}@{}", process.started), FreezeTarget::ProcessTree(pid))
        }))
    }

    fn permit(&self, process: &str, pid: u32) -> Result<(), PlatformError> {
        let reason = match pid {
            0 => "no process at all",
            1 => "the first process of the system",
            _ if self.lineage.first() == Some(&pid) => "this very process",
            _ if self.lineage.contains(&pid) => "an ancestor of this process",
            _ => return Ok(()),
        };
        Err(PlatformError::ForbiddenTarget {
            application: self.application.to_owned(),
            process: process.to_owned(),
            pid,
            reason,
        })
    }
}

// Below `system.slice`, or else in any slice but the users', whose own managers have units of the
// same names.
fn unit_directory(hierarchy: &Hierarchy, unit: &str) -> Result<Option<PathBuf>, PlatformError> {
    let direct = hierarchy.point.join("system.slice").join(unit);
    if direct.is_dir() {
        return Ok(Some(direct));
    }
    let mut waiting = vec![hierarchy.point.clone()];
    while let Some(directory) = waiting.pop() {
        let children =
            kernel::directories(&directory).map_err(|source| unreadable(&directory, source))?;
        for child in children {
            let name = child.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == unit && directory != hierarchy.point {
                return Ok(Some(child));
            }
            let is_slice = Path::new(name).extension().is_some_and(|suffix| suffix == "slice");
            if is_slice && name != "user.slice" {
                waiting.push(child);
            }
        }
    }
    Ok(None)
}

fn alive(name: &str, id: String, freezer: FreezeTarget) -> Member {
    let (name, started) = (name.to_owned(), id.clone());
    let frozen = kernel::is_frozen(&freezer);
    let activity = if frozen { Activity::Paused } else { Activity::Running };
    Member { name, id, started, activity, freezer: Some(freezer), ..Member::default() }
}

fn stopped(name: &str) -> Member {
    Member { name: name.to_owned(), activity: Activity::Stopped, ..Member::default() }
}

fn unreadable(path: &Path, source: io::Error) -> PlatformError {
    PlatformError::Unreadable { path: path.to_owned(), source }
}
