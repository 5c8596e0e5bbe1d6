//! What is forgotten is seen by nobody, and what is held is not forgotten.

use std::sync::Arc;

use format::annotation::Note;
use format::manifest::{Level, Manifest, Statistics};
use format::session::{Outcome, SessionEnd};
use format::slot::Key;

use super::*;
use crate::annotate::annotate;
use crate::store::remote::RemoteStore;
use crate::store::{MaintainStore, Store};
use crate::unlock::tests::{file, new};
use crate::unlock::{self};
use crate::writer::Writer;

/// An empty repository, and where it lies.
pub(crate) async fn repository() -> (Maintainer, Arc<dyn MaintainStore>) {
    let store: Arc<dyn MaintainStore> = Arc::new(RemoteStore::in_memory());
    let key: Key = file(1);
    unlock::create(store.as_ref(), new(key.clone()), Vec::new()).await.unwrap();
    (Maintainer::open(Arc::clone(&store), &key).await.unwrap(), store)
}

/// A restore point without volumes.
pub(crate) async fn point(maintainer: &Maintainer) -> PointId {
    let reader = maintainer.reader();
    let writer = Writer::register(maintainer.writable(), &reader, "here").await.unwrap();
    let point = writer.point();
    let manifest = Manifest {
        point,
        application: "a".into(),
        platform: "path".into(),
        host: "here".into(),
        taken: Timestamp::UNIX_EPOCH,
        level: Level::Fuzzy,
        remarks: Vec::new(),
        volumes: Vec::new(),
        definition: serde_json::Value::Null,
        evidence: None,
        statistics: Statistics::default(),
        omissions: Vec::new(),
        occasion: None,
    };
    let generation = writer.generation();
    writer.stand(generation).await.unwrap().commit(manifest).await.unwrap();
    point
}

async fn put<T: serde::Serialize>(maintainer: &Maintainer, name: ObjectName, content: &T) {
    let bytes = control::seal(maintainer.reader().keys(), name, content, [0; 16]).unwrap();
    Store::create(maintainer.store(), name, bytes.into()).await.unwrap();
}

async fn note(maintainer: &Maintainer, point: PointId, note: Note) {
    let (reader, who) = (maintainer.reader(), ("me", Timestamp::UNIX_EPOCH));
    annotate(maintainer.store(), &reader, point, who, note).await.unwrap();
}

/// Forgets a point.
pub(crate) async fn forgotten(maintainer: &Maintainer, point: PointId) {
    forget(maintainer, &[point], &request()).await.unwrap();
}

fn request() -> Request {
    let (who, why) = ("me".to_owned(), "too old".to_owned());
    Request { who, when: Timestamp::UNIX_EPOCH, why }
}

#[tokio::test]
async fn a_forgotten_point_is_seen_by_nobody_and_stays_forgotten() {
    let (maintainer, _) = repository().await;
    let (gone, stays) = (point(&maintainer).await, point(&maintainer).await);
    forget(&maintainer, &[gone], &request()).await.unwrap();
    let reader = maintainer.reader();
    assert_eq!(reader.sessions().await.unwrap(), [stays]);
    let read = reader.point(gone).await;
    assert!(matches!(read, Err(RepositoryError::Forgotten(point)) if point == gone));
    assert!(reader.point(stays).await.unwrap().is_some());
    // Again, by somebody who did not know; and when its outcome is gone.
    forget(&maintainer, &[gone, stays], &request()).await.unwrap();
    maintainer.store().delete(ObjectName::Outcome(gone)).await.unwrap();
    forget(&maintainer, &[gone], &request()).await.unwrap();
    assert!(matches!(reader.point(gone).await, Err(RepositoryError::Forgotten(_))));
}

#[tokio::test]
async fn the_record_says_who_and_why_and_links_to_what_was_said_last() {
    let (maintainer, _) = repository().await;
    let (plain, tagged) = (point(&maintainer).await, point(&maintainer).await);
    note(&maintainer, tagged, Note::Tag { tag: "t".into() }).await;
    note(&maintainer, tagged, Note::Untag { tag: "t".into() }).await;
    forget(&maintainer, &[plain, tagged], &request()).await.unwrap();
    let reader = maintainer.reader();
    for (point, newest) in
        [(plain, ObjectName::Outcome(plain)), (tagged, ObjectName::Annotation(tagged, 1))]
    {
        let name = ObjectName::Forgotten(point);
        let bytes = reader.store().get(name).await.unwrap();
        let record: Forgotten = reader.open_control(name, &bytes).unwrap();
        let linked = reader.store().get(newest).await.unwrap();
        assert_eq!((record.who.as_str(), record.why.as_str()), ("me", "too old"));
        assert_eq!(record.previous, Some(control::link(reader.keys(), newest, &linked)));
    }
}

#[tokio::test]
async fn a_held_point_stays_and_so_does_every_other_that_was_named_with_it() {
    let (maintainer, _) = repository().await;
    let (held, free) = (point(&maintainer).await, point(&maintainer).await);
    for _ in 0..11 {
        note(&maintainer, held, Note::Hold { reason: "audit".into() }).await;
    }
    let refused = forget(&maintainer, &[free, held], &request()).await;
    assert!(matches!(
        refused,
        Err(RepositoryError::Held { point, ref reason }) if point == held && reason == "audit"
    ));
    assert_eq!(maintainer.reader().sessions().await.unwrap().len(), 2);
    // By number, not by text: 11 comes after 2.
    note(&maintainer, held, Note::Release).await;
    forget(&maintainer, &[free, held], &request()).await.unwrap();
    assert_eq!(maintainer.reader().sessions().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_no_point_cannot_be_forgotten() {
    let (maintainer, _) = repository().await;
    let fenced = Writer::unused_point();
    let outcome = Outcome { nonce: random::object_id(), end: SessionEnd::Fenced, previous: None };
    put(&maintainer, ObjectName::Outcome(fenced), &outcome).await;
    for point in [fenced, Writer::unused_point()] {
        let refused = forget(&maintainer, &[point], &request()).await;
        assert!(matches!(refused, Err(RepositoryError::UnknownPoint(p)) if p == point));
    }
    assert_eq!(maintainer.reader().forgotten().await.unwrap().len(), 0);
}
