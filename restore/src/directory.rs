//! The directories of a volume while files are made in them.
//!
//! A directory gets its metadata when all in it is done, for every file that is made in it changes
//! its time, and its mode may forbid to make any. How deep a tree is, is up to whoever wrote the
//! repository, so only a few directories are open at once; others are opened again, step by step
//! from the target on.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use format::raw::RawPath;
use format::tree::Metadata;
use platform::files::Dir;

use crate::site::Site;

/// How many directories are open at once, beside those that are in use.
const OPEN_MAX: usize = 64;

/// A directory that is being restored.
#[derive(Debug)]
pub(crate) struct Node {
    id: u64,
    /// Absent for the directory that the volume itself is made in.
    above: Option<(Arc<Node>, Metadata)>,
    name: Vec<u8>,
    is_new: bool,
    /// What is still to be done in it: its entries, and one for the walk through its listing.
    pending: AtomicUsize,
}

impl Node {
    /// The directory that a volume is made in. It is not the volume's, and left as it is.
    pub(crate) fn top(is_new: bool) -> Arc<Self> {
        let pending = AtomicUsize::new(1);
        Arc::new(Self { id: 0, above: None, name: Vec::new(), is_new, pending })
    }

    /// A directory in another, which is not done before this one is [released](Self::release).
    pub(crate) fn below(
        parent: &Arc<Self>,
        name: Vec<u8>,
        metadata: Metadata,
        is_new: bool,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let above = Some((Arc::clone(parent.hold()), metadata));
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, above, name, is_new, pending: AtomicUsize::new(1) })
    }

    /// Keeps the directory from being done until it is released once more.
    pub(crate) fn hold(self: &Arc<Self>) -> &Arc<Self> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self
    }

    /// Says that one thing in the directory is done; after the last, it gets its metadata.
    pub(crate) fn release(self: &Arc<Self>, site: &Site) {
        let mut node = Arc::clone(self);
        while node.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let Some((parent, metadata)) = &node.above else { return };
            site.finish_directory(&node, metadata);
            node = Arc::clone(parent);
        }
    }

    /// Whether it was made by this restore, so that nothing else is in it.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The path below the volume's root, `.` for the root itself, of `name` in this directory.
    pub(crate) fn path(&self, name: &[u8]) -> RawPath {
        let mut names = vec![name];
        let mut node = self;
        while let Some((parent, _)) = &node.above {
            names.push(&node.name);
            node = parent;
        }
        // The last is the volume's own name, which reports give beside the path.
        names.pop();
        if names.is_empty() {
            return RawPath::new(".");
        }
        names.iter().rev().fold(RawPath::default(), |path, name| path.join(name))
    }

    /// The path of the directory itself.
    pub(crate) fn own_path(&self) -> RawPath {
        match &self.above {
            Some((parent, _)) => parent.path(&self.name),
            None => RawPath::new("."),
        }
    }
}

// One after another: as a recursion, a deep tree would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some((parent, _)) = above {
            above = Arc::into_inner(parent).and_then(|mut parent| parent.above.take());
        }
    }
}

/// The open directories of a volume.
#[derive(Debug)]
pub(crate) struct OpenDirs {
    /// Absent where nothing is written.
    top: Option<Arc<Dir>>,
    /// Who was used last is last.
    open: Mutex<VecDeque<(u64, Arc<Dir>)>>,
}

impl OpenDirs {
    /// `top` is the directory that the volume is made in; without one, there is nothing to open.
    pub(crate) fn new(top: Option<Dir>) -> Self {
        Self { top: top.map(Arc::new), open: Mutex::default() }
    }

    /// The open directory of a node.
    pub(crate) fn get(&self, node: &Node) -> io::Result<Arc<Dir>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut closed, mut nearest) = (Vec::new(), node);
        let mut dir = loop {
            let Some((parent, _)) = &nearest.above else {
                break self.top.clone().ok_or(io::ErrorKind::Unsupported)?;
            };
            let at = open.iter().rposition(|(id, _)| *id == nearest.id);
            if let Some((id, dir)) = at.and_then(|at| open.remove(at)) {
                open.push_back((id, Arc::clone(&dir)));
                break dir;
            }
            closed.push(nearest);
            nearest = parent;
        };
        // Name by name, so that nothing made meanwhile can lead elsewhere.
        for node in closed.into_iter().rev() {
            dir = Arc::new(dir.open_dir(&node.name)?);
            keep(&mut open, node.id, &dir);
        }
        Ok(dir)
    }

    /// Remembers a directory that was just opened.
    pub(crate) fn put(&self, node: &Node, dir: Dir) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        keep(&mut open, node.id, &Arc::new(dir));
    }

    /// Closes the directory of a node that is done.
    pub(crate) fn close(&self, node: &Node) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(id, _)| *id != node.id);
    }
}

fn keep(open: &mut VecDeque<(u64, Arc<Dir>)>, id: u64, dir: &Arc<Dir>) {
    open.push_back((id, Arc::clone(dir)));
    if open.len() > OPEN_MAX {
        open.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_tree_takes_few_descriptors_and_no_stack() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = OpenDirs::new(Some(Dir::open(folder.path()).unwrap()));
        let mut nodes = vec![Node::top(true)];
        for _ in 0..300 {
            let above = nodes.last().unwrap();
            let dir = dirs.get(above).unwrap().create_dir(b"d").unwrap();
            let node = Node::below(above, b"d".to_vec(), Metadata::default(), true);
            dirs.put(&node, dir);
            nodes.push(node);
            assert!(dirs.open.lock().unwrap().len() <= OPEN_MAX);
        }
        dirs.get(&nodes[150]).unwrap().create_file(b"here").unwrap();
        assert_eq!(dirs.get(&nodes[150]).unwrap().names().unwrap(), [&b"d"[..], b"here"]);
        assert_eq!(nodes[1].path(b"x").to_string(), "x");
        assert_eq!(nodes[3].path(b"x").to_string(), "d/d/x");
        assert_eq!(
            (nodes[1].own_path(), nodes[2].own_path().to_string()),
            (RawPath::new("."), "d".into())
        );
        let mut deep = nodes.pop().unwrap();
        drop(nodes);
        for _ in 0..200_000 {
            deep = Node::below(&deep, Vec::new(), Metadata::default(), true);
        }
        drop(deep);
    }

    #[test]
    fn nothing_leads_out_of_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = OpenDirs::new(Some(Dir::open(folder.path()).unwrap()));
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let node = Node::below(&Node::top(true), b"link".to_vec(), Metadata::default(), true);
        assert!(dirs.get(&node).is_err());
    }
}
