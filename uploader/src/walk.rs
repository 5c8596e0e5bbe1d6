//! Through a tree of files, depth first, in the order of the names.
//!
//! The walk itself reads no content: it compares each file with the parent point, hands those that
//! are new or changed to the readers, and says what it met in the order of the tree.

mod level;
mod run;
mod scan;
mod scanners;
mod unchanged;

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::manifest::Omission;
use format::raw::RawPath;
use format::tree::{CONTENT_HASH_BYTES_MIN, Content, Entry, Kind};
use platform::files::{self, Dir, FileKind, Filesystem, Glance, GlanceKind, Inspected};

use self::level::Level;
use self::run::Run;
use self::scan::{Names, Scanned, scan};
use self::scanners::Scanners;
use self::unchanged::{Unchanged, compare};
use crate::error::UploadError;
use crate::event::{Event, Identity, Teller};
use crate::file::{Readers, Shared, Wanted};
use crate::parent::ParentDirectory;
use crate::volume::{Volume, join};

/// One walk through one volume.
pub(crate) struct Walk<'a> {
    volume: &'a Volume,
    shared: &'a Shared,
    readers: &'a Readers,
    events: Teller,
    /// Files that come before the next event.
    run: Run,
    scanners: Scanners,
    /// Files with several names that are being read already.
    linked: HashSet<(u64, u64)>,
    files: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        volume: &'a Volume,
        shared: &'a Shared,
        readers: &'a Readers,
        events: Teller,
    ) -> Result<Self, UploadError> {
        let scanners = Scanners::start().map_err(UploadError::Threads)?;
        let linked = HashSet::new();
        let run = Run::default();
        Ok(Self { volume, shared, readers, events, run, scanners, linked, files: 0 })
    }

    /// Walks through the whole tree; returns how many files of all kinds there are.
    pub(crate) fn run(mut self) -> Result<u64, UploadError> {
        let path = &self.volume.tree.root;
        let found = files::inspect_path(path).map_err(|e| self.root_error(e))?;
        let stored = self.shared.intake.stored();
        let parent = self.volume.parent.as_deref();
        let parent =
            parent.and_then(|root| ParentDirectory::root(stored, root, &self.shared.runtime));
        if found.kind == FileKind::Directory {
            let scanned = Dir::open(path).and_then(scan).map_err(|e| self.root_error(e))?;
            let level = self.enter(PathBuf::new(), &[], scanned, parent)?;
            self.descend(level)?;
        } else {
            let (dir, name) = parent_and_name(path).map_err(|e| self.root_error(e))?;
            let glance = files::glance(&dir, &name).map_err(|e| self.root_error(e))?;
            // Known before any of its files is asked for.
            self.shared.stamps.meet(glance.device, &dir);
            self.leaf((&Arc::new(dir), &name), (Path::new(""), &[]), &glance, parent)?;
        }
        self.hand_over()?;
        self.events.finish()?;
        Ok(self.files)
    }

    // With a stack of its own instead of the thread's: how deep a tree is, is up to its owner.
    fn descend(&mut self, root: Level) -> Result<(), UploadError> {
        let mut levels = vec![root];
        while let Some(level) = levels.last_mut() {
            level.read_ahead(self.volume, &self.scanners);
            let Some(at) = level.advance() else {
                self.tell(Event::Leave)?;
                levels.pop();
                continue;
            };
            let below = self.visit(level, at)?;
            levels.extend(below);
        }
        Ok(())
    }

    // Looks at one name; a directory comes back to be descended into.
    fn visit(&mut self, level: &mut Level, at: usize) -> Result<Option<Level>, UploadError> {
        self.shared.go_on()?;
        let glance = level.take_glance(at);
        let name = level.names.name(at);
        if self.volume.leaves_out(&level.path, name) {
            return Ok(None);
        }
        let parent = level.parent.as_mut().and_then(|parent| parent.find(name));
        if let Some(graft) = self.volume.graft(&level.path, name) {
            return self.graft(graft, level, at, parent);
        }
        let glance = match glance.unwrap_or_else(|| files::glance(&level.dir, name)) {
            Ok(glance) => glance,
            Err(error) => return self.omit(&join(&level.path, name), &error).map(|()| None),
        };
        if glance.kind == GlanceKind::Directory {
            return self.directory(level, at, parent);
        }
        self.leaf((&level.dir, name), (&level.path, name), &glance, parent).map(|()| None)
    }

    fn directory(
        &mut self,
        level: &mut Level,
        at: usize,
        parent: Option<Entry>,
    ) -> Result<Option<Level>, UploadError> {
        let scanned = level.scan(at);
        let name = level.names.name(at);
        let path = join(&level.path, name);
        let error = match scanned {
            Ok(scanned) => {
                let elsewhere = scanned.inspected.device != level.device;
                let filesystem = self.shared.stamps.meet(scanned.inspected.device, &scanned.dir);
                let is_pseudo = filesystem == Filesystem::Pseudo;
                let stays = self.volume.selection.stays_on_one_filesystem();
                if elsewhere && (is_pseudo || stays) {
                    return self.empty_directory(name, scanned.inspected).map(|()| None);
                }
                return self.enter(path, name, scanned, parent).map(Some);
            }
            Err(error) => error,
        };
        self.omit(&path, &error)?;
        // The directory itself is known; only what is in it is lost.
        match files::inspect(&level.dir, name) {
            Ok(found) if found.kind == FileKind::Directory => {
                self.empty_directory(name, found).map(|()| None)
            }
            _ => Ok(None),
        }
    }

    fn graft(
        &mut self,
        graft: &Path,
        level: &Level,
        at: usize,
        parent: Option<Entry>,
    ) -> Result<Option<Level>, UploadError> {
        let (directory, name) = (&*level.path, level.names.name(at));
        let path = join(directory, name);
        let found = files::inspect_path(graft);
        let stays = self.volume.selection.stays_on_one_filesystem();
        if found.as_ref().is_ok_and(|found| found.kind == FileKind::Directory) {
            if let Ok(found) = &found
                && stays
                && found.device != level.device
            {
                return self.empty_directory(name, found.clone()).map(|()| None);
            }
            return match Dir::open(graft).and_then(scan) {
                Ok(scanned) => self.enter(path, name, scanned, parent).map(Some),
                Err(error) => self.omit(&path, &error).map(|()| None),
            };
        }
        let opened = found.and_then(|_| parent_and_name(graft));
        let place = opened.and_then(|(dir, there)| Ok((files::glance(&dir, &there)?, dir, there)));
        match place {
            Ok((glance, dir, there)) => {
                self.shared.stamps.meet(glance.device, &dir);
                self.leaf((&Arc::new(dir), &there), (directory, name), &glance, parent)?;
            }
            Err(error) => self.omit(&path, &error)?,
        }
        Ok(None)
    }

    fn enter(
        &mut self,
        path: PathBuf,
        name: &[u8],
        scanned: Scanned,
        parent: Option<Entry>,
    ) -> Result<Level, UploadError> {
        let Scanned { dir, inspected, names } = scanned;
        self.count();
        self.shared.stamps.meet(inspected.device, &dir);
        let device = inspected.device;
        self.tell(Event::Enter(Box::new(directory_entry(name, inspected))))?;
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                self.omit(&path, &error)?;
                Names::default()
            }
        };
        let parent = ParentDirectory::of(self.shared.intake.stored(), parent, &self.shared.runtime);
        Ok(Level::new((dir, device), path, names, parent))
    }

    fn empty_directory(&mut self, name: &[u8], found: Inspected) -> Result<(), UploadError> {
        self.count();
        self.tell(Event::Enter(Box::new(directory_entry(name, found))))?;
        self.tell(Event::Leave)
    }

    // `place` is where the file lies, which for a graft is elsewhere and under another name than
    // in the tree. A volume that is one file has no name there.
    fn leaf(
        &mut self,
        place: (&Arc<Dir>, &[u8]),
        (directory, name): (&Path, &[u8]),
        glance: &Glance,
        parent: Option<Entry>,
    ) -> Result<(), UploadError> {
        self.count();
        let identity = Identity::from(glance);
        if glance.kind == GlanceKind::File {
            let parent = match compare(self.shared, self.volume.full, glance, parent)? {
                Unchanged::Yes { entry, data } => {
                    return self.tell(Event::Known { entry, identity, data });
                }
                Unchanged::No(parent) => parent,
            };
            return self.read(place, (directory, name), glance, parent);
        }
        let (dir, there) = place;
        match files::inspect(dir, there).and_then(|found| Ok((kind(&found)?, found))) {
            Ok((kind, found)) => {
                let name = RawPath::new(name);
                let entry = Box::new(Entry { name, kind, metadata: found.metadata });
                self.tell(Event::Known { entry, identity, data: 0 })
            }
            Err(error) => self.omit(&join(directory, name), &error),
        }
    }

    fn read(
        &mut self,
        (dir, there): (&Arc<Dir>, &[u8]),
        (directory, name): (&Path, &[u8]),
        glance: &Glance,
        parent: Option<Content>,
    ) -> Result<(), UploadError> {
        let identity = Identity::from(glance);
        // A file with several names is read once.
        if identity.links > 1 && !self.linked.insert((identity.device, identity.inode)) {
            let (name, path) = (RawPath::new(name), raw(&join(directory, name)));
            return self.tell(Event::Again { name, path, identity });
        }
        let is_large = parent.is_some() && glance.size >= CONTENT_HASH_BYTES_MIN;
        let base = is_large.then(|| self.volume.base(directory, name)).flatten();
        let file = Wanted { dir: Arc::clone(dir), name: there.to_vec(), parent, base };
        self.run.add(directory, RawPath::new(name), file, glance.size);
        if self.run.is_full() { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), UploadError> {
        let Some((reading, job)) = self.run.take() else { return Ok(()) };
        self.events.tell(Event::Reading(reading))?;
        self.readers.read(job)
    }

    fn count(&mut self) {
        self.shared.progress.add_file();
        self.files += 1;
    }

    fn omit(&mut self, path: &Path, error: &io::Error) -> Result<(), UploadError> {
        let (volume, reason) = (self.volume.name.clone(), error.to_string());
        self.tell(Event::Omitted(Omission { volume, path: raw(path), reason }))
    }

    fn tell(&mut self, event: Event) -> Result<(), UploadError> {
        self.hand_over()?;
        self.events.tell(event)
    }

    fn root_error(&self, source: io::Error) -> UploadError {
        UploadError::Root { path: self.volume.tree.root.clone(), source }
    }
}

fn directory_entry(name: &[u8], found: Inspected) -> Entry {
    let kind = Kind::Directory { listing: Vec::new() };
    Entry { name: RawPath::new(name), kind, metadata: found.metadata }
}

fn kind(found: &Inspected) -> io::Result<Kind> {
    Ok(match found.kind.clone() {
        FileKind::Symlink { target } => Kind::Symlink { target },
        FileKind::Fifo => Kind::Fifo,
        FileKind::Socket => Kind::Socket,
        FileKind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
        FileKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        FileKind::File | FileKind::Directory => {
            return Err(io::Error::other("it became another kind of file while it was looked at"));
        }
    })
}

fn raw(path: &Path) -> RawPath {
    RawPath::new(path.as_os_str().as_bytes())
}

fn parent_and_name(path: &Path) -> io::Result<(Dir, Vec<u8>)> {
    let path = path.canonicalize()?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes().to_vec();
    Ok((Dir::open(path.parent().unwrap_or(Path::new("/")))?, name))
}
