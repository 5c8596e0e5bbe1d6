//! One volume, from the stored tree to files: parents before children, metadata last.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;

use format::raw::RawPath;
use format::tree::{Content, Entry, HardLink, Kind, Metadata, Slice};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::files::{self, Dir, FileKind};
use repository::chunks::Chunks;
use repository::error::{RepositoryError, chain};
use repository::tree::{self, EntryReader, ExtentReader};
use tokio::runtime::Handle;

use crate::error::RestoreError;
use crate::progress::Progress;
use crate::report::{Lost, RestoreReport, Unset};
use crate::target::Target;

/// How many chunks are fetched ahead of the one that is written.
const CHUNKS_AHEAD: usize = 8;
/// After how many files in a row that the store did not give, it is called gone.
const UNREAD_MAX: u32 = 3;

/// Why the content of an entry is not there.
enum ContentError {
    /// The repository has lost it; others can be restored.
    Lost(String),
    /// The restore cannot go on.
    Stop(RestoreError),
    /// The store did not give an object; one bad object is a loss, several in a row are the end.
    Unread(RepositoryError),
}

impl From<RestoreError> for ContentError {
    fn from(error: RestoreError) -> Self {
        Self::Stop(error)
    }
}

impl From<RepositoryError> for ContentError {
    fn from(error: RepositoryError) -> Self {
        match &error {
            RepositoryError::Damaged { .. } => Self::Lost(chain(&error)),
            RepositoryError::MissingChunk(_)
            | RepositoryError::Listing(_)
            | RepositoryError::Extents => Self::Lost(error.to_string()),
            RepositoryError::Store(_) => Self::Unread(error),
            _ => Self::Stop(error.into()),
        }
    }
}

/// Restores one volume. Blocks: not for async code.
pub(crate) struct TreeWriter<'a> {
    pub(crate) volume: RawPath,
    pub(crate) chunks: &'a Arc<Chunks>,
    pub(crate) runtime: Handle,
    pub(crate) target: Target,
    pub(crate) progress: Arc<Progress>,
    pub(crate) report: &'a mut RestoreReport,
    /// How many files in a row the store did not give.
    pub(crate) unread: u32,
}

/// A directory whose entries are being made.
struct Level {
    metadata: Metadata,
    dir: Dir,
    path: Vec<Vec<u8>>,
    entries: EntryReader,
}

