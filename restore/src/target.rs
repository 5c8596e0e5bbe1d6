//! The target of a restore: everything is made beneath it, through open directories.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::mem::Discriminant;
use std::path::Path;
use std::rc::Rc;

use format::raw::RawPath;
use format::tree::{HardLink, Kind};
use platform::files::Dir;

/// The directory that one volume is restored into.
pub(crate) struct Target {
    /// Where the volume's own name is made.
    pub(crate) parent: Rc<Dir>,
    /// That name.
    pub(crate) name: Vec<u8>,
    /// The first name of each file that has several, as path below `parent`.
    first_names: HashMap<HardLink, (Discriminant<Kind>, Vec<Vec<u8>>)>,
}

impl Target {
    /// Makes the target, and in it the directories above `destination`, where they are missing.
    pub(crate) fn make(target: &Path, destination: &RawPath) -> io::Result<Self> {
        fs::create_dir_all(target)?;
        let mut parent = Dir::open(target)?;
        let mut parts: Vec<&[u8]> = destination.as_bytes().split(|b| *b == b'/').collect();
        let name = parts.pop().unwrap_or_default().to_vec();
        for part in parts {
            parent = match parent.create_dir(part) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => parent.open_dir(part)?,
                made => made?,
            };
        }
        Ok(Self { parent: Rc::new(parent), name, first_names: HashMap::new() })
    }

    /// Gives an already restored file one more name; `false` when there is none yet.
    pub(crate) fn link(
        &self,
        file: HardLink,
        kind: Discriminant<Kind>,
        dir: &Dir,
        name: &[u8],
    ) -> io::Result<bool> {
        // Files of different kinds are not one, whatever a damaged listing says.
        let first = self.first_names.get(&file).filter(|(first_kind, _)| *first_kind == kind);
        let Some((last, above)) = first.and_then(|(_, path)| path.split_last()) else {
            return Ok(false);
        };
        // Step by step from the parent, so that nothing made meanwhile can lead elsewhere.
        let Some((top, below)) = above.split_first() else {
            dir.create_link(name, &self.parent, last)?;
            return Ok(true);
        };
        let mut source = self.parent.open_dir(top)?;
        for part in below {
            source = source.open_dir(part)?;
        }
        dir.create_link(name, &source, last)?;
        Ok(true)
    }

    /// Remembers where a file that has several names was restored.
    pub(crate) fn remember(
        &mut self,
        file: HardLink,
        kind: Discriminant<Kind>,
        path: Vec<Vec<u8>>,
    ) {
        self.first_names.entry(file).or_insert((kind, path));
    }
}
