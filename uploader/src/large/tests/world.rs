//! A file that is edited, the chunks that its points store, and what must hold of each point.

use std::collections::HashMap;
use std::ops::Range;

use format::changed_ranges::ChangedRanges;
use format::chunker::{CHUNK_BYTES_MAX, Chunker};
use format::content::{ContentHasher, PAGE_BYTES};
use format::ids::{ChunkId, ContentHash, RepositoryId};
use format::keys::{Keys, RootKey};
use format::tree::{CONTENT_HASH_BYTES_MIN, Extent, Slice};
use tempfile::TempDir;

use crate::error::UploadError;
use crate::large::assemble::{ExtentSink, Reread};
use crate::large::block::{BLOCK_BYTES, Block, Same};
use crate::large::cutting::Cutting;
use crate::large::map_cache::MapCache;
use crate::large::pages::Digested;
use crate::large::parent::Parent;
use crate::large::revise::Reviser;
use crate::sink::ChunkSink;

/// Numbers that look random (`SplitMix64`).
#[derive(Clone)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn bytes(&mut self, length: u64) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.flatten().take(usize::try_from(length).unwrap()).collect()
    }
}

/// A file with holes.
#[derive(Clone, Default)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) holes: ChangedRanges,
}

impl Sample {
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Writes over what is there; what comes after the end is cut off.
    pub(super) fn write(&mut self, start: u64, bytes: &[u8]) {
        let range = start..(start + bytes.len() as u64).min(self.size());
        self.cut_out(&range);
        let place = places(&range);
        let length = place.len();
        self.bytes[place].copy_from_slice(&bytes[..length]);
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, size: u64) {
        self.holes = self.holes.within(&(0..size));
        self.bytes.truncate(usize::try_from(size).unwrap());
    }

    pub(super) fn punch(&mut self, range: &Range<u64>) {
        let range = range.start..range.end.min(self.size());
        if !range.is_empty() {
            self.bytes[places(&range)].fill(0);
            self.holes.add(range);
        }
    }

    pub(super) fn insert(&mut self, at: u64, bytes: &[u8]) {
        let (before, after) = (self.holes.within(&(0..at)), self.holes.within(&(at..u64::MAX)));
        self.holes = before;
        let length = bytes.len() as u64;
        after.iter().for_each(|hole| self.holes.add(hole.start + length..hole.end + length));
        let at = usize::try_from(at).unwrap();
        self.bytes.splice(at..at, bytes.iter().copied());
    }

    fn cut_out(&mut self, range: &Range<u64>) {
        let mut written = ChangedRanges::default();
        written.add(range.clone());
        let holes = std::mem::take(&mut self.holes);
        let rest = holes.iter().flat_map(|hole| written.unchanged(hole).collect::<Vec<_>>());
        rest.for_each(|hole| self.holes.add(hole));
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let numbered = self.bytes.chunks(BLOCK_BYTES).zip(0_u64..);
        let blocks = numbered.map(|(bytes, number)| {
            let offset = number * BLOCK_BYTES as u64;
            let holes = self.holes.within(&(offset..offset + bytes.len() as u64));
            Block { offset, bytes: bytes.into(), holes: holes.iter().collect() }
        });
        blocks.filter(|block| {
            let all_hole = self.holes.contains_range(&block.range());
            !all_hole
        })
    }

    /// Whether it has the same there, and the same last page.
    fn has(&self, block: &Block) -> bool {
        let range = block.range();
        let holes = self.holes.within(&range);
        range.end <= self.size()
            && (range.end.is_multiple_of(PAGE_BYTES as u64) || range.end == self.size())
            && self.bytes[places(&range)] == *block.bytes
            && holes.iter().eq(block.holes.iter().cloned())
    }

    fn hash(&self, keys: &Keys) -> Option<ContentHash> {
        let mut hasher = ContentHasher::new(keys);
        for (page, number) in self.bytes.chunks(PAGE_BYTES).zip(0_u64..) {
            let start = number * PAGE_BYTES as u64;
            if !self.holes.contains_range(&(start..start + page.len() as u64)) {
                hasher.page(number, keys.digest(page));
            }
        }
        (self.size() >= CONTENT_HASH_BYTES_MIN).then(|| hasher.finish(self.size()))
    }
}

fn places(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

/// What a point has of the file.
#[derive(Default)]
pub(super) struct Point {
    pub(super) extents: Vec<Extent>,
    pub(super) hash: Option<ContentHash>,
    /// Bytes of chunks that were given to be stored.
    pub(super) given: u64,
    /// Those of them that were not stored yet.
    pub(super) stored: u64,
    /// Bytes that were read, of blocks or once more.
    pub(super) read: u64,
}

impl Point {
    pub(super) fn slices(&self) -> usize {
        self.extents.iter().filter(|extent| extent.slice().is_some()).count()
    }
}

pub(super) struct World {
    pub(super) keys: Keys,
    pub(super) chunker: Chunker,
    pub(super) chunks: HashMap<ChunkId, Vec<u8>>,
    pub(super) maps: MapCache,
    _directory: TempDir,
}

/// Whether the map of the parent's pages is still there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Map {
    Kept,
    Lost,
}

pub(super) struct Recorder<'a> {
    pub(super) keys: &'a Keys,
    pub(super) chunks: &'a mut HashMap<ChunkId, Vec<u8>>,
    pub(super) point: Point,
    /// What is read once more.
    pub(super) file: &'a [u8],
}

