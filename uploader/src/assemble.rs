//! The new tree, written in order while its files are read in any order.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::Receiver;

use format::chunker::Chunker;
use format::ids::ContentHash;
use format::manifest::Omission;
use format::raw::RawPath;
use format::tree::{Entry, HardLink, Kind, Slice};

use crate::error::UploadError;
use crate::event::{Event, Identity, Reading};
use crate::file::{ContentError, ReadFile, StoredFile};
use crate::intake::Intake;
use crate::large::page_map::NewPageMap;
use crate::stream::StreamWriter;

/// What a walk became.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    /// The stream with the entry of the root; absent where there is none.
    pub(crate) root: Option<Vec<Slice>>,
    /// The sum of the sizes of the regular files.
    pub(crate) bytes: u64,
    /// Of those, what takes space when it is restored.
    pub(crate) data: u64,
    /// How many bytes were read.
    pub(crate) read: u64,
    pub(crate) omissions: Vec<Omission>,
    /// The large files that are as they were: the digests of their pages are still of use.
    pub(crate) unchanged: Vec<ContentHash>,
    /// Those of the others.
    pub(crate) maps: Vec<NewPageMap>,
}

/// Takes the events of one walk.
pub(crate) struct Assembler<'a> {
    volume: RawPath,
    chunker: &'a Chunker,
    intake: &'a Intake,
    open: Vec<Directory>,
    root: Option<Entry>,
    assembled: Assembled,
    /// Device numbers in the order in which they were met.
    filesystems: HashMap<u64, u32>,
    /// Files with several names, when one of them was written.
    linked: HashMap<HardLink, Entry>,
}

struct Directory {
    entry: Entry,
    listing: StreamWriter,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(volume: RawPath, chunker: &'a Chunker, intake: &'a Intake) -> Self {
        Self {
            volume,
            chunker,
            intake,
            open: Vec::new(),
            root: None,
            assembled: Assembled::default(),
            filesystems: HashMap::new(),
            linked: HashMap::new(),
        }
    }

    /// Takes every event until the walk ends.
    pub(crate) fn run(mut self, events: Receiver<Vec<Event>>) -> Result<Assembled, UploadError> {
        for event in events.into_iter().flatten() {
            self.take(event)?;
        }
        if let Some(root) = self.root.take() {
            let mut stream = StreamWriter::default();
            stream.push(&root, self.chunker, self.intake)?;
            self.assembled.root = Some(stream.finish(self.chunker, self.intake)?);
        }
        Ok(self.assembled)
    }

    fn take(&mut self, event: Event) -> Result<(), UploadError> {
        match event {
            Event::Enter(entry) => {
                self.open.push(Directory { entry: *entry, listing: StreamWriter::default() });
                Ok(())
            }
            Event::Leave => self.leave(),
            Event::Known { entry, identity, data } => self.add_known(*entry, identity, data),
            Event::Reading(reading) => self.add_all_read(reading),
            Event::Again { name, path, identity } => {
                let linked = self.hard_link(identity).and_then(|link| self.linked.get(&link));
                let Some(first) = linked.cloned() else {
                    self.omit(path, &io::Error::other("its first name could not be read"));
                    return Ok(());
                };
                self.count(&first, 0);
                self.add(Entry { name, ..first })
            }
            Event::Omitted(omission) => {
                self.assembled.omissions.push(omission);
                Ok(())
            }
        }
    }

    fn leave(&mut self) -> Result<(), UploadError> {
        let Some(Directory { mut entry, listing }) = self.open.pop() else { return Ok(()) };
        let listing = listing.finish(self.chunker, self.intake)?;
        entry.kind = Kind::Directory { listing };
        self.add(entry)
    }

    fn add_known(
        &mut self,
        mut entry: Entry,
        identity: Identity,
        data: u64,
    ) -> Result<(), UploadError> {
        entry.metadata.hard_link = self.hard_link(identity);
        if let Kind::File(content) = &entry.kind {
            self.assembled.unchanged.extend(content.hash);
        }
        self.count(&entry, data);
        self.add(entry)
    }

    // A file with several names takes space once, and has its size under each.
    fn count(&mut self, entry: &Entry, data: u64) {
        let Kind::File(content) = &entry.kind else { return };
        // Sparse files can claim sizes that no sum holds.
        self.assembled.bytes = self.assembled.bytes.saturating_add(content.size);
        let link = entry.metadata.hard_link;
        if link.is_none_or(|link| !self.linked.contains_key(&link)) {
            self.assembled.data = self.assembled.data.saturating_add(data);
        }
        if let Some(link) = link {
            self.linked.entry(link).or_insert_with(|| entry.clone());
        }
    }

    fn add_all_read(&mut self, reading: Reading) -> Result<(), UploadError> {
        let Reading { directory, names, outcomes } = reading;
        let outcomes = outcomes.blocking_recv().map_err(|_| UploadError::Stopped)?;
        let mut read = names.into_iter().zip(outcomes);
        read.try_for_each(|(name, read)| self.add_read(&directory, name, read))
    }

    fn add_read(
        &mut self,
        directory: &RawPath,
        name: RawPath,
        read: ReadFile,
    ) -> Result<(), UploadError> {
        self.assembled.read += read.read;
        let (stored, found) = match read.content {
            Ok(read) => read,
            Err(ContentError::File(error)) => {
                self.omit(below(directory, &name), &error);
                return Ok(());
            }
            Err(ContentError::Upload(error)) => return Err(error),
        };
        let StoredFile { content, data, map } = stored;
        self.assembled.maps.extend(map);
        let identity = Identity::from(&*found);
        let mut entry = Entry { name, kind: Kind::File(content), metadata: found.metadata };
        entry.metadata.hard_link = self.hard_link(identity);
        self.count(&entry, data);
        self.add(entry)
    }

    fn add(&mut self, entry: Entry) -> Result<(), UploadError> {
        let Some(directory) = self.open.last_mut() else {
            self.root = Some(entry);
            return Ok(());
        };
        directory.listing.push(&entry, self.chunker, self.intake)
    }

    fn hard_link(&mut self, identity: Identity) -> Option<HardLink> {
        if identity.links < 2 {
            return None;
        }
        let next = u32::try_from(self.filesystems.len()).unwrap_or(u32::MAX);
        let filesystem = *self.filesystems.entry(identity.device).or_insert(next);
        Some(HardLink { filesystem, inode: identity.inode })
    }

    fn omit(&mut self, path: RawPath, error: &io::Error) {
        let (volume, reason) = (self.volume.clone(), error.to_string());
        self.assembled.omissions.push(Omission { volume, path, reason });
    }
}

// A volume that is one file has no names.
fn below(directory: &RawPath, name: &RawPath) -> RawPath {
    if name.as_bytes().is_empty() { directory.clone() } else { directory.join(name.as_bytes()) }
}
