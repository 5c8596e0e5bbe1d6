//! Through the stored tree of a volume: directories and small kinds are made, the pieces of files
//! are planned.
//!
//! Neither a directory nor a file is held whole: entries and extents are read as they are needed.

use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use format::raw::RawPath;
use format::tree::{Entry, Kind, Metadata, Slice};
use platform::files::{self, Birth, Dir, FileKind, Inspected};
use repository::error::chain;
use repository::tree::{self, EntryReader};
use tokio::runtime::Handle;

use crate::directory::Node;
use crate::error::RestoreError;
use crate::links::{First, LinkKey, key_of};
use crate::loss::{ReadFailure, UNREAD_MAX};
use crate::pipeline::Inlet;
use crate::present::{self, PresentFile};
use crate::site::Site;
use crate::window::Window;

/// How many further names wait for their first one at the most.
const POSTPONED_MAX: usize = 256;
/// The largest numbers of a device that Linux knows.
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;
/// How many blocks of a window are put together at once; see `crate::pipeline`.
pub(crate) const WINDOW_BLOCKS: usize = 24;

/// What to do with what is in the target already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// There may be something.
    pub(crate) in_place: bool,
    /// What is not of the restore point is removed.
    pub(crate) delete: bool,
}

/// Walks through one volume. Blocks: not for async code.
pub(crate) struct Walker<'a> {
    pub(crate) site: &'a Site,
    pub(crate) runtime: Handle,
    pub(crate) inlet: Inlet<'a>,
    pub(crate) mode: Mode,
    /// How many entries the volume may have.
    pub(crate) entries_max: u64,
    pub(crate) window: Window,
    /// How many blocks were begun since the window was empty.
    pub(crate) blocks: usize,
    /// How many entries were seen.
    entries: u64,
    /// How many things in a row the store did not give.
    pub(crate) unread: u32,
    /// Further names of files whose first name is not done.
    postponed: Vec<(Arc<Node>, Entry)>,
}

/// A directory whose entries are being made.
struct Level {
    node: Arc<Node>,
    entries: EntryReader,
    /// The names in the target that no entry has had so far, if what is extra is to be removed.
    extra: Option<Peekable<std::vec::IntoIter<Vec<u8>>>>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(
        site: &'a Site,
        runtime: Handle,
        inlet: Inlet<'a>,
        mode: Mode,
        entries_max: u64,
    ) -> Self {
        let (window, postponed) = (Window::default(), Vec::new());
        let (blocks, entries, unread) = (0, 0, 0);
        Self { site, runtime, inlet, mode, entries_max, window, blocks, entries, unread, postponed }
    }

    /// Restores the tree whose root is in the stream `root` as `name`.
    pub(crate) fn run(mut self, root: &[Slice], name: Vec<u8>) {
        if let Err(error) = self.walk(root, name) {
            self.site.stop(Some(error));
        }
        self.submit();
        self.site.wait_until_idle();
    }

    // With a stack of its own: how deep a tree is, is up to whoever wrote the repository.
    fn walk(&mut self, root: &[Slice], name: Vec<u8>) -> Result<(), RestoreError> {
        let top = Node::top(!self.mode.in_place);
        let root = self.runtime.block_on(tree::root(&self.site.chunks, root)).map_err(Into::into);
        let Some(mut root) = self.or_lost(RawPath::new("."), root)? else { return Ok(()) };
        root.name = RawPath::new(name);
        self.count_entry()?;
        let mut levels: Vec<Level> = self.make(&top, root)?.into_iter().collect();
        self.learn_birth(levels.last())?;
        while let Some(level) = levels.last_mut() {
            if self.site.is_stopped() {
                return Ok(());
            }
            let node = Arc::clone(&level.node);
            match self.runtime.block_on(level.entries.next()) {
                Ok(Some(entry)) => {
                    self.count_entry()?;
                    self.remove_extra(level, Some(entry.name.as_bytes()));
                    let below = self.make(&node, entry)?;
                    levels.extend(below);
                }
                Ok(None) => {
                    self.remove_extra(level, None);
                    levels.pop();
                    node.release(self.site);
                }
                Err(error) => {
                    // What follows is lost, and nobody knows its names: nothing is extra.
                    self.or_lost::<()>(node.own_path(), Err(error.into()))?;
                    levels.pop();
                    node.release(self.site);
                }
            }
        }
        self.make_postponed()
    }

