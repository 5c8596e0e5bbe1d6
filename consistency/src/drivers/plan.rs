//! What has to be snapshotted for a set of volumes: found out, and made ready, before the freeze.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use format::ids::PointId;
use format::raw::RawPath;
use platform::application::{FileTree, Volume};
use platform::driver::Driver;
use platform::files::SNAPSHOT_HOME as HOME;
use platform::files::mounts::{MountTable, Mounted};
use rustix::fs::{Access, AtFlags, CWD, accessat, ioctl_ficlone};

use super::assemble::join;
use super::mounts::Mounts;
use super::{Failure, Files, Job, Piece, Work, btrfs, clone};
use crate::error::{SnapshotError, chain};
use crate::places::{self, Place};

/// All snapshots to make, and the places for them. Dropping it removes them.
#[must_use = "its snapshots are removed when this is dropped"]
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) jobs: Vec<Job>,
    // The root of each volume comes before what is mounted in it.
    pub(super) pieces: Vec<Piece>,
    pub(super) places: Vec<Place>,
    /// Whether what was dirty could be written out when that was last tried.
    pub(super) settled: AtomicBool,
    /// What was mounted in and below each volume.
    mounts: Vec<Mounts>,
    remarks: Vec<String>,
}

impl Plan {
    /// Finds out what to snapshot and how, and makes directories for it on every filesystem
    /// involved; what dead runs left there is removed.
    pub(crate) fn prepare(volumes: &[Volume], run: PointId) -> Result<Self, Failure> {
        let mut planner = Planner { run, ..Planner::default() };
        for (number, volume) in volumes.iter().enumerate() {
            planner
                .add(number, volume)
                .map_err(|error| Failure { volume: volume.name.clone(), error })?;
        }
        Ok(planner.finish())
    }

    /// What there is to say about what will be left out; one sentence each.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How each of these volumes, which it was prepared for, is snapshotted.
    pub(crate) fn drivers(&self, volumes: &[Volume]) -> Vec<(RawPath, &'static str)> {
        let driver = |(number, volume): (usize, &Volume)| {
            let piece = self.pieces.iter().find(|piece| piece.volume == number)?;
            Some((volume.name.clone(), piece.driver.name()))
        };
        volumes.iter().enumerate().filter_map(driver).collect()
    }

    /// Where the parts of these volumes lie that this driver is for.
    pub(crate) fn parts(&self, volumes: &[Volume], driver: Driver) -> Vec<PathBuf> {
        let parts = self.pieces.iter().filter(|piece| piece.driver == driver);
        let path = |piece: &Piece| Some(join(&volumes.get(piece.volume)?.source, &piece.below));
        parts.filter_map(path).collect()
    }

    /// Fails when something else is mounted in a volume than when this was prepared.
    pub(crate) fn still_fits(&self) -> Result<(), Failure> {
        let fail = |volume: &RawPath, error| Failure { volume: volume.clone(), error };
        let Some(first) = self.mounts.first() else { return Ok(()) };
        let table = read_table().map_err(|error| fail(&first.volume, error))?;
        match self.mounts.iter().find(|mounts| !mounts.are_in(&table)) {
            None => Ok(()),
            Some(changed) => {
                let path = changed.root.clone();
                Err(fail(&changed.volume, SnapshotError::Remounted { path }))
            }
        }
    }

    /// What is left out of the volume with this number, below its root.
    pub(crate) fn hidden(&self, volume: usize) -> impl Iterator<Item = &PathBuf> {
        let pieces = self.pieces.iter().filter(move |piece| piece.volume == volume);
        pieces.flat_map(|piece| &piece.hidden)
    }

    /// Where the snapshots are.
    pub(crate) fn into_places(self) -> Vec<Place> {
        self.places
    }

    /// Removes all snapshots; answers what could not be removed, and why.
    pub(crate) fn remove(self) -> Vec<String> {
        self.places.into_iter().flat_map(Place::remove).collect()
    }
}

/// A volume as it lies there, to be read without a snapshot.
pub(crate) fn in_place(volume: &Volume) -> Result<(FileTree, Vec<String>), SnapshotError> {
    let table = read_table()?;
    let root = resolve(&volume.source)?;
    let mut tree = FileTree { root: root.clone(), ..FileTree::default() };
    let mut remarks = Vec::new();
    if holder(&table, &root)?.point == root {
        tree.hidden.push(HOME.into());
    }
    for mount in table.below(&root) {
        let below = mount.point.strip_prefix(&root).unwrap_or(Path::new("")).to_owned();
        if is_pseudo(&mount.filesystem) {
            remarks.push(left_out(volume, mount));
            tree.hidden.push(below);
        } else {
            tree.hidden.push(below.join(HOME));
        }
    }
    Ok((tree, remarks))
}

#[derive(Debug)]
struct Planner {
    run: PointId,
    table: Option<MountTable>,
    claims: Vec<Claim>,
    jobs: Vec<Job>,
    pieces: Vec<Piece>,
    mounts: Vec<Mounts>,
    remarks: Vec<String>,
}

