//! Whatever somebody does to an object, a check names it, and nothing wrong is read.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use format::control;
use format::ids::RepositoryId;
use format::keys::{Keys, RootKey};
use format::names::ObjectName;

use super::whole::{Whole, unreadable};
use crate::check::{Finding, check};
use crate::index::tests::world::{World, keys};

type Objects = BTreeMap<ObjectName, Bytes>;

/// What a finding is about.
fn subject(finding: &Finding) -> Option<ObjectName> {
    match finding {
        Finding::DamagedIndex { object, .. }
        | Finding::DamagedPack { object, .. }
        | Finding::DamagedRecord { object, .. }
        | Finding::MissingPack { object }
        | Finding::MissingRecord { object, .. }
        | Finding::ReplacedRecord { object, .. }
        | Finding::RolledBack { object, .. }
        | Finding::UnindexedPack { object } => Some(*object),
        Finding::DamagedPoint { point, .. } => Some(ObjectName::Outcome(*point)),
        Finding::LostFile { .. } => None,
    }
}

async fn findings(objects: Objects) -> Vec<Finding> {
    check(&World::of(objects).reader(), true).await.unwrap().findings
}

async fn is_named(objects: Objects, name: ObjectName) -> bool {
    findings(objects).await.iter().any(|finding| subject(finding) == Some(name))
}

fn small(objects: &Objects) -> impl Iterator<Item = (ObjectName, Bytes)> {
    objects.iter().map(|(name, bytes)| (*name, bytes.clone()))
}

async fn sweep(spoil: impl Fn(&[u8], usize) -> Vec<u8>) {
    let whole = Whole::new().await;
    let objects = whole.world.objects();
    assert_eq!(findings(objects.clone()).await, []);
    let mut cases = 0;
    for (name, bytes) in small(&objects) {
        // The three points are alike: one of them stands for all.
        if session_of(name).is_some_and(|point| whole.points[1..].contains(&point)) {
            continue;
        }
        for at in 0..bytes.len() {
            let mut spoiled = objects.clone();
            spoiled.insert(name, spoil(&bytes, at).into());
            assert!(is_named(spoiled.clone(), name).await, "{name}, byte {at}");
            cases += 1;
            // It costs more than the check, and so many bytes are in every part of an object.
            if at % 29 == 0 {
                unreadable(&World::of(spoiled), whole.points[0]).await;
            }
        }
    }
    assert!(cases > 3000, "{cases}");
}

fn session_of(name: ObjectName) -> Option<format::ids::PointId> {
    match name {
        ObjectName::Session(_, point)
        | ObjectName::Outcome(point)
        | ObjectName::Index(point, _) => Some(point),
        ObjectName::Pack(pack) => Some(pack.session),
        _ => None,
    }
}

#[tokio::test]
async fn every_flipped_byte_of_every_object_is_found_and_the_object_named() {
    sweep(|bytes, at| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        flipped
    })
    .await;
}

#[tokio::test]
async fn every_truncation_of_every_object_is_found_and_the_object_named() {
    sweep(|bytes, at| bytes[..at].to_vec()).await;
}

#[tokio::test]
async fn objects_that_are_swapped_are_found_both() {
    let objects = Whole::new().await.world.objects();
    let kind = |name: &ObjectName| mem::discriminant(name);
    let mut swapped = 0;
    for (first, one) in small(&objects) {
        for (second, other) in small(&objects) {
            if first >= second || kind(&first) != kind(&second) {
                continue;
            }
            let mut spoiled = objects.clone();
            spoiled.insert(first, other);
            spoiled.insert(second, one.clone());
            assert!(is_named(spoiled.clone(), first).await, "{first} for {second}");
            assert!(is_named(spoiled, second).await, "{second} for {first}");
            swapped += 1;
        }
    }
    assert!(swapped > 30, "{swapped}");
}

#[tokio::test]
async fn an_object_of_any_kind_in_the_place_of_any_other_is_found() {
    let objects = Whole::new().await.world.objects();
    let mut kinds: Vec<(ObjectName, Bytes)> = small(&objects).collect();
    kinds.dedup_by_key(|(name, _)| mem::discriminant(name));
    assert_eq!(kinds.len(), 12);
    for (name, _) in &kinds {
        for (other, bytes) in kinds.iter().filter(|(other, _)| other != name) {
            let mut spoiled = objects.clone();
            spoiled.insert(*name, bytes.clone());
            assert!(is_named(spoiled, *name).await, "{other} for {name}");
        }
    }
}

