//! Through a tree of files, depth first, in the order of the names: children before parents,
//! because a directory's entry names the chunks of its listing.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::listing;
use format::manifest::Omission;
use format::raw::RawPath;
use format::tree::{Content, Entry, Extent, Extents, HardLink, Kind, Slice};
use platform::application::FileTree;
use platform::files::{self, Dir, FileKind, Inspected};

use crate::content::{ContentError, ContentReader};
use crate::error::UploadError;
use crate::intake::Intake;
use crate::progress::Progress;
use crate::pseudo;

/// What a volume became.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The stream with the entry of its root.
    pub(crate) root: Vec<Slice>,
    pub(crate) files: u64,
    /// The sum of the sizes of its regular files.
    pub(crate) bytes: u64,
    pub(crate) read: u64,
    pub(crate) omissions: Vec<Omission>,
}

/// One walk through one volume.
pub(crate) struct Walk<'a> {
    pub(crate) volume: RawPath,
    pub(crate) tree: FileTree,
    pub(crate) intake: &'a mut Intake,
    pub(crate) reader: &'a mut ContentReader,
    pub(crate) progress: Arc<Progress>,
    walked: Walked,
    /// Device numbers in the order in which they were met.
    filesystems: HashMap<u64, u32>,
    /// Files with several names are read once.
    linked: HashMap<HardLink, Vec<Extent>>,
}

/// A directory whose entries are being read.
struct Level {
    entry: Entry,
    dir: Dir,
    device: u64,
    path: PathBuf,
    names: std::vec::IntoIter<Vec<u8>>,
    listing: Vec<u8>,
}

