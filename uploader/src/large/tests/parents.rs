//! Parents that no backup writes, and what they must not lead to.

use format::ids::{ChunkId, Digest};
use format::tree::{Extent, Slice};

use super::*;
use crate::large::parent::Parent;
use crate::large::revise::Reviser;

fn part(world: &World, chunk: ChunkId, offset: u32, length: u32) -> Extent {
    let bytes = world.chunks[&chunk].get(offset as usize..).unwrap_or_default();
    let bytes = bytes.get(..length as usize).unwrap_or_default();
    Extent::Part { slice: Slice { chunk, offset, length }, digest: world.keys.digest(bytes) }
}

/// The parent has the pages that the map says, but its extents are others.
fn with_extents(point: &Point, extents: Vec<Extent>) -> Point {
    Point { extents, hash: point.hash, ..Point::default() }
}

#[test]
fn a_parent_in_a_million_pieces_is_not_kept_in_memory() {
    let mut world = World::new();
    let file = noisy(6 * MIB);
    let point = world.cut(&file);
    // The same bytes, one by one.
    let mut pieces = Vec::new();
    for extent in &point.extents {
        let slice = extent.slice().unwrap();
        pieces.extend((0..slice.length).map(|at| part(&world, slice.chunk, at, 1)));
    }
    let pieces = with_extents(&point, pieces);
    for map in [Map::Kept, Map::Lost] {
        let next = world.revise(&file, &pieces, map);
        world.check(&file, &next);
        assert!(next.slices() < 10_000, "{map:?}");
    }
}

#[test]
fn what_the_parent_does_not_cover_is_stored() {
    let mut world = World::new();
    let file = noisy(6 * MIB);
    let point = world.cut(&file);
    let first = point.extents[0];
    let slice = first.slice().unwrap();
    let parents = [
        vec![],
        vec![first],
        vec![Extent::Hole { length: u64::MAX }, first],
        vec![first, Extent::Hole { length: 0 }, part(&world, slice.chunk, 0, 0)],
        vec![first, part(&world, slice.chunk, u32::MAX, u32::MAX)],
    ];
    for extents in parents {
        let kept = if extents.first() == Some(&first) { first.length() } else { 0 };
        let parent = with_extents(&point, extents);
        for map in [Map::Kept, Map::Lost] {
            let next = world.revise(&file, &parent, map);
            world.check(&file, &next);
            assert_eq!(next.given, 6 * MIB - kept, "{map:?}");
        }
    }
}

#[test]
fn a_slice_with_another_digest_is_not_kept_without_a_map() {
    let mut world = World::new();
    let file = noisy(2 * MIB);
    let point = world.cut(&file);
    let parts = point.extents.iter().filter_map(Extent::slice);
    let parts = parts.map(|slice| Extent::Part { slice, digest: Digest::new([0; 16]) });
    let next = world.revise(&file, &with_extents(&point, parts.collect()), Map::Lost);
    world.check(&file, &next);
    assert_eq!(next.given, 2 * MIB);
}

#[test]
fn a_parent_that_cannot_be_read_stops_the_upload() {
    let mut world = World::new();
    let file = noisy(2 * MIB);
    let extents = Parent::new(std::iter::once(Err(UploadError::Stopped)), |_| Ok(true));
    let point = Point::default();
    let mut sink = Recorder { keys: &world.keys, chunks: &mut world.chunks, point, file: &[] };
    let mut reviser = Reviser::new(extents, None, &world.keys, &world.chunker, None);
    let block = file.blocks().next().unwrap();
    let result = reviser.block(&block, &mut sink);
    assert!(matches!(result, Err(UploadError::Stopped)));
}
