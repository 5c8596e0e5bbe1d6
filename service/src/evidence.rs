//! Whether a repository is what this host has seen of it, or went back to an earlier state.
//!
//! Pure: the catalog says what was seen, the repository what is there.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Seen;
use format::names::ObjectName;
use repository::check::Finding;

/// What follows from a look at the repository.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Comparison {
    /// What is new, or known better than before.
    pub(crate) remember: Vec<(ObjectName, Seen)>,
    /// What went with a point that was forgotten.
    pub(crate) forget: Vec<ObjectName>,
    /// What is gone, or another thing now.
    pub(crate) findings: Vec<Finding>,
}

/// Compares what was `seen` with what is `found`, of the kinds that were looked for.
pub(crate) fn compare(
    seen: &BTreeMap<ObjectName, Seen>,
    found: &BTreeMap<ObjectName, Seen>,
    looked_for: impl Fn(ObjectName) -> bool,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, before) in seen.iter().filter(|(name, _)| looked_for(**name)) {
        match found.get(name) {
            Some(now) if differs(before, now) => {
                let reason = "it was another object when it was seen first".to_owned();
                comparison.findings.push(Finding::RolledBack { object: *name, reason });
            }
            Some(_) => {}
            None if went_with_its_point(*name, found) => comparison.forget.push(*name),
            None => {
                let reason = "it was there, and nothing says that it was forgotten".to_owned();
                comparison.findings.push(Finding::RolledBack { object: *name, reason });
            }
        }
    }
    let is_news = |(name, now): &(&ObjectName, &Seen)| match seen.get(name) {
        None => true,
        Some(before) => before.digest.is_none() && now.digest.is_some() && !differs(before, now),
    };
    let news = found.iter().filter(is_news);
    comparison.remember = news.map(|(name, now)| (*name, *now)).collect();
    comparison
}

/// The points among these findings that are gone.
pub(crate) fn missing_points(findings: &[Finding]) -> BTreeSet<format::ids::PointId> {
    let point = |finding: &Finding| match finding {
        Finding::RolledBack { object: ObjectName::Outcome(point), .. } => Some(*point),
        _ => None,
    };
    findings.iter().filter_map(point).collect()
}

fn differs(before: &Seen, now: &Seen) -> bool {
    let digests = before.digest.zip(now.digest);
    before.size != now.size || digests.is_some_and(|(before, now)| before != now)
}

fn went_with_its_point(name: ObjectName, found: &BTreeMap<ObjectName, Seen>) -> bool {
    match name {
        ObjectName::Outcome(point) | ObjectName::Annotation(point, _) => {
            found.contains_key(&ObjectName::Forgotten(point))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use format::ids::{Digest, PointId};

    use super::*;

    const POINT: PointId = PointId::new([1; 16]);
    const OUTCOME: ObjectName = ObjectName::Outcome(POINT);
    const FORGOTTEN: ObjectName = ObjectName::Forgotten(POINT);

    fn objects<const N: usize>(
        objects: [(ObjectName, u64, Option<u8>); N],
    ) -> BTreeMap<ObjectName, Seen> {
        let seen = |(name, size, digest): (_, _, Option<u8>)| {
            (name, Seen { size, digest: digest.map(|byte| Digest::new([byte; 16])) })
        };
        objects.into_iter().map(seen).collect()
    }

    fn named(comparison: &Comparison) -> Vec<ObjectName> {
        let name = |finding: &Finding| match finding {
            Finding::RolledBack { object, .. } => Some(*object),
            _ => None,
        };
        comparison.findings.iter().filter_map(name).collect()
    }

    #[test]
    fn what_is_new_is_remembered_and_what_is_the_same_is_not() {
        let seen = objects([(OUTCOME, 5, None)]);
        let found = objects([(OUTCOME, 5, None), (ObjectName::Generation(1), 6, None)]);
        let comparison = compare(&seen, &found, |_| true);
        assert_eq!(named(&comparison), []);
        assert_eq!(comparison.remember.len(), 1);
        let digest = objects([(OUTCOME, 5, Some(1))]);
        let comparison = compare(&seen, &digest, |_| true);
        assert_eq!((comparison.remember.len(), comparison.findings.len()), (1, 0));
        assert_eq!(compare(&digest, &digest, |_| true), Comparison::default());
    }

    #[test]
    fn a_point_may_go_when_it_was_forgotten_and_nothing_else_may() {
        let annotation = ObjectName::Annotation(POINT, 0);
        let seen = objects([(OUTCOME, 5, None), (annotation, 5, None)]);
        let comparison = compare(&seen, &objects([(FORGOTTEN, 1, None)]), |_| true);
        assert_eq!((named(&comparison), comparison.forget), (vec![], vec![OUTCOME, annotation]));
        for gone in
            [OUTCOME, annotation, FORGOTTEN, ObjectName::Generation(3), ObjectName::Condemned(3)]
        {
            let seen = objects([(gone, 5, None)]);
            let comparison = compare(&seen, &objects([]), |_| true);
            assert_eq!((named(&comparison), comparison.forget), (vec![gone], vec![]));
            assert_eq!(compare(&seen, &objects([]), |name| name != gone), Comparison::default());
        }
    }

    #[test]
    fn another_object_under_the_name_is_found_and_not_remembered() {
        for (before, now) in
            [((5, None), (6, None)), ((5, Some(1)), (5, Some(2))), ((5, None), (6, Some(1)))]
        {
            let seen = objects([(OUTCOME, before.0, before.1)]);
            let comparison = compare(&seen, &objects([(OUTCOME, now.0, now.1)]), |_| true);
            assert_eq!((named(&comparison), comparison.remember), (vec![OUTCOME], vec![]));
        }
    }
}