impl Reread for Recorder<'_> {
    fn reread(&mut self, range: Range<u64>) -> Result<Vec<u8>, UploadError> {
        assert!(range.end - range.start <= CHUNK_BYTES_MAX as u64);
        self.point.read += range.end - range.start;
        Ok(self.file[places(&range)].to_vec())
    }
}

impl ChunkSink for Recorder<'_> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<Slice, UploadError> {
        assert!((1..=CHUNK_BYTES_MAX).contains(&bytes.len()));
        let chunk = self.keys.chunk_id(bytes);
        self.point.given += bytes.len() as u64;
        if self.chunks.insert(chunk, bytes.to_vec()).is_none() {
            self.point.stored += bytes.len() as u64;
        }
        Ok(Slice { chunk, offset: 0, length: u32::try_from(bytes.len()).unwrap() })
    }
}

impl ExtentSink for Recorder<'_> {
    fn extent(&mut self, extent: Extent) -> Result<(), UploadError> {
        self.point.extents.push(extent);
        Ok(())
    }
}

impl World {
    pub(super) fn new() -> Self {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let chunker = Chunker::new(keys.cut_key());
        let directory = tempfile::tempdir().unwrap();
        let maps = MapCache::open(directory.path()).unwrap();
        Self { keys, chunker, chunks: HashMap::new(), maps, _directory: directory }
    }

    /// Stores the file as one that the parent does not have.
    pub(super) fn cut(&mut self, file: &Sample) -> Point {
        let map = Some(self.maps.writer().unwrap());
        let mut cutting = Cutting::new(&self.keys, &self.chunker, map);
        let mut sink = recorder(&self.keys, &mut self.chunks, file);
        file.blocks().for_each(|block| cutting.block(&block, &mut sink).unwrap());
        let digested = cutting.finish(file.size(), &mut sink).unwrap();
        end(sink.point, digested)
    }

    /// Stores the file as one that changed since `parent`.
    pub(super) fn revise(&mut self, file: &Sample, parent: &Point, map: Map) -> Point {
        self.revise_some(file, (parent, map), None)
    }

    /// The same where it is known what changed since it was as `before`, as the parent has it.
    pub(super) fn revise_some(
        &mut self,
        file: &Sample,
        (parent, map): (&Point, Map),
        before: Option<&Sample>,
    ) -> Point {
        let known = parent.hash.filter(|_| map == Map::Kept).map(|hash| {
            let known = self.maps.verified(hash, &self.keys);
            known.expect("a map that was kept can be read")
        });
        let there: std::collections::HashSet<ChunkId> = self.chunks.keys().copied().collect();
        let parent = Parent::new(parent.extents.iter().copied().map(Ok), move |slice| {
            Ok(there.contains(&slice.chunk))
        });
        let new_map = Some(self.maps.writer().unwrap());
        let mut reviser = Reviser::new(parent, known, &self.keys, &self.chunker, new_map);
        let mut sink = recorder(&self.keys, &mut self.chunks, file);
        for block in file.blocks() {
            let same = Same { range: block.range(), holes: block.holes.clone() };
            let is_same = before.is_some_and(|before| before.has(&block));
            if is_same && reviser.same(&same, &mut sink).unwrap() {
                continue;
            }
            sink.point.read += block.bytes.len() as u64;
            reviser.block(&block, &mut sink).unwrap();
        }
        let digested = reviser.finish(file.size(), &mut sink).unwrap();
        end(sink.point, digested)
    }

    /// Everything that must hold of a point, whatever the file was before.
    pub(super) fn check(&self, file: &Sample, point: &Point) {
        let mut restored = Vec::with_capacity(file.bytes.len());
        let mut holes = ChangedRanges::default();
        for extent in &point.extents {
            assert!(extent.length() > 0);
            let at = restored.len() as u64;
            let Some(slice) = extent.slice() else {
                // Holes that touch are one.
                assert!(at == 0 || !holes.contains_range(&(at - 1..at)));
                holes.add(at..at + extent.length());
                restored.resize(restored.len() + usize::try_from(extent.length()).unwrap(), 0);
                continue;
            };
            let chunk = &self.chunks[&slice.chunk];
            let bytes = &chunk[slice.offset as usize..][..slice.length as usize];
            match extent {
                Extent::Part { digest, .. } => assert_eq!(*digest, self.keys.digest(bytes)),
                _ => assert_eq!((slice.offset, bytes.len()), (0, chunk.len())),
            }
            restored.extend_from_slice(bytes);
        }
        assert_eq!(restored.len() as u64, file.size(), "the extents cover the file exactly");
        assert!(restored == file.bytes, "what is restored is the file");
        assert_eq!(holes, file.holes, "holes stay holes, and nothing else is one");
        assert_eq!(point.hash, file.hash(&self.keys));
    }
}

/// No slice goes on where the one before it ended in the same chunk.
pub(super) fn check_joined(point: &Point) {
    for pair in point.extents.windows(2) {
        let slices = (pair[0].slice(), pair[1].slice());
        if let (Some(one), Some(two)) = slices {
            let goes_on = one.chunk == two.chunk && one.offset + one.length == two.offset;
            assert!(!goes_on, "slices that go on in one chunk are one");
        }
    }
}

fn recorder<'a>(
    keys: &'a Keys,
    chunks: &'a mut HashMap<ChunkId, Vec<u8>>,
    file: &'a Sample,
) -> Recorder<'a> {
    Recorder { keys, chunks, point: Point::default(), file: &file.bytes }
}

fn end(mut point: Point, digested: Digested) -> Point {
    point.hash = digested.hash;
    assert_eq!(digested.map.is_some(), digested.hash.is_some());
    if let Some(map) = digested.map {
        map.keep().unwrap();
    }
    point
}
