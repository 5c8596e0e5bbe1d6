//! A prune that is cut off at any call of the store, and whoever comes after it.

use std::sync::atomic::Ordering::SeqCst;

use super::*;

// A repository with something of everything to do: packs to delete and to write anew, a segment
// to write anew, a point to clear away, and a killed backup.
async fn busy() -> (World, BTreeMap<PointId, Files>) {
    let world = World::new().await;
    let mut dice = Dice(21);
    let made = points(&world, &mut dice, 4).await;
    let mut killed = world.begin().await;
    killed.store(&dice.files()).await;
    for gone in [0, 2] {
        world.forget(made[gone].0).await;
    }
    (world, BTreeMap::from([made[1].clone(), made[3].clone()]))
}

async fn cut_off(loses_answer: bool) {
    let (origin, left) = busy().await;
    let (maintainer, counted) = origin.copy().await.failing(u64::MAX, false).await;
    prune(&maintainer, strict()).await.unwrap();
    let calls = counted.calls.load(SeqCst);
    assert!(calls > 100, "{calls}");
    for call in 0..calls + 20 {
        let world = origin.copy().await;
        let (maintainer, _) = world.failing(call, loses_answer).await;
        let failed = prune(&maintainer, strict()).await.is_err();
        // How the calls of several threads interleave differs a little between two runs.
        assert!(failed || call > calls / 2, "call {call}");
        world.holds(&left).await;
        // Somebody backs up before anybody prunes again.
        let mut left = left.clone();
        if call % 3 == 0 {
            let files = left.values().next().unwrap().clone();
            left.insert(world.backup(&files).await, files);
        }
        let report = world.prune(strict()).await;
        assert_eq!(report.left, Share::default(), "call {call}");
        world.holds(&left).await;
        let after = world.prune(strict()).await;
        assert_eq!(after.deleted, Share::default(), "call {call}");
    }
}

#[tokio::test]
async fn the_next_prune_goes_on_from_anywhere() {
    cut_off(false).await;
}

#[tokio::test]
async fn the_next_prune_goes_on_when_the_last_answer_was_lost() {
    cut_off(true).await;
}
