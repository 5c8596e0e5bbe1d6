//! Which restore points are live, and so keep what they reach.

use std::collections::BTreeSet;

use format::ids::PointId;
use format::names::ObjectName;

/// The points that somebody wants gone. Listed before the pins are: a pin that is made before its
/// point is forgotten is then seen by whoever sees that the point is forgotten.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Forgotten(BTreeSet<PointId>);

/// What decides whether a restore point is live.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roots {
    forgotten: BTreeSet<PointId>,
    pinned: BTreeSet<PointId>,
}

impl Forgotten {
    /// From a listing of `fgt/`.
    pub fn listed(names: impl IntoIterator<Item = ObjectName>) -> Self {
        let point = |name| match name {
            ObjectName::Forgotten(point) => Some(point),
            _ => None,
        };
        Self(names.into_iter().filter_map(point).collect())
    }

    /// Whether this point is forgotten. Whoever has just made a pin asks this with a listing that
    /// is newer than the pin; a point that is forgotten is not protected by it.
    pub fn contains(&self, point: PointId) -> bool {
        self.0.contains(&point)
    }

    /// Adds the points that the pins name, which were listed and read after this was.
    pub fn with_pins(self, pinned: impl IntoIterator<Item = PointId>) -> Roots {
        Roots { forgotten: self.0, pinned: pinned.into_iter().collect() }
    }
}

impl Roots {
    /// Whether a committed point keeps what it reaches. The outcomes are listed after this was made,
    /// and packs and segments after them.
    pub fn is_live(&self, point: PointId) -> bool {
        !self.forgotten.contains(&point) || self.pinned.contains(&point)
    }

    /// Whether the outcome and the annotations of a point may be deleted. Its forget record stays
    /// for ever: a writer that stalled in its commit may create the outcome again, and the point is
    /// still forgotten then. The outcome of a session without a point is never deleted.
    pub fn is_cleared(&self, point: PointId) -> bool {
        !self.is_live(point)
    }

    /// The points that are forgotten.
    pub fn forgotten(&self) -> impl Iterator<Item = PointId> {
        self.forgotten.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_live_until_it_is_forgotten_and_nobody_reads_it() {
        let [kept, gone, read] = [1, 2, 3].map(|id| PointId::new([id; 16]));
        let names = [gone, read].map(ObjectName::Forgotten);
        let forgotten = Forgotten::listed(names);
        assert!(forgotten.contains(read) && !forgotten.contains(kept));
        let roots = forgotten.with_pins([read, kept]);
        assert!(roots.is_live(kept) && roots.is_live(read) && !roots.is_live(gone));
        assert!(roots.is_cleared(gone) && !roots.is_cleared(read) && !roots.is_cleared(kept));
        assert_eq!(roots.forgotten().collect::<Vec<_>>(), [gone, read]);
    }
}
