//! The index against a plain map, on repositories of any shape.

use std::collections::{BTreeMap, BTreeSet};

use format::frame::{ChunkKind, ChunkRecord, Codec};
use format::ids::{ChunkId, ObjectId, PointId};
use format::names::{ObjectName, PackName};
use format::pack::{FrameRecord, HEADER_BYTES, PackRecord};
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{World, keys};
use crate::index::Place;
use crate::index::build::Builder;
use crate::index::row::{PackRow, SegmentName};
use crate::index::rows::Rows as _;
use crate::index::shelf::Shelf;
use std::sync::Arc;

/// Ids that meet: many share their first bytes, and some all of them.
fn ids() -> impl Strategy<Value = ChunkId> {
    let few = (0..3u8, 0..12u8).prop_map(|(first, last)| {
        let mut id = [0; 32];
        (id[0], id[31]) = (first, last);
        ChunkId::new(id)
    });
    prop_oneof![few, any::<[u8; 32]>().prop_map(ChunkId::new)]
}

fn frames() -> impl Strategy<Value = Vec<FrameRecord>> {
    let frame = (vec((ids(), 1..9000u32), 1..6), 16..9000u32, any::<(bool, bool)>());
    vec(frame, 0..6).prop_map(|frames| {
        let mut offset = HEADER_BYTES as u64;
        let frame = |(chunks, length, (tree, zstd)): (Vec<(ChunkId, u32)>, u32, _)| {
            let frame = FrameRecord {
                offset,
                length,
                kind: if tree { ChunkKind::Tree } else { ChunkKind::Data },
                codec: if zstd { Codec::Zstd } else { Codec::Plain },
                raw_length: chunks.iter().map(|(_, length)| length).sum(),
                chunks: chunks
                    .iter()
                    .map(|(id, length)| ChunkRecord { id: *id, length: *length })
                    .collect(),
            };
            offset += u64::from(length);
            frame
        };
        frames.into_iter().map(frame).collect()
    })
}

fn pack() -> impl Strategy<Value = PackRecord> {
    (frames(), any::<[u8; 16]>(), any::<[u8; 32]>()).prop_map(|(frames, id, salt)| PackRecord {
        name: PackName { session: PointId::new([3; 16]), id: ObjectId::new(id) },
        size: frames.iter().map(|f| u64::from(f.length)).sum::<u64>() + 200,
        salt,
        frames,
    })
}

/// One round: segments with packs, some of which are not there, and how many old segments go.
type Round = (Vec<Vec<(PackRecord, bool)>>, usize);

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let segment = vec((pack(), prop::bool::weighted(0.8)), 0..4);
    vec((vec(segment, 1..4), 0..3usize), 1..12)
}

fn places(pack: &PackRecord) -> impl Iterator<Item = (ChunkId, Place)> + '_ {
    (0..).zip(&pack.frames).flat_map(|(number, frame)| {
        let address = pack.address(number).unwrap();
        let mut offset = 0;
        frame.chunks.iter().map(move |chunk| {
            let place = Place { frame: address, offset, length: chunk.length };
            offset += chunk.length;
            (chunk.id, place)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_says_what_a_map_says(rounds in rounds(), probes in vec(ids(), 50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (world, cache) = (World::new(), tempfile::tempdir().unwrap());
        let mut segments: Vec<(ObjectName, Vec<(PackRecord, bool)>)> = Vec::new();
        for (round, (added, retired)) in rounds.into_iter().enumerate() {
            for packs in added {
                for (pack, _) in packs.iter().filter(|(_, is_there)| *is_there) {
                    world.put(ObjectName::Pack(pack.name), vec![0; pack.size as usize].into());
                }
                let name = world.segment(packs.iter().map(|(pack, _)| pack.clone()));
                segments.push((name, packs));
            }
            for (name, _) in segments.drain(..retired.min(segments.len())) {
                world.remove(name);
            }
            let mut model: BTreeMap<ChunkId, Vec<Place>> = BTreeMap::new();
            let packs = segments.iter().flat_map(|(_, packs)| packs);
            for (pack, _) in packs.filter(|(_, is_there)| *is_there) {
                for (id, place) in places(pack) {
                    model.entry(id).or_default().push(place);
                }
            }
            let cache = (round % 4 != 3).then(|| cache.path());
            let index = runtime.block_on(world.open(cache));
            prop_assert_eq!(index.len(), model.values().map(|places| places.len() as u64).sum::<u64>());
            for id in model.keys().chain(&probes) {
                match (index.find(*id).unwrap(), model.get(id)) {
                    (Some(place), Some(places)) => prop_assert!(places.contains(&place)),
                    (None, None) => {}
                    (found, wanted) => prop_assert!(false, "{id}: {found:?}, not {wanted:?}"),
                }
            }
        }
    }

    #[test]
    fn a_table_has_every_row_in_order_however_it_was_sorted(packs in vec(pack(), 0..8), run in 1..40usize) {
        let keys = Arc::new(keys());
        let shelf = Shelf::new(&keys, None);
        let mut builder = Builder::new(&keys, shelf.spool().unwrap()).with_runs_of(run);
        let name = SegmentName { point: PointId::new([1; 16]), id: ObjectId::new([2; 16]) };
        builder.segment(name, &packs).unwrap();
        let table = shelf.make(&[name], |file| builder.finish(file)).unwrap();
        let rows: Vec<PackRow> = table.packs().map(|(row, _)| row).collect();
        prop_assert!(rows.is_sorted_by_key(|row| row.name));
        let of: BTreeSet<_> = packs.iter().map(|pack| pack.digest(&keys)).collect();
        prop_assert_eq!(rows.iter().map(|row| row.digest).collect::<BTreeSet<_>>(), of);
        let (mut found, mut stream) = (Vec::new(), table.rows());
        while let Some(row) = stream.next().unwrap() {
            let place = row.place(&table.pack(row.pack()).unwrap());
            found.push((row.id(), place.frame.pack, place.frame.number, place.offset, place.length));
        }
        prop_assert!(found.is_sorted_by_key(|row| row.0));
        let wanted = packs.iter().flat_map(places);
        let mut wanted: Vec<_> = wanted
            .map(|(id, place)| (id, place.frame.pack, place.frame.number, place.offset, place.length))
            .collect();
        found.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(found, wanted);
    }
}
