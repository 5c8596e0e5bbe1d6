//! Where an attack is tried: a target with files beside and above it that must stay as they are.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use format::manifest::{Manifest, VolumeRecord};
use format::pack::PackRecord;
use format::raw::RawPath;
use format::tree::{Entry, Kind};

use crate::tests::fixture::{Dice, Model, Point, World, entry, metadata};

/// How long a restore of a hostile point may take on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(20);
/// How much memory it may take.
const MEMORY_MAX: u64 = 256 << 20;

/// What is made of `bad`, which lies beside a file that is well; the path is that of the sentinels.
type Make = Box<dyn FnOnce(&mut Point, &Path) -> Kind>;
type Beside = Box<dyn FnOnce(&mut Point, &Path) -> Vec<VolumeRecord>>;
type Spoil = Box<dyn FnOnce(&mut Vec<PackRecord>)>;
type Tamper = Box<dyn FnOnce(&World, &mut Manifest)>;

/// One attack, and what must come of it.
pub(super) struct Case {
    name: &'static str,
    make: Make,
    frames: Box<dyn FnOnce(&mut Point)>,
    beside: Beside,
    spoil: Spoil,
    tamper: Tamper,
    says: Vec<&'static str>,
    there: Vec<&'static str>,
    ends: bool,
    is_all_lost: bool,
    files: u64,
}

impl Case {
    /// The attack `name`, of which the report must say all of `says`; nothing, if nothing is lost.
    pub(super) fn new(
        name: &'static str,
        says: &[&'static str],
        make: impl FnOnce(&mut Point, &Path) -> Kind + 'static,
    ) -> Self {
        Self {
            name,
            make: Box::new(make),
            frames: Box::new(|_| {}),
            beside: Box::new(|_, _| Vec::new()),
            spoil: Box::new(|_| {}),
            tamper: Box::new(|_, _| {}),
            says: says.to_vec(),
            there: Vec::new(),
            ends: false,
            is_all_lost: false,
            files: 1000,
        }
    }

    /// The same for `bad` being a plain file, whose one chunk has the frame and pack 0. The file
    /// that is well has number 1, and the listings have number 2.
    pub(super) fn plain(name: &'static str, says: &[&'static str]) -> Self {
        Self::new(name, says, |point, _| {
            let model = model(point, 1);
            point.file("bad", &model).kind
        })
    }