/// What to do after an entry was looked at.
enum Step {
    Leaf(Box<Entry>),
    Descend(Box<Level>),
    Omitted,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        volume: RawPath,
        tree: FileTree,
        intake: &'a mut Intake,
        reader: &'a mut ContentReader,
        progress: Arc<Progress>,
    ) -> Self {
        let (filesystems, linked) = (HashMap::new(), HashMap::new());
        Self {
            volume,
            tree,
            intake,
            reader,
            progress,
            walked: Walked::default(),
            filesystems,
            linked,
        }
    }

    /// Stores the whole tree.
    pub(crate) fn run(mut self) -> Result<Walked, UploadError> {
        let root = match self.open_root()? {
            Step::Leaf(entry) => *entry,
            Step::Descend(level) => self.descend(*level)?,
            Step::Omitted => return Err(self.root_error(io::ErrorKind::NotFound.into())),
        };
        let mut bytes = Vec::new();
        listing::write(&root, &mut bytes);
        self.walked.root = self.reader.cut_listing(&bytes, self.intake)?;
        Ok(self.walked)
    }

    fn open_root(&mut self) -> Result<Step, UploadError> {
        let path = self.tree.root.clone();
        let found = files::inspect_path(&path).map_err(|e| self.root_error(e))?;
        self.count(&found);
        if found.kind == FileKind::Directory {
            let dir = Dir::open(&path).map_err(|e| self.root_error(e))?;
            return Ok(Step::Descend(Box::new(self.level(Path::new(""), &[], found, dir))));
        }
        let (parent, name) = parent_and_name(&path).map_err(|e| self.root_error(e))?;
        self.leaf((&parent, &name), &[], Path::new(""), found)
    }

    // With a stack of its own instead of the thread's: how deep a tree is, is up to its owner.
    fn descend(&mut self, root: Level) -> Result<Entry, UploadError> {
        let mut above: Vec<Level> = Vec::new();
        let mut level = root;
        loop {
            if let Some(name) = level.names.next() {
                match self.visit(&level, &name)? {
                    Step::Leaf(entry) => listing::write(&entry, &mut level.listing),
                    Step::Descend(below) => above.push(std::mem::replace(&mut level, *below)),
                    Step::Omitted => {}
                }
                continue;
            }
            let slices = self.reader.cut_listing(&level.listing, self.intake)?;
            let mut entry = level.entry;
            entry.kind = Kind::Directory { listing: slices };
            let Some(mut parent) = above.pop() else { return Ok(entry) };
            listing::write(&entry, &mut parent.listing);
            level = parent;
        }
    }

    fn visit(&mut self, level: &Level, name: &[u8]) -> Result<Step, UploadError> {
        let path = level.path.join(OsStr::from_bytes(name));
        if self.tree.hidden.contains(&path) {
            return Ok(Step::Omitted);
        }
        let found = match self.inspect(level, name, &path) {
            Ok(found) => found,
            Err(error) => return Ok(self.omit(&path, &error)),
        };
        self.count(&found);
        if found.kind != FileKind::Directory {
            return match self.tree.grafts.get(&path).map(|graft| parent_and_name(graft)) {
                None => self.leaf((&level.dir, name), name, &path, found),
                Some(Ok((dir, there))) => self.leaf((&dir, &there), name, &path, found),
                Some(Err(error)) => Ok(self.omit(&path, &error)),
            };
        }
        let opened = match self.tree.grafts.get(&path) {
            Some(graft) => Dir::open(graft),
            None => level.dir.open_dir(name),
        };
        match opened {
            Ok(dir) if found.device != level.device && pseudo::is_pseudo(&dir) => Ok(Step::Leaf(
                Box::new(entry(name, Kind::Directory { listing: Vec::new() }, found)),
            )),
            Ok(dir) => Ok(Step::Descend(Box::new(self.level(&path, name, found, dir)))),
            Err(error) => {
                // The directory itself is known; only what is in it is lost.
                self.omit(&path, &error);
                Ok(Step::Leaf(Box::new(entry(
                    name,
                    Kind::Directory { listing: Vec::new() },
                    found,
                ))))
            }
        }
    }

    fn inspect(&self, level: &Level, name: &[u8], path: &Path) -> io::Result<Inspected> {
        match self.tree.grafts.get(path) {
            Some(graft) => files::inspect_path(graft),
            None => files::inspect(&level.dir, name),
        }
    }

    fn level(&mut self, path: &Path, name: &[u8], found: Inspected, dir: Dir) -> Level {
        let names = dir.names().unwrap_or_else(|error| {
            self.omit(path, &error);
            Vec::new()
        });
        Level {
            device: found.device,
            entry: entry(name, Kind::Directory { listing: Vec::new() }, found),
            dir,
            path: path.to_owned(),
            names: names.into_iter(),
            listing: Vec::new(),
        }
    }

    // `place` is where the file lies, which for a graft is elsewhere and under another name.
    fn leaf(
        &mut self,
        place: (&Dir, &[u8]),
        name: &[u8],
        path: &Path,
        mut found: Inspected,
    ) -> Result<Step, UploadError> {
        let kind = match found.kind.clone() {
            FileKind::File => match self.content(place, &mut found) {
                Ok(extents) => Kind::File(Content {
                    size: extents.iter().map(Extent::length).sum(),
                    extents: Extents::Here(extents),
                    hash: None,
                }),
                Err(ContentError::File(error)) => return Ok(self.omit(path, &error)),
                Err(ContentError::Upload(error)) => return Err(error),
            },
            FileKind::Directory => Kind::Directory { listing: Vec::new() },
            FileKind::Symlink { target } => Kind::Symlink { target },
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
            FileKind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
            FileKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        };
        found.metadata.hard_link = self.hard_link(&found);
        Ok(Step::Leaf(Box::new(entry(name, kind, found))))
    }

    fn content(
        &mut self,
        (dir, name): (&Dir, &[u8]),
        found: &mut Inspected,
    ) -> Result<Vec<Extent>, ContentError> {
        let file = dir.open_file(name).map_err(ContentError::File)?;
        // The name may lead to another file by now: all that is stored is of the one that is open.
        let opened = rustix::fs::fstat(&file).map_err(|e| ContentError::File(e.into()))?;
        if (opened.st_dev, opened.st_ino) != (found.device, found.inode) {
            *found = files::inspect_open(&file).map_err(ContentError::File)?;
        }
        found.metadata.hard_link = self.hard_link(found);
        if let Some(content) = found.metadata.hard_link.and_then(|link| self.linked.get(&link)) {
            return Ok(content.clone());
        }
        let (progress, read) = (&self.progress, &mut self.walked.read);
        let content = self.reader.read_file(&file, found.size, self.intake, |bytes| {
            *read += bytes;
            progress.add_read(bytes);
        })?;
        if let Some(link) = found.metadata.hard_link {
            self.linked.insert(link, content.clone());
        }
        Ok(content)
    }

    fn hard_link(&mut self, found: &Inspected) -> Option<HardLink> {
        if found.links < 2 {
            return None;
        }
        let next = u32::try_from(self.filesystems.len()).unwrap_or(u32::MAX);
        let filesystem = *self.filesystems.entry(found.device).or_insert(next);
        Some(HardLink { filesystem, inode: found.inode })
    }

    fn count(&mut self, found: &Inspected) {
        self.progress.add_file();
        self.walked.files += 1;
        if found.kind == FileKind::File {
            // Sparse files can claim sizes that no sum holds.
            self.walked.bytes = self.walked.bytes.saturating_add(found.size);
        }
    }

    fn omit(&mut self, path: &Path, error: &io::Error) -> Step {
        self.walked.omissions.push(Omission {
            volume: self.volume.clone(),
            path: RawPath::new(path.as_os_str().as_bytes()),
            reason: error.to_string(),
        });
        Step::Omitted
    }

    fn root_error(&self, source: io::Error) -> UploadError {
        UploadError::Root { path: self.tree.root.clone(), source }
    }
}

fn entry(name: &[u8], kind: Kind, found: Inspected) -> Entry {
    Entry { name: RawPath::new(name), kind, metadata: found.metadata }
}

fn parent_and_name(path: &Path) -> io::Result<(Dir, Vec<u8>)> {
    let path = path.canonicalize()?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes().to_vec();
    Ok((Dir::open(path.parent().unwrap_or(Path::new("/")))?, name))
}
