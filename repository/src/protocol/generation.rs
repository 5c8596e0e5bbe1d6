//! Generations: how often the repository was told what nobody may rely on any more.

use format::names::ObjectName;

/// How a prune begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// A prune has published what it condemns in this generation, and not yet the generation.
    /// Create `gen/<n>` for it (one that exists already is just as good), and look again.
    Complete(u64),
    /// The newest generation. Read `cnd/1` to `cnd/<n>`, and plan for the one after it.
    At(u64),
}

/// The newest generation in a listing of `gen/`; 0 when there is none.
pub fn newest(generations: impl IntoIterator<Item = ObjectName>) -> u64 {
    let number = |name| match name {
        ObjectName::Generation(number) => Some(number),
        _ => None,
    };
    generations.into_iter().filter_map(number).max().unwrap_or(0)
}

/// How a prune begins, from a listing of `gen/` and one of `cnd/`, in any order.
///
/// A list without its generation is completed rather than replaced: its prune may only have
/// stalled, and what it condemned stays condemned.
pub fn opening(
    generations: impl IntoIterator<Item = ObjectName>,
    condemned: impl IntoIterator<Item = ObjectName>,
) -> Opening {
    let newest = newest(generations);
    let next = newest.saturating_add(1);
    if condemned.into_iter().any(|name| name == ObjectName::Condemned(next)) {
        Opening::Complete(next)
    } else {
        Opening::At(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_generation_is_the_one_with_the_highest_number() {
        assert_eq!(newest([]), 0);
        let names = [9, 10, 2].map(ObjectName::Generation);
        assert_eq!(newest(names.into_iter().chain([ObjectName::Condemned(11)])), 10);
    }

    #[test]
    fn a_list_without_its_generation_is_completed_first() {
        let (gens, cnds) = ([1, 2].map(ObjectName::Generation), [1, 2].map(ObjectName::Condemned));
        assert_eq!(opening(gens, cnds), Opening::At(2));
        assert_eq!(opening(gens[..1].to_vec(), cnds), Opening::Complete(2));
        assert_eq!(opening([], [ObjectName::Condemned(1)]), Opening::Complete(1));
        assert_eq!(opening([], []), Opening::At(0));
    }
}
