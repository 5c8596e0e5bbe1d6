//! What a restore would do, before it does anything.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use format::ids::PointId;
use format::manifest::{Level, Manifest};
use format::raw::RawPath;
use repository::chunks::Chunks;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::conflict::Conflict;
use crate::error::RestoreError;
use crate::survey::{InPlace, Survey};

/// What goes where, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The restore point.
    pub point: PointId,
    /// The application it is of.
    pub application: String,
    /// What it proves.
    pub level: Level,
    /// Where the volumes go.
    pub target: PathBuf,
    /// Every volume.
    pub volumes: Vec<PlannedVolume>,
    /// How many files of all kinds will be made.
    pub files: u64,
    /// How many bytes of space they need.
    pub bytes: u64,
    /// How many bytes are free at the target.
    pub free: u64,
    /// What was missing from the restore point when it was taken, and stays missing.
    pub omissions: u64,
    /// What is in the target already; absent when it must be empty.
    pub in_place: Option<InPlace>,
    /// What stands in the way; nothing, when the restore can begin.
    pub conflicts: Vec<Conflict>,
}

/// Where one volume goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedVolume {
    /// The volume.
    pub name: RawPath,
    /// Its place, relative to the target.
    pub destination: RawPath,
    /// How many files of all kinds it has.
    pub files: u64,
    /// How many bytes of space they need.
    pub bytes: u64,
}

/// A plan with nothing in its way.
#[derive(Clone, Debug)]
pub struct ClearedPlan(Plan);

impl Plan {
    /// Looks at `target` and says what restoring `manifest` there would do.
    pub fn make(manifest: &Manifest, target: &Path) -> Result<Self, RestoreError> {
        let failed = |source| RestoreError::Target { path: target.to_owned(), source };
        let state = look_at(target).map_err(failed)?;
        let free = free_bytes(target).map_err(failed)?;
        Ok(Self::from_facts(manifest, target, state, free))
    }

    /// The same for a target that may have files in it, as one where a restore was interrupted: what
    /// is there and equal stays, what differs is overwritten. With `delete`, what is not of the
    /// restore point is removed. Reads the stored tree, and blocks: not for async code.
    pub fn make_in_place(
        manifest: &Manifest,
        target: &Path,
        delete: bool,
        chunks: &Arc<Chunks>,
        runtime: &Handle,
    ) -> Result<Self, RestoreError> {
        let mut plan = Self::make(manifest, target)?;
        let found = InPlace { delete, ..InPlace::default() };
        let mut survey = Survey { chunks, runtime, found };
        for (planned, stored) in plan.volumes.iter().zip(&manifest.volumes) {
            survey.add(stored, target, &planned.destination)?;
        }
        let free = plan.free.saturating_add(survey.found.bytes);
        plan.in_place = Some(survey.found);
        plan.conflicts.retain_mut(|conflict| match conflict {
            Conflict::NotEmpty => false,
            Conflict::Space { missing } => {
                *missing = plan.bytes.saturating_sub(free);
                *missing > 0
            }
            _ => true,
        });
        Ok(plan)
    }

    /// The same plan for a target whose free space is not what it seems, such as a compressing
    /// filesystem.
    #[must_use]
    pub fn without_space_check(mut self) -> Self {
        self.conflicts.retain(|conflict| !matches!(conflict, Conflict::Space { .. }));
        self
    }

    /// The plan to carry out, if nothing stands in its way.
    pub fn clear(self) -> Result<ClearedPlan, RestoreError> {
        if self.conflicts.is_empty() {
            Ok(ClearedPlan(self))
        } else {
            Err(RestoreError::Conflicts { target: self.target, conflicts: self.conflicts })
        }
    }

    fn from_facts(manifest: &Manifest, target: &Path, state: TargetState, free: u64) -> Self {
        let mut conflicts = Vec::new();
        match state {
            TargetState::Free => {}
            TargetState::NotADirectory => conflicts.push(Conflict::NotADirectory),
            TargetState::NotEmpty => conflicts.push(Conflict::NotEmpty),
        }
        let mut volumes: Vec<PlannedVolume> = Vec::new();
        for volume in &manifest.volumes {
            match destination(&volume.name) {
                Some(destination) => volumes.push(PlannedVolume {
                    name: volume.name.clone(),
                    destination: apart(destination, &volumes),
                    files: volume.files,
                    bytes: volume.data,
                }),
                None => conflicts.push(Conflict::Name { volume: volume.name.clone() }),
            }
        }
        let bytes = volumes.iter().map(|v| v.bytes).fold(0, u64::saturating_add);
        if bytes > free {
            conflicts.push(Conflict::Space { missing: bytes - free });
        }
        Self {
            point: manifest.point,
            application: manifest.application.clone(),
            level: manifest.level,
            target: target.to_owned(),
            files: volumes.iter().map(|v| v.files).fold(0, u64::saturating_add),
            bytes,
            free,
            volumes,
            omissions: manifest.omissions.len() as u64,
            in_place: None,
            conflicts,
        }
    }
}

