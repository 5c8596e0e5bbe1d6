//! Snapshots kept on a filesystem in memory, which has a mount point of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use format::ids::PointId;
use format::manifest::Level;
use format::raw::RawPath;
use jiff::Timestamp;
use platform::application::{Activity, Application, Member, Mount, Volume};
use platform::driver::Driver;
use platform::files::SNAPSHOT_HOME as HOME;
use tempfile::TempDir;

use super::*;
use crate::clock::Moment;
use crate::drivers::Plan;
use crate::places;
use crate::snapshot::{GroupSnapshot, VolumeSnapshot};

const MOUNT: &str = "/dev/shm";

struct World {
    scratch: TempDir,
    state: TempDir,
    shelf: Shelf,
    application: Application,
    id: PointId,
}

impl World {
    /// A directory and a single file.
    fn new(id: u8) -> Self {
        let scratch = TempDir::new_in(MOUNT).unwrap();
        shell(
            scratch.path(),
            "mkdir -p tree/d; echo 1 >tree/d/one; ln tree/d/one tree/link; chmod 750 tree; echo 2 >file",
        );
        let volume = |name: &str| Volume {
            name: RawPath::new(name),
            source: scratch.path().join(name),
            mounts: Vec::new(),
            outside_writers: Vec::new(),
            driver: Some(Driver::Copy),
        };
        let volumes = vec![volume("tree"), volume("file")];
        let name = "shop".to_owned();
        let application = Application { name, platform: "test", volumes, ..Application::default() };
        let state = TempDir::new().unwrap();
        let shelf = Shelf::inside(state.path());
        Self { scratch, state, shelf, application, id: PointId::new([id; 16]) }
    }

    fn group(&self) -> GroupSnapshot {
        let volumes = &self.application.volumes;
        let plan = Plan::prepare(volumes, self.id).unwrap();
        plan.sync();
        let taken = plan.take(volumes, None, &Arc::default()).unwrap();
        let volume = |taken: crate::drivers::Taken| VolumeSnapshot {
            name: taken.name,
            driver: taken.driver,
            tree: taken.tree,
        };
        GroupSnapshot {
            volumes: taken.into_iter().map(volume).collect(),
            evidence: None,
            remarks: Vec::new(),
            plan: Some(plan),
            zero: Moment::default(),
            breaks: BTreeMap::new(),
        }
    }

    fn keep(&self) -> LocalSnapshot {
        let label =
            Label { taken: Timestamp::UNIX_EPOCH, level: Level::Crash, remarks: vec!["a".into()] };
        self.shelf.keep(self.group(), self.id, &self.application, label).unwrap()
    }

    fn list(&self) -> Vec<Found> {
        let (found, remarks) = self.shelf.list().unwrap();
        assert_eq!(remarks, [""; 0]);
        found
    }

    fn plan(&self) -> LocalPlan {
        plan(&self.list()[0], &self.application, &[]).unwrap()
    }

    fn note(&self, changing: bool) -> Restoring {
        let application = "shop".to_owned();
        let before = vec![PointId::new([9; 16])];
        Restoring { application, snapshot: self.id, before, changing }
    }

    /// Where the snapshot lies.
    fn directory(&self) -> PathBuf {
        Path::new(MOUNT).join(HOME).join(self.id.to_string())
    }

    fn script(&self, script: &str) {
        shell(self.scratch.path(), script);
    }
}

// A failed test leaves nothing to the next run, which has the same ids.
impl Drop for World {
    fn drop(&mut self) {
        let _ = places::remove_kept(&Path::new(MOUNT).join(HOME), self.id);
    }
}

fn put_all_back(kept: &LocalSnapshot) -> Result<PutBack, LocalError> {
    put_back(kept, &kept.volumes.iter().map(|volume| volume.name.clone()).collect())
}

fn shell(directory: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(directory).status();
    assert!(status.unwrap().success(), "{script}");
}

