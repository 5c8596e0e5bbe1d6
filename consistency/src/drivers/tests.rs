//! Plans and snapshots on the filesystem of the temporary directory, and with the feature `lab`
//! on real btrfs and xfs.

use std::fs;

use format::ids::PointId;

use super::*;

fn volume(name: &str, source: &Path) -> Volume {
    let (mounts, outside_writers) = (Vec::new(), Vec::new());
    Volume { name: RawPath::new(name), source: source.to_owned(), mounts, outside_writers }
}

fn take(volumes: &[Volume], run: u8) -> (Plan, Vec<Taken>) {
    let plan = Plan::prepare(volumes, PointId::new([run; 16])).unwrap();
    plan.sync();
    let taken = plan.take(volumes, &AtomicBool::new(false)).unwrap();
    (plan, taken)
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
    let mut volumes: Vec<_> = sources.iter().map(|source| volume("v", source)).collect();
    volumes.push(volume("single", &scratch.path().join("single")));
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
    let volumes = [volume("v", scratch.path())];
    let plan = Plan::prepare(&volumes, PointId::new([13; 16])).unwrap();
    let failure = plan.take(&volumes, &AtomicBool::new(true)).unwrap_err();
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
