//! The copy of a tree, file by file, with everything that a filesystem knows about it.
//!
//! Where the filesystem shares blocks between files (`reflink`) no content is copied. Whatever
//! has several names keeps them: its first name is linked into a directory beside the clone, and
//! the other names are links to that.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use format::tree::Stamp;
use platform::files::{
    Dir, FileKind, Inspected, Segment, apply, apply_open, inspect, inspect_open, segments,
};
use rustix::fs::{fadvise, fstat, ioctl_ficlone};

use crate::error::SnapshotError;

/// What to clone, and how.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// The directory or file.
    pub(super) source: PathBuf,
    /// Whether to share blocks where that is possible.
    pub(super) reflink: bool,
    /// Paths below the source that stay empty: other filesystems, and our own snapshots.
    pub(super) skip: BTreeSet<PathBuf>,
    /// Device and inode numbers of directories that are left out wherever they appear.
    pub(super) own: BTreeSet<(u64, u64)>,
}

/// Device and number of a copied file → stamp of its original when it was copied.
pub(super) type Originals = HashMap<(u64, u64), Stamp>;

/// Makes `name` in `target` a clone. Ends early when `abandoned` becomes true.
pub(super) fn clone(
    recipe: &Recipe,
    target: &Dir,
    name: &str,
    abandoned: &AtomicBool,
) -> Result<Originals, SnapshotError> {
    let links = format!("{name}.links");
    let error = |source| failure("make", &recipe.source, source);
    let links = target.create_dir(links.as_bytes()).map_err(error)?;
    let mut work = Work { recipe, links, abandoned, originals: Originals::new() };
    let path = &recipe.source;
    let Some((parent, last)) = path.parent().zip(path.file_name()) else {
        work.tree(Dir::open(path).map_err(error)?, target, name.as_bytes())?;
        return Ok(work.originals);
    };
    let parent = Dir::open(parent).map_err(error)?;
    let inspected = inspect(&parent, last.as_bytes()).map_err(error)?;
    if inspected.kind == FileKind::Directory {
        let source = parent.open_dir(last.as_bytes()).map_err(error)?;
        work.tree(source, target, name.as_bytes())?;
    } else {
        let (source, target) = ((&parent, last.as_bytes()), (target, name.as_bytes()));
        work.leaf(source, target, &inspected).map_err(error)?;
    }
    Ok(work.originals)
}

struct Work<'a> {
    recipe: &'a Recipe,
    links: Dir,
    abandoned: &'a AtomicBool,
    originals: Originals,
}

// A directory half-way through. A stack of these instead of recursion: a tree may be deeper than
// the stack of a thread.
struct Level {
    source: Dir,
    target: Dir,
    names: std::vec::IntoIter<Vec<u8>>,
    path: PathBuf,
    inspected: Inspected,
}

impl Level {
    fn enter(source: Dir, target: Dir, path: PathBuf) -> io::Result<Self> {
        let inspected = inspect_open(&source)?;
        let names = source.names()?.into_iter();
        Ok(Self { source, target, names, path, inspected })
    }
}