/// What is in the volumes: types, permissions, links, times and content.
fn listing(world: &World) -> String {
    let script = "find tree file -printf '%p %y %m %n %s %T@ ' -type f -exec cat {} \\; -o -print";
    let output = Command::new("sh").args(["-c", script]).current_dir(world.scratch.path()).output();
    let mut lines: Vec<_> =
        String::from_utf8(output.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_snapshot_that_is_kept_is_found_until_it_is_removed() {
    let world = World::new(0x41);
    let kept = world.keep();
    assert_eq!(world.list(), [Found { snapshot: kept.clone(), missing: Vec::new() }]);
    assert_eq!(places::sweep(Path::new(MOUNT)), [""; 0]);
    assert_eq!(world.list()[0].missing, []);
    assert_eq!(world.shelf.remove(world.id).unwrap(), [""; 0]);
    assert_eq!(world.list(), []);
    assert!(!world.directory().exists());
    assert_eq!(world.shelf.remove(world.id).unwrap(), [""; 0], "it is gone already");
}

#[test]
fn what_is_put_back_is_as_it_was() {
    let world = World::new(0x42);
    let before = listing(&world);
    let kept = world.keep();
    let number = |name: &str| fs::metadata(world.scratch.path().join(name)).unwrap().ino();
    let directories = [number("tree"), number("tree/d")];
    // Content, a name, a link, kinds exchanged, something new: everything at once.
    world.script(
        "echo other >file; echo more >>tree/d/one; rm tree/link; mkdir -p tree/link/x; echo >tree/link/y
         echo new >tree/new; mkdir tree/d/sub; touch tree/d/sub/z; chmod 700 tree; ln -s /etc tree/s",
    );
    assert_ne!(listing(&world), before);
    let done = put_all_back(&kept).unwrap();
    assert_eq!(listing(&world), before);
    assert_eq!(done, PutBack { replaced: 3, removed: 4, unchanged: 0 });
    let now = [number("tree"), number("tree/d")];
    assert_eq!(now, directories, "directories are what others have mounted");
    // Twice is as good as once, and the snapshot as good as before.
    put_all_back(&kept).unwrap();
    // As somebody left it who was cut off.
    world.script(
        "rm -r tree/d; touch tree/d tree/.stillpoint-new; mkdir .stillpoint-new; echo >file",
    );
    put_all_back(&kept).unwrap();
    assert_eq!(listing(&world), before);
    world.shelf.remove(world.id).unwrap();
}

#[test]
fn what_waits_stays_until_it_is_removed_or_taken_over() {
    let (mut world, mut next) = (World::new(0x4e), World::new(0x4f));
    let shelf = world.shelf.clone();
    world.shelf = Shelf::of_pending(world.state.path());
    next.shelf = world.shelf.clone();
    for waiting in [&world, &next] {
        waiting.shelf.write_purpose(waiting.id, &"a run").unwrap();
        waiting.keep();
    }
    assert_eq!(places::sweep(Path::new(MOUNT)), [""; 0]);
    let known: BTreeSet<_> = world.shelf.purposes().unwrap().into_iter().collect();
    assert_eq!(known, BTreeSet::from([world.id, next.id]));
    assert_eq!(world.shelf.purpose::<String>(world.id).unwrap().as_deref(), Some("a run"));
    assert!(world.shelf.purpose::<u8>(world.id).is_err());
    assert_eq!(shelf.list().unwrap().0, [], "it is no local snapshot");
    assert_eq!(world.shelf.remove_with_purpose(next.id).unwrap(), [""; 0]);
    assert!(!next.directory().exists());
    shelf.take_over(&world.shelf, world.id).unwrap();
    assert!(world.list().is_empty() && world.shelf.purposes().unwrap().is_empty());
    let found = shelf.find(world.id).unwrap().unwrap();
    assert_eq!((found.snapshot.id, &found.missing[..]), (world.id, &[][..]));
    assert_eq!(shelf.remove(world.id).unwrap(), [""; 0]);
    assert!(!world.directory().exists());
}

#[test]
fn no_link_leads_out_of_a_volume() {
    let world = World::new(0x43);
    let kept = world.keep();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("one"), "theirs").unwrap();
    world.script(&format!("rm -r tree/d; ln -s {} tree/d", outside.path().display()));
    put_all_back(&kept).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("one")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(world.scratch.path().join("tree/d/one")).unwrap(), "1\n");
    world.shelf.remove(world.id).unwrap();
}

#[test]
fn the_directory_of_snapshots_in_a_volume_is_left_alone() {
    let world = World::new(0x44);
    let kept = world.keep();
    world.script("mkdir -m 700 tree/.stillpoint; touch tree/.stillpoint/kept");
    put_all_back(&kept).unwrap();
    assert!(world.scratch.path().join("tree/.stillpoint/kept").exists());
    // What others call so is theirs.
    world.script("chmod 755 tree/.stillpoint");
    put_all_back(&kept).unwrap();
    assert!(!world.scratch.path().join("tree/.stillpoint").exists());
    world.shelf.remove(world.id).unwrap();
}

