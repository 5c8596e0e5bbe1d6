//! What a restore in place would find in its target.

use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

use format::manifest::VolumeRecord;
use format::raw::RawPath;
use format::tree::{Entry, Kind};
use platform::files::{self, Dir, FileKind};
use repository::chunks::Chunks;
use repository::error::RepositoryError;
use repository::tree::{self, EntryReader};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::directory::{Node, OpenDirs};
use crate::loss::ReadFailure;
use crate::target::Target;

/// What is in the target already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct InPlace {
    /// Whether names that are not of the restore point are removed.
    pub delete: bool,
    /// How many files of the point, directories apart, have something in their place. It is
    /// compared, and overwritten where it differs.
    pub present: u64,
    /// How many bytes of the disk those take.
    pub bytes: u64,
    /// How many names are not of the point, those below such a directory not counted.
    pub extra: u64,
}

/// Looks through the stored tree and the target side by side.
pub(crate) struct Survey<'a> {
    pub(crate) chunks: &'a Arc<Chunks>,
    pub(crate) runtime: &'a Handle,
    pub(crate) found: InPlace,
}

struct Level {
    node: Arc<Node>,
    entries: EntryReader,
    names: Peekable<std::vec::IntoIter<Vec<u8>>>,
}

impl Survey<'_> {
    /// Adds what is in the place of a volume. What cannot be looked at is not counted.
    pub(crate) fn add(
        &mut self,
        volume: &VolumeRecord,
        target: &Path,
        destination: &RawPath,
    ) -> Result<(), RepositoryError> {
        let Some(Target { parent, name }) = Target::find(target, destination) else {
            return Ok(());
        };
        let root = self.runtime.block_on(tree::root(self.chunks, &volume.root));
        let Some(mut root) = known(root)? else { return Ok(()) };
        root.name = RawPath::new(name);
        let dirs = OpenDirs::new(Some(parent));
        let mut left = volume.files;
        let mut levels: Vec<Level> =
            self.look(&dirs, &Node::top(false), root).into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let next = known(self.runtime.block_on(level.entries.next()))?.flatten();
            let Some(entry) = next.filter(|_| left > 0) else {
                self.found.extra += level.names.by_ref().count() as u64;
                dirs.close(&level.node);
                levels.pop();
                continue;
            };
            left -= 1;
            while level.names.next_if(|name| name.as_slice() < entry.name.as_bytes()).is_some() {
                self.found.extra += 1;
            }
            if level.names.next_if(|name| name.as_slice() == entry.name.as_bytes()).is_some() {
                let node = Arc::clone(&level.node);
                levels.extend(self.look(&dirs, &node, entry));
            }
        }
        Ok(())
    }

    // Counts what is in the place of an entry; a directory in the place of one comes back.
    fn look(&mut self, dirs: &OpenDirs, node: &Arc<Node>, entry: Entry) -> Option<Level> {
        let Entry { name, kind, metadata } = entry;
        let dir = dirs.get(node).ok()?;
        let found = files::inspect(&dir, name.as_bytes()).ok()?;
        if let (Kind::Directory { listing }, FileKind::Directory) = (kind, &found.kind) {
            let opened: Dir = dir.open_dir(name.as_bytes()).ok()?;
            let names = files::names_but_ours(&opened).ok()?.into_iter().peekable();
            let node = Node::below(node, name.as_bytes().to_vec(), metadata, false);
            dirs.put(&node, opened);
            return Some(Level { node, entries: EntryReader::new(self.chunks, listing), names });
        }
        self.found.present += 1;
        self.found.bytes = self.found.bytes.saturating_add(found.allocated);
        None
    }
}

// What is damaged is named by the restore itself.
fn known<T>(read: Result<T, RepositoryError>) -> Result<Option<T>, RepositoryError> {
    match read.map_err(ReadFailure::from) {
        Ok(value) => Ok(Some(value)),
        Err(ReadFailure::Lost(_)) => Ok(None),
        Err(ReadFailure::Stop(error) | ReadFailure::Unread(error)) => Err(error),
    }
}
