//! Restores beside a prune, which moves what is needed, or of what is there twice.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use format::control;
use format::manifest::Manifest;
use format::names::{Folder, ObjectName, PackName};
use format::prune::Forgotten;
use repository::chunks::Chunks;
use repository::store::{ReadStore as _, Store as _};

use super::fixture::{Dice, World};
use super::{Models, assert_models};
use crate::error::RestoreError;
use crate::execute::execute;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::RestoreReport;

// The same point each time, with chunks of some size and many small ones.
fn save(world: &World) -> (Manifest, Models) {
    let (mut point, dice) = (world.point(), Dice::new(5));
    let (mut models, mut entries) = (Models::new(), Vec::new());
    for number in 0..60 {
        let model = point.random_file(&dice, 1 + number % 7, [90_000, 700][number % 2]);
        let name = format!("{number:02}");
        entries.push(point.file(&name, &model));
        models.insert(name, model);
    }
    let root = point.directory(&entries);
    (world.commit(point, root, 61), models)
}

fn packs(world: &World) -> Vec<PackName> {
    let listed = world.runtime.block_on(world.store.list(Folder::Packs)).unwrap();
    let pack = |name| match name {
        ObjectName::Pack(pack) => Some(pack),
        _ => None,
    };
    listed.into_iter().filter_map(|listed| pack(listed.name)).collect()
}

fn restore(
    world: &World,
    (manifest, chunks): (&Manifest, Arc<Chunks>),
    target: &Path,
) -> Result<RestoreReport, RestoreError> {
    let plan = Plan::make(manifest, target)?.clear()?;
    let work = execute(plan, manifest.clone(), chunks, Arc::new(Progress::default()));
    world.runtime.block_on(work)
}

#[test]
fn what_was_moved_before_it_was_read_is_restored() {
    let world = World::new();
    let (manifest, models) = save(&world);
    let chunks = world.chunks();
    let old = packs(&world);
    assert!(old.len() > 1);
    // Another session stores the same chunks, as a prune does that repacks.
    save(&world);
    for pack in old {
        fs::remove_file(world.pack(pack)).unwrap();
    }
    let target = world.path("target");
    let report = restore(&world, (&manifest, chunks), &target).unwrap();
    assert_eq!(report.lost, []);
    assert_models(&target, &models);
}

#[test]
fn a_damaged_copy_does_not_keep_a_good_one_from_being_restored() {
    let world = World::new();
    let (manifest, models) = save(&world);
    let first = packs(&world);
    save(&world);
    for is_first in [true, false] {
        let mut spoilt = packs(&world);
        spoilt.retain(|pack| first.contains(pack) == is_first);
        let good: Vec<_> = spoilt.iter().map(|p| fs::read(world.pack(p)).unwrap()).collect();
        for (pack, bytes) in spoilt.iter().zip(&good) {
            let mut bytes = bytes.clone();
            let end = bytes.len() * 3 / 4;
            bytes[72..end].iter_mut().step_by(10).for_each(|byte| *byte ^= 1);
            replace(&world.pack(pack), &bytes);
        }
        let target = world.path(&format!("target {is_first}"));
        let report = restore(&world, (&manifest, world.chunks()), &target).unwrap();
        assert_eq!(report.lost, []);
        assert_models(&target, &models);
        for (pack, bytes) in spoilt.iter().zip(good) {
            replace(&world.pack(pack), &bytes);
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_point_that_was_forgotten_meanwhile_is_named() {
    let world = World::new();
    let (manifest, _) = save(&world);
    let chunks = world.chunks();
    for pack in packs(&world) {
        fs::remove_file(world.pack(pack)).unwrap();
    }
    let damaged = restore(&world, (&manifest, Arc::clone(&chunks)), &world.path("damaged"));
    assert_ne!(damaged.unwrap().lost, []);
    let forgotten = Forgotten {
        who: "a test".into(),
        when: jiff::Timestamp::UNIX_EPOCH,
        why: "so".into(),
        previous: None,
    };
    let name = ObjectName::Forgotten(manifest.point);
    let bytes = control::seal(chunks.keys(), name, &forgotten, [0; 16]).unwrap();
    let store = repository::store::local::LocalStore::new(world.path("repository"));
    world.runtime.block_on(store.create(name, bytes.into())).unwrap();
    let error = restore(&world, (&manifest, chunks), &world.path("target")).unwrap_err();
    assert!(matches!(error, RestoreError::Forgotten(_)), "{error}");
    assert!(error.to_string().contains(&manifest.point.to_string()), "{error}");
}
