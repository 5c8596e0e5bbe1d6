//! One regular file, from its first piece to its metadata.
//!
//! Pieces come in any order and from any thread. They are put together in blocks, and a block that
//! is complete is hashed and written. The metadata comes last, and with it the recorded time of
//! modification: a file that was interrupted never has it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use format::ids::ContentHash;
use format::tree::Metadata;
use platform::files;
use platform::files::direct::BlockFile;
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, futimens};

use crate::block::{BLOCK_BYTES, Block};
use crate::budget::Share;
use crate::content::PageOrder;
use crate::directory::Node;
use crate::links::LinkKey;
use crate::site::{Site, refusal};

/// A file that is being restored.
#[derive(Debug)]
pub(crate) struct FileWork {
    dir: Arc<Node>,
    name: Vec<u8>,
    metadata: Metadata,
    size: u64,
    hash: Option<ContentHash>,
    link: Option<LinkKey>,
    /// The whole content is one piece, and needs no blocks.
    is_one_piece: bool,
    state: Mutex<State>,
    blocks: Mutex<HashMap<u64, Arc<Mutex<Option<Block>>>>>,
    pages: Mutex<Option<PageOrder>>,
    /// The pieces that are still to come, and one for the walk through the extents.
    pending: AtomicUsize,
}

/// What the walk knows of a file.
#[derive(Debug)]
pub(crate) struct FilePlan {
    pub(crate) dir: Arc<Node>,
    pub(crate) name: Vec<u8>,
    pub(crate) metadata: Metadata,
    pub(crate) size: u64,
    pub(crate) hash: Option<ContentHash>,
    pub(crate) link: Option<LinkKey>,
    pub(crate) is_one_piece: bool,
    /// The file that is there already and is changed in place.
    pub(crate) present: Option<Arc<BlockFile>>,
}

#[derive(Debug)]
struct State {
    file: Option<Arc<BlockFile>>,
    origin: Origin,
    failure: Option<Failure>,
}

/// Where the open file comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    /// It is there, and as it was.
    Present,
    /// It was there, and has been changed.
    Changed,
    /// It was not there.
    New,
}

/// Why a file is not restored.
#[derive(Debug)]
enum Failure {
    Lost(String),
    /// The restore ends.
    Stopped,
}

impl FileWork {
    /// Begins a file. It is done when it was [released](Self::release) once for each
    /// [hold](Self::hold), and once for the beginning.
    pub(crate) fn begin(plan: FilePlan, site: &Site) -> Arc<Self> {
        let FilePlan { dir, name, metadata, size, hash, link, is_one_piece, present } = plan;
        let origin = if present.is_some() { Origin::Present } else { Origin::New };
        site.begin_file();
        Arc::new(Self {
            dir: Arc::clone(dir.hold()),
            name,
            metadata,
            size,
            hash,
            link,
            is_one_piece,
            state: Mutex::new(State { file: present, origin, failure: None }),
            blocks: Mutex::default(),
            pages: Mutex::new(hash.map(|_| PageOrder::new(site.keys()))),
            pending: AtomicUsize::new(1),
        })
    }

