//! What is written down about a local snapshot.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use format::evidence::Evidence;
use format::ids::PointId;
use format::manifest::Level;
use format::raw::RawPath;
use format::tree::FileTime;
use jiff::Timestamp;
use platform::application::{Application, FileTree};
use platform::files::mounts::MountTable;
use platform::files::{Dir, GlanceKind, glance};
use serde::{Deserialize, Serialize};

use super::error::{LocalError, failure};
use crate::places::{self, Identity, Lies, Place};
use crate::snapshot::GroupSnapshot;

/// The layout of these records.
pub(super) const VERSION: u32 = 1;

/// A group snapshot that stays on this host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LocalSnapshot {
    pub(super) version: u32,
    /// Its id.
    pub id: PointId,
    /// Of which application.
    pub application: String,
    /// What runs that.
    pub platform: String,
    /// When it was taken.
    pub taken: Timestamp,
    /// What is proven.
    pub level: Level,
    /// What should be known about it; one sentence each.
    pub remarks: Vec<String>,
    /// How the freeze went.
    pub evidence: Option<Evidence>,
    /// The volumes.
    pub volumes: Vec<LocalVolume>,
    /// Whether all of it is there, and marked.
    pub(super) whole: bool,
    /// The directories that it lies in, each one `.stillpoint` on a filesystem.
    pub(super) homes: Vec<Home>,
}

/// A directory of ours, `.stillpoint` on some filesystem.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Home {
    pub(super) path: RawPath,
    /// What the directory above it is known by: another filesystem may be mounted there later.
    pub(super) above: Identity,
}

/// A volume of a local snapshot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LocalVolume {
    /// Its name.
    pub name: RawPath,
    /// Where it lies on this host.
    pub source: RawPath,
    /// How it was snapshotted.
    pub driver: String,
    /// Whether other filesystems or subvolumes lie in it.
    pub nested: bool,
    /// In which of the directories.
    home: usize,
    /// Where, below the snapshot's own directory there.
    inside: RawPath,
    /// The number of what lies there: a copy of the filesystem may have something else.
    inode: u64,
}

/// What a snapshot is called.
#[derive(Clone, Debug)]
pub struct Label {
    /// When it was taken.
    pub taken: Timestamp,
    /// What is proven.
    pub level: Level,
    /// What should be known about it; one sentence each.
    pub remarks: Vec<String>,
}

/// A name in an open directory, and whether a directory has it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) dir: Dir,
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
}

impl LocalSnapshot {
    /// The record of a group snapshot that lies in these places.
    pub(super) fn of(
        group: &GroupSnapshot,
        places: &[Place],
        (id, application, label): (PointId, &Application, Label),
    ) -> Result<Self, LocalError> {
        let volume = |volume: &platform::application::Volume| {
            let taken = group.volumes.iter().find(|taken| taken.name == volume.name)?;
            let (home, inside) = places.iter().enumerate().find_map(|(number, place)| {
                Some((number, taken.tree.root.strip_prefix(place.path("")).ok()?))
            })?;
            Some(LocalVolume {
                name: volume.name.clone(),
                source: raw(&volume.source),
                driver: taken.driver.to_owned(),
                nested: !taken.tree.grafts.is_empty(),
                home,
                inside: raw(inside),
                inode: platform::files::inspect_path(&taken.tree.root).ok()?.inode,
            })
        };
        let volumes = application
            .volumes
            .iter()
            .map(|found| volume(found).ok_or_else(|| LocalError::Incomplete(found.name.clone())));
        let volumes = volumes.collect::<Result<Vec<_>, _>>()?;
        let nested = volumes.iter().filter(|volume| volume.nested).map(|volume| {
            format!(
                "volume `{}` has other filesystems or subvolumes in it: it cannot be put back",
                volume.name
            )
        });
        let remarks = label.remarks.into_iter().chain(nested).collect();
        let homes = places.iter().map(|place| {
            let above = Identity::above(place.home());
            let above = above.map_err(|error| failure("look at", place.home(), error))?;
            Ok(Home { path: raw(place.home()), above })
        });
        let homes: Result<_, LocalError> = homes.collect();
        Ok(Self {
            version: VERSION,
            id,
            application: application.name.clone(),
            platform: application.platform.to_owned(),
            taken: label.taken,
            level: label.level,
            remarks,
            evidence: group.evidence.clone(),
            volumes,
            whole: false,
            homes: homes?,
        })
    }

    /// The directories that it lies in.
    pub fn homes(&self) -> impl Iterator<Item = PathBuf> {
        self.homes.iter().map(|home| path(&home.path))
    }

    /// Whether a volume and what is kept of it lie on one filesystem.
    pub(super) fn is_beside(&self, volume: &LocalVolume, table: &MountTable) -> bool {
        let device = |path: &Path| table.holding(path).map(|mount| mount.device);
        let home = self.homes.get(volume.home).and_then(|home| device(&path(&home.path)));
        home.is_some() && home == device(&path(&volume.source))
    }

    /// Where the files of a volume lie that was snapshotted once more, on the same filesystem; nothing
    /// where they are not there, or share no blocks with it.
    pub fn base(&self, volume: &RawPath, again: &FileTree) -> Option<PathBuf> {
        let kept = self.volumes.iter().find(|kept| kept.name == *volume)?;
        let home = path(&self.homes.get(kept.home)?.path);
        let shares = matches!(&*kept.driver, "btrfs" | "reflink") && again.root.starts_with(&home);
        // What lies beneath a mount or a subvolume is not what was read there.
        let is_one = !kept.nested && again.grafts.is_empty();
        if !self.whole || !shares || !is_one || self.open(kept).ok().flatten().is_none() {
            return None;
        }
        Some(home.join(self.id.to_string()).join(path(&kept.inside)))
    }

    /// Where the kept files have the numbers and times of the original ones: until when a file had to
    /// be left alone so that its time tells every later change.
    pub(super) fn keeps_numbers(&self, volume: &LocalVolume) -> Option<FileTime> {
        let seconds = self.taken.as_second().saturating_sub(RECENT_SECONDS);
        (volume.driver == "btrfs").then_some(FileTime { seconds, nanoseconds: 0 })
    }

    /// Opens what is kept of a volume; nothing where that is not there, or is something else. No link
    /// is followed.
    pub(super) fn open(&self, volume: &LocalVolume) -> io::Result<Option<Kept>> {
        let Some(home) = self.homes.get(volume.home) else { return Ok(None) };
        let Lies::Here(mut dir) = places::kept(&path(&home.path), home.above, self.id)? else {
            return Ok(None);
        };
        let inside = path(&volume.inside);
        let mut names = inside.components().peekable();
        while let Some(Component::Normal(name)) = names.next() {
            let name = name.as_bytes();
            if names.peek().is_none() {
                let found = glance(&dir, name)?;
                let is_it = found.stamp.inode == volume.inode;
                let is_directory = found.kind == GlanceKind::Directory;
                let place = Kept { dir, name: name.to_vec(), is_directory };
                return Ok(is_it.then_some(place));
            }
            dir = dir.open_dir(name)?;
        }
        Ok(None)
    }
}

/// Two changes may have the same time when they are not further apart than the clock's ticks; this is
/// longer than those of any filesystem.
const RECENT_SECONDS: i64 = 2;

pub(super) fn path(raw: &RawPath) -> PathBuf {
    OsStr::from_bytes(raw.as_bytes()).into()
}

fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}
