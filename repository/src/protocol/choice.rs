//! What a prune condemns and what it writes anew.
//!
//! A live chunk may lie in several packs. One of them becomes its **home**, and packs are judged by
//! the chunks that they are home to. None of this decides what may be deleted: a poor choice, or
//! one that was made too long ago, costs work and no data; see [`super::deletion`].

use std::cmp::Reverse;

/// What is known of one pack that is listed with the right size.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PackView {
    /// Whether a condemned list names it.
    pub is_condemned: bool,
    /// Whether its session has ended.
    pub is_resolved: bool,
    /// Whether a segment that is listed and not condemned names it. Readers do not find others.
    pub is_indexed: bool,
    /// The bytes of all its chunks.
    pub bytes: u64,
    /// The bytes of those that are live, wherever else they lie.
    pub live: u64,
}

/// How good a home a pack is: the greater, the better.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    /// A pack of a session at work stays in any case.
    stays: bool,
    /// Full packs stay, so that others become empty.
    live_per_mille: u64,
}

/// Where a live chunk is to be from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Home<T> {
    /// In this pack.
    In(T),
    /// There is a copy, in this pack, but none that anybody may rely on: it is copied to a new pack
    /// whatever else happens.
    Rescue(T),
    /// No listed pack has it: the repository is damaged, and nothing may be deleted.
    Lost,
}

/// What becomes of a pack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It stays as it is: it is worth its space, or its session is at work, or it is condemned
    /// already.
    Keep,
    /// It is home to nothing.
    Condemn,
    /// The chunks that it is home to are copied to a new pack, and then it is condemned.
    Repack,
}

/// What is known of one segment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SegmentView {
    /// Whether a condemned list names it.
    pub is_condemned: bool,
    /// Whether its session has ended.
    pub is_resolved: bool,
    /// How many packs it names.
    pub packs: u64,
    /// How many of them are listed, and neither condemned before nor now.
    pub standing: u64,
}

impl PackView {
    /// How good a home it is for a live chunk; `None` when it is none.
    ///
    /// Compute it once for each pack: it needs the live bytes of all packs, and no homes.
    pub fn rank(&self) -> Option<Rank> {
        let share = self.live.saturating_mul(1000).checked_div(self.bytes).unwrap_or(0);
        let is_home = self.is_indexed && !self.is_condemned;
        is_home.then_some(Rank { stays: !self.is_resolved, live_per_mille: share })
    }

    /// What becomes of it, when it is home to chunks of `homed` bytes. It is written anew when that
    /// is less than `least_percent` of what it has.
    pub fn fate(&self, homed: u64, least_percent: u64) -> Fate {
        if self.is_condemned || !self.is_resolved {
            Fate::Keep
        } else if homed == 0 {
            Fate::Condemn
        } else if is_worth(homed, self.bytes, least_percent) {
            Fate::Keep
        } else {
            Fate::Repack
        }
    }
}

impl SegmentView {
    /// What becomes of it. `Repack` writes its standing packs into a new segment of the prune's own
    /// session, which is stored before this one is condemned.
    pub fn fate(&self, least_percent: u64) -> Fate {
        if self.is_condemned || !self.is_resolved {
            Fate::Keep
        } else if self.standing == 0 {
            Fate::Condemn
        } else if is_worth(self.standing, self.packs, least_percent) {
            Fate::Keep
        } else {
            Fate::Repack
        }
    }
}

/// Where a live chunk is to be, given every listed pack that has it; a `T` is a pack, and of equally
/// good ones the least is taken.
pub fn home<T: Copy + Ord>(places: impl IntoIterator<Item = (T, Option<Rank>)>) -> Home<T> {
    match places.into_iter().max_by_key(|(pack, rank)| (*rank, Reverse(*pack))) {
        Some((pack, Some(_))) => Home::In(pack),
        Some((pack, None)) => Home::Rescue(pack),
        None => Home::Lost,
    }
}

fn is_worth(used: u64, all: u64, least_percent: u64) -> bool {
    used.saturating_mul(100) >= all.saturating_mul(least_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: PackView =
        PackView { is_condemned: false, is_resolved: true, is_indexed: true, bytes: 100, live: 50 };

    #[test]
    fn a_chunk_lives_where_most_lives_and_nothing_is_condemned() {
        let fuller = PackView { live: 51, ..PACK };
        let condemned = PackView { is_condemned: true, live: 100, ..PACK };
        let unnamed = PackView { is_indexed: false, live: 100, ..PACK };
        let at_work = PackView { is_resolved: false, live: 1, ..PACK };
        let choose = |packs: &[PackView]| home(packs.iter().map(PackView::rank).enumerate());
        assert_eq!(choose(&[]), Home::Lost);
        assert_eq!(choose(&[PACK, fuller, condemned, unnamed]), Home::In(1));
        assert_eq!(choose(&[fuller, fuller]), Home::In(0));
        assert_eq!(choose(&[fuller, at_work]), Home::In(1));
        assert_eq!(choose(&[unnamed, condemned]), Home::Rescue(0));
        assert_eq!(choose(&[PackView { bytes: 0, live: 0, ..PACK }]), Home::In(0));
    }

    #[test]
    fn a_pack_goes_when_it_is_home_to_too_little() {
        let fates = [0, 29, 30, 100].map(|homed| PACK.fate(homed, 30));
        assert_eq!(fates, [Fate::Condemn, Fate::Repack, Fate::Keep, Fate::Keep]);
        let condemned = PackView { is_condemned: true, ..PACK };
        let at_work = PackView { is_resolved: false, ..PACK };
        for pack in [condemned, at_work] {
            assert_eq!(pack.fate(0, 30), Fate::Keep);
        }
    }

    #[test]
    fn a_segment_goes_with_its_packs() {
        let segment =
            SegmentView { is_condemned: false, is_resolved: true, packs: 10, standing: 0 };
        let fates = [0, 2, 3, 10].map(|standing| SegmentView { standing, ..segment }.fate(30));
        assert_eq!(fates, [Fate::Condemn, Fate::Repack, Fate::Keep, Fate::Keep]);
        assert_eq!(SegmentView { is_condemned: true, ..segment }.fate(30), Fate::Keep);
        assert_eq!(SegmentView { is_resolved: false, ..segment }.fate(30), Fate::Keep);
    }
}
