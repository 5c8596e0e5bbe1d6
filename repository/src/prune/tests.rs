//! Whatever is forgotten, cut off or at work at the same time: what is not forgotten is restored.

mod at_once;
mod cut_off;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use format::frame::{ChunkKind, ChunkRecord};
use format::ids::PointId;
use format::names::{Folder, ObjectName};

use self::world::{CHUNK, Dice, Files, World, hasty, prune, strict};
use super::{Options, Reason, Share, Unused};
use crate::error::RepositoryError;
use crate::store::local::LocalStore;

/// Points one after another, each an edited copy of the one before.
async fn points(world: &World, dice: &mut Dice, count: usize) -> Vec<(PointId, Files)> {
    let (mut files, mut points) = (dice.files(), Vec::new());
    for _ in 0..count {
        points.push((world.backup(&files).await, files.clone()));
        files = dice.edited(&files);
    }
    points
}

fn known(points: &[(PointId, Files)]) -> BTreeMap<PointId, Files> {
    points.iter().cloned().collect()
}

#[tokio::test]
async fn points_go_in_any_order_and_the_others_stay() {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for seed in 0..4 {
        let origin = World::new().await;
        let made = points(&origin, &mut Dice(seed), 3).await;
        for order in ORDERS {
            let world = origin.copy().await;
            let mut left = known(&made);
            for (step, at) in order.into_iter().enumerate() {
                world.forget(made[at].0).await;
                left.remove(&made[at].0);
                let options = if step == 1 { Options::usual("here", None) } else { strict() };
                world.prune(options).await;
                world.holds(&left).await;
            }
            // Nothing is left but the keys and the records of what was done.
            for folder in [Folder::Packs, Folder::Indexes, Folder::Sessions, Folder::Heartbeats] {
                assert_eq!(world.count(folder).await, 0, "seed {seed}, {order:?}, {folder:?}");
            }
            let report = world.prune(strict()).await;
            assert_eq!((report.deleted, report.left), (Share::default(), Share::default()));
        }
    }
}

#[tokio::test]
async fn the_space_in_the_directory_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(Arc::new(LocalStore::new(folder.path()))).await;
    let made = points(&world, &mut Dice(9), 6).await;
    for (point, _) in &made[..5] {
        world.forget(*point).await;
    }
    let before = world.pack_bytes().await;
    let plan = world.plan(strict()).await;
    assert_eq!(world.pack_bytes().await, before);
    let report = world.prune(strict()).await;
    let after = world.pack_bytes().await;
    assert_eq!(plan.forgotten.len(), 5);
    assert_eq!(
        report.deleted,
        Share {
            packs: plan.delete.packs + plan.repack.packs,
            bytes: plan.delete.bytes + plan.repack.bytes,
        }
    );
    // What is left is what a repository with this point alone has; packs have some overhead.
    let fresh = World::new().await;
    fresh.backup(&made[5].1).await;
    let alone = fresh.pack_bytes().await;
    assert!(after <= alone + alone / 10, "{after} bytes, and {alone} are enough");
    assert!(before - after >= plan.freed * 8 / 10, "{before} to {after}: {plan:?}");
    world.holds(&known(&made[5..])).await;
}

#[tokio::test]
async fn what_may_stay_unused_stays() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(5), 4).await;
    world.forget(made[0].0).await;
    world.forget(made[1].0).await;
    let options = Options { max_unused: Unused::Unlimited, ..strict() };
    let report = world.prune(options.clone()).await;
    assert_eq!(report.copied, 0);
    let plan = world.plan(options).await;
    assert_eq!((plan.delete, plan.repack), (Share::default(), Share::default()));
    let plan = world.plan(strict()).await;
    assert!(plan.repack.packs > 0, "{plan:?}");
    world.holds(&known(&made[2..])).await;
}

#[tokio::test]
async fn chunks_that_lie_in_several_packs_or_twice_in_one_keep_one_place() {
    let world = World::new().await;
    let part = |number: u64| number.to_le_bytes().repeat(CHUNK / 8);
    let files: Files = [((0, 0), [part(1), part(2)].concat()), ((0, 1), part(3))].into();
    // Two sessions that do not see each other, so both store everything.
    let (mut one, mut other) = (world.begin().await, world.begin().await);
    one.store(&files).await;
    // Chunk 2 is also twice in one pack, once beside what nobody needs.
    let chunks: Vec<_> = [1, 2, 2, 7, 8, 9]
        .into_iter()
        .map(|number| {
            let (bytes, length) = (part(number), u32::try_from(CHUNK).unwrap());
            (ChunkRecord { id: other.writer.keys().chunk_id(&bytes), length }, bytes)
        })
        .collect();
    other.send(ChunkKind::Data, chunks).await;
    other.store(&files).await;
    let one = one.commit(&files).await.unwrap();
    let other = other.commit(&files).await.unwrap();
    let both = BTreeMap::from([(one, files.clone()), (other, files.clone())]);
    world.holds(&both).await;
    let plan = world.plan(strict()).await;
    assert!(plan.decisions.iter().any(|d| d.reason == Reason::Duplicate), "{plan:?}");
    world.prune(strict()).await;
    world.holds(&both).await;
    let fresh = World::new().await;
    fresh.backup(&files).await;
    let (now, alone) = (world.pack_bytes().await, fresh.pack_bytes().await);
    assert!(now <= alone + alone / 5, "{now} bytes, and {alone} are enough");
    // Both points need the same chunks, so either may go.
    for (gone, left) in [(one, other), (other, one)] {
        let world = world.copy().await;
        world.forget(gone).await;
        world.prune(strict()).await;
        world.holds(&BTreeMap::from([(left, files.clone())])).await;
    }
}

