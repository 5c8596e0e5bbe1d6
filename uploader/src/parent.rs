//! The tree of the parent point: what was known of each file when it was last saved.

use std::sync::Arc;

use format::tree::{Entry, Kind, Slice};
use repository::chunks::Chunks;
use repository::error::RepositoryError;
use repository::tree::{self, EntryReader};
use tokio::runtime::Handle;

/// A directory of the parent's tree, read in step with the walk. It is a help and no more: when it
/// cannot be read, everything in it counts as new.
#[derive(Debug)]
pub(crate) struct ParentDirectory {
    entries: EntryReader,
    next: Option<Entry>,
    runtime: Handle,
}

impl ParentDirectory {
    /// The root of a volume: its entry, and what is in it.
    pub(crate) fn root(chunks: &Arc<Chunks>, root: &[Slice], runtime: &Handle) -> Option<Entry> {
        match runtime.block_on(tree::root(chunks, root)) {
            Ok(entry) => Some(entry),
            Err(error) => {
                warn(&error);
                None
            }
        }
    }

    /// What is in a directory of the parent's tree; `None` for anything else.
    pub(crate) fn of(chunks: &Arc<Chunks>, entry: Option<Entry>, runtime: &Handle) -> Option<Self> {
        let Some(Entry { kind: Kind::Directory { listing }, .. }) = entry else { return None };
        let entries = EntryReader::new(chunks, listing);
        let mut directory = Self { entries, next: None, runtime: runtime.clone() };
        directory.advance();
        Some(directory)
    }

    /// The entry of this name. Names must be asked for in their order.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<Entry> {
        while self.next.as_ref().is_some_and(|next| next.name.as_bytes() < name) {
            self.advance();
        }
        let found = self.next.take_if(|next| next.name.as_bytes() == name);
        if found.is_some() {
            self.advance();
        }
        found
    }

    fn advance(&mut self) {
        self.next = self.entries.next_blocking(&self.runtime).unwrap_or_else(|error| {
            warn(&error);
            None
        });
    }
}

fn warn(error: &RepositoryError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "a part of the last point cannot be read; its files are read again");
}