// One filesystem that snapshots can be put on.
#[derive(Debug)]
struct Claim {
    place: Place,
    directory: PathBuf,
    reflink: bool,
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            run: PointId::new([0; 16]),
            table: None,
            claims: Vec::new(),
            jobs: Vec::new(),
            pieces: Vec::new(),
            mounts: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

impl Planner {
    fn add(&mut self, number: usize, volume: &Volume) -> Result<(), SnapshotError> {
        // Taken out, for it is read while the rest is changed.
        let table = match self.table.take() {
            Some(table) => table,
            None => read_table()?,
        };
        let root = resolve(&volume.source)?;
        let wanted = volume.driver;
        self.mounts.push(Mounts::of(&table, &volume.name, &root));
        self.piece(&table, (number, PathBuf::new()), (&root, holder(&table, &root)?), wanted)?;
        for mount in table.below(&root) {
            let below = mount.point.strip_prefix(&root).unwrap_or(Path::new("")).to_owned();
            if is_pseudo(&mount.filesystem) {
                self.remarks.push(left_out(volume, mount));
                if let Some(piece) = self.pieces.iter_mut().find(|piece| piece.volume == number) {
                    piece.hidden.push(below);
                }
            } else {
                self.piece(&table, (number, below), (&mount.point, mount), wanted)?;
            }
        }
        self.table = Some(table);
        Ok(())
    }

    fn piece(
        &mut self,
        table: &MountTable,
        (volume, below): (usize, PathBuf),
        (path, mount): (&Path, &Mounted),
        wanted: Option<Driver>,
    ) -> Result<(), SnapshotError> {
        let hidden = if path == mount.point { vec![below.join(HOME)] } else { Vec::new() };
        let there = (Driver::Live, Files::There(path.to_owned()));
        let (driver, files) = match wanted {
            Some(Driver::Live) => there,
            Some(_) => self.files(table, volume, (path, mount), wanted)?,
            None if shares_nothing(&mount.filesystem) => there,
            None => match self.files(table, volume, (path, mount), None) {
                Ok(made) => made,
                Err(error) => {
                    self.remarks.extend(told(&error, mount));
                    there
                }
            },
        };
        if let Files::There(_) = &files {
            // Snapshots of another driver may be left of a run that died.
            self.remarks.extend(places::sweep(&mount.point));
        }
        self.pieces.push(Piece { volume, below, driver, files, hidden });
        Ok(())
    }

    fn files(
        &mut self,
        table: &MountTable,
        volume: usize,
        (path, mount): (&Path, &Mounted),
        wanted: Option<Driver>,
    ) -> Result<(Driver, Files), SnapshotError> {
        let place = self.claim(table, mount, path)?;
        let location = match mount.filesystem.as_str() {
            "btrfs" => btrfs::locate(mount, path).map_err(|error| failure("read", path, error))?,
            _ => None,
        };
        let reflink = self.claims.get(place).is_some_and(|claim| claim.reflink);
        let best = match &location {
            Some(_) => Driver::Btrfs,
            None if reflink => Driver::Reflink,
            None => Driver::Live,
        };
        let driver = wanted.unwrap_or(best);
        let files = match (driver, location) {
            (Driver::Btrfs, Some(location)) => {
                let job = self.subvolume(table, volume, place, &location);
                Files::Made { job, inside: location.inside }
            }
            (Driver::Reflink, _) if reflink => self.clone((table, path), (volume, place), true),
            (Driver::Copy, _) => self.clone((table, path), (volume, place), false),
            (Driver::Live, _) => Files::There(path.to_owned()),
            (Driver::Btrfs | Driver::Reflink, _) => {
                let (path, filesystem) = (path.to_owned(), mount.filesystem.clone());
                return Err(SnapshotError::NotPossible { driver, path, filesystem });
            }
        };
        Ok((driver, files))
    }

    // One snapshot of a subvolume serves all that lies in it.
    fn subvolume(
        &mut self,
        table: &MountTable,
        volume: usize,
        place: usize,
        location: &btrfs::Location,
    ) -> usize {
        for (number, job) in self.jobs.iter_mut().enumerate() {
            if let Work::Subvolume(subvolume) = &mut job.work
                && subvolume.device == location.device
                && subvolume.root == location.subvolume
            {
                subvolume.wanted.push(location.inside.clone());
                return number;
            }
        }
        let root = location.subvolume.clone();
        let covered = table.below(&root).map(|mount| mount.point.clone()).collect();
        let wanted = vec![location.inside.clone()];
        let device = location.device;
        self.job(Work::Subvolume(btrfs::Subvolume { root, device, wanted, covered }), place, volume)
    }

    fn clone(
        &mut self,
        (table, path): (&MountTable, &Path),
        (volume, place): (usize, usize),
        reflink: bool,
    ) -> Files {
        let below = table.below(path).filter_map(|mount| mount.point.strip_prefix(path).ok());
        let skip = below.map(Path::to_owned).collect();
        let own = BTreeSet::new();
        let recipe = clone::Recipe { source: path.to_owned(), reflink, skip, own };
        let job = self.job(Work::Clone(recipe), place, volume);
        Files::Made { job, inside: PathBuf::new() }
    }