    /// What must be in the target nevertheless, below the volume.
    pub(super) fn there(mut self, paths: &[&'static str]) -> Self {
        self.there = paths.to_vec();
        self
    }

    /// The restore ends with an error: it cannot know what else is wrong.
    pub(super) fn ends(mut self) -> Self {
        self.ends = true;
        self
    }

    /// The volume is lost as a whole.
    pub(super) fn all_lost(mut self) -> Self {
        self.is_all_lost = true;
        self
    }

    /// More volumes in the point.
    pub(super) fn beside(
        mut self,
        beside: impl FnOnce(&mut Point, &Path) -> Vec<VolumeRecord> + 'static,
    ) -> Self {
        self.beside = Box::new(beside);
        self
    }

    /// How many files the record counts.
    pub(super) fn files(mut self, files: u64) -> Self {
        self.files = files;
        self
    }

    /// Changes the frames before they are sealed.
    pub(super) fn frames(mut self, frames: impl FnOnce(&mut Point) + 'static) -> Self {
        self.frames = Box::new(frames);
        self
    }

    /// Changes what the index says.
    pub(super) fn index(mut self, spoil: impl FnOnce(&mut Vec<PackRecord>) + 'static) -> Self {
        self.spoil = Box::new(spoil);
        self
    }

    /// Changes what is stored, or the manifest.
    pub(super) fn tamper(mut self, tamper: impl FnOnce(&World, &mut Manifest) + 'static) -> Self {
        self.tamper = Box::new(tamper);
        self
    }

    /// Restores it, and looks at everything.
    fn run(self) {
        let name = self.name;
        let world = World::alone();
        let outside = world.path("outside");
        let target = lay_sentinels(&world, &outside);
        let mut point = world.point();
        let bad = (self.make)(&mut point, &outside);
        point.close(format::frame::ChunkKind::Data);
        let well = model(&mut point, 2);
        let good = point.file("well", &well);
        point.close(format::frame::ChunkKind::Data);
        let root = point.directory(&[entry("bad", bad), good]);
        let mut volumes = vec![point.volume("volume", root, self.files)];
        volumes.extend((self.beside)(&mut point, &outside));
        point.close(format::frame::ChunkKind::Tree);
        (self.frames)(&mut point);
        let mut manifest = world.commit_volumes(point, volumes, 1, self.spoil);
        (self.tamper)(&world, &mut manifest);
        let before = look(&world, &target);
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let (resident, begun) = (status("VmRSS:"), Instant::now());
        let result = world.restore(&manifest, &target, None);
        let (took, grown) = (begun.elapsed(), status("VmHWM:").saturating_sub(resident));
        assert!(took < TIME_MAX, "{name}: {took:?}");
        assert!(grown < MEMORY_MAX, "{name}: {} MiB", grown >> 20);
        assert_eq!(look(&world, &target), before, "{name}: something was done outside");
        assert_eq!(result.is_err(), self.ends, "{name}: {result:?}");
        let said = match result {
            Ok(report) => {
                let lost =
                    report.lost.iter().map(|l| format!("{}/{}: {}", l.volume, l.path, l.reason));
                let unset =
                    report.unset.iter().map(|u| format!("{}/{}: {}", u.volume, u.path, u.reason));
                lost.chain(unset).collect::<Vec<_>>().join("\n")
            }
            Err(error) => repository::error::chain(&error),
        };
        if self.says.is_empty() {
            assert_eq!(said, "", "{name}");
        }
        for part in self.says {
            assert!(said.contains(part), "{name}: `{part}` is not in `{}`", cut(&said));
        }
        for path in self.there {
            let found = fs::symlink_metadata(target.join("volume").join(path));
            assert!(found.is_ok(), "{name}: `{path}` is not there: {}", cut(&said));
        }
        if !self.ends && !self.is_all_lost {
            let found = fs::read(target.join("volume/well"));
            assert!(found.is_ok_and(|found| found == well.bytes), "{name}: what is well is not");
        }
        remove(&target);
    }
}

/// Runs every case, and fails if one did.
pub(super) fn run(cases: impl IntoIterator<Item = Case>) {
    let mut failed = Vec::new();
    for case in cases {
        let name = case.name;
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case.run())).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// A directory of these entries, one after another as they are.
pub(super) fn listed(point: &mut Point, entries: &[(&[u8], Kind)]) -> Kind {
    let entries: Vec<_> = entries.iter().map(|(name, kind)| raw(name, kind.clone())).collect();
    point.directory(&entries)
}

/// An entry with any name.
pub(super) fn raw(name: &[u8], kind: Kind) -> Entry {
    Entry { name: RawPath::new(name), kind, metadata: metadata(0o700) }
}

/// The content of a file of one chunk.
pub(super) fn model(point: &mut Point, seed: u64) -> Model {
    let mut model = Model::default();
    point.add_chunk(&mut model, &Dice::new(seed).bytes(100_000));
    model
}

// Files, directories and links beside the target and above it.
fn lay_sentinels(world: &World, outside: &Path) -> PathBuf {
    let target = world.path("near/target");
    fs::create_dir_all(&target).unwrap();
    fs::create_dir_all(outside.join("dir")).unwrap();
    for file in ["file", "dir/file"] {
        fs::write(outside.join(file), "mine").unwrap();
    }
    for name in ["volume", "near/volume", "near/bad", "near/well", "near/escaped"] {
        fs::write(world.path(name), "mine").unwrap();
    }
    std::os::unix::fs::symlink(outside, world.path("near/link")).unwrap();
    target
}

/// A path with the mode, the owner, the names, the length, the time and the content.
type Seen = (PathBuf, [u64; 6], Vec<u8>);

// All that is there, apart from the repository and what is in the target.
fn look(world: &World, target: &Path) -> Vec<Seen> {
    let repository = world.path("repository");
    let (mut seen, mut folders) = (Vec::new(), vec![world.path("")]);
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path == repository || path == target {
                continue;
            }
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if stat.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let [seconds, nanoseconds] = [stat.mtime(), stat.mtime_nsec()].map(i64::cast_unsigned);
            let marks = [u64::from(stat.mode()), stat.uid().into(), stat.nlink(), stat.size()];
            let [mode, owner, names, length] = marks;
            seen.push((path, [mode, owner, names, length, seconds, nanoseconds], content));
        }
    }
    seen.sort();
    seen
}

// From within, level by level: a path may be longer than the system takes.
fn remove(target: &Path) {
    let flat = target.with_extension("flat");
    fs::create_dir(&flat).unwrap();
    fs::rename(target, flat.join("0")).unwrap();
    let mut number = 0_u64;
    loop {
        let mut more = false;
        let folders: Vec<_> = fs::read_dir(&flat).unwrap().map(|e| e.unwrap().path()).collect();
        for folder in folders {
            fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .unwrap();
            for inner in fs::read_dir(&folder).unwrap() {
                let inner = inner.unwrap();
                if inner.file_type().unwrap().is_dir() {
                    number += 1;
                    more = true;
                    fs::rename(inner.path(), flat.join(number.to_string())).unwrap();
                } else {
                    fs::remove_file(inner.path()).unwrap();
                }
            }
            fs::remove_dir(&folder).unwrap();
        }
        if !more {
            return;
        }
    }
}

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn cut(text: &str) -> String {
    text.chars().take(2000).collect()
}