    // A tree whose listings are shared can double at every level, and has fewer entries on record.
    fn count_entry(&mut self) -> Result<(), RestoreError> {
        self.entries += 1;
        if self.entries > self.entries_max {
            let volume = self.site.volume.clone();
            return Err(RestoreError::Entries { volume, recorded: self.entries_max });
        }
        Ok(())
    }

    fn learn_birth(&self, root: Option<&Level>) -> Result<(), RestoreError> {
        let root = root.filter(|root| self.site.writes && root.node.is_new());
        let Some(root) = root else { return Ok(()) };
        let birth = self.site.dirs.get(&root.node).and_then(|dir| Birth::below(&dir));
        let failed = |error| self.site.write_error(RawPath::new("."), error);
        if let Some(birth) = birth.map_err(failed)? {
            self.site.birth.get_or_init(|| birth);
        }
        Ok(())
    }

    /// Hands the window over.
    pub(crate) fn submit(&mut self) {
        self.inlet.put(&mut self.window);
        self.blocks = 0;
    }

    // Makes one entry; a directory comes back to be filled.
    fn make(&mut self, node: &Arc<Node>, entry: Entry) -> Result<Option<Level>, RestoreError> {
        if !self.site.writes {
            return Ok(self.read(node, entry));
        }
        let key = key_of(entry.metadata.hard_link, &entry.kind);
        let key = match key.map(|key| (key, self.site.links.first(key))) {
            Some((_, Some(First::Making))) => {
                self.postponed.push((Arc::clone(node.hold()), entry));
                if self.postponed.len() >= POSTPONED_MAX {
                    self.make_postponed()?;
                }
                return Ok(None);
            }
            Some((_, Some(First::Made(dir, name)))) => {
                if self.link(node, entry.name.as_bytes(), (&dir, &name))? {
                    return Ok(None);
                }
                // It is restored once more, beside the first.
                None
            }
            Some((key, None)) => Some(key),
            None => None,
        };
        let path = || node.path(entry.name.as_bytes());
        match self.make_anew(node, &entry, key) {
            Ok(made) => Ok(made),
            Err(MakeError::Refused(error)) => {
                self.site.refused(path(), error);
                Ok(None)
            }
            Err(MakeError::Read(failure)) => self.or_lost::<()>(path(), Err(failure)).map(|_| None),
        }
    }

    // The same where nothing is made: what a file holds is read, also under its further names, so
    // that each of them is named when it is lost.
    fn read(&mut self, node: &Arc<Node>, entry: Entry) -> Option<Level> {
        let name = entry.name.as_bytes();
        match entry.kind {
            Kind::Directory { listing } => {
                let node = Node::below(node, name.to_vec(), entry.metadata, true);
                self.site.count(0);
                let entries = EntryReader::new(&self.site.chunks, listing);
                return Some(Level { node, entries, extra: None });
            }
            Kind::File(content) => {
                self.make_file(node, (name, &entry.metadata, &content), None, None);
            }
            _ => self.site.count(0),
        }
        None
    }

    // All files that were begun are done first, so that each first name is there or lost. A file
    // whose first name was lost may be begun anew here, and others wait for it again.
    fn make_postponed(&mut self) -> Result<(), RestoreError> {
        while !self.postponed.is_empty() && !self.site.is_stopped() {
            self.submit();
            self.site.wait_until_idle();
            for (node, entry) in std::mem::take(&mut self.postponed) {
                self.make(&node, entry)?;
                node.release(self.site);
            }
        }
        Ok(())
    }

