//! Files that have several names: the first is restored, the others are linked to it.

use std::collections::HashMap;
use std::mem::{self, Discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::tree::{HardLink, Kind};

use crate::directory::Node;

/// Which file is meant. Files of different kinds are not one, whatever a damaged listing says.
pub(crate) type LinkKey = (HardLink, Discriminant<Kind>);

/// The first name of each file that has several.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<LinkKey, First>>);

/// How far the first name is.
#[derive(Clone, Debug)]
pub(crate) enum First {
    /// Its content is still to come.
    Making,
    /// It is there.
    Made(Arc<Node>, Vec<u8>),
}

impl Links {
    /// How far the first name is; `None` if there is none.
    pub(crate) fn first(&self, key: LinkKey) -> Option<First> {
        self.names().get(&key).cloned()
    }

    /// This file is to be the first.
    pub(crate) fn begin(&self, key: LinkKey) {
        self.names().insert(key, First::Making);
    }

    /// The first one is restored.
    pub(crate) fn made(&self, key: LinkKey, dir: &Arc<Node>, name: &[u8]) {
        self.names().insert(key, First::Made(Arc::clone(dir), name.to_vec()));
    }

    /// The first one was not restored; another may become the first.
    pub(crate) fn failed(&self, key: LinkKey) {
        self.names().remove(&key);
    }

    // The map is whole between any two of its operations, so a panic elsewhere leaves it so.
    fn names(&self) -> MutexGuard<'_, HashMap<LinkKey, First>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of an entry, if it has several names. A directory has one, whatever a damaged listing
/// says.
pub(crate) fn key_of(file: Option<HardLink>, kind: &Kind) -> Option<LinkKey> {
    let file = file.filter(|_| !matches!(kind, Kind::Directory { .. }));
    file.map(|file| (file, mem::discriminant(kind)))
}
