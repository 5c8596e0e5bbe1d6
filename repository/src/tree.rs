//! Trees of stored files, read entry by entry: neither a directory nor a file is ever held whole.

use std::sync::Arc;

use format::ids::Digest;
use format::keys::Keys;
use format::listing::{self, ListingError};
use format::stream;
use format::tree::{Content, Entry, Extent, Extents, Slice};

use tokio::runtime::Handle;

use crate::chunks::Chunks;
use crate::error::RepositoryError;

/// Stands for a stream of any length: which slices it lies in.
pub(crate) fn digest(keys: &Keys, stream: &[Slice]) -> Digest {
    let mut digester = keys.digester();
    for slice in stream {
        digester.update(slice.chunk.as_bytes());
        digester.update(&slice.offset.to_le_bytes());
        digester.update(&slice.length.to_le_bytes());
    }
    digester.finish()
}

/// The entries of a stored directory, in the order of their names.
#[derive(Debug)]
pub struct EntryReader {
    chunks: Arc<Chunks>,
    listing: std::vec::IntoIter<Slice>,
    decoder: listing::Decoder,
}

impl EntryReader {
    /// Reads the listing that lies in these slices.
    pub fn new(chunks: &Arc<Chunks>, listing: Vec<Slice>) -> Self {
        let (chunks, listing) = (Arc::clone(chunks), listing.into_iter());
        Self { chunks, listing, decoder: listing::Decoder::default() }
    }

    /// What [`Self::next`] gives, for threads that may wait; quick when nothing has to be fetched.
    pub fn next_blocking(&mut self, runtime: &Handle) -> Result<Option<Entry>, RepositoryError> {
        match self.buffered()? {
            Some(entry) => Ok(Some(entry)),
            None => runtime.block_on(self.next()),
        }
    }

    /// The next entry if it can be had without waiting for the store.
    fn buffered(&mut self) -> Result<Option<Entry>, RepositoryError> {
        Ok(self.decoder.entry()?)
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When a part of the listing is missing or damaged; what follows it is lost.
    pub async fn next(&mut self) -> Result<Option<Entry>, RepositoryError> {
        loop {
            if let Some(entry) = self.decoder.entry()? {
                return Ok(Some(entry));
            }
            match self.listing.next() {
                Some(slice) => self.decoder.feed(&self.chunks.read(slice).await?),
                None if self.decoder.end() => {}
                None => return Ok(self.decoder.finish().map(|()| None)?),
            }
        }
    }
}

/// The extents of a stored file, from its first byte to its last.
#[derive(Debug)]
pub struct ExtentReader {
    chunks: Arc<Chunks>,
    here: std::vec::IntoIter<Extent>,
    stored: std::vec::IntoIter<Slice>,
    decoder: stream::Decoder<Extent>,
    /// How many bytes of the file are still to come.
    left: u64,
}

impl ExtentReader {
    /// Reads the extents of this file.
    pub fn new(chunks: &Arc<Chunks>, content: Content) -> Self {
        let (here, stored) = match content.extents {
            Extents::Here(extents) => (extents, Vec::new()),
            Extents::Stored(slices) => (Vec::new(), slices),
        };
        Self {
            chunks: Arc::clone(chunks),
            here: here.into_iter(),
            stored: stored.into_iter(),
            decoder: stream::Decoder::default(),
            left: content.size,
        }
    }

    /// What [`Self::next`] gives, for threads that may wait; quick when nothing has to be fetched.
    pub fn next_blocking(&mut self, runtime: &Handle) -> Result<Option<Extent>, RepositoryError> {
        match self.buffered()? {
            Some(extent) => Ok(Some(extent)),
            None => runtime.block_on(self.next()),
        }
    }

    /// The next extent if it can be had without waiting for the store.
    fn buffered(&mut self) -> Result<Option<Extent>, RepositoryError> {
        match self.here.next() {
            Some(extent) => self.count(extent).map(Some),
            None => match self.decoder.value().map_err(|_| RepositoryError::Extents)? {
                Some(extent) => self.count(extent).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The next extent; `None` at the end of the file.
    ///
    /// # Errors
    /// When a part of the list is missing or damaged, or does not add up to the file's size.
    pub async fn next(&mut self) -> Result<Option<Extent>, RepositoryError> {
        let Some(extent) = self.read().await? else {
            return if self.left == 0 { Ok(None) } else { Err(RepositoryError::Extents) };
        };
        self.count(extent).map(Some)
    }

    fn count(&mut self, extent: Extent) -> Result<Extent, RepositoryError> {
        let left = self.left.checked_sub(extent.length());
        self.left = left.filter(|_| extent.length() > 0).ok_or(RepositoryError::Extents)?;
        Ok(extent)
    }

    async fn read(&mut self) -> Result<Option<Extent>, RepositoryError> {
        if let Some(extent) = self.here.next() {
            return Ok(Some(extent));
        }
        loop {
            if let Some(extent) = self.decoder.value().map_err(|_| RepositoryError::Extents)? {
                return Ok(Some(extent));
            }
            let Some(slice) = self.stored.next() else {
                if self.decoder.end() {
                    continue;
                }
                self.decoder.finish().map_err(|_| RepositoryError::Extents)?;
                return Ok(None);
            };
            self.decoder.feed(&self.chunks.read(slice).await?);
        }
    }
}

/// The entry of a volume's root.
pub async fn root(chunks: &Chunks, slices: &[Slice]) -> Result<Entry, RepositoryError> {
    let mut bytes = Vec::new();
    for slice in slices {
        bytes.extend_from_slice(&chunks.read(*slice).await?);
        if bytes.len() > ROOT_BYTES_MAX {
            return Err(ListingError::Damaged { entries: 0 }.into());
        }
    }
    Ok(listing::read_root(&bytes)?)
}

/// The stream of a root has one entry, and that is not longer than any other.
const ROOT_BYTES_MAX: usize = 32 << 20;
