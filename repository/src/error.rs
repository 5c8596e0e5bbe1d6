//! What can go wrong with a repository.

use format::descriptor::DescriptorError;
use format::ids::{ChunkId, PointId, SlotId};
use format::listing::ListingError;
use format::names::ObjectName;
use format::slot::{Kind, SlotError};
use thiserror::Error;

use crate::store::StoreError;

/// Why a repository did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// A repository is to be made where one is.
    #[error("there is a repository in {0} already")]
    AlreadyExists(String),
    /// The part of the index that is kept on this machine cannot be read or written.
    #[error("the index in `{path}` cannot be used; what is damaged of it is made again next time")]
    Cache {
        /// Where it lies.
        path: String,
        /// What the system said, or what is wrong with it.
        source: std::io::Error,
    },
    /// The compressor cannot be set up.
    #[error("the compressor cannot be set up")]
    Compressor(#[source] std::io::Error),
    /// An object is there and cannot be what was written.
    #[error("object `{name}` is damaged")]
    Damaged {
        /// Which object.
        name: ObjectName,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A prune ended the session, because it stood still for too long.
    #[error("the session {0} was ended by a prune")]
    Fenced(PointId),
    /// The restore point was forgotten; its data may be gone.
    #[error("restore point {0} was forgotten")]
    Forgotten(PointId),
    /// The restore point may not be forgotten.
    #[error("restore point {point} is held: {reason}")]
    Held {
        /// Which point.
        point: PointId,
        /// Why, in the words of whoever holds it.
        reason: String,
    },
    /// The list of a file's extents makes no sense.
    #[error("the list of the file's extents is damaged")]
    Extents,
    /// A directory's listing makes no sense.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// Without this slot nobody could unlock the repository any more.
    #[error("key slot {0} is the last one that is known to open")]
    LastSlot(SlotId),
    /// No pack of the repository holds this chunk.
    #[error("chunk {0} is in no pack")]
    MissingChunk(ChunkId),
    /// There is no slot for this kind of key.
    #[error("no key slot of the repository in {location} opens with a {kind}")]
    NoSlot {
        /// Where.
        location: String,
        /// The kind of the key.
        kind: Kind,
    },
    /// There is no repository.
    #[error("there is no repository in {0}")]
    NotFound(String),
    /// Others have condemned objects since this was planned, again and again.
    #[error("other prunes or repairs are at work, and were always first")]
    Overtaken,
    /// The slot is the one that the repository was unlocked with.
    #[error("key slot {0} is the one that the repository was unlocked with")]
    SlotInUse(SlotId),
    /// No key slot can be used at all.
    #[error("the repository in {location} cannot be unlocked")]
    Slots {
        /// Where.
        location: String,
        /// What is wrong with the last slot that was tried; absent where there is none.
        source: Option<SlotError>,
    },
    /// A prune must not run beside a session, because the store cannot be shared.
    #[error("session {session} on `{host}` has not ended, and {location} is for a single writer")]
    SoleWriter {
        /// Where.
        location: String,
        /// The session.
        session: PointId,
        /// The machine that it says it runs on; empty when it does not say.
        host: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody can tell whether the session has ended as it should: it may have, or may yet.
    #[error("it is not known whether the restore point {point} exists")]
    UnknownOutcome {
        /// The session, which is the restore point's id as well.
        point: PointId,
        /// What kept it from being known.
        source: Box<RepositoryError>,
    },
    /// There is no such restore point.
    #[error("there is no restore point {0}")]
    UnknownPoint(PointId),
    /// There is no such key slot.
    #[error("there is no key slot {0}")]
    UnknownSlot(SlotId),
    /// The repository is not one that this program can handle.
    #[error("the repository in {location} cannot be used")]
    Unusable {
        /// Where.
        location: String,
        /// Why not.
        source: DescriptorError,
    },
    /// A pack, just made, does not read back; nothing was sent.
    #[error("a new pack failed its check before it was sent")]
    Verification(#[source] format::pack::PackError),
    /// A key slot, just made, does not open; the others are as they were.
    #[error("the new key slot {slot} does not open")]
    UselessSlot {
        /// Which slot.
        slot: SlotId,
        /// What is wrong with it.
        source: SlotError,
    },
    /// The store gives other bytes than were asked for, so nothing is written to it.
    #[error("{0} gives other bytes of an object than were asked for")]
    UnreadableStore(String),
    /// The key opens no key slot.
    #[error("the {kind} does not open the repository in {location}")]
    WrongKey {
        /// Where.
        location: String,
        /// The kind of the key.
        kind: Kind,
    },
}

impl RepositoryError {
    /// Whether something is not where it was said to be; a prune may have moved it.
    pub(crate) fn is_gone(&self) -> bool {
        let gone = |name: &ObjectName| matches!(name, ObjectName::Pack(_));
        match self {
            Self::MissingChunk(_) => true,
            Self::Store(StoreError::Missing { name, .. }) => gone(name),
            _ => false,
        }
    }

    pub(crate) fn damaged(
        name: ObjectName,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Damaged { name, source: source.into() }
    }
}

/// An error and everything behind it, in one line, for reports that are data.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