impl TreeWriter<'_> {
    /// Restores the tree whose root is in the stream `root`.
    pub(crate) fn run(&mut self, root: &[Slice]) -> Result<(), RestoreError> {
        let root = self.runtime.block_on(tree::root(self.chunks, root)).map_err(Into::into);
        let Some(mut root) = self.or_lost(&[], root)? else { return Ok(()) };
        root.name = RawPath::new(self.target.name.clone());
        let parent = Rc::clone(&self.target.parent);
        match self.make(&parent, root, &[])? {
            Some(level) => self.fill(level),
            None => Ok(()),
        }
    }

    /// Waits until everything is on the disk: some filesystems say only then that they are full.
    pub(crate) fn sync(&self) -> Result<(), RestoreError> {
        rustix::fs::syncfs(&*self.target.parent).map_err(|e| self.write_error(&[], e.into()))
    }

    // With a stack of its own: how deep a tree is, is up to whoever wrote the repository.
    fn fill(&mut self, root: Level) -> Result<(), RestoreError> {
        let mut levels = vec![root];
        while let Some(level) = levels.last_mut() {
            let next = self.runtime.block_on(level.entries.next()).map_err(Into::into);
            let path = level.path.clone();
            if let Some(entry) = self.or_lost(&path, next)?.flatten() {
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
            // A directory has one name, whatever a damaged listing says.
            let is_directory = matches!(kind, Kind::Directory { .. });
            if !is_directory && self.link(file, &kind, dir, &path)? {
                return Ok(None);
            }
        }
        let link = metadata.hard_link.map(|file| (file, mem::discriminant(&kind)));
        let made = match kind {
            Kind::Directory { listing } => {
                let made = dir.create_dir(name).map(Some);
                let Some(dir) = self.or_refused(&path, made)? else { return Ok(None) };
                let entries = EntryReader::new(self.chunks, listing);
                self.count();
                return Ok(Some(Level { metadata, dir, path, entries }));
            }
            Kind::File(content) => {
                let created = dir.create_file(name).map(Some);
                let Some(file) = self.or_refused(&path, created)? else { return Ok(None) };
                let written = self.write_file(&file, &path, content);
                let written = self.or_lost(&path, written);
                if !matches!(written, Ok(Some(()))) {
                    // With a hole where data should be it would look like a file: rather none.
                    dir.remove_file(name).map_err(|e| self.write_error(&path, e))?;
                    return written.map(|_| None);
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
        let applied = made.and_then(|()| files::apply(dir, name, &metadata)).map(Some);
        if let Some(refusals) = self.or_refused(&path, applied)? {
            self.note(&path, refusals);
            self.count();
            if let Some((file, kind)) = link {
                self.target.remember(file, kind, path);
            }
        }
        Ok(None)
    }

    // Gives a file that is restored already one more name, if there is one and the system lets us;
    // otherwise the file is restored once more.
    fn link(
        &mut self,
        file: HardLink,
        kind: &Kind,
        dir: &Dir,
        path: &[Vec<u8>],
    ) -> Result<bool, RestoreError> {
        let name = path.last().map(Vec::as_slice).unwrap_or_default();
        match self.target.link(file, mem::discriminant(kind), dir, name) {
            Ok(false) => Ok(false),
            Ok(true) => {
                self.count();
                Ok(true)
            }
            Err(error) if is_refusal(&error) || error.kind() == io::ErrorKind::TooManyLinks => {
                Ok(false)
            }
            Err(error) => Err(self.write_error(path, error)),
        }
    }

    // What this system will not make for us, such as a device without privilege or a name that is
    // too long for its filesystem, is named; the rest can be restored.
    fn or_refused<T>(
        &mut self,
        path: &[Vec<u8>],
        made: io::Result<Option<T>>,
    ) -> Result<Option<T>, RestoreError> {
        match made {
            Err(error) if is_refusal(&error) => {
                self.lose(path, format!("cannot be made here: {error}"));
                Ok(None)
            }
            made => made.map_err(|error| self.write_error(path, error)),
        }
    }

    fn count(&mut self) {
        self.progress.add_file();
        self.report.files += 1;
    }

    fn write_file(
        &mut self,
        file: &File,
        path: &[Vec<u8>],
        content: Content,
    ) -> Result<(), ContentError> {
        let mut places = Vec::new();
        let mut position: u64 = 0;
        let mut extents = ExtentReader::new(self.chunks, content);
        while let Some(extent) = self.runtime.block_on(extents.next())? {
            places.extend(extent.slice().map(|slice| (position, slice)));
            position += extent.length();
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

    // What is lost is noted, and the restore goes on; other errors end it.
    fn or_lost<T>(
        &mut self,
        path: &[Vec<u8>],
        result: Result<T, ContentError>,
    ) -> Result<Option<T>, RestoreError> {
        let reason = match result {
            Ok(value) => {
                self.unread = 0;
                return Ok(Some(value));
            }
            Err(ContentError::Lost(reason)) => reason,
            Err(ContentError::Unread(error)) if self.unread < UNREAD_MAX => {
                self.unread += 1;
                chain(&error)
            }
            Err(ContentError::Unread(error)) => return Err(error.into()),
            Err(ContentError::Stop(error)) => return Err(error),
        };
        self.lose(path, reason);
        Ok(None)
    }

    fn lose(&mut self, path: &[Vec<u8>], reason: String) {
        let (volume, path) = (self.volume.clone(), shown(path));
        self.report.lost.push(Lost { volume, path, reason });
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

// What concerns one file, and not the whole target.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported | InvalidInput | InvalidFilename)
}
