//! Telling everybody what nobody may rely on any more.

use format::control;
use format::ids::PointId;
use format::names::ObjectName;
use format::prune::{Condemned, Generation};
use format::session::{Outcome, SessionEnd};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::error::RepositoryError;
use crate::random;
use crate::reader::Reader;
use crate::store::{Store, StoreError, create_own};

/// Condemns these objects from generation `number` on; `false` when somebody else was first, and
/// nothing of this counts.
///
/// This is the moment from which the plan holds: whoever is first with the next number knows all
/// that was condemned before.
pub(crate) async fn condemn(
    store: &dyn Store,
    reader: &Reader,
    number: u64,
    objects: Vec<ObjectName>,
) -> Result<bool, RepositoryError> {
    let before = number.saturating_sub(1);
    let previous = match before {
        0 => None,
        before => Some(link(reader, ObjectName::Generation(before)).await?),
    };
    let list = Condemned { nonce: random::object_id(), objects, previous };
    match create(store, reader, ObjectName::Condemned(number), &list).await {
        Err(RepositoryError::Store(StoreError::Exists { .. })) => return Ok(false),
        created => created?,
    }
    complete(store, reader, number).await?;
    Ok(true)
}

/// Begins generation `number`, whose condemned list is there; one that has begun is as good.
pub(crate) async fn complete(
    store: &dyn Store,
    reader: &Reader,
    number: u64,
) -> Result<(), RepositoryError> {
    let previous = Some(link(reader, ObjectName::Condemned(number)).await?);
    let who = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let generation = Generation { number, nonce: random::object_id(), who, previous };
    match create(store, reader, ObjectName::Generation(number), &generation).await {
        Err(RepositoryError::Store(StoreError::Exists { .. })) => Ok(()),
        created => created,
    }
}

/// Ends somebody else's session on behalf of the prune of `generation`; `false` when it has ended
/// by itself meanwhile.
pub(super) async fn fence(
    store: &dyn Store,
    reader: &Reader,
    session: PointId,
    generation: u64,
) -> Result<bool, RepositoryError> {
    let previous = match generation {
        0 => None,
        number => Some(link(reader, ObjectName::Generation(number)).await?),
    };
    let outcome = Outcome { nonce: random::object_id(), end: SessionEnd::Fenced, previous };
    match create(store, reader, ObjectName::Outcome(session), &outcome).await {
        Err(RepositoryError::Store(StoreError::Exists { .. })) => Ok(false),
        created => created.map(|()| true),
    }
}

// The link stays for ever, so what the store gave is opened first.
async fn link(reader: &Reader, name: ObjectName) -> Result<control::Link, RepositoryError> {
    let bytes = reader.store().get(name).await?;
    reader.open_control::<IgnoredAny>(name, &bytes)?;
    Ok(control::link(reader.keys(), name, &bytes))
}

async fn create<T: Serialize>(
    store: &dyn Store,
    reader: &Reader,
    name: ObjectName,
    content: &T,
) -> Result<(), RepositoryError> {
    let bytes = control::seal(reader.keys(), name, content, random::bytes())
        .map_err(|error| RepositoryError::damaged(name, error))?;
    Ok(create_own(store, name, bytes.into()).await?)
}
