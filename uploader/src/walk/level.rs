//! A directory that the walk is in.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use platform::files::{Dir, Glance};

use super::scan::{Names, Scanned, scan};
use super::scanners::{Pending, Scanners};
use crate::parent::ParentDirectory;
use crate::volume::Volume;

/// How many directories of one level are read ahead of the walk at most; when half of them are
/// left, the next are begun.
const DIRECTORIES_AHEAD: usize = 16;

/// A directory whose names are being looked at.
pub(super) struct Level {
    pub(super) dir: Arc<Dir>,
    pub(super) device: u64,
    pub(super) path: PathBuf,
    pub(super) names: Names,
    pub(super) parent: Option<ParentDirectory>,
    /// Which of the names comes next.
    next: usize,
    /// Directories that are being read ahead: the next ones in the order of the names.
    ahead: VecDeque<(usize, Pending)>,
    /// Which of the names is the next to be considered for that.
    considered: usize,
}

impl Level {
    pub(super) fn new(
        (dir, device): (Arc<Dir>, u64),
        path: PathBuf,
        names: Names,
        parent: Option<ParentDirectory>,
    ) -> Self {
        let ahead = VecDeque::new();
        Self { dir, device, path, names, parent, next: 0, ahead, considered: 0 }
    }

    /// Which name comes next; `None` after the last.
    pub(super) fn advance(&mut self) -> Option<usize> {
        let at = self.next;
        self.next += 1;
        (at < self.names.len()).then_some(at)
    }

    /// What was seen of a name ahead of the walk, if anybody looked.
    pub(super) fn take_glance(&mut self, at: usize) -> Option<io::Result<Glance>> {
        self.names.take_glance(at)
    }

    /// Has the next directories read while the walk is still before them.
    pub(super) fn read_ahead(&mut self, volume: &Volume, scanners: &Scanners) {
        if self.ahead.len() > DIRECTORIES_AHEAD / 2 {
            return;
        }
        self.considered = self.considered.max(self.next);
        let mut chosen = Vec::new();
        while self.ahead.len() + chosen.len() < DIRECTORIES_AHEAD
            && self.considered < self.names.len()
        {
            let at = self.considered;
            self.considered += 1;
            let name = self.names.name(at);
            if self.names.is_directory(at)
                && !volume.leaves_out(&self.path, name)
                && volume.graft(&self.path, name).is_none()
            {
                chosen.push(at);
            }
        }
        if !chosen.is_empty() {
            let names = chosen.iter().map(|at| self.names.name(*at));
            let pending = scanners.begin(&self.dir, names);
            self.ahead.extend(chosen.into_iter().zip(pending));
        }
    }

    /// What is in the directory of this name, which was read ahead or is read now.
    pub(super) fn scan(&mut self, at: usize) -> io::Result<Scanned> {
        match self.ahead.pop_front_if(|(ahead, _)| *ahead == at) {
            Some((_, pending)) => pending.wait(),
            None => self.dir.open_dir(self.names.name(at)).and_then(scan),
        }
    }
}
