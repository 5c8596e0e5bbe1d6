//! One volume, from the stored tree to files: parents before children, metadata last.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;

use format::listing::{self, ListingError};
use format::raw::RawPath;
use format::tree::{Entry, Extent, Kind, Metadata, Slice};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::files::{self, Dir, FileKind};
use repository::chunks::Chunks;
use repository::error::RepositoryError;
use tokio::runtime::Handle;

use crate::error::RestoreError;
use crate::progress::Progress;
use crate::report::{Lost, RestoreReport, Unset};
use crate::target::Target;

/// How many chunks are fetched ahead of the one that is written.
const CHUNKS_AHEAD: usize = 8;

/// Why the content of an entry is not there.
enum ContentError {
    /// The repository has lost it; others can be restored.
    Lost(String),
    /// The restore cannot go on.
    Stop(RestoreError),
}

impl From<RestoreError> for ContentError {
    fn from(error: RestoreError) -> Self {
        Self::Stop(error)
    }
}

impl From<RepositoryError> for ContentError {
    fn from(error: RepositoryError) -> Self {
        match &error {
            RepositoryError::Damaged { source, .. } => Self::Lost(format!("{error}: {source}")),
            RepositoryError::MissingChunk(_) => Self::Lost(error.to_string()),
            _ => Self::Stop(error.into()),
        }
    }
}

impl From<ListingError> for ContentError {
    fn from(error: ListingError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// Restores one volume. Blocks: not for async code.
pub(crate) struct TreeWriter<'a> {
    pub(crate) volume: RawPath,
    pub(crate) chunks: &'a Chunks,
    pub(crate) runtime: Handle,
    pub(crate) target: Target,
    pub(crate) progress: Arc<Progress>,
    pub(crate) report: &'a mut RestoreReport,
}

/// A directory whose entries are being made.
struct Level {
    metadata: Metadata,
    dir: Dir,
    path: Vec<Vec<u8>>,
    entries: std::vec::IntoIter<Entry>,
}

impl TreeWriter<'_> {
    /// Restores the tree whose root is in the stream `root`.
    pub(crate) fn run(&mut self, root: &[Slice]) -> Result<(), RestoreError> {
        let root = self.read(root).and_then(|bytes| Ok(listing::read_root(&bytes)?));
        let Some(mut root) = self.or_lost(&[], root)? else { return Ok(()) };
        root.name = RawPath::new(self.target.name.clone());
        let parent = Rc::clone(&self.target.parent);
        match self.make(&parent, root, &[])? {
            Some(level) => self.fill(level),
            None => Ok(()),
        }
    }

    // With a stack of its own: how deep a tree is, is up to whoever wrote the repository.
    fn fill(&mut self, root: Level) -> Result<(), RestoreError> {
        let mut levels = vec![root];
        while let Some(level) = levels.last_mut() {
            if let Some(entry) = level.entries.next() {
                let below = self.make(&level.dir, entry, &level.path)?;
                levels.extend(below);
            } else if let Some(Level { metadata, dir, path, .. }) = levels.pop() {
                // Last, because every entry made in it changed its time.
                let refusals =
                    files::apply_open(&dir, &metadata).map_err(|e| self.write_error(&path, e))?;
                self.note(&path, refusals);
            }
        }
        Ok(())
    }

