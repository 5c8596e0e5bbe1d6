//! What is in a directory.

use std::io;
use std::sync::Arc;

use platform::files::{self, Dir, Glance, Inspected, Name};

/// In a directory with more names, the files are looked at only when it is their turn: what is
/// known of them ahead would fill the memory.
const GLANCES_AHEAD_MAX: usize = 20_000;

/// A directory as it was found.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) dir: Arc<Dir>,
    pub(super) inspected: Inspected,
    pub(super) names: io::Result<Names>,
}

/// The names in a directory, in their order. They lie in one piece of memory: they are made by one
/// thread and go in another, which is slow for many pieces.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Where the name ends; it begins where the one before ends.
    end: usize,
    /// Absent where nobody looked yet.
    glance: Option<io::Result<Glance>>,
}

impl Names {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// One of them; nothing beyond the last.
    pub(super) fn name(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.seen.get(at).map_or(0, |seen| seen.end);
        let start = at.checked_sub(1).map_or(0, end);
        self.bytes.get(start..end(at)).unwrap_or_default()
    }

    /// Whether one of them is known to be a directory's.
    pub(super) fn is_directory(&self, at: usize) -> bool {
        let seen = self.seen.get(at).and_then(|seen| seen.glance.as_ref());
        matches!(seen, Some(Ok(glance)) if glance.kind == files::GlanceKind::Directory)
    }

    /// What was seen of one of them, if anybody looked.
    pub(super) fn take_glance(&mut self, at: usize) -> Option<io::Result<Glance>> {
        self.seen.get_mut(at)?.glance.take()
    }
}

/// Reads an open directory.
pub(super) fn scan(dir: Dir) -> io::Result<Scanned> {
    let inspected = files::inspect_open(&dir)?;
    let names = dir.numbered_names().map(|names| look(&dir, &names));
    Ok(Scanned { dir: Arc::new(dir), inspected, names })
}

// In the order of the numbers, which is about that of the places on the disk.
fn look(dir: &Dir, names: &[Name]) -> Names {
    let mut found = Names::default();
    for name in names {
        found.bytes.extend_from_slice(&name.bytes);
        found.seen.push(Seen { end: found.bytes.len(), glance: None });
    }
    if names.len() <= GLANCES_AHEAD_MAX {
        let mut numbered: Vec<_> = names.iter().zip(&mut found.seen).collect();
        numbered.sort_unstable_by_key(|(name, _)| name.inode);
        for (name, seen) in numbered {
            seen.glance = Some(files::glance(dir, &name.bytes));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_in_their_order_with_what_they_are() {
        let place = tempfile::tempdir().unwrap();
        for directory in ["b", "dd"] {
            std::fs::create_dir(place.path().join(directory)).unwrap();
        }
        for file in ["a", "ccc"] {
            std::fs::write(place.path().join(file), file).unwrap();
        }
        let mut names = scan(Dir::open(place.path()).unwrap()).unwrap().names.unwrap();
        let told: Vec<_> = (0..names.len()).map(|at| names.name(at)).collect();
        assert_eq!(told, [&b"a"[..], b"b", b"ccc", b"dd"]);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| names.is_directory(at)),
            [false, true, false, true, false]
        );
        assert_eq!(names.take_glance(2).unwrap().unwrap().size, 3);
        assert!(names.take_glance(2).is_none() && names.take_glance(4).is_none());
        assert_eq!(names.name(4), b"");
    }
}