impl ClearedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

#[derive(Clone, Copy)]
enum TargetState {
    /// Nothing, or an empty directory.
    Free,
    NotADirectory,
    NotEmpty,
}

fn look_at(target: &Path) -> io::Result<TargetState> {
    match fs::read_dir(target) {
        Ok(mut entries) => Ok(match entries.next().transpose()? {
            Some(_) => TargetState::NotEmpty,
            None => TargetState::Free,
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(TargetState::Free),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(TargetState::NotADirectory),
        Err(e) => Err(e),
    }
}

// Of the nearest directory that exists: the target itself need not be there yet.
fn free_bytes(target: &Path) -> io::Result<u64> {
    let absolute = std::path::absolute(target)?;
    for directory in absolute.ancestors() {
        match rustix::fs::statvfs(directory) {
            Ok(stat) => return Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

// Volumes may be named alike, or lie in one another; their files must not. The one that comes later
// goes to a directory with a number.
fn apart(wanted: RawPath, taken: &[PlannedVolume]) -> RawPath {
    let is_free = |place: &RawPath| !taken.iter().any(|other| overlap(&other.destination, place));
    let numbered = |number: usize| {
        let mut parts = wanted.as_bytes().splitn(2, |byte| *byte == b'/');
        let first = [parts.next().unwrap_or_default(), format!(".{number}").as_bytes()].concat();
        parts.fold(RawPath::new(first), |place, rest| place.join(rest))
    };
    if is_free(&wanted) {
        return wanted;
    }
    // Each volume before this one can take one number at the most.
    (2..=taken.len() + 2).map(numbered).find(is_free).unwrap_or(wanted)
}

fn overlap(a: &RawPath, b: &RawPath) -> bool {
    let (short, long) = if a.as_bytes().len() < b.as_bytes().len() { (a, b) } else { (b, a) };
    let rest = long.as_bytes().strip_prefix(short.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

// A volume named by its path goes to that path below the target, and `/` to `rootfs`.
fn destination(name: &RawPath) -> Option<RawPath> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    if name.as_bytes() == b"/" {
        return Some(RawPath::new("rootfs"));
    }
    let mut destination = RawPath::default();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => destination = destination.join(part.as_bytes()),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    let usable = !destination.as_bytes().is_empty() && !destination.as_bytes().contains(&0);
    usable.then_some(destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_go_below_the_target_and_nowhere_else() {
        let place = |name: &str| destination(&RawPath::new(name)).map(|d| d.to_string());
        assert_eq!(place("shop_data").as_deref(), Some("shop_data"));
        assert_eq!(place("/srv/db").as_deref(), Some("srv/db"));
        assert_eq!(place("/srv/./db/").as_deref(), Some("srv/db"));
        assert_eq!(place("/").as_deref(), Some("rootfs"));
        for bad in ["", ".", "..", "/srv/../..", "a/..", "a\0b"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn volumes_that_are_alike_or_nested_go_apart() {
        let mut taken = Vec::new();
        for name in ["data", "/data", "/srv", "/srv/db", "/srv/db/log", "/srvx"] {
            let wanted = destination(&RawPath::new(name)).unwrap();
            let destination = apart(wanted, &taken);
            taken.push(PlannedVolume { name: RawPath::new(name), destination, files: 0, bytes: 0 });
        }
        let places: Vec<_> = taken.iter().map(|volume| volume.destination.to_string()).collect();
        assert_eq!(places, ["data", "data.2", "srv", "srv.2/db", "srv.3/db/log", "srvx"]);
    }

    #[test]
    fn free_space_is_that_of_the_nearest_directory() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(&folder.path().join("not/yet/there")).unwrap() > 0);
    }

    #[test]
    fn a_target_with_files_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(look_at(folder.path()).unwrap(), TargetState::Free));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(look_at(folder.path()).unwrap(), TargetState::NotEmpty));
        assert!(matches!(
            look_at(&folder.path().join("file")).unwrap(),
            TargetState::NotADirectory
        ));
    }
}