#[test]
fn whoever_reads_and_whoever_replaces_keep_each_other_out() {
    let world = World::new(0x4a);
    let (one, other) = (world.shelf.admit("shop").unwrap(), world.shelf.admit("shop").unwrap());
    assert!(matches!(world.shelf.alone("shop"), Err(LocalError::InUse(name)) if name == "shop"));
    let elsewhere = world.shelf.alone("another").unwrap();
    drop((one, other, elsewhere));
    let alone = world.shelf.alone("shop").unwrap();
    assert!(matches!(world.shelf.admit("shop"), Err(LocalError::Restored(_))));
    assert!(matches!(world.shelf.alone("shop"), Err(LocalError::InUse(_))));
    drop(alone);
    world.shelf.admit("shop").unwrap();
}

#[test]
fn what_was_cut_off_is_known_until_it_is_done() {
    let world = World::new(0x4b);
    world.keep();
    assert_eq!(world.shelf.restoring("shop").unwrap(), None);
    world.shelf.write_note(&world.note(false)).unwrap();
    world.shelf.admit("shop").expect("nothing was changed so far");
    world.shelf.write_note(&world.note(true)).unwrap();
    assert_eq!(world.shelf.restoring("shop").unwrap(), Some(world.note(true)));
    assert!(matches!(world.shelf.admit("shop"), Err(LocalError::Unfinished(_))));
    world.shelf.admit("other").unwrap();
    let refused = world.shelf.remove(world.id).unwrap_err();
    assert!(matches!(&refused, LocalError::Needed { id, .. } if *id == world.id), "{refused}");
    world.shelf.write_note(&world.note(false)).unwrap();
    let alone = world.shelf.alone("shop").unwrap();
    let refused_meanwhile = world.shelf.remove(world.id).unwrap_err();
    assert!(matches!(refused_meanwhile, LocalError::Needed { .. }), "{refused_meanwhile}");
    drop(alone);
    assert!(refused.to_string().contains(&PointId::new([9; 16]).to_string()), "{refused}");
    world.shelf.remove_note("shop").unwrap();
    world.shelf.remove_note("shop").unwrap();
    world.shelf.admit("shop").unwrap();
    assert_eq!(world.shelf.remove(world.id).unwrap(), [""; 0]);
}

#[test]
fn a_note_that_cannot_be_understood_is_named() {
    let world = World::new(0x4c);
    world.shelf.write_note(&world.note(true)).unwrap();
    let notes = fs::read_dir(world.state.path().join("snapshots")).unwrap();
    let note = notes.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some());
    fs::write(note.unwrap(), "{}").unwrap();
    let error = crate::error::chain(&world.shelf.admit("shop").unwrap_err());
    assert!(error.contains("cannot understand") && error.contains(".restore"), "{error}");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_done() {
    let world = World::new(0x45);
    world.keep();
    let told = |change: &dyn Fn(&mut Application), own: &[PathBuf]| {
        let mut application = world.application.clone();
        change(&mut application);
        let plan = plan(&world.list()[0], &application, own).unwrap();
        plan.conflicts.join("; ")
    };
    let member = |activity, restarting| {
        move |application: &mut Application| {
            let name = "db".to_owned();
            let member = Member { name, activity, restarting, ..Member::default() };
            application.members.push(member);
        }
    };
    assert!(told(&member(Activity::Running, false), &[]).contains("`db` is running"));
    assert!(told(&member(Activity::Paused, false), &[]).contains("`db` is paused"));
    assert!(told(&member(Activity::Stopped, true), &[]).contains("`db` is restarting"));
    assert!(told(&|a| a.volumes[0].source.push("x"), &[]).contains("no volume `tree`"));
    assert!(told(&|a| drop(a.volumes.remove(1)), &[]).contains("no volume `file`"));
    assert!(told(&|a| a.platform = "host", &[]).contains("on test"));
    let writer = |a: &mut Application| a.volumes[1].outside_writers.push("cron".to_owned());
    assert!(told(&writer, &[]).contains("written by `cron`"));
    let own = [world.scratch.path().join("tree/d/state")];
    assert!(told(&|_| {}, &own).contains("is ours"));
    world.script("mv file aside; mkdir file");
    assert!(told(&|_| {}, &[]).contains("`file` is a directory now, and was a file"));
    world.script("rmdir file");
    assert!(told(&|_| {}, &[]).contains("`file` is not there"));
    world.script("mv aside file");
    let inner = |a: &mut Application| {
        let source = a.volumes[0].source.join("d");
        a.volumes.push(Volume { name: RawPath::new("inner"), source, ..a.volumes[0].clone() });
    };
    assert!(told(&inner, &[]).contains("lie in one another"));
    let mut stopped = world.application.clone();
    stopped.members.push(Member { activity: Activity::Stopped, ..Member::default() });
    let source = world.scratch.path().join("more");
    stopped.volumes.push(Volume {
        name: RawPath::new("more"),
        source,
        ..stopped.volumes[0].clone()
    });
    let told = plan(&world.list()[0], &stopped, &[]).unwrap();
    assert_eq!((told.conflicts.len(), &told.untouched[..]), (0, &[RawPath::new("more")][..]));
    // Such as a file of the host.
    let (member, target) = ("db".to_owned(), PathBuf::from("/file"));
    stopped.volumes[1].mounts.push(Mount { member, target, read_only: true });
    let told = plan(&world.list()[0], &stopped, &[]).unwrap();
    assert_eq!(told.untouched, [RawPath::new("file"), RawPath::new("more")]);
    assert_eq!(told.volumes.len(), 1);
    world.shelf.remove(world.id).unwrap();
}

