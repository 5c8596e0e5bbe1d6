//! What the walk has met, in the order of the tree: the one stream between walking, reading and
//! writing the new tree.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use format::manifest::Omission;
use format::raw::RawPath;
use format::tree::Entry;
use platform::files::{Glance, Inspected};
use tokio::sync::oneshot;

use crate::error::UploadError;
use crate::file::ReadFile;

/// One step of a walk.
#[derive(Debug)]
pub(crate) enum Event {
    /// A directory. What follows until [`Event::Leave`] is in it.
    Enter(Box<Entry>),
    /// The end of the directory that was entered last.
    Leave,
    /// A file that is known completely: it is as it was in the parent point, or holds no content.
    Known {
        entry: Box<Entry>,
        identity: Identity,
        /// How many bytes of its content are in no hole.
        data: u64,
    },
    /// Files of one directory that are being read.
    Reading(Reading),
    /// One more name of a file that came before.
    Again { name: RawPath, path: RawPath, identity: Identity },
    /// Something that cannot be saved.
    Omitted(Omission),
}

/// Files that are being read, and where their content will come from.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The path of their directory below the root of the volume.
    pub(crate) directory: RawPath,
    pub(crate) names: Vec<RawPath>,
    /// One for each of the names, in their order.
    pub(crate) outcomes: oneshot::Receiver<Vec<ReadFile>>,
}

/// How many files go from thread to thread at once, or some more: to wake another one for each
/// costs more than to tell of it.
const TOLD_AT_ONCE: usize = 128;
/// How many such groups wait; the walk may be some 4,000 files ahead of the new tree.
const GROUPS_WAITING: usize = 32;

/// Tells of events.
#[derive(Debug)]
pub(crate) struct Teller {
    groups: SyncSender<Vec<Event>>,
    group: Vec<Event>,
    /// How many files are in the group.
    files: usize,
}

/// The way from those who walk to those who write.
pub(crate) fn channel() -> (Teller, Receiver<Vec<Event>>) {
    let (groups, events) = sync_channel(GROUPS_WAITING);
    (Teller { groups, group: Vec::new(), files: 0 }, events)
}

impl Teller {
    /// Waits while too many events are waiting already.
    pub(crate) fn tell(&mut self, event: Event) -> Result<(), UploadError> {
        self.files += match &event {
            Event::Reading(reading) => reading.names.len(),
            _ => 1,
        };
        self.group.push(event);
        if self.files < TOLD_AT_ONCE { Ok(()) } else { self.finish() }
    }

    /// Tells what was held back.
    pub(crate) fn finish(&mut self) -> Result<(), UploadError> {
        let group = std::mem::take(&mut self.group);
        self.files = 0;
        self.groups.send(group).map_err(|_| UploadError::Stopped)
    }
}

/// Which file of the machine it is, and how many names it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) links: u64,
}

impl From<&Glance> for Identity {
    fn from(glance: &Glance) -> Self {
        Self { device: glance.device, inode: glance.stamp.inode, links: glance.links }
    }
}

impl From<&Inspected> for Identity {
    fn from(found: &Inspected) -> Self {
        Self { device: found.device, inode: found.inode, links: found.links }
    }
}
