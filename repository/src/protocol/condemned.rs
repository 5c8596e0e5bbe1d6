//! What is condemned: packs and index segments that nobody may rely on any more.

use format::names::ObjectName;

/// Everything that the condemned lists up to a generation name.
///
/// 48 bytes an object; a list is read once, for it never changes.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Condemned {
    /// Sorted by name; each name once, with the first generation that condemns it.
    objects: Vec<(ObjectName, u64)>,
    /// The newest list that is in here.
    newest: u64,
}

impl Condemned {
    /// Adds the list of `generation`. The lists come in ascending order, none left out.
    pub fn add(&mut self, generation: u64, objects: impl IntoIterator<Item = ObjectName>) {
        debug_assert_eq!(generation, self.newest.saturating_add(1));
        self.newest = self.newest.max(generation);
        self.objects.extend(objects.into_iter().map(|name| (name, generation)));
        // Stable, and fast on what is sorted but for its end. The first of equal names stays: the
        // one of the oldest generation.
        self.objects.sort();
        self.objects.dedup_by_key(|(name, _)| *name);
    }

    /// The newest list that was added; 0 when none was.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The first generation that condemns this object.
    pub fn since(&self, name: ObjectName) -> Option<u64> {
        let at = self.objects.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        self.objects.get(at).map(|(_, generation)| *generation)
    }

    /// Whether any list names this object.
    pub fn contains(&self, name: ObjectName) -> bool {
        self.since(name).is_some()
    }

    /// Every condemned object, in the order of the names. Most are deleted already.
    pub fn iter(&self) -> impl Iterator<Item = ObjectName> {
        self.objects.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::ids::{ObjectId, PointId};
    use format::names::PackName;

    fn pack(id: u8) -> ObjectName {
        let session = PointId::new([1; 16]);
        ObjectName::Pack(PackName { session, id: ObjectId::new([id; 16]) })
    }

    #[test]
    fn the_first_list_that_names_an_object_counts() {
        let segment = ObjectName::Index(PointId::new([1; 16]), ObjectId::new([3; 16]));
        let mut condemned = Condemned::default();
        condemned.add(1, [pack(7), pack(3)]);
        condemned.add(2, [segment, pack(3), pack(1), pack(1)]);
        assert_eq!(condemned.newest(), 2);
        assert_eq!(condemned.since(pack(3)), Some(1));
        assert_eq!(condemned.since(pack(1)), Some(2));
        assert_eq!(condemned.since(segment), Some(2));
        assert!(!condemned.contains(pack(2)));
        assert_eq!(condemned.iter().collect::<Vec<_>>(), [pack(1), pack(3), pack(7), segment]);
    }

    #[test]
    fn an_object_takes_48_bytes() {
        assert_eq!(size_of::<(ObjectName, u64)>(), 48);
    }
}
