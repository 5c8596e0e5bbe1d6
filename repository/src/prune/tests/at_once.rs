//! Prunes beside backups, and beside one another.

use std::time::Duration;

use super::*;
use crate::prune::Prune;

/// What can happen between two steps of a backup.
const PAUSES: usize = 4;

#[tokio::test]
async fn a_backup_beside_prunes_commits_a_whole_point() {
    // Bit by bit: whether a prune comes before each step, and the session looks after it.
    for pattern in 0..1_u64 << (2 * PAUSES) {
        let world = World::new().await;
        let mut dice = Dice(pattern % 3);
        let made = points(&world, &mut dice, 3).await;
        let files = dice.edited(&made[1].1);
        let mut left = known(&made);
        let mut between = async |step: usize, backup: Option<&crate::writer::Writer>| {
            if pattern >> (2 * step) & 1 == 1 {
                if let Some((point, _)) = made.get(step) {
                    world.forget(*point).await;
                    left.remove(point);
                }
                world.prune(hasty()).await;
            }
            if let Some(writer) = backup.filter(|_| pattern >> (2 * step + 1) & 1 == 1) {
                writer.beat().await.unwrap();
            }
        };
        between(0, None).await;
        let mut backup = world.begin().await;
        between(1, Some(&backup.writer)).await;
        backup.store(&files).await;
        between(2, Some(&backup.writer)).await;
        between(3, Some(&backup.writer)).await;
        let point = backup.commit(&files).await.unwrap();
        left.insert(point, files);
        world.prune(hasty()).await;
        world.holds(&left).await;
        world.prune(strict()).await;
        world.holds(&left).await;
    }
}

#[tokio::test]
async fn what_a_session_may_need_is_left_to_the_next_prune() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(6), 2).await;
    // It relies on all of the first point.
    let mut backup = world.begin().await;
    backup.store(&made[0].1).await;
    world.forget(made[0].0).await;
    let report = world.prune(hasty()).await;
    assert_eq!(report.deleted.packs, 0);
    assert!(report.left.packs > 0);
    // Again, with nothing new to condemn.
    let report = world.prune(hasty()).await;
    assert_eq!(report.deleted.packs, 0);
    let plan = world.plan(hasty()).await;
    assert_eq!((plan.condemned, plan.delete.packs), (report.left, 0));
    let point = backup.commit(&made[0].1).await.unwrap();
    // The session never moved on, so all that it relies on is rescued.
    let report = world.prune(hasty()).await;
    assert!(report.copied > 0);
    let left = BTreeMap::from([(point, made[0].1.clone()), made[1].clone()]);
    world.holds(&left).await;
    let report = world.prune(hasty()).await;
    assert_eq!(report.left, Share::default());
    world.holds(&left).await;
}

#[tokio::test]
async fn a_prune_waits_for_a_session_and_then_deletes() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(7), 2).await;
    let mut backup = world.begin().await;
    backup.store(&made[1].1).await;
    world.forget(made[0].0).await;
    let patient = Options { stalled_after: Duration::from_hours(1), ..strict() };
    let progress: Arc<crate::prune::Progress> = Arc::default();
    let planned = Prune::plan(&world.maintainer, patient, Arc::clone(&progress)).await.unwrap();
    let session = backup.writer.point();
    let committing = async {
        // Until it is waited for.
        loop {
            if let crate::prune::Phase::Waiting(waiting) = progress.phase() {
                assert_eq!(waiting.iter().map(|w| w.session).collect::<Vec<_>>(), [session]);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(progress.deleted(), 0);
        backup.commit(&made[1].1).await.unwrap()
    };
    let (report, point) = tokio::join!(planned.execute(), committing);
    let report = report.unwrap();
    assert!(report.deleted.packs > 0 && report.ended.is_empty(), "{report:?}");
    world.holds(&BTreeMap::from([made[1].clone(), (point, made[1].1.clone())])).await;
}

#[tokio::test]
async fn a_session_that_moves_on_is_not_waited_for() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(11), 2).await;
    let mut backup = world.begin().await;
    backup.store(&made[0].1).await;
    world.forget(made[0].0).await;
    world.prune(hasty()).await;
    backup.writer.beat().await.unwrap();
    // It promised to rely on nothing that is condemned, so all of it goes at once.
    let report = world.prune(hasty()).await;
    assert!(report.deleted.packs > 0);
    assert_eq!(report.left, Share::default());
    let point = backup.commit(&made[0].1).await.unwrap();
    world.holds(&BTreeMap::from([made[1].clone(), (point, made[0].1.clone())])).await;
}

#[tokio::test]
async fn a_backup_that_was_ended_commits_nothing() {
    let world = World::new().await;
    let made = points(&world, &mut Dice(12), 2).await;
    let mut backup = world.begin().await;
    backup.store(&made[0].1).await;
    world.forget(made[0].0).await;
    world.prune(strict()).await;
    let refused = backup.commit(&made[0].1).await;
    assert!(matches!(refused, Err(RepositoryError::Fenced(_))), "{refused:?}");
    world.holds(&known(&made[1..])).await;
    // What it stored after its end is cleared away by the next one.
    world.prune(strict()).await;
    world.holds(&known(&made[1..])).await;
}

#[tokio::test]
async fn of_two_prunes_one_decides_first_and_the_other_plans_again() {
    for seed in 0..8 {
        let world = World::new().await;
        let made = points(&world, &mut Dice(seed), 4).await;
        world.forget(made[0].0).await;
        let one = Prune::plan(&world.maintainer, strict(), Arc::default()).await.unwrap();
        world.forget(made[2].0).await;
        let other = Prune::plan(&world.maintainer, strict(), Arc::default()).await.unwrap();
        let left = BTreeMap::from([made[1].clone(), made[3].clone()]);
        if seed % 2 == 0 {
            one.execute().await.unwrap();
            other.execute().await.unwrap();
        } else {
            let (one, other) = tokio::join!(one.execute(), other.execute());
            one.unwrap();
            other.unwrap();
        }
        world.holds(&left).await;
        let report = world.prune(strict()).await;
        assert_eq!(report.left, Share::default());
        world.holds(&left).await;
    }
}
