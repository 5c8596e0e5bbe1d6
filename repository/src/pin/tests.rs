//! What is pinned is not forgotten yet, and no pin stays behind.

use super::*;
use crate::forget::tests::{forgotten, point, repository};
use crate::maintainer::Maintainer;

const WHO: (&str, Timestamp) = ("reader", Timestamp::UNIX_EPOCH);

async fn pins(maintainer: &Maintainer) -> usize {
    maintainer.store().list(Folder::Pins).await.unwrap().len()
}

#[tokio::test]
async fn a_pin_lasts_until_it_is_released() {
    let (maintainer, store) = repository().await;
    let (first, second) = (point(&maintainer).await, point(&maintainer).await);
    let reader = maintainer.reader();
    let pinned = Pinned::new(store, &reader, (new_id(), &[first, second]), WHO).await.unwrap();
    let listed = list(&reader).await.unwrap();
    let [(_, pin)] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((pin.who.as_str(), pin.generation), ("reader", 0));
    assert_eq!(pin.points, [first, second]);
    pinned.release().await.unwrap();
    assert_eq!(pins(&maintainer).await, 0);
}

#[tokio::test]
async fn what_is_forgotten_cannot_be_pinned() {
    let (maintainer, store) = repository().await;
    let (gone, stays) = (point(&maintainer).await, point(&maintainer).await);
    forgotten(&maintainer, gone).await;
    let pinned = Pinned::new(store, &maintainer.reader(), (new_id(), &[stays, gone]), WHO).await;
    assert!(matches!(pinned, Err(RepositoryError::Forgotten(point)) if point == gone));
    assert_eq!(pins(&maintainer).await, 0);
}

#[tokio::test]
async fn what_a_reader_left_behind_can_be_removed() {
    let (maintainer, store) = repository().await;
    let point = point(&maintainer).await;
    let (id, reader) = (new_id(), maintainer.reader());
    drop(Pinned::new(Arc::clone(&store), &reader, (id, &[point]), WHO).await.unwrap());
    assert_eq!(list(&reader).await.unwrap()[0].0, id);
    remove(store.as_ref(), id).await.unwrap();
    assert_eq!(pins(&maintainer).await, 0);
    // It may have been removed by its reader meanwhile.
    remove(store.as_ref(), id).await.unwrap();
}
