//! What a prune has condemned, and nobody may rely on any more.

use std::collections::HashSet;

use format::names::{ObjectName, PackName};
use format::prune;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::RepositoryError;
use crate::reader::{FETCHES, Reader};

/// The packs and index segments that are condemned at one generation. It takes some 50 bytes each.
#[derive(Debug, Default)]
pub struct Condemned(HashSet<ObjectName>);

impl Condemned {
    /// What is condemned at this generation: named by `cnd/<k>` for any k up to it.
    ///
    /// # Errors
    /// Also when one of these objects is missing: they are never deleted.
    pub async fn at(reader: &Reader, generation: u64) -> Result<Self, RepositoryError> {
        let lists = stream::iter((1..=generation).map(ObjectName::Condemned))
            .map(|name| reader.control::<prune::Condemned>(name))
            .buffer_unordered(FETCHES);
        let add = |mut names: HashSet<ObjectName>, list: prune::Condemned| async move {
            names.extend(list.objects);
            Ok(names)
        };
        lists.try_fold(HashSet::new(), add).await.map(Self)
    }

    /// Adds objects that nobody should rely on either.
    pub(crate) fn add(&mut self, names: impl IntoIterator<Item = ObjectName>) {
        self.0.extend(names);
    }

    /// Whether this object is.
    pub fn contains(&self, name: ObjectName) -> bool {
        self.0.contains(&name)
    }

    pub(crate) fn has_pack(&self, pack: PackName) -> bool {
        self.contains(ObjectName::Pack(pack))
    }
}

impl FromIterator<ObjectName> for Condemned {
    fn from_iter<T: IntoIterator<Item = ObjectName>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}