#[tokio::test]
async fn packs_of_a_killed_backup_go_when_its_session_is_ended() {
    let world = World::new().await;
    let mut dice = Dice(3);
    let made = points(&world, &mut dice, 1).await;
    let bytes = world.pack_bytes().await;
    let mut killed = world.begin().await;
    killed.store(&dice.files()).await;
    let session = killed.writer.point();
    drop(killed);
    let (patient, plan) = (hasty(), world.plan(hasty()).await);
    assert_eq!(plan.sessions.iter().map(|w| w.session).collect::<Vec<_>>(), [session]);
    assert_eq!(plan.sessions[0].host.as_deref(), Some("a host"));
    assert!(plan.at_work.packs > 0);
    // It may be at work.
    let report = world.prune(patient).await;
    assert_eq!((report.deleted.packs, report.ended.len()), (0, 0));
    assert!(world.pack_bytes().await > bytes);
    let report = world.prune(strict()).await;
    assert_eq!(report.ended, [session]);
    assert!(report.deleted.packs > 0);
    // What the first point had is as compact as before.
    assert!(world.pack_bytes().await <= bytes);
    world.holds(&known(&made)).await;
}

#[tokio::test]
async fn what_cannot_be_read_stops_everything() {
    let origin = World::new().await;
    let made = points(&origin, &mut Dice(1), 3).await;
    origin.forget(made[0].0).await;
    let names = origin.names().await;
    let tree_pack = origin.restore(made[1].0).await;
    assert_eq!(tree_pack, made[1].1);
    let of_point = |wanted: fn(&ObjectName) -> bool| names.iter().copied().rfind(wanted);
    let damages = [
        of_point(|name| matches!(name, ObjectName::Index(..))),
        of_point(|name| matches!(name, ObjectName::Forgotten(_))),
        Some(ObjectName::Outcome(made[2].0)),
    ];
    for damaged in damages.into_iter().flatten() {
        let world = origin.copy().await;
        world.spoil(damaged).await;
        let before = world.names().await;
        let refused = prune(&world.maintainer, strict()).await;
        assert!(
            matches!(refused, Err(RepositoryError::Damaged { name, .. }) if name == damaged),
            "{damaged}: {refused:?}"
        );
        assert_eq!(world.names().await, before);
    }
}

#[tokio::test]
async fn a_chunk_that_is_nowhere_stops_everything() {
    let origin = World::new().await;
    let made = points(&origin, &mut Dice(2), 3).await;
    origin.forget(made[0].0).await;
    let mut stopped = 0;
    for name in origin.names().await {
        let ObjectName::Pack(_) = name else { continue };
        let world = origin.copy().await;
        crate::store::MaintainStore::delete(world.maintainer.store(), name).await.unwrap();
        let before = world.names().await;
        match prune(&world.maintainer, strict()).await {
            Ok(_) => world.holds(&known(&made[1..])).await,
            Err(error) => {
                assert!(matches!(error, RepositoryError::MissingChunk(_)), "{error:?}");
                assert_eq!(world.names().await, before);
                stopped += 1;
            }
        }
    }
    assert!(stopped > 0);
}

#[tokio::test]
async fn a_forgotten_point_stays_as_long_as_it_is_read() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(4), 2).await;
    let pinned = world.pin(made[0].0).await;
    world.forget(made[0].0).await;
    let before = world.pack_bytes().await;
    let options = Options { max_unused: Unused::Unlimited, ..strict() };
    let plan = world.plan(options.clone()).await;
    assert_eq!((plan.readings.len(), plan.readings[0].who.as_str()), (1, "reader"));
    assert_eq!(plan.readings[0].points, [made[0].0]);
    world.prune(options.clone()).await;
    assert_eq!(world.pack_bytes().await, before);
    assert!(world.names().await.contains(&ObjectName::Outcome(made[0].0)));
    pinned.release().await.unwrap();
    assert_eq!(world.plan(options.clone()).await.readings, []);
    world.prune(options).await;
    assert!(world.pack_bytes().await < before);
    world.holds(&known(&made[1..])).await;
}

#[tokio::test]
async fn a_cached_index_serves_a_prune_as_well() {
    let (cache, world) = (tempfile::tempdir().unwrap(), World::new().await);
    let mut dice = Dice(8);
    let mut left = BTreeMap::new();
    let options = || Options { cache: Some(cache.path().to_owned()), ..strict() };
    for round in 0..4 {
        let made = points(&world, &mut dice, 3).await;
        world.forget(made[round % 3].0).await;
        left.extend(made.iter().cloned());
        left.remove(&made[round % 3].0);
        world.prune(options()).await;
        world.holds(&left).await;
    }
    for point in left.keys().copied().collect::<Vec<_>>() {
        world.forget(point).await;
    }
    world.prune(options()).await;
    assert_eq!(world.count(Folder::Packs).await, 0);
}
