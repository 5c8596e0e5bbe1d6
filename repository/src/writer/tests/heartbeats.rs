//! A session says that it is at work, and keeps to what it promised.

use std::time::Duration;

use format::control;
use format::names::{Folder, ObjectName};
use format::session::Heartbeat;

use super::world::{Fault, World};
use crate::store::ReadStore as _;
use crate::writer::Writer;

#[tokio::test]
async fn heartbeats_are_stored_by_themselves_each_once_until_the_session_ends() {
    let world = World::new();
    let interval = Duration::from_millis(2);
    let register = Writer::register_beating(world.store(), &world.reader, "here", interval);
    let writer = register.await.unwrap();
    let point = writer.point();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        tokio::time::sleep(interval).await;
        let found = world.heartbeats(point).await;
        assert_eq!(seen, found[..seen.len()], "one was changed");
        seen = found;
    }
    assert_eq!(seen[..5], [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
    let other = writer.clone();
    drop(writer);
    while world.heartbeats(point).await.len() == seen.len() {
        tokio::time::sleep(interval).await;
    }
    drop(other);
    // The task is gone when it has been waited for once.
    tokio::time::sleep(interval).await;
    let last = world.heartbeats(point).await.len();
    tokio::time::sleep(20 * interval).await;
    assert_eq!(world.heartbeats(point).await.len(), last);
}

#[tokio::test]
async fn heartbeats_are_a_chain_that_begins_with_the_registration() {
    let world = World::new();
    let writer = world.register().await;
    let keys = writer.keys();
    let session = ObjectName::Session(0, writer.point());
    let bytes = world.store.get(session).await.unwrap();
    let mut previous = control::link(keys, session, &bytes);
    for number in 0..3 {
        writer.store_index(vec![writer.seal(Vec::new()).unwrap().record]).await.unwrap();
        writer.beat().await.unwrap();
        let name = ObjectName::Heartbeat(writer.point(), number);
        let bytes = world.store.get(name).await.unwrap();
        let beat: Heartbeat = control::open(keys, name, &bytes).unwrap();
        assert_eq!(beat, Heartbeat { number, generation: 0, previous: Some(previous) });
        previous = control::link(keys, name, &bytes);
    }
}

#[tokio::test]
async fn a_heartbeat_that_failed_leaves_its_promise_and_its_number_behind() {
    let world = World::new();
    let writer = world.register().await;
    writer.beat().await.unwrap();
    world.put(world.condemn(1, [])).await;
    world.fail(Folder::Heartbeats, Fault::Refused);
    writer.beat().await.unwrap_err();
    // It might have arrived.
    assert_eq!(writer.generation(), 1);
    writer.beat().await.unwrap();
    assert_eq!(world.heartbeats(writer.point()).await, [(0, 0), (2, 1)]);
}

#[tokio::test]
async fn a_writer_that_has_moved_cannot_commit_what_it_relied_on_before() {
    let world = World::new();
    let writer = world.register().await;
    let known = writer.known(None).await.unwrap();
    world.put(world.condemn(1, [])).await;
    writer.beat().await.unwrap();
    let writer = writer.stand(known.generation).await.unwrap_err();
    // Once is enough: whoever begins now waits for it.
    world.put(world.condemn(2, [])).await;
    writer.beat().await.unwrap();
    let known = writer.known(None).await.unwrap();
    assert_eq!(known.generation, 1);
    assert!(writer.stand(known.generation).await.is_ok());
}

#[tokio::test]
async fn a_writer_that_stands_says_so_and_moves_no_more() {
    let world = World::new();
    let writer = world.register().await;
    let (beating, point) = (writer.clone(), writer.point());
    let standing = writer.stand(0).await.unwrap();
    world.put(world.condemn(1, [])).await;
    beating.beat().await.unwrap();
    assert_eq!(world.heartbeats(point).await, [(0, 0)]);
    // A prune that publishes now waits for this session.
    standing.commit(World::manifest(point)).await.unwrap();
}
