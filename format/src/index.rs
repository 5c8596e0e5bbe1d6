//! Index segments: which packs a session wrote, and what is in them.
//!
//! See docs/format.md#index-segments.

use serde::{Deserialize, Serialize};

use crate::control::{self, ControlError, Link};
use crate::keys::Keys;
use crate::names::ObjectName;
use crate::pack::PackRecord;

/// One object of the index. It repeats the footers of its packs, so a lost segment can be rebuilt.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct IndexSegment {
    /// The packs, in no particular order.
    pub packs: Vec<PackRecord>,
    /// The session's control object before it.
    pub previous: Option<Link>,
}

impl IndexSegment {
    /// The segment `name`, of which `bytes` are the stored bytes. What it says about each pack is
    /// possible: frames lie one after another within the pack, and chunks within their frames.
    ///
    /// # Errors
    /// When one pack cannot be as it is described, the whole segment is refused.
    pub fn open(keys: &Keys, name: ObjectName, bytes: &[u8]) -> Result<Self, ControlError> {
        let segment: Self = control::open(keys, name, bytes)?;
        for pack in &segment.packs {
            pack.possible().map_err(|error| ControlError::Content(error.into()))?;
        }
        Ok(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ChunkKind, ChunkRecord, Codec, FRAME_BYTES_MAX};
    use crate::ids::{ChunkId, ObjectId, PointId, RepositoryId};
    use crate::keys::RootKey;
    use crate::names::PackName;
    use crate::pack::{FrameRecord, HEADER_BYTES, PACK_BYTES_MAX};

    fn pack() -> PackRecord {
        let name = PackName { session: PointId::new([4; 16]), id: ObjectId::new([5; 16]) };
        let chunk = |byte| ChunkRecord { id: ChunkId::new([byte; 32]), length: 50 };
        let frame = |offset, byte| FrameRecord {
            offset,
            length: 70,
            kind: ChunkKind::Data,
            codec: Codec::Zstd,
            raw_length: 100,
            chunks: vec![chunk(byte), chunk(byte + 1)],
        };
        let start = HEADER_BYTES as u64;
        PackRecord {
            name,
            size: 1000,
            salt: [0; 32],
            frames: vec![frame(start, 0), frame(start + 70, 2)],
        }
    }

    fn opened(packs: Vec<PackRecord>) -> Result<IndexSegment, ControlError> {
        let keys = Keys::derive(&RootKey::new([1; 32]), RepositoryId::new([2; 16]));
        let name = ObjectName::Index(PointId::new([4; 16]), ObjectId::new([6; 16]));
        let bytes =
            control::seal(&keys, name, &IndexSegment { packs, previous: None }, [0; 16]).unwrap();
        IndexSegment::open(&keys, name, &bytes)
    }

    #[test]
    fn a_segment_reads_back_as_it_was_sealed() {
        let packs = vec![pack(), PackRecord { frames: Vec::new(), ..pack() }];
        assert_eq!(opened(packs.clone()).unwrap().packs, packs);
    }

    #[test]
    fn what_no_pack_can_be_is_refused_and_the_pack_is_named() {
        type Spoil = fn(&mut PackRecord);
        let cases: [(&str, Spoil); 14] = [
            ("frame 1 lies", |p| p.frames[1].offset -= 1),
            ("frame 1 lies", |p| p.frames[1].offset = u64::MAX),
            ("frame 0 lies", |p| p.frames[0].offset = 0),
            ("frame 0 lies", |p| p.frames.swap(0, 1)),
            ("frame 1 lies", |p| p.size = 72 + 140 + 31),
            ("has 31 bytes", |p| p.size = 31),
            ("bytes", |p| p.size = PACK_BYTES_MAX + 1),
            ("frame 1 is too short", |p| p.frames[1].length = 15),
            ("frame 1 is too long", |p| {
                (p.frames[1].length, p.size) = (FRAME_BYTES_MAX + 17, PACK_BYTES_MAX);
            }),
            ("frame 0 is too long", |p| p.frames[0].raw_length = FRAME_BYTES_MAX + 1),
            ("chunks of frame 0", |p| p.frames[0].raw_length = 99),
            ("chunks of frame 1", |p| p.frames[1].chunks.truncate(1)),
            ("chunks of frame 0", |p| p.frames[0].chunks[0].length = u32::MAX),
            ("frame 1 has an empty chunk", |p| {
                (p.frames[1].chunks[0].length, p.frames[1].chunks[1].length) = (100, 0);
            }),
        ];
        for (wanted, spoil) in cases {
            let mut bad = pack();
            spoil(&mut bad);
            let Err(ControlError::Content(error)) = opened(vec![pack(), bad]) else {
                panic!("{wanted}: opened")
            };
            let error = error.to_string();
            assert!(error.contains(wanted) && error.contains(&pack().name.to_string()), "{error}");
        }
    }
}
