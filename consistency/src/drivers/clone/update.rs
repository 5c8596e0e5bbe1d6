//! Through the source and its clone in step: what is like the original stays, all else is made anew.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use format::tree::Stamp;
use platform::files::{
    Dir, FileKind, Filesystem, Glance, GlanceKind, Inspected, Refusal, StampRule, apply,
    apply_open, glance, inspect, inspect_open,
};

use rustix::fs::fchmod;

use super::content::transfer;
use super::{Clone, Known, Mode, Recipe, failure};
use crate::error::SnapshotError;

pub(super) struct Update<'a> {
    clone: &'a mut Clone,
    recipe: &'a Recipe,
    mode: Mode<'a>,
    rule: Option<StampRule>,
    /// Of the source; files on others are always cloned.
    device: Option<u64>,
    /// Files with several names that were cloned just now, and are in the directory of links.
    fresh: HashSet<(u64, u64)>,
}

// A directory half-way through. A stack of these instead of recursion: a tree may be deeper than
// the stack of a thread.
struct Level {
    source: Dir,
    target: Dir,
    names: std::vec::IntoIter<Vec<u8>>,
    path: PathBuf,
    inspected: Inspected,
    filesystem: Filesystem,
    state: State,
    /// Whether all of its entries were dealt with so far.
    whole: bool,
}

impl Level {
    fn make_room(&self, name: &[u8]) -> io::Result<()> {
        if self.state == State::New { Ok(()) } else { clear(&self.target, name) }
    }

    // Last, for making its entries changed the time of the directory.
    fn leave(&self) -> io::Result<()> {
        let settled = apply_open(&self.target, &self.inspected.metadata);
        settled.and_then(all_applied)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The clone was made just now, and is empty.
    New,
    /// Names came or went.
    Changed,
    /// The same names lead to the same files.
    Unchanged,
}

impl<'a> Update<'a> {
    pub(super) fn new(clone: &'a mut Clone, recipe: &'a Recipe, mode: Mode<'a>) -> Self {
        let (rule, fresh) = (mode.rule(), HashSet::new());
        Self { clone, recipe, mode, rule, device: None, fresh }
    }

    pub(super) fn run(mut self, target: &Dir, name: &[u8]) -> Result<(), SnapshotError> {
        let path = &self.recipe.source;
        let error = |source| failure("clone", path, source);
        let Some((parent, last)) = path.parent().zip(path.file_name()) else {
            let source = Dir::open(path).map_err(error)?;
            return self.tree(source, (target, name));
        };
        let parent = Dir::open(parent).map_err(error)?;
        let found = glance(&parent, last.as_bytes()).map_err(error)?;
        if found.kind == GlanceKind::Directory {
            let source = parent.open_dir(last.as_bytes()).map_err(error)?;
            return self.tree(source, (target, name));
        }
        self.device = Some(found.device);
        clear(target, name).map_err(error)?;
        self.leaf((&parent, last.as_bytes()), (target, name)).map_err(error)
    }

