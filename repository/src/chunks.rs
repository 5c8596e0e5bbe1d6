//! The chunks of a repository, read by name.

mod current;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use format::ids::{ChunkId, PointId};
use format::keys::Keys;
use format::names::{ObjectName, PackName};
use format::pack::{self, FrameAddress, OpenedFrame};
use format::tree::Slice;
use tokio::runtime::Handle;

use self::current::{Again, Current, Renewal, Stale};
use crate::blocking;
use crate::error::RepositoryError;
use crate::frames::Frames;
use crate::index::{Index, Place};
use crate::nearby::Nearby;
use crate::protocol::condemned::Condemned;
use crate::reader::Reader;

/// Reads chunks, each checked against its name.
///
/// Beside a prune, packs vanish whose chunks were moved elsewhere. Then the index is loaded again;
/// what is not found even so is lost, or belongs to a point that was forgotten.
#[derive(Debug)]
pub struct Chunks {
    reader: Reader,
    current: Current,
    frames: Frames,
    nearby: Option<Arc<Nearby>>,
}

impl Chunks {
    /// Loads the index of the repository.
    ///
    /// What was read of it is kept below `cache` for the next time, as far as that can be written:
    /// a directory that any number of processes may share and that may be deleted at any time.
    pub async fn load(reader: &Reader, cache: Option<&Path>) -> Result<Self, RepositoryError> {
        Self::load_again(reader, cache, Condemned::default(), true).await
    }

    /// The same without what is condemned.
    pub(crate) async fn load_for_writer(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: Condemned,
    ) -> Result<Self, RepositoryError> {
        Self::load_again(reader, cache, condemned, false).await
    }

    async fn load_again(
        reader: &Reader,
        cache: Option<&Path>,
        condemned: Condemned,
        follows: bool,
    ) -> Result<Self, RepositoryError> {
        let index = current::load(reader, cache, &condemned, follows).await?;
        let again = Again { cache: cache.map(Path::to_owned), condemned, follows };
        let current = Current::new(index, Some(again));
        Ok(Self { reader: reader.clone(), current, frames: Frames::default(), nearby: None })
    }

    /// The same, with these chunks at hand.
    #[must_use]
    pub fn with_nearby(self, nearby: Option<Arc<Nearby>>) -> Self {
        Self { nearby, ..self }
    }

    /// Reads by an index that is loaded already, and by no other.
    pub(crate) fn with(reader: &Reader, index: Index) -> Self {
        let current = Current::new(index, None);
        Self { reader: reader.clone(), current, frames: Frames::default(), nearby: None }
    }

    /// Which chunks there are, as of when this was last looked at.
    pub fn index(&self) -> Arc<Index> {
        self.current.index()
    }

    /// The keys that chunks are named by.
    pub fn keys(&self) -> &Keys {
        self.reader.keys()
    }

    /// Whether a restore point is to be forgotten: then what it needs may be gone.
    pub async fn is_forgotten(&self, point: PointId) -> Result<bool, RepositoryError> {
        self.reader.is_forgotten(point).await
    }

    /// What the index answers. It is asked once more when a table of it turns out to be damaged.
    /// Blocks then: not for async code.
    pub fn ask_blocking<T>(
        &self,
        runtime: &Handle,
        question: impl Fn(&Index) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        loop {
            let index = self.index();
            let answer = question(&index);
            let Err(error @ RepositoryError::Cache { .. }) = answer else { return answer };
            let renewal = self.current.renew(&self.reader, &index, Stale::Damaged);
            if runtime.block_on(renewal)? == Renewal::Useless {
                return Err(error);
            }
        }
    }

    /// The bytes of a slice: those at hand, or from any pack that has them.
    pub async fn read(&self, slice: Slice) -> Result<Bytes, RepositoryError> {
        let nearby = self.nearby.as_ref().and_then(|nearby| nearby.read(slice, self.keys()));
        if let Some(bytes) = nearby {
            return Ok(bytes);
        }
        let mut renewal = Renewal::Before;
        loop {
            let index = self.index();
            match self.read_by(&index, slice).await {
                Ok(bytes) => {
                    self.keep(slice, &bytes);
                    return Ok(self.found(bytes, renewal));
                }
                Err(error) => renewal = self.renew_after(error, renewal, &index).await?,
            }
        }
    }

    // What was fetched is at hand from then on, if it is a whole chunk.
    fn keep(&self, slice: Slice, bytes: &[u8]) {
        if let Some(nearby) = &self.nearby
            && slice.offset == 0
            && self.keys().chunk_id(bytes) == slice.chunk
        {
            nearby.keep(slice.chunk, bytes);
        }
    }

    /// Where a chunk is, for threads that may wait; quick when nothing has to be loaded.
    ///
    /// # Errors
    /// [`RepositoryError::MissingChunk`] when no pack that is there has it.
    pub fn find_blocking(
        &self,
        chunk: ChunkId,
        runtime: &Handle,
    ) -> Result<Place, RepositoryError> {
        match self.index().find(chunk) {
            Ok(Some(place)) => Ok(place),
            _ => runtime.block_on(self.look_up(chunk, |_| true)),
        }
    }

