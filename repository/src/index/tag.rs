//! What lies in a cache is distrusted: every part of a table carries a keyed tag.

use std::io;
use std::sync::Arc;

use format::keys::Keys;

/// How many bytes a tag has.
pub(super) const TAG_BYTES: usize = 16;

/// The part of a table that a tag is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Header,
    Block(u64),
    Piece(u64),
}

/// Makes the tags of one table. A part that was taken from elsewhere, another table or another
/// place in the same one, has the wrong tag.
#[derive(Clone, Debug)]
pub(super) struct Tagger {
    keys: Arc<Keys>,
    /// Random: no two tables have the same.
    identity: u64,
}

impl Tagger {
    pub(super) fn new(keys: Arc<Keys>, identity: u64) -> Self {
        Self { keys, identity }
    }

    /// The tag of a part, whose bytes are all but the last [`TAG_BYTES`] of `bytes`; these are
    /// overwritten.
    pub(super) fn tag(&self, part: Part, bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let (kind, number) = match part {
            // The header says itself which table this is.
            Part::Header => return self.keyed(0, 0, bytes),
            Part::Block(number) => (1, number),
            Part::Piece(number) => (2, number),
        };
        self.keyed(self.identity, kind << 56 | number, bytes)
    }

    /// Whether `bytes` end with the tag of what comes before; their end is overwritten.
    pub(super) fn check(&self, part: Part, bytes: &mut [u8]) -> io::Result<()> {
        let found = bytes.last_chunk().copied().ok_or_else(altered)?;
        if self.tag(part, bytes) == found { Ok(()) } else { Err(altered()) }
    }

    fn keyed(&self, identity: u64, place: u64, bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let context = u128::from(identity) << 64 | u128::from(place);
        if let Some(end) = bytes.last_chunk_mut() {
            *end = context.to_le_bytes();
        }
        self.keys.cache_tag(bytes)
    }
}

/// Something in the cache is not what was written there.
pub(super) fn altered() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the table was altered")
}
