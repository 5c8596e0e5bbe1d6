//! Restores into directories that have files in them.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::Ordering::SeqCst;

use format::tree::{HardLink, Kind};

use super::fixture::{Dice, Model, World, entry};
use super::{Models, assert_models, one_file, random_point};
use crate::plan::Plan;

#[test]
fn only_what_differs_is_fetched_and_written() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(11));
    let mut model = Model::default();
    for _ in 0..40 {
        let bytes = dice.bytes(200_000 + dice.below(100_000));
        point.add_chunk(&mut model, &bytes);
    }
    let manifest = one_file(&world, point, "file", &model);
    let target = world.path("target");
    world.restore(&manifest, &target, None).unwrap();
    let models = Models::from([("file".to_owned(), model.clone())]);

    // Only the tree is read when nothing differs.
    world.store.fetched.store(0, SeqCst);
    let report = world.restore(&manifest, &target, Some(false)).unwrap();
    assert_eq!((report.written, report.lost.len()), (0, 0));
    assert!(world.store.fetched.load(SeqCst) < 100_000);

    let file = File::options().write(true).open(target.join("volume/file")).unwrap();
    for at in [700_000_u64, 5_000_000] {
        file.write_all_at(b"changed", at).unwrap();
    }
    world.store.fetched.store(0, SeqCst);
    let report = world.restore(&manifest, &target, Some(false)).unwrap();
    // Two chunks, and the pages that they share with their neighbours.
    assert!((400_000..=2 * 310_000).contains(&report.written), "{}", report.written);
    assert!(world.store.fetched.load(SeqCst) < 2_000_000);
    assert_models(&target, &models);

    for length in [0, 1_000_000, 20_000_000] {
        file.set_len(length).unwrap();
        world.restore(&manifest, &target, Some(false)).unwrap();
        assert_models(&target, &models);
    }
}

#[test]
fn whatever_was_done_to_a_target_is_mended() {
    let world = World::new();
    let (manifest, models) = random_point(&world, 21);
    let target = world.path("target");
    world.restore(&manifest, &target, None).unwrap();
    let dice = Dice::new(22);
    for _ in 0..6 {
        for path in models.keys() {
            let path = target.join("volume").join(path);
            let file = File::options().write(true).open(&path).unwrap();
            match dice.below(8) {
                0 => file.write_all_at(&dice.bytes(5000), dice.below(100_000) as u64).unwrap(),
                1 => file.set_len(dice.below(2_000_000) as u64).unwrap(),
                2 => fs::remove_file(&path).unwrap(),
                3 => {
                    fs::remove_file(&path).unwrap();
                    fs::create_dir(&path).unwrap();
                }
                4 => {
                    fs::remove_file(&path).unwrap();
                    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
                    continue;
                }
                _ => {}
            }
            drop(file);
            if !path.exists() {
                continue;
            }
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(&path, mode).unwrap();
        }
        let report = world.restore(&manifest, &target, Some(false)).unwrap();
        assert_eq!((report.lost.as_slice(), report.unset.as_slice()), (&[][..], &[][..]));
        assert_models(&target, &models);
        let inode = |path: &str| fs::metadata(target.join("volume").join(path)).unwrap().ino();
        assert_eq!(inode("0/05"), inode("0/06"));
        assert_eq!(inode("0/05"), inode("2/05"));
        assert_ne!(inode("0/05"), inode("2/06"));
    }
}

#[test]
fn an_interrupted_restore_goes_on() {
    let world = World::new();
    let (manifest, models) = random_point(&world, 31);
    for left in [0, 1, 2, 3, 4, 5, 6, 7, 8] {
        let target = world.path(&format!("target {left}"));
        world.store.left.store(left, SeqCst);
        let first = world.restore(&manifest, &target, None);
        world.store.left.store(u64::MAX, SeqCst);
        // What is there under its name and time is whole, wherever the first one ended.
        for (path, model) in &models {
            let path = target.join("volume").join(path);
            if let Ok(found) = fs::metadata(&path)
                && found.mtime() == 1_234_567_890
            {
                assert!(fs::read(&path).unwrap() == model.bytes, "{left} {}", path.display());
            }
        }
        let report = world.restore(&manifest, &target, Some(false)).unwrap();
        assert_eq!(report.lost, [], "{left}: {first:?}");
        assert_models(&target, &models);
        fs::remove_dir_all(target).unwrap();
    }
}