    // Gives a file that is restored already one more name, if the system lets us.
    fn link(
        &mut self,
        node: &Arc<Node>,
        name: &[u8],
        (first_node, first_name): (&Node, &[u8]),
    ) -> Result<bool, RestoreError> {
        let link = || -> io::Result<()> {
            let (dir, source) = (self.site.dirs.get(node)?, self.site.dirs.get(first_node)?);
            if !node.is_new()
                && let Some(found) = present::look(&dir, name)?
            {
                let first = files::inspect(&source, first_name)?;
                if (found.device, found.inode) == (first.device, first.inode) {
                    return Ok(());
                }
                present::clear_way(&dir, name, &found.kind, self.mode.delete)?;
            }
            dir.create_link(name, &source, first_name)
        };
        match link() {
            Ok(()) => {
                self.site.count(0);
                Ok(true)
            }
            Err(error)
                if crate::loss::is_refusal(&error)
                    || error.kind() == io::ErrorKind::TooManyLinks =>
            {
                Ok(false)
            }
            Err(error) => Err(self.site.write_error(node.path(name), error)),
        }
    }

    fn make_anew(
        &mut self,
        node: &Arc<Node>,
        entry: &Entry,
        key: Option<LinkKey>,
    ) -> Result<Option<Level>, MakeError> {
        let Entry { name, kind, metadata } = entry;
        let name = name.as_bytes();
        let dir = self.site.dirs.get(node)?;
        let found = if node.is_new() { None } else { present::look(&dir, name)? };
        if let Kind::Directory { listing } = kind {
            let made = make_directory(&dir, name, found.as_ref())?;
            let is_new = !matches!(found, Some(Inspected { kind: FileKind::Directory, .. }));
            let extra = if is_new || !self.mode.delete {
                None
            } else {
                Some(files::names_but_ours(&made)?)
            };
            let node = Node::below(node, name.to_vec(), metadata.clone(), is_new);
            self.site.dirs.put(&node, made);
            self.site.count(0);
            let entries = EntryReader::new(&self.site.chunks, listing.clone());
            let extra = extra.map(|names| names.into_iter().peekable());
            return Ok(Some(Level { node, entries, extra }));
        }
        if let Kind::File(content) = kind {
            let present = self.present_file(&dir, entry, found.as_ref(), key.is_some())?;
            self.make_file(node, (name, metadata, content), key, present);
            return Ok(None);
        }
        // One that has several names may have one elsewhere, which is none of ours.
        let kept = found.filter(|found| {
            found.links == 1 && present::is_kind(&found.kind, kind)
                || key.is_some()
                    && present::is_kind(&found.kind, kind)
                    && present::is_metadata(&found.metadata, metadata)
        });
        if kept.is_none() {
            if !node.is_new()
                && let Some(found) = present::look(&dir, name)?
            {
                present::clear_way(&dir, name, &found.kind, self.mode.delete)?;
            }
            make_node(&dir, name, kind)?;
        }
        self.finish_node(node, &dir, (name, metadata), key)?;
        Ok(None)
    }

    fn finish_node(
        &self,
        node: &Arc<Node>,
        dir: &Dir,
        (name, metadata): (&[u8], &Metadata),
        key: Option<LinkKey>,
    ) -> Result<(), MakeError> {
        let refusals = files::apply(dir, name, metadata)?;
        if !refusals.is_empty() {
            self.site.note(&node.path(name), refusals);
        }
        self.site.count(0);
        if let Some(key) = key {
            self.site.links.made(key, node, name);
        }
        Ok(())
    }

