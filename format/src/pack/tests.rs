use super::*;
use crate::frame::Encoder;
use crate::ids::{ObjectId, PointId, RepositoryId};
use crate::keys::RootKey;

const NAME: PackName = PackName { session: PointId::new([4; 16]), id: ObjectId::new([5; 16]) };

fn keys() -> Keys {
    Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]))
}

fn pack() -> SealedPack {
    let mut encoder = Encoder::new().unwrap();
    let mut frame = |kind, texts: &[&[u8]]| {
        let chunks =
            texts.iter().map(|t| ChunkRecord { id: keys().chunk_id(t), length: t.len() as u32 });
        encoder.encode(kind, chunks.collect(), &texts.concat())
    };
    let frames = [frame(ChunkKind::Data, &[b"one", b"two"]), frame(ChunkKind::Tree, &[&[7; 300]])];
    seal(&keys(), NAME, frames.into(), Vec::new())
}

#[test]
fn a_pack_reads_back_as_it_was_sealed() {
    let pack = pack();
    assert_eq!(verify(&keys(), NAME, &pack.bytes).unwrap(), pack.record);
    let frame = &pack.record.frames[0];
    let sealed = &pack.bytes[frame.offset as usize..][..frame.length as usize];
    let [one, two] = [0, 1].map(|at| frame.chunks[at].id);
    let opened = open_frame(&keys(), &pack.record.address(0).unwrap(), sealed).unwrap();
    assert_eq!(opened.chunk(&keys(), one, 0, 3).unwrap(), b"one");
    assert_eq!(opened.chunk(&keys(), two, 3, 3).unwrap(), b"two");
    for (id, offset, length) in [(one, 3, 3), (two, 3, 2), (two, 3, 4), (one, u32::MAX, 3)] {
        assert!(opened.chunk(&keys(), id, offset, length).is_err());
    }
    assert!(open_frame(&keys(), &pack.record.address(1).unwrap(), sealed).is_err());
}

#[test]
fn every_flipped_byte_is_found() {
    let pack = pack();
    for at in 0..pack.bytes.len() {
        let mut bad = pack.bytes.clone();
        bad[at] ^= 0x10;
        assert!(verify(&keys(), NAME, &bad).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_is_found() {
    let pack = pack();
    for length in 0..pack.bytes.len() {
        assert!(verify(&keys(), NAME, &pack.bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_footer_reads_from_the_ends_of_a_pack_alone() {
    let pack = pack();
    let size = pack.bytes.len();
    let footer = footer_bytes(&pack.bytes[size - TRAILER_BYTES..]).unwrap() as usize;
    let (head, tail) = (&pack.bytes[..HEADER_BYTES], &pack.bytes[size - footer..]);
    let read = |size, head, tail| read_footer_of(&keys(), NAME, size, head, tail);
    assert_eq!(read(size as u64, head, tail).unwrap(), pack.record);
    assert!(read(size as u64 - 1, head, tail).is_err());
    assert!(read(size as u64, &head[1..], tail).is_err());
    assert!(read(size as u64, head, &tail[1..]).is_err());
}

#[test]
fn records_differ_in_their_digests() {
    let record = pack().record;
    let changes: [fn(&mut PackRecord); 8] = [
        |p| p.size += 1,
        |p| p.salt[0] ^= 1,
        |p| p.frames[0].offset += 1,
        |p| p.frames[1].codec = Codec::Plain,
        |p| p.frames[1].kind = ChunkKind::Data,
        |p| p.frames[0].chunks[1].length += 1,
        |p| p.frames[0].chunks.swap(0, 1),
        |p| drop(p.frames.pop()),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = record.clone();
        change(&mut other);
        assert_ne!(other.digest(&keys()), record.digest(&keys()), "change {at}");
    }
}

#[test]
fn a_pack_under_another_name_is_refused() {
    let other = PackName { id: ObjectId::new([6; 16]), ..NAME };
    assert!(verify(&keys(), other, &pack().bytes).is_err());
}

#[test]
fn a_pack_without_frames_is_a_pack() {
    let empty = seal(&keys(), NAME, Vec::new(), Vec::new());
    assert_eq!(verify(&keys(), NAME, &empty.bytes).unwrap(), empty.record);
}