#[test]
fn a_file_that_is_half_changed_does_not_look_finished() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(41));
    let mut model = Model::default();
    for _ in 0..60 {
        let bytes = dice.bytes(400_000);
        point.add_chunk(&mut model, &bytes);
    }
    let manifest = one_file(&world, point, "file", &model);
    let target = world.path("target");
    world.restore(&manifest, &target, None).unwrap();
    let path = target.join("volume/file");
    fs::write(&path, vec![0; model.bytes.len()]).unwrap();
    // Fewer reads than the whole file needs, however they are joined.
    world.store.left.store(3, SeqCst);
    // Some of its chunks come, and then no more.
    let ended = world.restore(&manifest, &target, Some(false));
    world.store.left.store(u64::MAX, SeqCst);
    if let Ok(found) = fs::metadata(&path) {
        assert!(ended.is_err());
        assert_ne!(found.mtime(), 1_234_567_890);
    }
    world.restore(&manifest, &target, Some(false)).unwrap();
    assert_models(&target, &Models::from([("file".to_owned(), model)]));
}

#[test]
fn extra_files_are_kept_unless_they_are_to_go() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(51));
    let model = point.random_file(&dice, 3, 2000);
    let file = point.file("m", &model);
    let inner = point.directory(&[]);
    let root = point.directory(&[entry("d", inner), file]);
    let manifest = world.commit(point, root, 3);
    let target = world.path("target");
    world.restore(&manifest, &target, None).unwrap();
    let volume = target.join("volume");
    for name in ["a", "d/x/y", "z"] {
        fs::create_dir_all(volume.join(name)).unwrap();
        fs::write(volume.join(name).join("mine"), "mine").unwrap();
    }
    fs::write(target.join("beside"), "not in any volume").unwrap();
    for (delete, extra) in [(false, 3), (true, 3), (true, 0)] {
        let (chunks, runtime) = (world.chunks(), world.runtime.handle());
        let plan = Plan::make_in_place(&manifest, &target, delete, &chunks, runtime).unwrap();
        let found = plan.in_place.unwrap();
        assert_eq!((found.present, found.extra, found.delete), (1, extra, delete));
        assert_eq!(plan.conflicts, []);
        let report = world.restore(&manifest, &target, Some(delete)).unwrap();
        assert_eq!(report.removed, if delete { extra } else { 0 });
        assert_eq!(volume.join("d/x/y/mine").exists(), !delete);
        assert_models(&target, &Models::from([("m".to_owned(), model.clone())]));
    }
    assert!(target.join("beside").exists());
}

#[test]
fn a_directory_with_files_does_not_give_way_by_itself() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(61));
    let model = point.random_file(&dice, 3, 2000);
    let manifest = one_file(&world, point, "m", &model);
    let target = world.path("target");
    fs::create_dir_all(target.join("volume/m")).unwrap();
    fs::write(target.join("volume/m/mine"), "mine").unwrap();
    let report = world.restore(&manifest, &target, Some(false)).unwrap();
    assert_eq!(report.lost.len(), 1);
    assert!(target.join("volume/m/mine").exists());
    assert_eq!(world.restore(&manifest, &target, Some(true)).unwrap().lost, []);
    assert_models(&target, &Models::from([("m".to_owned(), model)]));
}

#[test]
fn a_file_that_has_a_name_elsewhere_is_not_changed_there() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(71));
    let model = point.random_file(&dice, 8, 20_000);
    let plain = point.file("a", &model);
    let mut linked = point.file("b", &model);
    linked.metadata.hard_link = Some(HardLink { filesystem: 0, inode: 5 });
    let Kind::File(_) = linked.kind else { panic!() };
    let root = point.directory(&[plain, linked]);
    let manifest = world.commit(point, root, 3);
    let target = world.path("target");
    fs::create_dir_all(target.join("volume")).unwrap();
    for name in ["a", "b"] {
        let outside = world.path(&format!("outside {name}"));
        fs::write(&outside, "mine").unwrap();
        fs::hard_link(&outside, target.join("volume").join(name)).unwrap();
    }
    assert_eq!(world.restore(&manifest, &target, Some(false)).unwrap().lost, []);
    for name in ["a", "b"] {
        assert_eq!(fs::read(world.path(&format!("outside {name}"))).unwrap(), b"mine");
    }
    let models = [("a".to_owned(), model.clone()), ("b".to_owned(), model)];
    assert_models(&target, &models.into());
}
