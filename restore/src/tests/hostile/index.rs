//! Index segments that send a reader to the wrong place.
//!
//! The attack: the seal is right and what is said is not, so that a reader computes with it. What
//! no pack can be makes the whole segment void, and then the packs speak for themselves.

use format::frame::{ChunkKind, ChunkRecord, Codec};
use format::ids::{ChunkId, ObjectId};
use format::pack::PackRecord;

use super::arena::{Case, run};

/// The records of the packs: that of the bad file, that of the good one, those of the listings.
fn spoiled(
    title: &'static str,
    says: &[&'static str],
    spoil: impl FnOnce(&mut Vec<PackRecord>) + 'static,
) -> Case {
    Case::plain(title, says).index(spoil)
}

#[test]
fn segments_that_cannot_be_are_void() {
    let cases = [
        spoiled("a size beyond all", &[], |p| p[0].size = u64::MAX),
        spoiled("no size", &[], |p| p[0].size = 0),
        spoiled("an offset beyond all", &[], |p| p[0].frames[0].offset = u64::MAX),
        spoiled("an offset in the header", &[], |p| p[0].frames[0].offset = 1),
        spoiled("a length beyond all", &[], |p| p[0].frames[0].length = u32::MAX),
        spoiled("no length", &[], |p| p[0].frames[0].length = 0),
        spoiled("frames that overlap", &[], |p| {
            let frame = p[0].frames[0].clone();
            p[0].frames.push(frame);
        }),
        spoiled("a chunk beyond all", &[], |p| p[0].frames[0].chunks[0].length = u32::MAX),
        spoiled("an empty chunk", &[], |p| {
            p[0].frames[0].chunks.push(ChunkRecord { id: ChunkId::new([1; 32]), length: 0 });
        }),
    ];
    run(cases.map(|case| case.there(&["bad"])));
    // One that says nothing leaves it to the packs to speak for themselves.
    run([spoiled("no packs", &[], Vec::clear).there(&["bad"])]);
}

#[test]
fn places_that_are_wrong_lose_their_files_only() {
    let lost = &["volume/bad: "];
    let cases = [
        spoiled("a pack that is not there", &[], |p| {
            let mut other = p[0].clone();
            other.name.id = ObjectId::new([0xee; 16]);
            p.insert(0, other);
        })
        .there(&["bad"]),
        // Such a pack does not count as it is described, and describes itself.
        spoiled("another size", &[], |p| p[0].size += 1).there(&["bad"]),
        spoiled("another salt", lost, |p| p[0].salt[0] ^= 1),
        spoiled("another codec", lost, |p| {
            p[0].frames[0].codec = match p[0].frames[0].codec {
                Codec::Plain => Codec::Zstd,
                Codec::Zstd => Codec::Plain,
            };
        }),
        spoiled("another kind", lost, |p| p[0].frames[0].kind = ChunkKind::Tree),
        spoiled("another length of the frame", lost, |p| p[0].frames[0].length -= 1),
        spoiled("another length of the text", lost, |p| {
            p[0].frames[0].raw_length -= 1;
            p[0].frames[0].chunks[0].length -= 1;
        }),
        spoiled("another chunk", lost, |p| p[0].frames[0].chunks[0].id = ChunkId::new([1; 32])),
        spoiled("two chunks of one", lost, |p| {
            let chunks = &mut p[0].frames[0].chunks;
            chunks[0].length -= 1;
            chunks.push(ChunkRecord { id: ChunkId::new([1; 32]), length: 1 });
        }),
        spoiled("a million chunks that are none", lost, |p| {
            let (mut more, length) = (p[0].frames[0].clone(), p[0].frames[0].raw_length);
            let id = |n: u32| ChunkId::new(std::array::from_fn(|at| n.to_be_bytes()[at % 4]));
            more.chunks = (0..length).map(|n| ChunkRecord { id: id(n), length: 1 }).collect();
            p[0].frames[0] = more;
        }),
        spoiled("no frames", lost, |p| p[0].frames.clear()),
        // One chunk then has two places, and the bad one may be taken.
        spoiled("the frame of another pack", lost, |p| p[0].frames = p[1].frames.clone())
            .all_lost(),
        spoiled("the same pack thrice", &[], |p| {
            let same = p[0].clone();
            p.extend([same.clone(), same]);
        })
        .there(&["bad"]),
        spoiled("two places, the first of them bad", &[], |p| {
            let mut bad = p[0].clone();
            bad.salt[0] ^= 1;
            bad.name.id = ObjectId::new([0; 16]);
            p.push(bad);
        }),
    ];
    run(cases);
}