    fn job(&mut self, work: Work, place: usize, volume: usize) -> usize {
        let name = self.jobs.len().to_string();
        self.jobs.push(Job { work, place, name, volume, draft: Mutex::default() });
        self.jobs.len() - 1
    }

    // The place on the filesystem of a mount: at its mount point, or where else it is mounted, or,
    // for a user who may not write there, in the highest directory above `path` that is theirs.
    fn claim(
        &mut self,
        table: &MountTable,
        mount: &Mounted,
        path: &Path,
    ) -> Result<usize, SnapshotError> {
        let others = table.iter().filter(|other| other.device == mount.device);
        let visible = others
            .filter(|other| table.holding(&other.point).is_some_and(|seen| seen.id == other.id));
        let mut above: Vec<_> =
            path.ancestors().skip(1).take_while(|dir| dir.starts_with(&mount.point)).collect();
        above.reverse();
        let points = std::iter::once(mount).chain(visible).map(|mount| mount.point.as_path());
        let Some(chosen) = points.chain(above).find(|directory| is_writable(directory)) else {
            return Err(SnapshotError::NoPlace { path: path.to_owned() });
        };
        if let Some(known) = self.claims.iter().position(|claim| claim.directory == chosen) {
            return Ok(known);
        }
        self.remarks.extend(places::sweep(chosen));
        let make = |source| failure("make", &chosen.join(HOME), source);
        let place = Place::claim(chosen, self.run).map_err(make)?;
        let reflink = shares_blocks(&place).map_err(make)?;
        self.claims.push(Claim { place, directory: chosen.to_owned(), reflink });
        Ok(self.claims.len() - 1)
    }

    fn finish(mut self) -> Plan {
        let homes = self.claims.iter().filter_map(|claim| claim.place.identity().ok());
        let homes: BTreeSet<_> = homes.collect();
        for job in &mut self.jobs {
            if let Work::Clone(recipe) = &mut job.work {
                recipe.own.clone_from(&homes);
            }
        }
        // What is read where it lies may hold the snapshots of others.
        for piece in &mut self.pieces {
            let Files::There(path) = &piece.files else { continue };
            let homes = self.claims.iter().map(|claim| claim.directory.join(HOME));
            let below = homes.filter_map(|home| Some(home.strip_prefix(path).ok()?.to_owned()));
            piece.hidden.extend(below.map(|home| piece.below.join(home)));
        }
        let places = self.claims.into_iter().map(|claim| claim.place).collect();
        let settled = AtomicBool::new(false);
        let Self { jobs, pieces, mounts, remarks, .. } = self;
        Plan { jobs, pieces, places, settled, mounts, remarks }
    }
}

// Filesystems of which no version shares blocks between files: nothing need be tried there.
fn shares_nothing(filesystem: &str) -> bool {
    matches!(filesystem, "ext2" | "ext3" | "ext4" | "f2fs" | "tmpfs" | "vfat" | "exfat")
}

// What to say of a volume that has no snapshot because of this. Where nobody can write, none is needed.
fn told(error: &SnapshotError, mount: &Mounted) -> Option<String> {
    let is_read_only = mount.options.split(',').any(|option| option == "ro");
    let told =
        || format!("a volume is read in the freeze, for want of a snapshot: {}", chain(error));
    (!is_read_only).then(told)
}

// Tried, for no list of filesystems says it: it depends on how each was made.
fn shares_blocks(place: &Place) -> io::Result<bool> {
    let (source, target) =
        (place.dir().create_file(b"source")?, place.dir().create_file(b"target")?);
    io::Write::write_all(&mut &source, &[1; 4096])?;
    let shared = ioctl_ficlone(&target, &source).is_ok();
    place.dir().remove_file(b"source")?;
    place.dir().remove_file(b"target")?;
    Ok(shared)
}

// Not on a filesystem that is mounted read-only, and with permission to make files.
fn is_writable(directory: &Path) -> bool {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    directory.is_dir() && accessat(CWD, directory, wanted, AtFlags::EACCESS).is_ok()
}

// Views of the kernel's state: nothing in them can be restored.
fn is_pseudo(filesystem: &str) -> bool {
    PSEUDO.contains(&filesystem)
}

fn left_out(volume: &Volume, mount: &Mounted) -> String {
    let (name, kind) = (&volume.name, &mount.filesystem);
    format!("volume `{name}`: `{}` is left out, being a {kind}", mount.point.display())
}

fn resolve(source: &Path) -> Result<PathBuf, SnapshotError> {
    fs::canonicalize(source).map_err(|error| failure("find", source, error))
}

fn read_table() -> Result<MountTable, SnapshotError> {
    MountTable::read().map_err(|error| failure("read", Path::new("/proc/self/mountinfo"), error))
}

fn holder<'a>(table: &'a MountTable, path: &Path) -> Result<&'a Mounted, SnapshotError> {
    table.holding(path).ok_or_else(|| SnapshotError::Unmounted { path: path.to_owned() })
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_owned(), source }
}

const PSEUDO: [&str; 19] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];
