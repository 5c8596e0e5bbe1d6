//! The trees of the volumes, put together from what was made of their parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::application::{FileTree, Volume};

use super::{Done, Files, Piece, Plan, Taken};
use crate::clock::Moment;

impl Plan {
    /// What was made of these volumes, for which everything is done.
    pub(super) fn assemble(&self, volumes: &[Volume], done: &[Done]) -> Vec<Taken> {
        let assembled = volumes.iter().enumerate().filter_map(|(number, volume)| {
            let mut taken: Option<Taken> = None;
            for piece in self.pieces.iter().filter(|piece| piece.volume == number) {
                let part = Part::of(piece, done)?;
                let taken = taken.get_or_insert_with(|| Taken {
                    name: volume.name.clone(),
                    driver: piece.driver.name(),
                    tree: FileTree { root: part.root.clone(), ..FileTree::default() },
                    begin: part.begin,
                    end: part.end,
                    unmade: false,
                });
                taken.begin = taken.begin.min(part.begin);
                taken.end = taken.end.max(part.end);
                taken.unmade |= matches!(piece.files, Files::There(_));
                graft(&mut taken.tree, piece, &part);
            }
            taken
        });
        assembled.collect()
    }
}

/// What became of a piece.
struct Part<'a> {
    root: PathBuf,
    /// Absent where no snapshot was made.
    done: Option<(&'a Done, &'a Path)>,
    begin: Moment,
    end: Moment,
}

impl<'a> Part<'a> {
    fn of(piece: &'a Piece, done: &'a [Done]) -> Option<Self> {
        match &piece.files {
            Files::Made { job, inside } => {
                let done = done.get(*job)?;
                let root = join(&done.family.root, inside);
                Some(Self { root, begin: done.begin, end: done.end, done: Some((done, inside)) })
            }
            Files::There(path) => {
                let now = Moment::now();
                Some(Self { root: path.clone(), begin: now, end: now, done: None })
            }
        }
    }
}

fn graft(tree: &mut FileTree, piece: &Piece, part: &Part<'_>) {
    if !piece.below.as_os_str().is_empty() {
        tree.grafts.insert(piece.below.clone(), part.root.clone());
    }
    tree.hidden.extend(piece.hidden.iter().cloned());
    let Some((done, inside)) = part.done else { return };
    if let Some(originals) = &done.originals {
        let all = tree.originals.get_or_insert_default();
        Arc::make_mut(all).extend(originals);
    }
    for (path, snapshot) in &done.family.nested {
        if let Ok(path) = path.strip_prefix(inside) {
            tree.grafts.insert(join(&piece.below, path), snapshot.clone());
        }
    }
}

// Joining an empty path would add a slash, and a file with a slash is no file.
pub(super) fn join(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) }
}