    // Makes one entry; a directory comes back to be filled.
    fn make(
        &mut self,
        dir: &Dir,
        entry: Entry,
        above: &[Vec<u8>],
    ) -> Result<Option<Level>, RestoreError> {
        let Entry { name, kind, metadata } = entry;
        let name = name.as_bytes();
        let path = [above, &[name.to_vec()]].concat();
        if let Some(file) = metadata.hard_link {
            let linked = self.target.link(file, dir, name, || path.clone());
            if linked.map_err(|e| self.write_error(&path, e))? {
                self.count();
                return Ok(None);
            }
        }
        let made = match kind {
            Kind::Directory { listing } => {
                let dir = dir.create_dir(name).map_err(|e| self.write_error(&path, e))?;
                let entries = self.read(&listing).and_then(|bytes| Ok(listing::read(&bytes)?));
                let entries = self.or_lost(&path, entries)?.unwrap_or_default().into_iter();
                self.count();
                return Ok(Some(Level { metadata, dir, path, entries }));
            }
            Kind::File { content } => {
                let written = self.write_file(dir, name, &path, &content);
                if self.or_lost(&path, written)?.is_none() {
                    return self.give_up(dir, name, &path, &metadata).map(|()| None);
                }
                Ok(())
            }
            Kind::Symlink { target } => dir.create_symlink(name, target.as_bytes()),
            Kind::Fifo => dir.create_node(name, &FileKind::Fifo),
            Kind::Socket => dir.create_node(name, &FileKind::Socket),
            Kind::CharacterDevice { major, minor } => {
                dir.create_node(name, &FileKind::CharacterDevice { major, minor })
            }
            Kind::BlockDevice { major, minor } => {
                dir.create_node(name, &FileKind::BlockDevice { major, minor })
            }
        };
        let applied = made.and_then(|()| files::apply(dir, name, &metadata));
        let refusals = applied.map_err(|e| self.write_error(&path, e))?;
        self.note(&path, refusals);
        self.count();
        Ok(None)
    }

    fn count(&mut self) {
        self.progress.add_file();
        self.report.files += 1;
    }

    fn write_file(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &[Vec<u8>],
        content: &[Extent],
    ) -> Result<(), ContentError> {
        let file = dir.create_file(name).map_err(|e| self.write_error(path, e))?;
        let mut places = Vec::new();
        let mut position: u64 = 0;
        for extent in content {
            if let Extent::Data(slice) = extent {
                places.push((position, *slice));
            }
            position = position
                .checked_add(extent.length())
                .ok_or_else(|| ContentError::Lost("its extents are longer than any file".into()))?;
        }
        file.set_len(position).map_err(|e| self.write_error(path, e))?;
        let chunks = self.chunks;
        self.runtime.block_on(async {
            let mut pieces =
                stream::iter(places)
                    .map(|(at, slice)| async move {
                        Ok::<_, ContentError>((at, chunks.read(slice).await?))
                    })
                    .buffered(CHUNKS_AHEAD);
            while let Some((at, bytes)) = pieces.try_next().await? {
                file.write_all_at(&bytes, at).map_err(|e| self.write_error(path, e))?;
                self.progress.add_bytes(bytes.len() as u64);
            }
            Ok::<_, ContentError>(())
        })?;
        self.report.bytes = self.report.bytes.saturating_add(position);
        Ok(())
    }

    // A file with a hole where data should be would look like a file: rather none.
    fn give_up(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: &[Vec<u8>],
        metadata: &Metadata,
    ) -> Result<(), RestoreError> {
        if let Some(file) = metadata.hard_link {
            self.target.forget(file);
        }
        dir.remove_file(name).map_err(|e| self.write_error(path, e))
    }

    fn read(&self, slices: &[Slice]) -> Result<Vec<u8>, ContentError> {
        Ok(self.runtime.block_on(self.chunks.read_all(slices))?)
    }

    // What is lost is noted, and the restore goes on; other errors end it.
    fn or_lost<T>(
        &mut self,
        path: &[Vec<u8>],
        result: Result<T, ContentError>,
    ) -> Result<Option<T>, RestoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ContentError::Lost(reason)) => {
                self.report.lost.push(Lost {
                    volume: self.volume.clone(),
                    path: shown(path),
                    reason,
                });
                Ok(None)
            }
            Err(ContentError::Stop(error)) => Err(error),
        }
    }

    fn write_error(&self, path: &[Vec<u8>], source: io::Error) -> RestoreError {
        RestoreError::Write { volume: self.volume.clone(), path: shown(path), source }
    }

    fn note(&mut self, path: &[Vec<u8>], refusals: Vec<files::Refusal>) {
        let volume = &self.volume;
        let unset = |r: files::Refusal| Unset {
            volume: volume.clone(),
            path: shown(path),
            reason: r.to_string(),
        };
        self.report.unset.extend(refusals.into_iter().map(unset));
    }
}

// The first part is the volume's own name, which the report gives beside the path.
fn shown(path: &[Vec<u8>]) -> RawPath {
    match path {
        [] | [_] => RawPath::new("."),
        [_, below @ ..] => below.iter().fold(RawPath::default(), |path, part| path.join(part)),
    }
}
