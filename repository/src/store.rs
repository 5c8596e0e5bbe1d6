//! The port to where the objects of a repository lie.
//!
//! What a store must provide: [`Store::create`] is atomic and never replaces an object; what was
//! created can be read and is listed at once. [`crate::contract`] tries all of it.

pub mod local;
pub mod probe;
pub mod remote;

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use format::names::{Folder, ObjectName};
use thiserror::Error;

/// One object in a listing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Listed {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub size: u64,
}

/// Reads objects.
#[async_trait]
pub trait ReadStore: Debug + Send + Sync {
    /// Where the objects lie, for messages; it holds no secret.
    fn location(&self) -> String;

    /// The whole object, or [`StoreError::Missing`].
    async fn get(&self, name: ObjectName) -> Result<Bytes, StoreError>;

    /// Exactly these bytes of an object; an object that ends before them is an error.
    async fn get_range(&self, name: ObjectName, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Every object in a folder, in no particular order. Names that no repository writes are
    /// passed over.
    async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError>;
}

/// Reads and creates objects.
#[async_trait]
pub trait Store: ReadStore {
    /// Stores a whole object under a name that was free, or fails with [`StoreError::Exists`].
    ///
    /// When it returns, the object outlives a power cut. When it fails, the object may exist all
    /// the same: an acknowledgement can be lost. [`create_own`] settles that.
    async fn create(&self, name: ObjectName, bytes: Bytes) -> Result<(), StoreError>;
}

/// Reads, creates and deletes objects; only a [`Maintainer`](crate::maintainer::Maintainer) holds one.
#[async_trait]
pub trait MaintainStore: Store {
    /// Deletes an object; one that is not there is deleted already.
    ///
    /// When it returns, the object is gone also after a power cut, except for what a service keeps
    /// of its own accord, such as old versions.
    async fn delete(&self, name: ObjectName) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The name is taken.
    #[error("object `{name}` exists already in {location}")]
    Exists {
        /// Which object.
        name: ObjectName,
        /// Where.
        location: String,
    },
    /// The store could not be used; the source says why.
    #[error("cannot {action} in {location}")]
    Failed {
        /// What was tried, such as ``read object `config` ``.
        action: String,
        /// Where.
        location: String,
        /// Whether the same might succeed a little later.
        passing: bool,
        /// What the system or the service said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object.
    #[error("object `{name}` does not exist in {location}")]
    Missing {
        /// Which object.
        name: ObjectName,
        /// Where.
        location: String,
    },
    /// The object is there, and may be gone after a power cut.
    #[error("object `{name}` may not outlive a power cut in {location}")]
    NotDurable {
        /// Which object.
        name: ObjectName,
        /// Where.
        location: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An object is shorter than it should be.
    #[error("object `{name}` in {location} ends before byte {end}")]
    Short {
        /// Which object.
        name: ObjectName,
        /// Where.
        location: String,
        /// The last byte that was asked for, plus one.
        end: u64,
    },
}

/// How long to wait before an object is created or read once more.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// Reads an object; what may pass is tried again for a while.
pub(crate) async fn get_patiently(
    store: &dyn ReadStore,
    name: ObjectName,
) -> Result<Bytes, StoreError> {
    for pause in PAUSES {
        match store.get(name).await {
            Err(StoreError::Failed { passing: true, .. }) => tokio::time::sleep(pause).await,
            result => return result,
        }
    }
    store.get(name).await
}

/// Stores an object whose bytes nobody else could have written, whatever became of the
/// acknowledgement.
///
/// When the first answer is lost, a second try finds the object and calls it somebody else's. So on
/// any error the object is read back: equal bytes are ours. When it is not there and the failure
/// may pass, it is created again, which is safe because nothing is ever replaced.
pub async fn create_own(
    store: &dyn Store,
    name: ObjectName,
    bytes: Bytes,
) -> Result<(), StoreError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match store.create(name, bytes.clone()).await {
            Ok(()) => return Ok(()),
            // It would read back, from memory that a power cut empties.
            Err(error @ StoreError::NotDurable { .. }) => return Err(error),
            Err(error) => error,
        };
        // A store also says that a name is taken when two creates of it met and neither won.
        let may_pass =
            matches!(error, StoreError::Exists { .. } | StoreError::Failed { passing: true, .. });
        match store.get(name).await {
            Ok(found) if found == bytes => return Ok(()),
            Err(StoreError::Missing { .. } | StoreError::Failed { passing: true, .. })
                if may_pass => {}
            // That the name is taken is only known when somebody else's bytes were read.
            Err(unread) if matches!(error, StoreError::Exists { .. }) => return Err(unread),
            _ => return Err(error),
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}
