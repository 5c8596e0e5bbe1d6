//! Packs and frames that are not what they were, or never were what they say.
//!
//! The attack: bytes are flipped, cut or swapped by who has no keys; frames that decompress to far
//! more than they claim, or hold other bytes than their names, are written by who has them.

use std::fs;
use std::path::PathBuf;

use format::frame::{ChunkKind, ChunkRecord, Codec, FRAME_BYTES_MAX};
use format::ids::{ChunkId, ObjectId};
use format::manifest::Manifest;
use format::names::{ObjectName, PackName};

use super::arena::{Case, run};
use crate::tests::fixture::World;

fn path(world: &World, manifest: &Manifest, number: u128) -> PathBuf {
    let id = ObjectId::new(number.to_be_bytes());
    world.pack(ObjectName::Pack(PackName { session: manifest.point, id }))
}

/// Replaces the bytes of the pack with this number.
fn replaced(
    title: &'static str,
    says: &[&'static str],
    number: u128,
    change: impl FnOnce(&mut Vec<u8>) + 'static,
) -> Case {
    Case::plain(title, says).tamper(move |world, manifest| {
        let path = path(world, manifest, number);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    })
}

const LOST: &[&str] = &["volume/bad: "];

#[test]
fn packs_that_are_not_what_they_were_lose_their_files_only() {
    let cases = [
        replaced("cut by a byte", LOST, 0, |bytes| bytes.truncate(bytes.len() - 1)),
        replaced("cut to half", LOST, 0, |bytes| bytes.truncate(bytes.len() / 2)),
        replaced("empty", LOST, 0, Vec::clear),
        replaced("a byte longer", LOST, 0, |bytes| bytes.push(0)),
        replaced("a bit of a frame", &["volume/bad: ", "pack/", "seal is broken"], 0, |bytes| {
            bytes[1000] ^= 1;
        }),
        replaced("zeros", &["volume/bad: ", "pack/"], 0, |bytes| bytes.fill(0)),
        // The index knows what the footer says.
        replaced("a bit of the footer", &[], 0, |bytes| {
            let end = bytes.len();
            bytes[end - 30] ^= 1;
        }),
        replaced("no magic", &[], 0, |bytes| bytes[0] ^= 1),
        replaced("another salt", &[], 0, |bytes| bytes[10] ^= 1),
        replaced("the listings cut", &["volume/.: "], 2, |bytes| bytes.truncate(5)).all_lost(),
        replaced("the listings flipped", &["volume/.: ", "pack/"], 2, |bytes| bytes[90] ^= 1)
            .all_lost(),
        Case::plain("swapped", LOST).tamper(|world, manifest| {
            let [a, b, spare] =
                [path(world, manifest, 0), path(world, manifest, 1), world.path("repository/x")];
            let (one, other) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
            let length = one.len().min(other.len());
            fs::rename(&a, &spare).unwrap();
            fs::write(&a, [&other[..length], &one[length..]].concat()).unwrap();
            fs::remove_file(&spare).unwrap();
        }),
        Case::plain("gone", LOST).tamper(|world, manifest| {
            fs::remove_file(path(world, manifest, 0)).unwrap();
        }),
        Case::plain("4 GiB of zeros", LOST).tamper(|world, manifest| {
            let path = path(world, manifest, 0);
            fs::remove_file(&path).unwrap();
            fs::File::create(&path).unwrap().set_len(4 << 30).unwrap();
        }),
        Case::plain("1 GiB of zeros and a footer of 4 GiB", LOST).tamper(|world, manifest| {
            use std::os::unix::fs::FileExt as _;
            let path = path(world, manifest, 0);
            let bytes = fs::read(&path).unwrap();
            let mut trailer = bytes[bytes.len() - 16..].to_vec();
            trailer[..4].fill(0xff);
            fs::remove_file(&path).unwrap();
            let file = fs::File::create(&path).unwrap();
            file.write_all_at(&trailer, (1 << 30) - 16).unwrap();
        }),
    ];
    run(cases);
}

#[test]
fn frames_that_lie_lose_their_files_only() {
    let frame = |title, says, change: fn(&mut format::frame::Frame)| {
        Case::plain(title, says).frames(move |point| change(&mut point.frames[0]))
    };
    let bomb = || zstd_of_zeros(&vec![0; 1 << 20], 64);
    let cases = [
        frame("longer than it says", LOST, |f| f.raw_length -= 1),
        frame("shorter than it says", LOST, |f| {
            f.raw_length += 1;
            f.chunks[0].length += 1;
        }),
        frame("longer than any", LOST, |f| {
            f.raw_length = FRAME_BYTES_MAX + 1;
            f.chunks[0].length = FRAME_BYTES_MAX + 1;
        }),
        frame("as long as can be", LOST, |f| {
            f.raw_length = u32::MAX;
            f.chunks[0].length = u32::MAX;
        }),
        frame("plain is not", LOST, |f| f.codec = Codec::Plain),
        frame("noise for zstd", LOST, |f| f.bytes = vec![0x5a; 1000]),
        frame("no bytes", LOST, |f| f.bytes.clear()),
        frame("no chunks", LOST, |f| f.chunks.clear()),
        frame("an empty chunk", LOST, |f| {
            f.chunks.push(ChunkRecord { id: ChunkId::new([0; 32]), length: 0 });
        }),
        frame("chunks that add up to more", LOST, |f| {
            let more = ChunkRecord { id: ChunkId::new([0; 32]), length: u32::MAX };
            f.chunks.extend([more, more]);
        }),
        frame("another name", LOST, |f| f.chunks[0].id = ChunkId::new([3; 32])),
        frame("other bytes", &["volume/bad: ", "pack/", "other bytes than its name"], |f| {
            (f.codec, f.bytes) = (Codec::Plain, vec![0; f.raw_length as usize]);
        }),
        // Nothing is asked of a chunk but its bytes.
        frame("listings that are data", &[], |f| f.kind = ChunkKind::Tree).there(&["bad"]),
        frame("100,000 chunks", &["volume/bad: "], |f| {
            let id = |n: u32| ChunkId::new(std::array::from_fn(|at| n.to_le_bytes()[at % 4]));
            f.chunks = (0..f.raw_length).map(|n| ChunkRecord { id: id(n), length: 1 }).collect();
        }),
        Case::plain("a bomb", &["volume/bad: ", "pack/", "does not decompress"]).frames(
            move |point| (point.frames[0].codec, point.frames[0].bytes) = (Codec::Zstd, bomb()),
        ),
    ];
    run(cases);
}

// Frames of zstd one after another are one text.
fn zstd_of_zeros(zeros: &[u8], times: usize) -> Vec<u8> {
    let chunk = ChunkRecord { id: ChunkId::new([0; 32]), length: 1 };
    let mut encoder = format::frame::Encoder::new().unwrap();
    encoder.encode(ChunkKind::Data, vec![chunk], zeros).bytes.repeat(times)
}
