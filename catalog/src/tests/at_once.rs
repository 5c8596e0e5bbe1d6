//! Several users at once, and users who go away.

use std::future::Future;

use sqlx::Connection;
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_may_create_the_same_catalog_at_once() {
    for _ in 0..5 {
        let world = World::new();
        let mut openings = JoinSet::new();
        for number in 0..8 {
            let path = world.path();
            openings.spawn(async move {
                let catalog = Catalog::open(&path).await.unwrap();
                catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
                catalog.close().await;
            });
        }
        openings.join_all().await;
        assert_eq!(everything(&world.open().await).await.len(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_catalogs_on_one_file_lose_nothing() {
    let world = World::new();
    let (left, right) = (world.open().await, world.open().await);
    let insert = async |catalog: &Catalog, first: u32| {
        for number in first..first + 200 {
            catalog.insert_point(REPOSITORY, &manifest(number)).await.unwrap();
            if number % 20 == 0 {
                everything(catalog).await;
            }
        }
    };
    tokio::join!(insert(&left, 0), insert(&right, 200));
    let points = everything(&left).await;
    assert_eq!(points, everything(&right).await);
    let expected: Vec<_> =
        (0..400).rev().map(|number| PointRow::of(REPOSITORY, &manifest(number))).collect();
    assert_eq!(points, expected);
}

#[tokio::test]
async fn a_thousand_cancelled_writes_leave_it_clean() {
    let world = World::new();
    let catalog = world.open().await;
    let mut told = 0;
    for number in 0..1000 {
        let manifest = manifest(number);
        let write = catalog.insert_point(REPOSITORY, &manifest);
        told += usize::from(cancelled_after(number % 9, write).await.is_some());
        let filter = PointFilter::default();
        cancelled_after(number % 5, catalog.points(&filter)).await;
    }
    // Changes are made in order, so this one ends after all that were handed over.
    catalog.record_applications(vec![("shop".into(), "docker".into())], at(0)).await.unwrap();

    let points = everything(&catalog).await;
    assert!(told < 1000 && points.len() >= told);
    for point in &points {
        assert_eq!(point.volumes.len(), 3, "half a point was stored");
    }
    let mut raw = world.raw().await;
    raw.begin_with("BEGIN IMMEDIATE").await.unwrap().rollback().await.unwrap();
    raw.close().await.unwrap();
    catalog.close().await;
    assert_eq!(world.names(), ["catalog.db"], "a connection was left open");
}

/// Polls a future up to `polls + 1` times and drops it.
async fn cancelled_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let yields = async {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = yields => None,
    }
}
