//! Plans and snapshots on the filesystem of the temporary directory, and with the feature `lab`
//! on real btrfs and xfs.

use std::error::Error;
use std::fs;
use std::path::Path;

use format::ids::PointId;
use platform::application::Application;

use super::*;

fn copied(name: &str, source: &Path) -> Volume {
    Volume { driver: Some(Driver::Copy), ..volume(name, source) }
}

fn volume(name: &str, source: &Path) -> Volume {
    let (mounts, outside_writers) = (Vec::new(), Vec::new());
    let (name, source) = (RawPath::new(name), source.to_owned());
    Volume { name, source, mounts, outside_writers, driver: None }
}

fn take(volumes: &[Volume], run: u8) -> (Plan, Vec<Taken>) {
    let plan = Plan::prepare(volumes, PointId::new([run; 16])).unwrap();
    plan.sync();
    let taken = plan.take(volumes, Some(&Reader::default()), &Arc::default()).unwrap();
    (plan, taken)
}

/// Remembers what it was given, and fails when it shall.
#[derive(Debug, Default)]
struct Reader {
    read: Mutex<Vec<(RawPath, FileTree)>>,
    fails: bool,
}

impl StillReader for Reader {
    fn read(
        &self,
        volumes: Vec<(RawPath, FileTree)>,
        _: &Arc<AtomicBool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.read.lock().unwrap().extend(volumes);
        if self.fails { Err("a test".into()) } else { Ok(()) }
    }
}

#[test]
fn a_volume_without_a_snapshot_is_read_where_it_lies_after_all_others_were_made() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("file"), "x").unwrap();
    let volumes = [volume("live", scratch.path()), copied("copied", scratch.path())];
    let plan = Plan::prepare(&volumes, PointId::new([14; 16])).unwrap();
    let reader = Reader::default();
    let taken = plan.take(&volumes, Some(&reader), &Arc::default()).unwrap();
    assert_eq!(taken.iter().map(|t| t.driver).collect::<Vec<_>>(), ["live", "copy"]);
    let read = reader.read.into_inner().unwrap();
    let [(name, tree)] = &read[..] else { panic!("{read:?}") };
    assert_eq!(
        (name, &tree.root),
        (&RawPath::new("live"), &scratch.path().canonicalize().unwrap())
    );
    assert!(taken[0].end >= taken[1].end);
    let volumes = volumes.to_vec();
    let application = Application { volumes: volumes.clone(), ..Application::default() };
    let found = crate::without_snapshot(&application, PointId::new([15; 16])).unwrap();
    assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [RawPath::new("live")]);

    let reader = Reader { fails: true, ..Reader::default() };
    let plan = Plan::prepare(&volumes, PointId::new([16; 16])).unwrap();
    let failure = plan.take(&volumes, Some(&reader), &Arc::default()).unwrap_err();
    assert!(matches!(failure.error, SnapshotError::Unread { .. }), "{:?}", failure.error);
    assert_eq!(failure.volume, RawPath::new("live"));
}

#[test]
fn a_driver_that_cannot_work_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let volume = Volume { driver: Some(Driver::Btrfs), ..volume("v", scratch.path()) };
    let failure = Plan::prepare(&[volume], PointId::new([17; 16])).unwrap_err();
    let told = failure.error.to_string();
    assert!(told.contains("`btrfs` cannot be used"), "{told}");
}

#[test]
fn snapshots_of_others_are_no_part_of_what_is_read_where_it_lies() {
    let outer = tempfile::tempdir_in("/dev/shm").unwrap();
    let inner = tempfile::tempdir_in("/dev/shm").unwrap();
    // The whole filesystem, and a directory of it, of which a copy is made at its mount point.
    let volumes = vec![volume("all", Path::new("/dev/shm")), copied("inner", inner.path())];
    let plan = Plan::prepare(&volumes, PointId::new([19; 16])).unwrap();
    assert!(plan.hidden(0).any(|hidden| hidden == Path::new(".stillpoint")));
    let volumes = vec![volume("outer", outer.path())];
    let plan = Plan::prepare(&volumes, PointId::new([20; 16])).unwrap();
    assert_eq!(plan.hidden(0).count(), 0);
    plan.still_fits().unwrap();
}

#[test]
fn where_blocks_are_not_shared_nothing_is_tried_and_nothing_made() {
    // A filesystem in memory, of which it is known.
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let volumes = [volume("v", scratch.path())];
    let plan = Plan::prepare(&volumes, PointId::new([18; 16])).unwrap();
    assert_eq!(plan.drivers(&volumes)[0].1, "live");
    assert!(plan.places.is_empty());
}

#[test]
fn every_volume_is_taken_apart_from_its_source_and_removed_again() {
    let scratch = tempfile::tempdir().unwrap();
    let sources: Vec<_> = (0..20).map(|number| scratch.path().join(number.to_string())).collect();
    for source in &sources {
        fs::create_dir(source).unwrap();
        fs::write(source.join("file"), source.to_str().unwrap()).unwrap();
    }
    fs::write(scratch.path().join("single"), "one").unwrap();
    let mut volumes: Vec<_> = sources.iter().map(|source| copied("v", source)).collect();
    volumes.push(copied("single", &scratch.path().join("single")));
    let (plan, taken) = take(&volumes, 11);
    for (taken, source) in taken.iter().zip(&sources) {
        fs::write(source.join("file"), "changed").unwrap();
        let read = fs::read_to_string(taken.tree.root.join("file")).unwrap();
        assert_eq!(Path::new(&read), source);
        assert!(taken.begin <= taken.end);
    }
    let single = &taken.last().unwrap().tree.root;
    assert_eq!(fs::read(single).unwrap(), b"one");
    assert_eq!(plan.remove(), [""; 0]);
    assert!(!single.exists());
}

#[test]
fn a_source_that_is_not_there_is_named_with_its_volume() {
    let scratch = tempfile::tempdir().unwrap();
    let volumes = [volume("lost", &scratch.path().join("gone"))];
    let failure = Plan::prepare(&volumes, PointId::new([12; 16])).unwrap_err();
    assert_eq!(failure.volume, RawPath::new("lost"));
    assert!(failure.error.to_string().contains("gone"), "{}", failure.error);
}

#[test]
fn an_abandoned_plan_takes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let volumes = [copied("v", scratch.path())];
    let plan = Plan::prepare(&volumes, PointId::new([13; 16])).unwrap();
    let failure = plan.take(&volumes, None, &Arc::new(AtomicBool::new(true))).unwrap_err();
    assert!(matches!(failure.error, SnapshotError::Abandoned));
}

#[test]
fn a_volume_read_in_place_has_no_pseudo_filesystems() {
    let (tree, remarks) = in_place(&volume("root", Path::new("/"))).unwrap();
    assert_eq!(tree.root, Path::new("/"));
    assert!(tree.hidden.contains(&PathBuf::from("proc")), "{:?}", tree.hidden);
    assert!(tree.hidden.contains(&PathBuf::from(".stillpoint")));
    assert!(remarks.iter().any(|remark| remark.contains("`/proc` is left out")), "{remarks:?}");
}

#[cfg(feature = "lab")]
mod lab;
