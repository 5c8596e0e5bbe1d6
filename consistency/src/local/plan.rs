//! What putting a local snapshot back would do.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{Activity, Application, Volume};
use platform::files::mounts::MountTable;
use platform::files::{Dir, GlanceKind, glance, inspect_path, names_but_ours};
use serde::Serialize;

use super::record::{LocalSnapshot, LocalVolume, path};
use super::shelf::Found;

/// What putting a snapshot back would do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LocalPlan {
    /// The snapshot.
    pub snapshot: PointId,
    /// Its application.
    pub application: String,
    /// The volumes whose files are replaced.
    pub volumes: Vec<PlannedVolume>,
    /// Volumes of the application that stay as they are, for the snapshot does not have them, or no
    /// container may write them.
    pub untouched: Vec<RawPath>,
    /// Why it cannot be done; one sentence each.
    pub conflicts: Vec<String>,
}

/// A volume whose files are replaced.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PlannedVolume {
    /// Its name.
    pub name: RawPath,
    /// Where it lies.
    pub source: RawPath,
}

/// Finds out what putting a snapshot back into this application would do, which must not run.
/// `own` are directories of ours, which stay where they are.
///
/// # Errors
/// When it cannot be told what is mounted, or what lies in the volumes.
pub fn plan(found: &Found, application: &Application, own: &[PathBuf]) -> io::Result<LocalPlan> {
    let table = MountTable::read()?;
    let Found { snapshot, missing } = found;
    let mut conflicts: Vec<_> = missing
        .iter()
        .map(|name| format!("what was kept of volume `{name}` is not there"))
        .collect();
    if application.platform != snapshot.platform {
        conflicts.push(format!("it is of an application on {}", snapshot.platform));
    }
    for member in &application.members {
        if member.activity != Activity::Stopped || member.restarting {
            let doing =
                if member.restarting { "restarting".into() } else { member.activity.to_string() };
            conflicts.push(format!("container `{}` is {doing}: stop it first", member.name));
        }
    }
    let (mut volumes, mut untouched) = (Vec::new(), Vec::new());
    for kept in &snapshot.volumes {
        let source = path(&kept.source);
        let is_it = |v: &&Volume| v.name == kept.name && v.source == source;
        let Some(volume) = application.volumes.iter().find(is_it) else {
            let (name, source) = (&kept.name, source.display());
            conflicts.push(format!("the application has no volume `{name}` at `{source}`"));
            continue;
        };
        if is_only_read(volume) {
            untouched.push(volume.name.clone());
            continue;
        }
        conflicts.extend(in_the_way(kept, volume, application, &table));
        conflicts.extend(other_kind(snapshot, kept, &source)?);
        conflicts.extend(subvolumes(kept, &source, &table)?);
        if !snapshot.is_beside(kept, &table) {
            conflicts.push(format!("volume `{}` lies on another filesystem by now", kept.name));
        }
        for own in own.iter().filter(|own| own.starts_with(&source)) {
            conflicts.push(format!(
                "`{}` lies in volume `{}` and is ours",
                own.display(),
                kept.name
            ));
        }
        volumes.push(PlannedVolume { name: kept.name.clone(), source: kept.source.clone() });
    }
    let is_kept = |name: &RawPath| snapshot.volumes.iter().any(|kept| kept.name == *name);
    let names = application.volumes.iter().map(|volume| volume.name.clone());
    untouched.extend(names.filter(|name| !is_kept(name)));
    Ok(LocalPlan {
        snapshot: snapshot.id,
        application: snapshot.application.clone(),
        volumes,
        untouched,
        conflicts,
    })
}

fn in_the_way(
    kept: &LocalVolume,
    volume: &Volume,
    application: &Application,
    table: &MountTable,
) -> Vec<String> {
    let (name, source) = (&volume.name, volume.source.as_path());
    let mut conflicts = Vec::new();
    for writer in &volume.outside_writers {
        conflicts.push(format!("volume `{name}` is written by `{writer}`: stop it first"));
    }
    if kept.nested {
        conflicts.push(format!("other filesystems or subvolumes lay in volume `{name}`"));
    }
    for mount in table.below(source) {
        conflicts.push(format!("`{}` is mounted in volume `{name}`", mount.point.display()));
    }
    let overlap = |other: &&Volume| other.name != *name && overlap(&other.source, source);
    for other in application.volumes.iter().filter(overlap) {
        conflicts.push(format!("volumes `{name}` and `{}` lie in one another", other.name));
    }
    conflicts
}

// A file never takes the place of a volume's directory, nor a directory that of its file.
fn other_kind(
    snapshot: &LocalSnapshot,
    kept: &LocalVolume,
    source: &Path,
) -> io::Result<Option<String>> {
    let Some(found) = snapshot.open(kept)? else { return Ok(None) };
    let is_directory = match fs::symlink_metadata(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("volume `{}` is not there", kept.name)));
        }
        metadata => metadata?.is_dir(),
    };
    let kinds = if is_directory { ("directory", "file") } else { ("file", "directory") };
    let told = || format!("volume `{}` is a {} now, and was a {}", kept.name, kinds.0, kinds.1);
    Ok((is_directory != found.is_directory).then(told))
}

// Made since the snapshot was taken. Only a filesystem that has such things is searched.
fn subvolumes(kept: &LocalVolume, source: &Path, table: &MountTable) -> io::Result<Option<String>> {
    if table.holding(source).is_none_or(|mount| mount.filesystem != "btrfs") || !source.is_dir() {
        return Ok(None);
    }
    let device = inspect_path(source)?.device;
    let enter = |dir: Dir, path: PathBuf| {
        let names = names_but_ours(&dir)?.into_iter();
        io::Result::Ok((dir, names, path))
    };
    // By open directories: a path may be longer than the kernel takes.
    let mut stack = vec![enter(Dir::open(source)?, source.to_owned())?];
    while let Some((dir, names, path)) = stack.last_mut() {
        let Some(name) = names.next() else {
            stack.pop();
            continue;
        };
        let found = glance(dir, &name)?;
        if found.kind != GlanceKind::Directory {
            continue;
        }
        let path = path.join(OsStr::from_bytes(&name));
        if found.device != device {
            let (name, path) = (&kept.name, path.display());
            return Ok(Some(format!("subvolume `{path}` lies in volume `{name}`")));
        }
        let below = enter(dir.open_dir(&name)?, path)?;
        stack.push(below);
    }
    Ok(None)
}

// Such as a file of the host: no container changed it, so none needs it as it was.
fn is_only_read(volume: &Volume) -> bool {
    !volume.mounts.is_empty() && volume.mounts.iter().all(|mount| mount.read_only)
}

fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}
