//! Listings that are none, that never end, or that lead nowhere.
//!
//! The attack: a tree that costs far more to walk than to store, or whose bytes decode to more
//! memory than they have.

use format::frame::ChunkKind;
use format::ids::ChunkId;
use format::tree::{Extent, Kind, Slice};

use super::arena::{Case, listed, model, raw, run};
use crate::tests::fixture::{Dice, entry};

/// A directory whose listing has these bytes.
fn bytes(title: &'static str, says: &[&'static str], bytes: Vec<u8>) -> Case {
    Case::new(title, says, move |point, _| {
        let slice = point.chunk(ChunkKind::Tree, &bytes);
        point.close(ChunkKind::Tree);
        Kind::Directory { listing: vec![slice] }
    })
}

/// A directory whose listing is in this slice, made from one that is well.
fn sliced(title: &'static str, says: &[&'static str], change: fn(Slice) -> Vec<Slice>) -> Case {
    Case::new(title, says, move |point, _| {
        let Kind::Directory { listing } = listed(point, &[(b"a", Kind::Fifo)]) else {
            unreachable!("a directory is one")
        };
        Kind::Directory { listing: change(listing[0]) }
    })
}

#[test]
fn listings_that_are_none_are_lost() {
    let damaged = "volume/bad: the listing is damaged";
    let mut claims = vec![1, b'a', 0, 0, 0];
    claims.extend([0x80, 0xad, 0xe2, 0x04]);
    let cases = [
        bytes("noise", &[damaged], Dice::new(1).bytes(1000)),
        bytes("all ones", &[damaged], vec![0xff; 100_000]),
        bytes("zeros", &["volume/bad: the listing holds the impossible name"], vec![0; 100_000]),
        bytes("10,000,000 extents claimed", &[damaged], claims),
        bytes("a name of 4 GiB claimed", &[damaged], vec![0xff, 0xff, 0xff, 0xff, 0x0f, b'a']),
        sliced("no such chunk", &["volume/bad: chunk 0000"], |slice| {
            vec![Slice { chunk: ChunkId::new([0; 32]), ..slice }]
        }),
        sliced("a slice beyond its chunk", &["volume/bad: ", "leaves its chunk"], |slice| {
            vec![Slice { offset: slice.length, ..slice }]
        }),
        sliced("a slice beyond all", &["volume/bad: ", "leaves its chunk"], |slice| {
            vec![Slice { offset: u32::MAX, length: u32::MAX, ..slice }]
        }),
        sliced("torn", &[damaged], |slice| vec![Slice { length: slice.length - 1, ..slice }]),
        sliced("the same part twice", &["volume/bad: ", "`a` out of order"], |s| vec![s, s])
            .there(&["bad/a"]),
        sliced("a million empty parts", &[], |slice| {
            let mut parts = vec![Slice { length: 0, ..slice }; 50_000];
            parts.push(slice);
            parts
        })
        .there(&["bad/a"]),
        Case::new("a listing that is a file", &["volume/bad: the listing"], |point, _| {
            let model = model(point, 9);
            Kind::Directory { listing: vec![model.extents[0].slice().unwrap()] }
        }),
    ];
    run(cases);
}

#[test]
fn trees_that_grow_without_end_do_end() {
    let cases = [
        Case::new("doubling", &["volume `volume` has more than the 1000 files"], |point, _| {
            let mut kind = point.directory(&[]);
            for _ in 0..60 {
                kind = point.directory(&[entry("a", kind.clone()), entry("b", kind)]);
            }
            kind
        })
        .ends(),
        Case::new("more than counted", &["`volume`", "more than the 2 files"], |point, _| {
            listed(point, &[(b"a", Kind::Fifo)])
        })
        .files(2)
        .ends(),
        Case::new("5,000 levels", &[], |point, _| {
            let mut kind = point.directory(&[]);
            for _ in 0..5_000 {
                kind = point.directory(&[entry("d", kind)]);
            }
            kind
        })
        .files(6_000)
        .there(&["bad/d/d/d/d/d/d/d/d"]),
    ];
    run(cases);
}

/// Small in the repository, and large in memory, or read over and over again.
#[test]
fn entries_that_decode_to_far_more_are_lost() {
    let damaged = "volume/bad: the listing is damaged";
    // The listing's head, then the same part again and again.
    let repeated = |title, head: Vec<u8>, part: Vec<u8>, count: usize| {
        Case::new(title, &[damaged], move |point, _| {
            let mut listing = vec![point.chunk(ChunkKind::Tree, &head)];
            let part = point.chunk(ChunkKind::Tree, &part);
            listing.resize(count + 1, part);
            Kind::Directory { listing }
        })
    };
    let million = [0xc0, 0x84, 0x3d];
    let many = [0xff, 0xff, 0xff, 0x7f];
    // A name, a file without a size, and its extents.
    let extents = [&[1, b'a', 0, 0, 0][..], &many].concat();
    let holes = [2, 1].repeat(32 << 10);
    // A name, a pipe, four zeros up to the time, and the attributes.
    let attributes = [&[1, b'a', 3, 0, 0, 0, 0, 0][..], &many].concat();
    let slices = [&[1, b'a', 1][..], &million].concat();
    let cases = [
        repeated("millions of holes", extents, holes, 300),
        repeated("millions of attributes", attributes, vec![0; 64 << 10], 300),
        repeated("a listing that grows by little", slices, vec![0; 34], 60_000),
        Case::new("a long listing of nothing", &[], |point, _| {
            let empty = point.directory(&[]);
            let entries: Vec<_> = (0..20_000)
                .map(|number| raw(format!("{number:05}").as_bytes(), empty.clone()))
                .collect();
            point.directory(&entries)
        })
        .files(30_000),
        Case::new("129 extents here", &[damaged], |point, _| {
            let extents = format::tree::Extents::Here(vec![Extent::Hole { length: 1 }; 129]);
            let content = format::tree::Content { size: 129, extents, hash: None };
            listed(point, &[(b"a", Kind::File(content))])
        }),
    ];
    run(cases);
}
