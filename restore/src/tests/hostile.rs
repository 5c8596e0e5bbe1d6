//! Repositories that were written to do harm, or that are damaged.

mod arena;
mod extents;
mod index;
mod links;
mod manifests;
mod metadata;
mod names;
mod packs;
mod trees;

use std::fs;

use format::raw::RawPath;
use format::tree::{Content, Extent, Extents, Kind};

use super::fixture::{Dice, Model, World, entry};
use super::{Models, assert_models, one_file};
use crate::error::RestoreError;

#[test]
fn a_tree_that_doubles_by_shared_listings_ends() {
    let world = World::new();
    let mut point = world.point();
    let mut kind = point.directory(&[]);
    for _ in 0..40 {
        kind = point.directory(&[entry("a", kind.clone()), entry("b", kind)]);
    }
    let manifest = world.commit(point, kind, 81);
    let error = world.restore(&manifest, &world.path("target"), None).unwrap_err();
    assert!(matches!(&error, RestoreError::Entries { recorded: 81, .. }), "{error}");
    assert!(error.to_string().contains("`volume`"));
}

#[test]
fn content_that_is_not_what_its_hash_says_is_lost() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(5));
    let good = point.random_file(&dice, 20, 400_000);
    let mut swapped = good.clone();
    swapped.extents.reverse();
    let mut bad = point.file("bad", &good);
    if let Kind::File(content) = &mut bad.kind {
        assert!(content.hash.is_some());
        content.extents = Extents::Here(swapped.extents);
    }
    let fine = point.file("good", &good);
    let root = point.directory(&[bad, fine]);
    let manifest = world.commit(point, root, 3);
    let target = world.path("target");
    let report = world.restore(&manifest, &target, None).unwrap();
    let lost: Vec<_> = report.lost.iter().map(|lost| lost.path.to_string()).collect();
    assert_eq!(lost, ["bad"]);
    assert!(!target.join("volume/bad").exists());
    assert_models(&target, &Models::from([("good".into(), good)]));
}

#[test]
fn files_beyond_all_bounds_are_lost_and_others_are_not() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(6));
    let mut model = Model::default();
    point.add_chunk(&mut model, &dice.bytes(1000));
    let slice = model.extents[0].slice().unwrap();
    let file =
        |size, extents| Kind::File(Content { size, extents: Extents::Here(extents), hash: None });
    let huge = |length| Extent::Whole(format::tree::Slice { length, ..slice });
    let hole = |length| Extent::Hole { length };
    let cases = [
        ("huge hole", file(u64::MAX, vec![hole(u64::MAX)])),
        ("huge offset", file(u64::MAX, vec![hole(u64::MAX - 1000), Extent::Whole(slice)])),
        ("huge slice", file(u32::MAX.into(), vec![huge(u32::MAX)])),
        ("long slice", file(2000, vec![huge(2000)])),
        ("past the end", file(500, vec![Extent::Whole(slice)])),
        ("too short", file(2_000_000, vec![Extent::Whole(slice)])),
    ];
    let mut cases = cases.map(|(name, kind)| entry(name, kind)).to_vec();
    cases.push(point.file("well", &model));
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let root = point.directory(&cases);
    let manifest = world.commit(point, root, 8);
    let target = world.path("target");
    let report = world.restore(&manifest, &target, None).unwrap();
    let mut lost: Vec<_> = report.lost.iter().map(|lost| lost.path.to_string()).collect();
    lost.sort();
    let names =
        ["huge hole", "huge offset", "huge slice", "long slice", "past the end", "too short"];
    assert_eq!(lost, names);
    let left: Vec<_> = fs::read_dir(target.join("volume")).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_models(&target, &Models::from([("well".into(), model)]));
}

#[test]
fn a_deep_tree_comes_back() {
    let world = World::new();
    let mut point = world.point();
    let file = point.file("file", &Model::default());
    let mut kind = point.directory(&[file]);
    for _ in 0..200 {
        kind = point.directory(&[entry("d", kind)]);
    }
    let manifest = world.commit(point, kind, 202);
    let target = world.path("target");
    let report = world.restore(&manifest, &target, None).unwrap();
    assert_eq!((report.files, report.lost), (202, Vec::new()));
    assert!(target.join("volume").join("d/".repeat(200)).join("file").exists());
}

#[test]
fn a_store_that_is_gone_ends_the_restore() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(7));
    let mut entries = Vec::new();
    for number in 0..60 {
        let mut model = Model::default();
        point.add_chunk(&mut model, &dice.bytes(500_000));
        entries.push(point.file(&format!("{number:02}"), &model));
    }
    let root = point.directory(&entries);
    let manifest = world.commit(point, root, 61);
    // The frame with the root and the listing, and nothing of the files.
    world.store.left.store(1, std::sync::atomic::Ordering::SeqCst);
    let error = world.restore(&manifest, &world.path("target"), None).unwrap_err();
    assert!(matches!(error, RestoreError::Repository(_)), "{error}");
    let left: Vec<_> = fs::read_dir(world.path("target/volume")).unwrap().collect();
    assert_eq!(left.len(), 0);
}

#[test]
fn a_link_in_the_way_leads_nobody_out() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(8));
    let mut model = Model::default();
    point.add_chunk(&mut model, &dice.bytes(1000));
    let inner = point.file("file", &model);
    let inner = point.directory(&[inner]);
    let file = point.file("file", &model);
    let root = point.directory(&[entry("dir", inner), file]);
    let manifest = world.commit(point, root, 4);
    let (target, outside) = (world.path("target"), world.path("outside"));
    fs::create_dir_all(target.join("volume")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    std::os::unix::fs::symlink(&outside, target.join("volume/dir")).unwrap();
    std::os::unix::fs::symlink(outside.join("file"), target.join("volume/file")).unwrap();
    let report = world.restore(&manifest, &target, Some(true)).unwrap();
    assert_eq!(report.lost, []);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
    let models = [("dir/file".to_owned(), model.clone()), ("file".into(), model)];
    assert_models(&target, &models.into());
}

#[test]
fn a_single_file_is_a_volume() {
    let world = World::new();
    let (mut point, dice) = (world.point(), Dice::new(9));
    let model = point.random_file(&dice, 5, 3000);
    let entry = point.file("x", &model);
    let manifest = world.commit(point, entry.kind, 1);
    let target = world.path("target");
    world.restore(&manifest, &target, None).unwrap();
    assert!(fs::read(target.join("volume")).unwrap() == model.bytes);
    let point = world.point();
    let other = one_file(&world, point, &RawPath::new("y").to_string(), &Model::default());
    // A file is in the place of a directory, and goes.
    assert_eq!(world.restore(&other, &target, Some(false)).unwrap().files, 2);
    assert!(target.join("volume/y").exists());
}
