//! Every annotation has a number of its own and leads to the one before it.

use std::sync::Arc;

use super::*;
use crate::forget::tests::{forgotten, point, repository};
use crate::maintainer::Maintainer;
use crate::store::MaintainStore;

const WHO: (&str, Timestamp) = ("me", Timestamp::UNIX_EPOCH);

fn tag(tag: &str) -> Note {
    Note::Tag { tag: tag.into() }
}

async fn names(maintainer: &Maintainer) -> BTreeSet<(PointId, u64)> {
    list(&maintainer.reader()).await.unwrap()
}

#[tokio::test]
async fn annotations_are_a_chain_that_begins_with_the_outcome() {
    let (maintainer, store) = repository().await;
    let (reader, point) = (maintainer.reader(), point(&maintainer).await);
    let mut previous = ObjectName::Outcome(point);
    for number in 0..12 {
        let note = tag(&number.to_string());
        assert_eq!(annotate(&*store, &reader, point, WHO, note).await.unwrap(), number);
        let read = read(&reader, [(point, number)].into()).await.unwrap();
        let [(_, annotation)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(annotation.note, tag(&number.to_string()));
        let linked = reader.store().get(previous).await.unwrap();
        assert_eq!(annotation.previous, Some(control::link(reader.keys(), previous, &linked)));
        previous = ObjectName::Annotation(point, number);
    }
}

#[tokio::test]
async fn those_who_annotate_at_once_lose_nothing() {
    let (maintainer, store) = repository().await;
    let point = point(&maintainer).await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..20_u64 {
        let (store, reader): (Arc<dyn MaintainStore>, _) =
            (Arc::clone(&store), maintainer.reader());
        all.spawn(async move {
            annotate(&*store, &reader, point, WHO, tag(&number.to_string())).await.unwrap()
        });
    }
    let mut numbers = all.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    let read = read(&maintainer.reader(), names(&maintainer).await).await.unwrap();
    let mut notes: Vec<_> = read.into_iter().map(|(_, annotation)| annotation.note).collect();
    for number in 0..20 {
        let at = notes.iter().position(|note| *note == tag(&number.to_string())).unwrap();
        notes.remove(at);
    }
    assert_eq!(notes, []);
}

#[tokio::test]
async fn nothing_is_said_about_what_is_no_point() {
    let (maintainer, store) = repository().await;
    let (reader, gone) = (maintainer.reader(), point(&maintainer).await);
    forgotten(&maintainer, gone).await;
    let refused = annotate(&*store, &reader, gone, WHO, Note::Release).await;
    assert!(matches!(refused, Err(RepositoryError::Forgotten(point)) if point == gone));
    let nobody = crate::writer::Writer::unused_point();
    let refused = annotate(&*store, &reader, nobody, WHO, Note::Release).await;
    assert!(matches!(refused, Err(RepositoryError::UnknownPoint(point)) if point == nobody));
    assert_eq!(names(&maintainer).await.len(), 0);
}
