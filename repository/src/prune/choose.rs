//! Which packs and segments are condemned, and which are written anew. Pure.

use serde::Serialize;

use crate::protocol::choice::{Fate, Home, PackView, Rank, home};

/// How much of a repository may be taken by what nobody needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unused {
    /// So many bytes.
    Bytes(u64),
    /// So many per cent of what is there afterwards.
    Percent(f64),
    /// Everything: no pack is written anew.
    Unlimited,
}

/// What is known of one listed pack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tally {
    /// What the protocol wants to know: all bytes of chunks, and live ones.
    pub(super) view: PackView,
    /// Its length.
    pub(super) size: u64,
    /// The bytes of the live chunks that it is home to.
    pub(super) homed: u64,
    /// The bytes of live chunks that have no home, and are to be copied from here.
    pub(super) rescued: u64,
    /// Whether a live chunk lies in it that has no home: then it cannot be deleted yet.
    pub(super) is_needed: bool,
}

/// What a prune does with a pack, and why.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Condemned: no live point needs anything in it.
    Unneeded,
    /// Condemned: it belongs to a session that ended before its index named it, and no live point
    /// needs anything in it.
    Orphan,
    /// Condemned: what is live in it also lies in other packs.
    Duplicate,
    /// Written anew: too little of it is needed.
    MostlyUnneeded,
    /// Written anew: a live point relies on it, though it was condemned before, or no segment
    /// names it.
    Rescue,
}

impl Tally {
    /// A pack of so many bytes of which nothing else is known yet.
    pub(super) fn new(view: PackView, size: u64) -> Self {
        Self { view, size, homed: 0, rescued: 0, is_needed: false }
    }

    /// How good a home it is.
    pub(super) fn rank(&self) -> Option<Rank> {
        self.view.rank()
    }

    fn unused(&self) -> u64 {
        self.view.bytes.saturating_sub(self.homed)
    }
}

/// Gives a live chunk its home: the places are numbers of packs with the bytes that the chunk takes
/// there. A chunk may lie in a pack twice; one copy is enough.
pub(super) fn settle(tallies: &mut [Tally], ranks: &[Option<Rank>], places: &[(u32, u64)]) {
    let rank = |pack: u32| ranks.get(pack as usize).copied().flatten();
    let bytes = |wanted: u32| {
        let here = places.iter().filter(|(pack, _)| *pack == wanted);
        here.map(|(_, bytes)| *bytes).max().unwrap_or(0)
    };
    match home(places.iter().map(|(pack, _)| (*pack, rank(*pack)))) {
        Home::In(pack) => {
            if let Some(tally) = tallies.get_mut(pack as usize) {
                tally.homed = tally.homed.saturating_add(bytes(pack));
            }
        }
        Home::Rescue(pack) => {
            if let Some(tally) = tallies.get_mut(pack as usize) {
                tally.rescued = tally.rescued.saturating_add(bytes(pack));
            }
            for (pack, _) in places {
                if let Some(tally) = tallies.get_mut(*pack as usize) {
                    tally.is_needed = true;
                }
            }
        }
        // It has no places at all, so it is in no table.
        Home::Lost => {}
    }
}

/// What is done with which pack, by number; all others stay as they are.
pub(super) fn choose(tallies: &[Tally], max_unused: Unused) -> Vec<(u32, Reason)> {
    let mut chosen = Vec::new();
    let mut candidates = Vec::new();
    let (mut used, mut unused) = (0_u64, 0_u64);
    for (number, tally) in (0_u32..).zip(tallies) {
        if tally.rescued > 0 {
            used = used.saturating_add(tally.rescued);
        }
        match tally.view.fate(tally.homed, 0) {
            _ if tally.rescued > 0 => chosen.push((number, Reason::Rescue)),
            Fate::Condemn => chosen.push((number, tally.why_condemned())),
            Fate::Keep | Fate::Repack if !tally.view.is_condemned => {
                used = used.saturating_add(tally.homed);
                unused = unused.saturating_add(tally.unused());
                if tally.view.is_resolved && tally.unused() > 0 {
                    candidates.push((number, *tally));
                }
            }
            Fate::Keep | Fate::Repack => {}
        }
    }
    let limit = max_unused.limit(used);
    // Those that give back most for what is copied come first.
    candidates.sort_by(|(a, one), (b, other)| {
        let (left, right) = (
            u128::from(one.homed) * u128::from(other.view.bytes),
            u128::from(other.homed) * u128::from(one.view.bytes),
        );
        left.cmp(&right).then(a.cmp(b))
    });
    for (number, tally) in candidates {
        if unused <= limit {
            break;
        }
        unused = unused.saturating_sub(tally.unused());
        chosen.push((number, Reason::MostlyUnneeded));
    }
    chosen.sort_unstable();
    chosen
}

impl Tally {
    fn why_condemned(&self) -> Reason {
        match self.view {
            _ if self.view.live > 0 => Reason::Duplicate,
            PackView { is_indexed: false, .. } => Reason::Orphan,
            _ => Reason::Unneeded,
        }
    }
}

impl Unused {
    // How many unused bytes may stay beside so many used ones.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a limit of this kind need not be exact, and casts from floats saturate"
    )]
    fn limit(self, used: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
            Self::Percent(percent) if percent >= 100.0 => u64::MAX,
            Self::Percent(percent) => (used as f64 * (percent / (100.0 - percent))) as u64,
        }
    }
}

#[cfg(test)]
mod tests;
