//! What a store really does, tried with an object of its own.
//!
//! Some services that speak the protocol of another one pass over what a create asks for, or list
//! late. Nothing tells so until two writers meet; so it is tried once, when a machine first writes.

use bytes::Bytes;
use format::names::{Folder, ObjectName};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::random;
use crate::store::{Store, StoreError};

/// How many creates of one name are tried at once.
const RIVALS: usize = 4;

/// What was found out about a store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Probe {
    /// What it does not do; nothing, when writers and prunes may share it.
    pub shortcomings: Vec<Shortcoming>,
}

/// Something that a store should do and does not.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcoming {
    /// A second create of a name succeeds.
    CreatesTwice,
    /// Of several creates of a name at once more than one succeeds.
    LosesRaces,
    /// What was created is not listed at once.
    ListsLate,
    /// A range of an object has other bytes than were asked for.
    WrongRanges,
}

impl Shortcoming {
    /// What is wrong, as the end of a sentence about the store.
    pub fn describe(self) -> &'static str {
        match self {
            Self::CreatesTwice => "lets a second writer replace an object",
            Self::LosesRaces => "lets two writers create one object at the same time",
            Self::ListsLate => "does not list a new object at once",
            Self::WrongRanges => "gives other bytes of an object than were asked for",
        }
    }
}

impl Probe {
    /// Whether several writers and prunes may use the store at once.
    pub fn may_be_shared(&self) -> bool {
        self.shortcomings.is_empty()
    }

    /// Whether what is written can be read at all.
    pub fn is_readable(&self) -> bool {
        !self.shortcomings.contains(&Shortcoming::WrongRanges)
    }

    /// What to tell whoever writes to the store; nothing, when it may be shared.
    pub fn warning(&self) -> Option<String> {
        let what: Vec<_> = self.shortcomings.iter().map(|it| it.describe()).collect();
        (!what.is_empty()).then(|| {
            format!(
                "the store {}: let one program at a time write to it, and none beside a prune",
                what.join(", and it ")
            )
        })
    }
}

/// Tries what a store does: creates one small object below `probe/`, which stays, and replaces or
/// deletes nothing.
///
/// # Errors
/// When the store does not answer, or cannot create an object at all.
pub async fn probe(store: &dyn Store) -> Result<Probe, StoreError> {
    let name = ObjectName::Probe(random::object_id());
    let mut shortcomings = Vec::new();
    let (winners, found) = race(store, name).await?;
    if winners > 1 {
        shortcomings.push(Shortcoming::LosesRaces);
    }
    match store.create(name, content(RIVALS)).await {
        Err(StoreError::Exists { .. }) if store.get(name).await? == found => {}
        // Or it says that it refused, and did it all the same.
        Ok(()) | Err(StoreError::Exists { .. }) => shortcomings.push(Shortcoming::CreatesTwice),
        Err(error) => return Err(error),
    }
    let listed = store.list(Folder::Probes).await?;
    if !listed.iter().any(|it| it.name == name && it.size == found.len() as u64) {
        shortcomings.push(Shortcoming::ListsLate);
    }
    if !range_is_exact(store, name).await? {
        shortcomings.push(Shortcoming::WrongRanges);
    }
    Ok(Probe { shortcomings })
}

// Several creates at once; returns how many succeeded, and what is there.
async fn race(store: &dyn Store, name: ObjectName) -> Result<(usize, Bytes), StoreError> {
    let created = join_all((0..RIVALS).map(|rival| store.create(name, content(rival)))).await;
    let winners = created.iter().filter(|created| created.is_ok()).count();
    match store.get(name).await {
        Ok(found) => Ok((winners, found)),
        // Nobody won: what the store said to one of them tells why.
        Err(missing) => Err(created.into_iter().find_map(Result::err).unwrap_or(missing)),
    }
}

async fn range_is_exact(store: &dyn Store, name: ObjectName) -> Result<bool, StoreError> {
    let whole = store.get(name).await?;
    let (start, end) = (whole.len() / 3, whole.len() / 2);
    match store.get_range(name, start as u64..end as u64).await {
        Ok(part) => Ok(whole.get(start..end).is_some_and(|wanted| part == wanted)),
        Err(StoreError::Short { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

// Of one length for all, and no two parts alike.
fn content(rival: usize) -> Bytes {
    let parts: Vec<_> = (0..64).map(|number| format!("{rival}.{number:02} ")).collect();
    parts.concat().into()
}

#[cfg(test)]
mod tests;