impl Work<'_> {
    fn tree(&mut self, source: Dir, target: &Dir, name: &[u8]) -> Result<(), SnapshotError> {
        let recipe = self.recipe;
        let at = |path: &Path| {
            let path = recipe.source.join(path);
            move |source| failure("clone", &path, source)
        };
        let root = target.create_dir(name);
        let root = root.and_then(|target| Level::enter(source, target, PathBuf::new()));
        let mut stack = vec![root.map_err(at(Path::new("")))?];
        while let Some(level) = stack.last_mut() {
            if self.abandoned.load(Ordering::Relaxed) {
                return Err(SnapshotError::Abandoned);
            }
            let Some(name) = level.names.next() else {
                // Last, for making its entries changed the time of the directory.
                let settled = apply_open(&level.target, &level.inspected.metadata);
                settled.and_then(all_applied).map_err(at(&level.path))?;
                stack.pop();
                continue;
            };
            let path = level.path.join(std::ffi::OsString::from_vec(name.clone()));
            if let Some(below) = self.entry(level, &name, &path).map_err(at(&path))? {
                stack.push(below);
            }
        }
        Ok(())
    }

    // Clones one entry; answers the level below when it is a directory.
    fn entry(&mut self, level: &Level, name: &[u8], path: &Path) -> io::Result<Option<Level>> {
        let inspected = match inspect(&level.source, name) {
            // Somebody outside the application removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            inspected => inspected?,
        };
        let skipped = self.recipe.skip.contains(path);
        if inspected.kind != FileKind::Directory {
            if skipped {
                level.target.create_file(name)?;
            } else {
                self.leaf((&level.source, name), (&level.target, name), &inspected)?;
            }
            return Ok(None);
        }
        if self.recipe.own.contains(&(inspected.device, inspected.inode)) {
            return Ok(None);
        }
        let target = level.target.create_dir(name)?;
        if skipped {
            return Ok(None);
        }
        Level::enter(level.source.open_dir(name)?, target, path.to_owned()).map(Some)
    }

    // Clones whatever is no directory.
    fn leaf(
        &mut self,
        (source, source_name): (&Dir, &[u8]),
        (target, name): (&Dir, &[u8]),
        inspected: &Inspected,
    ) -> io::Result<()> {
        let link = format!("{:x}-{:x}", inspected.device, inspected.inode);
        if inspected.links > 1 && target.create_link(name, &self.links, link.as_bytes()).is_ok() {
            return Ok(());
        }
        match &inspected.kind {
            FileKind::File => {
                let (file, copy) = (source.open_file(source_name)?, target.create_file(name)?);
                self.content(&file, &copy)?;
                // The stat was taken first: what is written later leaves another stamp.
                let stamp = Stamp { inode: inspected.inode, changed: inspected.changed };
                let made = fstat(&copy)?;
                self.originals.insert((made.st_dev, made.st_ino), stamp);
            }
            FileKind::Symlink { target: text } => target.create_symlink(name, text.as_bytes())?,
            kind => target.create_node(name, kind)?,
        }
        all_applied(apply(target, name, &inspected.metadata)?)?;
        if inspected.links > 1 {
            self.links.create_link(link.as_bytes(), target, name)?;
        }
        Ok(())
    }

    // A file that cannot share its blocks, such as one on another device, is copied.
    fn content(&self, source: &File, target: &File) -> io::Result<()> {
        if self.recipe.reflink && ioctl_ficlone(target, source).is_ok() {
            return Ok(());
        }
        let _ = fadvise(source, 0, None, rustix::fs::Advice::Sequential);
        let size = source.metadata()?.len();
        target.set_len(size)?;
        let mut buffer = Vec::new();
        for segment in segments(source, size) {
            if let Segment::Data { offset, length } = segment? {
                buffer.resize(COPY_BYTES, 0);
                self.copy(source, target, offset..offset + length, &mut buffer)?;
            }
        }
        Ok(())
    }

    fn copy(
        &self,
        source: &File,
        target: &File,
        range: std::ops::Range<u64>,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut offset = range.start;
        while offset < range.end {
            if self.abandoned.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, SnapshotError::Abandoned));
            }
            let length = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let piece = buffer.get_mut(..length.min(COPY_BYTES)).unwrap_or_default();
            let count = source.read_at(piece, offset)?;
            if count == 0 {
                break;
            }
            target.write_all_at(piece.get(..count).unwrap_or_default(), offset)?;
            offset += count as u64;
        }
        Ok(())
    }
}

// What cannot be set would be wrong in every backup made from this clone.
fn all_applied(refusals: Vec<platform::files::Refusal>) -> io::Result<()> {
    match refusals.into_iter().next() {
        Some(refusal) => Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal)),
        None => Ok(()),
    }
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_owned(), source }
}

const COPY_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