    fn tree(&mut self, source: Dir, place: (&Dir, &[u8])) -> Result<(), SnapshotError> {
        let recipe = self.recipe;
        let at = |path: &Path| {
            let path = recipe.source.join(path);
            move |source| failure("clone", &path, source)
        };
        let root = self.enter(source, place, State::Changed, PathBuf::new());
        let mut stack = vec![root.map_err(at(Path::new("")))?];
        while let Some(level) = stack.last_mut() {
            self.go_on()?;
            let Some(name) = level.names.next() else {
                level.leave().map_err(at(&level.path))?;
                if let Some(level) = stack.pop().filter(|level| level.whole) {
                    self.finish(&level);
                }
                continue;
            };
            let path = level.path.join(OsString::from_vec(name.clone()));
            match self.entry(level, &name, &path) {
                Ok(below) => stack.extend(below),
                // It changed while it was looked at, or cannot be read; then it will be said later.
                Err(_) if matches!(self.mode, Mode::Draft(_)) => level.whole = false,
                Err(source) => return Err(at(&path)(source)),
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), SnapshotError> {
        match self.mode {
            Mode::Final(abandoned) if abandoned.load(Ordering::Relaxed) => {
                Err(SnapshotError::Abandoned)
            }
            _ => Ok(()),
        }
    }

    fn enter(
        &mut self,
        source: Dir,
        (above, name): (&Dir, &[u8]),
        state_above: State,
        path: PathBuf,
    ) -> io::Result<Level> {
        // Before the names are read: what comes or goes meanwhile leaves another stamp.
        let inspected = inspect_open(&source)?;
        self.device.get_or_insert(inspected.device);
        let filesystem = Filesystem::of(&source);
        let names = source.names()?;
        let stamp = Stamp { inode: inspected.inode, changed: inspected.changed };
        let known = self.known(inspected.device, stamp.inode);
        let existing = known.filter(|_| state_above != State::New).and_then(|known| {
            let copy = glance(above, name).ok().filter(|copy| copy.stamp.inode == known.copy)?;
            let is_directory = copy.kind == GlanceKind::Directory;
            is_directory.then(|| above.open_dir(name).ok()).flatten()
        });
        if let Some(target) = existing.as_ref().filter(|_| inspected.metadata.mode & 0o700 != 0o700)
        {
            // It is as closed as its original already.
            fchmod(target, rustix::fs::Mode::RWXU)?;
        }
        let (target, state) = match existing {
            Some(target) if known.is_some_and(|k| k.changed == Some(stamp.changed)) => {
                (target, State::Unchanged)
            }
            Some(target) => {
                let surplus = |name: &Vec<u8>| names.binary_search(name).is_err();
                for name in target.names()?.iter().filter(|name| surplus(name)) {
                    target.remove_all(name)?;
                }
                (target, State::Changed)
            }
            None => {
                if state_above != State::New {
                    clear(above, name)?;
                }
                (above.create_dir(name)?, State::New)
            }
        };
        // Its stamp counts only when everything in it was dealt with.
        let copy = inspect_open(&target)?.inode;
        self.remember(inspected.device, stamp.inode, Known { changed: None, copy });
        let (names, whole) = (names.into_iter(), true);
        Ok(Level { source, target, names, path, inspected, filesystem, state, whole })
    }

    // A directory and its clone have the same names now.
    fn finish(&mut self, level: &Level) {
        let Inspected { device, inode, changed, .. } = level.inspected;
        if let Some(rule) = self.rule
            && let Some(Known { copy, .. }) = self.known(device, inode)
        {
            let stamp = rule.record(Stamp { inode, changed }, level.filesystem);
            let changed = stamp.map(|stamp| stamp.changed);
            self.remember(device, inode, Known { changed, copy });
        }
    }

    // Clones one entry; answers the level below when it is a directory.
    fn entry(&mut self, level: &Level, name: &[u8], path: &Path) -> io::Result<Option<Level>> {
        let is_new = level.state == State::New;
        let found = match glance(&level.source, name) {
            // Somebody outside the application removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if is_new { Ok(None) } else { clear(&level.target, name).map(|()| None) };
            }
            found => found?,
        };
        let skipped = self.recipe.skip.contains(path);
        if found.kind == GlanceKind::Directory {
            if self.recipe.own.contains(&(found.device, found.stamp.inode)) {
                return Ok(None);
            }
            if skipped {
                if is_new || level.target.open_dir(name).is_err() {
                    level.make_room(name)?;
                    level.target.create_dir(name)?;
                }
                return Ok(None);
            }
            let source = level.source.open_dir(name)?;
            let place = (&level.target, name);
            return self.enter(source, place, level.state, path.to_owned()).map(Some);
        }
        if !skipped && self.is_like(level, name, &found) {
            return Ok(None);
        }
        level.make_room(name)?;
        if skipped {
            level.target.create_file(name)?;
            return Ok(None);
        }
        self.leaf((&level.source, name), (&level.target, name))?;
        Ok(None)
    }

    // Whether the clone of a file is as its original is now.
    fn is_like(&self, level: &Level, name: &[u8], found: &Glance) -> bool {
        let known = self.known(found.device, found.stamp.inode);
        let known = known.filter(|known| known.changed == Some(found.stamp.changed));
        let Some(known) = known.filter(|_| level.state != State::New) else { return false };
        // With several names, this one may not have been made.
        (level.state == State::Unchanged && found.links == 1)
            || glance(&level.target, name).is_ok_and(|copy| copy.stamp.inode == known.copy)
    }

    fn known(&self, device: u64, inode: u64) -> Option<Known> {
        self.clone.known.get(&inode).copied().filter(|_| self.device == Some(device))
    }

    // Until it is cloned again, nothing is known about it.
    fn forget(&mut self, device: u64, inode: u64) -> Option<Known> {
        if self.device == Some(device) { self.clone.known.remove(&inode) } else { None }
    }

    fn remember(&mut self, device: u64, inode: u64, known: Known) {
        if self.device == Some(device) {
            self.clone.known.insert(inode, known);
        }
    }

    // Clones whatever is no directory.
    fn leaf(
        &mut self,
        (source, source_name): (&Dir, &[u8]),
        (target, name): (&Dir, &[u8]),
    ) -> io::Result<()> {
        let inspected = inspect(source, source_name)?;
        let before = self.forget(inspected.device, inspected.inode);
        let link = format!("{:x}-{:x}", inspected.device, inspected.inode);
        let identity = (inspected.device, inspected.inode);
        if inspected.links > 1 {
            let is_like = before.is_some_and(|known| known.changed == Some(inspected.changed));
            if is_like || self.fresh.contains(&identity) {
                target.create_link(name, &self.clone.links, link.as_bytes())?;
                if let Some(known) = before {
                    self.remember(inspected.device, inspected.inode, known);
                }
                return Ok(());
            }
            clear(&self.clone.links, link.as_bytes())?;
        }
        match &inspected.kind {
            FileKind::File => {
                let (file, copy) = (source.open_file(source_name)?, target.create_file(name)?);
                if file.metadata()?.ino() != inspected.inode {
                    return Err(io::Error::other("it was replaced while it was looked at"));
                }
                transfer(&file, &copy, self.recipe.reflink, self.abandoned())?;
            }
            FileKind::Symlink { target: text } => target.create_symlink(name, text.as_bytes())?,
            FileKind::Directory => return Err(io::ErrorKind::IsADirectory.into()),
            kind => target.create_node(name, kind)?,
        }
        all_applied(apply(target, name, &inspected.metadata)?)?;
        if inspected.links > 1 {
            self.clone.links.create_link(link.as_bytes(), target, name)?;
            self.fresh.insert(identity);
        }
        let made = glance(target, name)?;
        // The stat was taken first: what is written later leaves another stamp.
        let stamp = Stamp { inode: inspected.inode, changed: inspected.changed };
        if let Some(rule) = self.rule {
            let changed = rule.record(stamp, Filesystem::of(source)).map(|stamp| stamp.changed);
            let known = Known { changed, copy: made.stamp.inode };
            self.remember(inspected.device, inspected.inode, known);
        }
        if inspected.kind == FileKind::File {
            self.clone.originals.insert((made.device, made.stamp.inode), stamp);
        }
        Ok(())
    }

    fn abandoned(&self) -> &AtomicBool {
        static NEVER: AtomicBool = AtomicBool::new(false);
        match self.mode {
            Mode::Final(abandoned) => abandoned,
            Mode::Draft(_) => &NEVER,
        }
    }
}

/// Nothing has this name from now on.
pub(crate) fn clear(dir: &Dir, name: &[u8]) -> io::Result<()> {
    match dir.remove_all(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What cannot be set would be wrong in every backup made from a clone, and after every restore.
pub(crate) fn all_applied(refusals: Vec<Refusal>) -> io::Result<()> {
    match refusals.into_iter().next() {
        Some(refusal) => Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal)),
        None => Ok(()),
    }
}