#[tokio::test]
async fn objects_of_another_repository_are_found_even_under_the_same_root_key() {
    let objects = Whole::new().await.world.objects();
    let others = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([3; 16]));
    for (name, bytes) in small(&objects) {
        if matches!(name, ObjectName::Descriptor | ObjectName::Slot(_) | ObjectName::Pack(_)) {
            continue;
        }
        // The same content, sealed for the other repository.
        let sealed = if let ObjectName::Index(..) = name {
            let content: format::index::IndexSegment =
                control::open(&keys(), name, &bytes).unwrap();
            control::seal(&others, name, &content, [1; 16])
        } else {
            let content: serde_json::Value = control::open(&keys(), name, &bytes).unwrap();
            control::seal(&others, name, &content, [1; 16])
        };
        let mut spoiled = objects.clone();
        spoiled.insert(name, sealed.unwrap().into());
        assert!(is_named(spoiled, name).await, "{name}");
    }
}

#[tokio::test]
async fn a_key_holder_who_writes_an_object_anew_is_found_where_something_leads_to_it() {
    let whole = Whole::new().await;
    let objects = whole.world.objects();
    let led_to = |name: ObjectName| match name {
        ObjectName::Session(..)
        | ObjectName::Index(..)
        | ObjectName::Condemned(_)
        | ObjectName::Generation(1) => true,
        ObjectName::Outcome(point) => [whole.points[0], whole.forgotten].contains(&point),
        _ => false,
    };
    for (name, bytes) in small(&objects).filter(|(name, _)| led_to(*name)) {
        let sealed = if let ObjectName::Index(..) = name {
            let content: format::index::IndexSegment =
                control::open(&keys(), name, &bytes).unwrap();
            control::seal(&keys(), name, &content, [1; 16])
        } else {
            let content: serde_json::Value = control::open(&keys(), name, &bytes).unwrap();
            control::seal(&keys(), name, &content, [1; 16])
        };
        let mut spoiled = objects.clone();
        spoiled.insert(name, sealed.unwrap().into());
        let found = findings(spoiled).await;
        assert!(
            matches!(found.as_slice(), [Finding::ReplacedRecord { object, .. }] if *object == name),
            "{name}: {found:?}"
        );
    }
}

#[tokio::test]
async fn what_is_removed_is_found_unless_a_prune_may_remove_it() {
    let whole = Whole::new().await;
    let objects = whole.world.objects();
    // Whoever has seen the newest objects of a chain misses them: that is the catalog's concern.
    let newest = |name: ObjectName| match name {
        ObjectName::Outcome(point) => point != whole.points[0],
        // A registration is of a session that has ended, or of the last one, a writer's at work.
        ObjectName::Slot(_)
        | ObjectName::Pin(_)
        | ObjectName::Heartbeat(..)
        | ObjectName::Annotation(..)
        | ObjectName::Forgotten(_)
        | ObjectName::Session(..) => true,
        _ => false,
    };
    for (name, _) in small(&objects) {
        let mut spoiled = objects.clone();
        spoiled.remove(&name);
        let found = findings(spoiled).await;
        if let ObjectName::Session(2, _) = name {
            // The heartbeat leads to it, and the writer is at work.
            assert_eq!(found.iter().filter_map(subject).collect::<Vec<_>>(), [name], "{found:?}");
        } else if newest(name) {
            assert_eq!(found, [], "{name}");
        } else {
            let named = found.iter().any(|finding| subject(finding) == Some(name));
            assert!(named, "{name}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_generation_that_went_is_missed_by_the_writers_of_it() {
    let whole = Whole::new().await;
    let mut objects = whole.world.objects();
    objects.remove(&ObjectName::Generation(2));
    objects.remove(&ObjectName::Condemned(2));
    let world = World::of(objects);
    let found = check(&Arc::clone(&world).reader(), false).await.unwrap().findings;
    let name = ObjectName::Generation(2);
    assert!(
        matches!(found.as_slice(), [Finding::MissingRecord { object, .. }] if *object == name),
        "{found:?}"
    );
}
