//! Which packs and segments are condemned, and which are written anew. Pure.

use serde::Serialize;

use crate::protocol::choice::{Fate, Home, PackView, home};

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

/// What is known of one listed pack, in few bytes: there may be a million. No pack has more than
/// 1 GiB.
#[allow(clippy::struct_excessive_bools, reason = "each can be so or not, whatever the others are")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) is_condemned: bool,
    pub(super) is_resolved: bool,
    pub(super) is_indexed: bool,
    /// Whether a live chunk lies in it that has no home: then it cannot be deleted yet.
    pub(super) is_needed: bool,
    pub(super) bytes: u32,
    pub(super) live: u32,
    pub(super) homed: u32,
    pub(super) rescued: u32,
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
    /// Counts a chunk that takes so many bytes here.
    pub(super) fn add(&mut self, bytes: u64, is_live: bool) {
        add(&mut self.bytes, bytes);
        if is_live {
            add(&mut self.live, bytes);
        }
    }

    /// What the protocol wants to know.
    pub(super) fn view(&self) -> PackView {
        PackView {
            is_condemned: self.is_condemned,
            is_resolved: self.is_resolved,
            is_indexed: self.is_indexed,
            bytes: self.bytes.into(),
            live: self.live.into(),
        }
    }

    /// The bytes of the live chunks that it is home to.
    pub(super) fn homed(&self) -> u64 {
        self.homed.into()
    }

    /// The bytes of live chunks that have no home, and are to be copied from here.
    pub(super) fn rescued(&self) -> u64 {
        self.rescued.into()
    }

    fn unused(&self) -> u64 {
        self.bytes.saturating_sub(self.homed).into()
    }
}

fn add(sum: &mut u32, bytes: u64) {
    *sum = sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
}

/// The home of a live chunk, given the packs that it lies in, by number.
///
/// It depends on what is live in the packs, and on no other chunk's home.
pub(super) fn home_of(tallies: &[Tally], packs: impl IntoIterator<Item = u32>) -> Home<u32> {
    let rank = |pack: u32| tallies.get(pack as usize).and_then(|tally| tally.view().rank());
    home(packs.into_iter().map(|pack| (pack, rank(pack))))
}

/// Gives a live chunk its home: the places are numbers of packs with the bytes that the chunk takes
/// there. A chunk may lie in a pack twice; one copy is enough.
pub(super) fn settle(tallies: &mut [Tally], places: &[(u32, u64)]) {
    let bytes = |wanted: u32| {
        let here = places.iter().filter(|(pack, _)| *pack == wanted);
        here.map(|(_, bytes)| *bytes).max().unwrap_or(0)
    };
    match home_of(tallies, places.iter().map(|(pack, _)| *pack)) {
        Home::In(pack) => {
            if let Some(tally) = tallies.get_mut(pack as usize) {
                add(&mut tally.homed, bytes(pack));
            }
        }
        Home::Rescue(pack) => {
            if let Some(tally) = tallies.get_mut(pack as usize) {
                add(&mut tally.rescued, bytes(pack));
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
        used = used.saturating_add(tally.rescued());
        match tally.view().fate(tally.homed(), 0) {
            _ if tally.rescued > 0 => chosen.push((number, Reason::Rescue)),
            Fate::Condemn => chosen.push((number, tally.why_condemned())),
            Fate::Keep | Fate::Repack if !tally.is_condemned => {
                used = used.saturating_add(tally.homed());
                unused = unused.saturating_add(tally.unused());
                if tally.is_resolved && tally.unused() > 0 {
                    candidates.push((number, *tally));
                }
            }
            Fate::Keep | Fate::Repack => {}
        }
    }
    let limit = max_unused.limit(used);
    // Those that give back most for what is copied come first.
    candidates.sort_by(|(a, one), (b, other)| {
        let (left, right) =
            (one.homed() * u64::from(other.bytes), other.homed() * u64::from(one.bytes));
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
        match self.is_indexed {
            _ if self.live > 0 => Reason::Duplicate,
            false => Reason::Orphan,
            true => Reason::Unneeded,
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
