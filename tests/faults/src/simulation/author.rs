//! Who stores points: as little of an uploader as a session needs, on one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use format::frame::{ChunkKind, ChunkRecord, Encoder, Frame};
use format::ids::ChunkId;
use format::listing;
use format::manifest::{Manifest, Statistics, VolumeRecord};
use format::raw::RawPath;
use format::tree::{Content, Entry, Extent, Extents, Kind, Metadata, Slice};
use jiff::Timestamp;
use repository::chunks::Chunks;
use repository::reader::Reader;
use repository::store::Store;
use repository::tree::{self, EntryReader, ExtentReader};
use repository::writer::{Known, Writer};
use tokio::time::sleep;

use super::flaw::Flaw;
use crate::files::{Dice, Files};
use crate::world::{Failure, manifest};

/// How many chunks share a frame, and how many frames a pack.
const FRAME_CHUNKS: usize = 3;
const PACK_FRAMES: usize = 2;

/// What a point is made of.
struct Parts {
    chunks: Vec<(ChunkKind, ChunkId, Vec<u8>)>,
    root: Slice,
}

/// Somebody who stores points.
pub struct Author {
    /// Where to.
    pub store: Arc<dyn Store>,
    /// The same, to read from.
    pub reader: Reader,
    /// A rule that is not kept.
    pub flaw: Option<Flaw>,
}

impl Author {
    /// Stores a point with these files, each one chunk, and commits it.
    pub async fn store(
        self,
        (files, taken): (&Files, Timestamp),
        dice: &mut Dice,
    ) -> Result<Manifest, Failure> {
        let mut writer = Writer::register(Arc::clone(&self.store), &self.reader, "host").await?;
        let (point, parts) = (writer.point(), Parts::of(&writer, files));
        let mut known = self.known(&writer).await?;
        loop {
            let missing = missing(&parts, &known.chunks)?;
            let mut packs = Vec::new();
            for frames in missing.chunks(PACK_FRAMES) {
                // As long as a large file takes, now and then.
                let most = if dice.below(4) == 0 { 3000 } else { 10 };
                sleep(Duration::from_secs(dice.below(most))).await;
                packs.push(writer.store_pack(writer.seal(frames.to_vec())?).await?);
            }
            if !packs.is_empty() {
                writer.store_index(packs).await?;
            }
            if self.flaw == Some(Flaw::MovesBlindly) {
                known.generation = writer.generation();
            }
            match writer.stand(known.generation).await {
                Ok(standing) => {
                    let volume = volume(&parts, files);
                    let manifest =
                        Manifest { taken, ..manifest(point, vec![volume], Statistics::default()) };
                    standing.commit(manifest.clone()).await?;
                    return Ok(manifest);
                }
                // What was relied on may be condemned by now: look again at all of it.
                Err(moved) => {
                    writer = moved;
                    known = self.known(&writer).await?;
                }
            }
        }
    }

    async fn known(&self, writer: &Writer) -> Result<Known, Failure> {
        let mut known = writer.known(None).await?;
        if self.flaw == Some(Flaw::ReliesOnCondemned) {
            known.chunks = Chunks::load(&self.reader, None).await?;
        }
        Ok(known)
    }
}

/// The files of a point, read without a target.
pub async fn read(reader: &Reader, manifest: &Manifest) -> Result<Files, Failure> {
    let chunks = Arc::new(Chunks::load(reader, None).await?);
    let root = tree::root(&chunks, &manifest.volumes[0].root).await?;
    let Kind::Directory { listing } = root.kind else {
        return Err("the root is no directory".into());
    };
    let mut entries = EntryReader::new(&chunks, listing);
    let mut files = BTreeMap::new();
    while let Some(entry) = entries.next().await? {
        let Kind::File(content) = entry.kind else { return Err("not a file".into()) };
        let mut extents = ExtentReader::new(&chunks, content);
        let mut bytes = Vec::new();
        while let Some(extent) = extents.next().await? {
            let slice = extent.slice().ok_or("a hole")?;
            bytes.extend_from_slice(&chunks.read(slice).await?);
        }
        files.insert(entry.name.to_string(), bytes);
    }
    Ok(files)
}

impl Parts {
    fn of(writer: &Writer, files: &Files) -> Self {
        let mut chunks = Vec::new();
        let mut add = |kind, bytes: Vec<u8>| {
            let chunk = writer.keys().chunk_id(&bytes);
            let length = u32::try_from(bytes.len()).unwrap();
            chunks.push((kind, chunk, bytes));
            Slice { chunk, offset: 0, length }
        };
        let mut listing = Vec::new();
        for (name, bytes) in files {
            let slice = add(ChunkKind::Data, bytes.clone());
            let extents = Extents::Here(vec![Extent::Whole(slice)]);
            let content = Content { size: bytes.len() as u64, extents, hash: None };
            listing::write(&entry(name, Kind::File(content)), &mut listing);
        }
        let listing = vec![add(ChunkKind::Tree, listing)];
        let mut root = Vec::new();
        listing::write(&entry("", Kind::Directory { listing }), &mut root);
        let root = add(ChunkKind::Tree, root);
        Self { chunks, root }
    }
}

// The chunks that are not there, in frames.
fn missing(parts: &Parts, there: &Chunks) -> Result<Vec<Frame>, Failure> {
    let mut encoder = Encoder::new()?;
    let mut frames = Vec::new();
    let mut seen = BTreeSet::new();
    for kind in [ChunkKind::Data, ChunkKind::Tree] {
        let mut open: Vec<&(ChunkKind, ChunkId, Vec<u8>)> = Vec::new();
        for part in parts.chunks.iter().filter(|part| part.0 == kind) {
            if !there.index().contains(part.1)? && seen.insert(part.1) {
                open.push(part);
            }
        }
        for group in open.chunks(FRAME_CHUNKS) {
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
            let records =
                group.iter().map(|(_, id, bytes)| ChunkRecord { id: *id, length: length(bytes) });
            let plaintext: Vec<u8> = group.iter().flat_map(|part| part.2.clone()).collect();
            frames.push(encoder.encode(kind, records.collect(), &plaintext));
        }
    }
    Ok(frames)
}

fn volume(parts: &Parts, files: &Files) -> VolumeRecord {
    let bytes = files.values().map(|bytes| bytes.len() as u64).sum();
    VolumeRecord {
        name: RawPath::new("data"),
        source: RawPath::new("/data"),
        driver: "none".into(),
        mounts: Vec::new(),
        root: vec![parts.root],
        files: files.len() as u64,
        bytes,
        data: bytes,
    }
}

fn entry(name: &str, kind: Kind) -> Entry {
    Entry { name: RawPath::new(name), kind, metadata: Metadata::default() }
}