    // What is there, if it can be changed in place; otherwise it is taken out of the way. A file
    // with several names may have one elsewhere, which is none of ours: it is kept only when there
    // is nothing to change.
    fn present_file(
        &mut self,
        dir: &Dir,
        entry: &Entry,
        found: Option<&Inspected>,
        is_linked: bool,
    ) -> Result<Option<PresentFile>, MakeError> {
        let Some(found) = found else { return Ok(None) };
        let name = entry.name.as_bytes();
        if found.kind == FileKind::File {
            let opened = match dir.modify_file(name) {
                Err(error) if crate::loss::is_refusal(&error) => None,
                opened => Some(opened?),
            };
            let mut file = opened.map(PresentFile::new).transpose()?;
            if found.links > 1 {
                let unchanged = is_linked
                    && present::is_metadata(&found.metadata, &entry.metadata)
                    && match (&mut file, &entry.kind) {
                        (Some(file), Kind::File(content)) => file
                            .is_all_equal(content, self.site, &self.runtime)?
                            .map_err(|e| MakeError::Read(e.into()))?,
                        _ => false,
                    };
                file = file.filter(|_| unchanged);
            }
            if file.is_some() {
                return Ok(file);
            }
        }
        present::clear_way(dir, name, &found.kind, self.mode.delete)?;
        Ok(None)
    }

    // Removes the names before `next`, or all that are left.
    fn remove_extra(&self, level: &mut Level, next: Option<&[u8]>) {
        let Some(extra) = &mut level.extra else { return };
        while let Some(name) = extra.next_if(|name| next.is_none_or(|next| name.as_slice() <= next))
        {
            if next == Some(&name) {
                continue;
            }
            let removed = self.site.dirs.get(&level.node).and_then(|dir| dir.remove_all(&name));
            match removed {
                Ok(()) => self.site.report().removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.site.refused(level.node.path(&name), error),
            }
        }
    }

    // What is lost is noted, and the restore goes on; other errors end it.
    pub(crate) fn or_lost<T>(
        &mut self,
        path: RawPath,
        result: Result<T, ReadFailure>,
    ) -> Result<Option<T>, RestoreError> {
        match result {
            Ok(value) => {
                self.unread = 0;
                return Ok(Some(value));
            }
            Err(failure) => {
                let reason = self.reason(failure)?;
                self.site.lose(path, reason);
            }
        }
        Ok(None)
    }

    /// The reason to give for what is lost, unless it is the end.
    pub(crate) fn reason(&mut self, failure: ReadFailure) -> Result<String, RestoreError> {
        match failure {
            ReadFailure::Lost(reason) => Ok(reason),
            ReadFailure::Unread(error) if self.unread < UNREAD_MAX => {
                self.unread += 1;
                Ok(chain(&error))
            }
            ReadFailure::Unread(error) | ReadFailure::Stop(error) => Err(error.into()),
        }
    }
}

/// Why an entry is not made.
pub(crate) enum MakeError {
    Read(ReadFailure),
    Refused(io::Error),
}

impl From<io::Error> for MakeError {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

fn make_directory(dir: &Dir, name: &[u8], found: Option<&Inspected>) -> io::Result<Dir> {
    match found {
        Some(Inspected { kind: FileKind::Directory, .. }) => return dir.open_dir(name),
        Some(_) => dir.remove_file(name)?,
        None => {}
    }
    dir.create_dir(name)
}

fn make_node(dir: &Dir, name: &[u8], kind: &Kind) -> io::Result<()> {
    let kind = match *kind {
        // The system answers this as if the directory were gone, which would end the restore.
        Kind::Symlink { ref target } if target.as_bytes().is_empty() => {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The system would cut the number, and make a node of another device.
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor }
            if major > MAJOR_MAX || minor > MINOR_MAX =>
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Kind::Symlink { ref target } => return dir.create_symlink(name, target.as_bytes()),
        Kind::Fifo => FileKind::Fifo,
        Kind::Socket => FileKind::Socket,
        Kind::CharacterDevice { major, minor } => FileKind::CharacterDevice { major, minor },
        Kind::BlockDevice { major, minor } => FileKind::BlockDevice { major, minor },
        Kind::File(_) | Kind::Directory { .. } => return Err(io::ErrorKind::InvalidInput.into()),
    };
    dir.create_node(name, &kind)
}
