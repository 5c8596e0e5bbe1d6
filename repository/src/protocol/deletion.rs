//! What a prune may delete, by what it sees after it has waited.
//!
//! These rules alone keep the data: whatever was condemned, and why ever, what is live stays. They
//! need a second mark that was begun after the wait was over, with the condemned lists up to the
//! prune's own generation. Packs go before segments. Deletions may be late by any time: names are
//! never used twice, and a condemned pack is nobody's home any more.

use super::choice::Home;

/// A pack that a segment names, as the segment's deletion sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NamedPack {
    /// Whether the pack is still there, after the packs were deleted that may be.
    pub is_listed: bool,
    /// Whether another segment names it that is listed and not condemned.
    pub is_named_elsewhere: bool,
}

/// Whether a condemned pack may be deleted, given the [home](super::choice::home) of every live
/// chunk that lies in it.
///
/// While a chunk has no home, every copy of it stays: another prune may be about to delete the
/// other one, for the same reason. The next prune rescues it.
pub fn may_delete_pack<T>(is_condemned: bool, homes: impl IntoIterator<Item = Home<T>>) -> bool {
    is_condemned && homes.into_iter().all(|home| matches!(home, Home::In(_)))
}

/// Whether a condemned segment may be deleted: each pack that it names is gone, or named by another
/// segment that stays.
pub fn may_delete_segment(is_condemned: bool, packs: impl IntoIterator<Item = NamedPack>) -> bool {
    is_condemned && packs.into_iter().all(|pack| !pack.is_listed || pack.is_named_elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_of_a_chunk_without_a_home_stays() {
        assert!(may_delete_pack::<u8>(true, []));
        assert!(!may_delete_pack::<u8>(false, []));
        assert!(may_delete_pack(true, [Home::In(1), Home::In(2)]));
        assert!(!may_delete_pack(true, [Home::In(1), Home::Rescue(2)]));
        assert!(!may_delete_pack::<u8>(true, [Home::Lost]));
    }

    #[test]
    fn a_segment_stays_while_a_pack_needs_it() {
        let pack = |is_listed, is_named_elsewhere| NamedPack { is_listed, is_named_elsewhere };
        assert!(may_delete_segment(true, []));
        assert!(!may_delete_segment(false, []));
        assert!(may_delete_segment(true, [pack(false, false), pack(true, true)]));
        assert!(!may_delete_segment(true, [pack(false, false), pack(true, false)]));
    }
}