    /// A place of a chunk that is none of those that were `tried`, the last of them with this
    /// `failure`; `None` when there is no other.
    pub async fn elsewhere(
        &self,
        chunk: ChunkId,
        tried: impl Fn(&FrameAddress) -> bool,
        failure: &RepositoryError,
    ) -> Result<Option<Place>, RepositoryError> {
        let is_other = |place: &Place| !tried(&place.frame);
        if !failure.is_gone() {
            // What is damaged was not moved: only what is known already can help.
            return Ok(self.index().places(chunk)?.into_iter().find(is_other));
        }
        match self.look_up(chunk, is_other).await {
            Ok(place) => Ok(Some(place)),
            Err(RepositoryError::MissingChunk(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look_up(
        &self,
        chunk: ChunkId,
        is_wanted: impl Fn(&Place) -> bool,
    ) -> Result<Place, RepositoryError> {
        let mut renewal = Renewal::Before;
        loop {
            let index = self.index();
            let places = index.places(chunk).map(|places| places.into_iter().find(&is_wanted));
            match places.and_then(|place| place.ok_or(RepositoryError::MissingChunk(chunk))) {
                Ok(place) => return Ok(self.found(place, renewal)),
                Err(error) => renewal = self.renew_after(error, renewal, &index).await?,
            }
        }
    }

    fn found<T>(&self, found: T, renewal: Renewal) -> T {
        if renewal == Renewal::Now {
            self.current.was_fruitful();
        }
        found
    }

    // Sees to another index, or gives the error back when that would not help.
    async fn renew_after(
        &self,
        error: RepositoryError,
        before: Renewal,
        index: &Arc<Index>,
    ) -> Result<Renewal, RepositoryError> {
        let Some(why) = Stale::of(&error) else { return Err(error) };
        // What is not in an index that is quite new is not anywhere.
        if before == Renewal::Now && why == Stale::Gone {
            return Err(error);
        }
        match self.current.renew(&self.reader, index, why).await? {
            Renewal::Useless => Err(error),
            renewal => Ok(renewal),
        }
    }

    async fn read_by(&self, index: &Index, slice: Slice) -> Result<Bytes, RepositoryError> {
        let mut failure: Option<RepositoryError> = None;
        for place in index.places(slice.chunk)? {
            match self.read_at(place, slice).await {
                Ok(bytes) => return Ok(bytes),
                // That one is gone is the better reason: another index may lead elsewhere.
                Err(error) if failure.as_ref().is_none_or(|f| !f.is_gone()) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or(RepositoryError::MissingChunk(slice.chunk)))
    }

    async fn read_at(&self, place: Place, slice: Slice) -> Result<Bytes, RepositoryError> {
        let frame = self.frame(place.frame).await?;
        let name = ObjectName::Pack(place.frame.pack);
        let chunk = frame
            .chunk(self.keys(), slice.chunk, place.offset, place.length)
            .map_err(|e| RepositoryError::damaged(name, e))?;
        let end = (slice.offset as usize).saturating_add(slice.length as usize);
        let bytes = chunk.get(slice.offset as usize..end);
        let bytes =
            bytes.ok_or_else(|| RepositoryError::damaged(name, "a slice leaves its chunk"))?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// Exactly these bytes of a pack, as they are stored.
    pub async fn fetch_range(
        &self,
        pack: PackName,
        range: Range<u64>,
    ) -> Result<Bytes, RepositoryError> {
        Ok(self.reader.store().get_range(ObjectName::Pack(pack), range).await?)
    }

    // Many may want the same frame at once: it is fetched and opened for all of them.
    async fn frame(&self, address: FrameAddress) -> Result<Arc<OpenedFrame>, RepositoryError> {
        let key = (address.pack, address.number);
        let opening = async || {
            let end = address.offset.saturating_add(u64::from(address.length));
            let sealed = self.fetch_range(address.pack, address.offset..end).await?;
            let keys = Arc::clone(self.reader.keys());
            // Opening takes milliseconds of computing: not on a thread that others wait for.
            let opening = blocking::run(move || open_frame(&keys, &address, &sealed));
            let frame = Arc::new(opening.await?);
            self.frames.opened(key, &frame);
            Ok(frame)
        };
        let cell = self.frames.cell(key);
        cell.get_or_try_init(opening).await.cloned()
    }
}

/// Opens a frame, of which `sealed` are the stored bytes; names the pack when that fails.
pub fn open_frame(
    keys: &Keys,
    frame: &FrameAddress,
    sealed: &[u8],
) -> Result<OpenedFrame, RepositoryError> {
    pack::open_frame(keys, frame, sealed)
        .map_err(|error| RepositoryError::damaged(ObjectName::Pack(frame.pack), error))
}
