//! How a session ends, whatever becomes of the answers.

use format::names::{Folder, ObjectName};

use super::world::{Fault, World};
use crate::error::RepositoryError;
use crate::store::StoreError;
use crate::writer::{Standing, Writer};

async fn commit(writer: Writer) -> Result<(), RepositoryError> {
    let manifest = World::manifest(writer.point());
    stand(writer).await.commit(manifest).await
}

async fn stand(writer: Writer) -> Standing {
    writer.stand(0).await.unwrap()
}

#[tokio::test]
async fn a_point_exists_though_the_answer_was_lost() {
    let world = World::new();
    let writer = world.register().await;
    let point = writer.point();
    world.fail(Folder::Outcomes, Fault::Lost);
    commit(writer).await.unwrap();
    assert_eq!(world.reader.point(point).await.unwrap(), Some(World::manifest(point)));
}

#[tokio::test]
async fn a_fenced_session_cannot_commit_and_says_so() {
    let world = World::new();
    let writer = world.register().await;
    let point = writer.point();
    let standing = stand(writer).await;
    world.put(world.fence(point)).await;
    let error = standing.commit(World::manifest(point)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Fenced(fenced) if fenced == point), "{error}");
    assert_eq!(world.reader.point(point).await.unwrap(), None);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_read_back_is_not_known_and_named() {
    let world = World::new();
    let writer = world.register().await;
    let point = writer.point();
    world.fail(Folder::Outcomes, Fault::Lost);
    world.make_unreadable(Some(ObjectName::Outcome(point)));
    let error = commit(writer).await.unwrap_err();
    assert!(matches!(error, RepositoryError::UnknownOutcome { .. }), "{error}");
    assert!(error.to_string().contains(&point.to_string()), "{error}");
    // It was there.
    world.make_unreadable(None);
    assert!(world.reader.point(point).await.unwrap().is_some());
}

#[tokio::test]
async fn an_outcome_that_a_power_cut_may_take_is_not_known() {
    let world = World::new();
    let writer = world.register().await;
    world.fail(Folder::Outcomes, Fault::NotDurable);
    let error = commit(writer).await.unwrap_err();
    assert!(matches!(error, RepositoryError::UnknownOutcome { .. }), "{error}");
}

#[tokio::test]
async fn an_outcome_that_is_refused_for_good_is_known_not_to_exist() {
    let world = World::new();
    let writer = world.register().await;
    let point = writer.point();
    world.fail(Folder::Outcomes, Fault::Refused);
    let error = commit(writer).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Store(StoreError::Failed { .. })), "{error}");
    let missing = world.reader.point(point).await.unwrap_err();
    assert!(matches!(missing, RepositoryError::UnknownPoint(_)), "{missing}");
}

#[tokio::test]
async fn a_session_can_end_without_a_point() {
    let world = World::new();
    let writer = world.register().await;
    let point = writer.point();
    writer.clone().resolve().await.unwrap();
    assert_eq!(world.reader.sessions().await.unwrap(), [point]);
    assert_eq!(world.reader.point(point).await.unwrap(), None);
    let again = commit(writer).await.unwrap_err();
    assert!(matches!(again, RepositoryError::UnknownOutcome { .. }), "{again}");
}
