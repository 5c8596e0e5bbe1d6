//! The clone of a tree, file by file, with everything that a filesystem knows about it.
//!
//! Where the filesystem shares blocks between files (`reflink`) no content is copied. A clone can be
//! made while the tree is in use, and brought up to date while it stands still: then only what
//! changed is cloned again. Whatever has several names keeps them: its first name is linked into a
//! directory beside the clone, and the other names are links to that.

mod content;
mod update;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use format::tree::{FileTime, Stamp};
use platform::files::{Dir, Filesystem, StampRule};

pub(super) use self::content::transfer;
use self::update::Update;
pub(crate) use self::update::{all_applied, clear};
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

/// A clone, and what is known about its likeness to the source.
#[derive(Debug)]
pub(super) struct Clone {
    /// Where its files with several names have one more.
    links: Dir,
    /// By the number of the original.
    known: HashMap<u64, Known>,
    originals: Originals,
}

/// A file or directory that was cloned.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// When the original last changed; absent where that could not be relied on.
    changed: Option<FileTime>,
    /// The number of the clone.
    copy: u64,
}

/// How a clone is made, or brought up to date.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode<'a> {
    /// Of a tree in use, where everything had been written out that was dirty by this moment. What
    /// changes meanwhile may be left out.
    Draft(FileTime),
    /// Of a tree that stands still, until this becomes true.
    Final(&'a AtomicBool),
}

impl Clone {
    /// Nothing yet; it will be `name` in `target`.
    pub(super) fn begin(recipe: &Recipe, target: &Dir, name: &str) -> Result<Self, SnapshotError> {
        let links = target.create_dir(format!("{name}.links").as_bytes());
        let links = links.map_err(|source| failure("make", &recipe.source, source))?;
        Ok(Self { links, known: HashMap::new(), originals: Originals::new() })
    }

    /// Whether the stamps of the files say reliably what changed.
    pub(super) fn can_be_drafted(recipe: &Recipe) -> bool {
        let folder =
            if recipe.source.is_dir() { Some(&*recipe.source) } else { recipe.source.parent() };
        let dir = folder.and_then(|folder| Dir::open(folder).ok());
        dir.is_some_and(|dir| Filesystem::of(&dir) == Filesystem::Stamping)
    }

    /// Makes `name` in `target` like the source.
    pub(super) fn update(
        &mut self,
        recipe: &Recipe,
        (target, name): (&Dir, &str),
        mode: Mode<'_>,
    ) -> Result<(), SnapshotError> {
        Update::new(self, recipe, mode).run(target, name.as_bytes())
    }

    /// Which originals its files had.
    pub(super) fn into_originals(self) -> Originals {
        self.originals
    }
}

impl Mode<'_> {
    fn rule(self) -> Option<StampRule> {
        match self {
            Self::Draft(moment) => Some(StampRule::at(moment)),
            Self::Final(_) => None,
        }
    }
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
