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
    /// A file that is being read.
    Reading(Reading),
    /// One more name of a file that came before.
    Again { name: RawPath, path: RawPath, identity: Identity },
    /// Something that cannot be saved.
    Omitted(Omission),
}

/// A file that is being read, and where its content will come from.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) name: RawPath,
    /// The path below the root of the volume.
    pub(crate) path: RawPath,
    pub(crate) outcome: oneshot::Receiver<ReadFile>,
}

/// How many events go from thread to thread at once: to wake another one for each costs more than
/// to make it.
const TOLD_AT_ONCE: usize = 128;
/// How many such groups wait; the walk may be some 4,000 files ahead of the new tree.
const GROUPS_WAITING: usize = 32;

/// Tells of events.
#[derive(Debug)]
pub(crate) struct Teller {
    groups: SyncSender<Vec<Event>>,
    group: Vec<Event>,
}

/// The way from those who walk to those who write.
pub(crate) fn channel() -> (Teller, Receiver<Vec<Event>>) {
    let (groups, events) = sync_channel(GROUPS_WAITING);
    (Teller { groups, group: Vec::new() }, events)
}

impl Teller {
    /// Waits while too many events are waiting already.
    pub(crate) fn tell(&mut self, event: Event) -> Result<(), UploadError> {
        self.group.push(event);
        if self.group.len() < TOLD_AT_ONCE { Ok(()) } else { self.finish() }
    }

    /// Tells what was held back.
    pub(crate) fn finish(&mut self) -> Result<(), UploadError> {
        let group = std::mem::take(&mut self.group);
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
