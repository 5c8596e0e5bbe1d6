//! What every store must do, as checks that can be run on any of them.
//!
//! The checks create a few small objects under random names and leave most of them there. Run them
//! on a store of their own.

use bytes::Bytes;
use format::names::{Folder, ObjectName, PackName};
use futures::future::join_all;
use thiserror::Error;

use crate::random;
use crate::store::{MaintainStore, Store, StoreError, create_own};

/// How many writers fight for one name.
const RIVALS: usize = 16;
/// How many objects the listing is tried with.
const LISTED_OBJECTS: usize = 40;

/// A promise that a store did not keep.
#[derive(Debug, Error)]
#[error("{location} breaks the contract: {promise}")]
pub struct Violation {
    location: String,
    promise: &'static str,
    source: Option<StoreError>,
}

/// Runs every check, and stops at the first promise that is broken.
pub async fn check(store: &dyn MaintainStore) -> Result<(), Violation> {
    objects_read_back(store).await?;
    names_are_taken_once(store).await?;
    one_of_many_rivals_wins(store).await?;
    missing_objects_are_missing(store).await?;
    ranges_are_exact(store).await?;
    listings_are_complete(store).await?;
    deleted_objects_are_gone(store).await
}

async fn objects_read_back(store: &dyn Store) -> Result<(), Violation> {
    for length in [0, 1, 5 << 20] {
        let (name, bytes) = (pack(), Bytes::from(vec![7; length]));
        done(store, "a new object can be created", store.create(name, bytes.clone()).await)?;
        let found = done(store, "an object can be read at once", store.get(name).await)?;
        kept(store, "an object reads back as it was created", found == bytes)?;
    }
    Ok(())
}

async fn names_are_taken_once(store: &dyn Store) -> Result<(), Violation> {
    let name = pack();
    done(store, "a new object can be created", store.create(name, "first".into()).await)?;
    for again in ["first", "other"] {
        let refused =
            matches!(store.create(name, again.into()).await, Err(StoreError::Exists { .. }));
        kept(store, "a second create of a name fails", refused)?;
    }
    let found = done(store, "an object can be read at once", store.get(name).await)?;
    kept(store, "a refused create changes nothing", found == "first")?;
    done(store, "our own object is recognised", create_own(store, name, "first".into()).await)?;
    let foreign = create_own(store, name, "other".into()).await.is_err();
    kept(store, "an object of somebody else is not called ours", foreign)
}

async fn one_of_many_rivals_wins(store: &dyn Store) -> Result<(), Violation> {
    let name = pack();
    let rivals = (0..RIVALS).map(|rival| async move {
        let bytes = Bytes::from(format!("rival {rival}"));
        create_own(store, name, bytes.clone()).await.is_ok().then_some(bytes)
    });
    let winners: Vec<Bytes> = join_all(rivals).await.into_iter().flatten().collect();
    kept(store, "exactly one of many creates of a name succeeds", winners.len() == 1)?;
    let found = done(store, "an object can be read at once", store.get(name).await)?;
    kept(store, "the object is that of the one who was told so", winners.contains(&found))
}

async fn missing_objects_are_missing(store: &dyn Store) -> Result<(), Violation> {
    let missing = matches!(store.get(pack()).await, Err(StoreError::Missing { .. }));
    kept(store, "an object that was never created is missing", missing)?;
    let missing = matches!(store.get_range(pack(), 0..1).await, Err(StoreError::Missing { .. }));
    kept(store, "a range of it is missing too", missing)
}

async fn ranges_are_exact(store: &dyn Store) -> Result<(), Violation> {
    let name = pack();
    done(store, "a new object can be created", store.create(name, "0123456789".into()).await)?;
    for range in [0..10, 0..1, 3..7, 9..10, 4..4] {
        let wanted = "0123456789".get(range.start..range.end).unwrap_or_default();
        let range = range.start as u64..range.end as u64;
        let found = done(store, "a range can be read", store.get_range(name, range).await)?;
        kept(store, "a range has exactly the bytes that were asked for", found == wanted)?;
    }
    for beyond in [5..11, 10..12, 20..21] {
        let refused = store.get_range(name, beyond).await.is_err();
        kept(store, "a range beyond the end is an error, not less", refused)?;
    }
    Ok(())
}

async fn listings_are_complete(store: &dyn Store) -> Result<(), Violation> {
    let session = random::point_id();
    let mut created = Vec::new();
    for length in 0..LISTED_OBJECTS {
        let name = ObjectName::Pack(PackName { session, id: random::object_id() });
        let bytes = Bytes::from(vec![0; length]);
        done(store, "a new object can be created", store.create(name, bytes).await)?;
        created.push((name, length as u64));
    }
    let listed = done(store, "a folder can be listed", store.list(Folder::Packs).await)?;
    let mut ours: Vec<_> = listed
        .iter()
        .filter(|l| matches!(l.name, ObjectName::Pack(pack) if pack.session == session))
        .map(|l| (l.name, l.size))
        .collect();
    ours.sort_unstable();
    created.sort_unstable();
    kept(store, "a listing has every object at once, once, with its length", ours == created)?;
    let other =
        done(store, "an empty folder can be listed", store.list(Folder::Generations).await)?;
    let strays = other.iter().any(|l| !matches!(l.name, ObjectName::Generation(_)));
    kept(store, "a listing has nothing of other folders", !strays)
}

async fn deleted_objects_are_gone(store: &dyn MaintainStore) -> Result<(), Violation> {
    let session = random::point_id();
    let name = || ObjectName::Pack(PackName { session, id: random::object_id() });
    let (going, staying) = (name(), name());
    for name in [going, staying] {
        done(store, "a new object can be created", store.create(name, "x".into()).await)?;
    }
    for _ in 0..2 {
        let deleted = store.delete(going).await;
        done(store, "an object can be deleted, also when it is gone already", deleted)?;
        let missing = matches!(store.get(going).await, Err(StoreError::Missing { .. }));
        kept(store, "a deleted object is missing", missing)?;
        let listed = done(store, "a folder can be listed", store.list(Folder::Packs).await)?;
        let ours = listed
            .iter()
            .map(|l| l.name)
            .filter(|name| matches!(name, ObjectName::Pack(pack) if pack.session == session));
        let ours: Vec<_> = ours.collect();
        kept(
            store,
            "a listing has a deleted object no more, and the others still",
            ours == [staying],
        )?;
    }
    let never = store.delete(pack()).await;
    done(store, "an object that never was can be deleted", never)
}

fn pack() -> ObjectName {
    ObjectName::Pack(PackName { session: random::point_id(), id: random::object_id() })
}

fn kept(store: &dyn Store, promise: &'static str, kept: bool) -> Result<(), Violation> {
    if kept { Ok(()) } else { Err(Violation { location: store.location(), promise, source: None }) }
}

fn done<T>(
    store: &dyn Store,
    promise: &'static str,
    result: Result<T, StoreError>,
) -> Result<T, Violation> {
    result.map_err(|e| Violation { location: store.location(), promise, source: Some(e) })
}