#[test]
fn what_was_not_kept_whole_is_cleared_away_by_the_next() {
    let (world, next) = (World::new(0x46), World::new(0x47));
    let kept = world.keep();
    let record = world.state.path().join(format!("snapshots/{}.json", world.id));
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"whole\":true", "\"whole\":false")).unwrap();
    assert_eq!(world.list()[0].missing.len(), 2, "nothing is put back of it");
    assert_eq!(places::sweep(Path::new(MOUNT)), [""; 0]);
    assert!(world.directory().exists(), "no sweep knows whose it is");
    let label = Label { taken: Timestamp::UNIX_EPOCH, level: Level::Crash, remarks: Vec::new() };
    world.shelf.keep(next.group(), next.id, &next.application, label).unwrap();
    assert!(!world.directory().exists() && !record.exists());
    assert_eq!(world.list()[0].snapshot.id, next.id);
    world.shelf.remove(next.id).unwrap();
    drop(kept);
}

#[test]
fn something_else_in_its_place_is_not_taken_for_it() {
    let world = World::new(0x48);
    world.keep();
    let tree = world.directory().join("0");
    fs::rename(&tree, world.directory().join("hidden")).unwrap();
    assert_eq!(world.list()[0].missing, [RawPath::new("tree")]);
    // As the snapshot of the filesystem would show it.
    fs::create_dir(&tree).unwrap();
    assert_eq!(world.list()[0].missing, [RawPath::new("tree")]);
    fs::remove_dir(&tree).unwrap();
    std::os::unix::fs::symlink("/etc", &tree).unwrap();
    assert_eq!(world.list()[0].missing, [RawPath::new("tree")]);
    assert!(world.plan().conflicts[0].contains("`tree` is not there"));
    assert_eq!(world.shelf.remove(world.id).unwrap(), [""; 0]);
}

#[test]
fn a_filesystem_that_is_not_there_is_not_forgotten() {
    let world = World::new(0x4d);
    world.keep();
    let record = world.state.path().join(format!("snapshots/{}.json", world.id));
    let text = fs::read_to_string(&record).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&text).unwrap();
    // As if another one were mounted there now.
    other["homes"][0]["above"]["born_seconds"] = 1.into();
    fs::write(&record, other.to_string()).unwrap();
    assert_eq!(world.list()[0].missing.len(), 2);
    let left = world.shelf.remove(world.id).unwrap();
    assert!(left[0].contains("not mounted"), "{left:?}");
    assert!(record.exists() && world.directory().exists());
    fs::write(&record, text).unwrap();
    assert_eq!(world.shelf.remove(world.id).unwrap(), [""; 0]);
    assert!(!record.exists() && !world.directory().exists());
}

#[test]
fn a_record_of_another_version_is_told_and_left_alone() {
    let world = World::new(0x49);
    world.keep();
    let record = world.state.path().join(format!("snapshots/{}.json", world.id));
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let (found, remarks) = world.shelf.list().unwrap();
    assert_eq!(found, []);
    assert!(remarks[0].contains("another version"), "{remarks:?}");
    fs::write(&record, text).unwrap();
    world.shelf.remove(world.id).unwrap();
}
