//! Files whose extents do not say what the file is.
//!
//! The attack: sums that overflow, slices that leave their chunk, and lists that never end.

use format::frame::ChunkKind;
use format::ids::{ChunkId, ContentHash, Digest};
use format::tree::{Content, Extent, Extents, Kind, Slice};

use super::arena::{Case, model, run};
use crate::tests::fixture::Point;

const LENGTH: u32 = 100_000;

fn file(size: u64, extents: Vec<Extent>) -> Kind {
    Kind::File(Content { size, extents: Extents::Here(extents), hash: None })
}

fn hole(length: u64) -> Extent {
    Extent::Hole { length }
}

/// A file of this size whose extents are made from a slice that is well.
fn here(
    title: &'static str,
    says: &[&'static str],
    size: u64,
    extents: impl FnOnce(Slice) -> Vec<Extent> + 'static,
) -> Case {
    Case::new(title, says, move |point, _| {
        let slice = model(point, 3).extents[0].slice().unwrap();
        file(size, extents(slice))
    })
}

/// A file whose extents lie in these chunks, one after another.
fn stored(
    title: &'static str,
    says: &[&'static str],
    size: u64,
    make: impl FnOnce(&mut Point) -> Vec<Slice> + 'static,
) -> Case {
    Case::new(title, says, move |point, _| {
        let extents = Extents::Stored(make(point));
        Kind::File(Content { size, extents, hash: None })
    })
}

fn chunk_of(point: &mut Point, extents: &[Extent]) -> Slice {
    let mut bytes = Vec::new();
    for extent in extents {
        format::stream::write(extent, &mut bytes);
    }
    point.chunk(ChunkKind::Tree, &bytes)
}

const DAMAGED: &[&str] = &["volume/bad: the list of the file's extents is damaged"];
const LOST: &[&str] = &["volume/bad: "];

#[test]
fn extents_that_do_not_add_up_are_lost() {
    let length = u64::from(LENGTH);
    let cases = [
        here("an empty hole", DAMAGED, 0, |_| vec![hole(0)]),
        here("an empty slice", DAMAGED, length, |s| {
            vec![Extent::Whole(Slice { length: 0, ..s }), Extent::Whole(s)]
        }),
        here("a sum beyond all", DAMAGED, u64::MAX, |_| vec![hole(u64::MAX), hole(u64::MAX)]),
        here("a sum that wraps", DAMAGED, 4, |_| vec![hole(u64::MAX), hole(5)]),
        here("a hole of all bytes", LOST, u64::MAX, |_| vec![hole(u64::MAX)]),
        here("a hole of half of them", LOST, 1 << 63, |_| vec![hole(1 << 63)]),
        here("the largest offset", LOST, i64::MAX.cast_unsigned(), |s| {
            let rest = i64::MAX.cast_unsigned() - u64::from(LENGTH);
            vec![hole(rest), Extent::Whole(s)]
        }),
        here("larger than its extents", DAMAGED, length + 1, |s| vec![Extent::Whole(s)]),
        here("smaller than its extents", DAMAGED, length - 1, |s| vec![Extent::Whole(s)]),
        here("no extents", DAMAGED, u64::MAX, |_| Vec::new()),
        here("extents of an empty file", DAMAGED, 0, |s| vec![Extent::Whole(s)]),
    ];
    run(cases);
}

#[test]
fn slices_that_leave_their_chunk_are_lost() {
    let part = |slice| Extent::Part { slice, digest: Digest::new([0; 16]) };
    let length = u64::from(LENGTH);
    let cases = [
        here("behind the chunk", LOST, length, move |s| vec![part(Slice { offset: LENGTH, ..s })]),
        here("over its end", LOST, length, move |s| vec![part(Slice { offset: 1, ..s })]),
        here("wrapping", LOST, length, move |s| vec![part(Slice { offset: u32::MAX - 5, ..s })]),
        here("as long as can be", LOST, u64::from(u32::MAX), move |s| {
            vec![part(Slice { length: u32::MAX, ..s })]
        }),
        here("of no chunk", &["volume/bad: chunk 0707"], length, |s| {
            vec![Extent::Whole(Slice { chunk: ChunkId::new([7; 32]), ..s })]
        }),
        // The chunk's own name is what proves the bytes of a part that is fetched.
        here("a wrong digest", &[], 10, move |s| vec![part(Slice { length: 10, ..s })]),
        Case::new("a slice of a listing", &[], |point, _| {
            let Kind::Directory { listing } = super::arena::listed(point, &[(b"a", Kind::Fifo)])
            else {
                unreachable!("a directory is one")
            };
            file(listing[0].length.into(), vec![Extent::Whole(listing[0])])
        })
        .there(&["bad"]),
    ];
    run(cases);
}

#[test]
fn lists_of_extents_that_are_none_are_lost() {
    let cases = [
        stored("no list", DAMAGED, 5, |_| Vec::new()),
        stored("an empty file without a list", &[], 0, |_| Vec::new()).there(&["bad"]),
        stored("torn", DAMAGED, 5, |point| {
            let slice = chunk_of(point, &[hole(5), hole(300)]);
            vec![Slice { length: slice.length - 1, ..slice }]
        }),
        stored("noise", DAMAGED, 5, |point| vec![point.chunk(ChunkKind::Tree, &[0xfe; 70_000])]),
        stored("a file's bytes", LOST, 5, |point| {
            vec![model(point, 8).extents[0].slice().unwrap()]
        }),
        stored("no such chunk", &["volume/bad: chunk 0909"], 5, |_| {
            vec![Slice { chunk: ChunkId::new([9; 32]), offset: 0, length: 1 }]
        }),
        stored("beyond the chunk", LOST, 5, |point| {
            let slice = chunk_of(point, &[hole(5)]);
            vec![Slice { offset: u32::MAX, ..slice }]
        }),
        stored("the same part without end", DAMAGED, 1000, |point| {
            vec![chunk_of(point, &[hole(1)]); 100_000]
        }),
        stored("20,000 parts that hold nothing", &[], 5, |point| {
            let slice = chunk_of(point, &[hole(5)]);
            let mut parts = vec![Slice { length: 0, ..slice }; 20_000];
            parts.push(slice);
            parts
        })
        .there(&["bad"]),
        stored("a million holes", &[], 1_000_000, |point| {
            vec![chunk_of(point, &vec![hole(1); 10_000]); 100]
        })
        .there(&["bad"]),
        stored("far between", &[], 2000 * ((1 << 22) + 1), |point| {
            let slice = model(point, 8).extents[0].slice().unwrap();
            let byte =
                Extent::Part { slice: Slice { length: 1, ..slice }, digest: Digest::new([0; 16]) };
            vec![chunk_of(point, &[hole(1 << 22), byte]); 2000]
        })
        .there(&["bad"]),
    ];
    run(cases);
}

#[test]
fn a_wrong_content_hash_is_a_loss() {
    let hashed = |title, size, extents: fn(Slice) -> Vec<Extent>| {
        Case::new(title, LOST, move |point, _| {
            let slice = model(point, 3).extents[0].slice().unwrap();
            let (extents, hash) = (Extents::Here(extents(slice)), Some(ContentHash::new([1; 32])));
            Kind::File(Content { size, extents, hash })
        })
    };
    let cases = [
        hashed("of a small file", LENGTH.into(), |s| vec![Extent::Whole(s)]),
        hashed("of an empty file", 0, |_| Vec::new()),
        hashed("of a file of 1 MiB", 1 << 20, |s| {
            vec![Extent::Whole(s), hole((1 << 20) - u64::from(LENGTH))]
        }),
        hashed("of a hole of 1 TiB", 1 << 40, |_| vec![hole(1 << 40)]),
    ];
    run(cases);
}