    /// One more piece is to come.
    pub(crate) fn hold(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// A piece is done, or will not come.
    pub(crate) fn release(&self, site: &Site) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish(site);
            self.dir.release(site);
            site.end_file();
        }
    }

    /// Something of the content is lost; the first reason is the one that counts.
    pub(crate) fn lose(&self, reason: String) {
        self.state().failure.get_or_insert(Failure::Lost(reason));
    }

    /// The restore ends before the file is done.
    pub(crate) fn give_up(&self) {
        self.state().failure.get_or_insert(Failure::Stopped);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    /// How many bytes it will have.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is put together in blocks.
    pub(crate) fn has_blocks(&self) -> bool {
        !self.is_one_piece
    }

    /// Makes place for a block, before anything is put in it.
    pub(crate) fn begin_block(&self, number: u64, memory: Share, site: &Site) {
        let start = number.saturating_mul(BLOCK_BYTES as u64);
        let length = self.size.saturating_sub(start).min(BLOCK_BYTES as u64);
        let length = usize::try_from(length).unwrap_or(BLOCK_BYTES);
        let block = Block::new(site.buffer(), length, memory);
        locked(&self.blocks).insert(number, Arc::new(Mutex::new(Some(block))));
    }

    /// The blocks from `start` up to `end` are holes, and no place was made for them.
    pub(crate) fn pass_holes(&self, start: u64, end: u64) {
        if let Some(pages) = locked(&self.pages).as_mut() {
            pages.holes(start, end);
        }
    }

    /// Takes bytes of the content. With `in_file` they are in the file already.
    pub(crate) fn fill(&self, at: u64, bytes: &[u8], in_file: bool, site: &Site) {
        let filled = if self.is_one_piece {
            self.write_whole(bytes, site)
        } else {
            self.fill_blocks(at, bytes.len() as u64, site, |block, within, from, length| {
                let part = bytes.get(from..from + length).unwrap_or_default();
                block.fill(within, part, in_file)
            })
        };
        filled.unwrap_or_else(|error| self.refuse(error, site));
    }

    /// Takes a hole, or the part of it that lies in blocks that hold data too.
    pub(crate) fn fill_hole(&self, at: u64, length: u64, site: &Site) {
        let filled = self.fill_blocks(at, length, site, |block, within, _, length| {
            block.fill_hole(within, length)
        });
        filled.unwrap_or_else(|error| self.refuse(error, site));
    }

    /// The system did not do what was asked of it for this file.
    pub(crate) fn refuse(&self, error: io::Error, site: &Site) {
        match refusal(error) {
            Ok(reason) => self.lose(reason),
            Err(error) => {
                self.give_up();
                site.stop(Some(site.write_error(self.dir.path(&self.name), error)));
            }
        }
    }

    fn fill_blocks(
        &self,
        at: u64,
        length: u64,
        site: &Site,
        mut fill: impl FnMut(&mut Block, usize, usize, usize) -> bool,
    ) -> io::Result<()> {
        let (block_bytes, end) = (BLOCK_BYTES as u64, at.saturating_add(length));
        let mut position = at;
        while position < end {
            let (number, within) = (position / block_bytes, position % block_bytes);
            let run = (block_bytes - within).min(end - position);
            let place = locked(&self.blocks).get(&number).map(Arc::clone);
            if let Some(place) = place {
                let mut slot = locked(&place);
                let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                let filled = |block: &mut Block| {
                    fill(block, small(within), small(position - at), small(run))
                };
                if slot.as_mut().is_some_and(filled) {
                    let block = slot.take();
                    drop(slot);
                    locked(&self.blocks).remove(&number);
                    block.map_or(Ok(()), |block| self.write_block(number, block, site))?;
                }
            }
            position += run;
        }
        Ok(())
    }

    fn write_block(&self, number: u64, block: Block, site: &Site) -> io::Result<()> {
        if !self.has_failed() {
            if self.hash.is_some() {
                let digests = block.digests(site.keys());
                if let Some(pages) = locked(&self.pages).as_mut() {
                    pages.block(number, digests);
                }
            }
            let start = number.saturating_mul(BLOCK_BYTES as u64);
            for (at, bytes) in block.fresh() {
                if site.writes {
                    self.open(site)?.write_block(start + at as u64, bytes)?;
                }
                site.count_written(bytes.len() as u64);
            }
        }
        site.give_back(block.into_buffer());
        Ok(())
    }

    fn write_whole(&self, bytes: &[u8], site: &Site) -> io::Result<()> {
        if site.writes {
            self.open(site)?.write_block(0, bytes)?;
        }
        site.count_written(bytes.len() as u64);
        Ok(())
    }

    /// The file, to be changed. It is made, or marked as unfinished, when it is asked for first.
    pub(crate) fn open(&self, site: &Site) -> io::Result<Arc<BlockFile>> {
        let mut state = self.state();
        if let Some(file) = &state.file {
            let file = Arc::clone(file);
            if state.origin == Origin::Present {
                state.origin = Origin::Changed;
                // Not the recorded time, whatever the clock says, until the end.
                futimens(&*file, &UNFINISHED)?;
                file.file().set_len(self.size)?;
            }
            return Ok(file);
        }
        let file = site.dirs.get(&self.dir)?.create_file(&self.name)?;
        let file = if self.size < BLOCK_BYTES as u64 {
            BlockFile::cached(file)
        } else {
            BlockFile::new(file)
        };
        let file = Arc::new(file);
        state.file = Some(Arc::clone(&file));
        if !self.is_one_piece && self.size > 0 {
            file.file().set_len(self.size)?;
        }
        Ok(file)
    }

    fn finish(&self, site: &Site) {
        // Blocks that were never completed go, and their memory with them.
        let unfinished = std::mem::take(&mut *locked(&self.blocks));
        debug_assert!(unfinished.is_empty() || self.has_failed() || site.is_stopped());
        drop(unfinished);
        if site.is_stopped() {
            self.give_up();
        } else if !self.has_failed() {
            self.conclude(site).unwrap_or_else(|error| self.refuse(error, site));
        }
        let mut state = self.state();
        let Some(failure) = state.failure.take() else {
            drop(state);
            if let Some(link) = self.link {
                site.links.made(link, &self.dir, &self.name);
            }
            return site.count(self.size);
        };
        let is_to_go = match state.origin {
            Origin::New => state.file.is_some(),
            Origin::Present => false,
            // Half of the one and half of the other is nobody's file. When the restore ends, it is
            // left for the next one, which goes on with it.
            Origin::Changed => matches!(failure, Failure::Lost(_)),
        };
        drop(state);
        if let Some(link) = self.link {
            site.links.failed(link);
        }
        if is_to_go {
            // With a hole where data should be it would look like a file: rather none.
            let removed = site.dirs.get(&self.dir).and_then(|dir| dir.remove_file(&self.name));
            if let Err(error) = removed {
                site.stop(Some(site.write_error(self.dir.path(&self.name), error)));
            }
        }
        if let Failure::Lost(reason) = failure {
            site.lose(self.dir.path(&self.name), reason);
        }
    }

    // The content is complete: is it what was saved? Then the metadata.
    fn conclude(&self, site: &Site) -> io::Result<()> {
        let pages = locked(&self.pages).take();
        if pages.map(|pages| pages.finish(self.size)) != self.hash {
            self.lose("its content is not what its hash says".into());
            return Ok(());
        }
        if !site.writes {
            return Ok(());
        }
        let is_present = self.state().origin == Origin::Present;
        let present = self.state().file.clone().filter(|_| is_present);
        let file = match present {
            Some(file) if file.file().metadata()?.len() == self.size => file,
            _ => self.open(site)?,
        };
        let is_new = self.state().origin == Origin::New && self.dir.is_new();
        let refusals = match site.birth.get() {
            Some(birth) if is_new => files::apply_new(&*file, *birth, &self.metadata)?,
            _ => files::apply_open(&*file, &self.metadata)?,
        };
        if !refusals.is_empty() {
            site.note(&self.dir.path(&self.name), refusals);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// The time of modification of a file that is being changed: 1970.
const UNFINISHED: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
};

// What is behind these locks is whole between any two changes, so a panic elsewhere leaves it so.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
